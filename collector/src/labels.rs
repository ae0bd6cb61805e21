//! The labels of streams: few values, all known before a line is read. What differs from process to
//! process is structured metadata, not a label.

use logtap_loki::Labels;
use logtap_wire::ring::StreamKind;

/// The source of lines that come as raw bytes.
pub(crate) const RAW_SOURCE: &str = "socket";
/// Names that the collector sets itself.
pub const RESERVED_LABELS: [&str; 3] = ["file", "source", "stream"];

/// The labels that all streams of a collector share.
#[derive(Clone, Debug, Default)]
pub(crate) struct LabelRules {
    shared: Labels,
}

impl LabelRules {
    /// Takes the shared labels; where a name comes twice the later one counts.
    pub(crate) fn new(shared: &[(String, String)]) -> Self {
        let mut labels = Labels::new();
        for (name, value) in shared {
            set(&mut labels, name, value);
        }
        Self { shared: labels }
    }

    /// The labels of one stream: `more` counts over the shared ones, and ours over both.
    pub(crate) fn of(
        &self,
        kind: StreamKind,
        path: &[u8],
        source: &str,
        more: &[(String, String)],
    ) -> Labels {
        let mut labels = self.shared.clone();
        for (name, value) in more {
            set(&mut labels, name, value);
        }
        set(&mut labels, "source", source);
        // Raw bytes do not say: who opened the connection has given the label if it is known.
        if source != RAW_SOURCE {
            set(&mut labels, "stream", stream_name(kind));
        }
        if kind == StreamKind::File {
            set(&mut labels, "file", &String::from_utf8_lossy(path));
        }
        labels
    }
}

/// Whether this can be a label's name.
pub fn is_label_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let Some(first) = bytes.first() else { return false };
    (first.is_ascii_alphabetic() || *first == b'_')
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// The value of the label `stream`.
pub(crate) fn stream_name(kind: StreamKind) -> &'static str {
    match kind {
        StreamKind::Stdout => "stdout",
        StreamKind::Stderr => "stderr",
        StreamKind::File => "file",
    }
}

fn set(labels: &mut Labels, name: &str, value: &str) {
    match labels.binary_search_by(|(known, _)| known.as_str().cmp(name)) {
        Ok(at) => value.clone_into(&mut labels[at].1),
        Err(at) => labels.insert(at, (name.to_owned(), value.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn labels_are_sorted_and_ours_win() {
        let rules = LabelRules::new(&pairs(&[("zone", "a"), ("app", "x"), ("app", "y")]));
        let more = pairs(&[("app", "z"), ("stream", "mine")]);
        assert_eq!(
            rules.of(StreamKind::File, b"/var/log/a", "tail", &more),
            pairs(&[
                ("app", "z"),
                ("file", "/var/log/a"),
                ("source", "tail"),
                ("stream", "file"),
                ("zone", "a")
            ])
        );
        assert_eq!(
            rules.of(StreamKind::Stderr, b"", "preload", &[]),
            pairs(&[("app", "y"), ("source", "preload"), ("stream", "stderr"), ("zone", "a")])
        );
    }

    #[test]
    fn names_are_checked() {
        assert!(is_label_name("app_1") && is_label_name("_x"));
        assert!(!is_label_name("") && !is_label_name("1a") && !is_label_name("a-b"));
    }
}
