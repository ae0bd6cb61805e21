//! A tap directory: where it is, who may use it, who collects from it, and what its rings say.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use logtap_wire::{CONTROL_FILE, RING_ENDING, SOCKET_FILE, control, counters};
use rustix::fs::OFlags;
use serde::Serialize;

use crate::locks::Locks;
use crate::rights::Rights;
use crate::ring::{self, RingReport};
use crate::{DoctorError, Finding, memory, proc};

mod openness;

/// The file whose lock a collector holds.
const LOCK_FILE: &str = "collector.lock";
/// Most rings that are looked at.
const RING_LIMIT: usize = 4096;

/// What a tap directory is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TapReport {
    /// Its path, as it was asked for.
    #[serde(serialize_with = "crate::path_text::one")]
    pub path: PathBuf,
    /// Its file system.
    pub file_system: String,
    /// Permission bits, in octal.
    pub mode: String,
    /// Its owner.
    pub owner: u32,
    /// What the control page says.
    pub control: Option<ControlReport>,
    /// Whether the collector gave a sign of life within its lease.
    pub collector_alive: bool,
    /// The collector's process, where the machine tells us.
    pub collector_pid: Option<u32>,
    /// The words with which it was started.
    pub collector_command: Option<String>,
    /// Whether the socket of those who cannot make a ring is there.
    pub socket: bool,
    /// The rings: those with losses first, then those in use.
    pub rings: Vec<RingReport>,
    /// Rings beyond the limit, which were not looked at.
    pub rings_left_out: usize,
}

/// What a control page says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ControlReport {
    /// Bytes that all rings may take together.
    pub ring_cap: u64,
    /// Bytes that they take.
    pub ring_bytes: u64,
    /// Records written so far.
    pub records: u64,
    /// Records lost by writers without a ring.
    pub lost_records: u64,
    /// Their bytes.
    pub lost_bytes: u64,
    /// Milliseconds since the collector's last sign of life.
    pub sign_of_life_milliseconds_ago: Option<u64>,
}

/// Whether a directory is, or was, a tap directory.
pub fn is_tap(path: &Path) -> bool {
    path.join(CONTROL_FILE).is_file() && path.join(LOCK_FILE).exists()
        || path.join(CONTROL_FILE).is_file()
            && File::open(path.join(CONTROL_FILE)).is_ok_and(|file| {
                let mut start = [0; 16];
                file.read_exact_at(&mut start, 0).is_ok() && control::is_valid(&start)
            })
        || path.join(SOCKET_FILE).exists()
}

/// Looks at a tap directory for somebody who would write into it. `place` is where it is found, `shown` what
/// it is called (they differ for processes in containers).
pub fn check(
    place: &Path,
    shown: &Path,
    rights: &Rights,
) -> Result<(TapReport, Vec<Finding>), DoctorError> {
    check_rings(place, shown, rights, &|_| true)
}

/// The same, looking only at rings of certain names.
pub(crate) fn check_rings(
    place: &Path,
    shown: &Path,
    rights: &Rights,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<(TapReport, Vec<Finding>), DoctorError> {
    let unreadable = |source| DoctorError::Unreadable { path: shown.to_owned(), source };
    let metadata = fs::metadata(place).map_err(unreadable)?;
    if !metadata.is_dir() {
        return Err(unreadable(io::Error::from(io::ErrorKind::NotADirectory)));
    }
    let mut findings = Vec::new();
    let called = shown.display();
    let file_system = memory::file_system(place).unwrap_or_else(|| "unknown".to_owned());
    if !memory::is_memory(&file_system) {
        findings.push(
            Finding::problem(
                "not_memory",
                format!("`{called}` is on {file_system}, and rings live in memory (tmpfs) only"),
            )
            .remedy("take a directory under /dev/shm, or a volume of memory"),
        );
    }
    if !rights.allow(&metadata, 3) {
        let user = rights.user;
        findings.push(
            Finding::problem("no_rights", format!("user {user} may not make files in `{called}` (mode {:o}, owner {})", metadata.mode() & 0o7777, metadata.uid()))
                .remedy("let the collector make it for all users: `logtap collector --tap DIR` with a directory of mode 1777, or run both as one user"),
        );
    }
    let now = monotonic();
    let locks = Locks::read();
    let (control, lease) = control_page(place, shown, rights, now, &mut findings);
    let collector_pid = fs::symlink_metadata(place.join(LOCK_FILE))
        .ok()
        .and_then(|metadata| locks.holder(&metadata))
        .filter(|process| *process != 0);
    let (names, rings_left_out) = ring_names(place, wanted).map_err(unreadable)?;
    let namespace = proc::own_namespace();
    let mut rings = Vec::new();
    for name in names {
        match ring::read(&place.join(&name), &name, &locks, namespace, now) {
            Ok(ring) => rings.push(ring),
            // Rings go when they are drained.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => findings.push(bad_ring(&name, &error)),
        }
    }
    // What lost something first, then what is in use: a reader may not get to the end.
    rings.sort_by_key(|ring| {
        let lost = ring.streams.iter().any(|stream| stream.lost_records + stream.torn_records > 0);
        (!lost, ring.in_use == Some(false), ring.waiting_bytes == 0)
    });
    if rings_left_out > 0 {
        findings.push(Finding::warning(
            "many_rings",
            format!("{rings_left_out} more rings were not looked at"),
        ));
    }
    let report = TapReport {
        path: shown.to_owned(),
        file_system,
        mode: format!("{:04o}", metadata.mode() & 0o7777),
        owner: metadata.uid(),
        control,
        collector_alive: ring::is_fresh(lease, now),
        collector_command: collector_pid.and_then(proc::command_line),
        collector_pid,
        socket: place.join(SOCKET_FILE).exists(),
        rings,
        rings_left_out,
    };
    judge(&report, &mut findings);
    findings.extend(openness::of(place, shown));
    Ok((report, findings))
}

/// What the report means.
fn judge(report: &TapReport, findings: &mut Vec<Finding>) {
    let called = report.path.display();
    if !report.collector_alive {
        let waiting: u64 = report.rings.iter().map(|ring| ring.waiting_bytes).sum();
        let since = report
            .control
            .as_ref()
            .and_then(|control| control.sign_of_life_milliseconds_ago)
            .map_or_else(String::new, |ago| format!(", the last one {} s ago", ago / 1000));
        let finding = if report.collector_pid.is_some() {
            Finding::problem(
                "collector_stuck",
                format!("the collector of `{called}` gives no sign of life{since}"),
            )
            .remedy("look whether it is stopped; restart it: nothing in the rings is lost by that")
        } else {
            Finding::problem("no_collector", format!("no collector takes care of `{called}`{since}; {waiting} bytes wait in its rings"))
                .remedy(format!("start one: logtap collector --tap {called} --to URL"))
        };
        findings.push(finding);
    }
    if let Some(control) = &report.control {
        if !counters::can_be_true(control.lost_records, control.lost_bytes) {
            findings.push(corrupt("the control page's counters of losses", &called.to_string()));
        } else if control.lost_records > 0 {
            findings.push(
                Finding::problem("lost_without_ring", format!("{} records ({} bytes) were lost by processes without a ring", control.lost_records, control.lost_bytes))
                    .remedy("start the collector before the programs, and give them rights to the directory"),
            );
        }
        if control.ring_bytes >= control.ring_cap {
            findings.push(
                Finding::problem("cap_reached", format!("the rings take {} bytes of at most {}: further processes get none", control.ring_bytes, control.ring_cap))
                    .remedy("make rings smaller with `LLT_RING_SIZE`, or the cap larger where the collector starts"),
            );
        }
    }
    for ring in &report.rings {
        findings.extend(of_ring(ring));
    }
}

/// Counters that somebody else than the library has written.
fn corrupt(what: &str, place: &str) -> Finding {
    Finding::problem("corrupt_counters", format!("{what} in `{place}` cannot be true"))
        .remedy("somebody else writes there: let only the application's user and the collector write to the directory")
}

/// What one ring tells of losses.
pub(crate) fn of_ring(ring: &RingReport) -> Vec<Finding> {
    let who = format!("process {} (`{}`)", ring.pid, ring.executable);
    let mut findings = Vec::new();
    for stream in &ring.streams {
        let name = stream.name();
        let can_be_true = counters::can_be_true(stream.lost_records, stream.lost_bytes)
            && counters::can_be_true(stream.torn_records, stream.torn_bytes);
        if !can_be_true {
            findings.push(corrupt(&format!("{who}'s counters of `{name}`"), &ring.name));
            continue;
        }
        let no_room = stream.lost_bytes.saturating_sub(stream.uncopied_bytes);
        if stream.lost_records > 0 && (no_room > 0 || stream.uncopied_bytes == 0) {
            findings.push(
                Finding::problem(
                    "lost",
                    format!(
                        "{who} lost {} records ({} bytes) of `{name}`: its ring was full",
                        stream.lost_records, stream.lost_bytes
                    ),
                )
                .remedy("set `LLT_ON_FULL=wait:1000`, or a larger `LLT_RING_SIZE`"),
            );
        } else if stream.uncopied_bytes > 0 {
            findings.push(Finding::problem(
                "uncopied",
                format!(
                    "{who} wrote {} bytes of `{name}` in a way that cannot be copied (splice)",
                    stream.uncopied_bytes
                ),
            ));
        }
        if stream.torn_records > 0 {
            findings.push(Finding::problem(
                "torn",
                format!(
                    "{who} lost {} records of `{name}` whose writers died while they wrote",
                    stream.torn_records
                ),
            ));
        }
    }
    for words in &ring.seen {
        findings.push(Finding::warning("seen", format!("{who} {words}")));
    }
    findings
}

fn bad_ring(name: &str, error: &io::Error) -> Finding {
    if error.kind() == io::ErrorKind::PermissionDenied {
        Finding::warning("hidden_ring", format!("the ring `{name}` may not be read by this user"))
            .remedy("ask as its user, or as root")
    } else {
        Finding::problem("bad_ring", format!("`{name}` is not a good ring: {error}"))
            .remedy("the collector puts such files aside; remove it if no process uses it")
    }
}

/// The page's words and the collector's last sign of life.
fn control_page(
    place: &Path,
    shown: &Path,
    rights: &Rights,
    now: u64,
    findings: &mut Vec<Finding>,
) -> (Option<ControlReport>, u64) {
    let path = place.join(CONTROL_FILE);
    let called = shown.join(CONTROL_FILE);
    let called = called.display();
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let file = match File::options().read(true).custom_flags(flags).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // The library makes one where it may; that nobody collects is said elsewhere.
            return (None, 0);
        }
        Err(error) => {
            findings
                .push(Finding::problem("control_page", format!("cannot open `{called}`: {error}")));
            return (None, 0);
        }
    };
    let metadata = file.metadata().ok();
    let mut page = [0; control::CONTROL_SIZE];
    let whole = metadata.as_ref().is_some_and(fs::Metadata::is_file)
        && file.read_exact_at(&mut page, 0).is_ok();
    if !whole || !control::is_valid(&page) {
        findings.push(
            Finding::problem("control_page", format!("`{called}` is no control page of this version"))
                .remedy("library and collector must be of one version; remove the directory when no process uses it"),
        );
        return (None, 0);
    }
    if metadata.is_some_and(|metadata| !rights.allow(&metadata, 6)) {
        let user = rights.user;
        findings.push(
            Finding::problem("no_rights", format!("user {user} may not read and write `{called}`"))
                .remedy("run collector and program as one user, or make the directory usable by all (mode 1777) before the collector starts"),
        );
    }
    let long = |offset: usize| {
        page.get(offset..offset + 8)
            .and_then(|word| word.try_into().ok())
            .map_or(0, u64::from_ne_bytes)
    };
    let lease = long(control::LEASE_OFFSET);
    let ago = (lease != 0).then(|| now.saturating_sub(lease) / 1_000_000);
    let report = ControlReport {
        ring_cap: long(std::mem::offset_of!(control::ControlPage, ring_cap)),
        ring_bytes: long(control::RING_BYTES_OFFSET),
        records: long(control::TICKET_OFFSET).saturating_sub(1),
        lost_records: long(control::LOST_RECORDS_OFFSET),
        lost_bytes: long(control::LOST_BYTES_OFFSET),
        sign_of_life_milliseconds_ago: ago,
    };
    (Some(report), lease)
}

fn ring_names(place: &Path, wanted: &dyn Fn(&str) -> bool) -> io::Result<(Vec<String>, usize)> {
    let mut names = Vec::new();
    let mut left_out = 0;
    for entry in fs::read_dir(place)? {
        let Ok(name) = entry?.file_name().into_string() else { continue };
        if !name.ends_with(RING_ENDING) || !wanted(&name) {
            continue;
        }
        if names.len() < RING_LIMIT {
            names.push(name);
        } else {
            left_out += 1;
        }
    }
    names.sort_unstable();
    Ok((names, left_out))
}

fn monotonic() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000
        + u64::try_from(time.tv_nsec).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everybody() -> Rights {
        Rights { user: rustix::process::geteuid().as_raw(), groups: Vec::new() }
    }

    fn kinds(findings: &[Finding]) -> Vec<&'static str> {
        findings.iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_directory_without_a_collector_is_a_problem_and_one_on_disk_too() {
        let memory = tempfile::tempdir_in("/dev/shm").unwrap();
        let (report, findings) = check(memory.path(), memory.path(), &everybody()).unwrap();
        assert_eq!(kinds(&findings), ["no_collector"]);
        assert!(report.control.is_none() && !is_tap(memory.path()));
        let page = control::page(0o600, control::DEFAULT_RING_CAP, 1);
        fs::write(memory.path().join(CONTROL_FILE), page).unwrap();
        fs::write(memory.path().join("1-2-3-4.ring"), b"no ring").unwrap();
        let (report, findings) = check(memory.path(), memory.path(), &everybody()).unwrap();
        assert!(is_tap(memory.path()));
        assert_eq!(report.control.unwrap().ring_cap, control::DEFAULT_RING_CAP);
        assert_eq!(kinds(&findings), ["bad_ring", "no_collector"]);
        let disk = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let (_, findings) = check(disk.path(), disk.path(), &everybody()).unwrap();
        assert_eq!(kinds(&findings), ["not_memory", "no_collector"]);
    }

    #[test]
    fn rights_follow_the_mode_bits() {
        let directory = tempfile::tempdir_in("/dev/shm").unwrap();
        let metadata = fs::metadata(directory.path()).unwrap();
        let stranger = Rights { user: metadata.uid() + 1, groups: vec![metadata.gid() + 1] };
        assert!(!stranger.allow(&metadata, 3));
        assert!(Rights { user: 0, groups: Vec::new() }.allow(&metadata, 7));
        let (_, findings) = check(directory.path(), directory.path(), &stranger).unwrap();
        assert_eq!(kinds(&findings), ["no_rights", "no_collector"]);
    }
}
