//! A line taken apart for the screen.

use logtap_capture::{Line, Timestamp};
use logtap_loki::detect_level;

use crate::judge::level_of_labels;

/// A line as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShownLine {
    /// When; none where the line has no time.
    pub time: Option<Timestamp>,
    /// Labels in the order of the line.
    pub labels: Vec<(String, String)>,
    /// Structured metadata.
    pub metadata: Vec<(String, String)>,
    /// The text. What is no entry is shown as it stands.
    pub message: String,
    /// Its level as a number, 0 if it has none.
    pub level: usize,
    /// Whether the bytes were not UTF-8.
    pub is_binary: bool,
    /// The line of the file.
    pub raw: String,
}

/// Labels that name the sender, the best first.
const SENDERS: [&str; 8] =
    ["app", "service_name", "service", "container", "job", "pod", "source", "host"];

impl ShownLine {
    /// Takes a line of a segment apart.
    pub(crate) fn of(line: &[u8]) -> Self {
        let raw = String::from_utf8_lossy(line).into_owned();
        let own = |pairs: &[(std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)]| {
            pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
        };
        match Line::parse(line) {
            Some(parsed) => {
                let level = level_of_labels(&parsed.labels)
                    .or_else(|| level_of_labels(&parsed.metadata))
                    .or_else(|| detect_level(parsed.message.as_bytes()).map(|l| l as usize));
                Self {
                    time: (parsed.timestamp.0 != i64::MIN).then_some(parsed.timestamp),
                    labels: own(&parsed.labels),
                    metadata: own(&parsed.metadata),
                    level: level.unwrap_or(0),
                    is_binary: parsed.raw.is_some(),
                    message: parsed.message.into_owned(),
                    raw,
                }
            }
            None => Self {
                level: detect_level(line).map_or(0, |level| level as usize),
                message: raw.clone(),
                raw,
                ..Self::default()
            },
        }
    }

    /// Who sent it, in one word.
    pub(crate) fn sender(&self) -> Option<&str> {
        let named = SENDERS.iter().find_map(|name| self.labels.iter().find(|(n, _)| n == name));
        named.or_else(|| self.labels.first()).map(|(_, value)| value.as_str())
    }
}
