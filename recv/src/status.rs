//! The routes that say how the receiver is.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::response::IntoResponse;

use crate::shared::Shared;

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The Loki whose pushes are understood; clients compare it with what they need.
const LOKI: &str = "3.6.0";
const JSON: [(HeaderName, &str); 1] = [(CONTENT_TYPE, "application/json")];

/// `GET /ready`, as Loki answers it.
pub(crate) async fn ready() -> &'static str {
    "ready\n"
}

/// `GET /healthz`: the process is alive.
pub(crate) async fn healthz() -> impl IntoResponse {
    (JSON, r#"{"status":"ok"}"#)
}

/// `GET /readyz`: pushes are taken.
pub(crate) async fn readyz(State(shared): State<Shared>) -> impl IntoResponse {
    if shared.budget.is_tight() {
        let text = r#"{"status":"not_ready","reason":"writer backpressure"}"#;
        return (StatusCode::SERVICE_UNAVAILABLE, JSON, text);
    }
    if shared.workers.are_stuck() {
        let text = r#"{"status":"not_ready","reason":"no worker is free"}"#;
        return (StatusCode::SERVICE_UNAVAILABLE, JSON, text);
    }
    (StatusCode::OK, JSON, r#"{"status":"ok"}"#)
}

/// `GET /api/version`.
pub(crate) async fn version() -> impl IntoResponse {
    (JSON, format!("{{\"version\":\"{VERSION}\",\"api\":1}}\n"))
}

/// `GET /loki/api/v1/status/buildinfo`, which Loki's clients ask for.
pub(crate) async fn buildinfo() -> impl IntoResponse {
    let text = format!(
        "{{\"version\":\"{LOKI}\",\"revision\":\"logtap {VERSION}\",\"branch\":\"\",\
         \"buildUser\":\"\",\"buildDate\":\"\",\"goVersion\":\"\"}}"
    );
    (JSON, text)
}

/// `GET /metrics`.
pub(crate) async fn metrics(State(shared): State<Shared>) -> impl IntoResponse {
    let held = (shared.budget.in_flight() as u64, shared.budget.total() as u64);
    let text = shared.meters.render(&shared.intake.store, held);
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}
