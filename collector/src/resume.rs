//! Goes on with a spool: an assembler at the point where the last one was, and numbers for new lines that no sink has seen.
//!
//! A sink passes over lines whose numbers it has. So where damage has taken lines or the state that tells their numbers,
//! the count must go on behind the last one that was acknowledged. It is written into the spool as an operation, so that
//! the next collector counts in the same way.

use std::path::Path;

use crate::assembler::Assembler;
use crate::chunk::Chunk;
use crate::clock::now;
use crate::error::CollectorError;
use crate::events::{Event, report};
use crate::labels::LabelRules;
use crate::operation::Operation;
use crate::output::Output;
use crate::spool::{FirstState, Spool};

/// The assembler that reads the spool from its beginning.
pub(crate) fn assembler(
    spool: &mut Spool,
    directory: &Path,
    labels: &LabelRules,
    detect_level: bool,
) -> Result<Assembler, CollectorError> {
    let acknowledged = spool.reader.acknowledged();
    let (source, rules) = (spool.source.clone(), spool.rules);
    let fresh = |skip_through: u64, state: &[u8]| {
        let mut output = Output::new(source.clone(), detect_level);
        output.skip_through(skip_through);
        let mut assembler = Assembler::new(rules, labels.clone(), output);
        assembler.apply_chunk(0, state).map(|()| assembler)
    };
    let damaged = |_| CollectorError::DamagedSpool {
        path: directory.to_owned(),
        reason: "its state cannot be read",
    };
    let state = match spool.reader.first_state()? {
        FirstState::New => Vec::new(),
        FirstState::Known(state) if fresh(0, &state).is_ok() => state,
        FirstState::Known(_) | FirstState::Lost => {
            report(&Event::LostState { acknowledged });
            let state = numbering(acknowledged, now());
            spool.reader.put_first_state(&state)?;
            state
        }
    };
    // Makes all lines once, and keeps none: only to know how many there are.
    let mut trial = fresh(u64::MAX, &state).map_err(damaged)?;
    spool.each_recovered(directory, |now, bytes| {
        if trial.apply_chunk(now, bytes).is_err() {
            report(&Event::DamagedChunk { bytes: bytes.len() });
        }
    })?;
    let (next, last_timestamp) = trial.output.numbering();
    if next <= acknowledged {
        report(&Event::LostLines { acknowledged, last: next - 1 });
        let bytes = numbering(acknowledged, last_timestamp);
        let next_ring = spool.writer.next_ring();
        spool.writer.put(Chunk { now: now(), bytes, ..Chunk::default() }, next_ring);
    }
    fresh(acknowledged, &state).map_err(damaged)
}

/// The operation that lets the count go on behind a line.
fn numbering(last: u64, last_timestamp: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    Operation::Numbering { next: last.saturating_add(1), last_timestamp }.write(&mut bytes);
    bytes
}
