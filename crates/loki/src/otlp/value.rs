//! A value of OTLP, and how it looks as a line, a label or metadata.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::escape::push_escaped;

/// A value of any kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Value {
    #[default]
    None,
    /// Should be UTF-8, and stays as it is where it is not.
    Text(Vec<u8>),
    Bool(bool),
    Int(i64),
    Double(f64),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
    Bytes(Vec<u8>),
}

impl Value {
    /// As the line of a record.
    pub(super) fn into_line(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text,
            other => other.text().into_bytes(),
        }
    }

    /// As text: of a list or map as JSON, of bytes in base64.
    pub(super) fn text(&self) -> String {
        match self {
            Self::None => String::new(),
            Self::Text(text) => String::from_utf8_lossy(text).into_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Double(value) => value.to_string(),
            Self::Bytes(bytes) => STANDARD.encode(bytes),
            Self::List(_) | Self::Map(_) => {
                let mut out = String::new();
                self.push_json(&mut out);
                out
            }
        }
    }

    /// As metadata: a map becomes a pair for each of its values.
    pub(super) fn flatten(&self, name: &str, out: &mut Vec<(String, String)>) {
        match self {
            Self::None => {}
            Self::Map(values) if !values.is_empty() => {
                for (inner, value) in values {
                    value.flatten(&format!("{name}_{}", super::plain_name(inner)), out);
                }
            }
            other => out.push((name.to_owned(), other.text())),
        }
    }

    fn push_json(&self, out: &mut String) {
        match self {
            Self::None => out.push_str("null"),
            Self::Text(_) | Self::Bytes(_) => push_string(out, &self.text()),
            Self::Double(value) if !value.is_finite() => push_string(out, &value.to_string()),
            Self::Bool(_) | Self::Int(_) | Self::Double(_) => {
                // Writing into a string does not fail.
                let _written = write!(out, "{}", self.text());
            }
            Self::List(values) => {
                out.push('[');
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    value.push_json(out);
                }
                out.push(']');
            }
            Self::Map(values) => {
                out.push('{');
                for (index, (name, value)) in values.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    push_string(out, name);
                    out.push(':');
                    value.push_json(out);
                }
                out.push('}');
            }
        }
    }
}

fn push_string(out: &mut String, text: &str) {
    let mut escaped = Vec::with_capacity(text.len() + 2);
    push_escaped(&mut escaped, text);
    out.push('"');
    out.push_str(&String::from_utf8_lossy(&escaped));
    out.push('"');
}
