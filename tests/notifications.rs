//! What `logtap recv` tells others: its audit trail, webhooks, alerts; and where it is told what to do,
//! its configuration files.

use std::fs;
use std::io::{BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::PATIENCE;
use crate::support::running::{Service, free_port};
use crate::support::workspace::{Workspace, command, logtap};

/// An address whose server accepts everything and passes on the bodies.
fn webhook() -> (String, mpsc::Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("http://{}/", listener.local_addr().expect("it listens"));
    let (bodies_tx, bodies_rx) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let bodies_tx = bodies_tx.clone();
            let mut stream = stream.expect("a connection");
            thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
                while let Some(body) = next_body(&mut reader) {
                    stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").ok();
                    let body = serde_json::from_slice(&body).expect("a notice is JSON");
                    if bodies_tx.send(body).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (url, bodies_rx)
}

fn next_body(reader: &mut impl std::io::BufRead) -> Option<Vec<u8>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            let mut body = vec![0; length];
            return reader.read_exact(&mut body).ok().map(|()| body);
        }
    }
}

fn receiver(words: &[&str], workspace: &Workspace, port: u16) -> Service {
    let mut receiver = command(logtap());
    receiver.env("HOME", workspace.path()).arg("recv").arg("--headless").args(words);
    let receiver = Service::start(receiver, workspace.path());
    receiver.wait_for_port(port);
    receiver
}

/// Pushes one line and returns the status of the answer.
fn push(port: u16, body: &str) -> u16 {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    let length = body.len();
    write!(
        stream,
        "POST /loki/api/v1/push HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status")
}

fn line(text: &str) -> String {
    format!(r#"{{"streams":[{{"stream":{{"app":"x"}},"values":[["1","{text}"]]}}]}}"#)
}

fn records(directory: &Path) -> Vec<Value> {
    let text = fs::read_to_string(directory.join("audit.jsonl")).expect("there is a trail");
    text.lines().map(|line| serde_json::from_str(line).expect("a record is JSON")).collect()
}

fn refused(words: &[&str], workspace: &Workspace) -> (Option<i32>, String) {
    let mut refused: Command = command(logtap());
    let output = refused
        .args(words)
        .env("HOME", workspace.path())
        .current_dir(workspace.path())
        .output()
        .expect("logtap starts");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn the_audit_trail_tells_who_sent_what_and_is_no_data() {
    let workspace = Workspace::new();
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let receiver = receiver(&["--listen", &listen, "--dir", "c"], &workspace, port);
    assert_eq!(push(port, &line("hello")), 204);
    assert_eq!(push(port, "nonsense"), 400);
    receiver.stop(Signal::TERM, &[]);
    let records = records(&workspace.join("c"));
    let events: Vec<_> = records.iter().map(|record| record["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["server_started", "loki_push_received", "push_refused", "server_stopped"]);
    assert_eq!(records[1]["remote_ip"], "127.0.0.1");
    assert_eq!((&records[1]["lines"], &records[1]["bytes"]), (&1.into(), &5.into()));
    assert_eq!(records[2]["status"], 400);
    assert_eq!(records[3]["lines"], 1);
    let mut inspect = command(logtap());
    let inspect = inspect.args(["inspect", "c", "--json"]).current_dir(workspace.path());
    let report = inspect.output().expect("it runs").stdout;
    let report: Value = serde_json::from_slice(&report).expect("a report is JSON");
    assert_eq!(report["total_lines"], 1, "{report}");
}

#[test]
fn webhooks_hear_of_start_alert_and_stop() {
    let workspace = Workspace::new();
    let (url, notices_rx) = webhook();
    fs::write(
        workspace.join("rules.yaml"),
        "rules: [{name: first, metric: logs_received, op: gte, threshold: 1, detail: it works}]",
    )
    .expect("the workspace takes a file");
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let words = ["--listen", &listen, "--dir", "c", "--webhook-url", &url];
    let receiver =
        receiver(&[&words[..], &["--alert-rules", "rules.yaml"]].concat(), &workspace, port);
    let next = || notices_rx.recv_timeout(PATIENCE).expect("a notice");
    let start = next();
    assert_eq!(start["event"], "start");
    assert_eq!(start["dir"], workspace.join("c").to_str().expect("a plain path"));
    assert_eq!(push(port, &line("hello")), 204);
    let alert = next();
    assert_eq!(alert["event"], "alert");
    assert_eq!((&alert["rule"], &alert["detail"]), (&"first".into(), &"it works".into()));
    assert_eq!((&alert["value"], &alert["threshold"]), (&1.0.into(), &1.0.into()));
    receiver.stop(Signal::TERM, &[]);
    let stop = next();
    assert_eq!(stop["event"], "stop");
    assert_eq!(stop["stats"]["lines_written"], 1);
}

#[test]
fn a_rotation_is_told() {
    let workspace = Workspace::new();
    let (url, notices_rx) = webhook();
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let words = ["--listen", &listen, "--dir", "c", "--max-file", "1KB", "--webhook", &url];
    let receiver =
        receiver(&[&words[..], &["--webhook-events", "rotation"]].concat(), &workspace, port);
    let text = "x".repeat(700);
    for _ in 0..2 {
        assert_eq!(push(port, &line(&text)), 204);
    }
    let notice = notices_rx.recv_timeout(PATIENCE).expect("a notice");
    assert_eq!((&notice["event"], &notice["detail"]), (&"rotation".into(), &"size".into()));
    receiver.stop(Signal::TERM, &[]);
    let records = records(&workspace.join("c"));
    assert!(records.iter().any(|record| record["event"] == "rotation"), "{records:?}");
}

#[test]
fn files_configure_the_receiver_and_flags_win() {
    let workspace = Workspace::new();
    let (home_port, local_port) = (free_port(), free_port());
    workspace.directory(".logtap");
    fs::write(
        workspace.join(".logtap/config.yaml"),
        format!("recv:\n  addr: '127.0.0.1:{home_port}'\n  dir: from-home\n"),
    )
    .expect("the workspace takes a file");
    fs::write(
        workspace.join(".logtap.yaml"),
        format!("recv:\n  addr: '127.0.0.1:{local_port}'\n  disk_cap: 1GB\n"),
    )
    .expect("the workspace takes a file");
    receiver(&[], &workspace, local_port).stop(Signal::TERM, &[]);
    assert!(workspace.join("from-home/metadata.json").exists());
    receiver(&["--dir", "from-flag"], &workspace, local_port).stop(Signal::TERM, &[]);
    assert!(workspace.join("from-flag/metadata.json").exists());
}

#[test]
fn a_file_of_the_directory_is_told_and_weakens_nothing() {
    let workspace = Workspace::new();
    let port = free_port();
    workspace.directory(".logtap");
    let home = format!("recv:\n  addr: '127.0.0.1:{port}'\n  redact: true\n");
    fs::write(workspace.join(".logtap/config.yaml"), home).expect("the workspace takes a file");
    let local = "recv: {addr: '0.0.0.0:1', redact: false, dir: there}\n";
    fs::write(workspace.join(".logtap.yaml"), local).expect("the workspace takes a file");
    let outcome = receiver(&[], &workspace, port).stop(Signal::TERM, &[]);
    let said = String::from_utf8(outcome.stderr).expect("messages are text");
    for part in [
        "./.logtap.yaml sets `recv.dir` to `there`\n",
        "sets `recv.addr` to `0.0.0.0:1`, which is not followed",
        "sets `recv.redact` to `false`, which is not followed",
        "redaction: credit_card, ",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn what_is_wrong_in_a_file_is_named_and_nothing_is_made() {
    let workspace = Workspace::new();
    let local = workspace.join(".logtap.yaml");
    for (text, part) in [
        ("recv: {adr: x}", "did you mean `recv.addr`?"),
        ("recv: [", "configuration `.logtap.yaml`: "),
        ("recv: {disk_cap: plenty}", "`plenty` is no size"),
    ] {
        fs::write(&local, text).expect("the workspace takes a file");
        let (code, said) = refused(&["recv", "--dir", "c"], &workspace);
        assert_eq!(code, Some(2), "{text}: {said}");
        assert!(said.contains(part), "{text}: {said}");
    }
    // Other commands do not read it, and help helps.
    assert_eq!(refused(&["recv", "--help"], &workspace).0, Some(0));
    fs::write(&local, "recv: [").expect("the workspace takes a file");
    assert_eq!(refused(&["recv", "--help"], &workspace).0, Some(0));
    assert_eq!(refused(&["inspect"], &workspace).0, Some(3));
    fs::remove_file(&local).expect("it is there");
    for (words, part) in [
        (&["--webhook", "nonsense"][..], "`nonsense` is no address for a webhook"),
        (&["--webhook", "http://x/", "--webhook-events", "stop,boot"], "`boot` is no event"),
        (&["--webhook-auth", "bearer:x"], "add --webhook URL"),
        (&["--webhook", "http://x/", "--webhook-auth", "basic:x"], "`bearer:TOKEN`"),
        (&["--alert-rules", "missing.yaml"], "failed to read alert rules `missing.yaml`"),
    ] {
        let (code, said) = refused(&[&["recv", "--dir", "c"], words].concat(), &workspace);
        assert!(matches!(code, Some(2 | 3)), "{words:?}: {said}");
        assert!(said.contains(part), "{words:?}: {said}");
    }
    assert!(!workspace.join("c").exists());
}
