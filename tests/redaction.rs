//! Redaction as people ask for it: every spelling of its options, what reaches the disk, what is told.

use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::capture;
use crate::support::pushing::{push, request};
use crate::support::running::{Service, free_port};
use crate::support::workspace::{Workspace, command, logtap};

const LINE: &str = "bob@example.com paid with 4111 1111 1111 1111 from 10.0.0.1";

/// What the only line of a capture looks like that a receiver with these options has written, and what
/// it said.
fn received(options: &[&str], environment: &[(&str, &str)]) -> (String, String) {
    let workspace = Workspace::new();
    let (directory, port) = (workspace.join("capture"), free_port());
    let mut receiver = command(logtap());
    // The options come before --dir: a bare `--redact` must not take it for its value.
    receiver.args(["recv", "--headless", "--listen", &format!("127.0.0.1:{port}")]);
    receiver.args(options).arg("--dir").arg(&directory).envs(environment.iter().copied());
    let receiver = Service::start(receiver, Path::new("/"));
    receiver.wait_for_port(port);
    let answer = push(port, 1, &[LINE]);
    assert_eq!(answer.status, 204, "{answer:?}");
    let outcome = receiver.stop(Signal::TERM, &[]);
    assert!(outcome.status.success(), "{outcome:?}");
    let lines = capture::read(&directory);
    let text = String::from_utf8(lines[0].text.clone()).expect("text");
    (text, String::from_utf8(outcome.stderr).expect("text"))
}

#[test]
fn every_spelling_of_the_option_works() {
    let all = "[REDACTED:email] paid with [REDACTED:cc] from [REDACTED:ip]";
    let some = "[REDACTED:email] paid with [REDACTED:cc] from 10.0.0.1";
    const NAME: &str = "LOGTAP_RECV_REDACT";
    for (options, environment, expected) in [
        (&["--redact"][..], &[][..], all),
        (&["--redact", "true"], &[], all),
        (&["--redact=all"], &[], all),
        (&["--redact=credit_card,email"], &[], some),
        (&["--redact", "email, credit_card"], &[], some),
        (&[], &[(NAME, "true")], all),
        (&[], &[(NAME, "email,credit_card")], some),
        (&[], &[(NAME, "false")], LINE),
        (&["--redact=false"], &[(NAME, "true")], LINE),
        (&[], &[], LINE),
    ] {
        let (text, _) = received(options, environment);
        assert_eq!(text, expected, "{options:?} {environment:?}");
    }
}

#[test]
fn what_was_replaced_is_told_everywhere() {
    let workspace = Workspace::new();
    let (directory, port) = (workspace.join("capture"), free_port());
    let patterns = workspace.join("ours.yaml");
    std::fs::write(&patterns, "- {name: paid, pattern: 'paid with', replacement: '<paid>'}")
        .expect("a file");
    let mut receiver = command(logtap());
    receiver.args(["recv", "--listen", &format!("127.0.0.1:{port}"), "--redact=email,ip_v4"]);
    receiver.arg("--redact-patterns").arg(&patterns).arg("--dir").arg(&directory);
    let receiver = Service::start(receiver, Path::new("/"));
    receiver.wait_for_port(port);
    assert_eq!(push(port, 1, &[LINE, "nothing", "a@b.org"]).status, 204);
    // No byte of what was taken out is in any file.
    for entry in std::fs::read_dir(&directory).expect("a capture") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read(&path).expect("a file");
        assert!(memchr::memmem::find(&text, b"example.com").is_none(), "{}", path.display());
    }
    let metrics = request(port, "GET", "/metrics", b"").body;
    for line in [
        "logtap_redactions_total{pattern=\"email\"} 2",
        "logtap_redactions_total{pattern=\"ip_v4\"} 1",
        "logtap_redactions_total{pattern=\"paid\"} 1",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
    let said = String::from_utf8(receiver.stop(Signal::TERM, &[]).stderr).expect("text");
    assert!(said.contains("redaction: email, ip_v4, paid"), "{said}");
    assert!(said.contains("redacted: email 2, ip_v4 1, paid 1"), "{said}");
    let audit = std::fs::read_to_string(directory.join("audit.jsonl")).expect("the audit trail");
    assert!(audit.contains("redacted: email 2, ip_v4 1, paid 1"), "{audit}");
    let metadata = std::fs::read(directory.join("metadata.json")).expect("metadata");
    let metadata: Value = serde_json::from_slice(&metadata).expect("JSON");
    assert_eq!(
        metadata["redaction"],
        serde_json::json!({"enabled": true, "patterns": ["email", "ip_v4", "paid"],
            "counts": {"email": 2, "ip_v4": 1, "paid": 1}})
    );
}

#[test]
fn run_redacts_what_it_keeps_and_not_what_the_user_sees() {
    let workspace = Workspace::new();
    let directory = workspace.join("capture");
    let mut run = command(logtap());
    run.args(["run", "--redact", "--dir"]).arg(&directory).args(["--", "echo", LINE]);
    let output = run.output().expect("it runs");
    assert_eq!(output.stdout, format!("{LINE}\n").as_bytes());
    let lines = capture::read(&directory);
    let expected = "[REDACTED:email] paid with [REDACTED:cc] from [REDACTED:ip]";
    assert_eq!(String::from_utf8_lossy(&lines[0].text), expected);
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(said.contains("redacted: credit_card 1, email 1, ip_v4 1"), "{said}");
}

fn redact(arguments: &[&str], input: &str) -> std::process::Output {
    let workspace = Workspace::new();
    let file = workspace.join("input");
    std::fs::write(&file, input).expect("a file");
    let mut redact: Command = command(logtap());
    redact.arg("redact").args(arguments).current_dir(workspace.path());
    redact.stdin(Stdio::from(std::fs::File::open(&file).expect("a file")));
    redact.output().expect("it runs")
}

#[test]
fn a_sample_shows_what_would_go() {
    let input = format!("plain\n{LINE}\nno line end a@b.org");
    let tested = redact(&["--test"], &input);
    assert_eq!(
        String::from_utf8_lossy(&tested.stdout),
        "2:[REDACTED:email] paid with [REDACTED:cc] from [REDACTED:ip]\n\
         3:no line end [REDACTED:email]\n"
    );
    insta::assert_snapshot!(String::from_utf8_lossy(&tested.stderr), @r"
    logtap: 2 of 3 lines would change
      credit_card             1
      email                   2
      ip_v4                   1
    ");
    let tested = redact(&["--test", "--json", "--redact=email"], &input);
    let report: Value = serde_json::from_slice(&tested.stdout).expect("JSON");
    assert_eq!((&report["lines"], &report["changed"]), (&3.into(), &2.into()));
    assert_eq!(report["counts"], serde_json::json!({"email": 2}));
    assert_eq!(report["changes"][1]["text"], "no line end [REDACTED:email]");
    let filtered = redact(&["--redact=email"], &input);
    let expected =
        input.replace("bob@example.com", "[REDACTED:email]").replace("a@b.org", "[REDACTED:email]");
    assert_eq!(String::from_utf8_lossy(&filtered.stdout), expected);
}

#[test]
fn a_private_key_of_a_file_goes_over_all_its_lines() {
    let body = "MIIEpAIBAAKCAQEAx7Vd0aQmP3s9KfLw2Rt8Yb5Nc1HjUe6Zo4Gi+TqXkM/DlBvS";
    let input = format!(
        "10:00 a | -----BEGIN PRIVATE KEY-----\n10:00 a | {body}\n10:01 b | ready\n10:01 a | -----END PRIVATE KEY-----\n"
    );
    let key = "a | [REDACTED:private_key]";
    let expected = format!("10:00 {key}\n10:00 {key}\n10:01 b | ready\n10:01 {key}\n");
    assert_eq!(String::from_utf8_lossy(&redact(&[], &input).stdout), expected);
}

#[test]
fn a_mistake_in_a_pattern_is_named_with_its_remedy() {
    let workspace = Workspace::new();
    let file = workspace.join("patterns.yaml");
    for (text, parts) in [
        ("- {name: x, regex: 'a'}", ["unknown field", "hint: try the patterns on a sample"]),
        ("- {name: x, pattern: '(a'}", ["redaction pattern `x`", "hint: try the patterns"]),
        ("- name: [", ["are no YAML list", "hint: try the patterns"]),
    ] {
        std::fs::write(&file, text).expect("a file");
        let mut receiver = command(logtap());
        receiver.args(["recv", "--dir"]).arg(workspace.join("capture"));
        let output = receiver.arg("--redact-patterns").arg(&file).output().expect("it ends");
        let said = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        assert!(!workspace.join("capture").exists(), "nothing is made for a mistake");
    }
    let output = redact(&["--redact=emial"], "");
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("`emial` is no redaction pattern; there are: credit_card, email"),
        "{said}"
    );
    let missing = redact(&["--redact-patterns", "missing.yaml"], "");
    assert_eq!(missing.status.code(), Some(3), "{missing:?}");
}
