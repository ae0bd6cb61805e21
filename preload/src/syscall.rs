//! System calls without a C library: errno is never touched, and no other preload sees them.
//!
//! # Safety
//!
//! This file may use `unsafe`: it is the one place where the kernel is called. The wrappers are safe where
//! the kernel only reads numbers and references that Rust has checked; the others say what they need.
#![expect(unsafe_code, reason = "calls the kernel")]

#[cfg(target_arch = "aarch64")]
#[path = "syscall/aarch64.rs"]
mod arch;
#[cfg(target_arch = "x86_64")]
#[path = "syscall/x86_64.rs"]
mod arch;

pub(crate) mod streams;

pub(crate) use arch::number;

/// An error number of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) i32);

pub(crate) const EINTR: Errno = Errno(4);
pub(crate) const ESRCH: Errno = Errno(3);
pub(crate) const EBADF: Errno = Errno(9);
pub(crate) const EAGAIN: Errno = Errno(11);
pub(crate) const ENOENT: Errno = Errno(2);

pub(crate) const AT_FDCWD: i32 = -100;
pub(crate) const O_RDONLY: u32 = 0;
pub(crate) const O_WRONLY: u32 = 1;
pub(crate) const O_RDWR: u32 = 2;
pub(crate) const O_ACCMODE: u32 = 3;
pub(crate) const O_CREAT: u32 = 0o100;
pub(crate) const O_EXCL: u32 = 0o200;
pub(crate) const O_NONBLOCK: u32 = 0o4000;
pub(crate) const O_CLOEXEC: u32 = 0o2_000_000;
pub(crate) const O_NOFOLLOW: u32 =
    if cfg!(target_arch = "aarch64") { 0o100_000 } else { 0o400_000 };
pub(crate) const LOCK_SH: u32 = 1;
pub(crate) const LOCK_NB: u32 = 4;
pub(crate) const PROT_READ: u32 = 1;
pub(crate) const PROT_WRITE: u32 = 2;
pub(crate) const MAP_SHARED: u32 = 1;
pub(crate) const MAP_PRIVATE: u32 = 2;
pub(crate) const MAP_ANONYMOUS: u32 = 0x20;
pub(crate) const MADV_DONTDUMP: u32 = 16;
pub(crate) const MADV_WIPEONFORK: u32 = 18;
/// Maps pages that are there, for writing (Linux 5.14; older kernels refuse it and map them one by one).
pub(crate) const MADV_POPULATE_WRITE: u32 = 23;
pub(crate) const TMPFS_MAGIC: u64 = 0x0102_1994;
pub(crate) const RAMFS_MAGIC: u64 = 0x8584_58f6;

/// For calls whose failure changes nothing and that nobody could do anything about.
pub(crate) trait OrIgnore: Sized {
    fn or_ignore(self) {}
}

impl<T, E> OrIgnore for Result<T, E> {}

/// Calls the kernel with what the application passed to `syscall`.
///
/// # Safety
///
/// The call must be one that the application itself asked for, or sound by itself.
#[inline(always)]
pub(crate) unsafe fn raw(number: usize, arguments: [usize; 6]) -> Result<usize, Errno> {
    // SAFETY: passed on to the caller.
    let result = unsafe { arch::call(number, arguments) };
    if result > -4096_isize as usize { Err(Errno(-(result as isize) as i32)) } else { Ok(result) }
}

/// A call that neither reads nor writes memory of ours beyond what its wrapper passes by reference.
fn call(number: usize, arguments: [usize; 6]) -> Result<usize, Errno> {
    // SAFETY: private to this file; each wrapper below passes numbers, C strings or memory that it borrows.
    unsafe { raw(number, arguments) }
}

/// A path that ends in a zero byte.
#[derive(Clone, Copy)]
pub(crate) struct CPath<'a>(&'a [u8]);

impl<'a> CPath<'a> {
    /// Takes bytes whose last one is zero.
    pub(crate) fn new(bytes: &'a [u8]) -> Option<Self> {
        (bytes.last() == Some(&0)).then_some(Self(bytes))
    }

    fn pointer(self) -> usize {
        self.0.as_ptr() as usize
    }
}

/// A descriptor that closes itself.
pub(crate) struct Descriptor(i32);

impl Descriptor {
    pub(crate) fn number(&self) -> i32 {
        self.0
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // Nothing can be done about a failing close of our own descriptor.
        call(number::CLOSE, [self.0 as usize, 0, 0, 0, 0, 0]).or_ignore();
    }
}

pub(crate) fn open(path: CPath<'_>, flags: u32, mode: u32) -> Result<Descriptor, Errno> {
    let flags = (flags | O_CLOEXEC) as usize;
    call(number::OPENAT, [AT_FDCWD as usize, path.pointer(), flags, mode as usize, 0, 0])
        .map(|descriptor| Descriptor(descriptor as i32))
}

/// Fills as much of the buffer as the file has.
pub(crate) fn read(descriptor: &Descriptor, buffer: &mut [u8]) -> Result<usize, Errno> {
    let mut length = 0;
    while length < buffer.len() {
        let rest = &mut buffer[length..];
        let arguments = [descriptor.0 as usize, rest.as_mut_ptr() as usize, rest.len(), 0, 0, 0];
        match call(number::READ, arguments) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(EINTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// Reads once: what there is, up to the buffer's length; 0 at the end.
pub(crate) fn read_some(descriptor: &Descriptor, buffer: &mut [u8]) -> Result<usize, Errno> {
    let arguments = [descriptor.0 as usize, buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0];
    loop {
        match call(number::READ, arguments) {
            Err(EINTR) => {}
            result => return result,
        }
    }
}

/// Whether there are mappings at all of these addresses, which begin at a page. False also where there are more than
/// 16 MiB of them, or where the kernel does not say.
pub(crate) fn is_mapped(start: usize, length: usize) -> bool {
    // One byte for each page, which tells whether it is in memory: of no interest.
    let mut pages = [0_u8; 4096];
    length.div_ceil(4096) <= pages.len()
        && call(number::MINCORE, [start, length, pages.as_mut_ptr() as usize, 0, 0, 0]).is_ok()
}

pub(crate) fn pread(descriptor: i32, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
    let arguments =
        [descriptor as usize, buffer.as_mut_ptr() as usize, buffer.len(), offset as usize, 0, 0];
    call(number::PREAD64, arguments)
}

/// Writes to a descriptor of the application without going through any hook: for messages of our own.
pub(crate) fn write(descriptor: i32, bytes: &[u8]) -> Result<usize, Errno> {
    call(number::WRITE, [descriptor as usize, bytes.as_ptr() as usize, bytes.len(), 0, 0, 0])
}

pub(crate) fn position(descriptor: i32) -> Result<u64, Errno> {
    const SEEK_CUR: usize = 1;
    call(number::LSEEK, [descriptor as usize, 0, SEEK_CUR, 0, 0, 0]).map(|position| position as u64)
}

pub(crate) fn readlink(path: CPath<'_>, buffer: &mut [u8]) -> Result<usize, Errno> {
    let buffer_address = buffer.as_mut_ptr() as usize;
    call(
        number::READLINKAT,
        [AT_FDCWD as usize, path.pointer(), buffer_address, buffer.len(), 0, 0],
    )
}

pub(crate) fn rename(from: CPath<'_>, to: CPath<'_>) -> Result<(), Errno> {
    let here = AT_FDCWD as usize;
    call(number::RENAMEAT2, [here, from.pointer(), here, to.pointer(), 0, 0]).map(drop)
}

/// Renames a file; fails where the new name is taken.
pub(crate) fn rename_new(from: CPath<'_>, to: CPath<'_>) -> Result<(), Errno> {
    const RENAME_NOREPLACE: usize = 1;
    let here = AT_FDCWD as usize;
    let arguments = [here, from.pointer(), here, to.pointer(), RENAME_NOREPLACE, 0];
    call(number::RENAMEAT2, arguments).map(drop)
}

/// Gives a file a second name; fails where that name is taken.
pub(crate) fn link(from: CPath<'_>, to: CPath<'_>) -> Result<(), Errno> {
    let here = AT_FDCWD as usize;
    call(number::LINKAT, [here, from.pointer(), here, to.pointer(), 0, 0]).map(drop)
}

pub(crate) fn unlink(path: CPath<'_>) -> Result<(), Errno> {
    call(number::UNLINKAT, [AT_FDCWD as usize, path.pointer(), 0, 0, 0, 0]).map(drop)
}

pub(crate) fn change_mode(descriptor: &Descriptor, mode: u32) -> Result<(), Errno> {
    call(number::FCHMOD, [descriptor.0 as usize, mode as usize, 0, 0, 0, 0]).map(drop)
}

pub(crate) fn lock(descriptor: &Descriptor, operation: u32) -> Result<(), Errno> {
    call(number::FLOCK, [descriptor.0 as usize, operation as usize, 0, 0, 0, 0]).map(drop)
}

/// Gives a file all its pages, so that no later access can fail.
pub(crate) fn allocate(descriptor: &Descriptor, size: u64) -> Result<(), Errno> {
    call(number::FALLOCATE, [descriptor.0 as usize, 0, 0, size as usize, 0, 0]).map(drop)
}

/// The largest file that this process may make.
pub(crate) fn file_size_limit() -> u64 {
    const RLIMIT_FSIZE: usize = 1;
    let mut limit = [0_u64; 2];
    let arguments = [0, RLIMIT_FSIZE, 0, limit.as_mut_ptr() as usize, 0, 0];
    if call(number::PRLIMIT64, arguments).is_ok() { limit[0] } else { 0 }
}

/// Moves a descriptor to a number of at least `from`, out of the application's way.
pub(crate) fn move_up(descriptor: Descriptor, from: i32) -> Descriptor {
    const F_DUPFD_CLOEXEC: usize = 1030;
    let arguments = [descriptor.0 as usize, F_DUPFD_CLOEXEC, from as usize, 0, 0, 0];
    match call(number::FCNTL, arguments) {
        Ok(moved) => Descriptor(moved as i32),
        Err(_) => descriptor,
    }
}

/// The status flags of a descriptor (`F_GETFL`).
pub(crate) fn status_flags(descriptor: i32) -> Result<u32, Errno> {
    const F_GETFL: usize = 3;
    call(number::FCNTL, [descriptor as usize, F_GETFL, 0, 0, 0, 0]).map(|flags| flags as u32)
}

/// The file system type of an open file.
pub(crate) fn file_system(descriptor: &Descriptor) -> Result<u64, Errno> {
    let mut statfs = [0_u64; 16];
    call(number::FSTATFS, [descriptor.0 as usize, statfs.as_mut_ptr() as usize, 0, 0, 0, 0])?;
    Ok(statfs[0])
}

/// Maps a file, shared and writable.
pub(crate) fn map_shared(descriptor: &Descriptor, size: usize) -> Result<*mut u8, Errno> {
    let protection = (PROT_READ | PROT_WRITE) as usize;
    call(number::MMAP, [0, size, protection, MAP_SHARED as usize, descriptor.0 as usize, 0])
        .map(|address| address as *mut u8)
}

/// Maps zeros.
pub(crate) fn map_anonymous(size: usize) -> Result<*mut u8, Errno> {
    let protection = (PROT_READ | PROT_WRITE) as usize;
    let flags = (MAP_PRIVATE | MAP_ANONYMOUS) as usize;
    call(number::MMAP, [0, size, protection, flags, -1_isize as usize, 0])
        .map(|address| address as *mut u8)
}

/// A file in memory, without a name.
pub(crate) fn memory_file() -> Result<Descriptor, Errno> {
    const MFD_CLOEXEC: usize = 1;
    let name = c"logtap".as_ptr() as usize;
    call(number::MEMFD_CREATE, [name, MFD_CLOEXEC, 0, 0, 0, 0])
        .map(|descriptor| Descriptor(descriptor as i32))
}

/// Takes a mapping away.
///
/// # Safety
///
/// Nothing uses the mapping any more.
pub(crate) unsafe fn unmap(address: *mut u8, size: usize) {
    call(number::MUNMAP, [address as usize, size, 0, 0, 0, 0]).or_ignore();
}

/// Advises the kernel about a mapping. Only advice that changes no byte of this process is safe to give.
pub(crate) fn advise(address: *mut u8, size: usize, advice: u32) -> Result<(), Errno> {
    call(number::MADVISE, [address as usize, size, advice as usize, 0, 0, 0]).map(drop)
}

/// What the kernel has told this process at its start, as in `/proc/self/auxv` (Linux 6.4; older kernels refuse).
/// As much of it as the buffer takes, and its length there.
pub(crate) fn auxiliary_vector(buffer: &mut [u8]) -> Result<usize, Errno> {
    const PR_GET_AUXV: usize = 0x4155_5856;
    let arguments = [PR_GET_AUXV, buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0];
    call(number::PRCTL, arguments).map(|length| length.min(buffer.len()))
}

/// Changes the protection of pages.
///
/// # Safety
///
/// The pages hold nothing that the change makes unsound.
pub(crate) unsafe fn protect(address: usize, size: usize, protection: u32) -> Result<(), Errno> {
    call(number::MPROTECT, [address, size, protection as usize, 0, 0, 0]).map(drop)
}

pub(crate) fn process_id() -> u32 {
    call(number::GETPID, [0; 6]).unwrap_or(0) as u32
}

pub(crate) fn parent_id() -> u32 {
    call(number::GETPPID, [0; 6]).unwrap_or(0) as u32
}

pub(crate) fn process_group() -> u32 {
    call(number::GETPGID, [0; 6]).unwrap_or(0) as u32
}

pub(crate) fn user_id() -> u32 {
    call(number::GETEUID, [0; 6]).unwrap_or(0) as u32
}

/// Whether a process is gone for sure.
pub(crate) fn is_gone(process: u32) -> bool {
    call(number::KILL, [process as usize, 0, 0, 0, 0, 0]) == Err(ESRCH)
}

/// Sleeps; may return early.
pub(crate) fn sleep(nanoseconds: u64) {
    let time = [nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000];
    call(number::NANOSLEEP, [time.as_ptr() as usize, 0, 0, 0, 0, 0]).or_ignore();
}

/// Sends a datagram made of pieces to a Unix socket, without waiting and without SIGPIPE.
pub(crate) fn send_datagram(path: &[u8], pieces: &[[usize; 2]]) -> Result<(), Errno> {
    const AF_UNIX: u16 = 1;
    const SOCK_DGRAM: usize = 2;
    const MSG_DONTWAIT_NOSIGNAL: usize = 0x40 | 0x4000;
    let mut address = [0_u8; 110];
    address[..2].copy_from_slice(&AF_UNIX.to_ne_bytes());
    address.get_mut(2..2 + path.len()).ok_or(ENOENT)?.copy_from_slice(path);
    let flags = SOCK_DGRAM | (O_CLOEXEC | O_NONBLOCK) as usize;
    let socket = Descriptor(call(number::SOCKET, [AF_UNIX as usize, flags, 0, 0, 0, 0])? as i32);
    let message = [
        address.as_ptr() as usize,
        2 + path.len() + 1,
        pieces.as_ptr() as usize,
        pieces.len(),
        0,
        0,
        0,
    ];
    let arguments = [socket.0 as usize, message.as_ptr() as usize, MSG_DONTWAIT_NOSIGNAL, 0, 0, 0];
    call(number::SENDMSG, arguments).map(drop)
}

/// What is known of an open file.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Status {
    pub(crate) mode: u32,
    pub(crate) size: u64,
    pub(crate) device: (u32, u32),
    pub(crate) identity: logtap_wire::identity::Identity,
}

pub(crate) const S_IFMT: u32 = 0o170_000;
pub(crate) const S_IFDIR: u32 = 0o040_000;
pub(crate) const S_IFREG: u32 = 0o100_000;
pub(crate) const S_IFCHR: u32 = 0o020_000;
pub(crate) const S_IFIFO: u32 = 0o010_000;

impl Status {
    pub(crate) fn kind(&self) -> u32 {
        self.mode & S_IFMT
    }

    /// Whether it is `/dev/null`, which is nobody's stream.
    pub(crate) fn is_null(&self) -> bool {
        self.kind() == S_IFCHR && self.device == (1, 3)
    }
}

/// `statx` of a descriptor (`path` is empty) or of a path, following symbolic links.
pub(crate) fn status(descriptor: i32, path: CPath<'_>) -> Result<Status, Errno> {
    const AT_EMPTY_PATH: usize = 0x1000;
    look(descriptor, path, AT_EMPTY_PATH)
}

/// `statx` of a path; of a symbolic link, not of what it leads to.
pub(crate) fn status_of_name(path: CPath<'_>) -> Result<Status, Errno> {
    const AT_SYMLINK_NOFOLLOW: usize = 0x100;
    look(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW)
}

fn look(descriptor: i32, path: CPath<'_>, how: usize) -> Result<Status, Errno> {
    const BASIC_AND_BIRTH: usize = 0x0fff;
    const HAS_BIRTH: u32 = 0x800;
    let mut buffer = [0_u64; 32];
    let address = buffer.as_mut_ptr() as usize;
    let here = descriptor as usize;
    call(number::STATX, [here, path.pointer(), how, BASIC_AND_BIRTH, address, 0])?;
    // struct statx in <linux/stat.h>, as words of eight bytes.
    let low = |word: usize| buffer[word] as u32;
    let high = |word: usize| (buffer[word] >> 32) as u32;
    let born = low(0) & HAS_BIRTH != 0;
    let birth = buffer[10].wrapping_mul(1_000_000_000).wrapping_add(u64::from(low(11)));
    Ok(Status {
        mode: high(3) & 0xffff,
        size: buffer[5],
        device: (low(16), high(16)),
        identity: logtap_wire::identity::Identity {
            major: low(17),
            minor: high(17),
            inode: buffer[4],
            birth: if born { birth } else { 0 },
        },
    })
}

/// [`status`] of a descriptor.
pub(crate) fn descriptor_status(descriptor: i32) -> Result<Status, Errno> {
    status(descriptor, CPath(b"\0"))
}
