//! A terminal with an interactive shell in it, to type into as a person would.
//!
//! Waits for what appears, never for time; gives up after a while that no machine needs.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Instant;

use rustix::pty::OpenptFlags;

use crate::support::PATIENCE;
use crate::support::machine::require;
use crate::support::workspace::command;

/// A shell in a terminal of its own.
pub(crate) struct Terminal {
    shell: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    /// Starts bash with job control; nothing where the machine lacks what that needs.
    pub(crate) fn open(directory: &Path) -> Option<Self> {
        let bash = require("bash")?;
        let setsid = require("setsid")?;
        let env = require("env")?;
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = rustix::pty::openpt(flags).expect("a pseudo-terminal");
        rustix::pty::grantpt(&ours).expect("it is ours");
        rustix::pty::unlockpt(&ours).expect("it is ours");
        let theirs = rustix::pty::ioctl_tiocgptpeer(&ours, flags).expect("its other end");
        let end = |descriptor: &OwnedFd| Stdio::from(descriptor.try_clone().expect("a descriptor"));
        // So wide that no line wraps.
        let size =
            rustix::termios::Winsize { ws_row: 50, ws_col: 1000, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&theirs, size).expect("a size");
        let mut shell: Command = command(setsid);
        // Whoever runs the tests in the background ignores these for all that is started there.
        let heeded = "--default-signal=INT,QUIT,HUP,TSTP,TTIN,TTOU";
        shell.args(["--ctty", "--wait"]).arg(env).arg(heeded);
        shell.arg(bash).args(["--norc", "--noprofile", "-i"]);
        shell.env("PS1", "ready$ ").current_dir(directory);
        shell.stdin(end(&theirs)).stdout(end(&theirs)).stderr(end(&theirs));
        let shell = shell.spawn().expect("bash starts");
        drop(theirs);

        let keyboard = File::from(ours.try_clone().expect("a descriptor"));
        let mut reading = File::from(ours);
        let (pieces_tx, screen) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = reading.read(&mut buffer) {
                if pieces_tx.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        let mut terminal = Self { shell, keyboard, screen, seen: String::new() };
        terminal.wait_for("ready$ ");
        Some(terminal)
    }

    /// Types; a control key is its byte.
    pub(crate) fn type_in(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("the terminal takes keys");
    }

    /// Types a line and waits for this text after what the terminal shows of the line itself.
    pub(crate) fn run(&mut self, line: &str, until: &str) -> String {
        self.type_in(&[line, "\n"].concat());
        self.wait_for("\n");
        self.wait_for(until)
    }

    /// Waits for a text and returns all that came before it since the last wait.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.seen.find(text) {
                let rest = self.seen.split_off(at + text.len());
                return std::mem::replace(&mut self.seen, rest).replace('\r', "");
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.screen.recv_timeout(left) {
                Ok(piece) => self.seen.push_str(&String::from_utf8_lossy(&piece)),
                Err(_) => panic!("`{text}` did not appear after:\n{}", self.seen),
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Ends the shell if it still runs; a test that failed has said why already.
        drop(self.shell.kill());
        drop(self.shell.wait());
    }
}
