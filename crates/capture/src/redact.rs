//! The gate in front of the disk: only what a [`Redactor`] has passed can be written.
//!
//! The only policy so far is `none`, which passes lines as they are. The type is what counts: a
//! [`Redacted`] value cannot be made outside this file.

use std::borrow::Cow;

use logtap_loki::Batch;

/// A value that went through a redactor, and so may be written.
#[derive(Clone, Debug)]
pub struct Redacted<T>(T);

/// A batch that may be written.
pub type RedactedBatch<'a> = Redacted<Cow<'a, Batch>>;

impl<T> Redacted<T> {
    /// What it is now.
    pub fn get(&self) -> &T {
        &self.0
    }
}

/// Applies a policy to what is to be written.
#[derive(Clone, Debug)]
pub struct Redactor(());

impl Redactor {
    /// The policy that changes nothing.
    pub fn none() -> Self {
        Self(())
    }

    /// Passes a batch.
    pub fn redact<'a>(&self, batch: &'a Batch) -> RedactedBatch<'a> {
        Redacted(Cow::Borrowed(batch))
    }
}
