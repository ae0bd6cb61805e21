//! Private keys in their text form, which take several lines: in one message, or one message each.
//!
//! ```text
//! -----BEGIN RSA PRIVATE KEY-----
//! MIIEpAIBAAKCAQEA...
//! -----END RSA PRIVATE KEY-----
//! ```

use memchr::memmem;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
/// How long the kind of a key may be, before the five hyphens.
const KIND: usize = 48;
/// A line of a key is no longer than this.
const LONGEST_LINE: usize = 200;

/// The end of the key whose first line begins at a place: behind its last line, or the end of the text.
pub(super) fn end_of_block(text: &[u8], start: usize) -> Option<usize> {
    let from = start + BEGIN.len();
    let kind = text.get(from..(from + KIND).min(text.len()))?;
    let kind = kind.get(..memmem::find(kind, b"-----")?)?;
    memmem::find(kind, b"PRIVATE KEY")?;
    let rest = text.get(from..)?;
    let Some(end) = memmem::find(rest, END) else { return Some(text.len()) };
    let after = rest.get(end + END.len()..)?;
    let close = memmem::find(after.get(..KIND.min(after.len()))?, b"-----");
    Some(close.map_or(text.len(), |close| from + end + END.len() + close + 5))
}

/// Whether a line ends within a private key that it has begun.
pub(super) fn leaves_open(line: &[u8]) -> bool {
    let Some(start) = memmem::rfind(line, BEGIN) else { return false };
    let rest = line.get(start..).unwrap_or_default();
    end_of_block(line, start).is_some() && memmem::find(rest, END).is_none()
}

/// What a line is to a private key that was begun before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Continuation {
    /// A part of it.
    Part,
    /// Its last line.
    Last,
    /// Something else: the key was not finished.
    Other,
}

/// Looks at the line behind one of a private key.
pub(super) fn continuation(line: &[u8]) -> Continuation {
    let line = line.trim_ascii();
    if memmem::find(line, END).is_some() {
        return Continuation::Last;
    }
    let header = line.starts_with(b"Proc-Type:") || line.starts_with(b"DEK-Info:");
    let text = line.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
    if line.len() <= LONGEST_LINE && (header || text) {
        Continuation::Part
    } else {
        Continuation::Other
    }
}
