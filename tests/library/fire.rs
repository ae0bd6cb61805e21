//! One write of the shipped library, killed or stopped after each of its instructions, while a forked sibling that
//! shares the ring is alive: whatever the victim leaves behind, the ring drains to the end, the sibling's lines are
//! all there, and the victim's line is whole or not there at all.
#![expect(unsafe_code, reason = "ptrace is not wrapped by any crate in use")]

use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::ptr;
use std::time::{Duration, Instant};

use super::tap::{Drained, Tap};
use crate::support::PATIENCE;
use crate::support::compile::compile;

const VICTIM: &[u8] = b"the line of the one that is killed or stopped";
const SIBLING_LINES: usize = 40;
/// More instructions than one write can take; a run-away loop ends here.
const LIMIT: usize = 20_000;

fn trace(request: libc::c_uint, process: i32, data: usize) -> i64 {
    // SAFETY: none of the requests used here reads or writes memory of this process.
    unsafe { libc::ptrace(request, process, ptr::null_mut::<u8>(), data) }
}

/// Waits for a change of the traced process: its raw status.
fn wait(process: i32) -> i32 {
    let mut status = 0;
    // SAFETY: the status is a local variable.
    let waited = unsafe { libc::waitpid(process, &raw mut status, 0) };
    assert_eq!(waited, process, "{}", std::io::Error::last_os_error());
    status
}

struct Victim {
    child: Child,
    process: i32,
    stdin: Option<ChildStdin>,
    stdout: Option<OwnedFd>,
}

impl Victim {
    /// Starts the program and lets it run to just before its write.
    fn start(tap: &Tap, program: &Path) -> Self {
        let (stdout, writer) = super::tap::pipe();
        let mut command = tap.command(program, &writer);
        command.stdin(Stdio::piped());
        // SAFETY: one system call between fork and exec.
        unsafe {
            command.pre_exec(|| {
                libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
                Ok(())
            });
        }
        let mut child = command.spawn().expect("the program");
        let (process, stdin) = (child.id() as i32, child.stdin.take());
        let victim = Self { child, process, stdin, stdout: Some(stdout) };
        victim.expect_stop(libc::SIGTRAP);
        victim.go_on(0);
        victim.expect_stop(libc::SIGSTOP);
        victim
    }

    fn expect_stop(&self, signal: i32) {
        let mut status = wait(self.process);
        // The sibling may have ended meanwhile.
        while libc::WIFSTOPPED(status) && libc::WSTOPSIG(status) == libc::SIGCHLD {
            self.go_on(libc::SIGCHLD as usize);
            status = wait(self.process);
        }
        assert!(libc::WIFSTOPPED(status) && libc::WSTOPSIG(status) == signal, "{status:#x}");
    }

    fn go_on(&self, signal: usize) {
        assert_eq!(trace(libc::PTRACE_CONT, self.process, signal), 0);
    }

    /// One instruction. False when the program has stopped itself: its write is over.
    fn step(&self) -> bool {
        assert_eq!(trace(libc::PTRACE_SINGLESTEP, self.process, 0), 0);
        let status = wait(self.process);
        assert!(libc::WIFSTOPPED(status), "{status:#x}");
        libc::WSTOPSIG(status) == libc::SIGTRAP
    }

    /// So many instructions, or fewer: how many a write takes varies, because the clock is read again when
    /// the kernel has just moved it. False where the write is over.
    fn steps(&self, count: usize) -> bool {
        (0..count).all(|_| self.step())
    }

    /// Waits for the end, passing on what the sibling's end brings: the raw status.
    fn end(&self) -> i32 {
        let mut status = wait(self.process);
        while libc::WIFSTOPPED(status) {
            self.go_on(libc::WSTOPSIG(status) as usize);
            status = wait(self.process);
        }
        status
    }

    /// Lets the sibling write and waits until its lines have come out of the pipe.
    fn let_sibling_write(&mut self) -> Vec<u8> {
        self.stdin.take().expect("stdin").write_all(b"g").expect("the sibling reads");
        let mut stdout = std::fs::File::from(self.stdout.take().expect("stdout"));
        let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
        while !seen.ends_with(b"sibling 39\n") {
            let length = stdout.read(&mut buffer).expect("stdout");
            assert!(length > 0, "the sibling is gone: {}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&buffer[..length]);
        }
        self.stdout = Some(stdout.into());
        seen
    }
}

/// The sibling writes, and is in its last hook when its last line comes out: waits for that to be in the ring.
fn settled(tap: &Tap) -> Drained {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let drained = tap.read();
        if siblings(&drained) == SIBLING_LINES || Instant::now() > deadline {
            return drained;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn siblings(drained: &Drained) -> usize {
    drained.records.iter().filter(|record| record.payload.starts_with(b"sibling ")).count()
}

fn check(step: usize, drained: &Drained) {
    assert_eq!(siblings(drained), SIBLING_LINES, "after instruction {step}: {drained:?}");
    let lines = drained.records.iter().filter_map(|record| {
        let text = std::str::from_utf8(&record.payload).ok()?;
        text.strip_prefix("sibling ")?.trim_end().parse::<usize>().ok()
    });
    assert!(lines.eq(0..SIBLING_LINES), "after instruction {step} out of order: {drained:?}");
    let others: Vec<_> =
        drained.records.iter().filter(|record| !record.payload.starts_with(b"sibling ")).collect();
    assert!(others.len() <= 1, "after instruction {step}: {drained:?}");
    for record in &others {
        assert!(record.payload.starts_with(VICTIM) && record.payload.ends_with(b"\n"));
    }
    assert!(drained.held + others.len() <= 1, "after instruction {step}: {drained:?}");
    assert_eq!(drained.lost, 0, "after instruction {step}");
}

/// How many instructions the write takes, from one stop of the program to the next.
fn instructions(program: &Path) -> usize {
    let tap = Tap::new();
    let mut victim = Victim::start(&tap, program);
    let count = (0..LIMIT).take_while(|_| victim.step()).count();
    assert!(count < LIMIT, "the write does not end");
    victim.child.kill().expect("killed");
    victim.child.wait().expect("reaped");
    count
}

#[test]
fn killed_after_any_instruction_the_ring_drains_to_the_end() {
    let Some(program) = compile("cc", "fire.c", &[]) else { return };
    let count = instructions(&program);
    for step in 0..=count {
        let tap = Tap::new();
        let mut victim = Victim::start(&tap, &program);
        victim.steps(step);
        victim.child.kill().expect("killed");
        victim.child.wait().expect("reaped");
        let visible = victim.let_sibling_write();
        let drained = settled(&tap);
        check(step, &drained);
        // What is in the ring has been written: the copy never runs ahead of the original.
        let copied = drained.records.iter().any(|record| record.payload.starts_with(VICTIM));
        assert!(!copied || visible.starts_with(VICTIM), "after instruction {step}");
    }
}

#[test]
fn stopped_after_any_instruction_its_siblings_write_on_and_it_goes_on_later() {
    let Some(program) = compile("cc", "fire.c", &[]) else { return };
    let count = instructions(&program);
    for step in (0..=count).step_by(3) {
        let tap = Tap::new();
        let mut victim = Victim::start(&tap, &program);
        let is_over = !victim.steps(step);
        victim.let_sibling_write();
        check(step, &settled(&tap));
        victim.go_on(0);
        if !is_over {
            victim.expect_stop(libc::SIGSTOP);
            victim.go_on(0);
        }
        let status = victim.end();
        assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "{status:#x}");
        let drained = tap.read();
        check(step, &drained);
        assert_eq!((drained.held, drained.records.len()), (0, SIBLING_LINES + 1));
    }
}
