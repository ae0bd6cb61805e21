//! The control page of the tap directory, mapped once: what collector and writers tell each other beside the rings.

use core::sync::atomic::{AtomicPtr, Ordering};

use logtap_wire::CONTROL_FILE;
use logtap_wire::control::{self, ControlPage};

use crate::environment::Settings;
use crate::syscall::{
    self, CPath, O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR, OrIgnore as _, RAMFS_MAGIC, TMPFS_MAGIC,
};
use crate::text::Text;
use crate::{clock, directory};

static PAGE: AtomicPtr<ControlPage> = AtomicPtr::new(core::ptr::null_mut());

/// The control page, if there is one.
#[expect(unsafe_code, reason = "the mapping lives as long as the process")]
#[inline(always)]
pub(crate) fn page() -> Option<&'static ControlPage> {
    // SAFETY: null, or a mapping of a whole control page that is never taken away; the fields that change are atomics.
    unsafe { PAGE.load(Ordering::Acquire).as_ref() }
}

/// Maps the page of the tap directory, for the rest of the process's life; makes it where the collector has not come yet.
pub(crate) fn map(settings: &Settings) -> Result<(), &'static str> {
    let directory =
        directory::find(settings).ok_or("there is no tap directory, or a link in its place")?;
    let mut path = Text::<128>::new();
    path.push(settings.directory()).push(b"/").push(CONTROL_FILE.as_bytes());
    let path = path.path().ok_or("the tap directory's path is too long")?;
    let mut opened = syscall::open(path, O_RDWR | O_NOFOLLOW, 0);
    if opened.as_ref().err() == Some(&syscall::ENOENT) {
        make_control(settings, path, directory.mode)?;
        opened = syscall::open(path, O_RDWR | O_NOFOLLOW, 0);
    }
    let file =
        opened.map_err(|_| "the tap directory has no control page that this user may open")?;
    let system = syscall::file_system(&file).unwrap_or(0);
    if system != TMPFS_MAGIC && system != RAMFS_MAGIC {
        return Err("the tap directory is not in memory (tmpfs)");
    }
    // Read, not looked at in the mapping: a hole of a full file system would end the process there.
    let mut start = [0; 32];
    let length = syscall::pread(file.number(), &mut start, 0).unwrap_or(0);
    if !control::is_valid(&start[..length]) {
        return Err("the control page is of another version");
    }
    let status =
        syscall::descriptor_status(file.number()).map_err(|_| "the control page cannot be read")?;
    if status.size < control::CONTROL_SIZE as u64 {
        return Err("the control page is cut");
    }
    let page = syscall::map_shared(&file, control::CONTROL_SIZE)
        .map_err(|_| "the control page cannot be mapped")?;
    PAGE.store(page.cast(), Ordering::Release);
    Ok(())
}

/// Makes the control page where the collector has not come yet: what is written before it comes is kept for it.
///
/// Who may use the directory may use the page and the rings.
#[cold]
fn make_control(
    settings: &Settings,
    path: CPath<'_>,
    directory_mode: u32,
) -> Result<(), &'static str> {
    let ring_mode = match directory_mode & 0o022 {
        0o000 => 0o600,
        0o020 => 0o660,
        _ => 0o666,
    };
    let mut temporary = Text::<160>::new();
    temporary.push(settings.directory()).push(b"/.").push(CONTROL_FILE.as_bytes());
    temporary.push(b"-").push_number(u64::from(syscall::process_id())).push(b".tmp");
    let temporary = temporary.path().ok_or("the tap directory's path is too long")?;
    let flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW;
    let file = syscall::open(temporary, flags, ring_mode)
        .map_err(|_| "the tap directory has no control page and is not writable")?;
    let system = syscall::file_system(&file).unwrap_or(0);
    let page = control::page(ring_mode, control::DEFAULT_RING_CAP, clock::now());
    let written = (system == TMPFS_MAGIC || system == RAMFS_MAGIC)
        && syscall::change_mode(&file, ring_mode).is_ok()
        && syscall::write(file.number(), &page) == Ok(page.len());
    if written {
        // Where another was first, its page serves.
        syscall::link(temporary, path).or_ignore();
    }
    syscall::unlink(temporary).or_ignore();
    if written { Ok(()) } else { Err("the tap directory is not in memory (tmpfs), or full") }
}
