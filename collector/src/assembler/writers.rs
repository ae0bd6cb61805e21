//! Who writes: which record belongs to whose line.

use std::sync::Arc;

use logtap_wire::ring::StreamKind;

use super::{Assembler, Assembly, MAX_WRITERS};
use crate::lines::LineBuffer;
use crate::operation::RingId;
use crate::output::Writer;

/// Where a record comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Route {
    pub(super) ring: RingId,
    pub(super) pid: u32,
    pub(super) slot: u8,
    /// What it writes while a long write of its own is under way.
    pub(super) aside: bool,
}

/// One writer of one stream, whichever ring it uses: a process that gets a larger ring, or becomes
/// another program, goes on with its line.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Identity {
    pub(super) group: Group,
    pub(super) pid: u32,
    pub(super) kind: StreamKind,
    pub(super) path: Arc<[u8]>,
    pub(super) aside: bool,
}

/// Rings among which a process id means the same process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Group {
    /// Those of a pid namespace.
    Namespace(u64),
    /// One whose namespace is not known.
    Ring(RingId),
}

impl Assembler {
    /// Finds or makes the writer of this route. `None` where its stream was never announced.
    pub(super) fn writer(&mut self, route: Route) -> Option<usize> {
        if let Some((last, at)) = self.last
            && last == route
        {
            return Some(at);
        }
        let ring = self.rings.get_mut(&route.ring)?;
        let stream = (*ring.streams.get(usize::from(route.slot))?)?;
        let at = match self.routes.get(&route) {
            Some(&at) => at,
            None => {
                ring.facts.saw_process(route.pid);
                let known = self.streams.get(stream)?;
                let identity = Identity {
                    group: ring.group,
                    pid: route.pid,
                    kind: known.kind,
                    path: Arc::clone(&known.path),
                    aside: route.aside,
                };
                let labels = Arc::clone(&known.labels);
                let writer = Writer::new(labels, Arc::clone(&ring.executable), route.pid);
                let at = self.writer_of(identity, writer);
                self.routes.insert(route, at);
                at
            }
        };
        let assembly = self.writers.get_mut(at)?;
        if assembly.ring != route.ring {
            // Another ring may be another program.
            let labels = Arc::clone(&self.streams.get(stream)?.labels);
            let executable = Arc::clone(&self.rings.get(&route.ring)?.executable);
            assembly.writer = Writer::new(labels, executable, route.pid);
            assembly.ring = route.ring;
        }
        assembly.stream = Some(stream);
        self.last = Some((route, at));
        Some(at)
    }

    /// Finds or makes a writer.
    pub(super) fn writer_of(&mut self, identity: Identity, writer: Writer) -> usize {
        if let Some(&at) = self.index.get(&identity) {
            return at;
        }
        if self.index.len() >= MAX_WRITERS {
            self.forget_where(|_| true);
        }
        let at = self.writers.insert(Assembly {
            writer,
            identity: identity.clone(),
            lines: LineBuffer::default(),
            ring: RingId::MAX,
            stream: None,
            active: self.now,
            open: 0,
        });
        self.index.insert(identity, at);
        at
    }
}
