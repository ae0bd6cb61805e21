//! The scripts of `logtap completion`, loaded by the shells that they are for.

use crate::support::machine::require;
use crate::support::workspace::{Workspace, command, logtap};

/// What a shell prints that has `logtap` in its path.
fn said(shell: &str, words: &[&str], script: &str) -> Option<String> {
    let shell = require(shell)?;
    let workspace = Workspace::new();
    std::os::unix::fs::symlink(logtap(), workspace.join("logtap")).expect("a fresh directory");
    let path = std::env::var("PATH").expect("tests have a path");
    let mut shell = command(shell);
    shell.args(words).arg(script).current_dir(workspace.path());
    shell.env("PATH", format!("{}:{path}", workspace.path().display()));
    shell.env("HOME", workspace.path());
    let output = shell.output().expect("a shell starts");
    let text = String::from_utf8(output.stdout).expect("words are text");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{text}\n{errors}");
    Some(text)
}

/// What can be typed next, and what must be offered for it, of all that begins so.
const WORDS: [(&str, &[&str]); 5] = [
    ("logtap ins", &["inspect"]),
    ("logtap run --su", &["--summary", "--suppress"]),
    ("logtap run --on-full ", &["drop", "wait"]),
    ("logtap run --client-", &["--client-cert", "--client-key"]),
    ("logtap grep --format ", &["json", "text"]),
];

#[test]
fn bash_completes() {
    // What bash does at the Tab key.
    let begin = r#"source <(logtap completion bash)
try() {
    COMP_WORDS=("${@}"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}; COMPREPLY=()
    _logtap logtap "${@: -1}" "${@: -2:1}"
    printf '%s\n' "${COMPREPLY[@]}" | sort | tr '\n' ' '; echo
}
complete -p logtap >/dev/null || exit 1
"#;
    let quoted = |line: &str| {
        let words: Vec<String> = line.split(' ').map(|word| format!("'{word}'")).collect();
        format!("try {}\n", words.join(" "))
    };
    let script = WORDS.iter().fold(begin.to_owned(), |script, (line, _)| script + &quoted(line));
    let Some(text) = said("bash", &["--norc", "--noprofile", "-c"], &script) else { return };
    compare(&text);
}

#[test]
fn fish_completes() {
    let script =
        WORDS.iter().fold("logtap completion fish | source\n".to_owned(), |script, (line, _)| {
            script + &format!("complete -C '{line}' | cut -f 1 | sort | tr '\\n' ' '; echo\n")
        });
    let Some(text) = said("fish", &["--no-config", "-c"], &script) else { return };
    compare(&text);
}

/// One line for each of the words, with what was offered.
fn compare(text: &str) {
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), WORDS.len(), "{text}");
    for ((line, expected), offered) in WORDS.iter().zip(lines) {
        let offered: Vec<&str> = offered.split_whitespace().collect();
        assert_eq!(offered, *expected, "{line}");
    }
}

#[test]
fn zsh_takes_the_script_as_a_completion() {
    let script = "autoload -Uz compinit && compinit -u -D && source <(logtap completion zsh) && \
                  print -r -- $_comps[logtap] && whence -w _logtap";
    let Some(text) = said("zsh", &["-f", "-c"], script) else { return };
    assert_eq!(text, "_logtap\n_logtap: function\n");
}
