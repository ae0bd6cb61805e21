//! The lines of a capture as a push, one after the other.
//!
//! ```text
//! {"ts":"2024-01-15T10:19:59.001Z","labels":{"app":"web"},"msg":"text","meta":{"pid":"12"},"raw":"/w=="}
//! ```
//! All but `msg` may be missing, `raw` stands for a line that is not UTF-8, and what else an object has
//! is passed over, unless it stands in the line's place: then all of the object is the line. An entry without a time, or with the zero time, gets the present one. What cannot be read
//! is kept, and its entry marked.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::batch::Pairs;
use crate::decoded::{DecodeOptions, Decoded, INVALID, set, sorted};
use crate::error::DecodeError;
use crate::escape::push_unescaped;
use crate::json::objects::{
    Item, Layout, Member, each_object, inside, members_of, name_of, text_of,
};
use crate::moment::rfc3339;

/// How the zero time begins, which stands for none.
const ZERO_TIME: &[u8] = b"0001-01-01T00:00:00";

/// Takes a push of capture lines apart.
pub fn decode_raw(body: &[u8], options: &DecodeOptions) -> Result<Decoded, DecodeError> {
    let mut out = Decoded::new();
    each_object(body, Layout::Concatenated, |item| match item {
        Item::Object(members, whole) => entry(&mut out, &members, whole, options),
        Item::Other(text) => out.keep_text(options, text),
    })?;
    Ok(out.finish(options))
}

fn entry(
    out: &mut Decoded,
    members: &[Member<'_>],
    whole: &[u8],
    options: &DecodeOptions,
) -> Result<(), DecodeError> {
    let (mut time, mut labels, mut metadata) = (Some(options.now), Pairs::new(), Pairs::new());
    let (mut line, mut exact, mut wrong, mut has_more) = (None, None, None, false);
    for (name, value) in members {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let null = *value == b"null";
        if is("ts") {
            let text = inside(value);
            if !null && !text.is_empty() && !text.starts_with(ZERO_TIME) {
                time = rfc3339(text).filter(|_| value.first() == Some(&b'"'));
                if time.is_none() {
                    set(&mut metadata, "timestamp", &text_of(value));
                }
            }
        } else if is("labels") && !null {
            match members_of(value) {
                Some(members) => labels = pairs(&members),
                None => {
                    wrong = Some("labels");
                    set(&mut metadata, "labels", &text_of(value));
                }
            }
        } else if is("meta") && !null {
            match members_of(value) {
                Some(members) => {
                    let pairs = pairs(&members);
                    metadata = sorted(metadata.into_iter().chain(pairs).collect());
                }
                None => {
                    wrong = Some("metadata");
                    set(&mut metadata, "metadata", &text_of(value));
                }
            }
        } else if is("msg") && !null {
            line = Some(*value);
        } else if is("raw") && !null {
            exact = STANDARD.decode(inside(value)).ok();
            if exact.is_none() {
                wrong = Some("entry");
                set(&mut metadata, "raw", &text_of(value));
            }
        } else {
            has_more |= !null && !is("batch");
        }
    }
    let start = out.batch.text.len();
    match (exact, line) {
        (Some(exact), _) => out.batch.text.extend_from_slice(&exact),
        (None, Some(line)) => {
            let is_text = line.first() == Some(&b'"')
                && push_unescaped(&mut out.batch.text, inside(line)).is_some();
            if !is_text {
                wrong = Some("entry");
                out.batch.text.truncate(start);
                out.batch.text.extend_from_slice(inside(line));
            }
        }
        (None, None) if has_more => {
            wrong = Some("entry");
            out.batch.text.extend_from_slice(whole);
        }
        (None, None) => {}
    }
    labels.retain(|(_, value)| !value.is_empty());
    if let Some(wrong) = if time.is_none() { Some("timestamp") } else { wrong } {
        set(&mut labels, INVALID, wrong);
        out.invalid += 1;
    }
    out.streams += 1;
    let stream = out.stream(labels);
    let metadata = out.metadata(metadata);
    out.push_written(options, (stream, time.unwrap_or(options.now), metadata), start)
}

fn pairs(members: &[Member<'_>]) -> Pairs {
    let pair = |(name, value): &Member<'_>| {
        let value = if *value == b"null" { String::new() } else { text_of(value) };
        (name_of(name), value)
    };
    sorted(members.iter().map(pair).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<crate::decoded::DecodedLine>, u64) {
        let options = DecodeOptions { now: 99, ..DecodeOptions::default() };
        let decoded = decode_raw(text.as_bytes(), &options).unwrap();
        (decoded.lines(), decoded.invalid)
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn lines_of_a_capture_are_read() {
        let (lines, invalid) = read(
            r#"{"ts":"1970-01-01T01:00:01+01:00","labels":{"b":"2","a":"1"},"msg":"x\ny"}
               {"MSG":"any case","TS":"0001-01-01T00:00:00Z","Labels":null}{"msg":"next",
               "meta":{"pid":"7"},"raw":"/w==","batch":["s",1,2]} {}"#,
        );
        assert_eq!(invalid, 0);
        let labels = vec![pair("a", "1"), pair("b", "2")];
        assert_eq!(lines[0], (labels, 1_000_000_000, vec![], "x\ny".to_owned()));
        assert_eq!(lines[1], (vec![], 99, vec![], "any case".to_owned()));
        assert_eq!(lines[2], (vec![], 99, vec![pair("pid", "7")], "\u{fffd}".to_owned()));
        assert_eq!(lines[3], (vec![], 99, vec![], String::new()));
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn what_is_wrong_is_kept_and_the_rest_is_read() {
        let (lines, invalid) = read(
            "{\"msg\":\"good\"}\nno object\n{\"ts\":\"soon\",\"msg\":\"late\"}\n\
             {\"labels\":7,\"msg\":8}\n{\"msg\":\"cut",
        );
        assert_eq!(invalid, 4);
        let invalid = |what: &str| vec![pair(INVALID, what)];
        assert_eq!(lines[0].3, "good");
        assert_eq!(lines[1], (invalid("entry"), 99, vec![], "no object".to_owned()));
        let kept = vec![pair("timestamp", "soon")];
        assert_eq!(lines[2], (invalid("timestamp"), 99, kept, "late".to_owned()));
        let kept = vec![pair("labels", "7")];
        assert_eq!(lines[3], (invalid("entry"), 99, kept, "8".to_owned()));
        assert_eq!(lines[4], (invalid("entry"), 99, vec![], "{\"msg\":\"cut".to_owned()));
        assert_eq!(lines.len(), 5);
    }

    #[test]
    fn what_cannot_be_read_of_an_entry_is_kept_and_marked() {
        for (text, what, kept, line) in [
            (r#"{"msg":"a\qb"}"#, "entry", vec![], r"a\qb"),
            (r#"{"msg":"a","raw":"?"}"#, "entry", vec![pair("raw", "?")], "a"),
            (r#"{"msg":"a","meta":7}"#, "metadata", vec![pair("metadata", "7")], "a"),
        ] {
            let (lines, invalid) = read(text);
            let labels = vec![pair(INVALID, what)];
            assert_eq!((lines, invalid), (vec![(labels, 99, kept, line.to_owned())], 1), "{text}");
        }
        assert_eq!(read(r#"{"msg":"a","meta":null,"raw":null}"#).1, 0);
    }

    #[test]
    fn an_object_of_very_many_members_is_kept_as_text() {
        let text = |members: usize| format!("{{\"msg\":\"a\"{}}}", ",\"x\":1".repeat(members));
        assert_eq!(read(&text(65_535)).0[0].3, "a");
        let (lines, invalid) = read(&text(65_536));
        assert_eq!((lines.len(), invalid), (1, 1));
        assert!(lines[0].3 == text(65_536));
    }

    #[test]
    fn arrays_and_nothing_are_read_too() {
        assert_eq!(read(r#" [ {"msg":"a"}, {"msg":"b"} ] "#).0.len(), 2);
        assert_eq!(read("").0.len(), 0);
        assert_eq!(read("[]").0.len(), 0);
        assert_eq!(read("[WARN] text").0[0].3, "[WARN] text");
    }
}
