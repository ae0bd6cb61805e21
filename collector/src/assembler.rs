//! Operations to lines, per process and stream, in the order of the operations.
//!
//! The same operations give the same lines with the same numbers and time stamps: it looks at no
//! clock, and every limit is applied in an order that the operations alone determine.

mod flush;
mod losses;
mod state;
mod writers;

use std::collections::HashMap;
use std::sync::Arc;

use logtap_loki::Labels;
use logtap_wire::ring::{MAX_STREAMS, StreamKind};

use crate::account::{Account, RingFacts};
use crate::config::LineRules;
use crate::counts::Totals;
use crate::labels::LabelRules;
use crate::lines::{LeftOut, LineBuffer, Mark};
use crate::operation::{
    FRAGMENT, LATE, MORE, NotAnOperation, Operation, Record, RingEnd, RingId, operations,
};
use crate::output::{About, Output, Writer};
use crate::slots::Slots;

pub(crate) use state::join_source;
use state::split_source;
use writers::{Group, Identity, Route};

/// Bytes of unfinished lines that are kept, all writers together.
const MAX_PENDING_BYTES: usize = 8 << 20;
/// Writers with an unfinished line.
const MAX_UNFINISHED: usize = 2048;
/// Writers whose place in the batch is remembered.
const MAX_WRITERS: usize = 8192;
/// How far ahead of the collector's clock a record's time may be, in nanoseconds.
const TOLERATED_FUTURE: i64 = 1_000_000_000;

/// Assembles lines.
#[derive(Debug)]
pub(crate) struct Assembler {
    rules: LineRules,
    labels: LabelRules,
    pub(crate) output: Output,
    pub(crate) account: Account,
    rings: HashMap<RingId, Ring>,
    streams: Slots<Stream>,
    writers: Slots<Assembly>,
    index: HashMap<Identity, usize>,
    /// Remembers what `index` says.
    routes: HashMap<Route, usize>,
    last: Option<(Route, usize)>,
    pending_bytes: usize,
    unfinished: usize,
    /// No unfinished line is due before this moment.
    next_flush: i64,
    now: i64,
}

#[derive(Debug)]
struct Assembly {
    identity: Identity,
    lines: LineBuffer,
    writer: Writer,
    /// The ring that it wrote to last.
    ring: RingId,
    /// Its stream there; `None` where that is not announced.
    stream: Option<usize>,
    /// When it last grew, by the collector's clock.
    active: i64,
    /// Ticket of the long write that is under way; 0 if there is none.
    open: u64,
}

impl Assembly {
    fn is_unfinished(&self) -> bool {
        !self.lines.is_empty() || self.open != 0
    }
}

#[derive(Debug)]
struct Ring {
    facts: RingFacts,
    group: Group,
    namespace: u64,
    executable: Arc<str>,
    more_labels: Vec<(String, String)>,
    /// By slot; where in `Assembler::streams` it is.
    streams: Vec<Option<usize>>,
}

impl Ring {
    /// A writer whose stream is not announced here.
    fn writer(&self, labels: &LabelRules, of: &Identity) -> Writer {
        let labels = labels.of(of.kind, &of.path, &self.facts.source, &self.more_labels);
        Writer::new(Arc::new(labels), Arc::clone(&self.executable), of.pid)
    }
}

#[derive(Debug)]
struct Stream {
    kind: StreamKind,
    path: Arc<[u8]>,
    labels: Arc<Labels>,
    totals: Totals,
}

impl Assembler {
    pub(crate) fn new(rules: LineRules, labels: LabelRules, output: Output) -> Self {
        Self {
            rules,
            labels,
            output,
            account: Account::default(),
            rings: HashMap::new(),
            streams: Slots::new(),
            writers: Slots::new(),
            index: HashMap::new(),
            routes: HashMap::new(),
            last: None,
            pending_bytes: 0,
            unfinished: 0,
            next_flush: i64::MAX,
            now: 0,
        }
    }

    /// Applies a chunk of operations that were taken at `now`.
    pub(crate) fn apply_chunk(&mut self, now: i64, bytes: &[u8]) -> Result<(), NotAnOperation> {
        self.now = now;
        if now >= self.next_flush {
            self.flush_quiet();
        }
        for operation in operations(bytes) {
            self.apply(&operation?);
        }
        Ok(())
    }

    fn apply(&mut self, operation: &Operation<'_>) {
        match *operation {
            Operation::Record(ref record) => self.record(record),
            // Told again by a collector that goes on with it.
            Operation::Ring { ring, .. } if self.rings.contains_key(&ring) => {}
            Operation::Ring { ring, pid, namespace, name, executable, source } => {
                let (source, more_labels) = split_source(source);
                let executable = String::from_utf8_lossy(executable);
                let appeared = Ring {
                    facts: RingFacts::new(name, pid, &executable, source),
                    group: match namespace {
                        0 => Group::Ring(ring),
                        namespace => Group::Namespace(namespace),
                    },
                    namespace,
                    executable: executable.into(),
                    more_labels,
                    streams: Vec::new(),
                };
                self.account.counts.rings += 1;
                self.rings.insert(ring, appeared);
            }
            Operation::Stream { ring, slot, kind, path } => self.stream(ring, slot, kind, path),
            Operation::Loss { ring, slot, records, bytes } => self.loss(ring, slot, records, bytes),
            Operation::Known { ring, slot, records, bytes } => {
                if let Some(stream) = self.stream_of(ring, slot) {
                    stream.totals.lost_records = records;
                    stream.totals.lost_bytes = bytes;
                }
            }
            Operation::Torn { ring, slot, bytes } => self.torn(ring, slot, 1, bytes.unwrap_or(0)),
            Operation::TakenBack { ring, slot, records, bytes } => {
                self.torn(ring, Some(slot), records, bytes);
            }
            Operation::ProcessEnd { ring, pid } => {
                let Some(group) = self.rings.get(&ring).map(|ring| ring.group) else { return };
                self.flush_where(Mark::Whole, |writer| {
                    writer.identity.group == group && writer.identity.pid == pid
                });
            }
            Operation::RingEnd { ring, coverage, how } => self.ring_end(ring, coverage, how),
            Operation::Flush => self.flush_where(Mark::Partial, |_| true),
            Operation::Numbering { next, last_timestamp } => {
                self.output.resume(next, last_timestamp);
            }
            Operation::Partial(ref partial) => self.restore_partial(partial),
        }
    }

    fn record(&mut self, record: &Record<'_>) {
        let mut route =
            Route { ring: record.ring, pid: record.pid, slot: record.slot, aside: false };
        let Some(mut at) = self.writer(route) else {
            // Whose it was is lost with a part of the spool: then it is lost too.
            let totals = &mut self.account.counts.totals;
            totals.lost_records += u64::from(record.flags & FRAGMENT == 0);
            totals.lost_bytes = totals.lost_bytes.saturating_add(record.payload.len() as u64);
            return;
        };
        let time = self.sane(record.time);
        self.end_cut_write(record, at, time);
        let open = self.writers.get(at).map_or(0, |assembly| assembly.open);
        if open != 0 && open != record.ticket {
            route.aside = true;
            // The same stream as the writer that was just found.
            let Some(aside) = self.writer(route) else { return };
            at = aside;
        }
        self.gap_before(record, at, time);
        let (first, size) = (record.flags & FRAGMENT == 0, record.payload.len() as u64);
        let late = record.flags & LATE != 0;
        let (now, rules) = (self.now, self.rules);
        let mut left_out = LeftOut::default();
        self.account.counts.late_records += u64::from(late);
        self.change(at, |assembly, totals, output| {
            totals.records += u64::from(first);
            totals.bytes += size;
            assembly.active = now;
            let Assembly { lines, writer, .. } = assembly;
            lines.take(record.payload, time, &rules, |line, time, mark| {
                output.line(writer, line, About { time, mark, late });
            });
            left_out = lines.take_left_out();
            if record.flags & MORE != 0 {
                assembly.open = record.ticket;
            } else if assembly.open == record.ticket {
                assembly.open = 0;
            }
        });
        self.leave_out(left_out);
        if open != 0 && open == record.ticket && record.flags & MORE == 0 {
            self.rejoin(at);
        }
        if self.unfinished > MAX_UNFINISHED || self.pending_bytes > MAX_PENDING_BYTES {
            self.flush_oldest();
        }
    }

    /// Changes one writer and keeps the books.
    #[inline]
    fn change(&mut self, at: usize, change: impl FnOnce(&mut Assembly, &mut Totals, &mut Output)) {
        let Some(assembly) = self.writers.get_mut(at) else { return };
        let stream = assembly.stream.and_then(|stream| self.streams.get_mut(stream));
        let before = (assembly.lines.len(), assembly.is_unfinished());
        let lines = self.output.last();
        // Where its ring has ended, only the count over all rings is left.
        let mut spare = Totals::default();
        let totals = stream.map_or(&mut spare, |stream| &mut stream.totals);
        let known = *totals;
        change(assembly, totals, &mut self.output);
        totals.lines += self.output.last() - lines;
        self.account.counts.add_growth(&known, totals);
        if spare != Totals::default() {
            self.account.add(assembly.identity.kind, &assembly.identity.path, &spare);
        }
        self.pending_bytes = self.pending_bytes + assembly.lines.len() - before.0;
        match (before.1, assembly.is_unfinished()) {
            (false, true) => self.unfinished += 1,
            (true, false) => self.unfinished -= 1,
            _ => {}
        }
        if assembly.is_unfinished() {
            let quiet = i64::try_from(self.rules.quiet.as_nanos()).unwrap_or(i64::MAX);
            self.next_flush = self.next_flush.min(assembly.active.saturating_add(quiet));
        }
    }

    /// Expects no more of a long write, whose text was given out.
    fn close(&mut self, at: usize) {
        let was_open = self.writers.get(at).is_some_and(|assembly| assembly.open != 0);
        if was_open {
            self.change(at, |assembly, _, _| assembly.open = 0);
            self.rejoin(at);
        }
    }

    /// After a long write: what its process wrote meanwhile goes on in the same line.
    fn rejoin(&mut self, at: usize) {
        let Some(writer) = self.writers.get(at) else { return };
        let identity = Identity { aside: true, ..writer.identity.clone() };
        let Some(&aside) = self.index.get(&identity) else { return };
        let (mut bytes, mut began, mut grew) = (Vec::new(), 0, 0);
        self.change(aside, |assembly, _, _| {
            let lines = std::mem::take(&mut assembly.lines);
            (bytes, began) = (lines.state().0.to_vec(), lines.state().1);
            grew = assembly.active;
        });
        let rules = self.rules;
        let mut left_out = LeftOut::default();
        self.change(at, |assembly, _, output| {
            assembly.active = assembly.active.max(grew);
            let Assembly { lines, writer, .. } = assembly;
            lines.take(&bytes, began, &rules, |line, time, mark| {
                output.line(writer, line, About { time, mark, late: false });
            });
            left_out = lines.take_left_out();
        });
        self.leave_out(left_out);
    }

    const fn leave_out(&mut self, left_out: LeftOut) {
        self.account.counts.collapsed_states += left_out.states;
        self.account.counts.collapsed_bytes += left_out.bytes;
    }

    fn stream(&mut self, ring: RingId, slot: u8, kind: StreamKind, path: &[u8]) {
        let Some(ring) = self.rings.get_mut(&ring) else { return };
        let slot = usize::from(slot);
        if slot >= MAX_STREAMS || matches!(ring.streams.get(slot), Some(Some(_))) {
            return;
        }
        if ring.streams.len() <= slot {
            ring.streams.resize(slot + 1, None);
        }
        let labels = self.labels.of(kind, path, &ring.facts.source, &ring.more_labels);
        ring.streams[slot] = Some(self.streams.insert(Stream {
            kind,
            path: path.into(),
            labels: Arc::new(labels),
            totals: Totals::default(),
        }));
    }

    fn stream_of(&mut self, ring: RingId, slot: u8) -> Option<&mut Stream> {
        let at = (*self.rings.get(&ring)?.streams.get(usize::from(slot))?)?;
        self.streams.get_mut(at)
    }

    fn ring_end(&mut self, id: RingId, coverage: u32, how: RingEnd) {
        let mark = if how == RingEnd::Left { Mark::Partial } else { Mark::Whole };
        let Some(ring) = self.rings.remove(&id) else { return };
        // Who has another ring goes on with its line there.
        let mut next: HashMap<u32, RingId> = HashMap::new();
        for (&other_id, other) in self.rings.iter().filter(|(_, other)| other.group == ring.group) {
            let newest = next.entry(other.facts.pid).or_insert(other_id);
            *newest = other_id.max(*newest);
        }
        self.flush_where(mark, |writer| {
            writer.ring == id && !next.contains_key(&writer.identity.pid)
        });
        self.forget_where(|writer| writer.ring == id);
        self.routes.retain(|route, _| route.ring != id);
        for &at in self.index.values() {
            if let Some(assembly) = self.writers.get_mut(at)
                && assembly.ring == id
                && let Some(next) = next.get(&assembly.identity.pid)
                && let Some(ring) = self.rings.get(next)
            {
                assembly.writer = ring.writer(&self.labels, &assembly.identity);
                assembly.ring = *next;
                assembly.stream = None;
            }
        }
        let streams: Vec<Stream> =
            ring.streams.iter().flatten().filter_map(|&at| self.streams.remove(at)).collect();
        let streams = streams.iter().map(|stream| (stream.kind, &stream.path[..], stream.totals));
        self.account.ring_ended(ring.facts, coverage, how, streams);
    }

    /// The record's time, or the collector's where that cannot be.
    fn sane(&self, time: i64) -> i64 {
        if time <= 0 || time > self.now.saturating_add(TOLERATED_FUTURE) { self.now } else { time }
    }

    /// Everything counted, as if all rings ended now.
    pub(crate) fn account_of_all(&self) -> Account {
        let mut account = self.account.clone();
        let mut alive: Vec<_> = self.rings.iter().collect();
        alive.sort_unstable_by_key(|(id, _)| **id);
        for (_, ring) in alive {
            let streams = ring.streams.iter().flatten().filter_map(|&at| self.streams.get(at));
            let streams = streams.map(|stream| (stream.kind, &stream.path[..], stream.totals));
            account.ring_ended(ring.facts.clone(), 0, RingEnd::Left, streams);
        }
        account
    }
}

#[cfg(test)]
mod tests;
