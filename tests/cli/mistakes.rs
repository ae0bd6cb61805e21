//! Mistakes in arguments are told in the same words by `logtap` and by the lean programs: the value in backticks, where
//! it comes from if nobody typed it, and what can be done.

use std::process::Command;

use crate::support::workspace::{Workspace, command, lean, logtap};

/// What a program and a command of `logtap` are called with, and what both must say.
struct Mistake<'a> {
    words: &'a [&'a str],
    variable: Option<(&'a str, &'a str)>,
    code: i32,
    said: &'a [&'a str],
}

const fn mistake<'a>(words: &'a [&'a str], said: &'a [&'a str]) -> Mistake<'a> {
    Mistake { words, variable: None, code: 2, said }
}

const COLLECTOR: [Mistake<'_>; 12] = [
    mistake(
        &["--nonsense"],
        &[
            "error: `--nonsense` is no argument here",
            "hint: usage: NAME",
            "hint: `NAME --help` explains",
        ],
    ),
    mistake(
        &["--tap", "/dev/shm/x", "--to", "-", "--spol", "x"],
        &["error: `--spol` is no argument here", "hint: did you mean `--spool`?"],
    ),
    mistake(&["--tap"], &["error: `--tap <DIR>` needs a value"]),
    mistake(&["--tap", "", "--to", "-"], &["error: `--tap <DIR>` needs a value"]),
    mistake(
        &["--tap", "/dev/shm/x", "--to", "-", "--mode", "rwx"],
        &["error: `rwx` is no value of `--mode <OCTAL>`: expected octal permissions"],
    ),
    mistake(
        &["--tap", "/dev/shm/x", "--to", "-", "--format", "protobuff"],
        &[
            "error: `protobuff` is no value of `--format <FORMAT>`",
            "did you mean `protobuf`?",
            "it is one of protobuf, json",
        ],
    ),
    mistake(
        &["stop"],
        &["error: `stop` is no argument here", "hint: `NAME --help` explains every argument"],
    ),
    mistake(
        &["--tap", "/dev/shm/x", "--to", "-", "--no-spool", "--spool", "/x"],
        &["error: `--no-spool` cannot be used together with `--spool <DIR>`"],
    ),
    mistake(&["--to", "-"], &["error: `--tap <DIR>` must be given", "hint: usage: NAME"]),
    mistake(
        &["--tap", "/dev/shm/x", "--to", "nowhere"],
        &["error: failed to set up the sink: `nowhere` is no address", "hint: --to takes http://"],
    ),
    Mistake {
        words: &["--tap", "/dev/shm/x"],
        variable: Some(("LOGTAP_TO", "nowhere")),
        code: 2,
        said: &[
            "`nowhere` is no address",
            "hint: the value of `--to` comes from the environment variable `LOGTAP_TO`",
        ],
    },
    Mistake {
        words: &["--tap", "/dev/shm/x", "--to", "http://127.0.0.1:1"],
        variable: Some(("LOGTAP_TOKEN_FILE", "/no/such/token")),
        code: 3,
        said: &[
            "error: failed to read `/no/such/token`: No such file",
            "environment variable `LOGTAP_TOKEN_FILE`",
        ],
    },
];

const INJECTOR: [Mistake<'_>; 7] = [
    mistake(
        &["--nonsense"],
        &[
            "error: `--nonsense` is no argument here",
            "hint: usage: NAME",
            "hint: `NAME --help` explains",
        ],
    ),
    mistake(&["--install"], &["error: `--install <DIR>` needs a value"]),
    mistake(
        &["--install", "a", "--install", "b"],
        &["error: `--install <DIR>` can be given only once"],
    ),
    mistake(&["remove"], &["error: `remove` is no argument here"]),
    mistake(&[], &["error: `--install <DIR>` must be given"]),
    Mistake {
        words: &[],
        variable: Some(("LOGTAP_INSTALL_DIR", "")),
        code: 2,
        said: &[
            "error: `--install <DIR>` needs a value",
            "environment variable `LOGTAP_INSTALL_DIR`",
        ],
    },
    Mistake {
        words: &[],
        variable: Some(("LOGTAP_INSTALL_DIR", "/no/such/directory")),
        code: 3,
        said: &[
            "directory `/no/such/directory` does not exist",
            "environment variable `LOGTAP_INSTALL_DIR`",
        ],
    },
];

/// The exit code and what stands on stderr.
fn refused(mut program: Command, mistake: &Mistake<'_>) -> (Option<i32>, String) {
    let workspace = Workspace::new();
    program.args(mistake.words).envs(mistake.variable).current_dir(workspace.path());
    let output = program.output().expect("it starts");
    assert!(output.stdout.is_empty(), "an error is no answer: {output:?}");
    (output.status.code(), String::from_utf8(output.stderr).expect("messages are text"))
}

#[test]
fn three_programs_tell_them_in_the_same_words() {
    for (lean_name, name, mistakes) in [
        ("logtap-collector", "collector", &COLLECTOR[..]),
        ("logtap-injector", "inject", &INJECTOR[..]),
    ] {
        for mistake in mistakes {
            let (code, text) = refused(command(lean(lean_name)), mistake);
            let mut whole = command(logtap());
            whole.arg(name);
            let (whole_code, whole_text) = refused(whole, mistake);
            assert_eq!(code, Some(mistake.code), "{:?}: {text}", mistake.words);
            assert_eq!(whole_code, code, "{:?}: {whole_text}", mistake.words);
            for part in mistake.said {
                let part = part.replace("NAME", lean_name);
                assert!(text.contains(&part), "{:?}: `{part}` is not in\n{text}", mistake.words);
            }
            let whole_text = whole_text.replace(&format!("logtap {name}"), lean_name);
            assert_eq!(whole_text, text, "{:?}", mistake.words);
        }
    }
}

#[test]
fn mistakes_of_commands_have_the_same_form() {
    for (words, said) in [
        (
            &["collector", "--tap", "x", "--to", "-", "--ring-cap", "1"][..],
            &["error: --ring-cap: `1` is less than one ring takes"][..],
        ),
        (
            &["runn"][..],
            &["error: `runn` is no command", "hint: did you mean `run`?", "`logtap --help` lists"]
                [..],
        ),
        (
            &["grep", "x", "--from", ""],
            &["error: `--from <TIME>` needs a value: a time is written as"],
        ),
        (
            &["doctor", "--pid", "me"],
            &["error: `me` is no value of `--pid <PID>`: a process has a number"],
        ),
        (
            &["redact", "--redact="],
            &["error: `--redact=` names no pattern", "hint: --redact alone takes all"],
        ),
        (
            &["redact", "--redact-patterns", "/"],
            &["error: failed to read redaction patterns `/`: Is a directory"],
        ),
        (
            &["library", "--install", "a b"],
            &["cannot stand in LD_PRELOAD", "hint: name a directory without blanks"],
        ),
        (&["library", "--install", "a:b"], &["cannot stand in LD_PRELOAD"]),
        (
            &["recv", "--dir", "/etc/passwd"],
            &["error: failed to create `/etc/passwd`: File exists", "--dir"],
        ),
        (
            &["recv", "--dir", "x", "--webhook-auth", "x"],
            &["error: --webhook-auth is `bearer:TOKEN`"],
        ),
    ] {
        let (code, text) = refused(command(logtap()), &mistake(words, said));
        assert_eq!(code, Some(2), "{words:?}: {text}");
        for part in said {
            assert!(text.contains(part), "{words:?}: `{part}` is not in\n{text}");
        }
    }
}

#[test]
fn a_variable_with_a_wrong_value_is_named() {
    for (name, value) in [
        ("LOGTAP_RECV_ADDR", "foo"),
        ("LOGTAP_RECV_DISK_CAP", "foo"),
        ("LOGTAP_RECV_REDACT", "email,foo"),
        ("LOGTAP_RECV_REDACT_PATTERNS", "no-such-file"),
        ("LOGTAP_RECV_AUTH", "foo"),
        ("LOGTAP_RECV_WEBHOOKS", "foo"),
        ("LOGTAP_RECV_WEBHOOK_EVENTS", "foo"),
        ("LOGTAP_RECV_WEBHOOK_AUTH", "foo"),
    ] {
        let workspace = Workspace::new();
        let mut receiver = command(logtap());
        receiver.args(["recv", "--headless", "--dir", "capture"]).env(name, value);
        let output = receiver.current_dir(workspace.path()).output().expect("logtap starts");
        let text = String::from_utf8(output.stderr).expect("messages are text");
        assert!(!output.status.success() && !workspace.join("capture").exists(), "{name}: {text}");
        assert!(text.contains(&format!("the environment variable `{name}`")), "{name}: {text}");
    }
}

#[test]
fn help_and_version_of_the_lean_programs_are_answers() {
    for name in ["logtap-collector", "logtap-injector"] {
        for (flag, part) in [("--help", "Examples:"), ("-h", "Usage: "), ("--version", name)] {
            let output = command(lean(name)).arg(flag).output().expect("it starts");
            let text = String::from_utf8(output.stdout).expect("help is text");
            assert!(output.status.success() && output.stderr.is_empty(), "{name} {flag}: {text}");
            assert!(text.contains(part), "{name} {flag}: {text}");
        }
        let full = std::fs::File::options().write(true).open("/dev/full").expect("a device");
        let output = command(lean(name)).arg("--help").stdout(full).output().expect("it starts");
        let text = String::from_utf8(output.stderr).expect("messages are text");
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("error: failed to write standard output: No space"), "{text}");
    }
}
