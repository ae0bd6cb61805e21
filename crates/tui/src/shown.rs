//! A line taken apart for the screen.

use logtap_capture::{Line, Timestamp};
use logtap_loki::detect_level;
use logtap_units::visible::last_state;

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
    /// The text, up to [`MAX_MESSAGE`] bytes; of lines that were drawn again and again the last state. What is no entry is
    /// shown as it stands.
    pub message: String,
    /// Bytes of the text beyond that.
    pub left_out: usize,
    /// Its level as a number, 0 if it has none.
    pub level: usize,
    /// Whether the bytes were not UTF-8.
    pub is_binary: bool,
    /// The line of the file; none where it is longer than [`MAX_MESSAGE`] bytes.
    pub raw: Option<String>,
}

/// What is kept of a text to be shown; the whole of it stays in the capture.
pub const MAX_MESSAGE: usize = 256 * 1024;

/// Labels that name the sender, the best first.
const SENDERS: [&str; 8] =
    ["app", "service_name", "service", "container", "job", "pod", "source", "host"];

impl ShownLine {
    /// Takes a line of a segment apart.
    pub(crate) fn of(line: &[u8]) -> Self {
        let raw = (line.len() <= MAX_MESSAGE).then(|| String::from_utf8_lossy(line).into_owned());
        let own = |pairs: &[(std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)]| {
            pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
        };
        match Line::parse(line) {
            Some(parsed) => {
                let level = level_of_labels(&parsed.labels)
                    .or_else(|| level_of_labels(&parsed.metadata))
                    .or_else(|| detect_level(parsed.message.as_bytes()).map(|l| l as usize));
                let (message, left_out) = front(&parsed.message);
                Self {
                    time: (parsed.timestamp.0 != i64::MIN).then_some(parsed.timestamp),
                    labels: own(&parsed.labels),
                    metadata: own(&parsed.metadata),
                    level: level.unwrap_or(0),
                    is_binary: parsed.raw.is_some(),
                    message,
                    left_out,
                    raw,
                }
            }
            None => {
                let (message, left_out) = front(&String::from_utf8_lossy(line));
                Self {
                    level: detect_level(line).map_or(0, |level| level as usize),
                    message,
                    left_out,
                    raw,
                    ..Self::default()
                }
            }
        }
    }

    /// Who sent it, in one word.
    pub(crate) fn sender(&self) -> Option<&str> {
        let named = SENDERS.iter().find_map(|name| self.labels.iter().find(|(n, _)| n == name));
        named.or_else(|| self.labels.first()).map(|(_, value)| value.as_str())
    }
}

/// The part of a text that is kept, and how many bytes are not.
fn front(text: &str) -> (String, usize) {
    let text = &*last_state(text);
    let (front, rest) = text.split_at(text.floor_char_boundary(MAX_MESSAGE));
    (front.to_owned(), rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_drawn_again_and_again_is_its_last_state() {
        let states: String = (0..MAX_MESSAGE / 4).map(|number| format!("{number}%\\r")).collect();
        let entry = format!(r#"{{"ts":"2024-01-15T10:19:59Z","msg":"{states}done\r"}}"#);
        let line = ShownLine::of(entry.as_bytes());
        assert_eq!((line.message.as_str(), line.left_out), ("done", 0));
        assert_eq!(ShownLine::of(b"windows\r").message, "windows");
    }

    #[test]
    fn of_long_lines_the_front_is_kept_and_the_rest_is_counted() {
        let long = "\u{e4}".repeat(MAX_MESSAGE);
        let entry = format!(r#"{{"ts":"2024-01-15T10:19:59Z","msg":"x{long}"}}"#);
        let line = ShownLine::of(entry.as_bytes());
        assert_eq!((line.message.len(), line.left_out), (MAX_MESSAGE - 1, MAX_MESSAGE + 2));
        assert_eq!(line.raw, None);
        let line = ShownLine::of(long.as_bytes());
        assert_eq!((line.message.len(), line.left_out), (MAX_MESSAGE, MAX_MESSAGE));
        assert_eq!(ShownLine::of(b"short").raw.as_deref(), Some("short"));
    }
}
