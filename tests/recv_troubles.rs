//! What people run into with a receiver and its captures, by symptom: each test is named after one, and
//! checks that what is said names the cause and the remedy, and the exit code.
//!
//! The other symptoms have their tests elsewhere: a full disk, wrong values of flags and a capture that
//! somebody else writes in `recv_limits`, a disk that fails in `recv_faults`, configuration files in
//! `notifications`, patterns of one's own and wrong names in `redaction`.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::path::Path;

use crate::support::machine::require;
use crate::support::pushing::{push, request};
use crate::support::receiving::{metadata, objects, push_many, receiver, said, stored};
use crate::support::running::{Service, free_port};
use crate::support::workspace::{Workspace, command, copy_program, logtap};

/// Runs `logtap` to its end; exit code, stdout and stderr.
fn run(directory: &Path, words: &[&str]) -> (Option<i32>, String, String) {
    let mut logtap = command(logtap());
    logtap.args(words).current_dir(directory).env("HOME", directory);
    let output = logtap.output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A capture of fifty lines in several files, some of them compressed.
fn capture_of_fifty(workspace: &Workspace) -> std::path::PathBuf {
    let (directory, port) = (workspace.join("capture"), free_port());
    let service = receiver(port, &directory, &["--max-file", "10KB"]);
    assert_eq!(push_many(port, 5).0.len(), 50);
    said(service);
    directory
}

fn compressed(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).expect("a capture");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "zst"));
    files.sort();
    files
}

/// Zstd as others write it, without a table: text, a line of a gigabyte, text.
fn bomb(before: &str, after: &str) -> Vec<u8> {
    const BLOCK: u32 = 128 << 10;
    // No checksum, no size, a window of one block.
    let mut packed = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 7 << 3];
    let head = |kind: u32, size: u32, last: bool| {
        let [low, middle, high, _] = (size << 3 | kind << 1 | u32::from(last)).to_le_bytes();
        [low, middle, high]
    };
    let text = |text: &str, last| [&head(0, text.len() as u32, last)[..], text.as_bytes()].concat();
    packed.extend(text(before, false));
    for _ in 0..8_192 {
        packed.extend(head(1, BLOCK, false));
        packed.push(b'x');
    }
    packed.extend(text(after, true));
    packed
}

#[test]
fn a_line_of_a_gigabyte_in_a_file_of_others_takes_no_memory_and_hides_no_other_line() {
    let workspace = Workspace::new();
    let (directory, port) = (workspace.directory("capture"), free_port());
    let line = |text: &str| format!("{{\"ts\":\"2024-01-15T10:19:59Z\",\"msg\":\"{text}\"}}\n");
    let packed = bomb(&line("before"), &format!("\n{}", line("after")));
    assert!(packed.len() < 40_000);
    std::fs::write(directory.join("2024-01-15T101959-000.jsonl.zst"), packed).expect("a file");
    // Less than half of that line.
    let limited = |words: &str| {
        let mut shell = command("sh");
        let script = format!("ulimit -d 400000; exec '{}' {words}", logtap().display());
        shell.args(["-c", &script]);
        shell
    };
    let directory = directory.display();
    let receiver = format!("recv --headless --listen 127.0.0.1:{port} --dir '{directory}'");
    let service = Service::start(limited(&receiver), Path::new("/"));
    service.wait_for_port(port);
    said(service);
    let index = objects(&workspace.join("capture"), "index.jsonl");
    assert_eq!((index.len(), &index[0]["lines"]), (1, &2.into()), "{index:?}");

    let found = limited(&format!("grep 'before|after' '{directory}'")).output().expect("it ends");
    let (out, said) =
        (String::from_utf8_lossy(&found.stdout), String::from_utf8_lossy(&found.stderr));
    assert!(out.contains("before") && out.contains("after"), "{out} {said}");
    assert!(said.contains("1 lines of more than 67108864 bytes are passed over"), "{said}");
}

#[test]
fn the_receiver_does_not_start_for_the_port_is_in_use() {
    let workspace = Workspace::new();
    let holder = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = holder.local_addr().expect("it listens").to_string();
    let port = address.rsplit(':').next().expect("a port");
    let (code, _, said) = run(workspace.path(), &["recv", "--dir", "c", "--listen", &address]);
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains(&format!("failed to listen on {address}")), "{said}");
    assert!(
        said.contains(&format!(
            "hint: another program listens there: `ss -ltnp 'sport = :{port}'`"
        ))
    );
    assert!(!workspace.join("c").exists(), "nothing is left of it");
    let wanted = format!("tcp://{address}");
    let words = ["recv", "--dir", "c", "--listen", "127.0.0.1:0", "--json-lines", &wanted];
    let (code, _, said) = run(workspace.path(), &words);
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains(&format!("failed to listen on {address}")), "{said}");
}

#[test]
fn the_receiver_does_not_start_for_its_directory_cannot_be_written() {
    let workspace = Workspace::new();
    let closed = workspace.directory("closed");
    let directory = closed.join("capture");
    let listen = format!("127.0.0.1:{}", free_port());
    let words = ["recv", "--listen", listen.as_str(), "--dir", directory.to_str().expect("plain")];
    let output = if rustix::process::geteuid().is_root() {
        // Root may write everywhere, so somebody else tries; who needs the program where he may run it.
        let Some(setpriv) = require("setpriv") else { return };
        let program = workspace.join("logtap");
        if std::fs::hard_link(logtap(), &program).is_err() {
            copy_program(&logtap(), &program);
        }
        let mut somebody = command(setpriv);
        somebody.args(["--reuid=12345", "--regid=12345", "--clear-groups", "--"]).arg(program);
        somebody.args(words).env("HOME", "/nowhere").current_dir("/").output().expect("it ends")
    } else {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o555)).expect("ours");
        command(logtap()).args(words).output().expect("it ends")
    };
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains(&format!("failed to create `{}`", directory.display())), "{said}");
    assert!(said.contains("hint: name a directory that can be written with --dir"), "{said}");
}

#[test]
fn the_receiver_does_not_start_for_a_variable_has_a_wrong_value() {
    let workspace = Workspace::new();
    for (name, value, part) in [
        ("LOGTAP_RECV_DISK_CAP", "plenty", "`plenty` is no size"),
        ("LOGTAP_RECV_REDACT", "emial", "`emial` is no redaction pattern"),
        ("LOGTAP_RECV_REDACT_PATTERNS", "missing.yaml", "missing.yaml"),
        ("LOGTAP_RECV_ADDR", "nowhere", "`nowhere` is no address to listen on"),
        ("LOGTAP_RECV_WEBHOOKS", "nonsense", "`nonsense` is no address for a webhook"),
    ] {
        let mut logtap = command(logtap());
        logtap.args(["recv", "--dir", "c"]).env(name, value).env("HOME", workspace.path());
        let output = logtap.current_dir(workspace.path()).output().expect("it ends");
        let said = String::from_utf8(output.stderr).expect("text");
        assert!(matches!(output.status.code(), Some(2 | 3)), "{name}: {said}");
        assert!(said.contains(part), "{name}: {said}");
        assert!(!workspace.join("c").exists(), "{name}");
    }
}

#[test]
fn files_rotate_earlier_than_asked_for_the_cap_is_small() {
    let workspace = Workspace::new();
    let (directory, port) = (workspace.join("capture"), free_port());
    let options = ["--max-file", "256MB", "--max-disk", "100MB"];
    let said = said(receiver(port, &directory, &options));
    assert!(said.contains("files are closed at 25.0 MB, not at --max-file 256.0 MB"), "{said}");
}

#[test]
fn a_card_is_visible_for_only_mail_addresses_were_chosen() {
    let workspace = Workspace::new();
    let (directory, port) = (workspace.join("capture"), free_port());
    let said = said(receiver(port, &directory, &["--redact=email"]));
    assert!(said.contains("logtap: redaction: email\n"), "{said}");
    assert!(said.contains("logtap: not redacted: credit_card, jwt, "), "{said}");
    assert!(said.contains("--redact alone takes all"), "{said}");
    let port = free_port();
    let said = self::said(receiver(port, &workspace.join("all"), &["--redact"]));
    assert!(!said.contains("not redacted"), "{said}");
}

#[test]
fn personal_data_is_visible_by_no_way_in() {
    let workspace = Workspace::new();
    let (directory, port) = (workspace.join("capture"), free_port());
    let (tcp, udp) = (free_port(), free_port());
    let sources = [format!("tcp://127.0.0.1:{tcp}"), format!("udp://127.0.0.1:{udp}")];
    let options = [
        "--redact",
        "--tenant-label",
        "tenant",
        "--json-lines",
        &sources[0],
        "--json-lines",
        &sources[1],
    ];
    let service = receiver(port, &directory, &options);
    let secret = "bob@example.com";
    let bodies = [
        (
            "/loki/api/v1/push",
            r#"{"streams":[{"stream":{"a":"bob@example.com"},"values":[["1","bob@example.com",{"m":"bob@example.com"}]]}]}"#,
        ),
        (
            "/api/prom/push",
            r#"{"streams":[{"labels":"{a=\"bob@example.com\"}","entries":[{"ts":"bob@example.com","line":"x bob@example.com"}]}]}"#,
        ),
        (
            "/otlp/v1/logs",
            r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"bob@example.com"}}]},"scopeLogs":[{"logRecords":[{"timeUnixNano":"1","body":{"stringValue":"bob@example.com"},"attributes":[{"key":"k","value":{"stringValue":"bob@example.com"}}]}]}]}]}"#,
        ),
        (
            "/logtap/raw",
            r#"{"ts":"2024-01-01T00:00:00Z","labels":{"a":"bob@example.com"},"msg":"bob@example.com"}"#,
        ),
        (
            "/logtap/lines",
            r#"{"msg":"bob@example.com","app":"bob@example.com","other":{"deep":"bob@example.com"}}"#,
        ),
        ("/logtap/lines", "no JSON from bob@example.com"),
    ];
    for (path, body) in bodies {
        assert!(body.contains(secret));
        let answer = request(port, "POST", path, body.as_bytes());
        assert!(matches!(answer.status, 200 | 204), "{path}: {answer:?}");
    }
    let mut sender = TcpStream::connect(("127.0.0.1", tcp)).expect("it listens");
    sender.write_all(b"{\"msg\":\"bob@example.com\"}\nbob@example.com\n").expect("it reads");
    drop(sender);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    socket.send_to(b"{\"msg\":\"bob@example.com\"}", ("127.0.0.1", udp)).expect("it is sent");
    // What is refused, and why, is told to others than its sender.
    for path in ["/logtap/lines?bob@example.com", "/logtap/lines?label=bob@example.com=,"] {
        let answer = request(port, "POST", path, b"{}");
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(!answer.body.contains(secret), "{answer:?}");
    }
    service.wait_until("stored what came", || {
        crate::support::pushing::metric(port, "logtap_logs_received_total") == 9
    });
    let metrics = request(port, "GET", "/metrics", b"").body;
    let said = said(service);
    assert!(!metrics.contains(secret) && !said.contains(secret), "{metrics} {said}");
    for entry in std::fs::read_dir(&directory).expect("a capture") {
        let path = entry.expect("an entry").path();
        let file = std::fs::File::open(&path).expect("a file");
        let mut content = Vec::new();
        let read = match path.extension().is_some_and(|end| end == "zst") {
            true => zstd::stream::read::Decoder::new(file).expect("zstd").read_to_end(&mut content),
            false => (&file).read_to_end(&mut content),
        };
        read.expect("it can be read");
        let text = String::from_utf8_lossy(&content);
        assert!(!text.contains(secret), "{}: {text}", path.display());
    }
    let counts = &metadata(&directory)["redaction"]["counts"]["email"];
    assert!(counts.as_u64().expect("a number") >= 15, "{counts}");
}

#[test]
fn a_capture_has_its_lines_also_when_its_metadata_is_damaged_or_missing() {
    let workspace = Workspace::new();
    let directory = capture_of_fifty(&workspace);
    std::fs::write(directory.join("metadata.json"), "{\"version\": 1,").expect("a file");
    // Its lines are there all the same, and what is wrong is told.
    for words in [&["inspect", "capture"][..], &["grep", "--count", " ", "capture"]] {
        let (code, _, said) = run(workspace.path(), words);
        assert_eq!(code, Some(0), "{words:?}: {said}");
        assert!(said.contains("warning: metadata.json: "), "{words:?}: {said}");
        assert!(said.contains("is read from the data files"), "{words:?}: {said}");
    }
    // The next receiver makes it anew from the files, and keeps what could not be read.
    let said = self::said(receiver(free_port(), &directory, &[]));
    assert!(said.contains("set aside as `metadata.json.damaged-1`, and is made anew"), "{said}");
    assert_eq!(metadata(&directory)["total_lines"], 50);
    // So does one that finds none.
    std::fs::remove_file(directory.join("metadata.json")).expect("it is there");
    self::said(receiver(free_port(), &directory, &[]));
    assert_eq!(metadata(&directory)["total_lines"], 50);
    assert_eq!(stored(&directory), (0..50).collect::<Vec<_>>());
}

#[test]
fn a_capture_has_its_lines_also_when_its_index_is_damaged_or_missing() {
    let whole = || {
        let workspace = Workspace::new();
        let directory = capture_of_fifty(&workspace);
        let index = std::fs::read_to_string(directory.join("index.jsonl")).expect("an index");
        (workspace, directory, index)
    };
    for damage in ["missing", "cut", "nonsense"] {
        let (workspace, directory, index) = whole();
        let path = directory.join("index.jsonl");
        match damage {
            "missing" => std::fs::remove_file(&path).expect("it is there"),
            "cut" => std::fs::write(&path, &index[..index.len() - 20]).expect("a file"),
            _ => std::fs::write(&path, "\0\0{]\n").expect("a file"),
        }
        let (code, report, said) = run(workspace.path(), &["inspect", "--json", "capture"]);
        assert_eq!(code, Some(0), "{damage}: {said}");
        let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
        assert_eq!(report["total_lines"], 50, "{damage}: {report}");
        assert_eq!(said.contains("of index.jsonl cannot be read"), damage != "missing", "{said}");
        let (code, counts, _) = run(workspace.path(), &["grep", "--count", " ", "capture"]);
        let counts =
            counts.lines().filter_map(|line| line.rsplit('\t').next()?.parse::<u64>().ok());
        assert_eq!((code, counts.sum::<u64>()), (Some(0), 50), "{damage}");
        // A receiver that goes on puts it in order.
        self::said(receiver(free_port(), &directory, &[]));
        let entries = crate::support::receiving::objects(&directory, "index.jsonl");
        let lines: u64 = entries.iter().filter_map(|entry| entry["lines"].as_u64()).sum();
        assert_eq!(lines, 50, "{damage}");
        assert_eq!(stored(&directory), (0..50).collect::<Vec<_>>());
    }
}

#[test]
fn an_index_that_names_a_file_elsewhere_is_refused() {
    let workspace = Workspace::new();
    let directory = capture_of_fifty(&workspace);
    let foreign = "{\"file\":\"../secret.jsonl\",\"lines\":1}\n";
    std::fs::write(directory.join("index.jsonl"), foreign).expect("a file");
    for words in
        [&["inspect", "capture"][..], &["recv", "--dir", "capture", "--listen", "127.0.0.1:0"]]
    {
        let (code, _, said) = run(workspace.path(), words);
        assert_ne!(code, Some(0), "{words:?}");
        assert!(said.contains("`../secret.jsonl`, which is not a plain file name"), "{said}");
        assert!(said.contains("hint: "), "{words:?}: {said}");
    }
}

#[test]
fn a_file_that_was_cut_costs_its_own_lines_and_is_named() {
    let workspace = Workspace::new();
    let directory = capture_of_fifty(&workspace);
    let first = compressed(&directory).remove(0);
    let content = std::fs::read(&first).expect("a file");
    std::fs::write(&first, &content[..content.len() / 2]).expect("a file");
    let (code, found, said) = run(workspace.path(), &["grep", " ", "capture"]);
    let name = first.file_name().and_then(|name| name.to_str()).expect("a plain name");
    assert!(said.contains(name), "{code:?}: {said}");
    let lines = found.lines().filter(|line| !line.is_empty()).count();
    assert!((20..50).contains(&lines), "{lines}: {said}");
}

#[test]
fn a_capture_of_a_receiver_that_was_killed_is_whole() {
    let workspace = Workspace::new();
    let (directory, port) = (workspace.join("capture"), free_port());
    let service = receiver(port, &directory, &["--max-file", "10KB"]);
    assert_eq!(push_many(port, 5).0.len(), 50);
    service.stop(rustix::process::Signal::KILL, &[]);
    let (code, report, said) = run(workspace.path(), &["inspect", "--json", "capture"]);
    assert_eq!(code, Some(0), "{said}");
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(report["total_lines"], 50, "{report}");
}

#[test]
fn nothing_arrives_for_the_sender_speaks_another_protocol_or_path() {
    let workspace = Workspace::new();
    let (directory, port) = (workspace.join("capture"), free_port());
    let service = receiver(port, &directory, &[]);
    let mut tls = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    tls.write_all(b"\x16\x03\x01\x02\x00\x01").expect("it reads");
    drop(std::io::copy(&mut tls, &mut std::io::sink()));
    assert_eq!(
        request(port, "POST", "/loki/api/v1/push/", b"{}").status,
        422,
        "as without the slash"
    );
    let answer = request(port, "POST", "/loki/push", b"{}");
    assert!(answer.status == 404 && answer.body.contains("`POST /loki/api/v1/push`"), "{answer:?}");
    assert_eq!(request(port, "GET", "/loki/api/v1/push", b"").status, 405);
    assert_eq!(request(port, "POST", "/loki/api/v1/push", b"nonsense").status, 400);
    assert_eq!(push(port, 1, &["x"]).status, 204);
    let said = said(service);
    assert!(said.contains("speaks TLS, but this receiver does not; use http://"), "{said}");
    assert!(said.contains("a push was refused with 400: json: "), "{said}");
    assert!(said.contains("asks for `/loki/push`: 404"), "{said}");
    let hint = format!("only this machine can send; --listen 0.0.0.0:{port}");
    assert!(said.contains(&hint), "{said}");
}

#[test]
fn a_stderr_that_takes_nothing_does_not_hold_up_the_end() {
    let workspace = Workspace::new();
    let (directory, port) = (workspace.join("capture"), free_port());
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::NONBLOCK).expect("a flag");
    while writer.write(&[b'\n'; 4096]).is_ok() {}
    // Opened by its path the pipe is one that waits.
    let stderr = format!("/proc/{}/fd/{}", std::process::id(), writer.as_raw_fd());
    let script = format!("exec \"$@\" 2>'{stderr}'");
    let mut shell = command("sh");
    shell.args(["-c", &script, "sh"]).arg(logtap());
    shell.args(["recv", "--headless", "--listen", &format!("127.0.0.1:{port}"), "--dir"]);
    shell.arg(&directory);
    let service = Service::start(shell, Path::new("/"));
    service.wait_for_port(port);
    assert_eq!(push_many(port, 5).0.len(), 50);
    let outcome = service.stop(rustix::process::Signal::TERM, &[]);
    assert!(outcome.status.success(), "{outcome:?}");
    assert_eq!(stored(&directory).len(), 50);
    assert!(writer.write(b"\n").is_err(), "it was full to the end");
    drop(reader);
}
