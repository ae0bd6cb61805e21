//! What is around a process: users, roots, clocks, and a tap directory that is not as it should be.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Situation, situations};
use crate::support::capture;
use crate::support::compile::compile;
use crate::support::machine::{require, skip};
use crate::support::running::{Outcome, Streams, lines, run};
use crate::support::workspace::{Workspace, command, library, logtap};

situations! { "surroundings":
    glibc "gcc" => umask_and_working_directory environment_overwritten not_dumpable;
    musl "musl-gcc" => umask_and_working_directory environment_overwritten not_dumpable;
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Only root may change its user or its root directory.
#[test]
fn other_users_and_roots() {
    if !is_root() {
        return skip("this user may become no other");
    }
    for compiler in ["gcc", "musl-gcc"] {
        for name in ["other_user", "other_root"] {
            if let Some(one) = Situation::new(compiler, "surroundings", name) {
                one.compare();
            }
        }
    }
}

/// A directory in memory that goes with the value.
fn in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").expect("a directory in /dev/shm")
}

/// A shell that writes more than a starter ring takes, and a program that it starts.
const APP: &str = "i=0; while [ $i -lt 1500 ]; do echo \"line $i on its way to where it always went\"; i=$((i+1)); done; \
    echo to stderr >&2; /bin/echo from a child; exit 3";

fn preloaded(program: &str, words: &[&str], target: &Path) -> Command {
    let mut tapped = command(program);
    tapped.args(words);
    tapped.env("LD_PRELOAD", library()).env("LLT_TAP_INTO", "3");
    tapped.env("LLT_TARGET", format!("tap:{}", target.display()));
    tapped
}

fn play(command: Command) -> Outcome {
    let workspace = Workspace::new();
    run(command, Streams::Pipes, workspace.path(), &[])
}

/// The program shows what it shows without the library, whatever the tap directory is.
fn undisturbed(words: &[&str], target: &Path) {
    let mut plain = command("sh");
    plain.args(words);
    let (expected, seen) = (play(plain), play(preloaded("sh", words, target)));
    assert_eq!(expected.status.code(), Some(3));
    assert_eq!(format!("{seen:?}"), format!("{expected:?}"), "{}", target.display());
}

fn entries(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_tap_directory_that_is_missing_or_something_else() {
    let place = in_memory();
    undisturbed(&["-c", APP], &place.path().join("missing"));
    fs::write(place.path().join("file"), "content").expect("a file");
    undisturbed(&["-c", APP], &place.path().join("file"));
    assert_eq!(fs::read(place.path().join("file")).expect("the file"), b"content");
    let disk = Workspace::new();
    undisturbed(&["-c", APP], &disk.directory("disk"));
    undisturbed(&["-c", APP], Path::new("/proc/self"));
    undisturbed(&["-c", APP], Path::new("/dev/null"));
}

#[test]
fn a_symbolic_link_for_the_tap_directory_is_refused() {
    let place = in_memory();
    let theirs = place.path().join("theirs");
    fs::create_dir(&theirs).expect("a directory");
    symlink(&theirs, place.path().join("link")).expect("a link");
    undisturbed(&["-c", APP], &place.path().join("link"));
    assert_eq!(entries(&theirs), [""; 0], "logs went where the link leads");
    symlink(place.path().join("nowhere"), place.path().join("dangling")).expect("a link");
    undisturbed(&["-c", APP], &place.path().join("dangling"));
}

#[test]
fn a_tap_directory_that_is_replaced_meanwhile_gets_nothing() {
    let place = in_memory();
    let (tap, theirs) = (place.path().join("tap"), place.path().join("theirs"));
    for by_link in [true, false] {
        fs::create_dir_all(&tap).expect("a directory");
        fs::create_dir_all(&theirs).expect("a directory");
        let (place, theirs) = (place.path().display(), theirs.display());
        let step = if by_link {
            format!("mv {place}/tap {place}/away; ln -s {theirs} {place}/tap")
        } else {
            format!("mv {place}/tap {place}/away; mkdir {place}/tap")
        };
        let script = format!("echo before; {step}; {APP}");
        let seen = play(preloaded("sh", &["-c", &script], &tap));
        assert_eq!(seen.status.code(), Some(3), "{seen:?}");
        assert!(
            seen.stdout.ends_with(b"line 1499 on its way to where it always went\nfrom a child\n")
        );
        if by_link {
            assert_eq!(entries(Path::new(&theirs.to_string())), [""; 0]);
            fs::remove_file(&tap).expect("the link");
        } else {
            // The shell itself puts nothing there. What it starts later takes the directory as it is.
            let pid_of_ring = |name: &String| name.ends_with(".ring");
            let rings = entries(&tap).iter().filter(|name| pid_of_ring(name)).count();
            assert!(rings <= 1, "{:?}", entries(&tap));
        }
        fs::remove_dir_all(format!("{place}/away")).expect("what was moved");
    }
}

#[test]
fn a_control_page_that_is_something_else() {
    for kind in ["directory", "pipe", "link", "short", "foreign"] {
        let place = in_memory();
        let page = place.path().join(logtap_wire::CONTROL_FILE);
        let target = place.path().join("target");
        match kind {
            "directory" => fs::create_dir(&page).expect("a directory"),
            "pipe" => {
                let made = Command::new("mkfifo").arg(&page).status().expect("mkfifo");
                assert!(made.success());
            }
            "link" => {
                fs::write(&target, vec![0; 8192]).expect("a file");
                symlink(&target, &page).expect("a link");
            }
            "short" => fs::write(&page, "short").expect("a file"),
            _ => fs::write(&page, vec![b'x'; 65536]).expect("a file"),
        }
        undisturbed(&["-c", APP], place.path());
        assert!(!entries(place.path()).iter().any(|name| name.ends_with(".ring")), "{kind}");
    }
}

/// Runs a script as root of a mount namespace of its own, in which `$TAP` is a directory to mount over.
fn in_own_mounts(script: &str) -> Option<Outcome> {
    in_own_mounts_with(script, &[])
}

/// The same with more variables.
fn in_own_mounts_with(script: &str, more: &[(&str, PathBuf)]) -> Option<Outcome> {
    let unshare = require("unshare")?;
    let rights: &[&str] = if is_root() { &["-m"] } else { &["-r", "-m"] };
    let mount = ["mount", "-t", "tmpfs", "none", "/mnt"];
    let works = Command::new(&unshare).args(rights).args(mount).output();
    if !works.is_ok_and(|output| output.status.success()) {
        skip("no mount namespaces for this user");
        return None;
    }
    let place = in_memory();
    let mut words = rights.to_vec();
    words.extend(["sh", "-c", script]);
    let mut outer = command(unshare);
    outer.args(words).env("TAP", place.path()).env("LIBRARY", library()).env("APP", APP);
    outer.envs(more.iter().map(|(name, value)| (name, value)));
    Some(play(outer))
}

const TAPPED: &str = "env LD_PRELOAD=$LIBRARY LLT_TAP_INTO=3 LLT_TARGET=tap:$TAP sh -c \"$APP\"";

/// What the program shows in mounts of its own is what it shows elsewhere; then `after` says something to stderr.
fn in_mounts(mount: &str, after: &str) -> Option<String> {
    let outcome =
        in_own_mounts(&format!("{mount} || exit 9; {TAPPED}; code=$?; {after}; exit $code"))?;
    let mut plain = command("sh");
    plain.args(["-c", APP]);
    let expected = play(plain);
    assert_eq!(outcome.status.code(), Some(3), "{outcome:?}");
    assert!(outcome.stdout == expected.stdout, "{outcome:?}");
    let errors = String::from_utf8(outcome.stderr).expect("text");
    Some(errors.strip_prefix("to stderr\n").expect("what the program said").to_owned())
}

#[test]
fn a_read_only_tap_directory() {
    let mount = "mount -t tmpfs -o ro none $TAP";
    if let Some(said) = in_mounts(mount, "ls -A $TAP >&2") {
        assert_eq!(said, "");
    }
}

#[test]
fn a_tap_directory_that_becomes_read_only() {
    let mount =
        "mount -t tmpfs none $TAP; export APP=\"echo first; mount -o remount,ro $TAP; $APP\"";
    let outcome = in_own_mounts(&format!("{mount}; {TAPPED}; exit $?"));
    let Some(outcome) = outcome else { return };
    assert_eq!(outcome.status.code(), Some(3), "{outcome:?}");
    assert!(
        outcome.stdout.starts_with(b"first\nline 0") && outcome.stdout.ends_with(b"from a child\n")
    );
}

/// Nothing is executed there.
#[test]
fn a_tap_directory_without_execution_serves_as_any_other() {
    let mount = "mount -t tmpfs -o noexec,nosuid,nodev none $TAP";
    if let Some(said) = in_mounts(mount, "grep -l 'line 1499 on' $TAP/*.ring | wc -l >&2") {
        assert_eq!(said.trim(), "1");
    }
}

#[test]
fn a_tap_directory_without_room() {
    // For nothing; for the control page alone; for the first ring but not for the next.
    for size in ["4k", "40k", "120k"] {
        let mount = format!("mount -t tmpfs -o size={size} none $TAP");
        if in_mounts(&mount, ":").is_none() {
            return;
        }
    }
    let mount = "mount -t tmpfs -o nr_inodes=2 none $TAP";
    in_mounts(mount, ":");
}

/// There inode numbers alone do not tell a log from what comes after it; a log that is renamed stays one.
#[test]
fn logs_on_a_file_system_without_birth_times() {
    let Some(program) = compile("gcc", "hostile/files.c", &super::FLAGS) else { return };
    let script = "mount -t ramfs none $TAP || exit 9; cd $TAP; \
        \"$LOGTAP\" run -q --dir \"$CAPTURE\" --file \"$TAP/*.log\" -- \"$PROGRAM\" rotated_by_rename; \
        code=$?; cat app.log.2 app.log.1 app.log; exit $code";
    let workspace = Workspace::new();
    let more = [("LOGTAP", logtap()), ("PROGRAM", program), ("CAPTURE", workspace.join("capture"))];
    if !is_root() {
        return skip("this user may not mount a ramfs");
    }
    let Some(outcome) = in_own_mounts_with(script, &more) else { return };
    assert_eq!(outcome.status.code(), Some(0), "{outcome:?}");
    let captured: Vec<Vec<u8>> =
        capture::read(&workspace.join("capture")).into_iter().map(|line| line.text).collect();
    assert!(captured == lines(&outcome.stdout) && captured.len() == 301, "{}", captured.len());
}

#[test]
fn a_tap_directory_of_somebody_else() {
    if !is_root() {
        return skip("this user may become no other");
    }
    let place = in_memory();
    for mode in [0o700, 0o755] {
        fs::set_permissions(place.path(), fs::Permissions::from_mode(mode)).expect("its mode");
        let as_nobody = |mut command: Command| {
            use std::os::unix::process::CommandExt as _;
            command.uid(65534).gid(65534);
            play(command)
        };
        let mut plain = command("sh");
        plain.args(["-c", APP]);
        let expected = as_nobody(plain);
        let seen = as_nobody(preloaded("sh", &["-c", APP], place.path()));
        assert_eq!(format!("{seen:?}"), format!("{expected:?}"));
        assert_eq!(entries(place.path()), [""; 0]);
    }
}

/// The collector's sign of life is then from another time: the library must not suppress on its strength.
#[test]
fn a_monotonic_clock_of_its_own() {
    let Some(unshare) = require("unshare") else { return };
    let rights: &[&str] = if is_root() { &["-T"] } else { &["-r", "-T"] };
    for offset in ["100000", "-30"] {
        let clock = ["--monotonic", offset, "--boottime", offset];
        let works = Command::new(&unshare).args(rights).args(clock).arg("true").output();
        if !works.is_ok_and(|output| output.status.success()) {
            return skip("no time namespaces for this user");
        }
        for suppress in [false, true] {
            let workspace = Workspace::new();
            let mut tapped = command(logtap());
            tapped
                .args(["run", "-q"])
                .args(if suppress { &["--suppress"][..] } else { &[] })
                .arg("--");
            tapped.arg(&unshare).args(rights).args(clock).args(["sh", "-c", APP]);
            let seen = run(tapped, Streams::Pipes, workspace.path(), &[]);
            assert_eq!(seen.status.code(), Some(3), "{seen:?}");
            let captured = capture::read(&workspace.join("capture"));
            assert_eq!(capture::of_stream(&captured, "stdout").len(), 1501);
            if suppress && offset == "100000" {
                assert!(seen.stdout.ends_with(b"from a child\n"), "suppressed without a collector");
            }
        }
    }
}

/// The program's time is another one; ours and the capture's is the kernel's, and grows.
#[test]
fn a_clock_that_somebody_else_sets() {
    let faketime = Path::new("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1");
    if !faketime.exists() {
        return skip("libfaketime is not on this machine");
    }
    let Some(program) = compile("gcc", "hostile/surroundings.c", &super::FLAGS) else { return };
    for order in ["$LD_PRELOAD:$OTHER", "$OTHER:$LD_PRELOAD"] {
        let workspace = Workspace::new();
        let mut tapped = command(logtap());
        let script = format!("LD_PRELOAD={order} FAKETIME='-20y x3' \"$0\" a_second_apart");
        tapped.env("OTHER", faketime).args(["run", "-q", "--", "sh", "-c", &script]).arg(&program);
        let seen = run(tapped, Streams::Pipes, workspace.path(), &[]);
        assert_eq!(seen.stdout, b"tick\ntick\ntick\ntick\ntick\n", "{seen:?}");
        let captured = capture::read(&workspace.join("capture"));
        assert_eq!(capture::of_stream(&captured, "stdout"), vec![b"tick".to_vec(); 5]);
        let now = jiff::Timestamp::now().as_nanosecond();
        let hour = 3_600_000_000_000;
        assert!(captured.iter().all(|line| (now - hour..=now).contains(&line.timestamp)));
    }
}
