//! How long the drain thread rests after a pass: a pure function of what the last passes found, and when.
//!
//! A writer at full speed fills its ring within two milliseconds. Where the thread slept longer, writer, collector and
//! sink would work one after the other, each while the others wait; so it rests shortly as long as a burst may go on,
//! also while a writer that found its ring full has not woken up yet.

use std::time::{Duration, Instant};

use super::Pass;
use crate::chunk::CHUNK_SIZE;

/// A pass that found so many bytes is followed by the next at once.
const PLENTY: u64 = CHUNK_SIZE as u64 / 4;
/// How long a burst is believed to go on after such a pass, and the rest within it.
const BURST: Duration = Duration::from_millis(20);
const WITHIN_BURST: Duration = Duration::from_micros(500);
/// The rest after a pass that found something.
const AFTER_SOME: Duration = Duration::from_millis(1);
/// The rest while chunks cannot be handed on.
const WHILE_BLOCKED: Duration = Duration::from_millis(5);
/// By how much more than half as much again each rest grows while nothing comes, and the longest.
const GROWTH: Duration = Duration::from_micros(500);
const LONGEST: Duration = Duration::from_millis(20);

/// What the next rest depends on.
#[derive(Debug, Default)]
pub(super) struct Pace {
    rest: Duration,
    /// When there was plenty for the last time.
    plenty: Option<Instant>,
}

impl Pace {
    /// The rest after a pass that ended at `now`.
    pub(super) fn after(&mut self, pass: &Pass, now: Instant) -> Duration {
        if pass.bytes >= PLENTY {
            self.plenty = Some(now);
        }
        let in_burst = self.plenty.is_some_and(|last| now.saturating_duration_since(last) < BURST);
        self.rest = match pass {
            Pass { blocked: true, .. } => WHILE_BLOCKED,
            Pass { bytes, .. } if *bytes >= PLENTY => Duration::ZERO,
            _ if in_burst => WITHIN_BURST,
            Pass { bytes, waiting, .. } if *bytes > 0 || *waiting => AFTER_SOME,
            _ => (self.rest * 3 / 2 + GROWTH).min(LONGEST),
        };
        self.rest
    }

    /// Somebody waits for the end: rests grow from the shortest again.
    pub(super) fn hurry(&mut self) {
        self.rest = Duration::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(bytes: u64) -> Pass {
        Pass { bytes, ..Pass::default() }
    }

    #[test]
    fn rests_are_short_in_a_burst_and_grow_after_it() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        assert_eq!(pace.after(&found(PLENTY), at(0)), Duration::ZERO);
        assert_eq!(pace.after(&found(5), at(1)), WITHIN_BURST);
        assert_eq!(pace.after(&found(0), at(19)), WITHIN_BURST);
        assert_eq!(pace.after(&found(5), at(20)), AFTER_SOME);
        let mut last = Duration::ZERO;
        for later in 21..40 {
            let rest = pace.after(&found(0), at(later));
            assert!(rest > last || rest == LONGEST, "{rest:?} after {last:?}");
            last = rest;
        }
        assert_eq!(last, LONGEST);
        pace.hurry();
        assert_eq!(pace.after(&found(0), at(50)), GROWTH);
    }

    #[test]
    fn what_is_missing_is_looked_for_soon_and_a_full_way_is_not_asked_all_the_time() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let waiting = Pass { waiting: true, ..Pass::default() };
        assert_eq!(pace.after(&waiting, now), AFTER_SOME);
        let blocked = Pass { blocked: true, ..found(PLENTY) };
        assert_eq!(pace.after(&blocked, now), WHILE_BLOCKED);
    }
}
