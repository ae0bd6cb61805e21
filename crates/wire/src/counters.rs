//! Which numbers a counter of losses can have reached. Whoever may write a shared file can put any number there; one
//! that cannot be true is told as corrupt by every reader, and added to nothing.

/// Most records that one counter can hold. Each takes a write of its own on a cache line that all writers share: at
/// 100 million a second this takes a month, and what is in memory does not outlive the machine's start.
pub const MOST_RECORDS: u64 = 0x1_0000_0000_0000;
/// Most bytes that one counter can hold: an exabyte.
pub const MOST_BYTES: u64 = 0x1000_0000_0000_0000;

/// Whether a pair of counters can be true.
pub const fn can_be_true(records: u64, bytes: u64) -> bool {
    records <= MOST_RECORDS && bytes <= MOST_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_ones_in_place_of_a_counter_cannot_be_true() {
        assert!(can_be_true(0, 0) && can_be_true(55_695, 9_000_000) && can_be_true(3, 0));
        for scribble in [u64::MAX, u64::from_ne_bytes(*b"scribble"), 0xEA9E_5E00_1234_5600] {
            assert!(!can_be_true(scribble, 0), "{scribble}");
            assert!(!can_be_true(1, scribble), "{scribble}");
        }
    }
}
