//! What the name of a key, a header, a flag or a label says about its value.

/// A name is looked at up to this length.
pub(super) const LONGEST_NAME: usize = 48;

/// What a value is that has such a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Password,
    /// `pass`, which also counts tests and attempts.
    Pass,
    /// A password of several words.
    Phrase,
    Token,
    Session,
    Authorization,
    Cookie,
    SetCookie,
    /// Base64 of `user:password`.
    Basic,
    /// What signs a URL.
    Signature,
    /// The value of a pair that another key has named.
    Value,
}

/// The last three letters of telling names and of the words that may follow them.
const TAILS: [&[u8; 3]; 40] = [
    b"ord", b"swd", b"sse", b"ase", b"ass", b"cvc", b"cvv", b"ies", b"ion", b"kie", b"lue", b"nfo",
    b"otp", b"pwd", b"sig", b"ure", b"uth", b"ort", b"ret", b"ken", b"key", b"ode", b"nha", b"sid",
    b"nid", b"irm", b"ain", b"eat", b"ash", b"ext", b"ing", b"enc", b"alt", b"als", b"rer", b"ted",
    b"ial", b"raw", b"eld", b"ena",
];

/// The third letter from the end, in bits, by the two that follow it.
static BY_TAIL: [u32; 26 * 26] = by_tail();

const fn by_tail() -> [u32; 26 * 26] {
    let mut rows = [0; 26 * 26];
    let mut number = 0;
    while number < TAILS.len() {
        let [first, second, third] = *TAILS[number];
        rows[(second - b'a') as usize * 26 + (third - b'a') as usize] |= 1 << (first - b'a');
        number += 1;
    }
    rows
}

/// Whether a name may end with these bytes: nearly all are told apart by them.
#[inline]
pub(super) fn may_end_with([first, second, third]: [u8; 3]) -> bool {
    let letter = |byte: u8| usize::from((byte | 0x20).wrapping_sub(b'a'));
    let (second, third) = (letter(second), letter(third));
    if second >= 26 || third >= 26 {
        return false;
    }
    let row = BY_TAIL.get(second * 26 + third).copied().unwrap_or(0);
    let first = letter(first);
    // `pwd`, `sid` and the like are whole names.
    row != 0 && (first >= 26 || row >> first & 1 == 1)
}

/// Words behind a telling one that change nothing: `secret_key_base`, `password_confirmation`.
const SUFFIXES: [&[u8]; 16] = [
    b"base",
    b"value",
    b"confirmation",
    b"confirm",
    b"again",
    b"repeat",
    b"hash",
    b"text",
    b"plain",
    b"string",
    b"enc",
    b"encrypted",
    b"salt",
    b"plaintext",
    b"cleartext",
    b"raw",
];
const PASSWORDS: [&[u8]; 12] = [
    b"password",
    b"passwd",
    b"passwort",
    b"userpwd",
    b"dbpwd",
    b"kennwort",
    b"passcode",
    b"senha",
    b"motdepasse",
    b"contrasena",
    b"mysqlpwd",
    b"passwordfield",
];
const TOKENS: [&[u8]; 17] = [
    b"secret",
    b"token",
    b"apikey",
    b"accesskey",
    b"secretkey",
    b"privatekey",
    b"accountkey",
    b"sharedkey",
    b"signingkey",
    b"encryptionkey",
    b"masterkey",
    b"authkey",
    b"bearer",
    b"licensekey",
    b"credential",
    b"credentials",
    b"sessionkey",
];
/// Tokens of these are places in a list, or words of a parser.
const NO_TOKENS: [&[u8]; 10] = [
    b"page",
    b"next",
    b"continuation",
    b"continue",
    b"sync",
    b"cancellation",
    b"resume",
    b"unexpected",
    b"expected",
    b"cursor",
];
const SESSIONS: [&[u8]; 5] =
    [b"sessionid", b"sessid", b"connectsid", b"sessionkey", b"sessiontoken"];

/// What a name says, whatever its case and its separators.
pub(super) fn kind_of(name: &[u8]) -> Option<Kind> {
    super::bytes::step(name.len());
    let mut plain = [0; LONGEST_NAME];
    let mut length = 0;
    for byte in name.iter().filter(|byte| byte.is_ascii_alphanumeric()) {
        *plain.get_mut(length)? = byte.to_ascii_lowercase();
        length += 1;
    }
    let plain = plain.get(..length)?;
    if let Some(kind) = kind_of_word(name, plain) {
        return Some(kind);
    }
    // `password2`, `secret_key_base`
    let digits = plain.iter().rev().take(2).take_while(|byte| byte.is_ascii_digit()).count();
    let mut stem = plain.get(..length - digits)?;
    let mut stripped = digits > 0;
    for suffix in SUFFIXES {
        if let Some(rest) = stem.strip_suffix(suffix) {
            (stem, stripped) = (rest, true);
            break;
        }
    }
    // A key of one word that is left over is the rule: `secretkey` of `secretkeybase`.
    let kind = if stripped { kind_of_word(stem, stem)? } else { return None };
    matches!(kind, Kind::Password | Kind::Phrase | Kind::Token).then_some(kind)
}

fn kind_of_word(name: &[u8], plain: &[u8]) -> Option<Kind> {
    let ends = |words: &[&[u8]]| words.iter().any(|word| plain.ends_with(word));
    match plain {
        b"value" => return Some(Kind::Value),
        b"pass" => return Some(Kind::Pass),
        b"auth" | b"basicauth" | b"userinfo" => return Some(Kind::Basic),
        b"cookie" | b"cookies" => return Some(Kind::Cookie),
        b"setcookie" => return Some(Kind::SetCookie),
        b"sid" => return Some(Kind::Session),
        b"cvv" | b"cvc" | b"cvv2" | b"otp" | b"otpcode" => return Some(Kind::Password),
        b"sig" => return Some(Kind::Signature),
        // The shell's working directory.
        b"pwd" => return (name != b"PWD").then_some(Kind::Password),
        b"oldpwd" => return None,
        _ => {}
    }
    match plain.last()? {
        b'e' if ends(&[b"passphrase", b"seedphrase", b"mnemonicphrase"]) => Some(Kind::Phrase),
        b'e' if plain.ends_with(b"signature") => Some(Kind::Signature),
        b'n' if plain.ends_with(b"authorization") => Some(Kind::Authorization),
        b'd' | b'y' | b'n' if ends(&SESSIONS) => Some(Kind::Session),
        b'd' | b't' | b'e' | b'a' if ends(&PASSWORDS) => Some(Kind::Password),
        b'n' if NO_TOKENS
            .iter()
            .any(|word| plain.strip_suffix(b"token").is_some_and(|rest| rest.ends_with(word))) =>
        {
            None
        }
        b't' | b'n' | b'y' | b'r' | b'l' | b's' if ends(&TOKENS) => Some(Kind::Token),
        b's' | b'd' => {
            let tails: [&[u8]; 6] = [b"_pass", b"_PASS", b"_pwd", b"_PWD", b".pass", b"-pass"];
            let is = tails.iter().any(|tail| name.ends_with(tail))
                || ends(&[b"storepass", b"keypass", b"sshpass"]);
            (is && name != b"OLD_PWD").then_some(Kind::Password)
        }
        _ => None,
    }
}

/// Names of numbers that are nobody's: of traces, requests, sequences and times.
const NUMBERS: [&[u8]; 27] = [
    b"traceid",
    b"spanid",
    b"parentid",
    b"requestid",
    b"correlationid",
    b"transactionid",
    b"eventid",
    b"messageid",
    b"msgid",
    b"orderid",
    b"jobid",
    b"taskid",
    b"buildid",
    b"runid",
    b"offset",
    b"sequence",
    b"seq",
    b"timestamp",
    b"nanos",
    b"time",
    b"nonce",
    b"checksum",
    b"duration",
    b"bytes",
    b"trace",
    b"span",
    b"snowflake",
];

/// Whether a name says that its number is one of a trace, a request or the like.
pub(super) fn is_of_no_one(name: &[u8]) -> bool {
    let mut plain = [0; LONGEST_NAME];
    let mut length = 0;
    for byte in name.iter().filter(|byte| byte.is_ascii_alphanumeric()) {
        let Some(place) = plain.get_mut(length) else { return false };
        *place = byte.to_ascii_lowercase();
        length += 1;
    }
    let plain = plain.get(..length).unwrap_or_default();
    NUMBERS.iter().any(|word| plain.ends_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_that_tells_is_ruled_out_by_its_last_letters() {
        let others: [&[u8]; 22] = [
            b"pass",
            b"pwd",
            b"auth",
            b"basic_auth",
            b"userinfo",
            b"cookie",
            b"cookies",
            b"set-cookie",
            b"sid",
            b"cvv",
            b"cvc",
            b"otp",
            b"sig",
            b"value",
            b"passphrase",
            b"seed_phrase",
            b"signature",
            b"authorization",
            b"storepass",
            b"DB_PASS",
            b"DB_PWD",
            b"phpsessid",
        ];
        let lists = [&PASSWORDS[..], &TOKENS, &SESSIONS, &SUFFIXES, &others];
        for name in lists.into_iter().flatten() {
            let tail: [u8; 3] = name[name.len() - 3..].try_into().unwrap();
            assert!(may_end_with(tail), "{}", String::from_utf8_lossy(name));
        }
        for name in others {
            assert!(kind_of(name).is_some(), "{}", String::from_utf8_lossy(name));
        }
    }
}
