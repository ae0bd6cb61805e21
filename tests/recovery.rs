//! What a run could not deliver is kept, named, and delivered later by `logtap recover`.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::capture;
use crate::support::receiving::{receiver, said};
use crate::support::running::{Outcome, Service, Streams, free_port, run};
use crate::support::workspace::{Workspace, command, logtap};

const WRITES: &str = "i=0; while [ $i -lt 100 ]; do echo line $i >>a.log; i=$((i+1)); done";

fn ours(workspace: &Workspace, words: &[&str]) -> Command {
    let mut command = command(logtap());
    command.args(words).env("XDG_STATE_HOME", workspace.join("state"));
    command
}

fn ran(workspace: &Workspace, words: &[&str]) -> Outcome {
    run(ours(workspace, words), Streams::Pipes, workspace.path(), &[])
}

fn json(bytes: &[u8]) -> Value {
    let text = std::str::from_utf8(bytes).expect("text");
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn all() -> Vec<Vec<u8>> {
    (0..100).map(|number| format!("line {number}").into_bytes()).collect()
}

/// The lines of a file, in the file itself or in a capture. None may be nowhere.
fn somewhere(workspace: &Workspace, captured: &[Vec<u8>]) {
    let written = std::fs::read(workspace.join("a.log")).unwrap_or_default();
    let written: Vec<&[u8]> = written.split(|byte| *byte == b'\n').collect();
    for line in all() {
        assert!(
            captured.contains(&line) || written.contains(&line.as_slice()),
            "{} is nowhere",
            String::from_utf8_lossy(&line)
        );
    }
}

fn recovered(workspace: &Workspace, directory: &str, to: &Path) -> Vec<Vec<u8>> {
    let to_text = to.to_str().expect("plain names");
    let outcome = ran(workspace, &["recover", directory, "--dir", to_text, "--json"]);
    assert!(outcome.status.success(), "{outcome:?}");
    assert_eq!(json(&outcome.stdout)["removed"], true, "{outcome:?}");
    assert!(!Path::new(directory).exists());
    capture::of_file(&capture::read(to), &workspace.join("a.log"))
}

#[test]
fn suppressed_lines_whose_address_is_down_are_kept_and_sent_later() {
    let workspace = Workspace::new();
    let port = free_port();
    let address = format!("http://127.0.0.1:{port}");
    let words = ["run", "--json", "--suppress=file", "--file", "a.log", "--to", &address];
    let words =
        [&words[..], &["--redact", "--label", "env=test", "--", "sh", "-c", WRITES]].concat();
    let outcome = ran(&workspace, &words);
    let stderr = String::from_utf8(outcome.stderr).expect("text");
    let summary = json(stderr.lines().last().expect("a summary").as_bytes());
    assert_eq!(summary["undelivered_lines"], 100, "{summary:#}");
    assert_eq!(summary["recover"][0]["lines"], 100, "{summary:#}");
    let directory = summary["recover"][0]["directory"].as_str().expect("a path").to_owned();
    assert!(directory.starts_with(workspace.join("state").to_str().expect("plain names")));
    assert_eq!(summary["recover"][0]["command"], format!("logtap recover {directory}"));

    let list = json(&ran(&workspace, &["recover", "--json"]).stdout);
    let listed = list.as_array().expect("a list").iter().any(|one| one["directory"] == *directory);
    assert!(listed, "{list:#}");
    // Not before somebody takes them.
    let refused = ran(&workspace, &["recover", &directory]);
    assert_eq!(refused.status.code(), Some(5), "{refused:?}");
    let capture_directory = workspace.join("received");
    let service = receiver(port, &capture_directory, &[]);
    let delivered = ran(&workspace, &["recover", &directory]);
    assert!(delivered.status.success(), "{delivered:?}");
    said(service);
    assert!(!Path::new(&directory).exists());
    let captured = capture::read(&capture_directory);
    assert_eq!(capture::of_file(&captured, &workspace.join("a.log")), all());
    assert!(captured.iter().all(|line| line.label("env") == "test"));
    somewhere(&workspace, &all());
}

/// Runs with an address that is down and nowhere to keep lines, so that they stay in their rings; gives the directory.
fn left_in_memory(workspace: &Workspace) -> String {
    std::fs::write(workspace.join("state"), "no directory").expect("a fresh directory");
    let address = format!("http://127.0.0.1:{}", free_port());
    let words = ["run", "--json", "--suppress=file", "--file", "a.log", "--to", &address];
    let outcome = ran(workspace, &[&words[..], &["--", "sh", "-c", WRITES]].concat());
    let stderr = String::from_utf8(outcome.stderr).expect("text");
    let summary = json(stderr.lines().last().expect("a summary").as_bytes());
    summary["recover"][0]["directory"].as_str().expect("a path").to_owned()
}

#[test]
fn a_run_that_has_nowhere_to_keep_lines_leaves_them_in_memory_and_says_where() {
    let workspace = Workspace::new();
    let directory = left_in_memory(&workspace);
    assert!(Path::new(&directory).is_dir(), "{directory}");
    // Another run does not touch them.
    assert!(ran(&workspace, &["run", "-q", "--", "true"]).status.success());
    let captured = recovered(&workspace, &directory, &workspace.join("late"));
    assert_eq!(captured, all());
}

#[test]
fn what_is_refused_when_it_is_recovered_from_rings_is_kept_again() {
    let workspace = Workspace::new();
    let directory = left_in_memory(&workspace);
    std::fs::remove_file(workspace.join("state")).expect("it is ours");
    let port = free_port();
    let service = receiver(port, &workspace.join("received"), &["--fault", "400:100%"]);
    let address = format!("http://127.0.0.1:{port}");
    let refused = ran(&workspace, &["recover", &directory, "--to", &address]);
    said(service);
    assert_eq!(refused.status.code(), Some(5), "{refused:?}");
    let told = String::from_utf8(refused.stderr).expect("text");
    let again = told.split("100 lines of them kept; send later: logtap recover ").nth(1);
    let again = again.unwrap_or_else(|| panic!("{told}")).lines().next().expect("a path");
    assert_eq!(recovered(&workspace, again, &workspace.join("late")), all());
}

#[test]
fn what_a_killed_run_left_in_its_rings_is_named_kept_and_delivered_into_its_capture() {
    let workspace = Workspace::new();
    let script = "echo $$ >pid; i=0; while [ $i -lt 60 ]; do echo line $i >>a.log; i=$((i+1)); sleep 0.05; done; \
                  while [ $i -lt 100 ]; do echo line $i >>a.log; i=$((i+1)); done; echo >done";
    let words =
        ["run", "-q", "--suppress=file", "--file", "a.log", "--dir", "c", "--", "sh", "-c", script];
    let service = Service::start(ours(&workspace, &words), workspace.path());
    service.wait_for_file(&workspace.join("pid"));
    let alive = left(&workspace);
    assert!(alive.is_none(), "a run that lives delivers by itself: {alive:?}");
    std::thread::sleep(std::time::Duration::from_millis(500));
    drop(service.stop(rustix::process::Signal::KILL, &[]));
    let begun = std::time::Instant::now();
    while !workspace.join("done").exists() {
        assert!(begun.elapsed().as_secs() < 60, "the program goes on");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let found = left(&workspace).expect("what was suppressed last");
    assert!(ran(&workspace, &["run", "-q", "--dir", "other", "--", "true"]).status.success());
    let told = ran(&workspace, &["inspect", "c"]);
    let told = String::from_utf8_lossy(&told.stderr).into_owned();
    let directory = found.to_str().expect("plain names");
    assert!(told.contains(&format!("logtap recover {directory}")), "{told}");
    let outcome = ran(&workspace, &["recover", directory]);
    assert!(outcome.status.success(), "{outcome:?}");
    assert!(!found.exists(), "{outcome:?}");
    let captured = capture::of_file(&capture::read(&workspace.join("c")), &workspace.join("a.log"));
    somewhere(&workspace, &captured);
}

/// The directory that the list names for this workspace's capture.
fn left(workspace: &Workspace) -> Option<PathBuf> {
    let list = json(&ran(workspace, &["recover", "--json"]).stdout);
    let capture = workspace.join("c");
    let of_ours = |one: &&Value| one["owner"]["capture"] == capture.to_str().expect("plain names");
    let found = list.as_array().expect("a list").iter().find(of_ours)?;
    found["directory"].as_str().map(PathBuf::from)
}

#[test]
fn lines_that_are_refused_are_kept_and_named_and_suppression_ends() {
    let workspace = Workspace::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || refuse(stream));
        }
    });
    let address = format!("http://127.0.0.1:{port}");
    let script = "i=0; while [ $i -lt 60 ]; do echo line $i >>a.log; i=$((i+1)); sleep 0.03; done; \
                  while [ $i -lt 100 ]; do echo line $i >>a.log; i=$((i+1)); done";
    let words = ["run", "--json", "--suppress=file", "--file", "a.log", "--to", &address];
    let outcome = ran(&workspace, &[&words[..], &["--", "sh", "-c", script]].concat());
    let stderr = String::from_utf8(outcome.stderr).expect("text");
    let summary = json(stderr.lines().last().expect("a summary").as_bytes());
    assert_eq!(summary["recover"][0]["lines"], 100, "{summary:#}");
    assert_eq!(summary["refused_lines"], 100, "{summary:#}");
    assert_eq!(summary["last_error"], "400 Bad Request", "{summary:#}");
    let written = std::fs::read(workspace.join("a.log")).expect("nobody cared for the last lines");
    assert!(written.ends_with(b"line 99\n"), "{}", String::from_utf8_lossy(&written));
    let directory = summary["recover"][0]["directory"].as_str().expect("a path");
    assert_eq!(recovered(&workspace, directory, &workspace.join("late")), all());
}

#[test]
fn what_is_too_large_for_the_address_is_sent_in_parts_and_only_what_is_too_large_alone_is_kept() {
    let workspace = Workspace::new();
    let (port, received) = (free_port(), workspace.join("received"));
    let service = receiver(port, &received, &["--max-body", "3KB"]);
    let long = "x".repeat(60_000);
    let script = format!(
        "import random, string\nrandom.seed(1)\n\
         for i in range(100): print(i, ''.join(random.choices(string.printable[:90], k=400)))\n\
         print('long', ''.join(random.choices(string.printable[:90], k={})))\nprint('end')",
        long.len()
    );
    let address = format!("http://127.0.0.1:{port}");
    let outcome =
        ran(&workspace, &["run", "--json", "--to", &address, "--", "python3", "-c", &script]);
    said(service);
    let stderr = String::from_utf8(outcome.stderr).expect("text");
    let summary = json(stderr.lines().last().expect("a summary").as_bytes());
    assert_eq!(summary["refused_lines"], 1, "{summary:#}");
    assert!(
        summary["last_error"].as_str().is_some_and(|text| text.starts_with("413 ")),
        "{summary:#}"
    );
    let shown: Vec<&[u8]> = outcome.stdout.split_inclusive(|byte| *byte == b'\n').collect();
    let captured = capture::of_stream(&capture::read(&received), "stdout");
    let expected: Vec<Vec<u8>> = shown
        .iter()
        .filter(|line| !line.starts_with(b"long"))
        .map(|line| line.trim_ascii_end().to_vec())
        .collect();
    let ends: Vec<Vec<u8>> = captured.iter().map(|line| line.trim_ascii_end().to_vec()).collect();
    assert!(ends == expected, "each once and in order: {} of {}", ends.len(), expected.len());
    assert_eq!(summary["recover"][0]["lines"], 1, "{summary:#}");
}

#[test]
fn a_refusal_is_no_success_for_a_person_either() {
    let workspace = Workspace::new();
    let (port, received) = (free_port(), workspace.join("received"));
    let service = receiver(port, &received, &["--fault", "400:100%"]);
    let address = format!("http://127.0.0.1:{port}/");
    let outcome = ran(&workspace, &["run", "--to", &address, "--", "sh", "-c", "echo a; echo b"]);
    said(service);
    let told = String::from_utf8(outcome.stderr).expect("text");
    assert!(told.contains(", 2 lines refused\n") && !told.contains("nothing lost"), "{told}");
    assert!(told.contains("2 lines refused: 400 Bad Request"), "{told}");
    assert!(told.contains("2 lines are kept in "), "{told}");
}

/// Answers every push with 400.
fn refuse(stream: std::net::TcpStream) {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    let mut reader = BufReader::new(stream.try_clone().expect("a descriptor"));
    let mut writer = stream;
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a number");
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        let answer = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
        if reader.read_exact(&mut body).is_err() || writer.write_all(answer).is_err() {
            return;
        }
    }
}
