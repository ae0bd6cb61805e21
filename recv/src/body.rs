//! Reads request bodies within limits: one for each body, one for all that are held at a time.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// A sender that takes longer than this for one body is cut off.
const BODY_TIME: Duration = Duration::from_secs(30);

/// The bytes of bodies that may be held at a time.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    bytes: Arc<Semaphore>,
    total: usize,
    largest: usize,
}

/// A body, and its part of the budget for as long as it is held.
#[derive(Debug)]
pub(crate) struct HeldBody {
    pub(crate) bytes: Vec<u8>,
    permits: Vec<OwnedSemaphorePermit>,
}

/// Why a body was not read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// It is too large by itself.
    TooLarge { size: u64, limit: u64 },
    /// Too much is held already.
    Busy,
    /// The sender went away or was too slow.
    Broken(&'static str),
}

impl Budget {
    /// A budget for bodies of up to `largest` bytes each.
    pub(crate) fn new(total: usize, largest: usize) -> Self {
        let total = total.max(largest).min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
        let largest = largest.min(total);
        Self { bytes: Arc::new(Semaphore::new(total)), total, largest }
    }

    /// How many bytes are held now.
    pub(crate) fn in_flight(&self) -> usize {
        self.total.saturating_sub(self.bytes.available_permits())
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
        let mut held = HeldBody { bytes: Vec::new(), permits: Vec::new() };
        let mut granted = announced as usize;
        if granted > 0 {
            held.permits.push(self.take(granted)?);
            held.bytes.reserve_exact(granted);
        }
        timeout(BODY_TIME, self.fill(&mut held, &mut granted, body))
            .await
            .map_err(|_| BodyError::Broken("body took too long"))??;
        Ok(held)
    }

    async fn fill(
        &self,
        held: &mut HeldBody,
        granted: &mut usize,
        mut body: Body,
    ) -> Result<(), BodyError> {
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            let frame = frame.map_err(|_| BodyError::Broken("body ended early"))?;
            let Ok(piece) = frame.into_data() else { continue };
            let size = held.bytes.len() + piece.len();
            if size > self.largest {
                let (size, limit) = (size as u64, self.largest as u64);
                return Err(BodyError::TooLarge { size, limit });
            }
            if let Some(more) = size.checked_sub(*granted).filter(|more| *more > 0) {
                held.permits.push(self.take(more)?);
                *granted = size;
            }
            held.bytes.extend_from_slice(&piece);
        }
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
        let budget = Budget::new(10, 6);
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
        let budget = Budget::new(10, 6);
        let error = |size| BodyError::TooLarge { size, limit: 6 };
        assert_eq!(read(&budget, Some("7"), "1234567").unwrap_err(), error(7));
        assert_eq!(read(&budget, None, "12345678").unwrap_err(), error(8));
        assert_eq!(budget.in_flight(), 0);
    }
}
