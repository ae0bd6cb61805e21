//! Failures on purpose, for testing log agents: some pushes are refused, all are slowed down.
//!
//! What is refused this way is not stored. Refuses to fail at random: of a hundred pushes, `429:5%`
//! refuses five, evenly spread, so that a test can count on it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use logtap_units::read;

/// Which pushes fail.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// A status and how many of a million pushes are answered with it.
    refusals: Vec<(StatusCode, u32)>,
    delay: Duration,
}

const MILLION: u64 = 1_000_000;
/// More than any client waits.
const LONGEST_DELAY: Duration = Duration::from_secs(3600);

/// A text that says no fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no fault, such as 429:5%, 500:1% or delay:200ms")]
pub struct FaultError(String);

impl std::str::FromStr for Faults {
    type Err = FaultError;

    /// Reads `429:5%,500:1%,delay:200ms`.
    fn from_str(text: &str) -> Result<Self, FaultError> {
        let mut faults = Self::default();
        for part in text.split(',').map(str::trim) {
            let wrong = || FaultError(part.to_owned());
            let (kind, value) = part.split_once(':').ok_or_else(wrong)?;
            if kind == "delay" {
                let delay = read::duration(value).ok().filter(|delay| *delay <= LONGEST_DELAY);
                faults.delay = delay.ok_or_else(wrong)?;
                continue;
            }
            let status = kind.parse::<u16>().ok().filter(|code| (400..600).contains(code));
            let status = status.and_then(|code| StatusCode::from_u16(code).ok());
            let percent: Option<f64> =
                value.strip_suffix('%').and_then(|number| number.trim().parse().ok());
            let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
            let (Some(status), Some(percent)) = (status, percent) else { return Err(wrong()) };
            faults.refusals.push((status, (percent * 10_000.0).round() as u32));
        }
        let all: u64 = faults.refusals.iter().map(|(_, share)| u64::from(*share)).sum();
        if all > MILLION {
            return Err(FaultError(text.to_owned()));
        }
        Ok(faults)
    }
}

/// Faults at work.
#[derive(Debug, Default)]
pub(crate) struct FaultPlan {
    faults: Faults,
    pushes: AtomicU64,
}

impl FaultPlan {
    pub(crate) fn new(faults: Faults) -> Self {
        Self { faults, pushes: AtomicU64::new(0) }
    }

    /// How long the next push is to wait, and what it is to be answered with instead of being stored.
    pub(crate) fn next(&self) -> (Duration, Option<StatusCode>) {
        if self.faults == Faults::default() {
            return (Duration::ZERO, None);
        }
        let number = self.pushes.fetch_add(1, Ordering::Relaxed);
        (self.faults.delay, refusal(&self.faults.refusals, number))
    }
}

/// What becomes of the push of this number, from 0.
fn refusal(refusals: &[(StatusCode, u32)], number: u64) -> Option<StatusCode> {
    // A step that has no factor with a million visits each number below it once in a million pushes,
    // and spreads them.
    const STEP: u64 = 618_033;
    let mut place = number.wrapping_mul(STEP) % MILLION;
    for (status, share) in refusals {
        match place.checked_sub(u64::from(*share)) {
            None => return Some(*status),
            Some(rest) => place = rest,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_fail_as_were_asked_for() {
        let faults: Faults = "429:5%, 500:0.5%,delay:200ms".parse().unwrap();
        assert_eq!(faults.delay, Duration::from_millis(200));
        let plan = FaultPlan::new(faults);
        let mut seen = [0_u32; 2];
        for _ in 0..10_000 {
            match plan.next().1.map(|status| status.as_u16()) {
                Some(429) => seen[0] += 1,
                Some(_) => seen[1] += 1,
                None => {}
            }
        }
        assert!((495..=505).contains(&seen[0]) && (45..=55).contains(&seen[1]), "{seen:?}");
        let all = FaultPlan::new("503:100%".parse().unwrap());
        assert!((0..100).all(|_| all.next().1.is_some()));
        assert_eq!(FaultPlan::default().next(), (Duration::ZERO, None));
    }

    #[test]
    fn what_is_no_fault_is_named() {
        for text in
            ["", "429", "429:5", "200:5%", "429:101%", "429:60%,500:60%", "delay:5", "delay:-1s"]
        {
            let error = text.parse::<Faults>().unwrap_err().to_string();
            assert!(error.starts_with('`'), "{text}: {error}");
        }
        for (text, milliseconds) in [("delay:1.5s", 1500), ("delay:1m", 60_000), ("delay:7ms", 7)] {
            let faults: Faults = text.parse().unwrap();
            assert_eq!(faults.delay, Duration::from_millis(milliseconds));
        }
    }
}
