//! The assembler's state as operations: what a later one needs to go on at the same point.

use super::{Assembler, Identity};
use crate::lines::LineBuffer;
use crate::operation::{Operation, Partial};

impl Assembler {
    /// Takes over a line that another assembler had begun.
    pub(super) fn restore_partial(&mut self, partial: &Partial<'_>) {
        let Some(ring) = self.rings.get(&partial.ring) else { return };
        let identity = Identity {
            group: ring.group,
            pid: partial.pid,
            kind: partial.kind,
            path: partial.path.into(),
            aside: partial.aside,
        };
        let writer = ring.writer(&self.labels, &identity);
        let at = self.writer_of(identity, writer);
        if let Some(writer) = self.writers.get_mut(at) {
            writer.ring = partial.ring;
        }
        self.change(at, |assembly, _, _| {
            assembly.lines = LineBuffer::restored(partial.bytes, partial.began, partial.split);
            assembly.active = partial.active;
            assembly.open = partial.open;
        });
    }

    /// The state as operations that bring a new assembler to the same point.
    pub(crate) fn state(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let (next, last_timestamp) = self.output.numbering();
        Operation::Numbering { next, last_timestamp }.write(&mut out);
        let mut rings: Vec<_> = self.rings.iter().collect();
        rings.sort_unstable_by_key(|(id, _)| **id);
        for (&id, ring) in rings {
            Operation::Ring {
                ring: id,
                pid: ring.facts.pid,
                namespace: ring.namespace,
                name: ring.facts.name.as_bytes(),
                executable: ring.executable.as_bytes(),
                source: &join_source(&ring.facts.source, &ring.more_labels),
            }
            .write(&mut out);
            for (slot, stream) in ring.streams.iter().enumerate() {
                let Some(stream) = stream.and_then(|at| self.streams.get(at)) else { continue };
                let (slot, kind, path) = (slot as u8, stream.kind, &stream.path[..]);
                Operation::Stream { ring: id, slot, kind, path }.write(&mut out);
                let (records, bytes) = (stream.totals.lost_records, stream.totals.lost_bytes);
                Operation::Known { ring: id, slot, records, bytes }.write(&mut out);
            }
        }
        let mut keys: Vec<_> = self.index.iter().collect();
        keys.sort_unstable();
        for (identity, &at) in keys {
            let Some(assembly) = self.writers.get(at) else { continue };
            if !assembly.is_unfinished() {
                continue;
            }
            let (bytes, began, split) = assembly.lines.state();
            Operation::Partial(Partial {
                ring: assembly.ring,
                pid: identity.pid,
                kind: identity.kind,
                path: &identity.path,
                aside: identity.aside,
                split,
                open: assembly.open,
                began,
                active: assembly.active,
                bytes,
            })
            .write(&mut out);
        }
        out
    }
}

/// The name of a source with the labels of its own, as one string of bytes.
pub(crate) fn join_source(source: &str, labels: &[(String, String)]) -> Vec<u8> {
    let mut joined = source.as_bytes().to_vec();
    for (name, value) in labels {
        joined.push(0);
        joined.extend_from_slice(name.as_bytes());
        joined.push(b'=');
        joined.extend_from_slice(value.as_bytes());
    }
    joined
}

pub(super) fn split_source(joined: &[u8]) -> (String, Vec<(String, String)>) {
    let text = String::from_utf8_lossy(joined);
    let mut parts = text.split('\0');
    let source = parts.next().unwrap_or_default().to_owned();
    let labels = parts.filter_map(|part| part.split_once('='));
    (source, labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}
