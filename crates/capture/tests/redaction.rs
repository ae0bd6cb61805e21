//! What redaction takes out, and what it leaves alone.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its functions too")]

use std::path::Path;

use logtap_capture::redact::{CustomPatterns, Pattern, Patterns};
use logtap_capture::{Redacted, Redactor};
use logtap_loki::Batch;
use proptest::prelude::*;

fn all() -> Redactor {
    Redactor::new(Patterns::ALL, None)
}

fn redact_by(redactor: &Redactor, line: &str) -> String {
    match redactor.redact_line(line.as_bytes(), |_| {}) {
        Some(text) => String::from_utf8(text).unwrap(),
        None => line.to_owned(),
    }
}

fn check(cases: &[(&str, &str)]) {
    let redactor = all();
    let wrong: Vec<String> = cases
        .iter()
        .map(|(line, expected)| (line, expected, redact_by(&redactor, line)))
        .filter(|(_, expected, found)| *expected != found)
        .map(|(line, expected, found)| format!("{line}\n  expected {expected}\n  found    {found}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Lines in which nothing may be touched.
const INNOCENT: &str = r#"
2024-01-15T10:19:59.001Z INFO started in 12.5ms
2024-01-15 10:19:59,123 +0100 [main] WARN c.e.App - took 1705313999123 ns
1705313999 1705313999123 1705313999123456 1705313999123456789
time=1705313999.123456 level=info ts=1705313999123456789
[15/Jan/2024:10:19:59 +0000] "GET /index.html HTTP/1.1" 200 5123 1024
Jan 15 10:19:59 host sshd[12345]: Connection closed
request 550e8400-e29b-41d4-a716-446655440000 done
request 12345678-1234-4716-4111-111111111111 done
commit 3ed819217dc2f77e3ed819217dc2f77e3ed81921 by nobody
sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
md5 d41d8cd98f00b204e9800998ecf8427e etag "5f3-61a2b3c4d5e6f"
order ORD-20240115-000123 shipped, order number 100000012345, invoice 2024-000-1234
order 112-1234567-1234567, order=2024011510199, id=5551234567, ids 2025551234 3125559876
version 1.2.3 of 10.0.19041, v1.2.3.4, Version: 10.0.19041.3636, version=1.2.3.4, build 7.8.9.10
Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36
image registry.example/app@sha256:e3b0c44298fc1c149afbf4c8996fb924 pulled, logo@2x.png, getty@tty1.service
npm i @scope/package@1.2.3 lodash@4.17.21 go get example/y@v1.2.3-beta.rc
std::io::Error at src/main.rs:12:5, crate::de::face, Foo::Bar, c1::d2, abc::def::1
00:1a:2b:3c:4d:5e is a hardware address and 10:20:30 a time, 1:2:3:4:5:6:7:8 is a list
listening on [::]:8080 and :9090, range 2024:01:15, key ab:cd:ef:01
java.lang.NullPointerException: token: } expected, unexpected token: ';'
if password == null { return } password != "" password=null password="" password=*** passwd: xxxxxxxx
Invalid password: user not found. password: must have eight characters
max_tokens=4096 tokens: 512 token=42 next token: none secret=${SECRET} token=<nil> PWD=/home/user
the bearer of this letter, bearer token expired, the referrer orderer
SKU 4111-2222 box 12-34-5678 serial 000-12-3456 666-12-3456 123-00-4567 123-45-0000 987-12-3456
numbers 1234567890123456 4111111111111112 0000000000000000 4444444444444444 abc4111111111111111
hex 0x4111111111111111 a4111111111111111b 3.4111111111111111 4111111111111111.5
pi 3.14159265358979 sizes 1024 2048 4096 8192 dims 120x240 range 100-200-3000 +0100 +01:00
AKIA is a prefix, sk-learn, ghp_short, risk-assessment-of-the-very-long-kind-that-there-is
skip-this-very-long-hyphenated-name-of-a-thing eyJ is how it begins, eyJhbGciOiJIUzI1NiJ9 alone
DE89370400440532013001 GB29NWBK60161331926818 XX89370400440532013000 DE8937040044053201300
http://example/path?x=1:2@3 https://example:8080/a/b mailto:nobody user@host @name a@b
-----BEGIN CERTIFICATE----- MIIB -----END CERTIFICATE----- -----BEGIN PUBLIC KEY-----
10.0.0.256 1.2.3 1.2.3.4.5 01.2.3.4 999.1.1.1 OID 1.3.6.1.4.1 0.1.2.3.4
X-Request-Id: 7b3e9f2a1c4d5e6f traceparent 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
"#;

#[test]
fn what_only_looks_like_it_stays() {
    let redactor = all();
    let wrong: Vec<String> = INNOCENT
        .lines()
        .map(|line| (line, redact_by(&redactor, line)))
        .filter(|(line, found)| line != found)
        .map(|(line, found)| format!("{line}\n  became {found}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(INNOCENT.lines().count() > 30, "the list itself is empty");
}

#[test]
fn cards_pass_luhn_and_have_a_form_that_people_write() {
    check(&[
        ("pay 4111111111111111 now", "pay [REDACTED:cc] now"),
        ("5500000000000004", "[REDACTED:cc]"),
        ("amex 378282246310005.", "amex [REDACTED:cc]."),
        ("3782 822463 10005", "[REDACTED:cc]"),
        ("4111-1111-1111-1111", "[REDACTED:cc]"),
        ("\"card\":\"4111 1111 1111 1111\"", "\"card\":\"[REDACTED:cc]\""),
        ("4111 1111 1111 1111 200", "[REDACTED:cc] 200"),
        ("6304 0000 0000 0000 000", "[REDACTED:cc]"),
        ("2223003122003222 6011111111111117", "[REDACTED:cc] [REDACTED:cc]"),
        ("4111-1111 1111-1111 is no form", "4111-1111 1111-1111 is no form"),
    ]);
}

#[test]
fn addresses_of_every_kind_go() {
    check(&[
        ("mail bob.smith+tag@mail.example.co.uk, ok", "mail [REDACTED:email], ok"),
        ("<j\u{f6}rg@example.de>", "<[REDACTED:email]>"),
        ("\u{8bf7}\u{8054}\u{7cfb}foo@bar.com", "\u{8bf7}\u{8054}\u{7cfb}[REDACTED:email]"),
        ("user.212-555-1234@x.org", "[REDACTED:email]"),
        ("q=bob%40example.com&x=1", "q=[REDACTED:email]&x=1"),
        ("a@b.com-x and c@d.org.", "[REDACTED:email]-x and [REDACTED:email]."),
        ("from 10.0.1.42:8080 to 192.168.0.1/24", "from [REDACTED:ip]:8080 to [REDACTED:ip]/24"),
        ("db.local/172.16.40.5", "db.local/[REDACTED:ip]"),
        ("localhost/127.0.0.1", "localhost/127.0.0.1"),
        ("ip=8.8.8.8,", "ip=[REDACTED:ip],"),
        ("from 2a00:1450::1 port 22", "from [REDACTED:ipv6] port 22"),
        ("from 2001:db8::1 port 22", "from 2001:db8::1 port 22"),
        ("[fe80::1%eth0]:80 ::1 [::1]:8080", "[[REDACTED:ipv6]%eth0]:80 ::1 [::1]:8080"),
        ("peer ::ffff:10.1.2.3.", "peer [REDACTED:ipv6]."),
        ("2001:0dc8:85a3:0000:0000:8a2e:0370:7334: refused", "[REDACTED:ipv6]: refused"),
        ("FD12:3456:789A:1::1", "[REDACTED:ipv6]"),
    ]);
}

#[test]
fn numbers_of_people_go() {
    check(&[
        ("ssn 123-45-6789.", "ssn [REDACTED:ssn]."),
        ("SSN:078-05-1120 itin 912-78-1234", "SSN:[REDACTED:ssn] itin [REDACTED:ssn]"),
        ("call (555) 123-4567", "call [REDACTED:phone]"),
        ("call +1-555-123-4567 now", "call [REDACTED:phone] now"),
        (
            "1 (555) 123-4567, 1-212-555-1234, 212.555.1234",
            "[REDACTED:phone], [REDACTED:phone], [REDACTED:phone]",
        ),
        ("+49 30 12345678 +44 (0)20 7946 0958", "[REDACTED:phone] [REDACTED:phone]"),
        ("phone=5551234567 tel: 212 555 1234", "phone=[REDACTED:phone] tel: [REDACTED:phone]"),
        ("{\"mobile\":\"491701234567\"}", "{\"mobile\":\"[REDACTED:phone]\"}"),
        ("to DE89370400440532013000.", "to [REDACTED:iban]."),
        ("GB29 NWBK 6016 1331 9268 19", "[REDACTED:iban]"),
        ("NO9386011117947,x", "[REDACTED:iban],x"),
    ]);
}

#[test]
fn tokens_and_keys_go() {
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_123";
    let alphanumeric = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8";
    let cases = [
        (format!("t {jwt} x"), "t [REDACTED:jwt] x".to_owned()),
        (format!("https://x/y?z={jwt}"), "https://x/y?z=[REDACTED:jwt]".into()),
        ("Authorization: Bearer abc+/=~.x-_1 end".into(), "[REDACTED:bearer] end".into()),
        ("bEaReR a1b2c3d4".into(), "[REDACTED:bearer]".into()),
        (
            format!("\"authorization\":\"Bearer {jwt}\""),
            "\"authorization\":\"[REDACTED:bearer]\"".into(),
        ),
        (
            "Authorization: Basic dXNlcjpwYXNz".into(),
            "Authorization: Basic [REDACTED:secret]".into(),
        ),
        ("key AKIAIOSFODNN7EXAMPLE.".into(), "key [REDACTED:api_key].".into()),
        (format!("ghp_{alphanumeric}"), "[REDACTED:api_key]".into()),
        (format!("sk-proj-{alphanumeric}"), "[REDACTED:api_key]".into()),
        ("xoxb-123456789012-abcdef".into(), "[REDACTED:api_key]".into()),
        (format!("AIza{}", &alphanumeric[..35]), "[REDACTED:api_key]".into()),
        (format!("glpat-{}", &alphanumeric[..20]), "[REDACTED:api_key]".into()),
        (
            "https://hooks.slack.com/services/T00000000/B00000000/q1w2e3r4t5y6".into(),
            "https://[REDACTED:api_key]".into(),
        ),
        (
            "k -----BEGIN RSA PRIVATE KEY-----\\nMIIE\\n-----END RSA PRIVATE KEY----- x".into(),
            "k [REDACTED:private_key] x".into(),
        ),
        (
            "postgres://user:p@ss:w0rd@db/x".into(),
            "postgres://user:[REDACTED:password]@db/x".into(),
        ),
        ("redis://:hunter2@cache:6379".into(), "redis://:[REDACTED:password]@cache:6379".into()),
        ("password=hunter2 user=bob".into(), "password=[REDACTED:secret] user=bob".into()),
        (
            "{\"dbPassword\": \"a\\\"b\", \"x\":1}".into(),
            "{\"dbPassword\": \"[REDACTED:secret]\", \"x\":1}".into(),
        ),
        (
            "{\\\"client_secret\\\":\\\"abcdef\\\"}".into(),
            "{\\\"client_secret\\\":\\\"[REDACTED:secret]\\\"}".into(),
        ),
        (
            "DB_PASS='x y' API-KEY: 'k1234567'".into(),
            "DB_PASS='[REDACTED:secret]' API-KEY: '[REDACTED:secret]'".into(),
        ),
        ("?token=abcdef123&x=1".into(), "?token=[REDACTED:secret]&x=1".into()),
        ("password: hunter2".into(), "password: [REDACTED:secret]".into()),
        ("password=a,b,c=d".into(), "password=[REDACTED:secret],c=d".into()),
        (
            "AccountKey=abc+/123==;Endpoint=x".into(),
            "AccountKey=[REDACTED:secret];Endpoint=x".into(),
        ),
        ("password := \"x1\"".into(), "password := \"[REDACTED:secret]\"".into()),
    ];
    let cases: Vec<_> = cases.iter().map(|(line, out)| (line.as_str(), out.as_str())).collect();
    check(&cases);
}

#[test]
fn every_prefix_of_a_service_is_found() {
    // One token of each kind, made of what its service uses.
    let text = "A1B2C3D4E5F6G7H8";
    for (prefix, length) in [
        ("ASIA", 16),
        ("LTAI", 16),
        ("gho_", 36),
        ("ghu_", 36),
        ("ghs_", 36),
        ("ghr_", 36),
        ("github_pat_", 82),
        ("xapp-", 30),
        ("sk_live_", 24),
        ("sk_test_", 24),
        ("rk_live_", 24),
        ("whsec_", 32),
        ("ya29.", 60),
        ("GOCSPX-", 28),
        ("hf_", 34),
        ("npm_", 36),
        ("pypi-AgE", 60),
        ("rubygems_", 48),
        ("dckr_pat_", 27),
        ("SG.", 66),
        ("dop_v1_", 64),
        ("hvs.", 24),
        ("dapi", 32),
        ("glsa_", 41),
        ("NRAK-", 27),
        ("ATATT3", 60),
        ("lin_api_", 40),
        ("AGE-SECRET-KEY-1", 58),
        ("shpat_", 32),
        ("sq0atp-", 22),
    ] {
        let token: String = prefix.chars().chain(text.chars().cycle().take(length)).collect();
        assert_eq!(
            redact_by(&all(), &format!("x {token} y")),
            "x [REDACTED:api_key] y",
            "{prefix}"
        );
        let glued = format!("x{token} y");
        assert_eq!(redact_by(&all(), &glued), glued, "{prefix}");
    }
}

#[test]
fn only_what_was_chosen_goes() {
    let line = "bob@example.com 4111111111111111 10.0.0.1 123-45-6789 212-555-1234";
    let some = Redactor::new(Patterns::parse("email,credit_card").unwrap(), None);
    assert_eq!(some.names(), ["credit_card", "email"]);
    assert_eq!(
        redact_by(&some, line),
        "[REDACTED:email] [REDACTED:cc] 10.0.0.1 123-45-6789 212-555-1234"
    );
    for pattern in Pattern::ALL {
        let one = Redactor::new(Patterns::NONE.with(pattern), None);
        let found = redact_by(&one, line);
        for other in Pattern::ALL.into_iter().filter(|other| *other != pattern) {
            assert!(!found.contains(other.replacement()), "{pattern}: {found}");
        }
    }
    assert!(!Redactor::none().is_active());
    assert_eq!(redact_by(&Redactor::none(), line), line);
}

fn batch(lines: &[&[u8]]) -> Batch {
    let mut batch = Batch::new();
    batch
        .streams
        .push(vec![("app".into(), "web".into()), ("user".into(), "bob@example.com".into())]);
    batch.streams.push(vec![("app".into(), "db".into())]);
    batch
        .metadata
        .push(vec![("api_token".into(), "0123456789ab".into()), ("ip".into(), "10.0.0.1".into())]);
    for (number, line) in lines.iter().enumerate() {
        batch.push(0, number as i64, 1, line);
    }
    batch
}

fn names(
    redactor: &Redactor,
    redacted: &Redacted<std::borrow::Cow<'_, Batch>>,
    skipped: u64,
) -> Vec<String> {
    redacted.hits_from(skipped).map(|place| redactor.names()[place].clone()).collect()
}

#[test]
fn labels_and_metadata_are_redacted_and_counted() {
    let redactor = all();
    let batch = batch(&[b"one", b"two a@b.org 1.2.3.4", b"three c@d.org"]);
    let redacted = redactor.redact(&batch);
    let out = redacted.get();
    assert_eq!(out.streams[0][1].1, "[REDACTED:email]");
    assert_eq!(out.streams[0][0].1, "web");
    assert_eq!(out.metadata[1][0].1, "[REDACTED:secret]");
    assert_eq!(out.metadata[1][1].1, "[REDACTED:ip]");
    assert!(out.metadata[0].is_empty());
    let lines: Vec<_> = out.entries.iter().map(|entry| out.line(entry)).collect();
    assert_eq!(
        lines,
        [&b"one"[..], b"two [REDACTED:email] [REDACTED:ip]", b"three [REDACTED:email]"]
    );
    assert_eq!(
        names(&redactor, &redacted, 0),
        ["email", "ip_v4", "email", "email", "secret", "ip_v4"]
    );
    // Lines that were stored before do not count again.
    assert_eq!(names(&redactor, &redacted, 2), ["email", "email", "secret", "ip_v4"]);
}

#[test]
fn bytes_that_are_no_text_are_redacted_too() {
    let redactor = all();
    let batch = batch(&[b"\xff\xfe bob@example.com \xc3"]);
    let redacted = redactor.redact(&batch);
    let out = redacted.get();
    assert_eq!(out.line(&out.entries[0]), b"\xff\xfe [REDACTED:email] \xc3");
}

#[test]
fn a_batch_without_anything_is_not_copied() {
    let mut batch = Batch::new();
    batch.streams.push(vec![("app".into(), "web".into())]);
    batch.push(0, 1, 0, b"nothing to see");
    let redactor = all();
    assert!(matches!(redactor.redact(&batch).get(), std::borrow::Cow::Borrowed(_)));
}

#[test]
fn a_private_key_goes_over_lines_and_batches() {
    let redactor = all();
    let out = |lines: &[&str]| -> Vec<String> {
        let mut batch = Batch::new();
        batch.streams.push(vec![("app".into(), "web".into())]);
        batch.streams.push(vec![("app".into(), "other".into())]);
        for line in lines {
            batch.push(0, 1, 0, line.as_bytes());
            batch.push(1, 1, 0, b"MIIEpAIBAAKCAQEA");
        }
        let redacted = redactor.redact(&batch);
        let out = redacted.get();
        let of = |stream| {
            out.entries
                .iter()
                .filter(move |entry| entry.stream == stream)
                .map(|entry| String::from_utf8(out.line(entry).to_vec()).unwrap())
        };
        assert!(of(1).all(|line| line == "MIIEpAIBAAKCAQEA"));
        of(0).collect()
    };
    let gone = "[REDACTED:private_key]";
    assert_eq!(
        out(&[
            "a",
            "x -----BEGIN RSA PRIVATE KEY-----",
            "Proc-Type: 4,ENCRYPTED",
            "",
            "MIIEpAIB+/="
        ]),
        ["a", &format!("x {gone}"), gone, gone, gone]
    );
    assert_eq!(
        out(&["QUJD", "-----END RSA PRIVATE KEY-----", "MIIEpAIB"]),
        [gone, gone, "MIIEpAIB"]
    );
    // A key that is never finished ends with the first line that cannot be a part of it.
    assert_eq!(
        out(&["-----BEGIN PRIVATE KEY-----", "QUJD", "level=info ready", "QUJD"]),
        [gone, gone, "level=info ready", "QUJD"]
    );
}

#[test]
fn a_private_key_goes_whatever_stands_before_its_lines_or_between_them() {
    let redactor = all();
    let body = "MIIEpAIBAAKCAQEAx7Vd0aQmP3s9KfLw2Rt8Yb5Nc1HjUe6Zo4Gi+TqXkM/DlBvS";
    let tail = "p0Rw8Zc3Yt==";
    let gone = "[REDACTED:private_key]";
    let words = "-----BEGIN RSA PRIVATE KEY-----";
    let end = "-----END RSA PRIVATE KEY-----";
    let json = |text: &str| format!("{{\"log\":\"{text}\\n\",\"stream\":\"stderr\"}}");
    let time = |second: u32, text: &str| format!("2024-01-15T10:20:{second:02}Z web-1  | {text}");
    for (lines, expected) in [
        (
            vec![time(1, words), time(2, body), time(3, tail), time(4, end)],
            vec![time(1, gone), time(2, gone), time(3, gone), time(4, gone)],
        ),
        (vec![json(words), json(body), json(tail), json(end)], vec![json(gone); 4]),
        (
            vec![
                words.into(),
                body.into(),
                "GET /health 200 in 3 ms".into(),
                body.into(),
                "from 10.1.2.3".into(),
                tail.into(),
                end.into(),
                body.into(),
            ],
            vec![
                gone.into(),
                gone.into(),
                "GET /health 200 in 3 ms".into(),
                gone.into(),
                "from [REDACTED:ip]".into(),
                gone.into(),
                gone.into(),
                body.into(),
            ],
        ),
        (
            vec![
                "PuTTY-User-Key-File-3: ssh-ed25519".into(),
                "Private-Lines: 1".into(),
                body.into(),
                "Private-MAC: 0a1b2c".into(),
                "x".into(),
            ],
            vec![
                "PuTTY-User-Key-File-3: ssh-ed25519".into(),
                gone.into(),
                gone.into(),
                gone.into(),
                "x".into(),
            ],
        ),
        (
            vec![
                "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----".into(),
                body.into(),
                "---- END SSH2 ENCRYPTED PRIVATE KEY ---- y".into(),
            ],
            vec![gone.into(), gone.into(), format!("{gone} y")],
        ),
    ] {
        let mut stream = redactor.lines();
        let out: Vec<String> = lines
            .iter()
            .map(|line| match stream.redact(line.as_bytes(), |_| {}) {
                Some(text) => String::from_utf8(text).unwrap(),
                None => line.clone(),
            })
            .collect();
        assert_eq!(out, expected);
    }
    // One that is never finished is forgotten.
    let mut stream = redactor.lines();
    stream.redact(words.as_bytes(), |_| {});
    for _ in 0..40 {
        assert_eq!(stream.redact(b"level=info", |_| {}), None);
    }
    assert_eq!(stream.redact(body.as_bytes(), |_| {}), None);
}

#[test]
fn what_is_replaced_may_not_make_a_text_much_longer() {
    let redactor = all();
    let line = "a@b.cc ".repeat(3 << 20);
    let out = redactor.redact_line(line.as_bytes(), |_| {}).unwrap();
    assert!(
        out.len() <= line.len() + line.len() / 8 + (4 << 20),
        "{} of {}",
        out.len(),
        line.len()
    );
    assert!(out.capacity() <= out.len() + out.len() / 8, "{} of {}", out.capacity(), out.len());
    assert!(out.starts_with(b"[REDACTED:email] [REDACTED:email]") && out.ends_with(b" *** *** "));
    assert_eq!(memchr::memchr(b'@', &out), None);
    let mut batch = Batch::new();
    batch.streams.push(Vec::new());
    batch.push(0, 1, 0, line.as_bytes());
    let redacted = redactor.redact(&batch);
    assert_eq!(redacted.hits_from(0).count(), 3 << 20);
    let out = redacted.get();
    assert!(
        out.text.capacity() <= line.len() + line.len() / 4 + (5 << 20),
        "{}",
        out.text.capacity()
    );
}

#[test]
fn patterns_of_ones_own_follow_the_built_in_ones() {
    let text = "- {name: order, pattern: 'ORD-\\d+', replacement: '<order>'}\n\
                - {name: mail, pattern: '\\[REDACTED:email\\]', replacement: '<mail>'}";
    let custom = CustomPatterns::parse(text, Path::new("x.yaml")).unwrap();
    let redactor = Redactor::new(Patterns::NONE.with(Pattern::Email), Some(custom));
    assert_eq!(redactor.names(), ["email", "order", "mail"]);
    let mut hits = Vec::new();
    let out = redactor.redact_line(b"ORD-1 a@b.org ORD-2", |place| hits.push(place)).unwrap();
    assert_eq!(out, b"<order> <mail> <order>");
    assert_eq!(hits, [0, 1, 1, 2]);
    assert_eq!(redactor.redact_line(b"nothing", |_| {}), None);
}

/// Lines on which a recogniser that looks too far around each place would take minutes.
#[test]
fn hostile_lines_cost_no_more_than_others() {
    let redactor = all();
    for piece in [
        "%40",
        "@",
        "a@",
        "=",
        ":",
        "::",
        "fe80:",
        "password=[REDACTED",
        "token=",
        "token=(",
        "pass=x(",
        "sk-",
        "-eyJ",
        "eyJ",
        "eyJ.eyJ",
        "ya29.",
        "bearer ",
        "rer",
        "://",
        "://a:",
        "4111 ",
        "4111-",
        "1.",
        "1-",
        "+1",
        "phone1",
        "DE89",
        "-----BEGIN ",
        "\"password\":\"",
        "authorization:",
        "authorization: bearer ",
        "password=${",
        "AKIA",
        "SG.",
        "pypi-AgE",
        "123-45-",
    ] {
        let line = piece.repeat(60_000 / piece.len());
        redactor.redact_line(line.as_bytes(), |_| {});
    }
}

/// Text out of pieces that recognisers care about.
fn line() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: [&str; 44] = [
        "4111111111111111",
        "4111",
        " ",
        "-",
        ".",
        ":",
        "::",
        "@",
        "=",
        "%40",
        "://",
        "/",
        "\"",
        "password",
        "token",
        "secret=",
        "Authorization: ",
        "Bearer ",
        "eyJhbGci",
        ".eyJzdWIi",
        "1",
        "10.0.0.1",
        "555",
        "123",
        "4567",
        "(",
        ")",
        "+",
        "bob",
        "example.com",
        "2001",
        "db8",
        "DE89370400440532013000",
        "AKIAIOSFODNN7EXAMPLE",
        "sk-",
        "-----BEGIN PRIVATE KEY-----",
        "-----END PRIVATE KEY-----",
        "\\",
        "'",
        ",",
        "\u{f6}",
        "\u{8bf7}",
        "x",
        "[REDACTED:cc]",
    ];
    let piece = prop_oneof![
        8 => proptest::sample::select(&PIECES[..]).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..3),
        1 => "[a-z0-9 ]{0,80}".prop_map(String::into_bytes),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes_pass_without_a_panic_and_text_stays_text(line in line()) {
        let redactor = all();
        if let Some(out) = redactor.redact_line(&line, |_| {}) {
            prop_assert!(out != line);
            if std::str::from_utf8(&line).is_ok() {
                prop_assert!(std::str::from_utf8(&out).is_ok());
            }
        }
    }

    #[test]
    fn an_address_is_found_at_every_place_of_a_line(before in "[a-z ]{0,140}", after in "[a-z ]{0,140}") {
        let redactor = all();
        let line = format!("{before} bob@example.com, 10.1.2.3, AKIAIOSFODNN7EXAMPLE; {after}");
        let expected = format!("{before} [REDACTED:email], [REDACTED:ip], [REDACTED:api_key]; {after}");
        prop_assert_eq!(redact_by(&redactor, &line), expected);
    }
}
