//! OTLP's logs, as protobuf and as JSON, turned into lines as Loki does it.
//!
//! Attributes of the resource that say what runs where become labels, with `_` for dots; everything else
//! becomes structured metadata, where maps are flattened (`parent_child`). The line is the body: text as
//! it is, anything else as JSON. A record without a time has that of its observation, else the present one.

mod json;
mod protobuf;
mod value;

pub use self::json::decode_otlp_json;
pub use self::protobuf::decode_otlp;

use self::value::Value;
use crate::batch::Pairs;
use crate::decoded::{DecodeOptions, Decoded, set, sorted};
use crate::error::DecodeError;

/// Attributes of a resource that become labels: those that Loki takes.
const LABELS: [&str; 18] = [
    "service.name",
    "service.namespace",
    "service.instance.id",
    "deployment.environment",
    "deployment.environment.name",
    "cloud.region",
    "cloud.availability_zone",
    "k8s.cluster.name",
    "k8s.namespace.name",
    "k8s.pod.name",
    "k8s.container.name",
    "container.name",
    "k8s.replicaset.name",
    "k8s.deployment.name",
    "k8s.statefulset.name",
    "k8s.daemonset.name",
    "k8s.cronjob.name",
    "k8s.job.name",
];

/// What records share may be repeated up to this many times the limit of memory.
const MAX_GROWTH: usize = 4;

/// Names and values as they come.
type Attributes = Vec<(String, Value)>;

/// One record, of either form.
#[derive(Default)]
struct Record {
    time: Moment,
    observed: u64,
    severity_number: u64,
    severity_text: String,
    body: Value,
    attributes: Attributes,
    dropped_attributes: u64,
    flags: u64,
    /// Hexadecimal.
    trace: String,
    span: String,
    event: String,
}

/// When a record says that it was.
enum Moment {
    /// In nanoseconds since 1970; 0 where it does not say.
    Nanoseconds(u64),
    /// In words that are no such number.
    Words(String),
}

impl Default for Moment {
    fn default() -> Self {
        Self::Nanoseconds(0)
    }
}

/// What the records of one scope have in common.
#[derive(Clone, Default)]
struct Scope {
    stream: u32,
    metadata: Pairs,
}

/// Where records go.
struct Receiver<'a> {
    options: &'a DecodeOptions,
    out: Decoded,
    /// Bytes of common metadata that were repeated for records.
    repeated: usize,
}

impl Receiver<'_> {
    /// The stream and metadata of a resource.
    fn resource(&mut self, attributes: Attributes) -> Scope {
        let (mut labels, mut metadata) = (Pairs::new(), Vec::new());
        for (name, value) in attributes {
            if LABELS.contains(&name.as_str()) {
                labels.push((plain_name(&name), value.text()));
            } else {
                value.flatten(&plain_name(&name), &mut metadata);
            }
        }
        let mut labels = sorted(labels);
        labels.retain(|(_, value)| !value.is_empty());
        self.out.streams += 1;
        Scope { stream: self.out.stream(labels), metadata }
    }

    /// The same, with what a scope adds.
    fn scope(resource: &Scope, name: String, version: String, attributes: Attributes) -> Scope {
        let mut scope = resource.clone();
        for (key, text) in [("scope_name", name), ("scope_version", version)] {
            if !text.is_empty() {
                scope.metadata.push((key.to_owned(), text));
            }
        }
        for (name, value) in attributes {
            value.flatten(&plain_name(&name), &mut scope.metadata);
        }
        scope
    }

    fn record(&mut self, scope: &Scope, record: Record) -> Result<(), DecodeError> {
        // What is said once counts for each record, as it will be written with each.
        self.repeated +=
            scope.metadata.iter().map(|(name, text)| name.len() + text.len()).sum::<usize>();
        let limit = self.options.max_weight.map(|limit| limit.saturating_mul(MAX_GROWTH));
        if let Some(limit) = limit.filter(|limit| self.repeated > *limit) {
            let (size, limit) = (self.repeated as u64, limit as u64);
            return Err(DecodeError::TooLarge { size, limit });
        }
        let mut metadata = scope.metadata.clone();
        for (name, value) in record.attributes {
            value.flatten(&plain_name(&name), &mut metadata);
        }
        for (name, number) in [
            ("observed_timestamp", record.observed),
            ("severity_number", record.severity_number),
            ("dropped_attributes_count", record.dropped_attributes),
            ("flags", record.flags),
        ] {
            if number > 0 {
                metadata.push((name.to_owned(), number.to_string()));
            }
        }
        for (name, text) in [
            ("severity_text", record.severity_text),
            ("trace_id", record.trace),
            ("span_id", record.span),
            ("event_name", record.event),
        ] {
            if !text.is_empty() {
                metadata.push((name.to_owned(), text));
            }
        }
        let now = self.options.now;
        let (time, words) = match record.time {
            Moment::Nanoseconds(0) if record.observed == 0 => (Some(now), String::new()),
            Moment::Nanoseconds(0) => (i64::try_from(record.observed).ok(), String::new()),
            Moment::Nanoseconds(time) => (i64::try_from(time).ok(), time.to_string()),
            Moment::Words(words) => (None, words),
        };
        let mut metadata = sorted(metadata);
        let mut stream = scope.stream;
        if time.is_none() {
            if !words.is_empty() {
                set(&mut metadata, "timestamp", &words);
            }
            stream = self.out.invalid_stream(stream, "timestamp");
            self.out.invalid += 1;
        }
        let metadata = self.out.metadata(metadata);
        let line = record.body.into_line();
        self.out.push(self.options, (stream, time.unwrap_or(now), metadata), &line)
    }

    /// Keeps what is no record.
    fn no_record(&mut self, text: &[u8]) -> Result<(), DecodeError> {
        self.out.keep_text(self.options, text)
    }
}

/// A name of letters, digits and `_`.
fn plain_name(name: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || character == '_';
    name.chars().map(|character| if plain(character) { character } else { '_' }).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests;
