//! Which entries are wanted, by time and label, and which segments cannot have any of them.

use crate::decode::{BorrowedPairs, Line};
use crate::index::IndexEntry;
use crate::label_matcher::{LabelMatcher, all_hold, may_hold};
use crate::timestamp::Timestamp;

/// Conditions that all have to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Not before this.
    pub from: Option<Timestamp>,
    /// Not after this.
    pub to: Option<Timestamp>,
    /// What labels have to be; a label that is not there has the empty value.
    pub labels: Vec<LabelMatcher>,
}

impl Filter {
    /// Whether a time is wanted.
    pub fn takes_time(&self, time: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= time) && self.to.is_none_or(|to| time <= to)
    }

    /// Whether labels are wanted.
    pub fn takes_labels(&self, labels: &BorrowedPairs<'_>) -> bool {
        all_hold(&self.labels, |name| {
            let value = labels.iter().find(|(known, _)| known == name).map(|(_, value)| value);
            value.map_or("", |value| value.as_ref())
        })
    }

    /// Whether an entry is wanted.
    pub fn takes(&self, line: &Line<'_>) -> bool {
        self.takes_time(line.timestamp) && self.takes_labels(&line.labels)
    }

    /// Whether a line that is no entry is wanted: it has no labels, and its time is not known.
    pub fn takes_unparsed(&self) -> bool {
        self.from.is_none() && self.to.is_none() && self.takes_labels(&Vec::new())
    }

    /// Whether every entry is wanted.
    pub fn takes_all(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a segment may have wanted entries, as far as its index line tells.
    pub fn may_be_in(&self, segment: &IndexEntry) -> bool {
        let in_time = self.from.is_none_or(|from| from <= segment.to)
            && self.to.is_none_or(|to| segment.from <= to);
        in_time
            // Lines without the label are not counted, and neither are labels of many values.
            && may_hold(&self.labels, |name| segment.labels.get(name).map(|values| values.keys()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment() -> IndexEntry {
        let text = r#"{"file":"a.jsonl","from":"2024-01-15T10:00:00Z","to":"2024-01-15T11:00:00Z",
            "labels":{"app":{"web":1}}}"#;
        serde_json::from_str(text).unwrap()
    }

    fn time(text: &str) -> Option<Timestamp> {
        Some(Timestamp::parse(text).unwrap())
    }

    #[test]
    fn a_line_that_is_no_entry_has_neither_time_nor_labels() {
        let label = |value: &str| vec![LabelMatcher::equal("app", value)];
        assert!(Filter::default().takes_unparsed());
        assert!(Filter { labels: label(""), ..Filter::default() }.takes_unparsed());
        assert!(!Filter { labels: label("web"), ..Filter::default() }.takes_unparsed());
        let ten = time("2024-01-15T10:00:00Z");
        assert!(!Filter { from: ten, ..Filter::default() }.takes_unparsed());
        assert!(!Filter { to: ten, ..Filter::default() }.takes_unparsed());
    }

    #[test]
    fn bounds_of_time_are_inclusive() {
        let ten = "2024-01-15T10:00:00Z";
        let filter = Filter { from: time(ten), to: time(ten), labels: vec![] };
        assert!(filter.takes_time(time(ten).unwrap()));
        assert!(!filter.takes_time(time("2024-01-15T10:00:00.000000001Z").unwrap()));
        assert!(!filter.takes_time(time("2024-01-15T09:59:59.999999999Z").unwrap()));
        assert!(filter.may_be_in(&segment()));
        let later = Filter { from: time("2024-01-15T11:00:01Z"), ..Filter::default() };
        assert!(!later.may_be_in(&segment()));
    }

    #[test]
    fn a_segment_is_left_out_only_if_the_index_is_sure() {
        let label = |name: &str, value: &str| Filter {
            labels: vec![LabelMatcher::equal(name, value)],
            ..Filter::default()
        };
        assert!(label("app", "web").may_be_in(&segment()));
        assert!(!label("app", "db").may_be_in(&segment()));
        assert!(label("app", "").may_be_in(&segment()));
        assert!(label("pod", "web-0").may_be_in(&segment()));
        let asked = |texts: &[&str]| Filter {
            labels: texts.iter().map(|text| LabelMatcher::parse(text).unwrap()).collect(),
            ..Filter::default()
        };
        for (texts, may_be) in [
            (&["app=db", "app=web"][..], true),
            (&["app=~w.*"], true),
            (&["app=~d.*", "app=x"], false),
            (&["app!=web"], true),
            (&["app!~w.*"], true),
            (&["app=web", "app!=web"], true),
        ] {
            assert_eq!(asked(texts).may_be_in(&segment()), may_be, "{texts:?}");
        }
    }

    #[test]
    fn a_missing_label_is_an_empty_one() {
        let line = Line::parse(br#"{"msg":"m","labels":{"app":"web"}}"#).unwrap();
        let takes = |name: &str, value: &str| {
            let labels = vec![LabelMatcher::equal(name, value)];
            Filter { labels, ..Filter::default() }.takes(&line)
        };
        assert!(takes("app", "web") && takes("pod", ""));
        assert!(!takes("app", "") && !takes("pod", "x"));
    }
}
