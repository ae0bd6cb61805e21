//! Looks at a store once a second and tells who wants to know: the audit trail, webhooks, alert rules.
//!
//! What is worth telling follows from two looks, by `changes`. The store knows nothing of this and
//! never waits for it. It is also what gives the store its tick.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use logtap_capture::Timestamp;

use crate::audit::{Audit, AuditEvent, AuditRecord, Loss};
use crate::notices::Notices;
use crate::notify::alert::{Numbers, Rule, newly_true, value};
use crate::notify::webhook::{Deliveries, Webhooks};
use crate::notify::{EventKind, Notice, Stats};
use crate::store::Store;

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// How long the last notices may take.
const LAST_NOTICES: Duration = Duration::from_secs(10);
/// A warning comes at this part of the cap, in percent, and again after it was below the other.
const WARN_AT: u64 = 90;
const CALM_BELOW: u64 = 80;

/// Who is told.
#[derive(Debug)]
pub struct Observers {
    /// The trail in the capture directory.
    pub audit: Arc<Audit>,
    /// Addresses that are notified.
    pub webhooks: Option<Webhooks>,
    /// When they are to be alerted.
    pub rules: Vec<Rule>,
    /// Who is told what a person should know.
    pub notices: Option<mpsc::Sender<String>>,
}

/// A running look-out.
#[derive(Debug)]
pub struct Watch {
    /// owner --end--> the thread
    stop_tx: mpsc::Sender<()>,
    thread: JoinHandle<Observers>,
    store: Arc<Store>,
}

/// How a store stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Standing {
    stats: Stats,
    rotations_by_size: u64,
    rotations_by_age: u64,
    /// Lines dropped for want of room.
    dropped: u64,
    /// Lines of older segments that went for want of room.
    removed: u64,
    failures: u64,
    rotation_failures: u64,
    sync_failures: u64,
}

const NOT_STORED: &str = "batches could not be stored";
const NOT_CLOSED: &str = "files could not be closed, indexed or compressed";
const NOT_SYNCED: &str = "files could not be written through to the disk";

/// What was told already.
struct Known {
    /// Lines that were lost where nobody is answered.
    unanswered: u64,
    told_of_removal: bool,
    notices: Notices,
}

/// Something worth telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Rotated(&'static str, u64),
    Dropped(u64),
    Removed(u64),
    /// What fails, how often, and what can be done about it.
    Failed(&'static str, u64, &'static str),
    DiskWarning,
}

impl Watch {
    /// Tells that the receiver takes pushes now, and begins to look. The cap is in bytes.
    pub fn start(
        store: Arc<Store>,
        disk_cap: Option<u64>,
        observers: Observers,
    ) -> std::io::Result<Self> {
        let (stop_tx, stop_rx) = mpsc::channel();
        let watched = Arc::clone(&store);
        observers.notify(EventKind::Start, |notice| notice.dir = Some(name(&store)));
        let thread = thread::Builder::new().name("watch".to_owned()).spawn(move || {
            look(&watched, disk_cap.unwrap_or(0), &observers, &stop_rx);
            observers
        })?;
        Ok(Self { stop_tx, thread, store })
    }

    /// After the store is closed: tells everybody that it has ended, and waits a bounded time until
    /// they know. `None` where no webhook was asked for.
    pub fn stop(self, disk_cap: Option<u64>) -> Option<Deliveries> {
        drop(self.stop_tx);
        let Ok(observers) = self.thread.join() else {
            tracing::error!("the watch thread panicked");
            return None;
        };
        let stats = standing(&self.store, disk_cap.unwrap_or(0)).stats;
        let mut record = AuditRecord::new(AuditEvent::ServerStopped)
            .lines(stats.lines_written, stats.bytes_written);
        let redactions = self.store.redactions().into_iter().filter(|(_, count)| *count > 0);
        let redactions: Vec<_> =
            redactions.map(|(name, count)| format!("{name} {count}")).collect();
        if !redactions.is_empty() {
            record = record.detail(format!("redacted: {}", redactions.join(", ")));
        }
        observers.audit.record(record);
        observers.notify(EventKind::Stop, |notice| {
            notice.dir = Some(name(&self.store));
            notice.stats = Some(stats);
        });
        observers.webhooks.map(|webhooks| webhooks.finish(LAST_NOTICES))
    }
}

impl Observers {
    fn notify(&self, event: EventKind, fill: impl FnOnce(&mut Notice)) {
        if let Some(webhooks) = &self.webhooks {
            let mut notice = Notice::new(event, Timestamp::now().to_string());
            fill(&mut notice);
            webhooks.send(&notice);
        }
    }

    fn tell(&self, change: Change, standing: &Standing, known: &mut Known, store: &Store) {
        match change {
            Change::Rotated(reason, times) => {
                for _ in 0..times {
                    self.audit.record(AuditRecord::new(AuditEvent::Rotation).detail(reason));
                    self.notify(EventKind::Rotation, |notice| {
                        notice.detail = Some(reason.to_owned());
                    });
                }
            }
            Change::Dropped(lines) => {
                known.notices.give("dropped", || {
                    format!(
                        "disk limit reached: dropped {lines} new lines, as --on-full says; raise --max-disk, \
                         free some space, or let senders wait with --on-full reject"
                    )
                });
            }
            Change::Removed(lines) => {
                if !std::mem::replace(&mut known.told_of_removal, true) {
                    known.notices.give("removed", || {
                        format!(
                            "disk limit reached: deleted the oldest files ({lines} lines so far); raise \
                             --max-disk to keep more, or see --on-full"
                        )
                    });
                }
            }
            Change::Failed(what, times, remedy) => {
                let detail = format!("{what}, {times} times");
                self.audit.record(AuditRecord::new(AuditEvent::Error).detail(detail.as_str()));
                known.notices.give(what, || format!("{detail}; {remedy}"));
                self.notify(EventKind::Error, |notice| {
                    notice.dir = Some(name(store));
                    notice.detail = Some(detail);
                });
            }
            Change::DiskWarning => {
                let Stats { disk_usage, disk_cap, .. } = standing.stats;
                let detail = format!("{disk_usage} of {disk_cap} bytes are used");
                self.audit.record(AuditRecord::new(AuditEvent::DiskWarning).detail(detail));
                self.notify(EventKind::DiskWarning, |notice| {
                    notice.dir = Some(name(store));
                    notice.stats = Some(standing.stats);
                });
            }
        }
    }

    fn alert(&self, rule: &Rule, numbers: &Numbers) {
        let value = value(rule.metric, numbers);
        let detail = format!("{}: {} is {value}", rule.name, rule.metric.name());
        self.audit.record(AuditRecord::new(AuditEvent::Alert).detail(detail));
        self.notify(EventKind::Alert, |notice| {
            notice.detail = Some(rule.detail.clone());
            notice.rule = Some(rule.name.clone());
            notice.metric = Some(rule.metric.name());
            notice.value = Some(value);
            notice.threshold = Some(rule.threshold);
        });
    }
}

/// Why lines were dropped of which so many came where nobody is answered.
fn why_dropped(lines: u64, unanswered: u64) -> String {
    let no_room = "there was no room for them";
    let unasked = "they came where nobody can be asked to send again";
    match (unanswered, lines.saturating_sub(unanswered)) {
        (0, _) => no_room.to_owned(),
        (_, 0) => unasked.to_owned(),
        (unanswered, rest) => format!("{no_room} ({rest}), or {unasked} ({unanswered})"),
    }
}

fn look(store: &Store, cap: u64, observers: &Observers, stop_rx: &mpsc::Receiver<()>) {
    // What has happened since the store was opened is told, also what was before this first look.
    let mut before = Standing::default();
    let (mut warned, mut was_true) = (false, Vec::new());
    let mut known = Known {
        unanswered: 0,
        told_of_removal: false,
        notices: Notices::new(observers.notices.clone()),
    };
    loop {
        let is_last = stop_rx.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout);
        if let Err(error) = store.tick() {
            observers.audit.record(AuditRecord::new(AuditEvent::Error).detail(error.to_string()));
            known.notices.give("tick", || match error.remedy() {
                Some(remedy) => format!("{error}; {remedy}"),
                None => error.to_string(),
            });
        }
        let now = standing(store, cap);
        let losses = store.losses();
        let unanswered = store.counts().lost;
        let newly_unanswered =
            unanswered.saturating_sub(std::mem::replace(&mut known.unanswered, unanswered));
        observers.audit.tell_losses(&losses, |loss, lines| match loss {
            Loss::Removed => "disk limit reached: deleted the oldest files".to_owned(),
            Loss::Dropped => why_dropped(lines, newly_unanswered),
        });
        for change in changes(&before, &now, &mut warned) {
            observers.tell(change, &now, &mut known, store);
        }
        let numbers = Numbers {
            dropped: now.stats.lines_dropped,
            received: now.stats.lines_written,
            dropped_now: now.stats.lines_dropped.saturating_sub(before.stats.lines_dropped),
            disk_usage: now.stats.disk_usage,
            disk_cap: cap,
        };
        for rule in newly_true(&observers.rules, &mut was_true, &numbers) {
            observers.alert(rule, &numbers);
        }
        before = now;
        if is_last {
            return;
        }
    }
}

/// What happened between two looks. `warned` remembers whether the disk was nearly full.
fn changes(before: &Standing, now: &Standing, warned: &mut bool) -> Vec<Change> {
    let since = |now: u64, before: u64| Some(now.saturating_sub(before)).filter(|more| *more > 0);
    let mut changes = Vec::new();
    let grown = |now, before, change: fn(u64) -> Change| since(now, before).map(change);
    changes.extend(grown(now.rotations_by_size, before.rotations_by_size, |times| {
        Change::Rotated("size", times)
    }));
    changes.extend(grown(now.rotations_by_age, before.rotations_by_age, |times| {
        Change::Rotated("age", times)
    }));
    changes.extend(grown(now.dropped, before.dropped, Change::Dropped));
    changes.extend(grown(now.removed, before.removed, Change::Removed));
    changes.extend(grown(now.failures, before.failures, |times| {
        Change::Failed(NOT_STORED, times, "senders keep them and were told why")
    }));
    changes.extend(grown(now.rotation_failures, before.rotation_failures, |times| {
        let remedy = "nothing is lost and it is tried again; look at the room and the rights in the \
                      directory of the capture, and at the system's log";
        Change::Failed(NOT_CLOSED, times, remedy)
    }));
    changes.extend(grown(now.sync_failures, before.sync_failures, |times| {
        let remedy =
            "what a power cut can take is more than --fsync says; look at the system's log";
        Change::Failed(NOT_SYNCED, times, remedy)
    }));
    let Stats { disk_usage, disk_cap, .. } = now.stats;
    let reaches = |percent: u64| disk_cap > 0 && disk_usage >= disk_cap / 100 * percent;
    if reaches(WARN_AT) && !*warned {
        changes.push(Change::DiskWarning);
        *warned = true;
    } else if !reaches(CALM_BELOW) {
        *warned = false;
    }
    changes
}

fn standing(store: &Store, cap: u64) -> Standing {
    let (counts, status) = (store.counts(), store.status());
    Standing {
        stats: Stats {
            lines_written: counts.lines,
            bytes_written: counts.bytes,
            lines_dropped: counts.dropped + counts.lost,
            disk_usage: status.disk_bytes,
            disk_cap: cap,
        },
        rotations_by_size: status.rotations_by_size,
        rotations_by_age: status.rotations_by_age,
        dropped: counts.dropped,
        removed: counts.removed,
        failures: counts.failures,
        rotation_failures: status.rotation_failures,
        sync_failures: status.sync_failures,
    }
}

/// The capture directory, as somebody elsewhere on the machine would name it.
fn name(store: &Store) -> String {
    let directory = store.directory();
    let absolute = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    absolute.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(lines_dropped: u64, disk_usage: u64) -> Standing {
        let stats = Stats { lines_dropped, disk_usage, disk_cap: 1000, ..Stats::default() };
        Standing { stats, dropped: lines_dropped, ..Standing::default() }
    }

    #[test]
    fn what_grew_is_told_and_nothing_else() {
        let mut warned = false;
        let before = Standing { removed: 7, failures: 1, ..standing(1, 0) };
        assert!(changes(&before, &before, &mut warned).is_empty());
        let now = Standing {
            rotations_by_size: 3,
            rotations_by_age: 1,
            removed: 9,
            failures: 2,
            rotation_failures: 4,
            sync_failures: 1,
            ..standing(3, 0)
        };
        let found = changes(&before, &now, &mut warned);
        assert_eq!(
            found[..4],
            [
                Change::Rotated("size", 3),
                Change::Rotated("age", 1),
                Change::Dropped(2),
                Change::Removed(2),
            ]
        );
        let failed: Vec<_> = found[4..]
            .iter()
            .map(|change| match change {
                Change::Failed(what, times, _) => (*what, *times),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(failed, [(NOT_STORED, 1), (NOT_CLOSED, 4), (NOT_SYNCED, 1)]);
    }

    #[test]
    fn a_nearly_full_disk_is_told_once_until_it_has_calmed_down() {
        let mut warned = false;
        let mut told = |used| {
            let standing = standing(0, used);
            changes(&standing, &standing, &mut warned) == [Change::DiskWarning]
        };
        assert_eq!([899, 900, 1000, 850, 900].map(&mut told), [false, true, false, false, false]);
        assert_eq!([799, 900].map(&mut told), [false, true]);
    }
}
