//! Takes JSON pushes apart.
//!
//! ```text
//! {"streams":[{"stream":{"app":"web"},"values":[["<nanoseconds>","line",{"trace":"1"}], ...]}, ...]}
//! {"streams":[{"labels":"{app=\"web\"}","entries":[{"ts":"2024-01-15T10:19:59Z","line":"line"}, ...]}]}
//! ```
//! The second is the older form; a stream says by its keys which one it is. Several such documents may
//! follow each other. Label values that are no strings become their text. What is wrong with an entry is
//! kept with it, and what stands in an entry's or a document's place is kept as a line; only what begins
//! as a document and is no JSON, or no push, is refused. Unknown keys are passed over beside those that
//! are known, never in their place. With [`DecodeOptions::strict`], what Loki refuses is refused, and what
//! it passes over is passed over.

use std::collections::HashMap;

use super::objects::{inside, unescaped};
use super::scanner::{Scanner, shift};
use super::without_mark;
use crate::batch::Pairs;
use crate::decoded::{DecodeOptions, Decoded, INVALID, check_set, set, sorted};
use crate::error::DecodeError;
use crate::escape::push_unescaped;
use crate::labels::{is_plain_name, parse_labels};
use crate::moment::{nanoseconds, rfc3339};

/// Takes a push apart. Decompress it first.
pub fn decode_push_json(body: &[u8], options: &DecodeOptions) -> Result<Decoded, DecodeError> {
    if u32::try_from(body.len()).is_err() {
        let limit = u64::from(u32::MAX);
        return Err(DecodeError::TooLarge { size: body.len() as u64, limit });
    }
    let scanner = Scanner::new(if options.strict { body } else { without_mark(body) });
    let mut scanner = if options.strict { scanner.strict() } else { scanner };
    if scanner.peek().is_none() {
        return Err(DecodeError::Empty);
    }
    let mut decoder = Decoder {
        options,
        out: Decoded::new(),
        streams: HashMap::new(),
        metadata: HashMap::new(),
        kept_texts: HashMap::new(),
        line: 0,
    };
    decoder.out.batch.text.reserve_exact(body.len());
    decoder.document(&mut scanner)?;
    // Loki reads one document and looks at nothing behind it.
    while !options.strict && scanner.peek().is_some() {
        decoder.next_document(&mut scanner)?;
    }
    Ok(decoder.out.finish(options))
}

struct Decoder<'a> {
    options: &'a DecodeOptions,
    out: Decoded,
    /// Text of labels, an object or a string, to stream: some senders make a stream of each line.
    streams: HashMap<&'a [u8], Labelled<'a>>,
    /// Text of a metadata object to its index and whether it is as it should be.
    metadata: HashMap<&'a [u8], (u32, bool)>,
    /// A stream of invalid labels and metadata, to that metadata with the labels' text.
    kept_texts: HashMap<(u32, u32), u32>,
    /// Where the line of the present entry begins in the text of all.
    line: usize,
}

/// A stream that entries go to.
#[derive(Clone, Copy)]
struct Labelled<'a> {
    stream: u32,
    /// The text of labels that are none.
    invalid: Option<&'a [u8]>,
    /// Whether they came in the older form.
    older: bool,
}

/// An entry before it is judged.
#[derive(Clone, Copy, Default)]
struct Draft {
    time: Option<i64>,
    metadata: u32,
    /// What is wrong with it beside its time.
    wrong: Option<&'static str>,
}

impl<'a> Decoder<'a> {
    /// Takes a document apart. One without streams is kept as a line, which counts for nothing if no other
    /// document has one.
    fn document(&mut self, scanner: &mut Scanner<'a>) -> Result<(), DecodeError> {
        scanner.peek();
        let (start, mut is_push, mut is_empty) = (scanner.position(), false, true);
        scanner.object(|scanner, name| {
            is_empty = false;
            if name == b"streams" {
                is_push = true;
                return scanner.array(|scanner| self.stream(scanner));
            }
            scanner.value().map(drop)
        })?;
        if is_push || is_empty || self.options.strict {
            return Ok(());
        }
        self.out.keep_text(self.options, scanner.text_from(start))
    }

    /// Takes what follows a document: another one, or the rest, which is none and is kept as a line.
    fn next_document(&mut self, scanner: &mut Scanner<'a>) -> Result<(), DecodeError> {
        match without_mark(scanner.rest()).trim_ascii_start().first() {
            Some(b'{') => {
                scanner.pass_mark();
                self.document(scanner)
            }
            _ => self.out.keep_text(self.options, scanner.take_rest().trim_ascii_end()),
        }
    }

    fn stream(&mut self, scanner: &mut Scanner<'a>) -> Result<(), DecodeError> {
        self.out.streams += 1;
        scanner.peek();
        let (start, before) = (scanner.position(), self.out.batch.entries.len());
        let (mut labels, mut has_more) = (None, false);
        // Entries that come before the labels that they belong to.
        let mut waiting: Vec<(usize, &'a [u8])> = Vec::new();
        scanner.object(|scanner, name| {
            scanner.peek();
            match (name, labels) {
                (b"stream" | b"labels", _) => {
                    let position = scanner.position();
                    let text = scanner.value()?;
                    labels = Some(self.labels(text).map_err(|error| shift(error, position))?);
                }
                (b"values" | b"entries", Some(labels)) => {
                    scanner.array(|scanner| self.entry(scanner, labels))?;
                }
                (b"values" | b"entries", None) => {
                    waiting.push((scanner.position(), scanner.value()?));
                }
                _ => has_more |= scanner.value()? != b"null",
            }
            Ok(())
        })?;
        let whole = scanner.text_from(start);
        // A stream without entries is kept too.
        self.out.check_weight(self.options)?;
        if labels.is_none() || !waiting.is_empty() {
            let labels = match labels {
                Some(labels) => labels,
                None => self.labels(b"{}")?,
            };
            for (position, values) in waiting {
                Scanner::new(values)
                    .array(|scanner| self.entry(scanner, labels))
                    .map_err(|error| shift(error, position))?;
            }
        }
        if self.out.batch.entries.len() > before {
            return Ok(());
        }
        if !has_more || self.options.strict {
            self.out.empty_streams += 1;
            return Ok(());
        }
        // Its lines have another name.
        let labels = match labels {
            Some(labels) => labels,
            None => self.labels(b"{}")?,
        };
        self.line = self.out.batch.text.len();
        self.set_line(whole);
        let time = Some(self.options.now);
        self.keep(Draft { time, metadata: 0, wrong: Some("entry") }, labels)
    }

    fn labels(&mut self, text: &'a [u8]) -> Result<Labelled<'a>, DecodeError> {
        if let Some(known) = self.streams.get(text) {
            return Ok(*known);
        }
        let between = if text.first() == Some(&b'"') { b'=' } else { b':' };
        check_set(text, between, self.options)?;
        let (labels, valid) = match text.first() {
            Some(b'"') => {
                let (plain, whole) = unescaped(inside(text));
                let plain = String::from_utf8_lossy(&plain);
                match parse_labels(&plain) {
                    Ok(labels) => (labels, whole),
                    Err(error) if self.options.strict => {
                        return Err(DecodeError::Refused(error.as_loki_says(plain.as_bytes())));
                    }
                    Err(_) => (Pairs::new(), false),
                }
            }
            _ => {
                let Object { pairs, whole, .. } = object(text)?;
                if self.options.strict {
                    refuse_names(&pairs)?;
                }
                (pairs, whole)
            }
        };
        if self.options.strict && !valid {
            return Err(DecodeError::Json { position: 0, reason: "broken escape" });
        }
        let mut labels = labels;
        labels.retain(|(_, value)| !value.is_empty());
        if !valid {
            set(&mut labels, INVALID, "labels");
        }
        let stream = self.out.new_stream(labels);
        let older = text.first() == Some(&b'"');
        let labelled = Labelled { stream, invalid: (!valid).then_some(text), older };
        self.streams.insert(text, labelled);
        Ok(labelled)
    }

    fn entry(
        &mut self,
        scanner: &mut Scanner<'a>,
        labels: Labelled<'a>,
    ) -> Result<(), DecodeError> {
        self.line = self.out.batch.text.len();
        let draft = match scanner.peek() {
            Some(b'n') => return scanner.value().map(drop),
            Some(b'[') => self.listed(scanner)?,
            Some(b'{') if self.options.strict && !labels.older => {
                return Err(scanner.error("expected an array"));
            }
            Some(b'{') => self.named(scanner)?,
            _ if self.options.strict => return Err(scanner.error("expected an array")),
            _ => {
                let text = scanner.value()?;
                self.set_line(text);
                Draft { time: Some(self.options.now), metadata: 0, wrong: Some("entry") }
            }
        };
        self.keep(draft, labels)
    }

    /// `["<nanoseconds>", "line", {"name": "value"}]`
    fn listed(&mut self, scanner: &mut Scanner<'a>) -> Result<Draft, DecodeError> {
        let strict = self.options.strict;
        let mut draft = Draft::default();
        let mut time = &b""[..];
        let (mut index, mut rest) = (0, None);
        scanner.array(|scanner| {
            let value = scanner.value()?;
            match (index, value.first()) {
                (0, Some(b'"')) => time = value,
                (0, _) if strict => return Err(scanner.error("expected a string")),
                (0, _) => time = value,
                (1, _) => self.line(value, &mut draft, scanner)?,
                (2, Some(b'{')) => self.metadata(value, &mut draft)?,
                (2, _) if strict => return Err(scanner.error("expected an object")),
                (2, Some(b'n')) => {}
                (2, _) => {
                    let text = String::from_utf8_lossy(inside(value)).into_owned();
                    draft.metadata = self.out.metadata_with(draft.metadata, "metadata", &text);
                    draft.wrong = Some("metadata");
                }
                _ => rest = rest.or(Some(scanner.position() - value.len())),
            }
            index += 1;
            Ok(())
        })?;
        if let Some(start) = rest.filter(|_| !strict) {
            let text = scanner.text_from(start);
            let text = text.strip_suffix(b"]").unwrap_or(text).trim_ascii_end();
            let text = String::from_utf8_lossy(text).into_owned();
            draft.metadata = self.out.metadata_with(draft.metadata, "rest", &text);
            draft.wrong = Some("entry");
        }
        draft.time = nanoseconds(inside(time));
        if strict && draft.time.is_none() {
            return Err(scanner.error("expected a time in nanoseconds"));
        }
        self.keep_time(time, &mut draft);
        Ok(draft)
    }

    /// `{"ts": "<RFC 3339>", "line": "line", "structuredMetadata": [{"name": "n", "value": "v"}]}`
    fn named(&mut self, scanner: &mut Scanner<'a>) -> Result<Draft, DecodeError> {
        let mut draft = Draft::default();
        let mut time = &b""[..];
        let (mut has_line, mut has_time, mut has_more) = (false, false, false);
        scanner.peek();
        let start = scanner.position();
        scanner.object(|scanner, name| {
            let value = scanner.value()?;
            match name {
                b"ts" | b"timestamp" => (time, has_time) = (value, true),
                b"line" => {
                    has_line = true;
                    self.line(value, &mut draft, scanner)?;
                }
                b"structuredMetadata" | b"structured_metadata" => match value.first() {
                    Some(b'{') => self.metadata(value, &mut draft)?,
                    _ => self.metadata_list(value, &mut draft)?,
                },
                _ => has_more = true,
            }
            Ok(())
        })?;
        let text = inside(time);
        draft.time = rfc3339(text).or_else(|| nanoseconds(text));
        if has_line || (has_time && (!has_more || self.options.strict)) {
            self.keep_time(time, &mut draft);
            return Ok(draft);
        }
        // An object of some other kind: all of it is the line.
        self.set_line(scanner.text_from(start));
        let time = draft.time.or(Some(self.options.now));
        Ok(Draft { time, wrong: Some("entry"), ..draft })
    }

    fn line(
        &mut self,
        value: &'a [u8],
        draft: &mut Draft,
        scanner: &Scanner<'a>,
    ) -> Result<(), DecodeError> {
        if value.first() != Some(&b'"') {
            if self.options.strict {
                return Err(scanner.error("expected a string"));
            }
            self.set_line(value);
            draft.wrong = Some("entry");
            return Ok(());
        }
        // Of a name that comes twice, the last one counts.
        self.out.batch.text.truncate(self.line);
        if push_unescaped(&mut self.out.batch.text, inside(value)).is_none() {
            if self.options.strict {
                return Err(scanner.error("broken escape"));
            }
            self.set_line(inside(value));
            draft.wrong = Some("entry");
        }
        Ok(())
    }

    /// Makes this the line of the present entry.
    fn set_line(&mut self, line: &[u8]) {
        self.out.batch.text.truncate(self.line);
        self.out.batch.text.extend_from_slice(line);
    }

    fn metadata(&mut self, value: &'a [u8], draft: &mut Draft) -> Result<(), DecodeError> {
        let (index, whole) = match self.metadata.get(value) {
            Some(known) => *known,
            None => {
                check_set(value, b':', self.options)?;
                let Object { pairs, whole, texts } = object(value)?;
                if self.options.strict && !(whole && texts) {
                    let text = "structured metadata must be an object of strings";
                    return Err(DecodeError::Refused(text.to_owned()));
                }
                let known = (self.out.metadata(pairs), whole);
                self.metadata.insert(value, known);
                known
            }
        };
        draft.metadata = index;
        if !whole {
            draft.wrong = Some("metadata");
        }
        Ok(())
    }

    fn metadata_list(&mut self, value: &'a [u8], draft: &mut Draft) -> Result<(), DecodeError> {
        check_set(value, b'{', self.options)?;
        let mut pairs = Pairs::new();
        let mut all = true;
        Scanner::new(value).array(|scanner| {
            let Object { pairs: pair, whole, .. } = object(scanner.value()?)?;
            all &= whole;
            let find = |name: &str| {
                let found = pair.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                found.map_or("", |(_, value)| value.as_str())
            };
            pairs.push((find("name").to_owned(), find("value").to_owned()));
            Ok(())
        })?;
        draft.metadata = self.out.metadata(sorted(pairs));
        if !all {
            draft.wrong = Some("metadata");
        }
        Ok(())
    }

    /// Keeps the text of a time that is none.
    fn keep_time(&mut self, text: &[u8], draft: &mut Draft) {
        if draft.time.is_none() {
            let text = String::from_utf8_lossy(inside(text)).into_owned();
            draft.metadata = self.out.metadata_with(draft.metadata, "timestamp", &text);
        }
    }

    fn keep(&mut self, draft: Draft, labels: Labelled<'a>) -> Result<(), DecodeError> {
        let Draft { time, mut metadata, wrong } = draft;
        let mut stream = labels.stream;
        let wrong = if time.is_none() { Some("timestamp") } else { wrong };
        if let Some(text) = labels.invalid {
            let key = (stream, metadata);
            metadata = match self.kept_texts.get(&key) {
                Some(known) => *known,
                None => {
                    let text = String::from_utf8_lossy(text).into_owned();
                    let kept = self.out.metadata_with(metadata, "labels", &text);
                    self.kept_texts.insert(key, kept);
                    kept
                }
            };
        }
        if let Some(wrong) = wrong {
            stream = self.out.invalid_stream(stream, wrong);
        }
        self.out.invalid += u64::from(wrong.is_some() || labels.invalid.is_some());
        let time = time.unwrap_or(self.options.now);
        self.out.push_written(self.options, (stream, time, metadata), self.line)
    }
}

/// An object as names and values.
struct Object {
    pairs: Pairs,
    /// Whether all escapes were as they should be.
    whole: bool,
    /// Whether all values were strings.
    texts: bool,
}

/// Reads an object. Values that are no strings become their text; the last one of a name counts.
fn object(text: &[u8]) -> Result<Object, DecodeError> {
    let mut object = Object { pairs: Pairs::new(), whole: true, texts: true };
    Scanner::new(text).object(|scanner, name| {
        let value = scanner.value()?;
        let (name, whole_name) = unescaped(name);
        let (value, whole_value) = match value.first() {
            Some(b'"') => unescaped(inside(value)),
            _ => {
                object.texts = false;
                (value.to_vec(), true)
            }
        };
        object.whole &= whole_name && whole_value;
        let owned = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        object.pairs.push((owned(name), owned(value)));
        Ok(())
    })?;
    object.pairs = sorted(object.pairs);
    Ok(object)
}

fn refuse_names(labels: &Pairs) -> Result<(), DecodeError> {
    match labels.iter().find(|(name, _)| !is_plain_name(name)) {
        None => Ok(()),
        Some((name, _)) => {
            let text = format!("couldn't parse labels: parse error: unexpected name `{name}`");
            Err(DecodeError::Refused(text))
        }
    }
}
