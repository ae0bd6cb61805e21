//! The sinks of `logtap run`: the capture in this very process, and redaction before an address.

use std::sync::Arc;

use logtap_collector::sink::{PushError, Sink};
use logtap_loki::Batch;
use logtap_recv::{Redactor, Store};

/// Hands batches to a store by a function call.
pub(crate) struct CaptureSink(pub(crate) Arc<Store>);

impl Sink for CaptureSink {
    fn push(&mut self, batch: &Batch) -> Result<(), PushError> {
        match self.0.append(batch) {
            Ok(_) => Ok(()),
            Err(error) if error.is_bad_batch() => Err(PushError::Refused { reason: chain(&error) }),
            // A full disk may get room again, and what cannot be written stays with the collector.
            Err(error) => {
                let remedy = error.remedy().map(|remedy| format!("; {remedy}"));
                let reason = chain(&error) + &remedy.unwrap_or_default();
                Err(PushError::Retry { reason, after: None })
            }
        }
    }
}

/// Redacts batches before another sink gets them, and counts what that has taken.
pub(crate) struct RedactingSink<Inner> {
    pub(crate) sink: Inner,
    pub(crate) redactor: Arc<Redactor>,
}

impl<Inner: Sink> Sink for RedactingSink<Inner> {
    fn push(&mut self, batch: &Batch) -> Result<(), PushError> {
        let redacted = self.redactor.redact(batch);
        self.sink.push(redacted.get())?;
        self.redactor.count(&redacted, 0);
        Ok(())
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |error| error.source()) {
        let cause = cause.to_string();
        // Some errors repeat their cause in their own text.
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}
