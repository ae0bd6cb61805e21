//! Another user cannot cut off what the programs of an ordinary `logtap run` have mapped, which would end them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::PATIENCE;
use crate::support::capture;
use crate::support::machine::{require, skip};
use crate::support::workspace::{Workspace, command, copy_program, logtap};

/// Says where its rings are, and goes on when it is told to.
const SCRIPT: &str = "echo before; echo \"$LLT_TARGET\" >where.new; mv where.new where; until [ -e go ]; do sleep 0.05; done; echo after";

/// A command as this user and no other.
fn as_user(setpriv: &Path, user: u32) -> Command {
    let mut changed = command(setpriv);
    changed.args([format!("--reuid={user}"), format!("--regid={user}")]);
    changed.args(["--clear-groups", "--"]);
    changed
}

/// Runs under attack: `attack` gets the tap directory while the program waits. The lines that were captured.
fn attacked(run: &mut Command, workspace: &Workspace, attack: impl Fn(&Path)) -> Vec<Vec<u8>> {
    run.args(["run", "-q", "--dir", "capture", "--", "sh", "-c", SCRIPT]);
    run.current_dir(workspace.path()).env("HOME", workspace.path());
    let mut running = run.stdout(Stdio::null()).stdin(Stdio::null()).spawn().expect("it starts");
    let deadline = Instant::now() + PATIENCE;
    let target = loop {
        match fs::read_to_string(workspace.join("where")) {
            Ok(target) => break target,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        assert!(running.try_wait().expect("it is ours").is_none(), "it ended too soon");
        std::thread::sleep(Duration::from_millis(20));
    };
    let directory = PathBuf::from(target.trim().strip_prefix("tap:").expect("a tap directory"));
    attack(&directory);
    fs::write(workspace.join("go"), "").expect("it is ours");
    let status = running.wait().expect("it is ours");
    assert!(status.success(), "{status}");
    capture::of_stream(&capture::read(&workspace.join("capture")), "stdout")
}

/// The control page and the rings.
fn mapped_files(tap: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(tap).expect("root sees it").map(|entry| entry.expect("it").path());
    let files: Vec<_> = names
        .filter(|path| path.ends_with("control") || path.extension().is_some_and(|e| e == "ring"))
        .collect();
    assert!(files.len() >= 2, "{files:?}");
    files
}

fn tools() -> Option<(PathBuf, PathBuf)> {
    let (setpriv, find) = (require("setpriv")?, require("find")?);
    if !rustix::process::geteuid().is_root() {
        skip("only root can become somebody else");
        return None;
    }
    Some((setpriv, find))
}

#[test]
fn another_user_cannot_cut_off_what_a_users_run_has_mapped() {
    let Some((setpriv, _)) = tools() else { return };
    let workspace = Workspace::new();
    fs::set_permissions(workspace.path(), fs::Permissions::from_mode(0o777)).expect("it is ours");
    let program = workspace.join("logtap");
    if fs::hard_link(logtap(), &program).is_err() {
        copy_program(&logtap(), &program);
    }
    let mut run = as_user(&setpriv, 12_345);
    let lines = attacked(run.arg(program), &workspace, |tap| {
        for file in mapped_files(tap) {
            let length = fs::metadata(&file).expect("it is there").len();
            let mut other = as_user(&setpriv, 54_321);
            let outcome = other.args(["truncate", "-s", "0"]).arg(&file).output().expect("it ends");
            assert!(!outcome.status.success(), "{} was cut off", file.display());
            assert_eq!(fs::metadata(&file).expect("it is there").len(), length);
        }
    });
    assert_eq!(lines, [b"before".to_vec(), b"after".to_vec()]);
}

/// Programs that root starts may become any user, so the directory is open, and its name is what others do not know.
#[test]
fn another_user_does_not_find_what_a_run_of_root_has_mapped() {
    let Some((setpriv, find)) = tools() else { return };
    let workspace = Workspace::new();
    let lines = attacked(&mut command(logtap()), &workspace, |tap| {
        assert!(mapped_files(tap).iter().all(|file| file.starts_with(tap)));
        let base = tap.parent().and_then(Path::parent).expect("a directory in memory");
        let mut other = as_user(&setpriv, 54_321);
        let outcome = other.arg(&find).arg(base).output().expect("it ends");
        let found = String::from_utf8_lossy(&outcome.stdout).into_owned();
        let parent = tap.parent().expect("a directory").display().to_string();
        assert!(found.lines().any(|line| line == parent), "it looked elsewhere: {found}");
        let name = tap.display().to_string();
        assert!(!found.lines().any(|line| line.starts_with(&name)), "{found}");
    });
    assert_eq!(lines, [b"before".to_vec(), b"after".to_vec()]);
}
