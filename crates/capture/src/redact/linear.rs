//! Holds the work on a line to be linear in its length, by counting the bytes that recognizers look at: never by time.

use logtap_loki::Batch;

use super::bytes::steps;
use super::{Patterns, Redactor, signs};

/// A byte of the worst line may be looked at so often.
const PER_BYTE: usize = 700;
const LENGTH: usize = 1_500;

/// What is repeated: each sign, each beginning of one, each key and what stands around it, with every joint.
fn pieces() -> Vec<String> {
    let mut heads: Vec<String> = [
        "bearer",
        "bearer ",
        "Authorization: Bearer ",
        "authorization:",
        "password",
        "password=",
        "password: ",
        "\"password\":\"",
        "\\\"password\\\":\\\"",
        "token=",
        "token=(",
        "token=f(",
        "pass=x(",
        "secret_key_base: ",
        "password=${",
        "password=[REDACTED",
        "passphrase=a ",
        "password=[\"",
        "cookie: a=",
        "Set-Cookie: a=",
        "session_id=",
        " --password ",
        "--token",
        "\"--secret\",",
        "?X-Amz-Signature=",
        "&sig=",
        "\"name\":\"PASSWORD\",\"value\":",
        "\"value\":\"",
        "value:",
        "ssn=",
        "ssn",
        "2001:a.",
        "2001:",
        "fe80:",
        "::",
        "::ffff:",
        "64:ff9b::",
        "1.",
        "1.1.1.1",
        "1.1.1.1-",
        "v1.1.1.1",
        "rails 7.0.4.3 ",
        "4111 ",
        "4111-",
        "4111.",
        "4111111111111111",
        "1-",
        "+1",
        "+49 (",
        "phone1",
        "phone: 1 ",
        "DE89",
        "de89",
        "DE89 ",
        "123-45-",
        "555-",
        "(555)",
        "1 (",
        "@",
        "a@",
        "a@b",
        "a@b.",
        "o'b@",
        "'a@",
        "%40",
        "%",
        "%25",
        "%2540",
        "%5C",
        "\\",
        "\\\\",
        "\\\"",
        "\\u0040",
        "\\u005c",
        "\\u00",
        "\\/",
        ":\\/\\/a:",
        "://",
        "://a:",
        "://a:b/",
        "://a:b@",
        ":thin:a/",
        ":thin:",
        "Basic ",
        "basic YTpi",
        "\"auth\":\"YTpi",
        "eyJ",
        "eyJ.eyJ",
        "eyJ.eyJ.",
        "eyJ.a.",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY-----",
        "-----END ",
        "---- BEGIN ",
        "Private-Lines:",
        "\u{e9}@",
        "\u{5f20}@",
        "@\u{4f8b}.",
        "\u{4f8b}",
        "&amp;",
        "<password>",
        "password is ",
        "x=",
        "=",
        ":",
        "\"",
        "'",
        "[",
        "(",
        " ",
        "*",
        "x",
        "0",
        "a",
        ",",
        ", a",
        ",a=",
    ]
    .map(str::to_owned)
    .to_vec();
    for (text, _) in signs::LITERALS {
        let text = String::from_utf8_lossy(text).into_owned();
        heads.extend((2..=text.len()).filter_map(|end| text.get(..end)).map(str::to_owned));
    }
    heads.sort();
    heads.dedup();
    let joints = ["", "-", ".", " ", ":", "a", "A1", "/", ".a", "\\"];
    heads.iter().flat_map(|head| joints.map(|joint| format!("{head}{joint}"))).collect()
}

fn steps_of(redactor: &Redactor, line: &str) -> usize {
    steps::of(|| drop(redactor.redact_line(line.as_bytes(), |_| {})))
}

/// Counts the steps on a line and on one twice as long.
fn check(redactor: &Redactor, name: &str, line: impl Fn(usize) -> String) -> Option<String> {
    let (once, twice) = (line(LENGTH), line(2 * LENGTH));
    let (once_steps, twice_steps) = (steps_of(redactor, &once), steps_of(redactor, &twice));
    let linear =
        twice_steps <= once_steps * 5 / 2 + 8 * LENGTH && twice_steps <= PER_BYTE * twice.len();
    (!linear).then(|| {
        format!("{name:?}: {once_steps} steps on {}, {twice_steps} on {}", once.len(), twice.len())
    })
}

#[test]
fn work_doubles_with_the_length_of_a_line_whatever_is_repeated_in_it() {
    let redactor = Redactor::new(Patterns::ALL, None);
    let pieces = pieces();
    let wrong: Vec<String> = pieces
        .iter()
        .filter_map(|piece| {
            check(&redactor, piece, |length| piece.repeat(length / piece.len() + 1))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), pieces.len(), wrong.join("\n"));
}

#[test]
fn work_doubles_where_many_beginnings_are_followed_by_one_long_run() {
    let redactor = Redactor::new(Patterns::ALL, None);
    let mut wrong = Vec::new();
    for piece in pieces().iter().step_by(7) {
        for filler in ["a", "1", ".", " ", "*", "a-", "%41", "\\u0061", "=", "A1"] {
            let name = format!("{piece} and {filler}");
            wrong.extend(check(&redactor, &name, |length| {
                piece.repeat(length / 2 / piece.len() + 1)
                    + &filler.repeat(length / 2 / filler.len())
            }));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn work_doubles_with_the_number_of_streams_that_each_begin_a_private_key() {
    let count = |streams: u32| {
        let redactor = Redactor::new(Patterns::ALL, None);
        let mut batch = Batch::new();
        for stream in 0..streams {
            batch.streams.push(vec![("app".to_owned(), stream.to_string())]);
        }
        for line in ["-----BEGIN PRIVATE KEY-----", "MIIEpAIBAAKCAQEA", "level=info", "x"] {
            for stream in 0..streams {
                batch.push(stream, 1, 0, line.as_bytes());
            }
        }
        steps::of(|| drop(redactor.redact(&batch)))
    };
    let (once, twice) = (count(2_000), count(4_000));
    assert!(twice <= once * 5 / 2, "{once} steps for 2,000 streams, {twice} for 4,000");
}
