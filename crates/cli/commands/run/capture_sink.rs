//! The sink of `logtap run`: the capture in this very process.

use std::sync::Arc;

use logtap_collector::sink::{PushError, Sink};
use logtap_loki::Batch;
use logtap_recv::Store;

/// Hands batches to a store by a function call.
pub(crate) struct CaptureSink(pub(crate) Arc<Store>);

impl Sink for CaptureSink {
    fn push(&mut self, batch: &Batch) -> Result<(), PushError> {
        match self.0.append(batch) {
            Ok(_) => Ok(()),
            Err(error) if error.is_bad_batch() => Err(PushError::Refused { reason: chain(&error) }),
            // A full disk may get room again, and what cannot be written stays with the collector.
            Err(error) => Err(PushError::Retry { reason: chain(&error), after: None }),
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
