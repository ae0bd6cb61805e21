//! Which redirects of a webhook are followed: those that keep the body, to the host that was named.
//!
//! What a notice says, and the signature or token that goes with it, are for whom the user has named and for
//! nobody else. Refuses another host or port, and to go on without TLS where there was TLS.

use axum::http::StatusCode;
use reqwest::Url;
use reqwest::redirect::Policy;

/// How many redirects are followed.
const REDIRECTS: usize = 5;

/// Follows redirects that keep the body. After 301 to 303 the next request would be a GET.
pub(super) fn to_the_same_host() -> Policy {
    Policy::custom(|attempt| {
        let keeps = [StatusCode::TEMPORARY_REDIRECT, StatusCode::PERMANENT_REDIRECT];
        let named = attempt.previous().first();
        let is_same = named.is_some_and(|named| is_same_host(named, attempt.url()));
        if keeps.contains(&attempt.status()) && is_same && attempt.previous().len() <= REDIRECTS {
            attempt.follow()
        } else {
            attempt.stop()
        }
    })
}

/// Whether an address is of the host that was named: the same place, or the same host with TLS.
fn is_same_host(named: &Url, next: &Url) -> bool {
    let port = |url: &Url| url.port_or_known_default();
    let is_same_place = named.scheme() == next.scheme() && port(named) == port(next);
    let gets_tls = named.scheme() == "http" && next.scheme() == "https";
    named.host() == next.host() && (is_same_place || gets_tls)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_stays_with_the_host_that_was_named() {
        for (named, next, follows) in [
            ("http://hooks.example/a", "http://hooks.example/b", true),
            ("http://hooks.example/a", "http://HOOKS.example:80/b", true),
            ("http://hooks.example/a", "https://hooks.example/b", true),
            ("https://hooks.example/a", "http://hooks.example/a", false),
            ("http://hooks.example/a", "http://hooks.example:8080/a", false),
            ("http://hooks.example/a", "http://hooks.example.evil/a", false),
            ("http://hooks.example/a", "http://hooks.example@evil/a", false),
            ("http://127.0.0.1/a", "http://localhost/a", false),
        ] {
            let url = |text: &str| Url::parse(text).unwrap();
            assert_eq!(is_same_host(&url(named), &url(next)), follows, "{named} to {next}");
        }
    }
}
