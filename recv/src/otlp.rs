//! How a push of OTLP is answered: in the form in which it came, and with 200.
//!
//! A line that is kept although something is wrong with it is not a rejected one: it comes back as a
//! warning, which is a partial success without rejections.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use logtap_loki::push_escaped;

use crate::push::{Refusal, Stored};

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/x-protobuf";

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerForm {
    Json,
    Protobuf,
}

impl AnswerForm {
    /// The form in which a request came.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let json = media.is_some_and(|media| media.to_ascii_lowercase().starts_with(JSON));
        if json { Self::Json } else { Self::Protobuf }
    }

    /// The answer to a push that was stored.
    pub(crate) fn stored(self, stored: &Stored) -> Response {
        let (rejected, message) = match &stored.refused {
            Some((lines, refusal)) => (*lines, refusal.text.clone()),
            None if stored.invalid > 0 => {
                let text = "entries were not as they should be and are stored with the label \
                            logtap_invalid";
                (0, format!("{} {text}", stored.invalid))
            }
            None => return self.response(StatusCode::OK, b"{}".to_vec(), Vec::new()),
        };
        let json = format!(
            "{{\"partialSuccess\":{{\"rejectedLogRecords\":\"{rejected}\",\"errorMessage\":\"{}\"}}}}",
            escaped(&message)
        );
        let mut partial = Vec::new();
        if rejected > 0 {
            partial.push(1 << 3);
            push_varint(&mut partial, rejected);
        }
        push_text(&mut partial, 2, message.as_bytes());
        let mut protobuf = Vec::new();
        push_text(&mut protobuf, 1, &partial);
        self.response(StatusCode::OK, json.into_bytes(), protobuf)
    }

    /// The answer to a push that was not stored: a status of Google's kind.
    pub(crate) fn refused(self, refusal: &Refusal) -> Response {
        // OTLP's senders try again after 429, 502, 503 and 504 only.
        let status = match refusal.status {
            StatusCode::INTERNAL_SERVER_ERROR | StatusCode::REQUEST_TIMEOUT => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            status => status,
        };
        let json = format!("{{\"message\":\"{}\"}}", escaped(&refusal.text)).into_bytes();
        let mut protobuf = Vec::new();
        push_text(&mut protobuf, 2, refusal.text.as_bytes());
        let mut response = self.response(status, json, protobuf);
        if let Some(seconds) = refusal.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    fn response(self, status: StatusCode, json: Vec<u8>, protobuf: Vec<u8>) -> Response {
        let (media, body) = match self {
            Self::Json => (JSON, json),
            Self::Protobuf => (PROTOBUF, protobuf),
        };
        (status, [(CONTENT_TYPE, HeaderValue::from_static(media))], Body::from(body))
            .into_response()
    }
}

fn escaped(text: &str) -> String {
    let mut out = Vec::new();
    push_escaped(&mut out, text);
    String::from_utf8_lossy(&out).into_owned()
}

fn push_text(out: &mut Vec<u8>, field: u8, text: &[u8]) {
    out.push(field << 3 | 2);
    push_varint(out, text.len() as u64);
    out.extend_from_slice(text);
}

fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 127 {
        out.push(value as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
}
