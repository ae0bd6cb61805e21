//! Lines over time, in buckets of equal width.
//!
//! The index counts lines by the minute, or in wider steps where their times are many. Lines of a file whose index does not,
//! such as the predecessor's, are spread evenly over its time, and that is told: reading all lines to draw a picture would
//! be out of proportion.

use logtap_capture::Timestamp;
use serde::Serialize;

const MINUTE: i64 = 60_000_000_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// A timeline has no more buckets than this; they get wider instead.
const MAX_BUCKETS: i64 = 10_080;

/// The lines of a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bucket {
    /// When it begins.
    pub time: Timestamp,
    /// How many lines are in it.
    pub lines: u64,
}

/// Lines between two times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    pub(crate) lines: u64,
}

/// The buckets and their width in nanoseconds; none without lines.
pub(crate) fn timeline(spans: &[Span]) -> (Vec<Bucket>, i64) {
    let spans = || spans.iter().filter(|span| span.lines > 0 && span.from <= span.to);
    let (Some(from), Some(to)) =
        (spans().map(|span| span.from.0).min(), spans().map(|span| span.to.0).max())
    else {
        return (Vec::new(), 0);
    };
    let width = bucket_width(from, to);
    let start = from.div_euclid(width);
    let bucket = |time: i64| usize::try_from(time.div_euclid(width) - start).unwrap_or(0);
    let mut lines = vec![0_u64; bucket(to) + 1];
    for span in spans() {
        let Some(places) = lines.get_mut(bucket(span.from.0)..=bucket(span.to.0)) else { continue };
        let count = places.len() as u64;
        let (each, mut rest) = (span.lines / count, span.lines % count);
        for place in places {
            *place += each + u64::from(rest > 0);
            rest = rest.saturating_sub(1);
        }
    }
    let time = |index: usize| Timestamp((start + index as i64).saturating_mul(width));
    let buckets =
        lines.into_iter().enumerate().map(|(index, lines)| Bucket { time: time(index), lines });
    (buckets.collect(), width)
}

/// The name of a width.
pub(crate) fn width_name(width: i64) -> String {
    match width {
        0 => String::new(),
        width if width < HOUR => format!("{}-min buckets", width / MINUTE),
        width => format!("{}-hour buckets", width / HOUR),
    }
}

fn bucket_width(from: i64, to: i64) -> i64 {
    let span = i128::from(to) - i128::from(from);
    let width = match i64::try_from(span).unwrap_or(i64::MAX) {
        span if span < 2 * HOUR => MINUTE,
        span if span < 12 * HOUR => 5 * MINUTE,
        span if span < 3 * DAY => 15 * MINUTE,
        span if span < 7 * DAY => HOUR,
        _ => 4 * HOUR,
    };
    // All the time there is takes less than thirty times the widest buckets.
    let times = 1 + span / i128::from(width) / i128::from(MAX_BUCKETS);
    width.saturating_mul(i64::try_from(times).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn widths_grow_with_the_span() {
        for (span, name) in [
            (0, "1-min buckets"),
            (2 * HOUR, "5-min buckets"),
            (12 * HOUR, "15-min buckets"),
            (3 * DAY, "1-hour buckets"),
            (7 * DAY, "4-hour buckets"),
            (1700 * DAY, "8-hour buckets"),
        ] {
            assert_eq!(width_name(bucket_width(0, span)), name);
        }
        assert_eq!(timeline(&[]), (Vec::new(), 0));
    }

    proptest! {
        #[test]
        fn no_line_is_lost_and_the_picture_stays_small(
            spans in proptest::collection::vec((any::<i64>(), any::<i64>(), any::<u32>()), 1..5)
        ) {
            let spans: Vec<Span> = spans
                .into_iter()
                .map(|(a, b, lines)| Span {
                    from: Timestamp(a.min(b)),
                    to: Timestamp(a.max(b)),
                    lines: u64::from(lines),
                })
                .collect();
            let (buckets, _) = timeline(&spans);
            let expected: u64 = spans.iter().map(|span| span.lines).sum();
            prop_assert_eq!(buckets.iter().map(|bucket| bucket.lines).sum::<u64>(), expected);
            prop_assert!(buckets.len() as i64 <= MAX_BUCKETS + 2);
        }
    }
}
