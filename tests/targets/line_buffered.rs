//! `LLT_LINE_BUFFERED`: what C's stdio writes arrives line by line, and only where that is asked for.

use std::path::Path;

use super::puppet::{Puppet, program};
use super::sink::Sink;
use crate::support::compile::compile;
use crate::support::workspace::Workspace;

fn check(program: &Path) {
    for asked in ["false", "true"] {
        let workspace = Workspace::new();
        let path = workspace.join("sink");
        let sink = Sink::start(&path);
        let target = format!("socket:{}", path.display());
        let log = workspace.join("app.log");
        let variables = [
            ("LLT_TARGET", target.as_str()),
            ("LLT_TAP_FILE", log.to_str().expect("text")),
            ("LLT_LINE_BUFFERED", asked),
        ];
        let mut puppet = Puppet::start(&workspace, program, &variables);
        // musl finds out at its first write whether stdout is a terminal: that one always comes at once.
        for word in ["l first", "l by printf", "o by fprintf", "w by write"] {
            puppet.tell(word);
        }
        // One connection: what was sent before this line has come before it.
        let lines = sink.wait_for("a line", |lines| lines.iter().any(|line| line == "by write"));
        let there = |text: &str| lines.iter().any(|line| line == text);
        assert_eq!((there("by printf"), there("by fprintf")), (asked == "true", asked == "true"));
        assert!(puppet.end().0.success());
        sink.wait_for("what was left", |lines| lines.len() == 4);
    }
}

#[test]
fn stdio_of_glibc_is_written_by_lines_where_it_is_asked_for() {
    if let Some(program) = program() {
        check(&program);
    }
}

#[test]
fn stdio_of_musl_is_written_by_lines_where_it_is_asked_for() {
    if let Some(program) = compile("musl-gcc", "puppet.c", &["-O1", "-pthread"]) {
        check(&program);
    }
}
