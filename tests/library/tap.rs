//! A tap directory without a collector, and what the rings in it hold. Reads files, maps nothing.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;

use logtap_wire::control;
use logtap_wire::identity::{Identity, Recognise, Streams};
use logtap_wire::record::{FLAG_NOTE, RecordHeader, Records};
use logtap_wire::ring::lane::Seen;
use logtap_wire::ring::{
    ARENA_OFFSET, DATA_OFFSET, Geometry, OWNER_OFFSET, PENDING_OFFSET, Pending, RingInfo,
    STREAMS_OFFSET, SlotInfo, TAIL_OFFSET,
};
use rustix::fs::{AtFlags, StatxFlags, statx};

/// A record and the stream that it belongs to.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) header: RecordHeader,
    pub(super) payload: Vec<u8>,
}

/// What all rings of a directory hold.
#[derive(Debug, Default)]
pub(super) struct Drained {
    /// In the order of their tickets, without the library's own notes.
    pub(super) records: Vec<Record>,
    /// Lanes that somebody holds.
    pub(super) held: usize,
    /// Those of them whose holder has said who it is. Killed an instruction earlier it has not, and nobody takes the lane back.
    pub(super) held_by_name: usize,
    /// Records that the writers counted as lost.
    pub(super) lost: u64,
}

/// A tap directory in memory, gone with the value.
pub(super) struct Tap {
    directory: tempfile::TempDir,
    library: PathBuf,
}

impl Tap {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir_in("/dev/shm").expect("a directory in /dev/shm");
        let library = logtap_embedded::install(directory.path()).expect("the library installed");
        let page = control::page(0o600, control::DEFAULT_RING_CAP, 0);
        fs::write(directory.path().join(logtap_wire::CONTROL_FILE), page).expect("a control page");
        Self { directory, library }
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A command that is preloaded and whose stdout is the given pipe.
    pub(super) fn command(&self, program: &Path, stdout: &OwnedFd) -> Command {
        let streams = Streams { stdout: identity(stdout), stderr: Recognise::Never };
        let mut command = Command::new(program);
        command
            .env("LD_PRELOAD", &self.library)
            .env("LLT_TARGET", format!("tap:{}", self.path().display()))
            .env("LLT_TAP_INTO", "1")
            .env("LLT_STREAMS", streams.to_string())
            .stdout(stdout.try_clone().expect("a duplicate"));
        command
    }

    /// Takes what the rings hold now, from their tails on, as a collector without memory would see it.
    pub(super) fn read(&self) -> Drained {
        let mut drained = Drained::default();
        for entry in fs::read_dir(self.path()).expect("the directory") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|ending| ending == "ring") {
                read_ring(&fs::read(&path).expect("a ring"), &mut drained);
            }
        }
        drained.records.retain(|record| record.header.flags & FLAG_NOTE == 0);
        drained.records.sort_by_key(|record| (record.header.ticket, record.header.fragment));
        drained
    }
}

/// A pipe that no other test's program inherits: its reading and its writing end.
pub(super) fn pipe() -> (OwnedFd, OwnedFd) {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("a pipe")
}

/// A pipe that takes all that a program writes.
pub(super) fn roomy_pipe() -> (OwnedFd, OwnedFd) {
    let pipe = pipe();
    rustix::pipe::fcntl_setpipe_size(&pipe.1, 256 << 10).expect("a larger pipe");
    pipe
}

/// How a stream that is this descriptor's is recognised.
pub(super) fn identity(descriptor: impl AsFd) -> Recognise {
    let flags = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    let status = statx(descriptor, "", AtFlags::EMPTY_PATH, flags).expect("the pipe's identity");
    Recognise::Object(Identity {
        major: status.stx_dev_major,
        minor: status.stx_dev_minor,
        inode: status.stx_ino,
        birth: 0,
    })
}

fn read_ring(bytes: &[u8], drained: &mut Drained) {
    let info = RingInfo::parse(bytes, bytes.len() as u64).expect("a ring of this version");
    let long = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    let lane_size = u64::from(info.geometry.lane_size);
    for lane in 0..info.geometry.lanes {
        let at = Geometry::lane_offset(lane);
        let word = Seen::from_raw(long(at));
        drained.held += usize::from(word.is_locked());
        let has_said = Pending::from_word(long(at + PENDING_OFFSET)).is_at(word.head());
        let has_name = bytes[at + OWNER_OFFSET..][..4] != [0; 4];
        drained.held_by_name += usize::from(word.is_locked() && has_said && has_name);
        let data = &bytes[info.geometry.data_offset(lane) as usize..][..lane_size as usize];
        let copy: Vec<u8> = (long(at + TAIL_OFFSET)..word.head())
            .map(|position| data[(position % lane_size) as usize])
            .collect();
        for record in Records::new(&copy) {
            let (header, payload) = record.expect("every record up to the head is complete");
            drained.records.push(Record { header, payload: payload.to_vec() });
        }
    }
    let table = &bytes[STREAMS_OFFSET..ARENA_OFFSET];
    assert!(bytes.len() > DATA_OFFSET);
    for slot in 0..logtap_wire::ring::MAX_STREAMS {
        drained.lost += SlotInfo::parse(table, slot).map_or(0, |slot| slot.lost_records);
    }
}
