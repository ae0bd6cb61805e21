//! `audit.jsonl`: who sent what and when, and what the receiver itself did.
//!
//! One JSON object a line, with the predecessor's keys (`timestamp`, `event`, `remote_ip`, `lines`,
//! `bytes`, `duration_ms`); unlike there, `duration_ms` is milliseconds, times are UTC, and refusals,
//! rotations and drops are told too. Text of lines is never in it. It is data to no reader and does not
//! count against the capture's disk cap; it has one of its own, kept by giving up the older half.
//! Writing it is never a reason to refuse a push: what could not be written is counted, and the next
//! record that can be says how many are missing.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use logtap_capture::Timestamp;
use serde::Serialize;

/// Name of the trail in a capture directory.
const NAME: &str = "audit.jsonl";
/// What the older half is called: a name that no reader of captures takes for data.
const OLDER: &str = "audit.jsonl.old";
/// The cap of both halves, unless told otherwise: 64 MiB.
pub const DEFAULT_AUDIT_CAP: u64 = 64 << 20;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditEvent {
    /// The receiver began.
    ServerStarted,
    /// Lines came by Loki's API.
    LokiPushReceived,
    /// Lines came by any other way.
    RawPushReceived,
    /// A push was answered with an error; `status` says which.
    PushRefused,
    /// A segment was closed and another begun.
    Rotation,
    /// Stored or arriving lines were given up; `lines` says how many.
    LinesDropped,
    /// The capture has nearly reached its cap.
    DiskWarning,
    /// Something failed; `detail` says what.
    Error,
    /// A rule of the user's became true; `detail` says which.
    Alert,
    /// The receiver ended.
    ServerStopped,
}

/// One line of the trail.
#[derive(Clone, Debug, Serialize)]
pub struct AuditRecord {
    timestamp: String,
    event: AuditEvent,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_ip: Option<IpAddr>,
    #[serde(skip_serializing_if = "is_zero")]
    lines: u64,
    #[serde(skip_serializing_if = "is_zero")]
    bytes: u64,
    #[serde(skip_serializing_if = "is_nothing")]
    duration_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    streams: BTreeMap<String, u64>,
    /// Records before this one that could not be written.
    #[serde(skip_serializing_if = "is_zero")]
    missing: u64,
}

impl AuditRecord {
    /// Something that happened now.
    pub fn new(event: AuditEvent) -> Self {
        Self {
            timestamp: Timestamp::now().to_string(),
            event,
            remote_ip: None,
            lines: 0,
            bytes: 0,
            duration_ms: 0.0,
            status: None,
            detail: None,
            streams: BTreeMap::new(),
            missing: 0,
        }
    }

    /// From whom.
    #[must_use]
    pub fn from(mut self, remote: Option<IpAddr>) -> Self {
        self.remote_ip = remote;
        self
    }

    /// How many lines, with how many bytes.
    #[must_use]
    pub fn lines(mut self, lines: u64, bytes: u64) -> Self {
        (self.lines, self.bytes) = (lines, bytes);
        self
    }

    /// How long it took, kept to the microsecond.
    #[must_use]
    pub fn took(mut self, duration: Duration) -> Self {
        self.duration_ms = duration.as_micros() as f64 / 1000.0;
        self
    }

    /// What was answered.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// How many of the lines by stream.
    #[must_use]
    pub fn streams(mut self, streams: BTreeMap<String, u64>) -> Self {
        self.streams = streams;
        self
    }

    /// In words.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

/// The trail of a capture, from any thread.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    older: PathBuf,
    /// The cap of one half.
    half: u64,
    /// Records that were not even tried, and of which no record tells yet.
    missed: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: File,
    length: u64,
    missing: u64,
    unwritten: u64,
}

impl Audit {
    /// Opens the trail of a capture directory, or begins it. `cap` is in bytes, for both halves.
    pub fn open(directory: &Path, cap: u64) -> io::Result<Self> {
        let path = directory.join(NAME);
        let file = open(&path)?;
        let length = file.metadata()?.len();
        let state = State { file, length, missing: 0, unwritten: 0 };
        let older = directory.join(OLDER);
        Ok(Self {
            path,
            older,
            half: (cap / 2).max(1),
            missed: AtomicU64::new(0),
            state: Mutex::new(state),
        })
    }

    /// Adds a record.
    pub fn record(&self, mut record: AuditRecord) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let missed = self.missed.swap(0, Ordering::Relaxed);
        state.missing += missed;
        state.unwritten += missed;
        record.missing = state.missing;
        let mut line = serde_json::to_vec(&record).unwrap_or_default();
        line.push(b'\n');
        match self.write(&mut state, &line) {
            Ok(()) => state.missing = 0,
            Err(_) => {
                // What is left of a torn line must not be glued to the next one.
                drop(state.file.set_len(state.length));
                state.missing += 1;
                state.unwritten += 1;
            }
        }
    }

    /// Counts a record that was not even tried, because too many wait already. Never waits for the disk.
    pub(crate) fn miss(&self) {
        self.missed.fetch_add(1, Ordering::Relaxed);
    }

    /// Records that could not be written, since it was opened.
    pub fn unwritten(&self) -> u64 {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.unwritten + self.missed.load(Ordering::Relaxed)
    }

    fn write(&self, state: &mut State, line: &[u8]) -> io::Result<()> {
        if state.length > 0 && state.length + line.len() as u64 > self.half {
            fs::rename(&self.path, &self.older)?;
            state.file = open(&self.path)?;
            state.length = 0;
        }
        state.file.write_all(line)?;
        state.length += line.len() as u64;
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_nothing(milliseconds: &f64) -> bool {
    *milliseconds == 0.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn read(path: &Path) -> Vec<serde_json::Value> {
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn tells_a_push_in_the_predecessors_keys() {
        let directory = tempfile::tempdir().unwrap();
        let audit = Audit::open(directory.path(), DEFAULT_AUDIT_CAP).unwrap();
        audit.record(AuditRecord::new(AuditEvent::ServerStarted));
        audit.record(
            AuditRecord::new(AuditEvent::LokiPushReceived)
                .from(Some("::1".parse().unwrap()))
                .lines(3, 42)
                .took(Duration::from_micros(1500)),
        );
        let path = directory.path().join(NAME);
        let records = read(&path);
        assert_eq!(records[0]["event"], "server_started");
        assert_eq!(records[0].as_object().unwrap().len(), 2);
        let push = &records[1];
        assert!(push["timestamp"].as_str().unwrap().ends_with('Z'));
        assert_eq!(push["remote_ip"], "::1");
        assert_eq!((&push["lines"], &push["bytes"]), (&3.into(), &42.into()));
        assert_eq!(push["duration_ms"], 1.5);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn keeps_to_its_cap_by_giving_up_the_older_half() {
        let directory = tempfile::tempdir().unwrap();
        let cap = 4096;
        let audit = Audit::open(directory.path(), cap).unwrap();
        for number in 0..200 {
            audit.record(AuditRecord::new(AuditEvent::Rotation).lines(number + 1, 0));
        }
        let (path, older) = (directory.path().join(NAME), directory.path().join(OLDER));
        let size = |path: &Path| fs::metadata(path).unwrap().len();
        assert!(size(&path) + size(&older) <= cap);
        let mut all = read(&older);
        all.extend(read(&path));
        let numbers: Vec<_> = all.iter().map(|record| record["lines"].as_u64().unwrap()).collect();
        // The newest, without a hole.
        assert_eq!(*numbers.last().unwrap(), 200);
        assert!(numbers.is_sorted_by(|one, next| one + 1 == *next), "{numbers:?}");
    }

    #[test]
    fn continues_and_says_what_is_missing() {
        let directory = tempfile::tempdir().unwrap();
        Audit::open(directory.path(), 8192).unwrap().record(AuditRecord::new(AuditEvent::Alert));
        let audit = Audit::open(directory.path(), 8192).unwrap();
        // A descriptor that cannot be written stands for a full disk.
        let path = directory.path().join(NAME);
        let refused = File::open(&path).unwrap();
        let good = std::mem::replace(&mut audit.state.lock().unwrap().file, refused);
        audit.record(AuditRecord::new(AuditEvent::Error));
        audit.record(AuditRecord::new(AuditEvent::Error));
        audit.state.lock().unwrap().file = good;
        audit.record(AuditRecord::new(AuditEvent::ServerStopped));
        let records = read(&path);
        assert_eq!(records.len(), 2);
        assert_eq!(records[1]["missing"], 2);
        assert_eq!(audit.unwritten(), 2);
    }
}
