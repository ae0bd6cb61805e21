//! logtap's own collector as the sink of a raw target.

use std::path::Path;

use serde_json::Value;

use super::puppet::{Puppet, program, tapped};
use crate::parts::tap_directory;
use crate::support::running::Service;
use crate::support::workspace::{Workspace, command, logtap};

/// The lines that the collector has written so far, without one that it is about to write.
fn written(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn the_collector_takes_several_programs_at_once_and_names_them() {
    let (Some(program), Some(tap)) = (program(), tap_directory()) else { return };
    let workspace = Workspace::new();
    let (socket, out) = (workspace.join("raw"), workspace.join("out"));
    let mut collector = command("sh");
    collector.args(["-c", "exec \"$@\" >out", "sh"]).arg(logtap()).arg("collector");
    collector.arg("--tap").arg(tap.path().join("run")).arg("--socket").arg(&socket);
    collector.args(["--to", "-", "--label", "app=raw"]);
    let collector = Service::start(collector, workspace.path());
    collector.wait_for_file(&socket);
    let target = format!("socket:{}", socket.display());
    let variables = [("LLT_TARGET", target.as_str()), ("LLT_TARGET_RECONNECT", "0")];
    let (first, second) = (Workspace::new(), Workspace::new());
    let mut one = Puppet::start(&first, &program, &variables);
    let mut other = Puppet::start(&second, &program, &variables);
    one.tell("p one begins, ");
    other.tell("w other");
    one.tell("w and ends");
    let has = |text: &str| written(&out).iter().any(|line| line["msg"] == text);
    // A process is looked at while it lives.
    collector.wait_until("wrote both", || has("one begins, and ends") && has("other"));
    // Its connection carries stderr alone, and says so by what it was started with.
    let mut third = tapped(Path::new("sh"), &variables);
    third.env("LLT_TAP_INTO", "2").args(["-c", "echo third >&2; sleep 1"]);
    assert!(third.output().expect("sh").status.success());
    one.tell("b 1000");
    other.tell("f from a child");
    assert!(one.end().0.success() && other.end().0.success());
    collector.wait_until("wrote all lines", || written(&out).len() == 1004);
    let stopped = collector.stop(rustix::process::Signal::TERM, &[]);
    assert!(stopped.status.success(), "{stopped:?}");
    assert!(!socket.exists());
    let lines = written(&out);
    let find = |text: &str| lines.iter().find(|line| line["msg"] == text).expect(text);
    let (one, other) = (find("one begins, and ends"), find("other"));
    for line in [one, other] {
        let labels = &line["labels"];
        assert_eq!((&labels["source"], &labels["app"]), (&"socket".into(), &"raw".into()));
        assert_eq!(line["meta"]["exe"], program.to_str().expect("text"));
    }
    assert_eq!(one["labels"]["stream"], "stdout");
    assert_eq!(find("third")["labels"]["stream"], "stderr");
    assert_ne!(one["meta"]["pid"], other["meta"]["pid"]);
    assert_ne!(find("from a child")["meta"]["pid"], other["meta"]["pid"]);
}
