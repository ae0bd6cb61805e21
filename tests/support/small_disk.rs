//! A disk that is soon full. Refuses to fill one that others use.

use std::path::Path;
use std::process::Command;

use crate::support::machine::{require, skip};
use crate::support::workspace::command;

/// A directory on a file system of this size, in a mount namespace of its own, as commands that are
/// to be run there. `None` where the system does not allow that to anybody.
pub(crate) fn on_small_disk(directory: &Path, size: &str, script: &str) -> Option<Command> {
    let unshare = require("unshare")?;
    let begin = format!("mount -t tmpfs -o size={size} none '{}'", directory.display());
    let mut probe = command(&unshare);
    let allowed =
        probe.args(["-Urm", "sh", "-c", &begin]).output().is_ok_and(|o| o.status.success());
    if !allowed {
        skip("no mount namespaces for this user");
        return None;
    }
    let mut small = command(unshare);
    small.args(["-Urm", "sh", "-c", &format!("{begin} && {script}")]);
    Some(small)
}
