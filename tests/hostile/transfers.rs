//! Bytes that the kernel moves, and writes that do not take all or have to wait.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use super::{FLAGS, Situation, situations};
use crate::support::capture;
use crate::support::compile::compile;
use crate::support::running::lines;
use crate::support::workspace::{Workspace, command, logtap};

situations! { "transfers":
    glibc "gcc" =>
        sent_files sent_by_system_calls copied_ranges given_to_a_pipe interrupted_writes broken_pipe
        terminals_are_asked_for;
    musl "musl-gcc" =>
        sent_files sent_by_system_calls copied_ranges given_to_a_pipe interrupted_writes broken_pipe
        terminals_are_asked_for;
}

/// How much of what goes through at once differs from run to run: what is shown is what is captured.
#[test]
fn writes_that_do_not_take_all() {
    for compiler in ["gcc", "musl-gcc"] {
        for name in ["short_writes", "stdio_that_gives_up"] {
            if let Some(one) = Situation::new(compiler, "transfers", name) {
                one.several_writers().compare();
            }
        }
    }
}

/// The programs that are played on other kinds of stdout.
const PLAYED: [(&str, &str); 4] = [
    ("descriptors", "duplicates_in_all_ways"),
    ("descriptors", "closes_everything"),
    ("processes", "forked_children"),
    ("transfers", "terminals_are_asked_for"),
];

fn on_stdout(mut command: Command, directory: &Path, stdout: impl Into<Stdio>) -> ExitStatus {
    command.current_dir(directory).stdin(Stdio::null()).stdout(stdout).stderr(Stdio::null());
    command.status().expect("the program")
}

fn under_logtap(program: &Path, name: &str) -> Command {
    let mut tapped = command(logtap());
    tapped.args(["run", "-q", "--dir", "capture", "--"]).arg(program).arg(name);
    tapped
}

#[test]
fn sockets_as_stdout() {
    for (source, name) in PLAYED {
        let Some(program) = compile("gcc", &format!("hostile/{source}.c"), &FLAGS) else { return };
        let through_socket = |command: Command, directory: &Path| {
            let (mut ours, theirs) = UnixStream::pair().expect("sockets");
            let reader = std::thread::spawn(move || {
                let mut text = Vec::new();
                ours.read_to_end(&mut text).expect("the socket");
                text
            });
            let status = on_stdout(command, directory, OwnedFd::from(theirs));
            (reader.join().expect("the reader"), status)
        };
        let workspace = Workspace::new();
        let mut plain = command(&program);
        plain.arg(name);
        let expected = through_socket(plain, &workspace.directory("plain"));
        let directory = workspace.directory("tapped");
        let seen = through_socket(under_logtap(&program, name), &directory);
        assert_eq!(seen, expected, "{name}");
        let captured = capture::read(&directory.join("capture"));
        assert!(capture::of_stream(&captured, "stdout") == lines(&seen.0), "{name}");
    }
}

#[test]
fn files_as_stdout() {
    for (source, name) in PLAYED {
        let Some(program) = compile("gcc", &format!("hostile/{source}.c"), &FLAGS) else { return };
        for append in [false, true] {
            let into_file = |command: Command, directory: &Path| {
                let path = directory.join("stdout.txt");
                let file = OpenOptions::new().create(true).write(true).append(append).open(&path);
                let status = on_stdout(command, directory, file.expect("a file"));
                let mut text = Vec::new();
                let mut file = File::open(path).expect("the file");
                file.read_to_end(&mut text).expect("its content");
                (text, status)
            };
            let workspace = Workspace::new();
            let mut plain = command(&program);
            plain.arg(name);
            let expected = into_file(plain, &workspace.directory("plain"));
            let directory = workspace.directory("tapped");
            let seen = into_file(under_logtap(&program, name), &directory);
            assert_eq!(seen, expected, "{name}");
            let captured = capture::read(&directory.join("capture"));
            assert!(capture::of_stream(&captured, "stdout") == lines(&seen.0), "{name}");
        }
    }
}
