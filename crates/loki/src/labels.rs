//! Label sets as Prometheus writes them: `{app="web", pod="web-0"}`.
//!
//! Reads what Loki reads: any blanks, quoted names, a metric name in front or inside, all escapes of
//! Go, a comma at the end. Labels with an empty value are dropped, a repeated name is an error.

use crate::batch::Labels;

/// The label that a metric name becomes.
const METRIC_NAME: &str = "__name__";

/// Text that is no label set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at byte {position}")]
pub struct LabelError {
    /// Where.
    pub position: usize,
    /// What is wrong.
    pub reason: &'static str,
}

impl LabelError {
    /// The text with which Loki refuses labels.
    pub(crate) fn as_loki_says(&self, labels: &[u8]) -> String {
        if self.reason == REPEATED {
            let labels = String::from_utf8_lossy(labels);
            return format!("stream '{labels}' has duplicate label name");
        }
        let column = self.position + 1;
        format!("couldn't parse labels: 1:{column}: parse error: {}", self.reason)
    }
}

const REPEATED: &str = "repeated label name";

/// Reads a label set.
pub fn parse_labels(text: &str) -> Result<Labels, LabelError> {
    let mut parser = Parser { text: text.as_bytes(), at: 0 };
    let labels = parser.label_set()?;
    let mut labels = labels;
    labels.sort_by(|a, b| (&a.0, a.2).cmp(&(&b.0, b.2)));
    let repeated =
        labels.windows(2).filter(|pair| matches!(pair, [a, b] if a.0 == b.0)).map(|pair| pair[1].2);
    if let Some(position) = repeated.min() {
        return Err(LabelError { position, reason: REPEATED });
    }
    let mut sorted: Labels = labels.into_iter().map(|(name, value, _)| (name, value)).collect();
    sorted.retain(|(_, value)| !value.is_empty());
    Ok(sorted)
}

/// Appends a label set as text.
pub fn print_labels(labels: &Labels, out: &mut String) {
    print_pairs(labels.iter().map(|(name, value)| (name.as_str(), value.as_str())), out);
}

/// Appends names and values as the text of a label set.
pub fn print_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>, out: &mut String) {
    out.push('{');
    for (index, (name, value)) in pairs.into_iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        if is_plain_name(name) {
            out.push_str(name);
        } else {
            print_quoted(name, out);
        }
        out.push('=');
        print_quoted(value, out);
    }
    out.push('}');
}

pub(crate) fn is_plain_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first == b'_' || first.is_ascii_alphabetic())
        && bytes.all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
}

fn print_quoted(text: &str, out: &mut String) {
    const HEX: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\0'..' ' | '\u{7f}' => {
                let code = character as usize;
                out.push_str("\\x");
                out.push(HEX[code >> 4]);
                out.push(HEX[code & 15]);
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn label_set(&mut self) -> Result<Vec<(String, String, usize)>, LabelError> {
        let mut labels = Vec::new();
        self.skip_blanks();
        if let Some(metric) = self.word(b":") {
            labels.push((METRIC_NAME.to_owned(), metric, self.at));
            self.skip_blanks();
            if self.peek().is_none() {
                return Ok(labels);
            }
        }
        self.take(b'{', "expected `{`")?;
        loop {
            self.skip_blanks();
            if self.peek() == Some(b'}') {
                break;
            }
            let position = self.at;
            let (name, quoted) = match self.word(b"") {
                Some(name) => (name, false),
                None => (self.quoted("expected a label name")?, true),
            };
            self.skip_blanks();
            if quoted && matches!(self.peek(), Some(b',' | b'}')) {
                labels.push((METRIC_NAME.to_owned(), name, position));
            } else {
                self.take(b'=', "expected `=`")?;
                self.skip_blanks();
                let value = self.quoted("expected a quoted value")?;
                labels.push((name, value, position));
                self.skip_blanks();
            }
            if self.peek() == Some(b',') {
                self.at += 1;
            } else if self.peek() != Some(b'}') {
                return Err(self.error("expected `,` or `}`"));
            }
        }
        self.at += 1;
        self.skip_blanks();
        match self.peek() {
            None => Ok(labels),
            Some(_) => Err(self.error("text after the labels")),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn error(&self, reason: &'static str) -> LabelError {
        LabelError { position: self.at, reason }
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8, reason: &'static str) -> Result<(), LabelError> {
        if self.peek() != Some(byte) {
            return Err(self.error(reason));
        }
        self.at += 1;
        Ok(())
    }

    /// A name without quotes; `also` are further bytes that it may have.
    fn word(&mut self, also: &[u8]) -> Option<String> {
        let start = self.at;
        while let Some(byte) = self.peek() {
            let letter = byte == b'_' || byte.is_ascii_alphabetic() || also.contains(&byte);
            if !letter && (self.at == start || !byte.is_ascii_digit()) {
                break;
            }
            self.at += 1;
        }
        let word = self.text.get(start..self.at).unwrap_or_default();
        (!word.is_empty()).then(|| String::from_utf8_lossy(word).into_owned())
    }

    fn quoted(&mut self, missing: &'static str) -> Result<String, LabelError> {
        let Some(quote @ (b'"' | b'\'' | b'`')) = self.peek() else {
            return Err(self.error(missing));
        };
        let start = self.at;
        self.at += 1;
        let mut value = Vec::new();
        loop {
            match self.peek() {
                Some(byte) if byte == quote => break,
                Some(b'\\') if quote != b'`' => self.escape(&mut value)?,
                Some(b'\n') if quote != b'`' => return Err(self.error("line end in quotes")),
                Some(byte) => {
                    value.push(byte);
                    self.at += 1;
                }
                None => return Err(self.error("quotes without an end")),
            }
        }
        self.at += 1;
        String::from_utf8(value).map_err(|_| LabelError { position: start, reason: "not UTF-8" })
    }

    fn escape(&mut self, value: &mut Vec<u8>) -> Result<(), LabelError> {
        let error = self.error("unknown escape");
        let kind = self.text.get(self.at + 1).copied().ok_or(error.clone())?;
        self.at += 2;
        let byte = match kind {
            b'a' => 7,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            b'\\' | b'"' | b'\'' => kind,
            b'x' => self.number(2, 16).ok_or(error)? as u8,
            b'0'..=b'7' => {
                self.at -= 1;
                let code = self.number(3, 8).ok_or(error.clone())?;
                u8::try_from(code).map_err(|_| error)?
            }
            b'u' | b'U' => {
                let digits = if kind == b'u' { 4 } else { 8 };
                let code = self.number(digits, 16).and_then(char::from_u32).ok_or(error)?;
                value.extend_from_slice(code.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(error),
        };
        value.push(byte);
        Ok(())
    }

    fn number(&mut self, digits: usize, radix: u32) -> Option<u32> {
        let text = self.text.get(self.at..self.at + digits)?;
        let value = text.iter().try_fold(0_u32, |value, &byte| {
            value.checked_mul(radix)?.checked_add(char::from(byte).to_digit(radix)?)
        })?;
        self.at += digits;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn reads_what_loki_reads() {
        let cases: &[(&str, &[(&str, &str)])] = &[
            ("{}", &[]),
            (r#"{a="b", c="d"}"#, &[("a", "b"), ("c", "d")]),
            (r#" { c = "d" ,a="b", } "#, &[("a", "b"), ("c", "d")]),
            (r#"{"k8s.pod"="b"}"#, &[("k8s.pod", "b")]),
            (r#"foo{a="b"}"#, &[("__name__", "foo"), ("a", "b")]),
            (r#"{"foo", a="b"}"#, &[("__name__", "foo"), ("a", "b")]),
            ("up", &[("__name__", "up")]),
            (r#"{a="", b='x', c=`\n`}"#, &[("b", "x"), ("c", "\\n")]),
            (r#"{a="\\ \" \n \x41 \u00e4 \101"}"#, &[("a", "\\ \" \n A ä A")]),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_labels(text).expect(text), labels(expected), "{text}");
        }
    }

    #[test]
    fn says_where_text_is_no_label_set() {
        for (text, position) in [
            ("", 0),
            ("{", 1),
            ("{a}", 2),
            ("{a=b}", 3),
            (r#"{a="b}"#, 6),
            (r#"{a="b" c="d"}"#, 7),
            (r#"{a="b"} x"#, 8),
            (r#"{a="b",a="c"}"#, 7),
            (r#"{a="\q"}"#, 4),
            (r#"{a="\xff"}"#, 3),
            (r#"{1="b"}"#, 1),
            (r#"{a!="b"}"#, 2),
        ] {
            assert_eq!(parse_labels(text).expect_err(text).position, position, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(
            pairs in proptest::collection::btree_map(any::<String>(), any::<String>(), 0..4)
        ) {
            let labels: Labels =
                pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect();
            let mut text = String::new();
            print_labels(&labels, &mut text);
            prop_assert_eq!(parse_labels(&text), Ok(labels));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text: String) {
            drop(parse_labels(&text));
        }
    }
}
