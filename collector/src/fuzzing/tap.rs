//! A whole tap directory: rings, datagrams and files that should not be there, through the drain thread's own steps
//! into lines. And the control page, as somebody else may have left it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use logtap_wire::control::{self, CONTROL_SIZE};
use logtap_wire::frame::Frame;
use logtap_wire::record::{FLAG_MORE, FLAG_NOTE, RecordHeader, size_of_record};
use logtap_wire::ring::{
    DATA_OFFSET, Geometry, Header, RING_MAGIC, STREAMS_OFFSET, StreamKind, StreamSlot, TAIL_OFFSET,
};
use logtap_wire::{CONTROL_FILE, SOCKET_FILE};
use rustix::fs::{FallocateFlags, FileType, Mode};

use super::{Scratch, Script};
use crate::assembler::Assembler;
use crate::chunk::Chunk;
use crate::config::LineRules;
use crate::directory::TapDirectory;
use crate::drain::Drain;
use crate::labels::LabelRules;
use crate::outlet::{self, MemoryOutlet, Outlet};
use crate::output::Output;
use crate::shared::Shared;

const GEOMETRY: Geometry = Geometry { lanes: 2, lane_size: 4096 };
/// Rings of one input.
const RINGS: usize = 4;
const MAX_STEPS: usize = 100;

/// Runs a script on a tap directory.
///
/// What honest rings held comes out, whatever happened beside them, and no byte comes out that nobody has written.
pub fn tap(data: &[u8]) {
    let scratch = Scratch::new();
    let mut tap = Tap::new(&scratch.0);
    let mut script = Script::new(data);
    for _ in 0..MAX_STEPS {
        if script.is_over() {
            break;
        }
        tap.step(&mut script);
    }
    let honest: u64 = tap.rings.iter().filter(|ring| !ring.spoilt).map(|ring| ring.written).sum();
    // Each ticket that is missing is waited for until the clock has moved on.
    let mut idle = 0;
    for _ in 0..4 * MAX_STEPS {
        idle = if tap.look() { idle + 1 } else { 0 };
        if idle == 3 {
            break;
        }
    }
    let counted = tap.assembler.account.counts.totals.bytes;
    assert!(counted >= honest, "{counted} of {honest} bytes came out");
    let spoilt = tap.rings.iter().any(|ring| ring.spoilt);
    assert!(spoilt || counted == honest + tap.sent, "{counted} bytes, {honest} + {}", tap.sent);
}

struct Tap {
    path: PathBuf,
    drain: Drain,
    chunks: Receiver<Chunk>,
    safe: Sender<Chunk>,
    assembler: Assembler,
    socket: UnixDatagram,
    rings: Vec<Ring>,
    /// Bytes in frames that were sent and are ones.
    sent: u64,
    ticket: u64,
    clock: Instant,
}

struct Ring {
    path: PathBuf,
    file: File,
    heads: [u64; GEOMETRY.lanes as usize],
    /// Bytes in records.
    written: u64,
    spoilt: bool,
}

impl Tap {
    fn new(scratch: &Path) -> Self {
        let path = scratch.join("tap");
        let directory = TapDirectory::create(&path, 0o700, 1 << 30).expect("a tap directory");
        let shared = Arc::new(Shared::default());
        let (chunks_tx, chunks) = bounded(outlet::QUEUE);
        let (safe, safe_rx) = unbounded();
        let (_, feeders) = bounded(1);
        let outlet = Outlet::Memory(MemoryOutlet::new(Arc::clone(&shared), chunks_tx, safe_rx));
        let quiet = Duration::from_secs(2);
        let drain = Drain::new(directory, shared, outlet, feeders, quiet, false);
        let labels = LabelRules::new(&[]);
        let output = Output::new("f".repeat(32), false);
        Self {
            path,
            drain,
            chunks,
            safe,
            assembler: Assembler::new(LineRules::default(), labels, output),
            socket: UnixDatagram::unbound().expect("a socket"),
            rings: Vec::new(),
            sent: 0,
            ticket: 1,
            clock: Instant::now(),
        }
    }

    /// What the drain and push threads do, with a clock that jumps over every patience. Whether there was nothing to do.
    fn look(&mut self) -> bool {
        self.clock += Duration::from_millis(10);
        let pass = self.drain.pass_at(self.clock);
        for chunk in self.chunks.try_iter() {
            self.assembler.apply_chunk(chunk.now, &chunk.bytes).expect("operations of ours");
            assert!(self.assembler.output.len() < 1 << 20);
            self.assembler.output.clear();
            self.safe.send(chunk).expect("the drain is there");
        }
        pass.is_idle()
    }

    fn step(&mut self, script: &mut Script<'_>) {
        let choice = script.byte();
        let at = usize::from(choice >> 4) % RINGS;
        let which = at.min(self.rings.len().saturating_sub(1));
        match choice & 15 {
            0 => self.make_ring(),
            1..=4 => self.write(script, which),
            5 => {
                self.look();
            }
            6 | 7 => self.send(script),
            8 => self.make_other(script),
            _ => {
                let Some(ring) = self.rings.get_mut(which) else { return };
                ring.spoil(choice & 15, script);
            }
        }
    }

    fn make_ring(&mut self) {
        if self.rings.len() >= RINGS {
            return;
        }
        let path = self.path.join(format!("{}.ring", self.rings.len()));
        let mut page = vec![0; DATA_OFFSET];
        let mut put = |at: usize, word: &[u8]| page[at..at + word.len()].copy_from_slice(word);
        put(std::mem::offset_of!(Header, magic), &RING_MAGIC.to_ne_bytes());
        put(std::mem::offset_of!(Header, version), &logtap_wire::VERSION.to_ne_bytes());
        put(std::mem::offset_of!(Header, data_offset), &(DATA_OFFSET as u32).to_ne_bytes());
        put(std::mem::offset_of!(Header, lanes), &GEOMETRY.lanes.to_ne_bytes());
        put(std::mem::offset_of!(Header, lane_size), &GEOMETRY.lane_size.to_ne_bytes());
        let kinds = [StreamKind::Stdout, StreamKind::Stderr, StreamKind::File];
        for (slot, kind) in kinds.into_iter().enumerate() {
            let at = STREAMS_OFFSET + slot * size_of::<StreamSlot>();
            put(at, &(kind as u32).to_ne_bytes());
        }
        // Under another name first, as the library does.
        let temporary = self.path.join("new.tmp");
        let file = File::options().read(true).write(true).create_new(true).open(&temporary);
        let file = file.expect("a new file");
        // Held by a process, as long as this one has it open.
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockShared)
            .expect("a lock");
        let size = GEOMETRY.file_size();
        rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, size).expect("memory");
        file.write_all_at(&page, 0).expect("memory");
        fs::rename(&temporary, &path).expect("a ring");
        let heads = [0; GEOMETRY.lanes as usize];
        self.rings.push(Ring { path, file, heads, written: 0, spoilt: false });
    }

    /// As all writers do, on the page that they share.
    fn take_tickets(&mut self, count: u64) {
        self.ticket += count;
        let next = (self.ticket + 1).to_ne_bytes();
        let page = File::options().write(true).open(self.path.join(CONTROL_FILE)).expect("a page");
        page.write_all_at(&next, control::TICKET_OFFSET as u64).expect("memory");
    }

    fn write(&mut self, script: &mut Script<'_>, which: usize) {
        let lane = usize::from(script.byte()) % GEOMETRY.lanes as usize;
        let length = usize::from(script.byte());
        let flags = script.byte();
        let skip = u64::from(script.byte() / 128);
        self.take_tickets(1 + skip);
        let Some(ring) = self.rings.get_mut(which) else { return };
        let header = RecordHeader {
            length: length as u32,
            slot: (flags >> 4 & 3).min(2),
            flags: flags & FLAG_MORE,
            fragment: u16::from(flags >> 7),
            ticket: self.ticket,
            pid: u32::from(flags >> 2 & 3),
            ..RecordHeader::default()
        };
        ring.write(lane, &header);
    }

    /// A datagram: a frame, or something like it.
    fn send(&mut self, script: &mut Script<'_>) {
        let kind = script.byte();
        let path = script.bytes(usize::from(kind & 15));
        let length = usize::from(script.byte());
        let payload = script.bytes(length);
        self.take_tickets(1);
        let record = RecordHeader {
            length: payload.len() as u32,
            flags: kind >> 4 & (FLAG_MORE | FLAG_NOTE),
            ticket: if kind & 128 == 0 { self.ticket } else { script.long() },
            pid: 5,
            ..RecordHeader::default()
        };
        let kind = if path.is_empty() { StreamKind::Stdout } else { StreamKind::File };
        let frame = Frame { kind, pid_namespace: 0, record, path, payload };
        let mut bytes = frame.header().to_vec();
        bytes.extend_from_slice(path);
        bytes.extend_from_slice(payload);
        let spoil = script.byte();
        if spoil < 64 {
            let at = usize::from(script.byte()) % bytes.len();
            bytes[at] ^= spoil | 1;
        }
        let is_frame = Frame::parse(&bytes);
        let counts = is_frame.filter(|frame| frame.record.flags & FLAG_NOTE == 0);
        let counted = counts.map_or(0, |frame| frame.payload.len() as u64);
        // The queue may be full: then it is lost, and its sender knows.
        self.socket.set_nonblocking(true).expect("a socket");
        if self.socket.send_to(&bytes, self.path.join(SOCKET_FILE)).is_ok() {
            self.sent += counted;
        }
    }

    /// Something that is no ring under the name of one.
    fn make_other(&self, script: &mut Script<'_>) {
        let kind = script.byte();
        // Never one name for two kinds: whoever opens a FIFO to write into it waits.
        let named = |kind: u8| self.path.join(format!("other-{kind}.ring"));
        let path = named(kind & 31);
        match kind & 7 {
            0 => fs::create_dir(&path).unwrap_or_default(),
            1 => std::os::unix::fs::symlink("/etc/passwd", &path).unwrap_or_default(),
            2 => {
                let mode = Mode::from_raw_mode(0o600);
                rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::Fifo, mode, 0)
                    .unwrap_or_default();
            }
            3 => drop(UnixDatagram::bind(&path)),
            4 => fs::write(&path, script.bytes(512)).unwrap_or_default(),
            5 => {
                let file = File::create(&path).expect("a file");
                file.set_len(script.long() >> 1).unwrap_or_default();
            }
            6 => fs::remove_file(named(script.byte() & 31)).unwrap_or_default(),
            _ => {
                let from = usize::from(script.byte()) % RINGS;
                // A second name of a ring.
                fs::hard_link(self.path.join(format!("{from}.ring")), &path).unwrap_or_default();
            }
        }
    }
}

impl Ring {
    fn write(&mut self, lane: usize, header: &RecordHeader) {
        let size = size_of_record(header.length as usize) as u64;
        let mut word = [0; 8];
        let at = Geometry::lane_offset(lane as u32);
        let read = self.file.read_exact_at(&mut word, (at + TAIL_OFFSET) as u64);
        let tail = if read.is_ok() { u64::from_ne_bytes(word) } else { 0 };
        let head = self.heads[lane];
        let lane_size = u64::from(GEOMETRY.lane_size);
        if head.wrapping_sub(tail).saturating_add(size) > lane_size {
            return;
        }
        let mut bytes: Vec<u8> =
            header.to_words().iter().flat_map(|word| word.to_ne_bytes()).collect();
        let text = (0..header.length).map(|at| if at % 50 == 49 { b'\n' } else { b'x' });
        bytes.extend(text);
        bytes.resize(size as usize, 0);
        let data = GEOMETRY.data_offset(lane as u32);
        let first = (lane_size - head % lane_size).min(size) as usize;
        self.file.write_all_at(&bytes[..first], data + head % lane_size).unwrap_or_default();
        self.file.write_all_at(&bytes[first..], data).unwrap_or_default();
        self.heads[lane] += size;
        let word = (self.heads[lane] << 1).to_ne_bytes();
        self.file.write_all_at(&word, at as u64).unwrap_or_default();
        self.written += u64::from(header.length);
    }

    fn spoil(&mut self, how: u8, script: &mut Script<'_>) {
        self.spoilt = true;
        match how {
            9 => {
                let at = u64::from(script.word()) % GEOMETRY.file_size();
                let length = usize::from(script.byte() % 64);
                self.file.write_all_at(script.bytes(length), at).unwrap_or_default();
            }
            10 => self.file.set_len(u64::from(script.word() % (1 << 17))).unwrap_or_default(),
            11 => fs::remove_file(&self.path).unwrap_or_default(),
            12 => {
                fs::rename(&self.path, self.path.with_extension("moved.ring")).unwrap_or_default();
            }
            13 => {
                let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                let (from, length) = (u64::from(script.short()), u64::from(script.short()) + 1);
                rustix::fs::fallocate(&self.file, hole, from, length).unwrap_or_default();
            }
            14 => {
                let word = script.long().to_ne_bytes();
                let lane = u32::from(script.byte()) % GEOMETRY.lanes;
                self.file
                    .write_all_at(&word, Geometry::lane_offset(lane) as u64)
                    .unwrap_or_default();
            }
            _ => {
                // All its processes end.
                rustix::fs::flock(&self.file, rustix::fs::FlockOperation::Unlock).expect("a lock");
            }
        }
    }
}

/// A control page of any bytes: taken or refused, and never made larger.
pub fn control(data: &[u8]) {
    let scratch = Scratch::new();
    let path = scratch.0.join("tap");
    fs::create_dir(&path).expect("a directory");
    let mut script = Script::new(data);
    let choice = script.byte();
    let mut page = control::page(0o600, 1 << 20, 1).to_vec();
    for _ in 0..script.byte() % 8 {
        let at = usize::from(script.short()) % CONTROL_SIZE;
        let length = usize::from(script.byte() % 16);
        let bytes = script.bytes(length);
        let end = (at + bytes.len()).min(CONTROL_SIZE);
        page[at..end].copy_from_slice(&bytes[..end - at]);
    }
    page.resize(if choice & 1 == 0 { CONTROL_SIZE } else { usize::from(script.short()) }, 7);
    let file = path.join(CONTROL_FILE);
    fs::write(&file, &page).expect("memory");
    let valid = control::is_valid(&page) && page.len() == CONTROL_SIZE;
    let Ok(directory) = TapDirectory::create(&path, 0o700, 1 << 20) else {
        assert!(!valid, "a good page was refused");
        return;
    };
    assert!(valid, "a bad page was taken");
    directory.beat(7, 8).expect("a page");
    directory.recount_rings().expect("a page");
    directory.unringed_losses().expect("a page");
    let length = u64::from(script.short()) % (2 * CONTROL_SIZE as u64);
    File::options().write(true).open(&file).and_then(|file| file.set_len(length)).expect("memory");
    let beat = directory.beat(9, 10);
    assert_eq!(beat.is_ok(), length >= CONTROL_SIZE as u64);
    assert_eq!(fs::metadata(&file).expect("a page").len(), length, "it grew back");
    directory.remove().expect("a directory of ours");
}
