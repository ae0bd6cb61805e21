//! Reads request bodies within limits: one for each body, one for all that are held at a time.
//!
//! A body takes from the common budget what has arrived of it, not what it announces: who announces
//! much and sends little holds little.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// What a body takes at first; then it doubles.
const FIRST_GRANT: usize = 16 << 10;

/// The bytes of bodies that may be held at a time.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    bytes: Arc<Semaphore>,
    total: usize,
    largest: usize,
    time: Duration,
}

/// A body, and its part of the budget for as long as it is held.
#[derive(Debug)]
pub(crate) struct HeldBody {
    pub(crate) bytes: Vec<u8>,
    permits: Option<OwnedSemaphorePermit>,
}

/// Why a body was not read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// It is too large by itself.
    TooLarge { size: u64, limit: u64 },
    /// Too much is held already.
    Busy,
    /// The sender was too slow.
    Slow,
    /// The sender went away.
    Broken,
}

impl Budget {
    /// A budget for bodies of up to `largest` bytes each, which must be there within `time`.
    pub(crate) fn new(total: usize, largest: usize, time: Duration) -> Self {
        let total = total.max(largest).min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
        let largest = largest.min(total);
        Self { bytes: Arc::new(Semaphore::new(total)), total, largest, time }
    }

    /// How many bytes are held now.
    pub(crate) fn in_flight(&self) -> usize {
        self.total.saturating_sub(self.bytes.available_permits())
    }

    /// How many bytes may be held.
    pub(crate) fn total(&self) -> usize {
        self.total
    }

    /// Whether a body of the largest size would be put off.
    pub(crate) fn is_tight(&self) -> bool {
        self.bytes.available_permits() < self.largest
    }

    /// Reads a body.
    pub(crate) async fn read(
        &self,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<HeldBody, BodyError> {
        let announced = headers
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse::<u64>().ok())
            .unwrap_or(0);
        let limit = self.largest as u64;
        if announced > limit {
            return Err(BodyError::TooLarge { size: announced, limit });
        }
        // Refused before it is sent, if it is clear now that there is no room.
        if announced as usize > self.bytes.available_permits() {
            return Err(BodyError::Busy);
        }
        let mut held = HeldBody { bytes: Vec::new(), permits: None };
        timeout(self.time, self.fill(&mut held, announced as usize, body))
            .await
            .map_err(|_| BodyError::Slow)??;
        Ok(held)
    }

    async fn fill(
        &self,
        held: &mut HeldBody,
        announced: usize,
        mut body: Body,
    ) -> Result<(), BodyError> {
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            let frame = frame.map_err(|_| BodyError::Broken)?;
            let Ok(piece) = frame.into_data() else { continue };
            let size = held.bytes.len() + piece.len();
            if size > self.largest {
                let (size, limit) = (size as u64, self.largest as u64);
                return Err(BodyError::TooLarge { size, limit });
            }
            self.grant(held, size, announced)?;
            held.bytes.extend_from_slice(&piece);
        }
        Ok(())
    }

    /// Sees to it that a body may have this size.
    fn grant(&self, held: &mut HeldBody, size: usize, announced: usize) -> Result<(), BodyError> {
        let granted = held.bytes.capacity();
        if size <= granted {
            return Ok(());
        }
        let roomy = size.max(granted.saturating_mul(2)).max(FIRST_GRANT);
        let wanted = if size <= announced { roomy.min(announced) } else { roomy };
        // Where there is no room for more than what is here, that much must do.
        let (permit, capacity) = match self.take(wanted.min(self.largest) - granted) {
            Ok(permit) => (permit, wanted.min(self.largest)),
            Err(_) => (self.take(size - granted)?, size),
        };
        match &mut held.permits {
            Some(permits) => permits.merge(permit),
            none => *none = Some(permit),
        }
        held.bytes.reserve_exact(capacity - held.bytes.len());
        Ok(())
    }

    fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, BodyError> {
        let count = u32::try_from(bytes).map_err(|_| BodyError::Busy)?;
        Arc::clone(&self.bytes).try_acquire_many_owned(count).map_err(|_| BodyError::Busy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn read(
        budget: &Budget,
        length: Option<&str>,
        body: &'static str,
    ) -> Result<HeldBody, BodyError> {
        let mut headers = HeaderMap::new();
        if let Some(length) = length {
            headers.insert(CONTENT_LENGTH, length.parse().unwrap());
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(budget.read(&headers, Body::from(body)))
    }

    #[test]
    fn bodies_share_the_budget_and_give_it_back() {
        let budget = Budget::new(10, 6, LONG);
        let first = read(&budget, Some("6"), "123456").unwrap();
        assert_eq!((&first.bytes[..], budget.in_flight()), (&b"123456"[..], 6));
        assert!(budget.is_tight());
        assert_eq!(read(&budget, Some("5"), "12345").unwrap_err(), BodyError::Busy);
        assert_eq!(read(&budget, None, "12345").unwrap_err(), BodyError::Busy);
        let second = read(&budget, None, "1234").unwrap();
        assert_eq!((second.bytes.len(), budget.in_flight()), (4, 10));
        drop((first, second));
        assert_eq!(budget.in_flight(), 0);
    }

    #[test]
    fn a_body_over_its_limit_is_refused_announced_or_not() {
        let budget = Budget::new(10, 6, LONG);
        let error = |size| BodyError::TooLarge { size, limit: 6 };
        assert_eq!(read(&budget, Some("7"), "1234567").unwrap_err(), error(7));
        assert_eq!(read(&budget, None, "12345678").unwrap_err(), error(8));
        assert_eq!(budget.in_flight(), 0);
    }

    #[test]
    fn what_is_held_is_what_is_granted() {
        let budget = Budget::new(1 << 20, 1 << 20, LONG);
        let mut held = HeldBody { bytes: Vec::new(), permits: None };
        for (size, granted) in [(1, 16 << 10), (20_000, 32 << 10), (70_000, 70_000)] {
            budget.grant(&mut held, size, 70_000).unwrap();
            held.bytes.resize(size, 0);
            assert_eq!((held.bytes.capacity(), budget.in_flight()), (granted, granted));
        }
        drop(held);
        assert_eq!(budget.in_flight(), 0);
    }

    #[test]
    fn a_sender_that_is_too_slow_is_cut_off() {
        let budget = Budget::new(10, 6, Duration::ZERO);
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let endless = Body::new(Endless(receiver));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let outcome = runtime.block_on(budget.read(&HeaderMap::new(), endless));
        assert_eq!(outcome.unwrap_err(), BodyError::Slow);
        drop(sender);
    }

    /// A body of which nothing ever comes.
    struct Endless(std::sync::mpsc::Receiver<()>);

    impl axum::body::HttpBody for Endless {
        type Data = axum::body::Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
            assert!(self.0.try_recv().is_err());
            std::task::Poll::Pending
        }
    }
}
