//! `tests/apps/puppet.c`, preloaded, with its stdin in the test's hand.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};

use logtap_wire::raw::{self, RawCounts};

use crate::support::compile::compile;
use crate::support::workspace::{Workspace, command, library};

/// A running puppet. Its stdout is a file beside it, its stderr its answers.
pub(super) struct Puppet {
    child: Child,
    answers: BufReader<ChildStderr>,
    stdout: PathBuf,
}

/// The puppet's program; none where there is no compiler.
pub(super) fn program() -> Option<PathBuf> {
    compile("cc", "puppet.c", &["-O1", "-pthread"])
}

/// A command that is preloaded with these variables, stdout tapped.
pub(super) fn tapped(program: &Path, variables: &[(&str, &str)]) -> Command {
    let mut tapped = command(program);
    tapped.env("LD_PRELOAD", library()).env("LLT_TAP_INTO", "1");
    // A program's end waits for as long as a busy machine may need.
    tapped.env("LLT_EXIT_WAIT", "60000");
    tapped.envs(variables.iter().copied());
    tapped
}

impl Puppet {
    /// Starts it in the workspace with its stdout in `stdout`.
    pub(super) fn start(workspace: &Workspace, program: &Path, variables: &[(&str, &str)]) -> Self {
        let stdout = workspace.join("stdout");
        let mut command = tapped(program, variables);
        command.current_dir(workspace.path()).stdin(Stdio::piped()).stderr(Stdio::piped());
        command.stdout(fs::File::create(&stdout).expect("a file"));
        let mut child = command.spawn().expect("the puppet");
        let answers = BufReader::new(child.stderr.take().expect("a pipe"));
        Self { child, answers, stdout }
    }

    /// Gives it a word, and does not wait.
    pub(super) fn say(&mut self, word: &str) {
        let stdin = self.child.stdin.as_mut().expect("a pipe");
        stdin.write_all(format!("{word}\n").as_bytes()).expect("it reads");
    }

    /// Gives it a word, waits until that is done, and returns what else it said meanwhile.
    pub(super) fn tell(&mut self, word: &str) -> String {
        self.say(word);
        let mut said = String::new();
        loop {
            let mut line = String::new();
            let length = self.answers.read_line(&mut line).expect("a line");
            assert!(length > 0, "it ended at `{word}` after `{said}`");
            if line == "ok\n" {
                return said;
            }
            said.push_str(&line);
        }
    }

    /// What it wrote to its stdout so far.
    pub(super) fn shown(&self) -> String {
        fs::read_to_string(&self.stdout).expect("its stdout")
    }

    /// What it counts of itself.
    pub(super) fn counts(&self) -> RawCounts {
        counts_of(self.child.id()).expect("a page of counts")
    }

    /// Lets it come to its end, and returns what it said at last.
    pub(super) fn end(mut self) -> (ExitStatus, String) {
        drop(self.child.stdin.take());
        let mut said = String::new();
        self.answers.read_to_string(&mut said).expect("text");
        (self.child.wait().expect("its end"), said)
    }
}

/// The counts of a process, found as anybody may: the private mapping that begins with the page's magic.
fn counts_of(process: u32) -> Option<RawCounts> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).ok()?;
    let mut memory = fs::File::open(format!("/proc/{process}/mem")).ok()?;
    maps.lines().filter(|line| line.contains(" rw-p ")).find_map(|line| {
        let start = u64::from_str_radix(line.split('-').next()?, 16).ok()?;
        let mut page = [0; 64];
        memory.seek(SeekFrom::Start(start)).ok()?;
        memory.read_exact(&mut page).ok()?;
        raw::parse(&page)
    })
}
