//! `logtap run --to` a receiver that lets in only whom it knows: with TLS, certificates on both sides, tokens and
//! passwords; and what a person sees where it does not let in.

use std::path::Path;
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::Value;

use crate::support::capture;
use crate::support::receiving::{receiver, said};
use crate::support::running::{Outcome, Streams, free_port, run};
use crate::support::workspace::{Workspace, command, logtap};

const LINES: [&[u8]; 2] = [b"one", b"two"];

/// Writes a root, and a certificate of it for this machine, each with its key where one is needed.
fn certificates(workspace: &Workspace) {
    let write = |name: &str, text: String| {
        std::fs::write(workspace.join(name), text).expect("a fresh directory");
    };
    let mut parameters = CertificateParams::new(Vec::<String>::new()).expect("no names");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(parameters, KeyPair::generate().expect("a key"))
        .expect("a root");
    write("ca.pem", root.pem());
    for name in ["server", "client"] {
        let pair = KeyPair::generate().expect("a key");
        let parameters = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
        let certificate = parameters.signed_by(&pair, &root).expect("a certificate");
        write(&format!("{name}.pem"), certificate.pem());
        write(&format!("{name}.key"), pair.serialize_pem());
    }
}

fn path(workspace: &Workspace, name: &str) -> String {
    workspace.join(name).to_str().expect("plain names").to_owned()
}

fn pushing(address: &str, words: &[&str]) -> Command {
    let mut run = command(logtap());
    run.args(["run", "--to", address]).args(words).args([
        "--",
        "sh",
        "-c",
        "echo one; echo two; exit 7",
    ]);
    run
}

fn ran(workspace: &Workspace, command: Command) -> Outcome {
    let outcome = run(command, Streams::Pipes, workspace.path(), &[]);
    assert_eq!(outcome.stdout, b"one\ntwo\n", "the program is not touched: {outcome:?}");
    assert_eq!(outcome.status.code(), Some(7), "it ends as the program did: {outcome:?}");
    outcome
}

fn told(outcome: &Outcome) -> String {
    String::from_utf8(outcome.stderr.clone()).expect("messages are text")
}

fn captured(directory: &Path) -> Vec<Vec<u8>> {
    capture::of_stream(&capture::read(directory), "stdout")
}

#[test]
fn with_a_root_a_certificate_of_its_own_and_a_token_it_gets_in() {
    let workspace = Workspace::new();
    certificates(&workspace);
    std::fs::write(workspace.join("token"), "hunter2\n").expect("a fresh directory");
    let file = |name| path(&workspace, name);
    let (port, directory) = (free_port(), workspace.join("capture"));
    let (certificate, key, root) = (file("server.pem"), file("server.key"), file("ca.pem"));
    let receiver = receiver(
        port,
        &directory,
        &[
            &["--tls-cert", certificate.as_str(), "--tls-key", &key][..],
            &["--tls-client-ca", &root, "--auth", "bearer:hunter2"],
        ]
        .concat(),
    );
    let own = ["--client-cert", "client.pem", "--client-key", "client.key"];
    let words = [&["--ca", "ca.pem", "--token-file", "token"][..], &own].concat();
    let outcome = ran(&workspace, pushing(&format!("https://127.0.0.1:{port}"), &words));
    assert!(told(&outcome).contains("nothing lost"), "{outcome:?}");
    assert!(!told(&outcome).contains("not delivered"), "{outcome:?}");
    said(receiver);
    assert_eq!(captured(&directory), LINES);
}

#[test]
fn a_user_a_password_and_a_tenant_can_come_from_the_environment() {
    let workspace = Workspace::new();
    let (port, directory) = (free_port(), workspace.join("capture"));
    let options = ["--auth", "basic:me:hunter2", "--tenant-label", "tenant"];
    let receiver = receiver(port, &directory, &options);
    let mut run = pushing(&format!("http://127.0.0.1:{port}"), &[]);
    run.env("LOGTAP_USER", "me").env("LOGTAP_PASSWORD", "hunter2").env("LOGTAP_TENANT", "us");
    // Set to nothing is not set.
    run.env("LOGTAP_CA", "").env("LOGTAP_TOKEN_FILE", "");
    let outcome = ran(&workspace, run);
    assert!(!told(&outcome).contains("not delivered"), "{outcome:?}");
    said(receiver);
    assert_eq!(captured(&directory), LINES);
    let labels = &capture::read(&directory)[0].labels;
    assert_eq!(labels.get("tenant").map(String::as_str), Some("us"), "{labels:?}");
}

#[test]
fn with_a_wrong_token_the_program_runs_and_every_line_is_counted_as_not_delivered() {
    let workspace = Workspace::new();
    std::fs::write(workspace.join("token"), "wrong").expect("a fresh directory");
    let (port, directory) = (free_port(), workspace.join("capture"));
    let receiver = receiver(port, &directory, &["--auth", "bearer:hunter2"]);
    let words = ["--token-file", "token", "--summary", "summary.json"];
    let outcome = ran(&workspace, pushing(&format!("http://127.0.0.1:{port}"), &words));
    let text = told(&outcome);
    for part in [
        "logtap: warning: lines wait to be stored: 401",
        "; --token-file, or --user with a password, says who pushes",
        ", 2 lines not delivered",
        "logtap: 2 lines not delivered: 401",
    ] {
        assert!(text.contains(part), "`{part}` is not in {text}");
    }
    assert!(!text.contains("nothing lost") && !text.contains("hunter2"), "{text}");
    let summary = std::fs::read(workspace.join("summary.json")).expect("a summary");
    let summary: Value = serde_json::from_slice(&summary).expect("JSON");
    assert_eq!(summary["undelivered_lines"], 2, "{summary}");
    assert_eq!(summary["exit_code"], 7, "{summary}");
    said(receiver);
    assert!(captured(&directory).is_empty());
}

#[test]
fn a_server_that_is_not_trusted_gets_nothing() {
    let workspace = Workspace::new();
    certificates(&workspace);
    let file = |name| path(&workspace, name);
    let (port, directory) = (free_port(), workspace.join("capture"));
    let (certificate, key) = (file("server.pem"), file("server.key"));
    let receiver =
        receiver(port, &directory, &["--tls-cert", certificate.as_str(), "--tls-key", &key]);
    let outcome = ran(&workspace, pushing(&format!("https://127.0.0.1:{port}"), &[]));
    let text = told(&outcome);
    assert!(text.contains("2 lines not delivered: ") && text.contains("ertificate"), "{text}");
    assert!(text.contains("; --ca names a file with the certificate to trust"), "{text}");
    said(receiver);
    assert!(captured(&directory).is_empty());
}

#[test]
fn what_cannot_be_used_is_refused_before_the_program_starts() {
    let workspace = Workspace::new();
    certificates(&workspace);
    std::fs::write(workspace.join("empty"), "").expect("a fresh directory");
    let to = "https://127.0.0.1:1";
    for (words, part, remedy) in [
        (&["--tenant", "x"][..], "`--tenant` is for pushes, and nothing is pushed", "add --to URL"),
        (&["--to", to, "--token-file", "empty"], "there is no token in `empty`", "one line"),
        (&["--to", to, "--token-file", "none"], "failed to read `none`: No such file", "readable"),
        (&["--to", to, "--token-file", "."], "failed to read `.`: Is a directory", "readable"),
        (
            &["--to", to, "--user", "me"],
            "`--user` (or LOGTAP_USER) needs a password",
            "LOGTAP_PASSWORD",
        ),
        (&["--to", to, "--ca", "empty"], "there is no certificate in `empty`", "PEM"),
        (&["--to", to, "--tenant", ""], "`--tenant <ID>` needs a value", "logtap run --help"),
        (
            &["--to", to, "--client-cert", "client.pem"],
            "`--client-key` (or LOGTAP_CLIENT_KEY)",
            "both",
        ),
        (
            &["--to", to, "--client-cert", "client.pem", "--client-key", "server.key"],
            "`client.pem` and `server.key` are no certificate with its key",
            "PEM",
        ),
        (
            &["--to", to, "--client-cert", "empty", "--client-key", "client.key"],
            "`empty` and `client.key` are no certificate with its key",
            "PEM",
        ),
    ] {
        let mut refused = command(logtap());
        refused.arg("run").args(words).args(["--", "touch", "started"]);
        let outcome = run(refused, Streams::Pipes, workspace.path(), &[]);
        let text = told(&outcome);
        assert_eq!(outcome.status.code(), Some(125), "{words:?}: {text}");
        assert!(text.contains(part) && text.contains(remedy), "{words:?}: {text}");
        assert!(!workspace.join("started").exists(), "{words:?}: the program had started");
    }
    // What others have in their environment disturbs nobody who does not push.
    let mut run_here = command(logtap());
    run_here.args(["run", "-q", "--", "true"]).env("LOGTAP_USER", "me").env("LOGTAP_CA", "none");
    let outcome = run(run_here, Streams::Pipes, workspace.path(), &[]);
    assert!(outcome.status.success(), "{outcome:?}");
}
