//! How the server writes the audit trail: in a thread of its own, so that a disk that is slow or stuck holds
//! up no answer that does not depend on it.
//!
//! The thread has a queue with a limit; what finds it full is counted as missing, as what cannot be
//! written is. Refuses to hold up a refusal: only who is told that its lines are stored waits until the
//! trail says so too.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

use crate::audit::{Audit, AuditRecord};

/// Records that may wait for the disk; each is at most a few kilobytes.
const WAITING: usize = 1024;

/// The way to the trail.
#[derive(Debug)]
pub(crate) struct Trail {
    audit: Arc<Audit>,
    /// requests --records--> the thread
    orders_tx: SyncSender<Order>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

enum Order {
    /// Write it, and say so if somebody waits for that.
    Write(Box<AuditRecord>, Option<oneshot::Sender<()>>),
    End,
}

impl Trail {
    /// Starts the thread.
    pub(crate) fn start(audit: Arc<Audit>) -> std::io::Result<Self> {
        let (orders_tx, orders_rx) = sync_channel(WAITING);
        let written = Arc::clone(&audit);
        let thread = thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || write(&written, &orders_rx))?;
        Ok(Self { audit, orders_tx, thread: Mutex::new(Some(thread)) })
    }

    /// Has a record written some time.
    pub(crate) fn note(&self, record: AuditRecord) {
        self.order(record, None);
    }

    /// Has a record written and waits for that.
    pub(crate) async fn write(&self, record: AuditRecord) {
        let (written_tx, written_rx) = oneshot::channel();
        self.order(record, Some(written_tx));
        // An end without a word means that it could not be queued, which is counted.
        drop(written_rx.await);
    }

    fn order(&self, record: AuditRecord, written_tx: Option<oneshot::Sender<()>>) {
        if self.orders_tx.try_send(Order::Write(Box::new(record), written_tx)).is_err() {
            self.audit.miss();
        }
    }

    /// Waits until all that was ordered is written. To be called when no request is left.
    pub(crate) fn finish(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && self.orders_tx.send(Order::End).is_ok()
        {
            // One that panicked has no more to write.
            drop(thread.join());
        }
    }
}

fn write(audit: &Audit, orders_rx: &Receiver<Order>) {
    while let Ok(Order::Write(record, written_tx)) = orders_rx.recv() {
        audit.record(*record);
        if let Some(written_tx) = written_tx {
            // Who waited may have gone away.
            written_tx.send(()).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{AuditEvent, DEFAULT_AUDIT_CAP};

    #[test]
    fn all_that_is_noted_is_there_at_the_end_in_its_order() {
        let directory = tempfile::tempdir().unwrap();
        let audit = Arc::new(Audit::open(directory.path(), DEFAULT_AUDIT_CAP).unwrap());
        let trail = Trail::start(Arc::clone(&audit)).unwrap();
        let record = |lines| AuditRecord::new(AuditEvent::PushRefused).lines(lines, 0);
        for lines in 1..=100 {
            trail.note(record(lines));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(trail.write(record(101)));
        trail.finish();
        trail.finish();
        trail.note(record(102));
        assert_eq!(audit.unwritten(), 1, "what comes too late is counted");
        let text = std::fs::read_to_string(directory.path().join("audit.jsonl")).unwrap();
        let numbers: Vec<u64> = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["lines"].as_u64())
            .map(Option::unwrap)
            .collect();
        assert_eq!(numbers, (1..=101).collect::<Vec<_>>());
    }
}
