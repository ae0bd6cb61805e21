//! Private keys in their text form, which take several lines: in one message, or one message each.
//!
//! ```text
//! 10:19:59 app | -----BEGIN RSA PRIVATE KEY-----
//! 10:19:59 app | MIIEpAIBAAKCAQEA...
//! 10:20:00 app | GET /health 200                     something else, and the key goes on
//! 10:20:00 app | -----END RSA PRIVATE KEY-----
//! ```
//! What stands before and behind a part of a key stays. Keys of PuTTY and SSH2 are taken too. What goes on
//! without another part for [`MAX_OTHERS`] lines is no key any more.

use std::ops::Range;

use super::bytes::{at, before, find, rfind, run_end, run_start};

/// How a form of keys begins and ends.
struct Form {
    begin: &'static [u8],
    end: &'static [u8],
    /// What closes the first and the last line, if they say of which kind the key is.
    close: &'static [u8],
}

const FORMS: [Form; 3] = [
    Form { begin: b"-----BEGIN ", end: b"-----END ", close: b"-----" },
    Form { begin: b"---- BEGIN ", end: b"---- END ", close: b" ----" },
    // PuTTY's own.
    Form { begin: b"Private-Lines:", end: b"Private-MAC:", close: b"" },
];
/// How long the kind of a key may be, before the hyphens that close the line.
const KIND: usize = 48;
/// A line of a key is no longer than this.
const LONGEST_LINE: usize = 200;
/// A run of letters and digits of this length is a part of a key wherever it stands in a line.
const SURE_PART: usize = 40;
/// A shorter one counts behind another line only from this length.
const SHORT_PART: usize = 8;
/// So many lines of others may stand between two of a key.
pub(super) const MAX_OTHERS: u8 = 32;

/// The end of the key whose first line begins at a place: behind its last line, or the end of the text
/// (before a quote, where the text is quoted).
pub(super) fn end_of_block(text: &[u8], start: usize) -> Option<usize> {
    Some(block(text, start)?.end)
}

struct Block {
    /// Behind the first line.
    first_line: usize,
    end: usize,
    is_open: bool,
}

fn block(text: &[u8], start: usize) -> Option<Block> {
    let form = FORMS.iter().find(|form| super::bytes::is_at(text, start, form.begin))?;
    let from = start + form.begin.len();
    let first_line = if form.close.is_empty() {
        run_end(text, from, |byte| byte == b' ' || byte.is_ascii_digit())
    } else {
        let kind = text.get(from..(from + KIND).min(text.len()))?;
        let kind = kind.get(..find(kind, form.close)?)?;
        find(kind, b"PRIVATE KEY")?;
        from + kind.len() + form.close.len()
    };
    let rest = text.get(first_line..)?;
    let Some(end) = find(rest, form.end) else {
        let end = match find(rest, b"\"") {
            // Nothing but the line's escaped end.
            Some(quote) if quote <= b"\\r\\n".len() => first_line,
            Some(quote) => first_line + quote,
            None => text.len(),
        };
        return Some(Block { first_line, end, is_open: true });
    };
    Some(Block { first_line, end: end_of_last_line(text, first_line + end, form), is_open: false })
}

/// Behind the line that ends a key, whose mark stands at a place.
fn end_of_last_line(text: &[u8], mark: usize, form: &Form) -> usize {
    let from = mark + form.end.len();
    if form.close.is_empty() {
        return run_end(text, from, |byte| byte == b' ' || byte.is_ascii_hexdigit());
    }
    let after = text.get(from..(from + KIND).min(text.len())).unwrap_or_default();
    find(after, form.close).map_or(text.len(), |close| from + close + form.close.len())
}

/// A private key whose last line has not come yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OpenKey {
    /// Where its first line stood in the message, and which byte came behind it: 0 is the end.
    column: u32,
    next: u8,
    /// Lines of others since its last part.
    others: u8,
}

/// What a line holds of a key that was begun before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) place: Range<usize>,
    /// Whether the key ends with it.
    pub(super) is_last: bool,
}

impl OpenKey {
    /// The key that a line begins and does not end.
    pub(super) fn begun_in(line: &[u8]) -> Option<Self> {
        let starts = FORMS.iter().filter_map(|form| rfind(line, form.begin));
        let start = starts.max()?;
        let block = block(line, start)?;
        block.is_open.then(|| Self {
            column: u32::try_from(start).unwrap_or(u32::MAX),
            next: at(line, block.first_line),
            others: 0,
        })
    }

    /// Looks at the next line of the stream. `None`: it is another's.
    pub(super) fn part(&mut self, line: &[u8]) -> Option<Part> {
        let part = self.find_part(line);
        self.others = if part.is_some() { 0 } else { self.others.saturating_add(1) };
        part
    }

    /// Whether no part came for so long that none will.
    pub(super) fn is_given_up(&self) -> bool {
        self.others > MAX_OTHERS
    }

    fn find_part(&self, line: &[u8]) -> Option<Part> {
        for form in &FORMS {
            if let Some(mark) = find(line, form.end) {
                let end = end_of_last_line(line, mark, form);
                // What is left of the key may stand in the same message.
                let head = line.get(..mark).unwrap_or_default();
                let start = longest_run(head)
                    .filter(|run| run.len() >= SHORT_PART && is_mixed(head, run))
                    .map_or(mark, |run| run.start);
                return Some(Part { place: start..end, is_last: true });
            }
        }
        let part = |place| Some(Part { place, is_last: false });
        for header in [&b"Proc-Type:"[..], b"DEK-Info:"] {
            if let Some(start) = find(line, header) {
                let rest = line.get(start..).unwrap_or_default();
                let end = find(rest, b"\"").map_or(line.len(), |quote| start + quote);
                return part(start..end);
            }
        }
        let text = line.trim_ascii();
        let is_key = |text: &[u8]| {
            let end = text.iter().rposition(|&byte| byte != b'=').map_or(0, |last| last + 1);
            text.iter().take(end).all(|&byte| is_base64(byte) && byte != b'=')
        };
        if self.others == 0 && text.len() <= LONGEST_LINE && is_key(text) {
            return part(0..line.len());
        }
        let long = longest_run(line).filter(|run| run.len() >= SURE_PART && is_mixed(line, run));
        if long.is_some() {
            return long.and_then(part);
        }
        // The last line of a key is short: where its first one stood, or at the end of the line.
        let column = self.column as usize;
        let end = run_end(line, column, is_base64);
        if column > 0
            && end > column
            && at(line, end) == self.next
            && !is_base64(before(line, column))
            && (is_short_part(line, &(column..end))
                || self.others == 0 && !is_word(line, column..end))
        {
            return part(column..end);
        }
        let end = line.len() - line.iter().rev().take_while(|b| b.is_ascii_whitespace()).count();
        let last = run_start(line, end, end.saturating_sub(LONGEST_LINE), is_base64)..end;
        if is_short_part(line, &last) { part(last) } else { None }
    }
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)
}

/// `ready` or `Ready`: what another program says behind the same prefix.
fn is_word(line: &[u8], run: Range<usize>) -> bool {
    let text = line.get(run).unwrap_or_default();
    text.first().is_some_and(u8::is_ascii_alphabetic)
        && text.iter().skip(1).all(u8::is_ascii_lowercase)
}

fn is_short_part(line: &[u8], run: &Range<usize>) -> bool {
    run.len() >= SHORT_PART && is_mixed(line, run)
}

/// Small and capital letters and digits, as a key has them and words and hashes do not.
fn is_mixed(line: &[u8], run: &Range<usize>) -> bool {
    let text = line.get(run.clone()).unwrap_or_default();
    super::bytes::step(text.len());
    let has = |is: fn(&u8) -> bool| text.iter().any(is);
    has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_digit)
}

fn longest_run(line: &[u8]) -> Option<Range<usize>> {
    let mut longest: Option<Range<usize>> = None;
    let mut place = 0;
    while place < line.len() {
        let end = run_end(line, place, is_base64);
        if end - place > longest.as_ref().map_or(0, Range::len) {
            longest = Some(place..end);
        }
        place = end + 1;
    }
    longest
}
