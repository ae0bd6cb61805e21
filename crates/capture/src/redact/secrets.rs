//! Values of keys whose name says that they are secret.
//!
//! `password=x`, `password: x`, `"password":"x"`, `\"password\":\"x\"`, `PASSWORD='x'`, `"password":["x"]`,
//! `"name":"DB_PASSWORD","value":"x"`, `--password x`, `<password>x</password>`. What stands for nothing (`null`, `***`,
//! `${NAME}`) stays, and so do prose (`password: must be longer`) and code (`token = next_token()`).

use super::bytes::{Found, at, before, is_at, is_at_any_case, run_end, run_start};
use super::names::{Kind, LONGEST_NAME, kind_of, may_end_with};
use super::placeholders::{is_nothing, stands_for_another};
use super::values::{
    LONGEST_PHRASE, cookie_end, is_name, list_end, opening, quoted_end, unquoted_end, words_end,
};
use super::{Pattern, Patterns, tokens, urls};

/// What is no password is shorter than this only by chance.
const SHORTEST_TOKEN: usize = 6;
const SHORTEST_SESSION: usize = 8;
const SHORTEST_SIGNATURE: usize = 16;
/// So much of a value tells whether it is one.
const FIRST_BYTES: usize = 256;

/// The value behind a `=` or `:` whose key says that it is secret.
#[inline]
pub(super) fn value(line: &[u8], sign: usize, floor: usize, chosen: Patterns) -> Option<Found> {
    let mut key_end = sign;
    while matches!(before(line, key_end), b' ' | b'"' | b'\'' | b'\\' | b':' | b']')
        && key_end + 4 > sign
    {
        key_end -= 1;
    }
    let last = before(line, key_end);
    let word_end = match last.is_ascii_digit() {
        // `password2`
        true => key_end - 1 - usize::from(before(line, key_end - 1).is_ascii_digit()),
        false => key_end,
    };
    let tail = [2, 1, 0].map(|back| before(line, word_end.saturating_sub(back)));
    if !may_end_with(tail) {
        return None;
    }
    // `authorization`, and not `duration`.
    if tail.eq_ignore_ascii_case(b"ion")
        && !matches!(before(line, word_end.saturating_sub(5)) | 0x20, b'z' | b'm' | b's')
    {
        return None;
    }
    // Of all keys that end with `id` only those of sessions tell.
    if (tail[1] | 0x20, tail[2] | 0x20) == (b'i', b'd')
        && !matches!(tail[0] | 0x20, b's' | b'n')
        && !is_session_id(line, word_end)
    {
        return None;
    }
    let start = name_start(line, key_end, floor);
    let mut kind = kind_of(line.get(start..key_end)?)?;
    if kind == Kind::Value {
        kind = kind_of(named_before(line, start, floor)?)?;
    }
    // `/etc/passwd: no such file`
    if at(line, sign) == b':' && before(line, start) == b'/' {
        return None;
    }
    value_behind(line, start, sign, kind, floor, chosen)
}

/// `session_id`, `session-id`
fn is_session_id(line: &[u8], end: usize) -> bool {
    end >= 4 && matches!(before(line, end - 2), b'_' | b'-') && before(line, end - 3) | 0x20 == b'n'
}

fn name_start(line: &[u8], end: usize, floor: usize) -> usize {
    run_start(line, end, floor.max(end.saturating_sub(LONGEST_NAME)), is_name)
}

/// `DB_PASSWORD` of `"name":"DB_PASSWORD","value":`, where the last key begins at a place.
fn named_before(line: &[u8], place: usize, floor: usize) -> Option<&[u8]> {
    let joint = |byte: u8| matches!(byte, b'"' | b'\'' | b'\\' | b' ' | b',' | b';');
    let back = |place: usize| run_start(line, place, floor.max(place.saturating_sub(12)), joint);
    let end = back(place);
    let start = name_start(line, end, floor);
    let sign = back(start);
    let key_end = back(sign.checked_sub(1).filter(|&sign| matches!(at(line, sign), b':' | b'='))?);
    let key = line.get(name_start(line, key_end, floor)..key_end)?;
    let names: [&[u8]; 5] = [b"name", b"key", b"field", b"variable", b"parameter"];
    let is = names.iter().any(|name| key.eq_ignore_ascii_case(name));
    (is && end < place).then_some(line.get(start..end)?)
}

/// Whether the value of a label or of metadata is secret by its name alone.
pub(super) fn is_secret_name(name: &str) -> bool {
    use Kind::{Authorization, Cookie, Pass, Password, Phrase, Session, SetCookie, Token};
    matches!(
        kind_of(name.as_bytes()),
        Some(Authorization | Cookie | Pass | Password | Phrase | Session | SetCookie | Token)
    )
}

/// `$PASSWORD`, `<password>`, `%PASSWORD%`: the name of what will stand there.
fn is_placeholder(value: &[u8]) -> bool {
    let name = |text: &[u8]| text.iter().all(|&byte| is_name(byte));
    match value {
        [b'$', rest @ ..] => rest.iter().all(|&byte| byte.is_ascii_uppercase() || byte == b'_'),
        [b'<', rest @ .., b'>'] | [b'%', rest @ .., b'%'] | [b'{', rest @ .., b'}'] => name(rest),
        _ => false,
    }
}

/// What code, types and states say instead of a value.
fn is_code(value: &[u8]) -> bool {
    const WORDS: [&[u8]; 30] = [
        b"string",
        b"str",
        b"&str",
        b"bool",
        b"boolean",
        b"bytes",
        b"number",
        b"object",
        b"any",
        b"required",
        b"optional",
        b"missing",
        b"invalid",
        b"incorrect",
        b"wrong",
        b"expired",
        b"empty",
        b"unset",
        b"changed",
        b"accepted",
        b"rejected",
        b"await",
        b"new",
        b"secret",
        b"password",
        b"token",
        b"varchar",
        b"ok",
        b"failed",
        b"yes",
    ];
    const HEADS: [&[u8]; 15] = [
        b"self.",
        b"this.",
        b"request.",
        b"req.",
        b"config.",
        b"os.",
        b"process.env",
        b"env.",
        b"params.",
        b"args.",
        b"ctx.",
        b"settings.",
        b"options.",
        b"Option<",
        b"Vec<",
    ];
    WORDS.iter().any(|word| word.eq_ignore_ascii_case(value))
        || HEADS.iter().any(|head| value.starts_with(head))
}

fn value_behind(
    line: &[u8],
    key: usize,
    sign: usize,
    kind: Kind,
    floor: usize,
    chosen: Patterns,
) -> Option<Found> {
    let is_colon = at(line, sign) == b':';
    let next = at(line, sign + 1);
    // Comparisons, assignments whose sign comes next, paths of modules, URLs.
    if next == b'=' || matches!(before(line, sign), b'=' | b'!' | b'<' | b'>') {
        return None;
    }
    if is_colon && (next == b':' || is_at(line, sign + 1, b"//")) {
        return None;
    }
    let mut from = sign + 1;
    while from < sign + 4 && matches!(at(line, from), b' ' | b'\t') {
        from += 1;
    }
    let blank = from > sign + 1;
    // A list of one value, or of some.
    let is_list = at(line, from) == b'[' && !stands_for_another(line.get(from..)?);
    from += usize::from(is_list);
    let (quote, mut from) = match opening(line, from) {
        Some((quote, from)) => (Some(quote), from),
        None => (None, from),
    };
    if kind == Kind::Authorization {
        if is_at_any_case(line, from, b"bearer") && chosen.has(Pattern::Bearer) {
            return tokens::bearer(line, from, floor.min(key));
        }
        // The scheme is no secret.
        for scheme in [&b"basic "[..], b"bearer ", b"token ", b"digest ", b"negotiate ", b"apikey "]
        {
            if is_at_any_case(line, from, scheme) {
                from += scheme.len();
            }
        }
    }
    if kind == Kind::SetCookie {
        // The name of a cookie is no secret, nor are its attributes.
        let name = run_end(line, from, is_name);
        if at(line, name) != b'=' || name == from {
            return None;
        }
        from = name + 1;
    }
    if stands_for_another(line.get(from..)?) {
        return None;
    }
    // Where the value itself tells whether it is one, its first bytes do, so that many keys are not asked about all of
    // what follows them.
    if quote.is_none()
        && matches!(kind, Kind::Session | Kind::Cookie | Kind::Basic | Kind::Signature)
    {
        let near = line.get(..line.len().min(from + FIRST_BYTES))?;
        let end = if kind == Kind::Cookie {
            cookie_end(near, from, is_list)
        } else {
            unquoted_end(near, from)
        };
        if !is_kind(kind, line, key, sign, line.get(from..end)?) {
            return None;
        }
    }
    let mut end = match quote {
        Some(quote) if is_list => list_end(line, from, quote),
        Some(quote) => quoted_end(line, from, quote),
        None if kind == Kind::Cookie => cookie_end(line, from, is_list),
        None => unquoted_end(line, from),
    };
    if kind == Kind::SetCookie {
        let near = line.get(..end)?;
        end = run_end(near, from, |byte| !matches!(byte, b';' | b',' | b' '));
    }
    let value = line.get(from..end)?;
    if is_nothing(value) || !value.iter().any(|byte| byte.is_ascii_alphanumeric() || *byte >= 0x80)
    {
        return None;
    }
    if !is_kind(kind, line, key, sign, value) {
        return None;
    }
    if quote.is_none() {
        if is_placeholder(value)
            || is_code(value)
            || kind != Kind::Cookie && is_call(line, from, end)
        {
            return None;
        }
        if is_colon && blank && kind != Kind::Cookie && is_prose(line, value, end) {
            return None;
        }
        if kind == Kind::Phrase || is_between_semicolons(line, key, end) {
            end = words_end(line, end);
        }
    }
    Some(Found { start: from, end, pattern: Pattern::Secret })
}

/// Whether a value is one of its kind.
fn is_kind(kind: Kind, line: &[u8], key: usize, sign: usize, value: &[u8]) -> bool {
    let has_digit = value.iter().any(u8::is_ascii_digit);
    let is_number = has_digit && value.iter().all(u8::is_ascii_digit);
    match kind {
        Kind::Password | Kind::Phrase => true,
        // `pass: 10/12`, `pass=3 fail=0`, `pass: 97.5%`, `pass=12ms`
        Kind::Pass => {
            let rest = run_end(value, 0, |byte| byte.is_ascii_digit() || b"/.%:,".contains(&byte));
            !(has_digit && matches!(value.get(rest..), Some(b"" | b"ms" | b"s" | b"us" | b"ns")))
        }
        Kind::Token | Kind::Authorization => value.len() >= SHORTEST_TOKEN,
        Kind::Session => {
            value.len() >= SHORTEST_SESSION
                && has_digit
                && !(is_number && value.len() < 12)
                && !value.starts_with(b"S-1-")
        }
        Kind::Cookie if at(line, sign) == b'=' => value.len() >= SHORTEST_TOKEN && has_digit,
        Kind::Cookie => value.contains(&b'='),
        Kind::SetCookie => !is_number || value.len() >= SHORTEST_TOKEN,
        Kind::Basic => urls::is_user_password(value),
        Kind::Signature => {
            at(line, sign) == b'='
                && value.len() >= SHORTEST_SIGNATURE
                && matches!(before(line, key), b'?' | b'&' | b';')
        }
        Kind::Value => false,
    }
}

/// A plain word after which other words follow that are no key.
fn is_prose(line: &[u8], value: &[u8], end: usize) -> bool {
    let word = value.iter().skip(1).all(u8::is_ascii_lowercase)
        && value.first().is_some_and(u8::is_ascii_alphabetic);
    if !word || at(line, end) != b' ' || !at(line, end + 1).is_ascii_alphabetic() {
        return false;
    }
    let near = line.get(..line.len().min(end + LONGEST_NAME)).unwrap_or_default();
    let next = run_end(near, end + 1, is_name);
    !matches!(at(line, next), b'=' | b':')
}

/// `next_token()`, `get(key);`: a name, and parentheses that are closed, with nothing behind them.
fn is_call(line: &[u8], from: usize, end: usize) -> bool {
    if at(line, end) != b'(' {
        return false;
    }
    let name = line.get(from..end).unwrap_or_default();
    name.len() <= 64 && name.iter().all(|&byte| is_name(byte) || matches!(byte, b':' | b'&' | b'*'))
}

/// `Password=two words;Server=x`: connection strings separate by semicolons alone.
fn is_between_semicolons(line: &[u8], key: usize, end: usize) -> bool {
    if at(line, end) != b' ' || !matches!(before(line, key), b';' | b'"' | b'\'' | 0) {
        return false;
    }
    let near = line.get(..line.len().min(end + LONGEST_PHRASE)).unwrap_or_default();
    let stop = run_end(near, end, |byte| is_name(byte) || byte == b' ');
    at(line, stop) == b';'
}

/// The value of a flag of a command line, `--password x` or `"--password","x"`, from behind its hyphens.
pub(super) fn flag(line: &[u8], from: usize, chosen: Patterns) -> Option<Found> {
    let near = line.get(..line.len().min(from + LONGEST_NAME))?;
    let name_end = run_end(near, from, is_name);
    let kind = kind_of(line.get(from..name_end)?)?;
    if !matches!(kind, Kind::Password | Kind::Pass | Kind::Phrase | Kind::Token)
        || !chosen.has(Pattern::Secret)
    {
        return None;
    }
    let (quote, start) = match (opening(line, name_end), at(line, name_end)) {
        // The next of a list.
        (Some((closing, behind)), _) if before(line, from - 2) == closing.mark => {
            let comma = run_end(line, behind, |byte| byte == b' ');
            let next = run_end(line, comma + 1, |byte| byte == b' ');
            let (quote, start) = opening(line, next).filter(|_| at(line, comma) == b',')?;
            (Some(quote), start)
        }
        (_, b' ') => match opening(line, name_end + 1) {
            Some((quote, start)) => (Some(quote), start),
            None => (None, name_end + 1),
        },
        _ => return None,
    };
    let end = match quote {
        Some(quote) => quoted_end(line, start, quote),
        None => {
            run_end(line, start, |byte| byte > b' ' && !matches!(byte, b'"' | b'\'' | b'\\' | b'`'))
        }
    };
    let value = line.get(start..end)?;
    let stays =
        is_nothing(value) || value.starts_with(b"-") || is_placeholder(value) || is_code(value);
    if stays || quote.is_none() && is_word_of_a_sentence(value) {
        return None;
    }
    Some(Found { start, end, pattern: Pattern::Secret })
}

/// Words that follow the name of a flag where one speaks of it.
fn is_word_of_a_sentence(value: &[u8]) -> bool {
    const WORDS: [&[u8]; 34] = [
        b"to",
        b"or",
        b"and",
        b"is",
        b"option",
        b"flag",
        b"argument",
        b"for",
        b"with",
        b"from",
        b"instead",
        b"given",
        b"requires",
        b"must",
        b"can",
        b"may",
        b"should",
        b"in",
        b"on",
        b"as",
        b"if",
        b"when",
        b"not",
        b"was",
        b"were",
        b"are",
        b"has",
        b"the",
        b"a",
        b"an",
        b"via",
        b"using",
        b"needs",
        b"expects",
    ];
    let word = value.strip_suffix(b",").or(value.strip_suffix(b".")).unwrap_or(value);
    WORDS.contains(&word)
        || word.len() > 3 && word.iter().all(|&byte| byte.is_ascii_uppercase() || byte == b'_')
}

/// The text of `<password>x</password>`, around the end of the first tag: `place` is behind it.
pub(super) fn element(line: &[u8], place: usize, floor: usize) -> Option<Found> {
    let name_end = place.checked_sub(1)?;
    let start = name_start(line, name_end, floor);
    let kind = kind_of(line.get(start..name_end)?)?;
    if !matches!(before(line, start), b'<' | b':')
        || !matches!(kind, Kind::Password | Kind::Phrase | Kind::Token)
    {
        return None;
    }
    let end = run_end(line, place, |byte| byte != b'<');
    let value = line.get(place..end)?;
    let is_closed = at(line, end) == b'<' && at(line, end + 1) == b'/';
    (is_closed && !is_nothing(value)).then_some(Found {
        start: place,
        end,
        pattern: Pattern::Secret,
    })
}
