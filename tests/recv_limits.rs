//! The receiver at its limits: a full disk, a cap, a kill, wrong settings; what senders see, what is
//! told, and that every acknowledged line is there.

use std::path::Path;

use rustix::process::Signal;

use crate::support::machine::require;
use crate::support::pushing::{push, request};
use crate::support::receiving::{lines, metadata, push_many, receiver, said, stored};
use crate::support::running::{Service, free_port};
use crate::support::small_disk::on_small_disk;
use crate::support::workspace::{Workspace, command, logtap};

#[test]
fn a_full_disk_puts_senders_off_and_says_why() {
    let workspace = Workspace::new();
    let (disk, copy) = (workspace.directory("disk"), workspace.join("copy"));
    let port = free_port();
    // The receiver has nothing old to give up: all is in the file that is being written.
    let script = format!(
        "'{}' recv --headless --min-free 0 --listen 127.0.0.1:{port} --dir '{}/capture'; \
         code=$?; cp -r '{}/capture' '{}'; exit $code",
        logtap().display(),
        disk.display(),
        disk.display(),
        copy.display()
    );
    let Some(small) = on_small_disk(&disk, "1m", &script) else { return };
    let service = Service::start(small, Path::new("/"));
    service.wait_for_port(port);
    let (acknowledged, refused) = push_many(port, 400);
    assert!(refused > 0 && acknowledged.len() > 1_000, "{refused} {}", acknowledged.len());
    let answer = push(port, 1 << 40, &["one more line that has no room "; 600]);
    assert_eq!(answer.status, 429, "{answer:?}");
    assert!(answer.body.contains("No space left on device"), "{answer:?}");
    let metrics = request(port, "GET", "/metrics", b"").body;
    assert!(metrics.contains(&format!("logtap_logs_received_total {}\n", acknowledged.len())));
    // The shell waits for the receiver, which is stopped by its own process number.
    stop_receiver(port);
    let outcome = service.finish(&[]);
    let said = String::from_utf8(outcome.stderr).expect("text");
    assert!(said.contains("senders are throttled with 429: failed to write"), "{said}");
    assert!(said.contains("free some space on the disk"), "{said}");
    assert_eq!(stored(&copy), acknowledged);
}

/// Finds the receiver by the port in its arguments and asks it to stop.
fn stop_receiver(port: u16) {
    let wanted = format!("127.0.0.1:{port}");
    let found = std::fs::read_dir("/proc").expect("/proc").flatten().find_map(|entry| {
        let process: i32 = entry.file_name().to_str()?.parse().ok()?;
        let arguments = std::fs::read(entry.path().join("cmdline")).ok()?;
        let mut words = arguments.split(|byte| *byte == 0);
        let is_receiver = words.next()? == logtap().to_str()?.as_bytes()
            && words.any(|word| word == wanted.as_bytes());
        is_receiver.then_some(process)
    });
    let process = rustix::process::Pid::from_raw(found.expect("it runs")).expect("a number");
    rustix::process::kill_process(process, Signal::TERM).expect("it runs");
}

#[test]
fn the_cap_takes_the_oldest_or_the_newest_as_one_likes() {
    for (mode, dropped) in [("reject", false), ("drop-oldest", false), ("drop-newest", true)] {
        let workspace = Workspace::new();
        let (directory, port) = (workspace.join("capture"), free_port());
        let options =
            ["--max-disk", "300KB", "--compress=false", "--min-free", "0", "--on-full", mode];
        let service = receiver(port, &directory, &options);
        let (acknowledged, refused) = push_many(port, 120);
        assert_eq!((acknowledged.len(), refused), (1_200, 0), "{mode}");
        let said = said(service);
        let (stored, metadata) = (stored(&directory), metadata(&directory));
        let lost = metadata["dropped"]["lines"].as_u64().unwrap_or(0);
        let removed = metadata["removed"]["lines"].as_u64().unwrap_or(0);
        assert_eq!(stored.len() as u64 + lost + removed, 1_200, "{mode}: {metadata}");
        assert_eq!(lost > 0, dropped, "{mode}: {metadata}");
        assert_eq!(removed > 0, !dropped, "{mode}: {metadata}");
        if dropped {
            assert_eq!(metadata["dropped"]["streams"]["{app=\"test\"}"], lost);
        }
        assert!(said.contains("warning: disk limit reached: deleted "), "{said}");
    }
}

#[test]
fn space_that_others_need_stays_free() {
    let workspace = Workspace::new();
    let (directory, port) = (workspace.join("capture"), free_port());
    let service = receiver(port, &directory, &["--min-free", "900000TB"]);
    let answer = push(port, 1, &["x"]);
    assert_eq!(answer.status, 429, "{answer:?}");
    assert!(answer.body.contains("are to stay free"), "{answer:?}");
    let said = said(service);
    assert!(said.contains("free some space there, or lower --min-free"), "{said}");
}

#[test]
fn every_acknowledged_line_survives_a_kill_under_every_policy() {
    for fsync in ["never", "rotation", "every:10ms", "always"] {
        let workspace = Workspace::new();
        let directory = workspace.join("capture");
        let mut acknowledged = Vec::new();
        for round in 0..3 {
            let port = free_port();
            let service = receiver(port, &directory, &["--fsync", fsync, "--max-file", "50KB"]);
            for push_number in 0..10 {
                let first = round * 1_000 + push_number * 10;
                let lines = lines(first);
                let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
                assert_eq!(push(port, 1 + first, &lines).status, 204);
                acknowledged.extend(first..first + 10);
            }
            service.stop(Signal::KILL, &[]);
        }
        // A start adopts what it finds, and ends it.
        let port = free_port();
        said(receiver(port, &directory, &[]));
        assert_eq!(stored(&directory), acknowledged, "{fsync}");
        assert_eq!(metadata(&directory)["total_lines"], acknowledged.len());
    }
}

#[test]
fn other_tools_read_a_capture_while_it_is_written() {
    let (Some(_), Some(_)) = (require("zstdcat"), require("jq")) else { return };
    let workspace = Workspace::new();
    let (directory, port) = (workspace.join("capture"), free_port());
    let service = receiver(port, &directory, &["--max-file", "20KB"]);
    let (acknowledged, _) = push_many(port, 30);
    // Raw files by themselves are lines of JSON; zstdcat reads the others. In this order nothing is
    // missed that changes its form in between.
    let read = |script: &str| {
        let mut shell = command("sh");
        shell.args(["-c", script]).current_dir(&directory);
        let output = shell.output().expect("a shell");
        String::from_utf8(output.stdout).expect("text")
    };
    let seen = read(
        "{ cat 20*.jsonl; zstdcat 20*.zst; } 2>/dev/null | jq -r .msg | cut -d' ' -f1 | sort -nu",
    );
    let seen: Vec<u64> = seen.lines().filter_map(|number| number.parse().ok()).collect();
    assert_eq!(seen, acknowledged);
    said(service);
    assert_eq!(stored(&directory), acknowledged);
}

fn refused(directory: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = command(logtap());
    command.arg("recv").args(arguments).current_dir(directory);
    command.env("HOME", directory);
    let output = command.output().expect("it ends");
    (output.status.code(), String::from_utf8(output.stderr).expect("text"))
}

#[test]
fn mistakes_in_settings_are_named_with_their_remedy() {
    let workspace = Workspace::new();
    let here = workspace.path();
    std::fs::write(workspace.join("plain"), "a file").expect("a file");
    let (code, said) = refused(here, &["--dir", "plain"]);
    assert_ne!(code, Some(0), "{said}");
    assert!(said.contains("`plain`") && said.contains("hint: name a directory"), "{said}");
    let (code, said) = refused(here, &[]);
    assert!(code == Some(2) && said.contains("--dir"), "{said}");
    for (arguments, part) in [
        (["--fsync", "sometimes"], "never, rotation, every:DURATION"),
        (["--rotate-every", "soon"], "`soon` is no duration"),
        (["--on-full", "panic"], "drop-oldest"),
        (["--max-disk", "64X"], "`64X` is no size"),
    ] {
        let (code, said) = refused(here, &arguments);
        assert!(code == Some(2) && said.contains(part), "{arguments:?}: {said}");
    }
}

#[test]
fn a_capture_that_another_receiver_writes_is_named_and_a_broken_one_goes_on() {
    let workspace = Workspace::new();
    let (directory, port) = (workspace.join("capture"), free_port());
    let service = receiver(port, &directory, &[]);
    let capture = directory.to_str().expect("a plain path");
    let (code, text) = refused(workspace.path(), &["--dir", capture, "--listen", "127.0.0.1:0"]);
    assert_eq!(code, Some(4));
    assert!(text.contains("is being written by another process"), "{text}");
    assert!(text.contains("hint: stop the other writer"), "{text}");
    said(service);
    std::fs::write(directory.join("metadata.json"), "{").expect("a file");
    std::fs::create_dir(directory.join("2024-01-15T101959-000.jsonl")).expect("a directory");
    let service = receiver(free_port(), &directory, &[]);
    let told = said(service);
    assert!(
        told.contains("it was set aside as `metadata.json.damaged-1`, and is made anew"),
        "{told}"
    );
    assert!(told.contains("`2024-01-15T101959-000.jsonl` is not a regular file"), "{told}");
}
