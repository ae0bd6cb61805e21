//! The way of writers that cannot have a ring: one datagram a record, to the collector's socket.
//!
//! Opens, sends and closes each time, so that no descriptor of ours is ever there to be closed, inherited or
//! recycled. Slow, and only for directories that are full or not in memory.

use core::sync::atomic::Ordering;

use logtap_wire::SOCKET_FILE;
use logtap_wire::frame::{Frame, MAX_PAYLOAD};
use logtap_wire::record::{FLAG_MORE, RecordHeader};
use logtap_wire::ring::StreamKind;
use logtap_wire::ring::writer::Write;

use crate::streams::Stream;
use crate::{control, directory, environment, files, namespace, state, syscall};

/// Sends a write as frames. What could not be sent is counted in the control page.
#[cold]
pub(crate) fn send(stream: Stream, write: &Write<'_>) {
    let (Some(control), Some(settings)) = (control::page(), environment::get()) else { return };
    let lost = |records, bytes| {
        control.totals.lost_records.fetch_add(records, Ordering::Relaxed);
        control.totals.lost_bytes.fetch_add(bytes, Ordering::Relaxed);
    };
    if !state::may_call() || !directory::is_the_same(settings) {
        return lost(1, write.length as u64);
    }
    let mut socket = crate::text::Text::<108>::new();
    socket.push(settings.directory()).push(b"/").push(SOCKET_FILE.as_bytes());
    let (kind, path) = match stream {
        Stream::Stdout => (StreamKind::Stdout, &[][..]),
        Stream::Stderr => (StreamKind::Stderr, &[][..]),
        Stream::File(index) => (StreamKind::File, files::path(index)),
    };
    let pid_namespace = namespace::of_pids();
    let ticket = control.ticket.next.fetch_add(1, Ordering::Relaxed);
    let mut left = write.length;
    let mut fragment = 0;
    for part in write.parts {
        let mut at = 0;
        while at < part.length && left > 0 {
            let length = (part.length - at).min(left).min(MAX_PAYLOAD);
            let record = RecordHeader {
                length: length as u32,
                slot: 0,
                flags: write.flags | if length < left { FLAG_MORE } else { 0 },
                fragment,
                ticket,
                time: write.time,
                pid: write.pid,
                lost_records: control.totals.lost_records.load(Ordering::Relaxed) as u32,
                lost_bytes: control.totals.lost_bytes.load(Ordering::Relaxed),
            };
            let header = Frame { kind, pid_namespace, record, path, payload: &[] }.header();
            let pieces = [
                [header.as_ptr() as usize, header.len()],
                [path.as_ptr() as usize, path.len()],
                [part.base as usize + at, length],
            ];
            let sent = crate::patience::with_patience(|| {
                // No handler jumps out while a descriptor is open.
                let _signals = syscall::streams::SignalsHeld::new();
                syscall::send_datagram(socket.bytes(), &pieces)
                    .map_err(|error| error == syscall::EAGAIN)
            });
            if !sent {
                return lost(u64::from(fragment == 0), left as u64);
            }
            at += length;
            left -= length;
            fragment = fragment.saturating_add(1);
        }
    }
}
