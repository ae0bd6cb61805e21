//! What the person who runs the receiver should know: cause and remedy, once in a while.
//!
//! A notice of one kind is given at most once in a minute, however often its cause comes back; the
//! counters tell how often that was. Refuses to print: whoever made the server reads a channel.

use std::collections::HashMap;
use std::sync::mpsc::Sender;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The shortest time between two notices of a kind.
const PAUSE: Duration = Duration::from_secs(60);

/// Gives notices to whoever reads them.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    notices_tx: Option<Sender<String>>,
    latest: Mutex<HashMap<&'static str, Instant>>,
}

impl Notices {
    pub(crate) fn new(notices_tx: Option<Sender<String>>) -> Self {
        Self { notices_tx, latest: Mutex::default() }
    }

    /// Gives a notice of which the giver knows that it was not given before.
    pub(crate) fn tell(&self, text: String) {
        if let Some(notices_tx) = &self.notices_tx {
            // Nobody listens any more: then nobody misses it.
            drop(notices_tx.send(text));
        }
    }

    /// Gives a notice of a kind, unless there was one of that kind just now.
    pub(crate) fn give(&self, kind: &'static str, text: impl FnOnce() -> String) {
        let Some(notices_tx) = &self.notices_tx else { return };
        let now = Instant::now();
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.get(kind).is_some_and(|then| now.duration_since(*then) < PAUSE) {
            return;
        }
        latest.insert(kind, now);
        // Nobody listens any more: then nobody misses it.
        drop(notices_tx.send(text()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_not_repeated_at_once() {
        let (notices_tx, notices_rx) = std::sync::mpsc::channel();
        let notices = Notices::new(Some(notices_tx));
        notices.give("a", || "first".to_owned());
        notices.give("a", || "again".to_owned());
        notices.give("b", || "other".to_owned());
        assert_eq!(notices_rx.try_iter().collect::<Vec<_>>(), ["first", "other"]);
    }
}
