//! Text as the inside of a JSON string.

use memchr::memchr;

/// Whether JSON wants the byte escaped in a string.
#[inline]
fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Appends text as the inside of a JSON string.
pub fn push_escaped(out: &mut Vec<u8>, text: &str) {
    // Thirty-two bytes at a time in a form that the compiler turns into vector instructions.
    const STEP: usize = 32;
    let bytes = text.as_bytes();
    let mut written = 0;
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        if let Some(block) = rest.first_chunk::<STEP>()
            && !block.iter().fold(false, |found, &byte| found | is_special(byte))
        {
            at += STEP;
            continue;
        }
        let block = rest.get(..STEP).unwrap_or(rest);
        for (offset, &byte) in block.iter().enumerate() {
            if is_special(byte) {
                out.extend_from_slice(bytes.get(written..at + offset).unwrap_or_default());
                push_escape(out, byte);
                written = at + offset + 1;
            }
        }
        at += block.len();
    }
    out.extend_from_slice(bytes.get(written..).unwrap_or_default());
}

#[cold]
fn push_escape(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' => b'"',
        b'\\' => b'\\',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            let high = HEX[usize::from(byte >> 4)];
            let low = HEX[usize::from(byte & 15)];
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Appends what the inside of a JSON string stands for; `None` if an escape in it is broken.
///
/// Bytes that are not UTF-8 stay as they are. Half of a surrogate pair is broken, as for Loki.
pub fn push_unescaped(out: &mut Vec<u8>, mut text: &[u8]) -> Option<()> {
    while let Some(place) = memchr(b'\\', text) {
        let (plain, rest) = text.split_at_checked(place)?;
        out.extend_from_slice(plain);
        let (kind, after) = rest.get(1..)?.split_first()?;
        text = after;
        let byte = match kind {
            b'"' | b'\\' | b'/' => *kind,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let (code, after) = unicode(text)?;
                out.extend_from_slice(code.encode_utf8(&mut [0; 4]).as_bytes());
                text = after;
                continue;
            }
            _ => return None,
        };
        out.push(byte);
    }
    out.extend_from_slice(text);
    Some(())
}

/// The character of a `\u` escape, or of two that make a pair, and what comes after.
fn unicode(text: &[u8]) -> Option<(char, &[u8])> {
    let unit = |text: &[u8]| {
        text.get(..4)?
            .iter()
            .try_fold(0_u32, |value, &byte| Some(value << 4 | char::from(byte).to_digit(16)?))
    };
    let first = unit(text)?;
    let rest = text.get(4..)?;
    if (0xd800..0xdc00).contains(&first) {
        let second = unit(rest.strip_prefix(b"\\u")?)?;
        let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
        let code = 0x1_0000 + ((first - 0xd800) << 10) + low;
        return Some((char::from_u32(code)?, rest.get(6..)?));
    }
    Some((char::from_u32(first)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn escaped_text_is_json_and_is_read_back(text: String, filler in 0_usize..70) {
            let text = format!("{}{text}", "x".repeat(filler));
            let mut out = vec![b'"'];
            push_escaped(&mut out, &text);
            out.push(b'"');
            let back: String = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(&back, &text);
            let mut plain = Vec::new();
            push_unescaped(&mut plain, &out[1..out.len() - 1]).unwrap();
            prop_assert_eq!(plain, text.into_bytes());
        }
    }

    #[test]
    fn all_escapes_are_read_and_broken_ones_refused() {
        let read = |text: &str| {
            let mut out = Vec::new();
            push_unescaped(&mut out, text.as_bytes()).map(|()| String::from_utf8(out).unwrap())
        };
        assert_eq!(read(r#"\" \\ \/ \b\f\n\r\t"#).unwrap(), "\" \\ / \u{8}\u{c}\n\r\t");
        assert_eq!(read(r"\u00e4 \ud83d\ude00").unwrap(), "\u{e4} \u{1f600}");
        for text in [r"\", r"\q", r"\u12", r"\ud800", r"\ud800x", r"\ud800\u0041", r"\udc00"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
