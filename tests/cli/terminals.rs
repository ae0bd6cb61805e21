//! Text of others on a terminal: what acts on one is shown, and never acts. A pipe gets the bytes as they are.

use std::path::Path;
use std::process::Command;

use crate::support::machine::require;
use crate::support::running::{Streams, run};
use crate::support::workspace::{Workspace, command, copy_program, logtap};

/// Renames the window, clears the screen, turns the direction of writing, and does the same as a single C1 character.
const EVIL: &str = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{202e}\u{9b}2J\u{7f}";
const SHOWN: &str = "\u{241b}]0;owned\u{2407}\u{241b}[2J\u{fffd}\u{fffd}2J\u{2421}";

fn capture(directory: &Path) {
    std::fs::create_dir_all(directory).expect("a fresh directory");
    let text = |text: &str| serde_json::to_string(text).expect("a text");
    let line = format!(
        "{{\"ts\":\"2026-01-15T10:19:59Z\",\"labels\":{{\"app\":{}}},\"msg\":{}}}\nno JSON {EVIL}\n",
        text(&format!("web{EVIL}")),
        text(&format!("1%\r2%\rdone {EVIL}\r")),
    );
    std::fs::write(directory.join("2026-01-15T101959-000.jsonl"), line).expect("a directory");
}

fn asked(words: &[&str]) -> Command {
    let mut asked = command(logtap());
    asked.env("NO_COLOR", "1").args(words);
    asked
}

/// What is shown on a terminal, without a byte that acts on it.
fn on_terminal(directory: &Path, words: &[&str]) -> String {
    let outcome = run(asked(words), Streams::Terminal, directory, &[]);
    let text = String::from_utf8(outcome.stdout).expect("text");
    let acts = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!text.contains(acts), "{words:?}: {text:?}");
    text
}

#[test]
fn text_of_others_does_nothing_to_a_terminal() {
    let Some(_setsid) = require("setsid") else { return };
    let workspace = Workspace::new();
    capture(&workspace.join("cap"));
    let evil_file = format!("log{EVIL}");
    let program = workspace.join(format!("echo{EVIL}\nlogtap: 0 lines"));
    copy_program(Path::new("/bin/echo"), &program);
    let program = program.to_str().expect("a text");
    let writes = format!("echo hi >> 'log{EVIL}'");
    for (words, expected) in [
        (&["grep", "done", "cap"][..], format!("[web{SHOWN}] done {SHOWN}\n")),
        (&["grep", "no JSON", "cap"], format!("no JSON {SHOWN}\n")),
        (&["grep", "--json", "done", "cap"], r"done \u001b]0;owned\u0007".to_owned()),
        (&["grep", "x", "cap", "--from", EVIL], SHOWN.to_owned()),
        (&["inspect", "cap"], format!("web{SHOWN}")),
        (&["inspect", "cap", "--json"], r"\u202e\u009b2J\u007f".to_owned()),
        (&["inspect", EVIL], format!("`{SHOWN}`")),
        (&["inspect", EVIL, "--json"], r"\u009b2J".to_owned()),
        (&["doctor", program], format!("echo{SHOWN}\u{23ce}logtap: 0 lines")),
        (&["doctor", EVIL], SHOWN.to_owned()),
        (
            &["run", "--dir", "own", "--file", &evil_file, "--", "sh", "-c", &writes],
            SHOWN.to_owned(),
        ),
        (&["run", "--dir", EVIL, "--", "true"], SHOWN.to_owned()),
    ] {
        let text = on_terminal(workspace.path(), words);
        assert!(text.contains(&expected), "{words:?}: {text}");
    }
}

#[test]
fn a_pipe_gets_the_bytes_and_so_does_a_terminal_where_they_are_asked_for() {
    let Some(_setsid) = require("setsid") else { return };
    let workspace = Workspace::new();
    capture(&workspace.join("cap"));
    let answer = |words: &[&str], streams| {
        let outcome = run(asked(words), streams, workspace.path(), &[]);
        String::from_utf8(outcome.stdout).expect("text")
    };
    let text = answer(&["grep", "--format", "text", "done", "cap"], Streams::Pipes);
    assert!(text.ends_with(&format!("[web{EVIL}] done {EVIL}\n")), "the last state: {text:?}");
    let all = format!("[web{EVIL}] 1%\r2%\rdone {EVIL}\r\n");
    let text = answer(&["grep", "--format", "text", "--raw", "done", "cap"], Streams::Pipes);
    assert!(text.ends_with(&all), "{text:?}");
    let text = answer(&["grep", "--raw", "done", "cap"], Streams::Terminal);
    assert!(text.contains(&format!("1%\r2%\rdone {EVIL}")), "{text:?}");
    let text = answer(&["grep", "done", "cap"], Streams::Pipes);
    assert!(text.contains("1%\\r2%\\rdone") && text.contains('\u{9b}'), "{text:?}");
    for streams in [Streams::Pipes, Streams::Terminal] {
        assert!(answer(&["inspect", "--raw", "cap"], streams).contains(EVIL));
    }
}
