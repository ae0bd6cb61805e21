//! What all targets share: a limit on memory, and what every decoded batch must be.
//!
//! A target is a function of bytes that panics where something that must hold does not.

use std::alloc::System;
use std::sync::Once;

use cap::Cap;
use logtap_loki::{Batch, DecodeOptions, Decoded, Pairs};

/// Counts and limits what Rust code allocates; libFuzzer's own memory is its own.
#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

/// More than any target needs for one input of the longest kind.
const ROOM: usize = 32 << 20;

/// Runs a target on one input. A larger allocation than is left fails, which ends the process.
pub fn bounded(run: impl FnOnce()) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        // Telling of a failure takes memory of its own.
        let tell = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            MEMORY.set_limit(usize::MAX).expect("more than is in use");
            tell(panic);
        }));
    });
    MEMORY.set_limit(MEMORY.allocated() + ROOM).expect("more than is in use");
    run();
    MEMORY.set_limit(usize::MAX).expect("more than is in use");
}

/// Options of a push that says nothing of where it comes from.
pub fn options() -> DecodeOptions {
    DecodeOptions { now: 1_700_000_000_000_000_000, ..DecodeOptions::default() }
}

/// Checks that a decoded push is whole: all that points into it points at something. No text comes from nowhere.
pub fn check(decoded: &Decoded, input: usize) {
    check_sets(decoded);
    // A byte that is not UTF-8 may become three.
    let text = decoded.batch.text.len();
    assert!(text <= 3 * input, "{text} bytes of {input}");
}

/// Checks that all that points into a decoded push points at something.
pub fn check_sets(decoded: &Decoded) {
    let batch = &decoded.batch;
    assert!(batch.metadata.first().is_some_and(Pairs::is_empty), "index 0 is the empty metadata");
    assert!(decoded.invalid <= batch.entries.len() as u64);
    for entry in &batch.entries {
        assert!((entry.stream as usize) < batch.streams.len(), "a stream that is not there");
        assert!((entry.metadata as usize) < batch.metadata.len(), "metadata that is not there");
        let end = entry.start as usize + entry.length as usize;
        assert!(end <= batch.text.len(), "text that is not there");
    }
    for pairs in batch.streams.iter().chain(&batch.metadata) {
        assert!(pairs.windows(2).all(|two| two[0].0 < two[1].0), "names ascend: {pairs:?}");
    }
}

/// The lines of a batch, whatever the order of its streams.
pub fn sorted(batch: &Batch) -> Vec<(&Pairs, i64, &[u8], &Pairs)> {
    let mut lines: Vec<_> = batch
        .entries
        .iter()
        .map(|entry| {
            let labels = &batch.streams[entry.stream as usize];
            let metadata = &batch.metadata[entry.metadata as usize];
            (labels, entry.timestamp, batch.line(entry), metadata)
        })
        .collect();
    lines.sort_unstable();
    lines
}
