//! Addresses that were meant otherwise: slashes too many, and which route somebody probably wants.

use axum::http::Uri;
use axum::http::uri::PathAndQuery;

/// Where most pushes go.
const PUSH: &str = "POST /loki/api/v1/push";

/// Takes doubled slashes and one at the end out of an address.
pub(crate) fn tidy(uri: &mut Uri) {
    let path = uri.path();
    let is_tidy = !path.contains("//") && (path.len() < 2 || !path.ends_with('/'));
    if is_tidy || !path.starts_with('/') {
        return;
    }
    let mut tidied = String::with_capacity(path.len());
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        tidied.push('/');
        tidied.push_str(segment);
    }
    if tidied.is_empty() {
        tidied.push('/');
    }
    if let Some(query) = uri.query() {
        tidied.push('?');
        tidied.push_str(query);
    }
    let mut parts = std::mem::take(uri).into_parts();
    parts.path_and_query = PathAndQuery::try_from(tidied).ok();
    // All of it was valid before.
    *uri = Uri::from_parts(parts).unwrap_or_default();
}

/// What to say to somebody who asks for something that is not here.
pub(crate) fn not_found(path: &str) -> String {
    let path = path.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| path.contains(word));
    if has(&["query", "/labels", "/label/", "/series", "/tail", "/rules"]) {
        return "404 page not found; a receiver stores and answers no queries: `logtap grep` does"
            .to_owned();
    }
    let meant = if has(&["otlp", "v1/logs", "opentelemetry"]) {
        "POST /otlp/v1/logs"
    } else if has(&["push", "loki"]) {
        PUSH
    } else if has(&["metric"]) {
        "GET /metrics"
    } else if has(&["ready"]) {
        "GET /readyz"
    } else if has(&["health", "live"]) {
        "GET /healthz"
    } else if has(&["version", "buildinfo"]) {
        "GET /api/version"
    } else if has(&["raw"]) {
        "POST /logtap/raw"
    } else if has(&["lines", "json", "bulk", "ingest", "logtap", "fluent"]) {
        "POST /logtap/lines"
    } else {
        PUSH
    };
    format!("404 page not found; `{meant}` was probably meant")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_too_many_are_taken_out() {
        for (given, tidied) in [
            ("/loki/api/v1/push", "/loki/api/v1/push"),
            ("/loki/api/v1/push/", "/loki/api/v1/push"),
            ("//loki//api/v1///push//?a=//b/", "/loki/api/v1/push?a=//b/"),
            ("/", "/"),
            ("//", "/"),
            ("*", "*"),
            ("http://host:1//ready/", "http://host:1/ready"),
        ] {
            let mut uri: Uri = given.parse().unwrap();
            tidy(&mut uri);
            assert_eq!(uri, tidied, "{given}");
        }
    }

    #[test]
    fn the_route_that_was_meant_is_named() {
        for (path, meant) in [
            ("/", "POST /loki/api/v1/push"),
            ("/loki/push", "POST /loki/api/v1/push"),
            ("/insert/loki/api/v1/push", "POST /loki/api/v1/push"),
            ("/OTLP/logs", "POST /otlp/v1/logs"),
            ("/health", "GET /healthz"),
            ("/_bulk", "POST /logtap/lines"),
            ("/loki/api/v1/query_range", "logtap grep"),
        ] {
            let text = not_found(path);
            assert!(text.starts_with("404 page not found") && text.contains(meant), "{text}");
        }
    }
}
