//! The rings of this process: made when a tapped stream needs one, shared with forked children, never given back.
//!
//! A ring file is created under a temporary name, locked, allocated and mapped, and its descriptor closed: the
//! mapping alone keeps the lock. A process starts with a small ring and takes a full one when that runs over.

use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use logtap_wire::RING_ENDING;
use logtap_wire::ring::writer::Ring;
use logtap_wire::ring::{
    DATA_OFFSET, Geometry, Header, MAX_LANES, RING_MAGIC, STARTER, STATE_RETIRED, StreamKind,
};

use crate::environment::{self, Settings};
use crate::syscall::streams::SignalsHeld;
use crate::syscall::{
    self, CPath, LOCK_NB, LOCK_SH, MADV_DONTDUMP, MADV_POPULATE_WRITE, O_CREAT, O_EXCL, O_NOFOLLOW,
    O_RDWR, OrIgnore as _,
};
use crate::text::Text;
use crate::{auxiliary_vector, clock, control, directory, namespace, state};

/// Rings that one process makes over its life.
const MAX_RINGS: u32 = 16;
/// After a failure the next try comes so many nanoseconds later.
const RETRY_AFTER: u64 = 1_000_000_000;
/// Largest ring whose pages are mapped when it is made. A larger one would keep its maker too long.
const MAPPED_AT_ONCE: u64 = 2 << 20;
/// Descriptors that are needed for a moment while the application runs go above this number.
pub(crate) const OUT_OF_THE_WAY: i32 = 200;

/// Address of the ring in use; its lowest bit says that it is a full one.
static CURRENT: AtomicUsize = AtomicUsize::new(0);
/// The process that is making a ring now, 0 if none.
static MAKER: AtomicU32 = AtomicU32::new(0);
static MADE: AtomicU32 = AtomicU32::new(0);
/// Set before each try; a maker that has not come back by then was thrown out of here by a fault.
static RETRY_AT: AtomicU64 = AtomicU64::new(0);

/// `COVERAGE_*` and `SEEN_*` bits, copied into every ring.
static COVERAGE: AtomicU32 = AtomicU32::new(0);

const FULL: usize = 1;

/// When a ring is made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// In the constructor, in this pid namespace: nothing of the application runs yet.
    Start { namespace: u64 },
    /// While the application runs.
    Later,
}

/// Who makes a ring.
#[derive(Clone, Copy)]
pub(crate) struct Maker {
    /// The process, as it knows itself.
    pub(crate) process: u32,
    /// Whether it is no child of vfork. May ask the kernel.
    pub(crate) has_own_memory: fn() -> bool,
}

/// The ring in use.
#[inline(always)]
pub(crate) fn current() -> Option<Ring> {
    ring_at(CURRENT.load(Ordering::Acquire))
}

#[expect(unsafe_code, reason = "the address is a ring's mapping, which is never taken away")]
#[inline(always)]
fn ring_at(tagged: usize) -> Option<Ring> {
    if tagged == 0 {
        return None;
    }
    let geometry = match environment::get() {
        Some(settings) if tagged & FULL != 0 => settings.full_ring,
        _ => STARTER,
    };
    // SAFETY: `make` stored the address of a mapping of this geometry.
    Some(unsafe { Ring::attach((tagged & !FULL) as *mut u8, geometry) })
}

/// Adds coverage bits, also to the ring that is in use.
pub(crate) fn add_coverage(bits: u32) {
    COVERAGE.fetch_or(bits, Ordering::Relaxed);
    if let Some(ring) = current() {
        ring.header().coverage.fetch_or(bits, Ordering::Relaxed);
    }
}

/// Makes the first ring, at start, in this pid namespace: nothing else runs yet.
#[cold]
pub(crate) fn first(process: u32, namespace: u64) -> bool {
    let maker = Maker { process, has_own_memory: || true };
    replace(maker, 0, STARTER, Moment::Start { namespace }).is_some()
}

/// A ring with more room than the present one, if there can be one: the first, or a full one instead of the starter,
/// of one that is retired, or whose stream table is full.
#[cold]
pub(crate) fn next(maker: impl FnOnce() -> Maker, table_is_full: bool) -> Option<Ring> {
    if !state::may_call() {
        return None;
    }
    let present = CURRENT.load(Ordering::Acquire);
    let settings = environment::get()?;
    let geometry = match ring_at(present) {
        None => STARTER,
        Some(ring) => {
            let retired = ring.header().state.load(Ordering::Relaxed) & STATE_RETIRED != 0;
            if present & FULL != 0 && !retired && !table_is_full {
                return None;
            }
            settings.full_ring
        }
    };
    replace(maker(), present, geometry, Moment::Later)
}

fn replace(by: Maker, present: usize, geometry: Geometry, moment: Moment) -> Option<Ring> {
    let now = clock::monotonic();
    let process = by.process;
    let maker = MAKER.load(Ordering::Relaxed);
    // A maker that is this very process is another thread at work, for a while; one that is another process was copied
    // by fork. Without a maker the last try has failed.
    let is_early = now < RETRY_AT.load(Ordering::Relaxed) && (maker == 0 || maker == process);
    if is_early || MADE.load(Ordering::Relaxed) >= MAX_RINGS {
        return None;
    }
    // No handler runs here, and so none jumps out with a descriptor open and the making begun.
    let _signals = (moment == Moment::Later).then(SignalsHeld::new);
    if MAKER.compare_exchange(maker, process, Ordering::Acquire, Ordering::Relaxed).is_err() {
        return None;
    }
    RETRY_AT.store(now + RETRY_AFTER, Ordering::Relaxed);
    let is_present = CURRENT.load(Ordering::Acquire) == present;
    // Else another thread has just done it.
    let made = if is_present { make(by, geometry, moment) } else { None };
    if let Some(address) = made {
        let full = if geometry == STARTER { 0 } else { FULL };
        let new = address as usize | full;
        if CURRENT.compare_exchange(present, new, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            MADE.fetch_add(1, Ordering::Relaxed);
        } else {
            give_back(address, geometry);
        }
    }
    if made.is_some() || !is_present {
        RETRY_AT.store(0, Ordering::Relaxed);
    }
    MAKER.store(0, Ordering::Release);
    if made.is_some() || !is_present { current() } else { None }
}

/// Takes a ring's mapping away that nobody in this process has seen. To the collector its process has ended.
#[expect(unsafe_code, reason = "takes away a mapping that was just made")]
fn give_back(address: *mut u8, geometry: Geometry) {
    // SAFETY: nobody has seen the mapping yet.
    unsafe { syscall::unmap(address, geometry.file_size() as usize) };
}

/// Makes a ring file and maps it.
fn make(by: Maker, geometry: Geometry, moment: Moment) -> Option<*mut u8> {
    let settings = environment::get()?;
    let control = control::page()?;
    if moment == Moment::Later && !directory::is_the_same(settings) {
        return None;
    }
    let size = geometry.file_size();
    // A file above the limit would end the process with SIGXFSZ.
    if syscall::file_size_limit() < size {
        return None;
    }
    let taken = control.totals.ring_bytes.fetch_add(size, Ordering::Relaxed);
    let made = if taken.saturating_add(size) <= control.ring_cap {
        make_file(by, settings, geometry, control.ring_mode & 0o666, moment)
    } else {
        None
    };
    if made.is_none() {
        control.totals.ring_bytes.fetch_sub(size, Ordering::Relaxed);
    }
    made
}

fn make_file(
    by: Maker,
    settings: &Settings,
    geometry: Geometry,
    mode: u32,
    moment: Moment,
) -> Option<*mut u8> {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let process = syscall::process_id();
    let namespace = match moment {
        Moment::Start { namespace } => namespace,
        Moment::Later => {
            let own = namespace::of_pids();
            let is_own = |ring: Ring| ring.header().pid_namespace == own;
            if !(by.has_own_memory)() && current().is_some_and(|ring| !is_own(ring)) {
                // A child of vfork: its parent, whose ring it would become, is in another namespace.
                return None;
            }
            own
        }
    };
    let mut name = Text::<200>::new();
    name.push(settings.directory()).push(b"/").push_number(namespace).push(b"-");
    // Two programs that a process is within one tick of the clock must not have rings of one name.
    let salt = clock::now() ^ auxiliary_vector::salt();
    name.push_number(u64::from(process)).push(b"-").push_number(salt).push(b"-");
    name.push_number(u64::from(COUNTER.fetch_add(1, Ordering::Relaxed)));
    let mut temporary = Text::<210>::new();
    temporary.push(name.bytes()).push(b".tmp");
    name.push(RING_ENDING.as_bytes());
    let (name, temporary) = (name.path()?, temporary.path()?);

    let flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW;
    let mut file = syscall::open(temporary, flags, mode).ok()?;
    if moment == Moment::Later {
        file = syscall::move_up(file, OUT_OF_THE_WAY);
    }
    let address = fill(&file, geometry, mode, process, namespace);
    if let Some(address) = address {
        if syscall::rename_new(temporary, name).is_ok() {
            return Some(address);
        }
        give_back(address, geometry);
    }
    syscall::unlink(temporary).or_ignore();
    None
}

#[expect(unsafe_code, reason = "writes the header into a fresh mapping")]
fn fill(
    file: &syscall::Descriptor,
    geometry: Geometry,
    mode: u32,
    process: u32,
    namespace: u64,
) -> Option<*mut u8> {
    if mode != 0o600 {
        // The umask may have taken rights that the collector, under another user, needs.
        syscall::change_mode(file, mode).ok()?;
    }
    syscall::lock(file, LOCK_SH | LOCK_NB).ok()?;
    syscall::allocate(file, geometry.file_size()).ok()?;
    let address = syscall::map_shared(file, geometry.file_size() as usize).ok()?;
    syscall::advise(address, geometry.file_size() as usize, MADV_DONTDUMP).or_ignore();
    if geometry != STARTER && geometry.file_size() <= MAPPED_AT_ONCE {
        // Its pages were allocated above; mapping them here spares the first lap a fault for each.
        syscall::advise(address, geometry.file_size() as usize, MADV_POPULATE_WRITE).or_ignore();
    }
    let header = address.cast::<Header>();
    // SAFETY: a fresh mapping of the ring's size that nobody else has seen; the file is zeros.
    unsafe {
        (*header).magic = RING_MAGIC;
        (*header).version = logtap_wire::VERSION;
        (*header).data_offset = DATA_OFFSET as u32;
        (*header).lanes = geometry.lanes;
        (*header).lane_size = geometry.lane_size;
        (*header).pid = process;
        (*header).user = syscall::user_id();
        (*header).pid_namespace = namespace;
        (*header).created = clock::now();
        let executable = &mut (*header).executable;
        syscall::readlink(CPath::new(b"/proc/self/exe\0")?, executable).or_ignore();
    }
    // SAFETY: as above.
    let ring = unsafe { Ring::attach(address, geometry) };
    ring.header().coverage.store(COVERAGE.load(Ordering::Relaxed), Ordering::Relaxed);
    ring.slot(0).kind.store(StreamKind::Stdout as u32, Ordering::Relaxed);
    ring.slot(1).kind.store(StreamKind::Stderr as u32, Ordering::Release);
    Some(address)
}

/// What a process does with the ring that it was forked with: keeps it in its maker's pid namespace, makes one of its own
/// in another. There its number says nothing to the ring's other writers, nor to a collector that knows a ring's
/// writers by their numbers. False where the ring stays another namespace's, or nobody can tell.
#[cold]
pub(crate) fn settle(process: u32) -> bool {
    let present = CURRENT.load(Ordering::Acquire);
    let Some(ring) = ring_at(present) else { return true };
    match (ring.header().pid_namespace, namespace::of_pids()) {
        // Nobody takes lanes of such a ring back.
        (0, _) => true,
        // No /proc here.
        (_, 0) => false,
        (maker, own) if maker == own => true,
        _ => {
            let maker = Maker { process, has_own_memory: || true };
            replace(maker, present, STARTER, Moment::Later).is_some_and(|ring| is_own(&ring))
        }
    }
}

fn is_own(ring: &Ring) -> bool {
    ring.header().pid_namespace == namespace::of_pids()
}

/// Takes lanes back from owners that are proved to be gone: a ring of this pid namespace, an owner that is in it as well
/// (others have no name in a lane), and the kernel knows no such process. Never by time. Returns whether a lane came
/// free.
#[cold]
pub(crate) fn reclaim(ring: &Ring) -> bool {
    if !state::may_call() || ring.header().pid_namespace == 0 || !is_own(ring) {
        return false;
    }
    let mut came_free = false;
    for index in 0..ring.geometry().lanes.min(MAX_LANES) {
        let Some(held) = ring.held(index) else { continue };
        if syscall::is_gone(held.owner) {
            came_free |= ring.reclaim(index, &held);
        }
    }
    came_free
}
