//! Situations that have broken preload libraries, each named after the behaviour: the program does with the library
//! what it does without, what it shows is captured, and what it keeps private is not.

use std::process::Output;

use crate::support::capture;
use crate::support::compile::compile;
use crate::support::workspace::{Workspace, command, logtap};

fn in_situation(name: &str) {
    let Some(program) = compile("cc", "hostile.c", &["-O1", "-pthread"]) else { return };
    let (plain, tapped) = (Workspace::new(), Workspace::new());
    let mut alone = command(program.to_str().expect("a path of text"));
    let expected = alone.arg(name).current_dir(plain.path()).output().expect("the program");
    assert_ne!(expected.status.code(), Some(99), "`{name}` is no situation");
    let mut run = command(logtap());
    run.args(["run", "-q", "--"]).arg(&program).arg(name);
    let seen = run.current_dir(tapped.path()).output().expect("logtap");
    let parts = |output: &Output| {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.to_string(), text(&output.stdout), text(&output.stderr))
    };
    assert_eq!(parts(&seen), parts(&expected));
    let lines = capture::read(&tapped.join("capture"));
    for (stream, visible) in [("stdout", &expected.stdout), ("stderr", &expected.stderr)] {
        let captured = capture::of_stream(&lines, stream);
        let visible: Vec<&[u8]> = visible.split_inclusive(|&byte| byte == b'\n').collect();
        let visible: Vec<&[u8]> =
            visible.into_iter().map(|line| line.strip_suffix(b"\n").unwrap_or(line)).collect();
        assert_eq!(captured, visible, "{stream}");
    }
}

macro_rules! situations {
    ($($name:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            in_situation(stringify!($name));
        }
    )*};
}

situations!(
    strict_sandbox,
    small_stacks,
    no_more_descriptors,
    no_file_size,
    memory_deny_write_execute,
    recycled_descriptor,
    reopened_stdout,
    raw_dup2,
    vfork_redirection,
    errno_is_kept,
    jump_out_of_a_handler,
    cancelled_threads,
    closed_at_exec,
);
