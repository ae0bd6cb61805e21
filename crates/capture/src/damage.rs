//! What is wrong with the files that describe a capture, in words for the person who looks at it.
//!
//! None of it keeps anybody from the lines: readers go through the data files instead. Refuses to repair;
//! the next receiver that writes into the directory does.

use std::path::Path;

use crate::error::CaptureError;
use crate::index::IndexEntry;
use crate::layout::INDEX;
use crate::metadata::Metadata;
use crate::open;

/// What a reader should know about the metadata and the index of a directory with data files.
pub fn damage(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    if let Err(CaptureError::NotACapture { reason, .. }) = Metadata::read(directory) {
        found.push(format!("{reason}; what is shown is read from the data files"));
    }
    let index = open::read(&directory.join(INDEX)).unwrap_or_default();
    let lines = index.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let bad = lines.filter(|line| IndexEntry::parse(line).is_none()).count();
    if bad > 0 {
        let text =
            "lines of index.jsonl cannot be read; the files that they were about are read instead";
        found.push(format!("{bad} {text}"));
    }
    found
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_damaged_is_named_and_what_is_sound_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        assert_eq!(damage(directory.path()).len(), 1, "no metadata");
        put("metadata.json", r#"{"version":1,"format":"jsonl"}"#);
        put(INDEX, "{\"file\":\"a.jsonl\",\"lines\":1}\n\n");
        assert_eq!(damage(directory.path()), [""; 0]);
        put("metadata.json", "{");
        put(INDEX, "{\"file\":\"a.jsonl\",\"li\n\0\n");
        let found = damage(directory.path());
        assert!(found[0].starts_with("metadata.json"), "{found:?}");
        assert!(found[1].starts_with("2 lines of index.jsonl"), "{found:?}");
    }
}
