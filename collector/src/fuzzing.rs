//! What the fuzz targets of this crate do: each takes bytes, makes something hostile of them, and checks what must
//! hold whatever they are. Compiled for `cfg(fuzzing)` and for the crate's own tests, which replay the corpora.
//!
//! Most inputs are scripts: the bytes say what a writer does, what somebody else spoils, and when the
//! collector looks. So a mutation of the input is another course of events, not only another byte in a file.

mod lines;
mod ring;
mod spool;
mod tap;

pub use lines::{assembler, lines};
pub use ring::ring;
pub use spool::spool;
pub use tap::{control, tap};

/// Reads a script from bytes; whatever is missing at the end is zero.
struct Script<'a> {
    rest: &'a [u8],
}

impl<'a> Script<'a> {
    const fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    fn is_over(&self) -> bool {
        self.rest.is_empty()
    }

    fn byte(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    fn short(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    fn word(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    fn long(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// At most so many bytes.
    fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(length.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let bytes = self.bytes(N);
        array[..bytes.len()].copy_from_slice(bytes);
        array
    }
}

/// A directory in memory, gone with the value.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new() -> Self {
        use std::sync::atomic::{AtomicU32, Ordering};
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("/dev/shm/logtap-fuzz-{}-{number}", std::process::id());
        std::fs::create_dir(&name).expect("a directory in /dev/shm");
        Self(name.into())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What a killed process leaves in /dev/shm is lost memory; what remains here would be as well.
        std::fs::remove_dir_all(&self.0).expect("the scratch directory goes");
    }
}

#[cfg(test)]
mod tests {
    /// Every input that was kept is harmless. `fuzz/run` does the same with instrumentation and goes on from there.
    fn replay(target: &str, run: impl Fn(&[u8])) {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/");
        let mut inputs = 0;
        for entry in std::fs::read_dir(corpus.to_owned() + target).expect("a corpus") {
            run(&std::fs::read(entry.expect("an entry").path()).expect("an input"));
            inputs += 1;
        }
        assert!(inputs > 0, "the corpus of `{target}` is empty");
        run(b"");
    }

    #[test]
    fn the_corpora_are_harmless() {
        replay("ring", super::ring);
        replay("tap", super::tap);
        replay("lines", super::lines);
        replay("assembler", super::assembler);
        replay("spool", super::spool);
        replay("control", super::control);
    }
}
