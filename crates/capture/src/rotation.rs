//! When to begin a new segment: pure functions of sizes and times.

use std::time::Duration;

use crate::timestamp::Timestamp;

/// Bytes that a line takes beside its text, as a guess.
const LINE_OVERHEAD: u64 = 80;
/// A cap is always shared by at least this many segments, so that one can go and the others stay.
const SEGMENTS_UNDER_CAP: u64 = 4;
/// A disk cap never makes segments smaller than this.
const SMALLEST_SEGMENT: u64 = 64 * 1024;

/// The largest size of a segment under an optional disk cap.
pub fn segment_limit(wanted: u64, cap: Option<u64>) -> u64 {
    match cap {
        None => wanted.max(1),
        Some(cap) => wanted.clamp(1, (cap / SEGMENTS_UNDER_CAP).max(SMALLEST_SEGMENT)),
    }
}

/// What a batch will take, as a guess.
pub fn expected_size(text: u64, lines: u64) -> u64 {
    text.saturating_add(lines.saturating_mul(LINE_OVERHEAD))
}

/// Whether a batch goes into a new segment. A batch is never split, so one that is larger than the
/// limit has a segment to itself.
pub fn is_due(active: u64, incoming: u64, limit: u64) -> bool {
    active > 0 && active.saturating_add(incoming) > limit
}

/// Whether a segment that was begun at a time is too old to go on.
pub fn is_old(begun: Timestamp, now: Timestamp, most: Option<Duration>) -> bool {
    most.is_some_and(|most| now.0.saturating_sub(begun.0) as i128 >= most.as_nanos() as i128)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_counts_from_the_beginning_and_a_clock_that_goes_back_does_no_harm() {
        let most = Some(Duration::from_nanos(10));
        assert!(is_old(Timestamp(5), Timestamp(15), most));
        assert!(!is_old(Timestamp(5), Timestamp(14), most));
        assert!(!is_old(Timestamp(5), Timestamp(0), most));
        assert!(!is_old(Timestamp(i64::MIN), Timestamp(i64::MAX), None));
    }

    #[test]
    fn rotates_before_the_limit_but_never_an_empty_segment() {
        assert!(!is_due(0, 200, 100));
        assert!(!is_due(60, 40, 100));
        assert!(is_due(60, 41, 100));
        assert!(is_due(1, u64::MAX, 100));
    }

    #[test]
    fn several_segments_fit_under_the_cap() {
        assert_eq!(segment_limit(256, None), 256);
        assert_eq!(segment_limit(1 << 28, Some(1 << 20)), 1 << 18);
        assert_eq!(segment_limit(1 << 28, Some(10)), SMALLEST_SEGMENT);
        assert_eq!(segment_limit(1000, Some(1 << 40)), 1000);
    }
}
