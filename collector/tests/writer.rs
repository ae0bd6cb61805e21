//! A process that taps, as far as a collector can see: a ring in the directory, mapped and locked.
#![expect(unsafe_code, reason = "maps the ring files that the tests write to")]

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use logtap_wire::control::{self, ControlPage};
use logtap_wire::ring::writer::{NoRoom, Part, Ring, Write};
use logtap_wire::ring::{self, Geometry, StreamKind};
use rustix::fs::{FallocateFlags, FlockOperation, Mode, OFlags};
use rustix::mm::{MapFlags, ProtFlags};

/// A ring and what its process would keep of it.
pub(crate) struct Writer {
    pub(crate) ring: Ring,
    pub(crate) path: PathBuf,
    base: *mut u8,
    size: usize,
    control: *mut u8,
    pub(crate) page: &'static ControlPage,
    /// Holds the lock, as the mapping does in a process that has closed the file.
    _lock: OwnedFd,
}

// SAFETY: all that threads touch behind the pointers are the ring's atomics and lanes that they hold.
unsafe impl Sync for Writer {}

static NAMES: AtomicU32 = AtomicU32::new(0);

impl Writer {
    /// Makes a ring in the directory. Its processes are of a pid namespace that nobody knows.
    pub(crate) fn new(directory: &Path, geometry: Geometry) -> Self {
        Self::in_namespace(directory, geometry, 0)
    }

    /// The same, of processes of this namespace.
    pub(crate) fn in_namespace(directory: &Path, geometry: Geometry, pid_namespace: u64) -> Self {
        let number = NAMES.fetch_add(1, Ordering::Relaxed);
        let name = format!("test-{}-{number}", std::process::id());
        let temporary = directory.join(format!("{name}.tmp"));
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::open(&temporary, flags, Mode::from_raw_mode(0o600)).unwrap();
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared).unwrap();
        rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, geometry.file_size()).unwrap();
        let size = geometry.file_size() as usize;
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping of a whole file; nothing else is at this address.
        let base = unsafe {
            rustix::mm::mmap(std::ptr::null_mut(), size, access, MapFlags::SHARED, &file, 0)
        };
        let base = base.unwrap().cast::<u8>();
        let handle = File::from(file.try_clone().unwrap());
        let mut page = vec![0_u8; 600];
        let mut put = |at: usize, bytes: &[u8]| page[at..at + bytes.len()].copy_from_slice(bytes);
        put(std::mem::offset_of!(ring::Header, magic), &ring::RING_MAGIC.to_ne_bytes());
        put(std::mem::offset_of!(ring::Header, version), &logtap_wire::VERSION.to_ne_bytes());
        let data_offset = ring::DATA_OFFSET as u32;
        put(std::mem::offset_of!(ring::Header, data_offset), &data_offset.to_ne_bytes());
        put(std::mem::offset_of!(ring::Header, lanes), &geometry.lanes.to_ne_bytes());
        put(std::mem::offset_of!(ring::Header, lane_size), &geometry.lane_size.to_ne_bytes());
        put(std::mem::offset_of!(ring::Header, pid), &std::process::id().to_ne_bytes());
        let namespace = pid_namespace.to_ne_bytes();
        put(std::mem::offset_of!(ring::Header, pid_namespace), &namespace);
        put(std::mem::offset_of!(ring::Header, executable), b"/bin/test");
        put(ring::COVERAGE_OFFSET, &(ring::COVERAGE_PLT | ring::COVERAGE_STDIO).to_ne_bytes());
        handle.write_all_at(&page, 0).unwrap();
        for (slot, kind) in [(0, StreamKind::Stdout), (1, StreamKind::Stderr)] {
            let at = ring::STREAMS_OFFSET + slot * size_of::<ring::StreamSlot>();
            handle.write_all_at(&(kind as u32).to_ne_bytes(), at as u64).unwrap();
        }
        // SAFETY: the mapping above; every page of it was allocated.
        let ring = unsafe { Ring::attach(base, geometry) };
        let control_file = File::options()
            .read(true)
            .write(true)
            .open(directory.join(logtap_wire::CONTROL_FILE))
            .unwrap();
        // SAFETY: a new mapping of the control page.
        let control = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                control::CONTROL_SIZE,
                access,
                MapFlags::SHARED,
                &control_file,
                0,
            )
        };
        let control = control.unwrap().cast::<u8>();
        // SAFETY: the page stays mapped until the writer is dropped, and only `self` hands it out.
        let page = unsafe { &*control.cast::<ControlPage>() };
        let path = directory.join(format!("{name}.ring"));
        std::fs::rename(&temporary, &path).unwrap();
        Self { ring, path, base, size, control, page, _lock: file }
    }

    /// Writes to a stream as process `pid`. False where the ring had no room: counted as lost.
    pub(crate) fn write(&self, pid: u32, slot: u8, text: &[u8]) -> bool {
        let written = self.try_write(pid, slot, text).is_ok();
        if !written {
            self.ring.count_lost(slot, 1, text.len() as u64);
        }
        written
    }

    /// Writes and counts nothing.
    pub(crate) fn try_write(&self, pid: u32, slot: u8, text: &[u8]) -> Result<(), NoRoom> {
        let parts = [Part { base: text.as_ptr(), length: text.len() }];
        let write =
            Write { slot, flags: 0, pid, holder: pid, time: 0, parts: &parts, length: text.len() };
        self.ring.put(&self.page.ticket.next, pid, &write)
    }

    /// Writes and waits for room as long as it takes.
    pub(crate) fn write_waiting(&self, pid: u32, slot: u8, text: &[u8]) {
        while self.try_write(pid, slot, text).is_err() {
            std::thread::yield_now();
        }
    }

    /// Takes a ticket and writes nothing, as a writer that dies in a hook.
    pub(crate) fn waste_ticket(&self) {
        self.page.ticket.next.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // SAFETY: the mapping of `new`; the ring is not used after this.
        unsafe { rustix::mm::munmap(self.base.cast(), self.size) }.unwrap();
        // SAFETY: as above; `page` ends with `self`.
        unsafe { rustix::mm::munmap(self.control.cast(), control::CONTROL_SIZE) }.unwrap();
    }
}
