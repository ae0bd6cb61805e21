//! The functions that the hooks stand in front of: the next definition after ours.
//!
//! So later preloads see what they would see without us, and cancellation stays libc's business. Addresses are
//! looked up once, at start or at the first hook that comes earlier.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::auxiliary_vector;
use crate::elf::{Name, Object, Objects};

macro_rules! symbols {
    ($($name:ident = $text:literal,)*) => {
        /// A function or object of the C library (or of a preload behind us).
        #[expect(non_camel_case_types, reason = "named as in C")]
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Original { $($name,)* }

        const NAMES: &[Name<'static>] = &[$(Name::new($text.as_bytes()),)*];
    };
}

symbols! {
    write = "write",
    writev = "writev",
    pwrite64 = "pwrite64",
    pwritev64 = "pwritev64",
    pwritev64v2 = "pwritev64v2",
    pwrite = "pwrite",
    pwritev = "pwritev",
    pwritev2 = "pwritev2",
    sendfile = "sendfile",
    sendfile64 = "sendfile64",
    copy_file_range = "copy_file_range",
    splice = "splice",
    tee = "tee",
    vmsplice = "vmsplice",
    vdprintf = "vdprintf",
    vdprintf_chk = "__vdprintf_chk",
    vsnprintf = "vsnprintf",
    perror = "perror",
    close = "close",
    closefrom = "closefrom",
    close_range = "close_range",
    dup = "dup",
    dup2 = "dup2",
    dup3 = "dup3",
    fcntl = "fcntl",
    fcntl64 = "fcntl64",
    open = "open",
    open64 = "open64",
    openat = "openat",
    openat64 = "openat64",
    open_2 = "__open_2",
    open64_2 = "__open64_2",
    openat_2 = "__openat_2",
    openat64_2 = "__openat64_2",
    creat = "creat",
    creat64 = "creat64",
    fopen = "fopen",
    fopen64 = "fopen64",
    fdopen = "fdopen",
    freopen = "freopen",
    freopen64 = "freopen64",
    popen = "popen",
    pclose = "pclose",
    syscall = "syscall",
    prctl = "prctl",
    execve = "execve",
    execv = "execv",
    execvp = "execvp",
    execvpe = "execvpe",
    execl = "execl",
    execlp = "execlp",
    execle = "execle",
    fexecve = "fexecve",
    mmap = "mmap",
    mmap64 = "mmap64",
    daemon = "daemon",
    login_tty = "login_tty",
    forkpty = "forkpty",
    posix_spawn = "posix_spawn",
    posix_spawnp = "posix_spawnp",
    vfork = "vfork",
    clone = "clone",
    backtrace_symbols_fd = "backtrace_symbols_fd",
    errno_location = "__errno_location",
    _exit = "_exit",
    _Exit = "_Exit",
}

static ADDRESSES: [AtomicUsize; NAMES.len()] = [const { AtomicUsize::new(0) }; NAMES.len()];
/// Where the linker's list of objects begins; 0 where it is not known.
static LIST: AtomicUsize = AtomicUsize::new(0);
/// Whether anybody has looked for it: nothing is looked for twice.
static SEARCHED: AtomicBool = AtomicBool::new(false);

/// Remembers where the linker's list is.
pub(crate) fn set_list(list: usize) {
    LIST.store(list, Ordering::Release);
}

/// All loaded objects. Empty where they cannot be found.
pub(crate) fn objects() -> Option<Objects> {
    Objects::of_list(LIST.load(Ordering::Acquire))
}

/// Finds a symbol as the linker would for the program itself, but never in this library.
#[cold]
pub(crate) fn global(name: &[u8]) -> Option<usize> {
    let (own, name) = (crate::elf::own_dynamic(), Name::new(name));
    objects()?.filter(|object| !object.has_dynamic(own)).find_map(|object| object.symbol(&name))
}

/// The objects behind this library in lookup order.
fn behind() -> Option<impl Iterator<Item = Object>> {
    let own = crate::elf::own_dynamic();
    let mut objects = objects()?;
    let all = objects;
    if objects.any(|object| object.has_dynamic(own)) {
        Some(objects)
    } else {
        // Not in the list: loaded in a way that the list does not show. All others are behind.
        Some(all)
    }
}

/// Looks all originals up.
#[cold]
pub(crate) fn find() {
    if !SEARCHED.load(Ordering::Acquire) {
        set_list(auxiliary_vector::read());
        SEARCHED.store(true, Ordering::Release);
    }
    let Some(behind) = behind() else { return };
    for tables in behind.filter_map(|object| object.tables()) {
        for (name, address) in NAMES.iter().zip(&ADDRESSES) {
            // The first object that has it counts.
            if address.load(Ordering::Relaxed) == 0 {
                address.store(tables.symbol(name).unwrap_or(0), Ordering::Relaxed);
            }
        }
    }
}

/// The address of an original, 0 where there is none.
#[inline(always)]
pub(crate) fn address(original: Original) -> usize {
    let address = ADDRESSES[original as usize].load(Ordering::Relaxed);
    if address == 0 { late(original) } else { address }
}

/// A hook that came before the constructor (another library's constructor ran first), or a function that
/// this C library does not have.
#[cold]
fn late(original: Original) -> usize {
    if ADDRESSES[Original::write as usize].load(Ordering::Relaxed) == 0 {
        find();
    }
    ADDRESSES[original as usize].load(Ordering::Relaxed)
}
