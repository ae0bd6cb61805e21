//! nginx, redis-server and PostgreSQL: started, used by a client over loopback, stopped; once plain
//! and once tapped. The capture holds exactly what the tapped server itself showed and left in its
//! log file; and that is what the plain one showed, but for numbers, which stand for times, ports
//! and process ids.

mod nginx;
mod postgres;
mod redis;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::capture;
use crate::support::difference::{Order, difference, masked};
use crate::support::running::{Outcome, Service, free_port, lines};
use crate::support::workspace::{Workspace, command, logtap};

/// A server and how it is used.
struct Server<'a> {
    /// Makes the directory ready; the port is where it shall listen.
    prepare: &'a dyn Fn(&Path, u16),
    /// Its command line.
    command: &'a dyn Fn(&Path, u16) -> Vec<String>,
    /// What the client does.
    client: &'a dyn Fn(&Path, u16),
    /// Its log file, relative to its directory.
    log: Option<&'a str>,
    /// What stands before `logtap run` and before the plain server.
    user: &'a [&'a str],
}

impl Server<'_> {
    fn compare(&self) {
        let workspace = Workspace::new();
        let plain = self.run(&workspace.directory("plain"), None);
        let directory = workspace.directory("tapped");
        let captures = workspace.directory("captures");
        open_to_all(&captures);
        let tapped = self.run(&directory, Some(&captures.join("capture")));

        let mut found = Vec::new();
        let mut same = |what: &str, expected: Vec<Vec<u8>>, got: Vec<Vec<u8>>| {
            let text = difference(&expected, &got, Order::Total);
            found.extend(text.map(|text| format!("{what}: {text}")));
        };
        let tapped_in = text(&directory);
        let here = |shown: &[u8]| masked(&replaced(shown, &tapped_in, "DIRECTORY"));
        let plain_in = text(workspace.join("plain"));
        let there = |shown: &[u8]| masked(&replaced(shown, &plain_in, "DIRECTORY"));
        same("visible stdout", there(&plain.stdout), here(&tapped.stdout));
        same("visible stderr", there(&plain.stderr), here(&tapped.stderr));
        let captured = capture::read(&captures.join("capture"));
        same("captured stdout", lines(&tapped.stdout), capture::of_stream(&captured, "stdout"));
        same("captured stderr", lines(&tapped.stderr), capture::of_stream(&captured, "stderr"));
        if let Some(log) = self.log {
            let left = |outcome: &Outcome| outcome.files.get(log).cloned().unwrap_or_default();
            assert!(!left(&plain).is_empty(), "the plain server left no log");
            same("log file", there(&left(&plain)), here(&left(&tapped)));
            let got = capture::of_file(&captured, &directory.join(log));
            same("captured log file", lines(&left(&tapped)), got);
        }
        if plain.status != tapped.status {
            found.push(format!("exit status: {} plain, {} tapped", plain.status, tapped.status));
        }
        assert!(found.is_empty(), "{}", found.join("\n"));
    }

    fn run(&self, directory: &Path, capture: Option<&Path>) -> Outcome {
        let port = free_port();
        open_to_all(directory);
        (self.prepare)(directory, port);
        let mut words: Vec<String> = self.user.iter().map(|word| (*word).to_owned()).collect();
        if let Some(capture) = capture {
            words.extend([
                text(logtap()),
                "run".into(),
                "-q".into(),
                "--dir".into(),
                text(capture),
            ]);
            words.extend(self.log.map(|log| format!("--file={}", text(directory.join(log)))));
            words.push("--".into());
        }
        words.extend((self.command)(directory, port));
        let mut command: Command = command(words.remove(0));
        command.args(words);
        let service = Service::start(command, directory);
        service.wait_for_port(port);
        (self.client)(directory, port);
        service.stop(rustix::process::Signal::TERM, &self.log.into_iter().collect::<Vec<_>>())
    }
}

fn text(path: impl Into<PathBuf>) -> String {
    path.into().into_os_string().into_string().expect("tests use plain paths")
}

/// The text with every occurrence of one name replaced by another.
fn replaced(text: &[u8], name: &str, other: &str) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = memchr::memmem::find(rest, name.as_bytes()) {
        replaced.extend_from_slice(&rest[..place]);
        replaced.extend_from_slice(other.as_bytes());
        rest = &rest[place + name.len()..];
    }
    replaced.extend_from_slice(rest);
    replaced
}

fn open_to_all(directory: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o777))
        .expect("one's own directory can be opened to all");
}
