//! The files of a capture that somebody else made: see `crates/capture/src/fuzzing.rs`.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

/// In memory where that is possible: it is written anew for each input.
static DIRECTORY: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let parent = if memory.is_dir() { memory } else { std::env::temp_dir() };
    parent.join(format!("logtap-fuzz-{}", std::process::id()))
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| logtap_fuzz::bounded(|| {
    logtap_capture::fuzzing::directory(data, &DIRECTORY);
}));
