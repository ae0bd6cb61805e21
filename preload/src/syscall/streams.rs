//! The system calls of `socket:` and `file:` targets: a descriptor of ours is held, used with care, and never waited for.

use super::{
    Descriptor, EBADF, ENOENT, Errno, O_CLOEXEC, O_NONBLOCK, OrIgnore as _, call,
    descriptor_status, number,
};
use logtap_wire::ring::writer::Part;

/// Signals that a fault of the thread itself raises: SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGSYS. Blocked, they
/// would end the process.
const FAULTS: u64 = 1 << 3 | 1 << 4 | 1 << 6 | 1 << 7 | 1 << 10 | 1 << 30;
const MSG_DONTWAIT_NOSIGNAL: usize = 0x40 | 0x4000;

/// Which object a descriptor of ours is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Object {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

/// The object behind a descriptor; `None` where it is not open.
///
/// By `fstat`, which has less to answer than `statx` and is asked for with every write.
pub(crate) fn object(descriptor: i32) -> Option<Object> {
    // `struct stat` of both architectures begins with device and inode, and is no longer than this.
    let mut status = [0_u64; 18];
    let address = status.as_mut_ptr() as usize;
    match call(number::FSTAT, [descriptor as usize, address, 0, 0, 0, 0]) {
        Ok(_) => Some(Object { device: parts_of(status[0]), inode: status[1] }),
        Err(EBADF) => None,
        // A filter that lets only the newer call pass.
        Err(_) => descriptor_status(descriptor).ok().map(|status| Object::of(&status)),
    }
}

/// A device as `stat` tells it, in the form of [`Object`]: major in the high half, minor in the low one.
const fn parts_of(device: u64) -> u64 {
    let major = device >> 8 & 0xfff | device >> 32 & 0xffff_f000;
    let minor = device & 0xff | device >> 12 & 0xffff_ff00;
    major << 32 | minor & 0xffff_ffff
}

impl Object {
    pub(crate) fn of(status: &super::Status) -> Self {
        let identity = &status.identity;
        let device = u64::from(identity.major) << 32 | u64::from(identity.minor);
        Self { device, inode: identity.inode }
    }
}

impl Descriptor {
    /// Keeps it open: from now on the number alone is known, and its object must be checked before each use.
    pub(crate) fn keep(self) -> i32 {
        core::mem::ManuallyDrop::new(self).0
    }
}

/// Puts another file in the place of a descriptor that was kept.
pub(crate) fn replace(descriptor: i32, by: &Descriptor) -> Result<(), Errno> {
    let arguments = [by.0 as usize, descriptor as usize, O_CLOEXEC as usize, 0, 0, 0];
    call(number::DUP3, arguments).map(drop)
}

/// Closes a descriptor that was kept.
pub(crate) fn close(descriptor: i32) {
    call(number::CLOSE, [descriptor as usize, 0, 0, 0, 0, 0]).or_ignore();
}

/// All signals are kept from this thread while it lives, but for those of faults: no handler runs within, and so
/// none jumps out.
pub(crate) struct SignalsHeld(u64);

impl SignalsHeld {
    pub(crate) fn new() -> Self {
        let mut before = 0;
        change_mask(!FAULTS, Some(&mut before));
        Self(before)
    }
}

impl Drop for SignalsHeld {
    fn drop(&mut self) {
        change_mask(self.0, None);
    }
}

fn change_mask(mask: u64, before: Option<&mut u64>) {
    const SIG_SETMASK: usize = 2;
    let before = before.map_or(0, |before| core::ptr::from_mut(before) as usize);
    let mask = core::ptr::from_ref(&mask) as usize;
    call(number::RT_SIGPROCMASK, [SIG_SETMASK, mask, before, size_of::<u64>(), 0, 0]).or_ignore();
}

/// This thread's number.
pub(crate) fn thread_id() -> u32 {
    call(number::GETTID, [0; 6]).unwrap_or(0) as u32
}

/// Whether this process has no such thread any more, for sure.
pub(crate) fn is_thread_gone(process: u32, thread: u32) -> bool {
    call(number::TGKILL, [process as usize, thread as usize, 0, 0, 0, 0]) == Err(super::ESRCH)
}

/// Connects to a Unix stream socket, without waiting.
pub(crate) fn connect(path: &[u8]) -> Result<Descriptor, Errno> {
    const AF_UNIX: u16 = 1;
    const SOCK_STREAM: usize = 1;
    let mut address = [0_u8; 110];
    address[..2].copy_from_slice(&AF_UNIX.to_ne_bytes());
    address.get_mut(2..2 + path.len()).ok_or(ENOENT)?.copy_from_slice(path);
    let kind = SOCK_STREAM | (O_CLOEXEC | O_NONBLOCK) as usize;
    let socket = Descriptor(call(number::SOCKET, [AF_UNIX as usize, kind, 0, 0, 0, 0])? as i32);
    let length = 2 + path.len() + 1;
    call(number::CONNECT, [socket.0 as usize, address.as_ptr() as usize, length, 0, 0, 0])?;
    Ok(socket)
}

/// Sends to a connected stream socket, without waiting and without SIGPIPE. Fails on anything that is no socket.
pub(crate) fn send(socket: i32, parts: &[Part]) -> Result<usize, Errno> {
    let message = [0, 0, parts.as_ptr() as usize, parts.len(), 0, 0, 0];
    let arguments = [socket as usize, message.as_ptr() as usize, MSG_DONTWAIT_NOSIGNAL, 0, 0, 0];
    call(number::SENDMSG, arguments)
}

/// Appends to a file that was opened for that.
pub(crate) fn append(descriptor: i32, parts: &[Part]) -> Result<usize, Errno> {
    call(number::WRITEV, [descriptor as usize, parts.as_ptr() as usize, parts.len(), 0, 0, 0])
}

/// Whether the other end of a connected socket is still there.
pub(crate) fn is_connected(socket: i32) -> bool {
    const RDHUP: u16 = 0x2000;
    const GONE: u16 = RDHUP | 0x10 | 0x8 | 0x20;
    poll(socket, RDHUP, 0).is_some_and(|seen| seen & GONE == 0)
}

/// Waits until a socket takes bytes, or somebody has gone, at most so long.
pub(crate) fn wait_writable(socket: i32, nanoseconds: u64) {
    const OUT: u16 = 4;
    let _: Option<u16> = poll(socket, OUT, nanoseconds);
}

fn poll(descriptor: i32, events: u16, nanoseconds: u64) -> Option<u16> {
    let mut entry = [descriptor as u32 as u64 | u64::from(events) << 32];
    let time = [nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000];
    let arguments = [entry.as_mut_ptr() as usize, 1, time.as_ptr() as usize, 0, 0, 0];
    call(number::PPOLL, arguments).ok()?;
    Some((entry[0] >> 48) as u16)
}

/// Gives a mapping a name in `/proc/PID/maps`, where the kernel has that.
pub(crate) fn name_mapping(address: *mut u8, size: usize, name: &core::ffi::CStr) {
    const PR_SET_VMA: usize = 0x5356_4d41;
    const PR_SET_VMA_ANON_NAME: usize = 0;
    let arguments =
        [PR_SET_VMA, PR_SET_VMA_ANON_NAME, address as usize, size, name.as_ptr() as usize, 0];
    call(number::PRCTL, arguments).or_ignore();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_asking_tell_the_same_object() {
        use std::os::fd::AsRawFd as _;
        let file = std::fs::File::open("/proc/self/exe").expect("this program");
        let (socket, _other) = std::os::unix::net::UnixStream::pair().expect("sockets");
        let null = std::fs::File::open("/dev/null").expect("the device");
        for number in [file.as_raw_fd(), socket.as_raw_fd(), null.as_raw_fd()] {
            let status = descriptor_status(number).expect("its status");
            assert_eq!(object(number), Some(Object::of(&status)));
        }
        assert_eq!(object(-1), None);
    }

    #[test]
    fn a_device_is_taken_apart_as_the_kernel_put_it_together() {
        // new_encode_dev() of <linux/kdev_t.h>.
        let encode = |major: u64, minor: u64| minor & 0xff | major << 8 | (minor & !0xff) << 12;
        for (major, minor) in [(0, 0), (1, 3), (8, 1), (253, 255), (0, 256), (4095, 0xf_ffff)] {
            assert_eq!(parts_of(encode(major, minor)), major << 32 | minor);
        }
    }
}
