//! JSON objects of any shape, one in a line or all in one array, as log shippers send them.
//!
//! ```text
//! {"talos-time":"2024-01-15T10:19:59.001Z","talos-service":"etcd","talos-level":"info","msg":"text","n":1}
//! ```
//! A [`Mapping`] says which keys hold the text, the time, the level and labels; everything else becomes
//! structured metadata. Objects in objects are flattened: `{"host":{"name":"a"}}` is `host_name`. A line
//! that is no object is kept as it is, marked as invalid.

use crate::batch::Pairs;
use crate::decoded::{DecodeOptions, Decoded, INVALID, set, sorted};
use crate::error::DecodeError;
use crate::json::objects::{
    Item, Layout, Member, bytes_of, each_object, inside, members_of, name_of, text_of,
};
use crate::moment;

/// Objects are flattened so deep; what is below stays JSON.
const MAX_DEPTH: usize = 8;

/// Which keys of a record mean what. Of several that are there, the first one listed counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Keys of the text.
    pub message: Vec<String>,
    /// Keys of the time.
    pub time: Vec<String>,
    /// Keys of the level, which becomes metadata of that name.
    pub level: Vec<String>,
    /// Keys of labels and the labels' names. They should have few values.
    pub labels: Vec<(String, String)>,
}

impl Default for Mapping {
    /// What Talos, Vector, fluent-bit, Filebeat and most libraries use.
    fn default() -> Self {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let labels = [
            "app",
            "service",
            "talos-service=service",
            "service_name",
            "facility",
            "stream",
            "host",
            "hostname",
            "host_name",
            "namespace",
            "pod",
            "container",
            "container_name",
            "kubernetes_namespace_name=namespace",
            "kubernetes_pod_namespace=namespace",
            "kubernetes_pod_name=pod",
            "kubernetes_container_name=container",
        ];
        let mut mapping = Self {
            message: list(&["msg", "message", "log", "_msg", "MESSAGE", "body", "text"]),
            time: list(&["talos-time", "ts", "time", "timestamp", "@timestamp", "_time", "date"]),
            level: list(&["talos-level", "level", "severity", "log_level", "lvl"]),
            labels: Vec::new(),
        };
        mapping.labels = labels.map(label).to_vec();
        mapping
    }
}

/// A key and the name of its label: `key=label`, or the key alone.
fn label(text: &str) -> (String, String) {
    let (key, name) = text.split_once('=').unwrap_or((text, text));
    let plain = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let name = name.chars().map(|character| if plain(character) { character } else { '_' });
    (key.to_owned(), name.collect())
}

impl Mapping {
    /// Adds a key of a kind (`message`, `time`, `level` or `label`) before those that are there; a label's
    /// key can be followed by `=` and the label's name. False if there is no such kind.
    pub fn add(&mut self, kind: &str, key: &str) -> bool {
        match kind {
            "message" => self.message.insert(0, key.to_owned()),
            "time" => self.time.insert(0, key.to_owned()),
            "level" => self.level.insert(0, key.to_owned()),
            "label" => self.labels.insert(0, label(key)),
            _ => return false,
        }
        true
    }
}

/// A record with more fields than this is kept as one text.
const MAX_FIELDS: usize = 1000;

/// Takes records apart.
pub fn decode_records(
    body: &[u8],
    mapping: &Mapping,
    options: &DecodeOptions,
) -> Result<Decoded, DecodeError> {
    let mut out = Decoded::new();
    each_object(body, Layout::Lines, |item| match item {
        Item::Object(members, _) => record(&mut out, &members, mapping, options),
        Item::Other(text) => out.keep_text(options, text),
    })?;
    Ok(out.finish(options))
}

/// A key and its value as it stands in the text.
type Field<'a> = (String, &'a [u8]);

fn record(
    out: &mut Decoded,
    members: &[Member<'_>],
    mapping: &Mapping,
    options: &DecodeOptions,
) -> Result<(), DecodeError> {
    let mut fields: Vec<Field<'_>> = Vec::with_capacity(members.len());
    let whole = flatten("", members, 0, &mut fields);
    if !whole {
        // Too many to be told one by one: the record stays as it is.
        fields.clear();
    }
    let mut take = |keys: &[String]| -> Option<Field<'_>> {
        // As in every object, the last value of a key counts.
        let last = |key| fields.iter().rposition(|(name, _)| name == key);
        let place = keys.iter().find_map(last)?;
        let field = fields.remove(place);
        fields.retain(|(name, _)| *name != field.0);
        Some(field)
    };
    let message = take(&mapping.message);
    let time = take(&mapping.time);
    let level = take(&mapping.level);
    let (mut labels, mut metadata) = (Pairs::new(), Pairs::new());
    let message = message.filter(|_| whole);
    for (key, name) in mapping.labels.iter().rev() {
        if let Some((_, value)) = take(std::slice::from_ref(key)) {
            let text = text_of(value);
            if !text.is_empty() && *value != *b"null" {
                set(&mut labels, name, &text);
            }
        }
    }
    metadata.extend(fields.iter().map(|(name, value)| (name.clone(), text_of(value))));
    let mut metadata = sorted(metadata);
    if let Some((_, value)) = level {
        set(&mut metadata, "level", &text_of(value));
    }
    let read = time.as_ref().map(|(_, value)| moment::any(inside(value)));
    if let (Some(None), Some((name, value))) = (read, &time) {
        set(&mut metadata, name, &text_of(value));
        set(&mut labels, INVALID, "timestamp");
        out.invalid += 1;
    }
    let line = match message {
        Some((_, value)) => bytes_of(value),
        // Without a text the record itself is the line.
        None => rendered(members),
    };
    if !whole {
        set(&mut labels, INVALID, "entry");
        out.invalid += 1;
    }
    out.streams += 1;
    let stream = out.stream(labels);
    let metadata = out.metadata(metadata);
    let time = read.flatten().unwrap_or(options.now);
    out.push(options, (stream, time, metadata), &line)
}

/// Collects the fields of a record; false if there are too many.
fn flatten<'a>(
    prefix: &str,
    members: &[Member<'a>],
    depth: usize,
    fields: &mut Vec<Field<'a>>,
) -> bool {
    for (name, value) in members {
        let name = name_of(name);
        let name = if prefix.is_empty() { name } else { format!("{prefix}_{name}") };
        match members_of(value).filter(|inner| depth < MAX_DEPTH && !inner.is_empty()) {
            Some(inner) => {
                if !flatten(&name, &inner, depth + 1, fields) {
                    return false;
                }
            }
            None if fields.len() == MAX_FIELDS => return false,
            // Looking for its like among all others would take the longer the more there are.
            None => fields.push((name, value)),
        }
    }
    true
}

fn rendered(members: &[Member<'_>]) -> Vec<u8> {
    let mut out = vec![b'{'];
    for (index, (name, value)) in members.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.push(b'"');
        out.extend_from_slice(name);
        out.extend_from_slice(b"\":");
        out.extend_from_slice(value);
    }
    out.push(b'}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::decoded::DecodedLine as Read;

    fn read_with(text: &str, mapping: &Mapping) -> (Vec<Read>, u64) {
        let options = DecodeOptions { now: 99, ..DecodeOptions::default() };
        let decoded = decode_records(text.as_bytes(), mapping, &options).unwrap();
        (decoded.lines(), decoded.invalid)
    }

    fn read(text: &str) -> (Vec<Read>, u64) {
        read_with(text, &Mapping::default())
    }

    fn pairs(pairs: &[(&str, &str)]) -> Pairs {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn records_of_talos_are_read() {
        let (lines, invalid) = read(concat!(
            r#"{"msg":"ready\n","talos-level":"info","talos-service":"etcd","talos-time":"1970-01-01T00:00:01.5Z","caller":"main.go:1"}"#,
            "\n",
            r#"{"clock":6252819,"facility":"kern","msg":"eth0: link up","priority":"warning","seq":711,"talos-level":"warn","talos-time":"1970-01-01T00:00:02Z"}"#,
        ));
        assert_eq!(invalid, 0);
        let service = (
            pairs(&[("service", "etcd")]),
            1_500_000_000,
            pairs(&[("caller", "main.go:1"), ("level", "info")]),
            "ready\n".to_owned(),
        );
        let kernel = (
            pairs(&[("facility", "kern")]),
            2_000_000_000,
            pairs(&[
                ("clock", "6252819"),
                ("level", "warn"),
                ("priority", "warning"),
                ("seq", "711"),
            ]),
            "eth0: link up".to_owned(),
        );
        assert_eq!(lines, [service, kernel]);
    }

    #[test]
    fn records_of_other_shippers_are_read() {
        let (lines, _) = read(
            r#"[{"date":1700000000.25,"log":"from fluent-bit","kubernetes":{"pod_name":"p-0","labels":{"a":"b"}}},
                {"@timestamp":"1970-01-01T00:00:03Z","message":"from Filebeat","host":{"name":"h"},"tags":["x"]}]"#,
        );
        let fluent = (
            pairs(&[("pod", "p-0")]),
            1_700_000_000_250_000_000,
            pairs(&[("kubernetes_labels_a", "b")]),
            "from fluent-bit".to_owned(),
        );
        let beat = (
            pairs(&[("host_name", "h")]),
            3_000_000_000,
            pairs(&[("tags", r#"["x"]"#)]),
            "from Filebeat".to_owned(),
        );
        assert_eq!(lines, [fluent, beat]);
    }

    #[test]
    fn keys_can_be_mapped() {
        let mut mapping = Mapping::default();
        for (kind, key) in
            [("message", "what"), ("time", "when"), ("label", "tier-x"), ("label", "a=b")]
        {
            assert!(mapping.add(kind, key));
        }
        assert!(!mapping.add("colour", "red"));
        let (lines, _) =
            read_with(r#"{"what":"w","msg":"m","when":7,"tier-x":1,"a":"2"}"#, &mapping);
        let expected = (
            pairs(&[("b", "2"), ("tier_x", "1")]),
            7_000_000_000,
            pairs(&[("msg", "m")]),
            "w".to_owned(),
        );
        assert_eq!(lines, [expected]);
    }

    #[test]
    fn the_last_value_of_a_key_counts() {
        let (lines, invalid) = read(
            r#"{"a":1,"msg":"x","b":{"c":1},"app":"1","b":{"c":2},"msg":"y","a":3,"app":"2"}"#,
        );
        let metadata = pairs(&[("a", "3"), ("b_c", "2")]);
        assert_eq!((lines, invalid), (vec![(pairs(&[("app", "2")]), 99, metadata, "y".into())], 0));
    }

    #[test]
    fn what_is_no_record_is_kept() {
        let (lines, invalid) = read(
            "plain text\n{\"msg\":\"cut\n{\"msg\":\"good\"}\n{\"x\":1}\n\n{}\n\
             {\"msg\":\"m\",\"time\":\"noon\"}\n[1]",
        );
        let texts: Vec<&str> = lines.iter().map(|line| line.3.as_str()).collect();
        let expected = ["plain text", "{\"msg\":\"cut", "good", "{\"x\":1}", "{}", "m", "[1]"];
        assert_eq!((texts.as_slice(), invalid), (&expected[..], 4));
        assert_eq!(lines[3].2, pairs(&[("x", "1")]));
        let members: Vec<String> = (0..1001).map(|number| format!("\"k{number}\":1")).collect();
        let many = format!("{{{}}}", members.join(","));
        let (kept, invalid) = read(&many);
        let expected = (pairs(&[(INVALID, "entry")]), 99, vec![], many);
        assert_eq!((kept, invalid), (vec![expected], 1));
        assert_eq!(lines[5].0, pairs(&[(INVALID, "timestamp")]));
        assert_eq!(lines[5].2, pairs(&[("time", "noon")]));
    }
}
