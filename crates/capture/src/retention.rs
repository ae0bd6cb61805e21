//! What to remove so that a capture keeps to its disk cap: a pure function of sizes.

/// How many of the closed segments, oldest first, have to go so that all of them together with what
/// cannot go (`kept`: the active segment and what is about to be written) are within the cap.
///
/// `None` if it is too much even without any closed segment.
pub fn segments_to_remove(closed: &[u64], kept: u64, cap: u64) -> Option<usize> {
    let mut total = closed.iter().fold(kept, |sum, size| sum.saturating_add(*size));
    let mut removed = 0;
    for size in closed {
        if total <= cap {
            break;
        }
        total = total.saturating_sub(*size);
        removed += 1;
    }
    (total <= cap).then_some(removed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn oldest_go_first_and_no_more_than_needed() {
        assert_eq!(segments_to_remove(&[10, 20, 30], 5, 100), Some(0));
        assert_eq!(segments_to_remove(&[10, 20, 30], 5, 64), Some(1));
        assert_eq!(segments_to_remove(&[10, 20, 30], 5, 5), Some(3));
        assert_eq!(segments_to_remove(&[10, 20, 30], 6, 5), None);
        assert_eq!(segments_to_remove(&[], 0, 0), Some(0));
    }

    proptest! {
        #[test]
        fn what_stays_is_within_the_cap(closed: Vec<u32>, kept: u32, cap: u32) {
            let sizes: Vec<u64> = closed.iter().map(|&size| u64::from(size)).collect();
            let (kept, cap) = (u64::from(kept), u64::from(cap));
            match segments_to_remove(&sizes, kept, cap) {
                Some(removed) => {
                    prop_assert!(sizes[removed..].iter().sum::<u64>() + kept <= cap);
                    if let Some(before) = removed.checked_sub(1) {
                        prop_assert!(sizes[before..].iter().sum::<u64>() + kept > cap);
                    }
                }
                None => prop_assert!(kept > cap),
            }
        }
    }
}
