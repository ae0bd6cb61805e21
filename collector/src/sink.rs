//! Where batches go, as the collector sees it.

use logtap_loki::Batch;

/// Takes batches. A batch is acknowledged when [`Sink::push`] returns `Ok`: only then does the
/// collector let go of its lines.
pub trait Sink: Send {
    /// Delivers one batch or says why not. May take as long as it needs; it should look at
    /// its own time limits.
    fn push(&mut self, batch: &Batch) -> Result<(), PushError>;
}

/// Why a batch was not delivered.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The same batch may succeed later.
    #[error("{reason}")]
    Retry {
        /// What happened, for a person.
        reason: String,
        /// The sink asked for this much time.
        after: Option<std::time::Duration>,
    },
    /// The sink takes fewer lines at once: they are pushed again in smaller parts, down to single lines.
    #[error("{reason}")]
    TooLarge {
        /// What the sink said.
        reason: String,
    },
    /// The sink will never take this batch: its lines are lost, counted and reported.
    #[error("{reason}")]
    Refused {
        /// What the sink said.
        reason: String,
    },
}
