//! The system call instruction and numbers of x86_64 (`arch/x86/entry/syscalls/syscall_64.tbl`).

use core::arch::asm;

/// # Safety
///
/// The call itself must be sound.
#[inline(always)]
pub(super) unsafe fn call(number: usize, [a, b, c, d, e, f]: [usize; 6]) -> usize {
    let result;
    // SAFETY: the kernel clobbers rcx and r11 only, and memory as the call says.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// System call numbers.
pub(crate) mod number {
    pub(crate) const READ: usize = 0;
    pub(crate) const WRITE: usize = 1;
    pub(crate) const CLOSE: usize = 3;
    pub(crate) const LSEEK: usize = 8;
    pub(crate) const MMAP: usize = 9;
    pub(crate) const MPROTECT: usize = 10;
    pub(crate) const MUNMAP: usize = 11;
    pub(crate) const IOCTL: usize = 16;
    pub(crate) const PREAD64: usize = 17;
    pub(crate) const PWRITE64: usize = 18;
    pub(crate) const WRITEV: usize = 20;
    pub(crate) const DUP: usize = 32;
    pub(crate) const DUP3: usize = 292;
    pub(crate) const MINCORE: usize = 27;
    pub(crate) const MADVISE: usize = 28;
    pub(crate) const NANOSLEEP: usize = 35;
    pub(crate) const GETPID: usize = 39;
    pub(crate) const GETPPID: usize = 110;
    pub(crate) const SENDFILE: usize = 40;
    pub(crate) const SOCKET: usize = 41;
    pub(crate) const SENDMSG: usize = 46;
    pub(crate) const EXECVE: usize = 59;
    pub(crate) const KILL: usize = 62;
    pub(crate) const FCNTL: usize = 72;
    pub(crate) const FLOCK: usize = 73;
    pub(crate) const FCHMOD: usize = 91;
    pub(crate) const GETEUID: usize = 107;
    pub(crate) const GETPGID: usize = 121;
    pub(crate) const FSTATFS: usize = 138;
    pub(crate) const PRCTL: usize = 157;
    pub(crate) const OPENAT: usize = 257;
    pub(crate) const UNLINKAT: usize = 263;
    pub(crate) const LINKAT: usize = 265;
    pub(crate) const READLINKAT: usize = 267;
    pub(crate) const SPLICE: usize = 275;
    pub(crate) const TEE: usize = 276;
    pub(crate) const VMSPLICE: usize = 278;
    pub(crate) const FALLOCATE: usize = 285;
    pub(crate) const PWRITEV: usize = 296;
    pub(crate) const PRLIMIT64: usize = 302;
    pub(crate) const RENAMEAT2: usize = 316;
    pub(crate) const SECCOMP: usize = 317;
    pub(crate) const MEMFD_CREATE: usize = 319;
    pub(crate) const COPY_FILE_RANGE: usize = 326;
    pub(crate) const PWRITEV2: usize = 328;
    pub(crate) const STATX: usize = 332;
    pub(crate) const FSTAT: usize = 5;
    pub(crate) const IO_URING_SETUP: usize = 425;
    pub(crate) const CLOSE_RANGE: usize = 436;
    pub(crate) const OPENAT2: usize = 437;
    pub(crate) const EXIT_GROUP: usize = 231;
    pub(crate) const CONNECT: usize = 42;
    pub(crate) const RT_SIGPROCMASK: usize = 14;
    pub(crate) const GETTID: usize = 186;
    pub(crate) const TGKILL: usize = 234;
    pub(crate) const PPOLL: usize = 271;
    /// Not a call of newer architectures, as the next two.
    pub(crate) const DUP2: usize = 33;
    pub(crate) const OPEN: usize = 2;
    pub(crate) const CREAT: usize = 85;
}
