//! What the receiver has warned of since the start: each text once, with when it came last, how often, and how
//! often nobody has read it.
//!
//! Its memory has a limit. What goes for want of room is counted, and told in the end if nobody has read it.

use std::collections::VecDeque;
use std::ops::Range;

use logtap_capture::Timestamp;

/// Texts that are kept; the oldest go first.
pub const MAX_WARNINGS: usize = 200;
/// Bytes that are kept of a text.
const MAX_TEXT: usize = 2048;
const SECOND: i64 = 1_000_000_000;

/// A warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// When it came last.
    pub at: Timestamp,
    /// What it says.
    pub text: String,
    /// How often it came.
    pub times: u64,
    /// How often it came since it was read.
    pub unread: u64,
}

/// Warnings, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Warnings {
    list: VecDeque<Warning>,
    /// Warnings that had no room any more.
    beyond: u64,
    /// Those of them that were not read.
    beyond_unread: u64,
}

impl Warnings {
    /// Takes a warning. One that came before moves to the front.
    pub fn add(&mut self, at: Timestamp, text: &str) {
        let mut kept =
            text.get(..text.floor_char_boundary(MAX_TEXT)).unwrap_or_default().to_owned();
        if kept.len() < text.len() {
            kept.push('\u{2026}');
        }
        let known = self.list.iter().position(|warning| warning.text == kept);
        let mut warning = known.and_then(|place| self.list.remove(place)).unwrap_or(Warning {
            at,
            text: kept,
            times: 0,
            unread: 0,
        });
        warning.at = at;
        warning.times += 1;
        warning.unread += 1;
        self.list.push_front(warning);
        if self.list.len() > MAX_WARNINGS
            && let Some(oldest) = self.list.pop_back()
        {
            self.beyond += oldest.times;
            self.beyond_unread += oldest.unread;
        }
    }

    /// Those that are kept, the newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Warning> {
        self.list.iter()
    }

    /// How many texts are kept.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there has been none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many had no room.
    pub fn beyond(&self) -> u64 {
        self.beyond
    }

    /// How many came and were not read.
    pub fn unread(&self) -> u64 {
        self.beyond_unread + self.list.iter().map(|warning| warning.unread).sum::<u64>()
    }

    /// Takes it that these were read. Who has read the oldest has been told how many are beyond it.
    pub fn read(&mut self, places: Range<usize>) {
        if places.end > self.list.len() {
            self.beyond_unread = 0;
        }
        for warning in self.list.iter_mut().take(places.end).skip(places.start) {
            warning.unread = 0;
        }
    }

    /// What was not read, the oldest first, each in one line.
    pub fn left(&self) -> Vec<String> {
        let beyond = (self.beyond_unread > 0).then(|| {
            format!("warning: and {} before these, for which there was no room", self.beyond_unread)
        });
        let unread = self.list.iter().rev().filter(|warning| warning.unread > 0).map(|warning| {
            let second = Timestamp(warning.at.0.div_euclid(SECOND) * SECOND);
            let times = match warning.times {
                1 => String::new(),
                times => format!(" ({times} times)"),
            };
            format!("warning: {second} {}{times}", warning.text)
        });
        beyond.into_iter().chain(unread).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp(second * SECOND + 5)
    }

    fn texts(warnings: &Warnings) -> Vec<(&str, u64, u64)> {
        warnings.iter().map(|w| (w.text.as_str(), w.times, w.unread)).collect()
    }

    #[test]
    fn the_newest_are_first_and_those_that_come_again_are_counted() {
        let mut warnings = Warnings::default();
        for (second, text) in [(1, "a"), (2, "b"), (3, "c"), (4, "a")] {
            warnings.add(at(second), text);
        }
        assert_eq!(texts(&warnings), [("a", 2, 2), ("c", 1, 1), ("b", 1, 1)]);
        warnings.read(0..2);
        assert_eq!(
            (texts(&warnings), warnings.unread()),
            (vec![("a", 2, 0), ("c", 1, 0), ("b", 1, 1)], 1)
        );
        warnings.add(at(5), "c");
        assert_eq!(warnings.unread(), 2);
        assert_eq!(
            warnings.left(),
            ["warning: 1970-01-01T00:00:02Z b", "warning: 1970-01-01T00:00:05Z c (2 times)"]
        );
        warnings.read(0..9);
        assert_eq!((warnings.unread(), warnings.left()), (0, vec![]));
    }

    #[test]
    fn the_room_is_limited_and_what_goes_is_counted() {
        let mut warnings = Warnings::default();
        warnings.add(at(0), "first");
        warnings.add(at(0), "first");
        for number in 0..MAX_WARNINGS + 2 {
            warnings.add(at(1), &number.to_string());
        }
        warnings.add(at(2), &"\u{e4}".repeat(MAX_TEXT));
        assert_eq!((warnings.len(), warnings.beyond()), (MAX_WARNINGS, 5));
        assert_eq!(warnings.unread(), MAX_WARNINGS as u64 + 5);
        assert_eq!(warnings.left()[0], "warning: and 5 before these, for which there was no room");
        assert!(warnings.iter().all(|warning| warning.text.len() <= MAX_TEXT + 3));
        warnings.read(0..MAX_WARNINGS);
        assert_eq!(warnings.unread(), 5, "that there are more is not read yet");
        warnings.read(0..MAX_WARNINGS + 1);
        assert_eq!((warnings.unread(), warnings.beyond()), (0, 5));
    }
}
