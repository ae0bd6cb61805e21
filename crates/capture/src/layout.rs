//! Which file of a capture directory is what, and what the next segment is called.
//!
//! ```text
//! metadata.json                  about the capture as a whole
//! index.jsonl                    one line for each closed segment
//! audit.jsonl, audit-mNNN.jsonl  who did what; never data
//! 2026-11-21T001108-000.jsonl      a segment: raw, being written or waiting to be compressed
//! 2026-11-21T001108-000.jsonl.zst  a segment: finished
//! *.jsonl, *.jsonl.zst           any other name: a segment that somebody else made
//! .lock, *.partial               ours, never read
//! metadata.json.damaged-N        could not be read, and was set aside
//! ```
//! The byte order of the names is the order of the data.

use crate::timestamp::{Clockface, Timestamp};

/// Name of the file about the capture as a whole.
pub const METADATA: &str = "metadata.json";
/// Name of the file with one line for each closed segment.
pub const INDEX: &str = "index.jsonl";
/// Name of the file that a writer holds locked.
pub const LOCK: &str = ".lock";
/// What a file's name ends with until it is complete.
pub const PARTIAL: &str = ".partial";

/// What the name of metadata ends with that could not be read, before a number.
pub const DAMAGED: &str = ".damaged-";

const RAW: &str = ".jsonl";
const FINISHED: &str = ".jsonl.zst";
const STEM_LENGTH: usize = "2026-11-21T001108-000".len();
const HIGHEST_SEQUENCE: u16 = 999;
/// So many names are tried for one that is free.
const MOST_TRIED: usize = 10_000;

/// A data file's name, taken apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentName {
    /// The name without its ending; two files of one stem hold the same lines.
    pub stem: String,
    /// Whether it is compressed.
    pub finished: bool,
}

impl SegmentName {
    /// The data file of this name; `None` for any other file and for a name with a path in it.
    pub fn parse(file: &str) -> Option<Self> {
        let (stem, finished) = match file.strip_suffix(FINISHED) {
            Some(stem) => (stem, true),
            None => (file.strip_suffix(RAW)?, false),
        };
        let plain = is_plain(file) && !stem.is_empty() && !stem.starts_with('.');
        let other = file == INDEX || is_audit(stem);
        (plain && !other).then(|| Self { stem: stem.to_owned(), finished })
    }

    /// The file's name.
    pub fn file(&self) -> String {
        if self.finished { finished_file(&self.stem) } else { raw_file(&self.stem) }
    }
}

/// Whether a name that came from outside is the name of a file in this directory.
pub fn is_plain(file: &str) -> bool {
    !file.is_empty() && file != "." && file != ".." && !file.contains(['/', '\\', '\0'])
}

/// Name of a stem's raw file.
pub fn raw_file(stem: &str) -> String {
    format!("{stem}{RAW}")
}

/// Name of a stem's finished file.
pub fn finished_file(stem: &str) -> String {
    format!("{stem}{FINISHED}")
}

/// Whether a stem has the form that our writer gives it.
pub fn is_dated(stem: &str) -> bool {
    let pattern = b"dddd-dd-ddTdddddd-ddd";
    stem.len() == STEM_LENGTH
        && stem.bytes().zip(pattern).all(|(byte, &form)| match form {
            b'd' => byte.is_ascii_digit(),
            mark => byte == mark,
        })
}

/// The stem of a segment opened `now`: after every dated stem there was, and one that nothing has.
///
/// Several within a second are numbered, and a clock that went back does not put new lines before old ones. Where
/// nothing can come after the latest one, because its time is the last of all, the clock's own is taken. `None` where
/// thousands of names are taken already.
pub fn next_stem(
    now: Timestamp,
    latest: Option<&str>,
    is_taken: impl Fn(&str) -> bool,
) -> Option<String> {
    let latest = latest.filter(|stem| is_dated(stem));
    let after = latest.and_then(stem_after);
    let fresh = format!("{}-000", stamp(now));
    let first = match (latest, after) {
        (Some(latest), Some(after)) if fresh.as_str() <= latest => after,
        _ => fresh.clone(),
    };
    [first, fresh].into_iter().find_map(|first| {
        std::iter::successors(Some(first), |stem| stem_after(stem))
            .take(MOST_TRIED)
            .find(|stem| !is_taken(stem))
    })
}

/// The stem behind another, if there is one.
fn stem_after(stem: &str) -> Option<String> {
    let (stamp, sequence) = stem.rsplit_once('-')?;
    let next = match sequence.parse::<u16>() {
        Ok(number) if number < HIGHEST_SEQUENCE => format!("{stamp}-{:03}", number + 1),
        _ => format!("{}-000", second_after(stamp)?),
    };
    (is_dated(&next) && next.as_str() > stem).then_some(next)
}

fn is_audit(stem: &str) -> bool {
    let merged = |rest: &str| rest.len() > 1 && rest.bytes().skip(1).all(|b| b.is_ascii_digit());
    stem == "audit" || stem.strip_prefix("audit-").is_some_and(|r| r.starts_with('m') && merged(r))
}

fn stamp(time: Timestamp) -> String {
    let mut text = Vec::with_capacity(32);
    Clockface::new().render(time.0, &mut text);
    text.truncate("2026-11-21T00:11:08".len());
    String::from_utf8_lossy(&text).replace(':', "")
}

fn second_after(stamp: &str) -> Option<String> {
    let (hour, minute, second) = (stamp.get(..13)?, stamp.get(13..15)?, stamp.get(15..17)?);
    let time = Timestamp::parse(&format!("{hour}:{minute}:{second}Z"))?;
    Some(self::stamp(Timestamp(time.0.checked_add(1_000_000_000)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_data_from_everything_else() {
        for file in ["a.jsonl", "2026-11-21T001108-000.jsonl.zst", "export-000.jsonl"] {
            assert_eq!(SegmentName::parse(file).unwrap().file(), file);
        }
        for file in [
            "index.jsonl",
            "audit.jsonl",
            "audit-m001.jsonl",
            "metadata.json",
            ".lock",
            ".jsonl",
            "../x.jsonl",
            "a/b.jsonl",
            "x.jsonl.zst.partial",
            "x.json",
        ] {
            assert_eq!(SegmentName::parse(file), None, "{file}");
        }
        assert!(SegmentName::parse("audit-trail.jsonl").is_some());
    }

    #[test]
    fn every_new_name_comes_after_the_last() {
        let now = Timestamp::parse("2026-11-21T00:11:08.9Z").unwrap();
        let next = |latest: Option<&str>| next_stem(now, latest, |_| false).unwrap();
        assert_eq!(next(None), "2026-11-21T001108-000");
        assert_eq!(next(Some("export-000")), "2026-11-21T001108-000");
        let cases = [
            ("2026-11-21T001107-005", "2026-11-21T001108-000"),
            ("2026-11-21T001108-000", "2026-11-21T001108-001"),
            ("2026-11-21T001108-999", "2026-11-21T001109-000"),
            ("2026-12-31T235959-999", "2027-01-01T000000-000"),
            ("2030-01-01T000000-041", "2030-01-01T000000-042"),
            ("9999-12-31T235959-998", "9999-12-31T235959-999"),
        ];
        for (latest, expected) in cases {
            assert_eq!(next(Some(latest)), expected);
            assert!(latest < expected);
        }
    }

    #[test]
    fn a_name_that_is_taken_is_never_taken_again() {
        let now = Timestamp::parse("2026-11-21T00:11:08.9Z").unwrap();
        // Nothing comes behind these.
        for latest in ["9999-12-31T235959-999", "2262-04-11T234716-999", "9999-99-99T999999-999"] {
            let mut taken = std::collections::HashSet::from([latest.to_owned()]);
            for number in 0..1200 {
                let next = next_stem(now, Some(latest), |stem| taken.contains(stem));
                let next = next.unwrap_or_else(|| panic!("{number}: no name"));
                assert!(is_dated(&next) && taken.insert(next.clone()), "{next}");
            }
        }
        assert_eq!(next_stem(now, None, |_| true), None);
    }
}
