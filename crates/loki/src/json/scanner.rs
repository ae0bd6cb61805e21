//! Walks over JSON text without building values, and takes bytes in strings as they are.
//!
//! Serde's JSON refuses strings that are not UTF-8, which log lines are now and then.

use memchr::memchr2;

use super::without_mark;
use crate::error::DecodeError;

/// A place in a JSON text.
pub(super) struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    /// Whether control characters in strings are refused, as JSON's own rules say.
    strict: bool,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, strict: false }
    }

    /// The same, and control characters in strings are refused.
    pub(super) fn strict(self) -> Self {
        Self { strict: true, ..self }
    }

    /// The text from a place to where it is now.
    pub(super) fn text_from(&self, start: usize) -> &'a [u8] {
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// The text that was not looked at yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The same, which counts as looked at then.
    pub(super) fn take_rest(&mut self) -> &'a [u8] {
        let rest = self.rest();
        self.at = self.text.len();
        rest
    }

    /// Passes over a byte order mark, if there is one.
    pub(super) fn pass_mark(&mut self) {
        self.at += self.rest().len() - without_mark(self.rest()).len();
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn error(&self, reason: &'static str) -> DecodeError {
        DecodeError::Json { position: self.at, reason }
    }

    /// The next byte that is no blank.
    pub(super) fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.text.get(self.at) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    /// Passes over this byte, if it is next.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Passes over this byte, or says that it is missing.
    pub(super) fn expect(&mut self, byte: u8, reason: &'static str) -> Result<(), DecodeError> {
        if self.take(byte) { Ok(()) } else { Err(self.error(reason)) }
    }

    /// Passes over a string; what is between the quotes, still escaped.
    pub(super) fn string(&mut self) -> Result<&'a [u8], DecodeError> {
        self.expect(b'"', "expected a string")?;
        let start = self.at;
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let Some(place) = memchr2(b'"', b'\\', rest) else {
                return Err(self.error("string without an end"));
            };
            self.at += place;
            if rest.get(place) == Some(&b'"') {
                let text = self.text.get(start..self.at).unwrap_or_default();
                if self.strict && text.iter().any(|byte| *byte < b' ') {
                    return Err(self.error("control character in a string"));
                }
                self.at += 1;
                return Ok(text);
            }
            self.at += 2;
        }
    }

    /// Passes over any value, however deep it is; its text.
    pub(super) fn value(&mut self) -> Result<&'a [u8], DecodeError> {
        self.peek();
        let start = self.at;
        let mut depth = 0_usize;
        loop {
            match self.peek().ok_or_else(|| self.error("expected a value"))? {
                b'"' => {
                    self.string()?;
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                    continue;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1).ok_or_else(|| self.error("expected a value"))?;
                    self.at += 1;
                }
                b',' | b':' if depth > 0 => {
                    self.at += 1;
                    continue;
                }
                _ => self.word()?,
            }
            if depth == 0 {
                return Ok(self.text.get(start..self.at).unwrap_or_default());
            }
        }
    }

    /// Passes over a number, `true`, `false` or `null`.
    fn word(&mut self) -> Result<(), DecodeError> {
        let start = self.at;
        while self
            .text
            .get(self.at)
            .is_some_and(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
        {
            self.at += 1;
        }
        let word = self.text.get(start..self.at).unwrap_or_default();
        let known = matches!(word, b"true" | b"false" | b"null");
        let number = word.iter().any(u8::is_ascii_digit)
            && word.first().is_some_and(|byte| *byte == b'-' || byte.is_ascii_digit())
            && word.iter().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte));
        if known || number {
            return Ok(());
        }
        self.at = start;
        Err(self.error("expected a value"))
    }

    /// Goes through the members of an object; `null` has none.
    pub(super) fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, &'a [u8]) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        if self.null()? {
            return Ok(());
        }
        self.expect(b'{', "expected an object")?;
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let name = self.string()?;
            self.expect(b':', "expected `:`")?;
            member(self, name)?;
            if self.take(b'}') {
                return Ok(());
            }
            self.expect(b',', "expected `,` or `}`")?;
        }
    }

    /// Goes through the elements of an array; `null` has none.
    pub(super) fn array(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        if self.null()? {
            return Ok(());
        }
        self.expect(b'[', "expected an array")?;
        if self.take(b']') {
            return Ok(());
        }
        loop {
            element(self)?;
            if self.take(b']') {
                return Ok(());
            }
            self.expect(b',', "expected `,` or `]`")?;
        }
    }

    fn null(&mut self) -> Result<bool, DecodeError> {
        let null = self.peek() == Some(b'n');
        if null {
            self.word()?;
        }
        Ok(null)
    }
}

/// The same error, counted from where the text began that it is about.
pub(super) fn shift(error: DecodeError, by: usize) -> DecodeError {
    match error {
        DecodeError::Json { position, reason } => {
            DecodeError::Json { position: position + by, reason }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn passes_over_values_and_stops_behind_them() {
        for text in
            [r#"{"a":[1,-2.5e3,"]}"],"b":{}}"#, "[]", "\"a\\\"b\"", "null", "-1", "[[[{}]]]"]
        {
            let padded = format!(" {text} , rest");
            let mut scanner = Scanner::new(padded.as_bytes());
            assert_eq!(scanner.value().expect(text), text.as_bytes());
            assert!(scanner.take(b','));
        }
        for text in ["", "nul", "]", "{", "\"a", "abc", "+", "\"\\", "[1"] {
            assert!(Scanner::new(text.as_bytes()).value().is_err(), "{text}");
        }
        let deep = "[".repeat(1_000_000);
        assert!(Scanner::new(deep.as_bytes()).value().is_err());
        let deep = format!("{deep}{}", "]".repeat(1_000_000));
        assert_eq!(Scanner::new(deep.as_bytes()).value().unwrap().len(), deep.len());
    }

    proptest! {
        #[test]
        fn any_bytes_are_scanned_without_a_panic(text: Vec<u8>) {
            let mut scanner = Scanner::new(&text);
            drop(scanner.value());
        }
    }
}
