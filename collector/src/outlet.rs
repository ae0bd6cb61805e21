//! Where the drain thread puts its chunks, and from where it learns that they are safe.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};

use crate::chunk::{Adoption, Chunk};
use crate::operation::RingId;
use crate::shared::Shared;
use crate::spool::SpoolWriter;

/// Chunks on their way to the push thread.
pub(crate) const QUEUE: usize = 64;
/// Bytes that may be on their way. The rest stays in the rings.
const MAX_IN_FLIGHT: usize = 8 << 20;
/// Chunks whose memory is kept for the next ones.
const POOL: usize = 8;
/// Larger memory is given back.
const MAX_KEPT_CHUNK: usize = 2 << 20;

/// The way to the push thread.
#[derive(Debug)]
pub(crate) enum Outlet {
    /// Through memory: records stay in their rings until the sink has them.
    Memory(MemoryOutlet),
    /// Through the spool.
    Spool(SpoolWriter),
}

impl Outlet {
    /// Whether what was put stays, whatever happens to this process.
    pub(crate) const fn is_durable(&self) -> bool {
        matches!(self, Self::Spool(_))
    }

    /// The number for the next ring.
    pub(crate) fn next_ring(&self) -> RingId {
        match self {
            Self::Memory(_) => 1,
            Self::Spool(spool) => spool.next_ring(),
        }
    }

    /// What is known of a ring from before.
    pub(crate) fn find(&self, name: &str, created: u64) -> Option<Adoption> {
        match self {
            Self::Memory(_) => None,
            Self::Spool(spool) => spool.find(name, created).cloned(),
        }
    }

    /// All rings that are known from before.
    pub(crate) fn known(&self) -> Vec<Adoption> {
        match self {
            Self::Memory(_) => Vec::new(),
            Self::Spool(spool) => spool.known().cloned().collect(),
        }
    }

    /// A ring's file is gone.
    pub(crate) fn forget(&mut self, ring: RingId) {
        if let Self::Spool(spool) = self {
            spool.forget(ring);
        }
    }

    /// Whether nothing more should be read for now.
    pub(crate) fn is_full(&self) -> bool {
        match self {
            Self::Memory(memory) => memory.is_full(),
            Self::Spool(spool) => spool.is_full(),
        }
    }

    /// Sends a chunk on.
    pub(crate) fn put(&mut self, chunk: Chunk, next_ring: RingId) {
        match self {
            Self::Memory(memory) => memory.put(chunk),
            Self::Spool(spool) => spool.put(chunk, next_ring),
        }
    }

    /// Sends on what found no room before.
    pub(crate) fn retry(&mut self) {
        match self {
            Self::Memory(memory) => memory.retry(),
            Self::Spool(spool) => spool.retry(),
        }
    }

    /// A chunk whose lines are safe.
    pub(crate) fn safe(&mut self) -> Option<Chunk> {
        match self {
            Self::Memory(memory) => memory.safe(),
            Self::Spool(spool) => spool.safe(),
        }
    }

    /// An empty chunk.
    pub(crate) fn fresh(&mut self) -> Chunk {
        match self {
            Self::Memory(memory) => memory.pool.pop().unwrap_or_default(),
            Self::Spool(_) => Chunk::default(),
        }
    }

    /// Takes a chunk's memory for a later one.
    pub(crate) fn recycle(&mut self, chunk: Chunk) {
        if let Self::Memory(memory) = self {
            memory.recycle(chunk);
        }
    }

    /// Sends on what is left and tells the push thread that nothing follows.
    pub(crate) fn close(&mut self, deadline: Instant) {
        match self {
            Self::Memory(memory) => memory.close(deadline),
            Self::Spool(spool) => spool.close(),
        }
    }

    /// Waits for a chunk to come back. False once none can come any more.
    pub(crate) fn wait(&mut self, deadline: Instant) -> bool {
        match self {
            Self::Memory(memory) => memory.wait(deadline),
            Self::Spool(_) => false,
        }
    }
}

/// The way through memory.
#[derive(Debug)]
pub(crate) struct MemoryOutlet {
    shared: Arc<Shared>,
    /// drain thread --chunks--> push thread
    chunks: Option<Sender<Chunk>>,
    /// push thread --chunks whose lines are safe--> drain thread
    safe: Receiver<Chunk>,
    /// Chunks that found no room in the channel.
    held: VecDeque<Chunk>,
    /// A chunk that came back while its return was waited for.
    returned: Option<Chunk>,
    pool: Vec<Chunk>,
}

impl MemoryOutlet {
    pub(crate) fn new(shared: Arc<Shared>, chunks: Sender<Chunk>, safe: Receiver<Chunk>) -> Self {
        Self {
            shared,
            chunks: Some(chunks),
            safe,
            held: VecDeque::new(),
            returned: None,
            pool: Vec::new(),
        }
    }

    fn is_full(&self) -> bool {
        !self.held.is_empty() || self.shared.in_flight.load(Ordering::Relaxed) > MAX_IN_FLIGHT
    }

    fn put(&mut self, chunk: Chunk) {
        self.shared.in_flight.fetch_add(chunk.bytes.len(), Ordering::Relaxed);
        self.held.push_back(chunk);
        self.retry();
    }

    fn retry(&mut self) {
        let Some(chunks) = &self.chunks else { return };
        while let Some(chunk) = self.held.pop_front() {
            match chunks.try_send(chunk) {
                Ok(()) => {}
                Err(TrySendError::Full(chunk)) => {
                    self.held.push_front(chunk);
                    return;
                }
                // The push thread is gone: its lines stay in their rings.
                Err(TrySendError::Disconnected(_)) => return,
            }
        }
    }

    fn safe(&mut self) -> Option<Chunk> {
        let chunk = self.returned.take().or_else(|| self.safe.try_recv().ok())?;
        self.shared.in_flight.fetch_sub(chunk.bytes.len(), Ordering::Relaxed);
        Some(chunk)
    }

    fn recycle(&mut self, mut chunk: Chunk) {
        if self.pool.len() < POOL && chunk.bytes.capacity() <= MAX_KEPT_CHUNK {
            chunk.clear();
            self.pool.push(chunk);
        }
    }

    fn close(&mut self, deadline: Instant) {
        if let Some(chunks) = self.chunks.take() {
            for chunk in self.held.drain(..) {
                if chunks.send_deadline(chunk, deadline).is_err() {
                    break;
                }
            }
        }
    }

    fn wait(&mut self, deadline: Instant) -> bool {
        let patience = deadline.min(Instant::now() + Duration::from_millis(50));
        match self.safe.recv_deadline(patience) {
            Ok(chunk) => {
                self.returned = Some(chunk);
                true
            }
            Err(RecvTimeoutError::Timeout) => true,
            Err(RecvTimeoutError::Disconnected) => false,
        }
    }
}
