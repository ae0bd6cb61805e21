//! Values that are no secret: nothing, a mask, a place that a template fills, a mark of ours.

use super::bytes::step;

/// Whether a value stands for nothing, or is what was put in the place of another.
pub(super) fn is_nothing(value: &[u8]) -> bool {
    const WORDS: [&[u8]; 10] = [
        b"null",
        b"nil",
        b"none",
        b"undefined",
        b"true",
        b"false",
        b"<nil>",
        b"redacted",
        b"[filtered]",
        b"(null)",
    ];
    step(value.len());
    value.is_empty()
        || stands_for_another(value)
        || WORDS.iter().any(|word| word.eq_ignore_ascii_case(value))
        || (value
            .iter()
            .all(|&byte| matches!(byte, b'*' | b'x' | b'X' | b'.' | b'-' | b'<' | b'>')))
}

/// Whether a value is a mark of ours, or a place that a template fills.
pub(super) fn stands_for_another(value: &[u8]) -> bool {
    let marks: [&[u8]; 6] = [b"[REDACTED", b"${", b"{{", b"%s", b"$(", b"<%"];
    marks.iter().any(|mark| value.starts_with(mark))
}
