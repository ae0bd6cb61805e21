//! What services hand out: tokens with a prefix, JSON web tokens, bearer tokens, private keys.
//!
//! All of them begin with, or contain, one of [`LITERALS`], which are searched for together.

use super::bytes::{Found, at, before, is_at, is_at_any_case, is_word, run_end};
use super::{Pattern, Patterns};

/// What is searched for, and what it may be the sign of.
pub(super) const LITERALS: [(&[u8], Sign); 70] = {
    use Sign::{Address, Bearer, Jwt, PrivateKey, Token, Url};
    [
        (b"eyJ", Jwt),
        (b"://", Url),
        (b"%40", Address),
        (b"-----BEGIN ", PrivateKey),
        // The middle of "bearer", in every case.
        (b"rer", Bearer),
        (b"reR", Bearer),
        (b"rEr", Bearer),
        (b"rER", Bearer),
        (b"Rer", Bearer),
        (b"ReR", Bearer),
        (b"REr", Bearer),
        (b"RER", Bearer),
        // Amazon, Alibaba
        (b"AKIA", Token(UPPER, 16, 16)),
        (b"ASIA", Token(UPPER, 16, 16)),
        (b"ABIA", Token(UPPER, 16, 16)),
        (b"ACCA", Token(UPPER, 16, 16)),
        (b"LTAI", Token(ALPHANUMERIC, 12, 26)),
        // GitHub, GitLab
        (b"ghp_", Token(ALPHANUMERIC, 36, 255)),
        (b"gho_", Token(ALPHANUMERIC, 36, 255)),
        (b"ghu_", Token(ALPHANUMERIC, 36, 255)),
        (b"ghs_", Token(ALPHANUMERIC, 36, 255)),
        (b"ghr_", Token(ALPHANUMERIC, 36, 255)),
        (b"github_pat_", Token(WORD, 22, 255)),
        (b"glpat-", Token(BASE64_URL, 20, 300)),
        (b"gldt-", Token(BASE64_URL, 20, 300)),
        (b"glptt-", Token(BASE64_URL, 20, 300)),
        (b"glrt-", Token(BASE64_URL, 20, 300)),
        // Slack
        (b"xoxb-", Token(BASE64_URL, 10, 300)),
        (b"xoxp-", Token(BASE64_URL, 10, 300)),
        (b"xoxa-", Token(BASE64_URL, 10, 300)),
        (b"xoxr-", Token(BASE64_URL, 10, 300)),
        (b"xoxs-", Token(BASE64_URL, 10, 300)),
        (b"xoxe-", Token(BASE64_URL, 10, 300)),
        (b"xapp-", Token(BASE64_URL, 10, 300)),
        (b"hooks.slack.com/services/", Token(PATH, 20, 300)),
        // Stripe
        (b"sk_live_", Token(ALPHANUMERIC, 16, 300)),
        (b"sk_test_", Token(ALPHANUMERIC, 16, 300)),
        (b"rk_live_", Token(ALPHANUMERIC, 16, 300)),
        (b"rk_test_", Token(ALPHANUMERIC, 16, 300)),
        (b"whsec_", Token(BASE64, 24, 300)),
        // Google
        (b"AIza", Token(BASE64_URL, 35, 35)),
        (b"ya29.", Token(BASE64_URL, 20, 2000)),
        (b"GOCSPX-", Token(BASE64_URL, 20, 64)),
        // Models: OpenAI, Anthropic, Hugging Face
        (b"sk-", Token(BASE64_URL, 32, 300)),
        (b"hf_", Token(ALPHANUMERIC, 30, 64)),
        // Package registries
        (b"npm_", Token(ALPHANUMERIC, 36, 36)),
        (b"pypi-AgE", Token(BASE64_URL, 50, 1000)),
        (b"rubygems_", Token(ALPHANUMERIC, 48, 48)),
        (b"dckr_pat_", Token(BASE64_URL, 20, 64)),
        // Mail
        (b"SG.", Token(DOTTED, 60, 80)),
        (b"xkeysib-", Token(BASE64_URL, 64, 128)),
        // Clouds, platforms, infrastructure
        (b"dop_v1_", Token(ALPHANUMERIC, 64, 64)),
        (b"doo_v1_", Token(ALPHANUMERIC, 64, 64)),
        (b"hvs.", Token(BASE64_URL, 24, 300)),
        (b"hvb.", Token(BASE64_URL, 24, 300)),
        (b"dapi", Token(ALPHANUMERIC, 32, 32)),
        (b"glsa_", Token(WORD, 32, 64)),
        (b"glc_", Token(BASE64, 32, 400)),
        (b"NRAK-", Token(ALPHANUMERIC, 27, 27)),
        (b"PMAK-", Token(BASE64_URL, 50, 80)),
        (b"sntrys_", Token(BASE64, 40, 300)),
        (b"ATATT3", Token(BASE64_PAD, 50, 300)),
        (b"lin_api_", Token(ALPHANUMERIC, 32, 64)),
        (b"AGE-SECRET-KEY-1", Token(UPPER, 58, 58)),
        // Shops
        (b"shpat_", Token(ALPHANUMERIC, 32, 32)),
        (b"shpca_", Token(ALPHANUMERIC, 32, 32)),
        (b"shppa_", Token(ALPHANUMERIC, 32, 32)),
        (b"shpss_", Token(ALPHANUMERIC, 32, 32)),
        (b"sq0atp-", Token(BASE64_URL, 22, 64)),
        (b"sq0csp-", Token(BASE64_URL, 22, 64)),
    ]
};

/// What a literal may be the sign of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sign {
    Jwt,
    Url,
    Address,
    PrivateKey,
    Bearer,
    /// A token: which bytes follow the prefix, at least and at most how many.
    Token(Bytes, usize, usize),
}

/// Which bytes a token is made of.
pub(super) type Bytes = fn(u8) -> bool;

const UPPER: Bytes = |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit();
const ALPHANUMERIC: Bytes = |byte| byte.is_ascii_alphanumeric();
const WORD: Bytes = is_word;
const BASE64: Bytes = |byte| byte.is_ascii_alphanumeric() || b"+/=_-".contains(&byte);
const BASE64_PAD: Bytes = |byte| byte.is_ascii_alphanumeric() || b"-_=".contains(&byte);
const BASE64_URL: Bytes = |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
const DOTTED: Bytes = |byte| BASE64_URL(byte) || byte == b'.';
const PATH: Bytes = |byte| byte.is_ascii_alphanumeric() || byte == b'/';
/// Headers of JSON web tokens are small.
const LONGEST_HEADER: usize = 4096;
/// What a bearer token is made of (RFC 6750).
const TOKEN_68: Bytes = |byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);

/// Looks at a literal that was found.
pub(super) fn recognise(
    line: &[u8],
    start: usize,
    literal: usize,
    floor: usize,
    chosen: Patterns,
) -> Option<Found> {
    let (text, sign) = LITERALS.get(literal)?;
    match *sign {
        Sign::Jwt if chosen.has(Pattern::Jwt) => jwt(line, start),
        Sign::Url if chosen.has(Pattern::UrlPassword) => super::secrets::url(line, start + 3),
        Sign::Address if chosen.has(Pattern::Email) => {
            super::addresses::email(line, start, text.len(), floor)
        }
        Sign::PrivateKey if chosen.has(Pattern::PrivateKey) => {
            let end = super::key_block::end_of_block(line, start)?;
            Some(Found { start, end, pattern: Pattern::PrivateKey })
        }
        Sign::Bearer if chosen.has(Pattern::Bearer) => {
            bearer(line, start.checked_sub(3).filter(|&place| place >= floor)?, floor)
        }
        Sign::Token(is, least, most) if chosen.has(Pattern::ApiKey) => {
            token(line, start, start + text.len(), is, least, most)
        }
        _ => None,
    }
}

fn token(
    line: &[u8],
    start: usize,
    from: usize,
    is: Bytes,
    least: usize,
    most: usize,
) -> Option<Found> {
    // No further than to see that it is too long.
    let line = line.get(..line.len().min(from + most + 1))?;
    let end = run_end(line, from, is);
    let length = end - from;
    let alone = !before(line, start).is_ascii_alphanumeric();
    // Names of things are words; tokens have digits.
    let digits = line.get(from..end)?.iter().any(u8::is_ascii_digit);
    (alone && digits && (least..=most).contains(&length)).then_some(Found {
        start,
        end,
        pattern: Pattern::ApiKey,
    })
}

/// Header, claims and signature; the signature may be empty.
fn jwt(line: &[u8], start: usize) -> Option<Found> {
    if before(line, start).is_ascii_alphanumeric() {
        return None;
    }
    let near = line.get(..line.len().min(start + LONGEST_HEADER))?;
    let header = run_end(near, start, BASE64_URL);
    if !is_at(line, header, b".eyJ") {
        return None;
    }
    let claims = run_end(line, header + 1, BASE64_URL);
    if at(line, claims) != b'.' {
        return None;
    }
    let mut end = run_end(line, claims + 1, BASE64_URL);
    if end == claims + 1 {
        // A full stop at the end of a sentence is none of the token.
        end = claims;
    }
    Some(Found { start, end, pattern: Pattern::Jwt })
}

/// `Bearer TOKEN`, with `Authorization:` before it if that is there.
pub(super) fn bearer(line: &[u8], start: usize, floor: usize) -> Option<Found> {
    if !is_at_any_case(line, start, b"bearer") || is_word(before(line, start)) {
        return None;
    }
    let blanks = start + b"bearer".len();
    let from = run_end(line, blanks, |byte| matches!(byte, b' ' | b'\t'));
    let end = run_end(line, from, TOKEN_68);
    let mut end = end;
    // A full stop or comma at the end of a sentence is none of the token.
    while end > from && before(line, end) == b'.' {
        end -= 1;
    }
    if from == blanks || end == from {
        return None;
    }
    let header = header_start(line, start, floor);
    let token = line.get(from..end)?;
    let is_word = token.iter().all(u8::is_ascii_lowercase)
        || (token.iter().all(u8::is_ascii_alphabetic) && token.len() < 16);
    if header.is_none() && (token.len() < 8 || is_word) {
        return None;
    }
    Some(Found { start: header.unwrap_or(start), end, pattern: Pattern::Bearer })
}

/// Where `Authorization:` begins that ends before a place.
fn header_start(line: &[u8], place: usize, floor: usize) -> Option<usize> {
    let blank = |byte: u8| matches!(byte, b' ' | b'\t');
    let colon = super::bytes::run_start(line, place, floor, blank).checked_sub(1)?;
    let start = colon.checked_sub(b"authorization".len())?;
    (start >= floor && at(line, colon) == b':' && is_at_any_case(line, start, b"authorization"))
        .then_some(start)
}
