//! The routes: who may use them, and from a request to an answer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use logtap_capture::Timestamp;
use logtap_loki::Mapping;

use crate::audit::{AuditEvent, AuditRecord};
use crate::connection::Peer;
use crate::credentials::is_known;
use crate::otlp::AnswerForm;
use crate::places::not_found;
use crate::push::{Dialect, Form, Refusal, Stored};
use crate::shared::Shared;
use crate::sources::Taken;
use crate::status;

/// So many keys of JSON objects one address may name: each is looked for in every object.
const MAX_KEYS: usize = 64;

/// All routes. Those that only tell whether the receiver lives are open to everybody.
pub(crate) fn routes(shared: Shared) -> Router {
    let open = Router::new()
        .route("/ready", get(status::ready))
        .route("/healthz", get(status::healthz))
        .route("/readyz", get(status::readyz));
    Router::new()
        .route("/loki/api/v1/push", post(push))
        .route("/api/prom/push", post(push))
        .route("/otlp/v1/logs", post(otlp))
        .route("/v1/logs", post(otlp))
        .route("/logtap/raw", post(raw))
        .route("/logtap/lines", post(records))
        .route("/metrics", get(status::metrics))
        .route("/api/version", get(status::version))
        .route("/loki/api/v1/status/buildinfo", get(status::buildinfo))
        .fallback(missing)
        .layer(from_fn_with_state(shared.clone(), only_who_is_known))
        .merge(open)
        .with_state(shared)
}

async fn only_who_is_known(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    if is_known(&shared.credentials, request.headers()) {
        return next.run(request).await;
    }
    shared.meters.unknown_sender.add(1);
    shared.notices.give("unknown sender", || {
        let peer = request.extensions().get::<Peer>();
        let peer = peer.map_or_else(|| "a sender".to_owned(), |peer| peer.0.ip().to_string());
        format!("{peer} sends without the right token or password (see --auth); it got 401")
    });
    let mut response = plain(StatusCode::UNAUTHORIZED, "the sender is not known");
    let ways = HeaderValue::from_static("Bearer, Basic realm=\"logtap\"");
    response.headers_mut().insert(WWW_AUTHENTICATE, ways);
    response
}

/// Whatever is not here.
async fn missing(State(shared): State<Shared>, request: Request) -> Response {
    let path = request.uri().path();
    let text = not_found(path);
    shared.notices.give("404", || {
        let peer = request.extensions().get::<Peer>();
        let peer = peer.map_or_else(|| "a sender".to_owned(), |peer| peer.0.ip().to_string());
        format!("{peer} asks for `{}`: {text}", shared.intake.store.told(path))
    });
    plain(StatusCode::NOT_FOUND, &text)
}

/// `POST /loki/api/v1/push` and the older `POST /api/prom/push`.
async fn push(State(shared): State<Shared>, request: Request) -> Response {
    answer(shared, request, Dialect::Loki).await
}

/// `POST /logtap/raw`: lines as they are in a capture.
async fn raw(State(shared): State<Shared>, request: Request) -> Response {
    answer(shared, request, Dialect::Raw).await
}

/// `POST /otlp/v1/logs`, and `POST /v1/logs` as exporters have it by default.
async fn otlp(State(shared): State<Shared>, request: Request) -> Response {
    let form = AnswerForm::of(request.headers());
    match outcome(&shared, request, Dialect::Otlp).await {
        Ok(stored) => form.stored(&stored),
        Err(refusal) => form.refused(&refusal),
    }
}

/// `POST /logtap/lines`: JSON objects; `?message=KEY&time=KEY&level=KEY&label=KEY=NAME` names keys.
async fn records(State(shared): State<Shared>, request: Request) -> Response {
    let mut mapping = Mapping::clone(&shared.mapping);
    let query = request.uri().query().unwrap_or_default();
    let keys = query.split(['&', ',']).count();
    if keys > MAX_KEYS {
        shared.meters.undecodable.add(1);
        let text = format!(
            "the address names {keys} keys, more than {MAX_KEYS}; `recv --json-key` takes any number"
        );
        return plain(StatusCode::BAD_REQUEST, &text);
    }
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let known = part.split_once('=').is_some_and(|(kind, keys)| {
            keys.split(',').all(|key| !key.is_empty() && mapping.add(kind, key))
        });
        if !known {
            shared.meters.undecodable.add(1);
            let text = format!(
                "`{part}` is no mapping of keys: message=KEY, time=KEY, level=KEY or label=KEY"
            );
            return plain(StatusCode::BAD_REQUEST, &shared.intake.store.told(&text));
        }
    }
    answer(shared, request, Dialect::Records(Box::new(mapping))).await
}

/// Takes a push and answers as Loki does.
async fn answer(shared: Shared, request: Request, dialect: Dialect) -> Response {
    let refusal = match outcome(&shared, request, dialect).await {
        Ok(Stored { refused: None, .. }) => return StatusCode::NO_CONTENT.into_response(),
        Ok(Stored { refused: Some((_, refusal)), .. }) | Err(refusal) => refusal,
    };
    let mut response = plain(refusal.status, &refusal.text);
    if let Some(seconds) = refusal.retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Takes a push and counts what became of it.
async fn outcome(shared: &Shared, request: Request, dialect: Dialect) -> Result<Stored, Refusal> {
    let begun = Instant::now();
    let meters = &shared.meters;
    let event = match dialect {
        Dialect::Loki => AuditEvent::LokiPushReceived,
        _ => AuditEvent::RawPushReceived,
    };
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
    let outcome = take_push(shared, request, dialect).await;
    meters.durations.observe(begun.elapsed());
    let refusal = match outcome {
        Ok(mut stored) => {
            meters.accepted.add(1);
            meters.invalid_lines.add(stored.invalid);
            meters.empty_streams.add(stored.empty_streams);
            meters.odd_times.add(stored.oddity.lines);
            meters.missing_lines.add(stored.taken.missing);
            meters.clashes.add(stored.taken.clashes);
            tell_of_oddities(shared, &stored, peer);
            meters.strict_lines.add(stored.refused.as_ref().map_or(0, |(lines, _)| *lines));
            if let Some(trail) = &shared.trail {
                let record = AuditRecord::new(event).lines(stored.taken.lines, stored.taken.bytes);
                trail.write(record.from(peer).took(begun.elapsed())).await;
            }
            if let Some((lines, refusal)) = &mut stored.refused {
                refusal.text = shared.intake.store.told(&refusal.text);
                audit_refusal(shared, refusal, *lines, peer, begun);
            }
            return Ok(stored);
        }
        Err(Failure::OnPurpose(status)) => {
            meters.faults.add(1);
            Refusal::later(status, "this failure is on purpose (--fault)", 1)
        }
        Err(Failure::Refused(mut refusal)) => {
            // It may quote what was sent, and it goes further than to its sender.
            refusal.text = shared.intake.store.told(&refusal.text);
            let meter = match refusal.status {
                StatusCode::PAYLOAD_TOO_LARGE => &meters.too_large,
                StatusCode::TOO_MANY_REQUESTS => &meters.put_off,
                status if status.is_client_error() => &meters.undecodable,
                _ => &meters.failed,
            };
            meter.add(1);
            tell(shared, &refusal);
            refusal
        }
    };
    audit_refusal(shared, &refusal, 0, peer, begun);
    Err(refusal)
}

/// Has a refusal noted down; it is answered without waiting for that, for the disk may be the reason.
fn audit_refusal(
    shared: &Shared,
    refusal: &Refusal,
    lines: u64,
    peer: Option<IpAddr>,
    begun: Instant,
) {
    let Some(trail) = &shared.trail else { return };
    let record = AuditRecord::new(AuditEvent::PushRefused).from(peer).took(begun.elapsed());
    let record = record.lines(lines, 0).status(refusal.status.as_u16());
    trail.note(record.detail(refusal.text.as_str()));
}

/// Tells the person who runs the receiver what was odd about a push that was stored.
fn tell_of_oddities(shared: &Shared, stored: &Stored, peer: Option<IpAddr>) {
    let peer = || peer.map_or_else(|| "a sender".to_owned(), |peer| peer.to_string());
    if stored.invalid > 0 {
        shared.notices.give("invalid", || {
            format!(
                "{} of a push of {} stored with the label logtap_invalid, whose value says what \
                 is wrong",
                plural(stored.invalid, "entry", "entries"),
                peer()
            )
        });
    }
    for text in &stored.oddity.texts {
        shared.notices.tell(text.clone());
    }
    let Taken { missing, clashes, .. } = stored.taken;
    if missing > 0 {
        shared.notices.give("missing lines", || {
            format!(
                "{} that {} numbered did not come; they are stored if they come later",
                plural(missing, "line", "lines"),
                peer()
            )
        });
    }
    if clashes > 0 {
        shared.notices.give("clashes", || {
            format!(
                "two collectors number their lines as one source, one of them at {}: the state (spool \
                 directory) of one was copied; the lines of both are stored, some perhaps twice; start one \
                 of them with an empty spool directory",
                peer()
            )
        });
    }
    if stored.empty_streams > 0 {
        shared.notices.give("empty streams", || {
            format!(
                "{} of a push of {} came without a line; the entries of a stream are in `values`",
                plural(stored.empty_streams, "stream", "streams"),
                peer()
            )
        });
    }
}

fn plural(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

/// Tells the person who runs the receiver what its senders run into.
fn tell(shared: &Shared, refusal: &Refusal) {
    let text = &refusal.text;
    match refusal.status {
        StatusCode::PAYLOAD_TOO_LARGE => shared.notices.give("413", || {
            format!(
                "a push was refused with 413: {text}; raise --max-body or let senders batch less"
            )
        }),
        StatusCode::TOO_MANY_REQUESTS => {
            shared.notices.give("429", || format!("senders are throttled with 429: {text}"));
        }
        StatusCode::SERVICE_UNAVAILABLE => shared.notices.give("503", || {
            format!(
                "pushes cannot be stored: {text}; check room and permissions in `{}`",
                shared.intake.store.directory().display()
            )
        }),
        // The two are told apart: one may be a stranger's, the other the fault that somebody looks for.
        StatusCode::UNPROCESSABLE_ENTITY => {
            shared.notices.give("422", || format!("a push was refused with 422: {text}"));
        }
        status => shared
            .notices
            .give("400", || format!("a push was refused with {}: {text}", status.as_u16())),
    }
}

enum Failure {
    OnPurpose(StatusCode),
    Refused(Refusal),
}

impl<Cause: Into<Refusal>> From<Cause> for Failure {
    fn from(cause: Cause) -> Self {
        Self::Refused(cause.into())
    }
}

async fn take_push(shared: &Shared, request: Request, dialect: Dialect) -> Result<Stored, Failure> {
    let (head, body) = request.into_parts();
    let form = Form::of(dialect, &head.headers, &shared.intake)?;
    let held = shared.budget.read(&head.headers, body).await?;
    shared.meters.received_bytes.add(held.bytes.len() as u64);
    let (delay, fault) = shared.faults.next();
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    if let Some(status) = fault {
        return Err(Failure::OnPurpose(status));
    }
    let now = Timestamp::now().0;
    let intake = Arc::clone(&shared.intake);
    let meters = Arc::clone(&shared.meters);
    meters.waiting.add(1);
    let workers = Arc::clone(&shared.workers);
    let stored = tokio::task::spawn_blocking(move || {
        let _busy = workers.begin();
        // The body's part of the budget is given back here, also if the sender has gone away.
        let held = held;
        let outcome = intake.take(&form, &held.bytes, now);
        meters.waiting.take_away(1);
        outcome
    });
    let stored = stored.await.unwrap_or_else(|_| {
        Err(Refusal::later(StatusCode::SERVICE_UNAVAILABLE, "receiver is stopping", 5))
    });
    Ok(stored?)
}

/// An answer as Loki and its predecessor give it: one line of text.
pub(crate) fn plain(status: StatusCode, text: &str) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (status, headers, Body::from(format!("{text}\n"))).into_response()
}
