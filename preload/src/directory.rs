//! The tap directory: the one that was there at start, and no other that has its name later.
//!
//! A symbolic link in its place is refused, and so is what somebody has put there meanwhile: logs would end up where
//! others read them. After a `chroot` the name means another place as well.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::environment::Settings;
use crate::syscall::{self, S_IFDIR, Status};
use crate::text::Text;

static DEVICE: AtomicU64 = AtomicU64::new(0);
static INODE: AtomicU64 = AtomicU64::new(0);

fn look(settings: &Settings) -> Option<Status> {
    let mut path = Text::<128>::new();
    path.push(settings.directory());
    syscall::status_of_name(path.path()?).ok().filter(|status| status.kind() == S_IFDIR)
}

fn device(status: &Status) -> u64 {
    u64::from(status.identity.major) << 32 | u64::from(status.identity.minor)
}

/// Looks at the directory and remembers which one it is. Called once, before the hooks are active.
#[cold]
pub(crate) fn find(settings: &Settings) -> Option<Status> {
    let status = look(settings)?;
    DEVICE.store(device(&status), Ordering::Relaxed);
    INODE.store(status.identity.inode, Ordering::Relaxed);
    Some(status)
}

/// Whether the directory of that name is still the same one.
#[cold]
pub(crate) fn is_the_same(settings: &Settings) -> bool {
    look(settings).is_some_and(|status| {
        device(&status) == DEVICE.load(Ordering::Relaxed)
            && status.identity.inode == INODE.load(Ordering::Relaxed)
    })
}
