//! What went wrong on the way to the sink, in one type: each event is logged here and nowhere else.

use std::time::Duration;

/// Something that a person should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A push failed and is tried again.
    Retry { lines: u64, wait: Duration, reason: String },
    /// The sink will never take these lines: they are dropped.
    Refused { lines: u64, reason: String },
    /// The collector stopped before the sink took these lines.
    Undelivered { lines: u64, reason: String },
    /// The same, and they are in the spool.
    Kept { lines: u64, reason: String, spool: String },
    /// Bytes of the spool could not be read.
    DamagedSpool { segment: u64, bytes: u64 },
    /// It is not known with which line the spool begins: the count goes on behind the last one acknowledged.
    LostState { acknowledged: u64 },
    /// The spool has fewer lines than the sink has: the same.
    LostLines { acknowledged: u64, last: u64 },
    /// The spool cannot be read or written for now.
    SpoolBusy { reason: String },
    /// The spool cannot be used any more.
    SpoolFailed { reason: String },
    /// Operations could not be read: a defect of ours, or of the memory.
    DamagedChunk { bytes: usize },
}

/// Whether to log this one of many: the first ones, and then each that has ten times the number of the one before. Who
/// can cause them at will shall not fill the log.
pub(crate) fn is_worth_telling(number: u64) -> bool {
    number <= 20 || (number >= 100 && 10_u64.checked_pow(number.ilog10()) == Some(number))
}

/// Logs an event: a warning where we recover, an error where data is lost.
pub(crate) fn report(event: &Event) {
    match event {
        Event::Retry { lines, wait, reason } => {
            tracing::warn!(lines, ?wait, reason, "push failed, trying again");
        }
        Event::Refused { lines, reason } => {
            tracing::error!(lines, reason, "the sink refused lines; they are dropped");
        }
        Event::Undelivered { lines, reason } => {
            tracing::error!(lines, reason, "lines were not delivered in time");
        }
        Event::Kept { lines, reason, spool } => {
            tracing::warn!(
                lines,
                reason,
                spool,
                "lines were not delivered in time; they are in the spool, from which the next collector of this tap \
                 directory sends them"
            );
        }
        Event::DamagedSpool { segment, bytes } => {
            tracing::error!(segment, bytes, "a part of the spool is damaged and was dropped");
        }
        Event::LostState { acknowledged } => {
            tracing::error!(
                acknowledged,
                "the spool's state is lost; lines begun in it are dropped"
            );
        }
        Event::LostLines { acknowledged, last } => {
            tracing::error!(acknowledged, last, "the spool has fewer lines than were delivered");
        }
        Event::SpoolBusy { reason } => {
            tracing::warn!(reason, "the spool cannot be used for now, trying again");
        }
        Event::SpoolFailed { reason } => {
            tracing::error!(reason, "the spool failed; nothing is delivered until a restart");
        }
        Event::DamagedChunk { bytes } => {
            tracing::error!(bytes, "operations could not be read; the rest of them is dropped");
        }
    }
}
