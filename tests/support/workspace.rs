//! A fresh directory per test, and the `logtap` command. Refuses to outlive its test.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

/// A directory that goes when the test does. Its path is short, because Unix sockets need that.
pub(crate) struct Workspace {
    directory: tempfile::TempDir,
}

impl Workspace {
    /// An empty directory that every user may enter, since some programs run as their own.
    pub(crate) fn new() -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::Builder::new()
            .prefix("lt-")
            .permissions(std::fs::Permissions::from_mode(0o755))
            .tempdir_in("/tmp")
            .expect("/tmp takes a directory");
        Self { directory }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A path in it.
    pub(crate) fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path().join(name)
    }

    /// Makes a directory in it and returns its path.
    pub(crate) fn directory(&self, name: impl AsRef<Path>) -> PathBuf {
        let path = self.join(name);
        std::fs::create_dir_all(&path).expect("a fresh directory takes another");
        path
    }
}

/// The command under test.
pub(crate) fn logtap() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_logtap"))
}

/// One of the lean programs beside `logtap`. They belong to other packages, so nothing has built them
/// for this binary.
pub(crate) fn lean(name: &str) -> PathBuf {
    static BUILT: Once = Once::new();
    let profile = logtap().parent().expect("a binary is in a directory").to_owned();
    BUILT.call_once(|| {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "-p", "logtap-collector", "-p", "logtap-injector"]);
        build
            .arg("--target-dir")
            .arg(profile.parent().expect("and that is in the build directory"));
        if profile.ends_with("release") {
            build.arg("--release");
        }
        let output = build.current_dir(repository(".")).output().expect("cargo runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    });
    profile.join(name)
}

/// Copies a program that is to be started. Another process does it: what this one has open for writing, every child
/// that another test is just starting has open too, and no kernel executes such a file.
pub(crate) fn copy_program(from: &Path, to: &Path) {
    let output = Command::new("cp").arg(from).arg(to).output().expect("cp runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The preload library, where every user can read it.
pub(crate) fn library() -> String {
    let output = command(logtap()).arg("library").output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("a path is text").trim().to_owned()
}

/// A file of this repository.
pub(crate) fn repository(path: impl AsRef<Path>) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The source of a small program.
pub(crate) fn app(name: &str) -> PathBuf {
    repository("tests/apps").join(name)
}

/// A command with the few variables that every test program sees, and nothing of the caller's.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    for name in ["PATH", "HOME", "RUSTUP_HOME", "CARGO_HOME"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    // What tests could not deliver is nobody's at home.
    let state = format!("{}/state-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    command.env("XDG_STATE_HOME", state);
    command.env("LANG", "C.UTF-8").env("TZ", "UTC").env("TERM", "dumb");
    command
}
