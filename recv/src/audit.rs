//! `audit.jsonl`: who sent what and when, and what the receiver itself did.
//!
//! One JSON object a line, with the predecessor's keys (`timestamp`, `event`, `remote_ip`, `lines`,
//! `bytes`, `duration_ms`); unlike there, `duration_ms` is milliseconds, times are UTC, and refusals,
//! rotations and drops are told too. Text of lines is never in it. It is data to no reader and does not
//! count against the capture's disk cap; it has one of its own, kept by giving up the older half.
//! Writing it is never a reason to refuse a push: what could not be written is counted, and the next
//! record that can be says how many are missing. Losses are told until they are told: what could not be
//! written, or what a killed receiver had no time for, comes later.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use logtap_capture::{Losses, Timestamp, open_regular};
use serde::Serialize;

pub use crate::told::Loss;
use crate::told::{Sum, Told};

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
    /// How many were given up before this line of the trail: what counts in place of all that is before it.
    LossesBefore,
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
    loss: Option<Loss>,
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
            loss: None,
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

    /// How many lines were lost, and how.
    fn lost(mut self, loss: Loss, sum: Sum) -> Self {
        self.loss = Some(loss);
        self.lines = sum.lines;
        self.streams = sum.streams;
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
    /// The losses that are in `file`.
    told: Told,
}

impl Audit {
    /// Opens the trail of a capture directory, or begins it. `cap` is in bytes, for both halves.
    pub fn open(directory: &Path, cap: u64) -> io::Result<Self> {
        let path = directory.join(NAME);
        let mut file = open(&path)?;
        let told = Told::read(BufReader::new(&file))?;
        let mut length = file.metadata()?.len();
        if length > 0 && last_byte(&mut file)? != b'\n' {
            // What a kill or a full disk has torn must not be glued to the next record.
            file.write_all(b"\n")?;
            length += 1;
        }
        let state = State { file, length, missing: 0, unwritten: 0, told };
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
    pub fn record(&self, record: AuditRecord) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let missed = self.missed.swap(0, Ordering::Relaxed);
        state.missing += missed;
        state.unwritten += missed;
        if !self.put(&mut state, record) {
            state.missing += 1;
            state.unwritten += 1;
        }
    }

    /// Tells of what was lost before a receiver begins, and was not told then.
    pub fn tell_earlier_losses(&self, losses: &Losses) {
        self.tell_losses(losses, |_, _| "lost before this start, and not told then".to_owned());
    }

    /// Tells of what was lost and is not told yet; `detail` says why so many were. What cannot be written
    /// now is told the next time.
    pub(crate) fn tell_losses(&self, losses: &Losses, detail: impl Fn(Loss, u64) -> String) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for loss in Loss::ALL {
            let event = if state.told.is_too_much(loss, losses) {
                AuditEvent::LossesBefore
            } else {
                AuditEvent::LinesDropped
            };
            let sum = match event {
                // The capture is another one than the trail has told of.
                AuditEvent::LossesBefore => Sum::of(loss, losses),
                _ => match state.told.untold(loss, losses) {
                    Some(sum) => sum,
                    None => continue,
                },
            };
            let record = AuditRecord::new(event).detail(detail(loss, sum.lines));
            let sum = self.short(sum);
            if self.put(&mut state, record.lost(loss, sum.clone())) {
                match event {
                    AuditEvent::LossesBefore => state.told.set(loss, sum),
                    _ => state.told.add(loss, sum),
                }
            }
        }
    }

    /// The same sum, without names of streams if these would take more than a part of the trail.
    fn short(&self, sum: Sum) -> Sum {
        let listed: u64 = sum.streams.keys().map(|name| 2 * name.len() as u64 + 32).sum();
        if listed > self.half / 4 { sum.condensed() } else { sum }
    }

    /// Writes a record; whether that worked.
    fn put(&self, state: &mut State, mut record: AuditRecord) -> bool {
        record.missing = state.missing;
        let line = render(&record);
        let written = self.write(state, &line).is_ok();
        if written {
            state.missing = 0;
        } else {
            // What is left of a torn line must not be glued to the next one.
            drop(state.file.set_len(state.length));
        }
        written
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

    /// Says in an empty file what was told in those before it.
    fn begin_half(&self, state: &mut State) -> io::Result<()> {
        let told = std::mem::take(&mut state.told);
        for loss in Loss::ALL {
            let sum = told.sum(loss);
            if sum.lines > 0 {
                let sum = self.short(sum.clone());
                let record = AuditRecord::new(AuditEvent::LossesBefore).lost(loss, sum.clone());
                let line = render(&record.detail("what was lost before this file began"));
                state.file.write_all(&line)?;
                state.length += line.len() as u64;
                state.told.set(loss, sum);
            }
        }
        Ok(())
    }

    fn write(&self, state: &mut State, line: &[u8]) -> io::Result<()> {
        if state.length > 0 && state.length + line.len() as u64 > self.half {
            fs::rename(&self.path, &self.older)?;
            state.file = open(&self.path)?;
            state.length = 0;
            self.begin_half(state)?;
        }
        state.file.write_all(line)?;
        state.length += line.len() as u64;
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    open_regular(OpenOptions::new().read(true).append(true).create(true), path)
}

fn last_byte(file: &mut File) -> io::Result<u8> {
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last[0])
}

fn render(record: &AuditRecord) -> Vec<u8> {
    let mut line = serde_json::to_vec(record).unwrap_or_default();
    line.push(b'\n');
    line
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

    /// What is lost over a capture's life, by stream.
    fn losses(streams: &[(&str, u64)]) -> Losses {
        let mut losses = Losses::default();
        let streams: BTreeMap<_, _> =
            streams.iter().map(|(name, lines)| ((*name).to_owned(), *lines)).collect();
        losses.removed.lines = streams.values().sum();
        losses.removed_streams = streams.into();
        losses
    }

    fn tell(audit: &Audit, losses: &Losses) {
        audit.tell_losses(losses, |_, lines| format!("{lines} lines"));
    }

    /// What a file of the trail says was lost, in sum.
    fn told(path: &Path) -> Sum {
        Told::read(BufReader::new(File::open(path).unwrap())).unwrap().sum(Loss::Removed).clone()
    }

    #[test]
    fn losses_are_told_once_also_by_the_next_receiver_and_behind_a_torn_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(NAME);
        let audit = Audit::open(directory.path(), DEFAULT_AUDIT_CAP).unwrap();
        tell(&audit, &losses(&[]));
        tell(&audit, &losses(&[("{a=\"1\"}", 3)]));
        tell(&audit, &losses(&[("{a=\"1\"}", 3)]));
        // Killed with a record half written.
        let mut text = fs::read(&path).unwrap();
        text.extend_from_slice(b"{\"event\":\"lines_drop");
        fs::write(&path, text).unwrap();
        let all = losses(&[("{a=\"1\"}", 5), ("{b=\"1\"}", 1)]);
        for _ in 0..2 {
            tell(&Audit::open(directory.path(), DEFAULT_AUDIT_CAP).unwrap(), &all);
        }
        assert_eq!(told(&path), Sum::of(Loss::Removed, &all));
        let text = fs::read_to_string(&path).unwrap();
        let records: Vec<serde_json::Value> =
            text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        assert_eq!(records.len(), 2, "{text}");
        assert_eq!(records[1]["lines"], 3);
        assert_eq!(records[1]["streams"], serde_json::json!({"{a=\"1\"}": 2, "{b=\"1\"}": 1}));
        assert_eq!(
            (&records[1]["loss"], &records[1]["detail"]),
            (&"removed".into(), &"3 lines".into())
        );
        // Another capture in the same place begins anew.
        let other = losses(&[("{c=\"1\"}", 2)]);
        let audit = Audit::open(directory.path(), DEFAULT_AUDIT_CAP).unwrap();
        tell(&audit, &other);
        tell(&audit, &other);
        assert_eq!(told(&path), Sum::of(Loss::Removed, &other));
    }

    #[test]
    fn each_half_says_by_itself_what_was_lost_and_none_is_too_large() {
        let directory = tempfile::tempdir().unwrap();
        let (path, older) = (directory.path().join(NAME), directory.path().join(OLDER));
        let cap = 16_384;
        let audit = Audit::open(directory.path(), cap).unwrap();
        let mut all = losses(&[]);
        for number in 0..200 {
            let name = format!("{{pod=\"{}\"}}", number % 20);
            let mut streams: BTreeMap<String, u64> =
                all.removed_streams.iter().map(|(name, lines)| (name.to_owned(), lines)).collect();
            *streams.entry(name).or_default() += 1;
            all.removed.lines += 1;
            all.removed_streams = streams.into();
            tell(&audit, &all);
            assert_eq!(told(&path), Sum::of(Loss::Removed, &all), "{number}");
        }
        assert!(fs::metadata(&path).unwrap().len() + fs::metadata(&older).unwrap().len() <= cap);
        // A file that cannot be written now is told of later.
        let refused = File::open(&path).unwrap();
        let good = std::mem::replace(&mut audit.state.lock().unwrap().file, refused);
        all.removed.lines += 1;
        all.removed_streams.add_unnamed(1);
        tell(&audit, &all);
        audit.state.lock().unwrap().file = good;
        tell(&audit, &all);
        assert_eq!(told(&path), Sum::of(Loss::Removed, &all));
        assert_eq!(audit.unwritten(), 0);
    }
}
