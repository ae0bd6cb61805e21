//! The signs of secrets: texts that all of them begin with, or contain, and which are searched for
//! together. What stands around one decides whether it is one.

use super::bytes::{Found, is_word};
use super::tokens::{BASE64_URL, Bytes};
use super::{Pattern, Patterns, addresses, tokens, urls};

/// What is searched for, and what it may be the sign of.
pub(super) const LITERALS: [(&[u8], Sign); 70] = {
    use Sign::{Address, Basic, Bearer, Jwt, Token, Url};
    [
        (b"eyJ", Jwt),
        (b"://", Url),
        (b"%40", Address),
        (b"Basic ", Basic),
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
        (b"pypi-AgE", Token(BASE64_URL, 50, 400)),
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
    Bearer,
    /// Base64 of a user's name and password.
    Basic,
    /// A token: which bytes follow the prefix, at least and at most how many.
    Token(Bytes, usize, usize),
}

const UPPER: Bytes = |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit();
const ALPHANUMERIC: Bytes = |byte| byte.is_ascii_alphanumeric();
const WORD: Bytes = is_word;
const BASE64: Bytes = |byte| byte.is_ascii_alphanumeric() || b"+/=_-".contains(&byte);
const BASE64_PAD: Bytes = |byte| byte.is_ascii_alphanumeric() || b"-_=".contains(&byte);
const DOTTED: Bytes = |byte| BASE64_URL(byte) || byte == b'.';
const PATH: Bytes = |byte| byte.is_ascii_alphanumeric() || byte == b'/';

/// Looks at a literal that was found.
pub(super) fn recognise(
    line: &[u8],
    start: usize,
    literal: usize,
    floor: usize,
    chosen: Patterns,
    no_jwt: &mut usize,
) -> Option<Found> {
    let (text, sign) = LITERALS.get(literal)?;
    match *sign {
        Sign::Jwt if chosen.has(Pattern::Jwt) => tokens::jwt(line, start, no_jwt),
        Sign::Url if chosen.has(Pattern::UrlPassword) => urls::url(line, start + 3),
        Sign::Address if chosen.has(Pattern::Email) => {
            addresses::email(line, start, text.len(), floor)
        }
        Sign::Bearer if chosen.has(Pattern::Bearer) => {
            tokens::bearer(line, start.checked_sub(3).filter(|&place| place >= floor)?, floor)
        }
        Sign::Basic if chosen.has(Pattern::Secret) => urls::basic(line, start, text.len()),
        Sign::Token(is, least, most) if chosen.has(Pattern::ApiKey) => {
            tokens::token(line, start, start + text.len(), is, least, most)
        }
        _ => None,
    }
}
