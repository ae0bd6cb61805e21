//! What a connection is doing, and since when; and how many bytes of heads all of them hold.
//!
//! Who sends the head of a request need not be known. So what heads hold before they have ended has one limit
//! for all connections: beyond it, those are cut off whose head is not a small one.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What all heads that have not ended may hold, beside those that are small.
const MAX_HEADS: usize = 4 << 20;
/// A head of this size is small; it fits into the buffer that a connection has anyway.
const SMALL_HEAD: usize = 4 << 10;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Idle = 0,
    Head = 1,
    Request = 2,
}

/// The bytes of all heads that have not ended.
#[derive(Debug, Default)]
pub(crate) struct Heads(AtomicUsize);

/// Since when a connection has been doing what it does.
#[derive(Debug)]
pub(crate) struct Clock {
    begun: Instant,
    phase: AtomicU8,
    since: AtomicU64,
    heads: Arc<Heads>,
    /// Bytes of its head so far.
    head: AtomicUsize,
    is_too_much: AtomicBool,
}

impl Clock {
    pub(crate) fn new(heads: Arc<Heads>) -> Self {
        let (phase, since) = (AtomicU8::new(Phase::Idle as u8), AtomicU64::new(0));
        let (head, is_too_much) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self { begun: Instant::now(), phase, since, heads, head, is_too_much }
    }

    /// Whether it was cut off because of its head.
    pub(crate) fn is_too_much(&self) -> bool {
        self.is_too_much.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, phase: Phase) {
        self.since.store(self.begun.elapsed().as_millis() as u64, Ordering::Relaxed);
        self.phase.store(phase as u8, Ordering::Relaxed);
        self.release();
    }

    /// Its head has ended, or all of it.
    fn release(&self) {
        self.heads.0.fetch_sub(self.head.swap(0, Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Something has come in: if nothing was expected, it begins a request. Whether there is room for it.
    fn received(&self, bytes: usize) -> bool {
        if self.phase.load(Ordering::Relaxed) == Phase::Idle as u8 {
            self.set(Phase::Head);
        }
        if self.phase.load(Ordering::Relaxed) != Phase::Head as u8 {
            return true;
        }
        let own = self.head.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let all = self.heads.0.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let fits = own <= SMALL_HEAD || all <= MAX_HEADS;
        self.is_too_much.store(!fits, Ordering::Relaxed);
        fits
    }

    pub(crate) fn is_over(&self, idle: Duration, head: Duration) -> bool {
        let limit = match self.phase.load(Ordering::Relaxed) {
            phase if phase == Phase::Idle as u8 => idle,
            phase if phase == Phase::Head as u8 => head,
            // Bodies are timed where they are read.
            _ => return false,
        };
        let since = Duration::from_millis(self.since.load(Ordering::Relaxed));
        self.begun.elapsed().saturating_sub(since) >= limit
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.release();
    }
}

/// A stream that tells its clock when something comes in.
pub(crate) struct Timed<Stream> {
    pub(crate) stream: Stream,
    pub(crate) clock: Arc<Clock>,
}

impl<Stream: AsyncRead + Unpin> AsyncRead for Timed<Stream> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        let more = buffer.filled().len() - before;
        if more > 0 && !self.clock.received(more) {
            return Poll::Ready(Err(io::Error::other("too many heads that do not end")));
        }
        outcome
    }
}

impl<Stream: AsyncWrite + Unpin> AsyncWrite for Timed<Stream> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_that_do_not_end_share_a_limit() {
        let heads = Arc::new(Heads::default());
        let clock = || Clock::new(Arc::clone(&heads));
        let large: Vec<_> = (0..MAX_HEADS / (32 << 10)).map(|_| clock()).collect();
        assert!(large.iter().all(|clock| clock.received(32 << 10)));
        let (small, next) = (clock(), clock());
        assert!(small.received(SMALL_HEAD) && !small.is_too_much());
        assert!(next.received(SMALL_HEAD) && !next.received(1) && next.is_too_much());
        // A head that has ended gives back what it held, and so does one that is cut off.
        for clock in &large {
            clock.set(Phase::Request);
            assert!(clock.received(1 << 20), "that is a body");
        }
        assert!(small.received(SMALL_HEAD));
        drop((small, next, large));
        assert_eq!(heads.0.load(Ordering::Relaxed), 0);
    }
}
