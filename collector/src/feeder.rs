//! Bytes from elsewhere than rings: pipes, terminals and followed files of programs that cannot be
//! preloaded. They go the same way as a ring's records, in the order in which they come.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::Thread;

use crossbeam_channel::Sender;
use logtap_wire::ring::StreamKind;

/// Messages of all feeders that wait for the drain thread.
pub(crate) const QUEUE: usize = 64;
/// Bytes of one message.
const PIECE: usize = 64 << 10;

/// What a feeder is.
#[derive(Clone, Debug)]
pub struct FeederStream {
    /// Value of the label `source`: `pipe`, `tail`...
    pub source: String,
    /// What kind of stream it stands for.
    pub kind: StreamKind,
    /// The file's path; empty for the standard streams.
    pub path: Vec<u8>,
    /// The process that writes, 0 if unknown.
    pub pid: u32,
    /// Its executable; empty if unknown.
    pub executable: String,
    /// Labels of this stream alone.
    pub labels: Vec<(String, String)>,
}

/// One stream that somebody feeds. Ends when it is dropped.
#[derive(Debug)]
pub struct Feeder {
    number: u32,
    messages: Sender<FeederMessage>,
    drain: Thread,
}

/// The collector has stopped.
#[derive(Debug, thiserror::Error)]
#[error("the collector has stopped")]
pub struct Stopped;

/// feeders --what they have--> drain thread.
#[derive(Debug)]
pub(crate) enum FeederMessage {
    Open { feeder: u32, stream: Box<FeederStream> },
    Bytes { feeder: u32, bytes: Vec<u8>, time: i64 },
    Close { feeder: u32 },
}

/// Makes feeders.
#[derive(Clone, Debug)]
pub(crate) struct Feeders {
    pub(crate) messages: Sender<FeederMessage>,
    pub(crate) drain: Thread,
    pub(crate) next: Arc<AtomicU32>,
}

impl Feeders {
    pub(crate) fn open(&self, stream: FeederStream) -> Result<Feeder, Stopped> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let open = FeederMessage::Open { feeder: number, stream: Box::new(stream) };
        self.messages.send(open).map_err(|_| Stopped)?;
        Ok(Feeder { number, messages: self.messages.clone(), drain: self.drain.clone() })
    }
}

impl Feeder {
    /// Hands over bytes that were written at `time` (nanoseconds since 1970). Waits while the
    /// collector has no room for them.
    pub fn write(&self, bytes: &[u8], time: i64) -> Result<(), Stopped> {
        for piece in bytes.chunks(PIECE) {
            let message = FeederMessage::Bytes { feeder: self.number, bytes: piece.to_vec(), time };
            self.messages.send(message).map_err(|_| Stopped)?;
        }
        self.drain.unpark();
        Ok(())
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        // Fails only where the collector has stopped: then nothing is open any more.
        if self.messages.send(FeederMessage::Close { feeder: self.number }).is_ok() {
            self.drain.unpark();
        }
    }
}
