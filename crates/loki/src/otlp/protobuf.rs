//! OTLP's protobuf form.
//!
//! ```text
//! Request   { repeated ResourceLogs = 1 }
//! ResourceLogs { Resource = 1 { repeated KeyValue = 1 }  repeated ScopeLogs = 2 }
//! ScopeLogs { Scope = 1 { name = 1  version = 2  repeated KeyValue = 3 }  repeated Record = 2 }
//! Record    { fixed64 time = 1  severity_number = 2  severity_text = 3  Value body = 5  repeated KeyValue = 6
//!             dropped = 7  fixed32 flags = 8  bytes trace = 9  bytes span = 10  fixed64 observed = 11  event = 12 }
//! KeyValue  { key = 1  Value = 2 }
//! Value     { text = 1 | bool = 2 | int = 3 | double = 4 | List = 5 { repeated Value = 1 }
//!             | Map = 6 { repeated KeyValue = 1 } | bytes = 7 }
//! ```
//! A message that has unknown fields in the place of its list or its body is kept as a line; a known field
//! of another kind is refused.

use std::fmt::Write as _;

use super::value::Value;
use super::{Attributes, Moment, Receiver, Record, Scope, text};
use crate::decoded::{DecodeOptions, Decoded};
use crate::error::DecodeError;
use crate::protobuf::{Fields, Value as Field};

/// Values in values: what is deeper stays bytes.
const MAX_DEPTH: usize = 16;

/// Takes a request apart. Decompress it first.
pub fn decode_otlp(body: &[u8], options: &DecodeOptions) -> Result<Decoded, DecodeError> {
    let mut decoder = Decoder {
        start: body.as_ptr().addr(),
        receiver: Receiver { options, out: Decoded::new(), repeated: 0 },
    };
    let (mut is_request, mut has_more) = (false, false);
    let mut fields = Fields::of(body);
    while let Some((field, value)) = fields.next(decoder.start)? {
        match (field, value) {
            (1, Field::Bytes(logs)) => {
                is_request = true;
                decoder.resource(logs)?;
            }
            (1, _) => return Err(fields.unexpected(decoder.start)),
            (_, Field::Bytes(_)) => has_more = true,
            _ => {}
        }
    }
    if has_more && !is_request {
        decoder.receiver.no_record(body)?;
    }
    Ok(decoder.receiver.out.finish(options))
}

struct Decoder<'a> {
    /// Where the body begins, to say where it is wrong.
    start: usize,
    receiver: Receiver<'a>,
}

impl Decoder<'_> {
    fn resource(&mut self, body: &[u8]) -> Result<(), DecodeError> {
        let (mut attributes, mut scopes, mut has_more) = (Attributes::new(), Vec::new(), false);
        let mut fields = Fields::of(body);
        while let Some((field, value)) = fields.next(self.start)? {
            match (field, value) {
                (1, Field::Bytes(resource)) => self.attributes(resource, 1, &mut attributes)?,
                (2, Field::Bytes(scope)) => scopes.push(scope),
                (1 | 2, _) => return Err(fields.unexpected(self.start)),
                (4.., Field::Bytes(_)) => has_more = true,
                _ => {}
            }
        }
        if has_more && scopes.is_empty() {
            return self.receiver.no_record(body);
        }
        let resource = self.receiver.resource(attributes);
        for scope in scopes {
            self.scope(&resource, scope)?;
        }
        Ok(())
    }

    fn scope(&mut self, resource: &Scope, body: &[u8]) -> Result<(), DecodeError> {
        let (mut name, mut version) = (String::new(), String::new());
        let (mut attributes, mut records, mut has_more) = (Attributes::new(), Vec::new(), false);
        let mut fields = Fields::of(body);
        while let Some((field, value)) = fields.next(self.start)? {
            match (field, value) {
                (1, Field::Bytes(scope)) => {
                    self.attributes(scope, 3, &mut attributes)?;
                    let mut fields = Fields::of(scope);
                    while let Some((field, value)) = fields.next(self.start)? {
                        match (field, value) {
                            (1, Field::Bytes(value)) => name = text(value),
                            (2, Field::Bytes(value)) => version = text(value),
                            _ => {}
                        }
                    }
                }
                (2, Field::Bytes(record)) => records.push(record),
                (1 | 2, _) => return Err(fields.unexpected(self.start)),
                (4.., Field::Bytes(_)) => has_more = true,
                _ => {}
            }
        }
        if has_more && records.is_empty() {
            return self.receiver.no_record(body);
        }
        let scope = Receiver::scope(resource, name, version, attributes);
        for record in records {
            match self.record(record)? {
                Some(record) => self.receiver.record(&scope, record)?,
                None => self.receiver.no_record(record)?,
            }
        }
        Ok(())
    }

    /// A record; none if it has something else in the place of its body.
    fn record(&self, body: &[u8]) -> Result<Option<Record>, DecodeError> {
        let mut record = Record::default();
        let (mut has_body, mut has_more) = (false, false);
        let mut fields = Fields::of(body);
        while let Some((field, value)) = fields.next(self.start)? {
            match (field, value) {
                (1, Field::Fixed(time)) => record.time = Moment::Nanoseconds(time),
                (2, Field::Number(number)) => record.severity_number = number,
                (3, Field::Bytes(value)) => record.severity_text = text(value),
                (5, Field::Bytes(value)) => {
                    has_body = true;
                    record.body = self.value(value, 0)?;
                }
                (6, Field::Bytes(pair)) => record.attributes.push(self.pair(pair, 0)?),
                (7, Field::Number(number)) => record.dropped_attributes = number,
                (8, Field::Fixed(flags)) => record.flags = flags,
                (9, Field::Bytes(id)) => record.trace = hexadecimal(id),
                (10, Field::Bytes(id)) => record.span = hexadecimal(id),
                (11, Field::Fixed(time)) => record.observed = time,
                (12, Field::Bytes(value)) => record.event = text(value),
                (1..=3 | 5..=12, _) => return Err(fields.unexpected(self.start)),
                (13.., Field::Bytes(_)) => has_more = true,
                _ => {}
            }
        }
        Ok((has_body || !has_more).then_some(record))
    }

    /// Collects the pairs that are a field of a message.
    fn attributes(
        &self,
        body: &[u8],
        wanted: u64,
        out: &mut Attributes,
    ) -> Result<(), DecodeError> {
        let mut fields = Fields::of(body);
        while let Some((field, value)) = fields.next(self.start)? {
            match (field == wanted, value) {
                (true, Field::Bytes(pair)) => out.push(self.pair(pair, 0)?),
                (true, _) => return Err(fields.unexpected(self.start)),
                _ => {}
            }
        }
        Ok(())
    }

    fn pair(&self, body: &[u8], depth: usize) -> Result<(String, Value), DecodeError> {
        let (mut name, mut held) = (String::new(), Value::None);
        let mut fields = Fields::of(body);
        while let Some((field, value)) = fields.next(self.start)? {
            match (field, value) {
                (1, Field::Bytes(value)) => name = text(value),
                (2, Field::Bytes(value)) => held = self.value(value, depth)?,
                (1 | 2, _) => return Err(fields.unexpected(self.start)),
                _ => {}
            }
        }
        Ok((name, held))
    }

    fn value(&self, body: &[u8], depth: usize) -> Result<Value, DecodeError> {
        if depth > MAX_DEPTH {
            return Ok(Value::Bytes(body.to_vec()));
        }
        let mut held = Value::None;
        let mut fields = Fields::of(body);
        while let Some((field, value)) = fields.next(self.start)? {
            held = match (field, value) {
                (1, Field::Bytes(text)) => Value::Text(text.to_vec()),
                (2, Field::Number(value)) => Value::Bool(value != 0),
                (3, Field::Number(value)) => Value::Int(value as i64),
                (4, Field::Fixed(value)) => Value::Double(f64::from_bits(value)),
                (5, Field::Bytes(list)) => {
                    let mut values = Vec::new();
                    let mut fields = Fields::of(list);
                    while let Some((field, value)) = fields.next(self.start)? {
                        if let (1, Field::Bytes(value)) = (field, value) {
                            values.push(self.value(value, depth + 1)?);
                        }
                    }
                    Value::List(values)
                }
                (6, Field::Bytes(map)) => {
                    let mut values = Attributes::new();
                    let mut fields = Fields::of(map);
                    while let Some((field, value)) = fields.next(self.start)? {
                        if let (1, Field::Bytes(pair)) = (field, value) {
                            values.push(self.pair(pair, depth + 1)?);
                        }
                    }
                    Value::Map(values)
                }
                (7, Field::Bytes(bytes)) => Value::Bytes(bytes.to_vec()),
                (1..=7, _) => return Err(fields.unexpected(self.start)),
                _ => held,
            };
        }
        Ok(held)
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing into a string does not fail.
        let _written = write!(out, "{byte:02x}");
    }
    out
}
