//! OTLP's JSON form: the names of protobuf in camel case (or as they are), 64-bit numbers as text, ids
//! in hexadecimal, bytes in base64.
//!
//! Several requests may follow each other. What has unknown keys in the place of its list or its body is
//! kept as a line, as is what follows and is no request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::value::Value;
use super::{Attributes, Moment, Receiver, Record, Scope};
use crate::decoded::{DecodeOptions, Decoded};
use crate::error::DecodeError;
use crate::json::objects::{
    Item, Layout, Member, bytes_of, each_object, elements_of, inside, members_of, text_of,
};
use crate::json::without_mark;

/// Values in values: what is deeper stays JSON.
const MAX_DEPTH: usize = 16;

/// Takes a request apart. Decompress it first.
pub fn decode_otlp_json(body: &[u8], options: &DecodeOptions) -> Result<Decoded, DecodeError> {
    let body = without_mark(body.trim_ascii_start()).trim_ascii();
    if body.is_empty() {
        return Err(DecodeError::Empty);
    }
    if body.first() != Some(&b'{') {
        return Err(DecodeError::Json { position: 0, reason: "expected an object" });
    }
    let mut receiver = Receiver { options, out: Decoded::new(), repeated: 0 };
    let mut is_first = true;
    each_object(body, Layout::Concatenated, |item| {
        let was_first = std::mem::take(&mut is_first);
        match item {
            Item::Object(members, whole) => request(&mut receiver, &members, whole),
            // What begins as a request and is none is refused as a whole.
            Item::Other(text) if was_first || text.first() == Some(&b'{') => {
                let position = text.as_ptr().addr().wrapping_sub(body.as_ptr().addr());
                Err(DecodeError::Json { position, reason: "not an object from here on" })
            }
            Item::Other(text) => receiver.no_record(text),
        }
    })?;
    Ok(receiver.out.finish(options))
}

fn request(
    receiver: &mut Receiver<'_>,
    members: &[Member<'_>],
    whole: &[u8],
) -> Result<(), DecodeError> {
    let names: [&[u8]; 2] = [b"resourceLogs", b"resource_logs"];
    if is_otherwise(members, &names, &[]) {
        return receiver.no_record(whole);
    }
    // A name that comes twice adds to the list, as it does in protobuf.
    for (_, list) in members.iter().filter(|(name, list)| names.contains(name) && *list != b"null")
    {
        let reason = "expected an array of resources";
        let list = elements_of(list).ok_or(DecodeError::Json { position: 0, reason })?;
        for logs in list {
            match members_of(logs) {
                Some(members) => resource(receiver, &members, logs)?,
                None => receiver.no_record(logs)?,
            }
        }
    }
    Ok(())
}

/// Whether an object has none of the names that hold what it is for, and others beside those that go with
/// them.
fn is_otherwise(members: &[Member<'_>], names: &[&[u8]], beside: &[&[u8]]) -> bool {
    let has = |wanted: &[&[u8]]| members.iter().any(|(name, _)| wanted.contains(name));
    let is_other = |(name, value): &Member<'_>| *value != b"null" && !beside.contains(name);
    !has(names) && members.iter().any(is_other)
}

fn resource(
    receiver: &mut Receiver<'_>,
    logs: &[Member<'_>],
    whole: &[u8],
) -> Result<(), DecodeError> {
    if is_otherwise(
        logs,
        &[b"scopeLogs", b"scope_logs"],
        &[b"resource", b"schemaUrl", b"schema_url"],
    ) {
        return receiver.no_record(whole);
    }
    let described = find(logs, "resource", "resource").and_then(members_of).unwrap_or_default();
    let resource = receiver.resource(attributes(&described));
    let scopes = find(logs, "scopeLogs", "scope_logs").unwrap_or(b"[]");
    let Some(scopes) = elements_of(scopes) else { return receiver.no_record(scopes) };
    for logs in scopes {
        match members_of(logs) {
            Some(members) => scope(receiver, &resource, &members, logs)?,
            None => receiver.no_record(logs)?,
        }
    }
    Ok(())
}

fn scope(
    receiver: &mut Receiver<'_>,
    resource: &Scope,
    logs: &[Member<'_>],
    whole: &[u8],
) -> Result<(), DecodeError> {
    if is_otherwise(
        logs,
        &[b"logRecords", b"log_records"],
        &[b"scope", b"schemaUrl", b"schema_url"],
    ) {
        return receiver.no_record(whole);
    }
    let described = find(logs, "scope", "scope").and_then(members_of).unwrap_or_default();
    let name = find(&described, "name", "name").map(text_of).unwrap_or_default();
    let version = find(&described, "version", "version").map(text_of).unwrap_or_default();
    let scope = Receiver::scope(resource, name, version, attributes(&described));
    let records = find(logs, "logRecords", "log_records").unwrap_or(b"[]");
    let Some(records) = elements_of(records) else { return receiver.no_record(records) };
    for text in records {
        match members_of(text) {
            Some(members) if is_otherwise(&members, &[b"body"], RECORD) => {
                receiver.no_record(text)?;
            }
            Some(members) => receiver.record(&scope, record(&members))?,
            None => receiver.no_record(text)?,
        }
    }
    Ok(())
}

/// What a record may have beside its body.
const RECORD: &[&[u8]] = &[
    b"timeUnixNano",
    b"time_unix_nano",
    b"observedTimeUnixNano",
    b"observed_time_unix_nano",
    b"severityNumber",
    b"severity_number",
    b"severityText",
    b"severity_text",
    b"attributes",
    b"droppedAttributesCount",
    b"dropped_attributes_count",
    b"flags",
    b"traceId",
    b"trace_id",
    b"spanId",
    b"span_id",
    b"eventName",
    b"event_name",
];

fn record(members: &[Member<'_>]) -> Record {
    let number = |name, other| find(members, name, other).map(number).unwrap_or_default();
    let text = |name, other| find(members, name, other).map(text_of).unwrap_or_default();
    Record {
        time: find(members, "timeUnixNano", "time_unix_nano").map(moment).unwrap_or_default(),
        observed: number("observedTimeUnixNano", "observed_time_unix_nano"),
        severity_number: find(members, "severityNumber", "severity_number")
            .map(severity)
            .unwrap_or_default(),
        severity_text: text("severityText", "severity_text"),
        body: find(members, "body", "body").map(|text| value(text, 0)).unwrap_or_default(),
        attributes: attributes(members),
        dropped_attributes: number("droppedAttributesCount", "dropped_attributes_count"),
        flags: number("flags", "flags"),
        trace: text("traceId", "trace_id"),
        span: text("spanId", "span_id"),
        event: text("eventName", "event_name"),
    }
}

fn attributes(members: &[Member<'_>]) -> Attributes {
    find(members, "attributes", "attributes").map(|list| pairs(list, 0)).unwrap_or_default()
}

fn pairs(list: &[u8], depth: usize) -> Attributes {
    let pair = |text: &[u8]| {
        let members = members_of(text)?;
        let name = find(&members, "key", "key").map(text_of).unwrap_or_default();
        let held = find(&members, "value", "value").map(|text| value(text, depth));
        Some((name, held.unwrap_or_default()))
    };
    elements_of(list).unwrap_or_default().into_iter().filter_map(pair).collect()
}

fn value(text: &[u8], depth: usize) -> Value {
    let members = members_of(text).unwrap_or_default();
    let Some((kind, held)) = members.first().filter(|_| depth <= MAX_DEPTH) else {
        // Not as it should be, or too deep, but it says something.
        return if matches!(text, b"{}" | b"null") {
            Value::None
        } else {
            Value::Text(text.to_vec())
        };
    };
    match *kind {
        b"stringValue" | b"string_value" => Value::Text(bytes_of(held)),
        b"boolValue" | b"bool_value" => Value::Bool(inside(held) == b"true"),
        b"intValue" | b"int_value" => {
            let number = std::str::from_utf8(inside(held)).ok().and_then(|text| text.parse().ok());
            number.map_or_else(|| Value::Text(bytes_of(held)), Value::Int)
        }
        b"doubleValue" | b"double_value" => {
            let number = std::str::from_utf8(inside(held)).ok().and_then(|text| text.parse().ok());
            number.map_or_else(|| Value::Text(bytes_of(held)), Value::Double)
        }
        b"bytesValue" | b"bytes_value" => match STANDARD.decode(inside(held)) {
            Ok(bytes) => Value::Bytes(bytes),
            Err(_) => Value::Text(bytes_of(held)),
        },
        b"arrayValue" | b"array_value" => {
            let members = members_of(held).unwrap_or_default();
            let values = find(&members, "values", "values").and_then(elements_of);
            let values = values.unwrap_or_default();
            Value::List(values.into_iter().map(|text| value(text, depth + 1)).collect())
        }
        b"kvlistValue" | b"kvlist_value" => {
            let members = members_of(held).unwrap_or_default();
            let values = find(&members, "values", "values");
            Value::Map(values.map(|list| pairs(list, depth + 1)).unwrap_or_default())
        }
        _ => Value::Text(text.to_vec()),
    }
}

fn find<'a>(members: &[Member<'a>], name: &str, other: &str) -> Option<&'a [u8]> {
    let is = |known: &[u8]| known == name.as_bytes() || known == other.as_bytes();
    let found = members.iter().rev().find(|(known, _)| is(known))?;
    (found.1 != b"null").then_some(found.1)
}

fn number(text: &[u8]) -> u64 {
    parse(text).unwrap_or(0)
}

/// A number that is not negative, as text or not; some write it with an exponent.
fn parse(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(inside(text)).ok()?.trim();
    let of_float = || {
        let float: f64 = text.parse().ok()?;
        // Beyond 2^64 and below zero there is none.
        let fits = float.fract() == 0.0 && (0.0..18_446_744_073_709_551_616.0).contains(&float);
        fits.then_some(float as u64)
    };
    text.parse().ok().or_else(of_float)
}

fn moment(text: &[u8]) -> Moment {
    match parse(text) {
        Some(time) => Moment::Nanoseconds(time),
        None if inside(text).is_empty() => Moment::default(),
        None => Moment::Words(text_of(text)),
    }
}

/// A severity by its number or by its name, such as `SEVERITY_NUMBER_INFO2`.
fn severity(text: &[u8]) -> u64 {
    const NAMES: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
    let named = || {
        let name = std::str::from_utf8(inside(text)).ok()?.strip_prefix("SEVERITY_NUMBER_")?;
        NAMES.iter().zip([1, 5, 9, 13, 17, 21]).find_map(|(known, first)| {
            match name.strip_prefix(known)? {
                "" => Some(first),
                "2" => Some(first + 1),
                "3" => Some(first + 2),
                "4" => Some(first + 3),
                _ => None,
            }
        })
    };
    parse(text).or_else(named).unwrap_or(0)
}
