//! Why a receiver does not start, or nothing reaches it: the cause is named, and what to do about it.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use rustix::process::Signal;

use crate::support::running::{Service, free_port};
use crate::support::workspace::{Workspace, command, logtap};

/// The exit code, what stands on stderr, and whether a capture was left behind.
fn refused(words: &[&str]) -> (Option<i32>, String, bool) {
    let workspace = Workspace::new();
    std::fs::write(workspace.join("empty"), "").expect("a file");
    let mut receiver = command(logtap());
    receiver.args(["recv", "--dir", "capture"]).args(words).current_dir(workspace.path());
    let output = receiver.output().expect("logtap starts");
    let text = String::from_utf8(output.stderr).expect("messages are text");
    (output.status.code(), text, workspace.join("capture").exists())
}

#[test]
fn a_port_that_is_taken_is_named_with_a_way_to_find_out_by_whom() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let address = format!("127.0.0.1:{port}");
    let hint = format!("`ss -ltnp 'sport = :{port}'` names it");
    let lines = format!("tcp://{address}");
    for words in [
        &["--listen", address.as_str()][..],
        &["--listen", "127.0.0.1:0", "--json-lines", lines.as_str()],
    ] {
        let (code, text, left) = refused(words);
        assert_eq!((code, left), (Some(5), false), "{text}");
        assert!(text.contains(&format!("failed to listen on {address}")), "{text}");
        assert!(text.contains("in use") && text.contains(&hint), "{text}");
    }
}

#[test]
fn what_cannot_be_served_is_refused_before_there_is_a_capture() {
    for (words, cause, remedy) in [
        (&["--listen", "192.0.2.1:3100"][..], "192.0.2.1:3100", "0.0.0.0 stands for all"),
        (&["--listen", "nowhere"], "`nowhere` is no address", "HOST:PORT"),
        (&["--tls-cert", "empty"], "--tls-key", "--tls-cert"),
        (&["--tls-key", "empty"], "--tls-cert", "--tls-key"),
        (&["--tls-client-ca", "empty"], "--tls-cert", "--tls-client-ca"),
        (&["--tls-cert", "empty", "--tls-key", "empty"], "a certificate from `empty`", "none"),
        (&["--tls-cert", "x", "--tls-key", "empty"], "a certificate from `x`", "x"),
        (&["--auth", "hunter2"], "--auth has no credential", "basic:USER:PASSWORD"),
        (&["--auth", "@empty"], "`empty` has no credential", "bearer:TOKEN"),
        (&["--auth", "@nowhere"], "failed to read `nowhere`", "nowhere"),
        (&["--fault", "429:5"], "`429:5` is no fault", "429:5%"),
        (&["--json-lines", "http://:1"], "`http://:1` is neither", "tcp://HOST:PORT"),
        (&["--json-key", "colour=red"], "`colour=red` is no key", "message=KEY"),
        (&["--tenant-label", "a-b"], "`a-b` is no name of a label", "letters, digits and _"),
        (&["--redact="], "`--redact=` names no pattern", "--redact=false"),
        (&["--redact", ""], "`--redact=` names no pattern", "--redact=false"),
        (&["--redact=,"], "`--redact=,` names no pattern", "--redact=false"),
        (&["--max-disk", "1"], "--max-disk 1 B has no room", "1GB"),
        (&["--max-connections", "0"], "0", "--max-connections"),
        (&["--max-body", "plenty"], "`plenty` is no size", "256MB"),
    ] {
        let (code, text, left) = refused(words);
        assert!(code.is_some_and(|code| (2..=5).contains(&code)) && !left, "{words:?}: {text}");
        assert!(text.contains(cause) && text.contains(remedy), "{words:?}: {text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn room_that_no_disk_has_is_told() {
    let text = said(&["--min-free", "99999TB"], |_| ());
    let warning =
        "less than --min-free 99999.0 TB: nothing is stored; say how much is to stay free";
    assert!(
        text.contains("warning: the whole disk of `capture` has ") && text.contains(warning),
        "{text}"
    );
}

/// What a receiver says from its start to its end, while a client does something.
fn said(words: &[&str], client: impl FnOnce(u16)) -> String {
    let workspace = Workspace::new();
    let port = free_port();
    let mut receiver = command(logtap());
    receiver.args(["recv", "--headless", "--dir", "capture"]).args(words);
    receiver.args(["--listen", &format!("127.0.0.1:{port}")]);
    let receiver = Service::start(receiver, workspace.path());
    receiver.wait_for_port(port);
    client(port);
    let outcome = receiver.stop(Signal::TERM, &[]);
    assert!(outcome.status.success(), "{outcome:?}");
    String::from_utf8(outcome.stderr).expect("messages are text")
}

fn send(port: u16, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.write_all(bytes).expect("it reads");
    let mut answer = Vec::new();
    // Who closes without reading everything resets the connection: that is an end too.
    drop(stream.read_to_end(&mut answer));
    String::from_utf8(answer).expect("answers are text")
}

#[test]
fn what_clients_do_wrong_is_said() {
    let mut opened = String::new();
    let text = said(&["--auth", "bearer:secret"], |port| {
        opened = format!("only this machine can send; --listen 0.0.0.0:{port} opens it to others");
        let request = b"POST /loki/api/v1/push HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\
                        Connection: close\r\n\r\n";
        assert!(send(port, request).starts_with("HTTP/1.1 401"));
        assert_eq!(send(port, b"\x16\x03\x01"), "");
    });
    for part in [
        opened.as_str(),
        "logtap: warning: 127.0.0.1 sends without the right token or password (see --auth)",
        "logtap: warning: 127.0.0.1 speaks TLS, but this receiver does not; use http:// there",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn a_directory_of_something_else_is_told() {
    let workspace = Workspace::new();
    let elsewhere = workspace.directory("elsewhere");
    std::fs::write(elsewhere.join("notes.txt"), "").expect("a file");
    let warning = "`elsewhere` is not a capture and not empty, `notes.txt` is in it";
    let told = |words: &[&str]| {
        let mut run = command(logtap());
        run.args(words).current_dir(workspace.path());
        String::from_utf8(run.output().expect("logtap starts").stderr).expect("messages are text")
    };
    let run = ["run", "--dir", "elsewhere", "--", "true"];
    assert!(told(&run).contains(warning));
    assert!(!told(&run).contains("not a capture"), "it is one now");
}

#[test]
fn a_receiver_for_everybody_says_so() {
    let workspace = Workspace::new();
    let port = free_port();
    let mut receiver = command(logtap());
    receiver.args(["recv", "--headless", "--dir", "capture", "--listen", &format!(":{port}")]);
    let receiver = Service::start(receiver, Path::new(workspace.path()));
    receiver.wait_for_port(port);
    let outcome = receiver.stop(Signal::TERM, &[]);
    let text = String::from_utf8(outcome.stderr).expect("messages are text");
    assert!(text.contains("warning: everybody who reaches this address can send"), "{text}");
}
