//! The drain thread: over all rings, again and again, and what it finds into chunks.
//!
//! It goes over the rings without pause while they are busy and ever more slowly while they are not.
//! Where chunks cannot be handed on it reads no further: the rings fill up, and each writer does what it was
//! told to do then.

mod feeds;
mod frames;
mod losses;
mod pace;
mod processes;
mod records;
mod rings;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use logtap_wire::ring::SlotInfo;

use crate::chunk::{Chunk, Release};
use crate::clock::now;
use crate::counts::Hostile;
use crate::directory::TapDirectory;
use crate::feeder::FeederMessage;
use crate::merge::Merge;
use crate::operation::{Operation, RingEnd, RingId};
use crate::outlet::Outlet;
use crate::ring_reader::{Hostility, Parsed, RingReader};
use crate::shared::Shared;
use crate::told::Told;

use frames::{Frames, HeldFrame};
use pace::Pace;
use processes::own_pid_namespace;
use rings::tell_end;

/// Rings that are read at the same time. More wait in the directory.
pub const MAX_RINGS: usize = 4096;
/// Names of rings that are looked at. Those beyond are found when others have gone.
const MAX_NAMES: usize = 65_536;
/// Frames that wait for others, in bytes; the rest waits in the socket.
const MAX_WAITING_FRAMES: usize = 4 << 20;
/// Records that wait for others, in bytes; beyond it no ring is read until some have gone.
const MAX_WAITING: usize = 24 << 20;
/// Paths of all streams of all rings that are read, in bytes. Where it is reached, further files have one name.
const MAX_PATH_BYTES: usize = 4 << 20;
/// How often the writers' leases are renewed and the epoch moves.
const LEASE_EVERY: Duration = Duration::from_millis(500);
const EPOCH_EVERY: Duration = Duration::from_millis(100);
/// A lease that is over: not 0, which would let the control page's hold.
const ENDED_LEASE: u64 = 1;
/// How often the rings are read once no writer suppresses any more, where a ticket is missing.
const LAST_PASSES: u32 = 10;
/// How often the directory is looked at while nothing asks for it.
const SCAN_EVERY: Duration = Duration::from_millis(10);
/// How often the bytes of all rings are counted again.
const RECOUNT_EVERY: Duration = Duration::from_secs(1);
/// How often processes that share a ring with living ones are looked for.
const PROCESSES_EVERY: Duration = Duration::from_millis(500);
/// How often an empty chunk tells the assembler the time while lines may be unfinished.
const TICK_EVERY: Duration = Duration::from_millis(200);
/// Longest time that rings in use are followed after the request to stop.
const FINISH_WITHIN: Duration = Duration::from_millis(500);

/// What the drain thread has to tell at its end.
#[derive(Debug, Default)]
pub(crate) struct DrainReport {
    pub(crate) hostile: Vec<Hostile>,
    /// Processes hold rings, or files had to stay: the directory is still there.
    pub(crate) directory_kept: bool,
}

/// The drain thread's state.
pub(crate) struct Drain {
    directory: TapDirectory,
    shared: Arc<Shared>,
    outlet: Outlet,
    feeders: Receiver<FeederMessage>,
    rings: BTreeMap<RingId, Reading>,
    /// Names of files that are being read, wait for their removal, or broke the rules.
    known: HashMap<String, bool>,
    /// Rings that ended and whose last records are not safe yet.
    ended: HashMap<RingId, RingReader>,
    /// Rings that stand for feeders, and their processes.
    fed: HashMap<u32, (RingId, u32)>,
    frames: Frames,
    /// Losses that an earlier collector has told.
    told_before: Vec<Told>,
    /// Losses that this one tells at its end, of rings that live on; told once the last chunk is back.
    left: BTreeMap<RingId, Vec<Told>>,
    /// Those of them that are told.
    told: Vec<Told>,
    /// Bytes of the paths of all rings' streams.
    path_bytes: usize,
    /// Bytes of frames in `merge`.
    waiting_frames: usize,
    merge: Merge<Item>,
    chunk: Chunk,
    next_ring: RingId,
    quiet: Duration,
    remove_at_end: bool,
    /// The directory was looked at.
    scanned: bool,
    /// A ticket was missing at the end of the last pass.
    is_waiting: bool,
    /// It was said that names of rings stay in the directory.
    told_of_names: bool,
    /// It was said that rings could not be opened for want of descriptors.
    short_of_descriptors: bool,
    /// It was said that the control page cannot be written.
    told_of_control: bool,
    /// No writer is promised that what it suppresses is delivered.
    leases_ended: bool,
    /// What the control page was last believed to say of losses without a ring, and whether it cannot be believed now.
    unringed: (u64, u64),
    unringed_is_corrupt: bool,
    /// The push thread should look at `Shared::hurry`, even if there is no chunk for it.
    wake_push: bool,
    timers: Timers,
    pid_namespace: u64,
    epoch: u32,
    report: DrainReport,
}

/// A ring and what is being done about it.
struct Reading {
    reader: RingReader,
    /// Nothing was new in the last pass.
    idle: bool,
    /// When it was last asked whether processes hold it.
    asked: Option<Instant>,
    /// No process holds it: this pass reads it for the last time.
    free: bool,
    processes: HashSet<u32>,
    /// Bytes of its streams' paths.
    path_bytes: usize,
    /// Losses that its writers had counted when they were last looked at.
    losses: losses::Counted,
    /// Processes that are gone; told when all that they wrote is.
    gone: Vec<u32>,
}

#[derive(Debug)]
struct Timers {
    started: Instant,
    lease: Option<Instant>,
    epoch: Option<Instant>,
    /// When to look at the directory again.
    scan: Option<Instant>,
    recount: Option<Instant>,
    processes: Option<Instant>,
    tick: Instant,
    /// When something last came.
    active: Option<Instant>,
}

/// A record that waits for its turn.
#[derive(Debug)]
enum Item {
    Ring { ring: RingId, parsed: Parsed },
    Frame(Box<HeldFrame>),
}

/// What one pass did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pass {
    bytes: u64,
    /// A ticket is missing.
    waiting: bool,
    /// Nothing could be read because chunks wait.
    blocked: bool,
}

impl Pass {
    /// Whether there was nothing to do, and nothing is waited for.
    pub(crate) fn is_idle(&self) -> bool {
        self.bytes == 0 && !self.waiting && !self.blocked
    }
}

impl Drain {
    pub(crate) fn new(
        directory: TapDirectory,
        shared: Arc<Shared>,
        outlet: Outlet,
        feeders: Receiver<FeederMessage>,
        quiet: Duration,
        remove_at_end: bool,
    ) -> Self {
        let started = Instant::now();
        Self {
            merge: Merge::new(directory.first_ticket()),
            told_before: told_before(&directory),
            left: BTreeMap::new(),
            told: Vec::new(),
            directory,
            shared,
            next_ring: outlet.next_ring(),
            outlet,
            feeders,
            rings: BTreeMap::new(),
            known: HashMap::new(),
            ended: HashMap::new(),
            fed: HashMap::new(),
            frames: Frames::new(),
            waiting_frames: 0,
            path_bytes: 0,
            chunk: Chunk::default(),
            quiet,
            remove_at_end,
            scanned: false,
            is_waiting: false,
            told_of_names: false,
            short_of_descriptors: false,
            told_of_control: false,
            leases_ended: false,
            unringed: (0, 0),
            unringed_is_corrupt: false,
            wake_push: false,
            timers: Timers {
                started,
                lease: None,
                epoch: None,
                scan: None,
                recount: None,
                processes: None,
                tick: started,
                active: None,
            },
            pid_namespace: own_pid_namespace(),
            epoch: std::process::id(),
            report: DrainReport::default(),
        }
    }

    /// Works until asked to stop and everything is handed over, or until the deadline.
    pub(crate) fn run(mut self) -> DrainReport {
        let mut pace = Pace::default();
        let mut asked = None;
        loop {
            let pass = self.pass();
            let quiet = pass.bytes == 0 && !pass.blocked && self.is_quiet();
            self.shared.passed(quiet);
            if let Some(deadline) = self.shared.deadline() {
                if pass.is_idle() && self.feeders.is_empty()
                    || Self::is_late(&pass, deadline, &mut asked)
                {
                    break;
                }
                pace.hurry();
            }
            let rest = pace.after(&pass, Instant::now());
            if rest.is_zero() {
                std::thread::yield_now();
            } else {
                std::thread::park_timeout(rest);
            }
        }
        self.finish()
    }

    /// Whether it is time to end although there is more: writers that never stop are followed only for
    /// so long, a slow sink is given most of the time that there is.
    fn is_late(pass: &Pass, deadline: Instant, asked: &mut Option<(Instant, bool)>) -> bool {
        let now = Instant::now();
        let (asked, slow) = asked.get_or_insert((now, false));
        *slow |= pass.blocked;
        let longest = deadline.saturating_duration_since(*asked) * 3 / 4;
        let patience = if *slow { longest } else { longest.min(FINISH_WITHIN) };
        now.saturating_duration_since(*asked) >= patience
    }

    /// Once over everything.
    fn pass(&mut self) -> Pass {
        self.pass_at(Instant::now())
    }

    /// The same at another time.
    pub(crate) fn pass_at(&mut self, at: Instant) -> Pass {
        self.chunk.now = now().max(self.chunk.now);
        self.take_back();
        self.outlet.retry();
        let blocked = self.outlet.is_full();
        self.keep_time(at, blocked);
        if blocked {
            return Pass { blocked, ..Pass::default() };
        }
        // Who asks whether all is quiet, or to stop, means the rings that were just made too. And a ticket
        // that is missing is given up only after a look that began later than it was missed: what was
        // written before a record that is here is in a ring that is there by then.
        let matters = self.rings.is_empty() || self.is_waiting || self.shared.deadline().is_some();
        if matters || self.timers.scan.is_none_or(|next| at >= next) {
            self.scan();
        }
        let mut pass = Pass::default();
        pass.bytes += self.take_feeds();
        pass.bytes += self.take_frames();
        pass.bytes += self.read_rings(at);
        pass.waiting = self.merge_records(at);
        let over = self.rings_at_their_end();
        if pass.waiting || !over.is_empty() || self.has_gone_processes() {
            // What is missing may be in a ring that has just been made, and so may what a process wrote
            // last that is gone now.
            self.scan();
            pass.bytes += self.take_frames();
            pass.bytes += self.read_rings(at);
            pass.waiting = self.merge_records(at);
        }
        self.is_waiting = pass.waiting;
        if !pass.waiting && !self.outlet.is_full() {
            self.tell_gone_processes(&pass);
            self.end_rings(&over);
        }
        if pass.bytes > 0 {
            self.timers.active = Some(at);
        }
        self.tick(at);
        self.seal();
        pass
    }

    /// Whether nothing is left and no process could write more.
    fn is_quiet(&self) -> bool {
        self.rings.is_empty() && self.merge.is_empty() && self.fed.is_empty()
    }

    /// Leases, epoch, byte totals.
    fn keep_time(&mut self, at: Instant, blocked: bool) {
        let due = |timer: &mut Option<Instant>, every: Duration| {
            let due = timer.is_none_or(|last| at - last >= every);
            if due {
                *timer = Some(at);
            }
            due
        };
        if due(&mut self.timers.epoch, EPOCH_EVERY) {
            self.epoch = self.epoch.wrapping_add(1);
            let lease = if self.leases_ended { 0 } else { monotonic() };
            if let Err(error) = self.directory.beat(self.epoch, lease) {
                self.say_of_control(&error);
            }
        }
        // A collector that cannot hand on what it reads gives no promise to those who suppress.
        if self.shared.deadline().is_some() && self.leases_ended {
            // The end: they stay as they are.
        } else if self.shared.is_refusing() {
            // What would be suppressed now would be nowhere.
            if due(&mut self.timers.lease, LEASE_EVERY) || !self.leases_ended {
                self.end_leases();
            }
        } else if !blocked && due(&mut self.timers.lease, LEASE_EVERY) {
            self.leases_ended = false;
            let lease = monotonic();
            for reading in self.rings.values_mut() {
                // A ring that cannot be written is found out when it is read.
                if reading.reader.lease(lease).is_ok()
                    && let Ok(true) = reading.reader.retire_if_stuck(lease)
                {
                    tracing::warn!(ring = reading.reader.name, "most lanes are stuck; retired");
                }
            }
        }
        if due(&mut self.timers.recount, RECOUNT_EVERY) {
            self.tend();
        }
        if due(&mut self.timers.processes, PROCESSES_EVERY) {
            self.find_gone_processes();
        }
    }

    /// Ends the promise to those who suppress what they write: from now on it goes to its original too.
    fn end_leases(&mut self) {
        if !std::mem::replace(&mut self.leases_ended, true)
            && let Err(error) = self.directory.beat(self.epoch, 0)
        {
            self.say_of_control(&error);
        }
        for reading in self.rings.values() {
            if let Err(error) = reading.reader.lease(ENDED_LEASE) {
                tracing::debug!(%error, ring = reading.reader.name, "failed to end a lease");
            }
        }
    }

    /// What needs to be done once a second: the control page in order, the rings and losses without one counted.
    fn tend(&mut self) {
        match self.directory.repair() {
            Ok(None) => self.told_of_control = false,
            Ok(Some(repair)) => {
                self.shared.repaired_control();
                tracing::warn!(?repair, "the control page was not as it should be; put back");
            }
            Err(error) => self.say_of_control(&error),
        }
        if let Err(error) = self.directory.recount_rings() {
            self.say_of_control(&error);
        }
        self.count_unringed();
        self.count_losses();
    }

    /// Says once that the control page cannot be used, until it can be again.
    fn say_of_control(&mut self, error: &std::io::Error) {
        if !std::mem::replace(&mut self.told_of_control, true) {
            tracing::warn!(%error, "failed to use the control page");
        }
    }

    /// While lines may be unfinished, tells the time at least now and then.
    fn tick(&mut self, at: Instant) {
        if !self.chunk.is_empty() {
            return;
        }
        let lately = |active: Instant| at - active <= self.quiet + 3 * TICK_EVERY;
        if at - self.timers.tick >= TICK_EVERY && self.timers.active.is_some_and(lately) {
            self.timers.tick = at;
            self.outlet.put(std::mem::take(&mut self.chunk), self.next_ring);
            self.chunk.now = now();
        }
    }

    /// Sends the chunk on.
    fn seal(&mut self) {
        let rings: Vec<RingId> = self.rings.keys().copied().collect();
        for ring in rings {
            self.seal_promises(ring);
        }
        if self.chunk.is_empty() && !std::mem::take(&mut self.wake_push) {
            return;
        }
        let mut next = self.outlet.fresh();
        next.now = self.chunk.now;
        let chunk = std::mem::replace(&mut self.chunk, next);
        self.outlet.put(chunk, self.next_ring);
        self.take_back();
    }

    fn seal_promises(&mut self, ring: RingId) {
        let Some(reading) = self.rings.get_mut(&ring) else { return };
        for (lane, position) in reading.reader.promises() {
            self.chunk.releases.push(Release::Tail { ring, lane, position });
        }
    }

    /// Lets go of what is safe.
    fn take_back(&mut self) {
        let mut made_room = false;
        while let Some(mut chunk) = self.outlet.safe() {
            made_room |= !chunk.bytes.is_empty();
            for release in chunk.releases.drain(..) {
                match release {
                    Release::Tail { ring, lane, position } => {
                        let Some(reading) = self.rings.get_mut(&ring) else { continue };
                        if let Err(error) = reading.reader.release(lane, position) {
                            self.drop_hostile(ring, &Hostility::Io(error));
                        }
                    }
                    Release::Ring { ring } => self.remove_ring(ring),
                    Release::Forget { ring } => {
                        self.told.extend(self.left.remove(&ring).into_iter().flatten());
                        self.outlet.forget(ring);
                    }
                }
            }
            self.outlet.recycle(chunk);
        }
        if made_room && let Err(error) = self.directory.made_room(monotonic()) {
            self.say_of_control(&error);
        }
    }

    /// The end: what is left is told, handed over and, as far as possible, waited for.
    fn finish(mut self) -> DrainReport {
        let deadline = self.shared.deadline().unwrap_or_else(Instant::now);
        // What was suppressed until now is read; what comes later goes to its original too.
        self.end_leases();
        for _ in 0..LAST_PASSES {
            if !self.pass().waiting {
                break;
            }
            std::thread::park_timeout(Duration::from_millis(1));
        }
        self.seal();
        let rings: Vec<RingId> = self.rings.keys().copied().collect();
        if self.outlet.is_durable() {
            // The next collector goes on with them.
            Operation::Flush.write(&mut self.chunk.bytes);
        } else {
            for ring in rings {
                self.count_losses_of(ring);
                let Some(reading) = self.rings.get_mut(&ring) else { continue };
                let told = tell_end(&mut self.chunk, ring, &mut reading.reader, RingEnd::Left);
                match told {
                    Ok(losses) => {
                        let of = |(slot, counted): (u8, SlotInfo)| Told {
                            name: reading.reader.name.clone(),
                            created: reading.reader.info.created,
                            slot,
                            records: counted.lost_records,
                            bytes: counted.lost_bytes,
                        };
                        self.left.insert(ring, losses.into_iter().map(of).collect());
                        // Nothing is known of it here, and its coming back says that all this is told.
                        self.chunk.releases.push(Release::Forget { ring });
                    }
                    Err(reason) => self.drop_hostile(ring, &reason),
                }
            }
        }
        for (_, (ring, _)) in self.fed.drain() {
            Operation::RingEnd { ring, coverage: 0, how: RingEnd::Left }
                .write(&mut self.chunk.bytes);
            self.chunk.releases.push(Release::Forget { ring });
        }
        self.frames.end(&mut self.chunk);
        self.seal();
        self.outlet.close(deadline);
        while Instant::now() < deadline && self.outlet.wait(deadline) {
            self.take_back();
        }
        self.take_back();
        for reading in self.rings.values() {
            // Whoever suppresses writes must know at once that nobody reads any more.
            if let Err(error) = reading.reader.lease(0) {
                tracing::debug!(%error, ring = reading.reader.name, "failed to end a lease");
            }
        }
        if let Err(error) = self.directory.beat(self.epoch.wrapping_add(1), 0) {
            tracing::debug!(%error, "failed to write the control page");
        }
        self.leave_told();
        self.count_unringed();
        let needed = !self.rings.is_empty() || !self.ended.is_empty();
        self.report.directory_kept = true;
        if self.remove_at_end && !needed {
            match self.directory.remove() {
                Ok(()) => self.report.directory_kept = false,
                Err(error) => tracing::warn!(%error, "failed to remove the tap directory"),
            }
        }
        self.shared.drain_is_over();
        self.report
    }

    /// Leaves to the next collector which losses the sink has. A spool knows it by itself.
    fn leave_told(&mut self) {
        if self.outlet.is_durable() {
            return;
        }
        // What could not be told now may have been, in part, by an earlier collector.
        let (left, before) = (&self.left, &self.told_before);
        let is_left = |told: &&Told| left.values().flatten().any(|other| other.is_same(told));
        self.told.extend(before.iter().filter(is_left).cloned());
        if let Err(error) = self.directory.leave_told(&self.told) {
            tracing::warn!(%error, "failed to note which losses were told; they are told again");
        }
    }
}

/// What an earlier collector has told. Without it losses are told again, and none is missed.
fn told_before(directory: &TapDirectory) -> Vec<Told> {
    directory.told().unwrap_or_else(|error| {
        tracing::warn!(%error, "failed to read which losses were told; they are told again");
        Vec::new()
    })
}

/// `CLOCK_MONOTONIC` in nanoseconds, as the library reads it.
pub(crate) fn monotonic() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    (time.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(time.tv_nsec as u64)
}
