//! The system call instruction and numbers of aarch64 (`include/uapi/asm-generic/unistd.h`).

use core::arch::asm;

/// # Safety
///
/// The call itself must be sound.
#[inline(always)]
pub(super) unsafe fn call(number: usize, [a, b, c, d, e, f]: [usize; 6]) -> usize {
    let result;
    // SAFETY: the kernel keeps all registers but x0, and changes memory as the call says.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
            options(nostack),
        );
    }
    result
}

/// System call numbers.
pub(crate) mod number {
    pub(crate) const DUP: usize = 23;
    pub(crate) const DUP3: usize = 24;
    pub(crate) const FCNTL: usize = 25;
    pub(crate) const IOCTL: usize = 29;
    pub(crate) const FLOCK: usize = 32;
    pub(crate) const UNLINKAT: usize = 35;
    pub(crate) const LINKAT: usize = 37;
    pub(crate) const FSTATFS: usize = 44;
    pub(crate) const FALLOCATE: usize = 47;
    pub(crate) const FCHMOD: usize = 52;
    pub(crate) const OPENAT: usize = 56;
    pub(crate) const CLOSE: usize = 57;
    pub(crate) const LSEEK: usize = 62;
    pub(crate) const READ: usize = 63;
    pub(crate) const WRITE: usize = 64;
    pub(crate) const WRITEV: usize = 66;
    pub(crate) const PREAD64: usize = 67;
    pub(crate) const PWRITE64: usize = 68;
    pub(crate) const PWRITEV: usize = 70;
    pub(crate) const SENDFILE: usize = 71;
    pub(crate) const VMSPLICE: usize = 75;
    pub(crate) const SPLICE: usize = 76;
    pub(crate) const TEE: usize = 77;
    pub(crate) const READLINKAT: usize = 78;
    pub(crate) const NANOSLEEP: usize = 101;
    pub(crate) const KILL: usize = 129;
    pub(crate) const GETPGID: usize = 155;
    pub(crate) const PRCTL: usize = 167;
    pub(crate) const GETPID: usize = 172;
    pub(crate) const GETPPID: usize = 173;
    pub(crate) const GETEUID: usize = 175;
    pub(crate) const SOCKET: usize = 198;
    pub(crate) const SENDMSG: usize = 211;
    pub(crate) const MUNMAP: usize = 215;
    pub(crate) const EXECVE: usize = 221;
    pub(crate) const MMAP: usize = 222;
    pub(crate) const MPROTECT: usize = 226;
    pub(crate) const MINCORE: usize = 232;
    pub(crate) const MADVISE: usize = 233;
    pub(crate) const PRLIMIT64: usize = 261;
    pub(crate) const RENAMEAT2: usize = 276;
    pub(crate) const SECCOMP: usize = 277;
    pub(crate) const MEMFD_CREATE: usize = 279;
    pub(crate) const COPY_FILE_RANGE: usize = 285;
    pub(crate) const PWRITEV2: usize = 287;
    pub(crate) const STATX: usize = 291;
    pub(crate) const FSTAT: usize = 80;
    pub(crate) const IO_URING_SETUP: usize = 425;
    pub(crate) const CLOSE_RANGE: usize = 436;
    pub(crate) const OPENAT2: usize = 437;
    pub(crate) const EXIT_GROUP: usize = 94;
    pub(crate) const CONNECT: usize = 203;
    pub(crate) const RT_SIGPROCMASK: usize = 135;
    pub(crate) const GETTID: usize = 178;
    pub(crate) const TGKILL: usize = 131;
    pub(crate) const PPOLL: usize = 73;
    /// Not calls of this architecture: numbers that nobody uses.
    pub(crate) const DUP2: usize = usize::MAX;
    pub(crate) const OPEN: usize = usize::MAX - 1;
    pub(crate) const CREAT: usize = usize::MAX - 2;
}
