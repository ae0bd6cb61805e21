//! `logtap doctor` on real programs, processes and directories: what it says is what is so.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::parts::tap_directory;
use crate::support::PATIENCE;
use crate::support::compile::{compile, compile_go};
use crate::support::machine::{glibc_roots, require, skip};
use crate::support::workspace::{Workspace, command, lean, library, logtap};

/// Raw targets.
mod raw;

/// The exit code and the report of `logtap doctor --json`.
fn doctor(words: &[&str]) -> (Option<i32>, Value) {
    let output =
        command(logtap()).arg("doctor").args(words).arg("--json").output().expect("it runs");
    let text = if output.stdout.is_empty() { &output.stderr } else { &output.stdout };
    let report = serde_json::from_slice(text)
        .unwrap_or_else(|error| panic!("{words:?}: {error}: {output:?}"));
    (output.status.code(), report)
}

/// The words of all findings.
fn found(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().expect("a list");
    findings.iter().filter_map(|finding| finding["what"].as_str()).collect()
}

fn of_path(path: &Path) -> (Option<i32>, Value) {
    doctor(&[path.to_str().expect("tests use plain paths")])
}

/// What is wrong with a program, and that the code says so.
fn wrong_with(path: &Path) -> Vec<String> {
    let (code, report) = of_path(path);
    let kinds: Vec<String> = found(&report).into_iter().map(str::to_owned).collect();
    let problem = report["healthy"] == false;
    assert_eq!(code, Some(if problem { 6 } else { 0 }), "{report:#}");
    kinds
}

/// A process that goes with its test.
struct Running(Child);

impl Running {
    fn start(mut command: Command) -> Self {
        Self(command.stdin(Stdio::null()).spawn().expect("it starts"))
    }

    /// Asks until the answer is the awaited one: a process needs a moment to become what it will be.
    fn doctor_until(&self, good: impl Fn(&Value) -> bool) -> (Option<i32>, Value) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (code, report) = doctor(&["--pid", &self.0.id().to_string()]);
            if good(&report) {
                return (code, report);
            }
            assert!(Instant::now() < deadline, "{report:#}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().expect("it still runs");
        self.0.wait().expect("and can be awaited");
    }
}

/// A program that stays, with the library and these settings.
fn preloaded(program: &str, settings: &[(&str, &str)]) -> Command {
    let mut command = command(program);
    command.env("LD_PRELOAD", library()).envs(settings.iter().copied());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn state_is(state: &str) -> impl Fn(&Value) -> bool {
    move |report| report["process"]["state"] == state
}

#[test]
fn static_and_go_programs_are_out_of_reach_and_said_to_be() {
    if let Some(program) = compile("gcc", "static.c", &["-O1", "-static"]) {
        assert_eq!(wrong_with(&program), ["static"]);
    }
    if let Some(program) = compile_go("writer.go") {
        assert_eq!(wrong_with(&program), ["go"]);
    }
}

#[test]
fn musl_and_glibc_are_told_with_their_releases() {
    for (compiler, libc) in [("gcc", "glibc"), ("musl-gcc", "musl")] {
        let Some(program) = compile(compiler, "static.c", &["-O1"]) else { continue };
        let (code, report) = of_path(&program);
        assert_eq!((code, found(&report)), (Some(0), vec![]), "{report:#}");
        assert_eq!(report["program"]["libc"], libc);
        let version = report["program"]["libc_version"].as_str().expect("a release");
        assert!(version.starts_with(['1', '2']) && version.contains('.'), "{version}");
    }
}

#[test]
fn an_old_glibc_is_told_by_the_loader_that_the_program_names() {
    let root = glibc_roots().join("bullseye");
    let folder = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"].map(|name| root.join(name));
    let Some(folder) = folder.into_iter().find(|folder| folder.join("libc.so.6").exists()) else {
        return skip(&format!("no glibc of bullseye in `{}`", root.display()));
    };
    let loader = format!("-Wl,--dynamic-linker={}", folder.join("ld-linux-x86-64.so.2").display());
    let Some(program) = compile("gcc", "static.c", &["-O1", &loader]) else { return };
    let (_, report) = of_path(&program);
    assert_eq!(report["program"]["libc_version"], "2.31", "{report:#}");
}

#[test]
fn rights_that_a_file_gives_are_an_obstacle_for_others() {
    let Some(program) = compile("gcc", "quiet.c", &["-O1"]) else { return };
    if !rustix::process::geteuid().is_root() {
        return skip("only root can make a program of another user");
    }
    let workspace = Workspace::new();
    let copy = workspace.join("setuid");
    fs::copy(&program, &copy).expect("a copy");
    std::os::unix::fs::chown(&copy, Some(65534), None).expect("root gives away");
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o4755)).expect("a mode");
    assert_eq!(wrong_with(&copy), ["setuid"]);
    // Its owner gains nothing.
    std::os::unix::fs::chown(&copy, Some(0), None).expect("root takes back");
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o4755)).expect("a mode");
    assert_eq!(wrong_with(&copy), ["privileged"]);
}

#[test]
fn a_script_is_followed_to_what_runs_it() {
    let workspace = Workspace::new();
    let script = workspace.join("start");
    fs::write(&script, "#!/bin/sh\nexec true\n").expect("a script");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("a mode");
    let (_, report) = of_path(&script);
    assert_eq!(report["program"]["interpreters"], serde_json::json!(["/bin/sh"]));
    // An application is the programs below its directory.
    let (code, report) = of_path(workspace.path());
    assert_eq!(report["kind"], "application");
    assert_eq!(report["application"]["programs"][0]["path"], script.to_str().expect("plain"));
    assert_eq!(code, Some(0), "{report:#}");
    fs::remove_file(script).expect("it is there");
    assert_eq!(wrong_with(workspace.path()), ["nothing_here"]);
}

#[test]
fn what_is_not_there_and_what_makes_no_sense_have_codes_of_their_own() {
    let said = |words: &[&str]| {
        let output = command(logtap()).arg("doctor").args(words).output().expect("it runs");
        assert!(output.stdout.is_empty(), "{output:?}");
        (output.status.code(), String::from_utf8(output.stderr).expect("text"))
    };
    for (code, words) in [
        (3, &["no-such-program"][..]),
        (3, &["./no/such/program"]),
        (3, &["--pid", "4294967295"]),
        (2, &["--pid", "0"]),
        (2, &["--pid", "self"]),
        (2, &["sh", "--pid", "1"]),
        (2, &[]),
    ] {
        let (said, text) = said(words);
        assert_eq!(said, Some(code), "{words:?}: {text}");
        assert!(text.contains("\nhint: "), "{words:?}: {text}");
    }
    assert!(said(&[]).1.contains("hint: name what to look at"), "{}", said(&[]).1);
}

#[test]
fn a_process_with_losses_is_a_problem_with_numbers() {
    let (Some(perl), Some(tap)) = (require("perl"), tap_directory()) else { return };
    let target = format!("tap:{}", tap.path().display());
    let settings = [
        ("LLT_TARGET", target.as_str()),
        ("LLT_TAP_INTO", "1"),
        ("LLT_RING_SIZE", "64K"),
        ("LLT_STREAMS", "stdout=number"),
    ];
    let mut app = preloaded(perl.to_str().expect("plain"), &settings);
    // Nobody drains the ring: most of it is lost.
    app.args(["-e", "$| = 1; print 'x' x 99, \"\\n\" for 1..3000; sleep 600"]);
    let app = Running::start(app);
    let lost = |report: &Value| -> u64 {
        let rings = report["process"]["tap"]["rings"].as_array().cloned().unwrap_or_default();
        let streams =
            rings.iter().flat_map(|ring| ring["streams"].as_array().cloned().unwrap_or_default());
        streams.filter_map(|stream| stream["lost_records"].as_u64()).sum()
    };
    let waiting = |report: &Value| -> u64 {
        let rings = report["process"]["tap"]["rings"].as_array().cloned().unwrap_or_default();
        let streams =
            rings.iter().flat_map(|ring| ring["streams"].as_array().cloned().unwrap_or_default());
        streams.filter_map(|stream| stream["waiting_records"].as_u64()).sum()
    };
    let (code, report) = app.doctor_until(|report| lost(report) + waiting(report) == 3000);
    assert_eq!(code, Some(6));
    assert!(lost(&report) > 0 && waiting(&report) > 0, "{report:#}");
    assert_eq!(report["process"]["state"], "tapped");
    assert_eq!(report["process"]["library"]["same_as_ours"], true);
    let kinds = found(&report);
    assert!(kinds.contains(&"lost") && kinds.contains(&"no_collector"), "{kinds:?}");
    let hooks = report["process"]["tap"]["rings"][0]["hooks"].to_string();
    assert!(hooks.contains("write and its family"), "{hooks}");
    // The directory says the same.
    let (code, report) = of_path(tap.path());
    assert_eq!((code, &report["kind"]), (Some(6), &"tap_directory".into()));
    assert!(found(&report).contains(&"lost"), "{report:#}");
}

#[test]
fn a_process_with_bad_settings_is_inert_and_every_bad_value_is_named() {
    let settings = [("LLT_TARGET", "carrier-pigeon:coop"), ("LLT_TAP_INTO", "7")];
    let mut app = preloaded("sleep", &settings);
    app.arg("600");
    let app = Running::start(app);
    let (code, report) = app.doctor_until(state_is("inert"));
    assert_eq!((code, found(&report)), (Some(6), vec!["bad_setting"; 2]), "{report:#}");
    let text = report["findings"].to_string();
    assert!(text.contains("`carrier-pigeon:coop`") && text.contains("write `tap:DIR`"), "{text}");
    // For people too.
    let output = command(logtap())
        .args(["doctor", "--pid", &app.0.id().to_string()])
        .output()
        .expect("it runs");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(
        text.contains("inert") && text.contains("problem: `LLT_TAP_INTO` has the value `7`"),
        "{text}"
    );
}

#[test]
fn a_process_without_the_library_and_one_whose_directory_is_missing_are_told_apart() {
    let mut plain = command("sleep");
    plain.arg("600");
    let plain = Running::start(plain);
    let is_sleep = |report: &Value| {
        report["process"]["executable"].as_str().is_some_and(|path| path.contains("sleep"))
    };
    let (code, report) = plain.doctor_until(|report| {
        is_sleep(report) && report["process"]["program"]["libc_version"].is_string()
    });
    assert_eq!((code, found(&report)), (Some(6), vec!["not_preloaded"]), "{report:#}");

    let settings = [("LLT_TARGET", "tap:/nonexistent/tap"), ("LLT_TAP_INTO", "3")];
    let mut lost = preloaded("sleep", &settings);
    lost.arg("600");
    let (code, report) = Running::start(lost).doctor_until(state_is("inert"));
    assert_eq!((code, found(&report)), (Some(6), vec!["no_directory"]), "{report:#}");
}

#[test]
fn a_well_served_process_is_healthy_and_its_collector_is_named() {
    let Some(tap) = tap_directory() else { return };
    let mut collector = command(lean("logtap-collector"));
    collector.arg("--tap").arg(tap.path()).args(["--to", "http://127.0.0.1:9"]);
    collector.stdout(Stdio::null()).stderr(Stdio::null());
    let collector = Running::start(collector);
    let deadline = Instant::now() + PATIENCE;
    while of_path(tap.path()).1["tap"]["collector_alive"] != true {
        assert!(Instant::now() < deadline, "{:#}", of_path(tap.path()).1);
        std::thread::sleep(Duration::from_millis(50));
    }
    let target = format!("tap:{}", tap.path().display());
    let settings =
        [("LLT_TARGET", target.as_str()), ("LLT_TAP_INTO", "1"), ("LLT_STREAMS", "stdout=number")];
    let mut app = preloaded("sleep", &settings);
    app.arg("600");
    let app = Running::start(app);
    let (code, report) =
        app.doctor_until(|report| state_is("tapped")(report) && report["healthy"] == true);
    assert_eq!((code, found(&report)), (Some(0), vec![]), "{report:#}");
    assert_eq!(report["process"]["tap"]["collector_pid"], collector.0.id());
}

#[test]
fn a_stream_that_goes_elsewhere_is_told() {
    let Some(tap) = tap_directory() else { return };
    let target = format!("tap:{}", tap.path().display());
    for (streams, told) in [("", true), ("stdout=number", false), ("stdout=0.1.1.1", true)] {
        let settings =
            [("LLT_TARGET", target.as_str()), ("LLT_TAP_INTO", "1"), ("LLT_STREAMS", streams)];
        let mut app = preloaded("sleep", &settings);
        app.arg("600");
        let app = Running::start(app);
        let state = |report: &Value| report["process"]["library"].is_object();
        let (_, report) = app.doctor_until(state);
        assert_eq!(found(&report).contains(&"untapped_stream"), told, "{streams}: {report:#}");
    }
}

#[test]
fn a_mount_without_the_right_to_execute_is_named() {
    let Some(unshare) = require("unshare") else { return };
    let workspace = Workspace::new();
    let (mount, original) = (workspace.directory("mount"), "/bin/true");
    // In a mount namespace of its own, which goes with the process.
    let script = "mount -t tmpfs -o noexec none \"$1\" && cp \"$2\" \"$1/program\" || exit 99; \
                  exec \"$3\" doctor \"$1/program\" --json";
    let mut inside = command(unshare);
    inside.args(["--mount", "--", "sh", "-c", script, "sh"]);
    inside.arg(mount).arg(original).arg(logtap());
    let output = inside.output().expect("it starts");
    // `unshare` itself ends with 1 where it may not.
    if matches!(output.status.code(), Some(1 | 99)) {
        return skip("no mount namespace can be made here");
    }
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {output:?}"));
    assert_eq!((output.status.code(), found(&report)), (Some(6), vec!["noexec"]), "{report:#}");
}
