//! What the threads of one collector share: flags, live counts and the request to stop.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::counts::{Counts, MAX_LISTED, MAX_STARTED, Programs, Starts, Totals};

/// Most paths of tapped files that are remembered.
const MAX_FILES: usize = 10_000;
/// Most bytes of them.
const MAX_FILE_BYTES: usize = 2 << 20;

/// So many batches are refused in a row before no writer is promised delivery any more: one alone may have a bad line.
const REFUSALS: u64 = 2;

/// State shared by drain thread, push thread and owner.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Bytes of chunks that were sent and are not safe yet.
    pub(crate) in_flight: AtomicUsize,
    /// A ring fills up: complete the batch now.
    pub(crate) hurry: AtomicBool,
    /// Rings that are being read.
    pub(crate) live_rings: AtomicU64,
    failing: AtomicBool,
    /// Batches that the sink has refused since it last took one.
    refusals: AtomicU64,
    /// The push thread is done with its sink.
    adding_up: AtomicBool,
    counts: Mutex<Counts>,
    hostile: AtomicU64,
    foreign_datagrams: AtomicU64,
    control_repairs: AtomicU64,
    corrupt_counters: AtomicU64,
    /// What the writers of rings have counted as lost, told at its place already or not.
    ring_lost_records: AtomicU64,
    ring_lost_bytes: AtomicU64,
    unringed_lost_records: AtomicU64,
    unringed_lost_bytes: AtomicU64,
    files: Mutex<BTreeSet<Vec<u8>>>,
    /// Bytes of their paths.
    file_bytes: AtomicUsize,
    programs: Mutex<Programs>,
    passes: Mutex<Passes>,
    passed: Condvar,
    stop: Mutex<Option<Instant>>,
    stopping: AtomicBool,
    stop_asked: Condvar,
}

/// Passes of the drain thread over all rings.
#[derive(Clone, Copy, Debug, Default)]
struct Passes {
    number: u64,
    /// When the last one ended.
    at: Option<Instant>,
    /// The last pass found nothing and knows of no process that could write.
    quiet: bool,
    /// The drain thread is gone.
    over: bool,
}

impl Shared {
    /// The live counts.
    pub(crate) fn counts(&self) -> Counts {
        let counts = *locked(&self.counts);
        // A loss has its place in the stream, which comes when its ring is read so far; it is counted as soon as it is
        // known.
        let lost_records = self.ring_lost_records.load(Ordering::Relaxed);
        let lost_bytes = self.ring_lost_bytes.load(Ordering::Relaxed);
        Counts {
            totals: Totals {
                lost_records: counts.totals.lost_records.max(lost_records),
                lost_bytes: counts.totals.lost_bytes.max(lost_bytes),
                ..counts.totals
            },
            corrupt_counters: self.corrupt_counters.load(Ordering::Relaxed),
            hostile: self.hostile.load(Ordering::Relaxed),
            foreign_datagrams: self.foreign_datagrams.load(Ordering::Relaxed),
            control_repairs: self.control_repairs.load(Ordering::Relaxed),
            unringed_lost_records: self.unringed_lost_records.load(Ordering::Relaxed),
            unringed_lost_bytes: self.unringed_lost_bytes.load(Ordering::Relaxed),
            ..counts
        }
    }

    pub(crate) fn update_counts(&self, update: impl FnOnce(&mut Counts)) {
        update(&mut locked(&self.counts));
    }

    /// Another file broke the rules. How many that were.
    pub(crate) fn saw_hostile(&self) -> u64 {
        self.hostile.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A datagram was no frame. How many that were.
    pub(crate) fn saw_foreign_datagram(&self) -> u64 {
        self.foreign_datagrams.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The control page had to be put back in order.
    pub(crate) fn repaired_control(&self) {
        self.control_repairs.fetch_add(1, Ordering::Relaxed);
    }

    /// So many counters were found that cannot be true.
    pub(crate) fn saw_corrupt_counters(&self, number: u64) {
        self.corrupt_counters.fetch_add(number, Ordering::Relaxed);
    }

    /// The writers of rings have counted so many losses more. Only the drain thread tells this.
    pub(crate) fn lost_in_rings(&self, records: u64, bytes: u64) {
        let add = |sum: &AtomicU64, more: u64| {
            sum.store(sum.load(Ordering::Relaxed).saturating_add(more), Ordering::Relaxed);
        };
        add(&self.ring_lost_records, records);
        add(&self.ring_lost_bytes, bytes);
    }

    /// What writers without a ring have lost in all, as they say in the control page.
    pub(crate) fn lost_without_ring(&self, records: u64, bytes: u64) {
        self.unringed_lost_records.store(records, Ordering::Relaxed);
        self.unringed_lost_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Whether the last push failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    pub(crate) fn push_failed(&self, failed: bool) {
        self.failing.store(failed, Ordering::Relaxed);
    }

    /// The sink has refused a batch for ever, or has taken one.
    pub(crate) fn sink_refused(&self, refused: bool) {
        if refused {
            self.refusals.fetch_add(1, Ordering::Relaxed);
        } else {
            self.refusals.store(0, Ordering::Relaxed);
        }
    }

    /// Whether the sink refuses one batch after the other: what is handed on then is lost.
    pub(crate) fn is_refusing(&self) -> bool {
        self.refusals.load(Ordering::Relaxed) >= REFUSALS
    }

    /// The push thread is done with its sink, and adds up what is left.
    pub(crate) fn add_up(&self) {
        self.adding_up.store(true, Ordering::Release);
    }

    pub(crate) fn is_adding_up(&self) -> bool {
        self.adding_up.load(Ordering::Acquire)
    }

    /// A writer gave this path.
    pub(crate) fn saw_file(&self, path: &[u8]) {
        let mut files = locked(&self.files);
        let room = MAX_FILE_BYTES.saturating_sub(self.file_bytes.load(Ordering::Relaxed));
        if files.len() < MAX_FILES && path.len() <= room && !files.contains(path) {
            self.file_bytes.fetch_add(path.len(), Ordering::Relaxed);
            files.insert(path.to_vec());
        }
    }

    pub(crate) fn files(&self) -> BTreeSet<Vec<u8>> {
        locked(&self.files).clone()
    }

    /// A process was about to run this program, with or without the library in its environment.
    pub(crate) fn saw_program(&self, pid: u32, program: &[u8], with_library: bool) {
        let program = String::from_utf8_lossy(program).into_owned();
        let mut programs = locked(&self.programs);
        let Programs { unreached, started } = &mut *programs;
        let (known, most) =
            if with_library { (started, MAX_STARTED) } else { (unreached, MAX_LISTED) };
        if known.len() < most || known.contains_key(&program) {
            known.entry(program).or_insert(Starts { pid, times: 0 }).times += 1;
        }
    }

    pub(crate) fn programs(&self) -> Programs {
        locked(&self.programs).clone()
    }

    /// The drain thread has been over all rings.
    pub(crate) fn passed(&self, quiet: bool) {
        let mut passes = locked(&self.passes);
        passes.number += 1;
        passes.at = Some(Instant::now());
        passes.quiet = quiet;
        self.passed.notify_all();
    }

    /// When the drain thread was last over all rings.
    pub(crate) fn last_pass(&self) -> Option<Instant> {
        locked(&self.passes).at
    }

    /// Rings that are being read.
    pub(crate) fn rings_now(&self) -> u64 {
        self.live_rings.load(Ordering::Relaxed)
    }

    /// The drain thread is gone.
    pub(crate) fn drain_is_over(&self) {
        locked(&self.passes).over = true;
        self.passed.notify_all();
    }

    /// Waits for a pass that began after this call, at most `patience`. Whether it found nothing.
    pub(crate) fn is_quiet(&self, patience: Duration, wake: impl Fn()) -> bool {
        let until = Instant::now() + patience;
        let mut passes = locked(&self.passes);
        let begun = passes.number;
        while passes.number < begun + 2 && !passes.over {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            wake();
            let waited = self.passed.wait_timeout(passes, left);
            passes = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        passes.quiet
    }

    /// Asks all threads to finish before `deadline`.
    pub(crate) fn ask_to_stop(&self, deadline: Instant) {
        *locked(&self.stop) = Some(deadline);
        self.stopping.store(true, Ordering::Release);
        self.stop_asked.notify_all();
    }

    /// Until when to finish, if asked to.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if !self.stopping.load(Ordering::Acquire) {
            return None;
        }
        *locked(&self.stop)
    }

    /// Waits, but not once somebody asks to stop. Returns the deadline then.
    pub(crate) fn wait(&self, time: Duration) -> Option<Instant> {
        let stop = locked(&self.stop);
        let waited = self.stop_asked.wait_timeout_while(stop, time, |stop| stop.is_none());
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Locks; what a panicking thread left is still plain numbers.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
