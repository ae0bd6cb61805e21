//! What the preload library costs, against the plain call, in one run: `cargo bench --bench preload`.
//!
//! The program starts itself as the tapped program. What counts for a call is processor time. Where the kernel's own call
//! is noise, `write` is replaced by a stub that a second preload brings (needs `cc`; left out where that is missing).
//!
//! `cargo bench --bench preload -- SECTION... --rounds N --quick` measures a part of the table; `--help` lists the
//! sections. `--other LIBRARY`, or `LIBLOGTAP` in the environment, names a liblogtap.so that is measured beside ours.
//! A target that a library does not take is said to be so, never shown as a figure.
#![expect(unsafe_code, reason = "calls write directly, as the programs do whose cost is measured")]
#![expect(clippy::print_stdout, reason = "the table is the product of a bench")]
#![expect(clippy::print_stderr, reason = "bad arguments are told apart from the table")]

#[path = "preload/child.rs"]
mod child;
#[path = "preload/options.rs"]
mod options;
#[path = "preload/stage.rs"]
mod stage;
#[path = "preload/table.rs"]
mod table;

use std::process::ExitCode;

use crate::options::{Options, usage};
use crate::stage::Stage;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if child::run(&words) {
        return ExitCode::SUCCESS;
    }
    if words.iter().any(|word| word == "--help") {
        println!("{}", usage());
        return ExitCode::SUCCESS;
    }
    let options = match Options::read() {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("error: {problem}\n{}", usage());
            return ExitCode::from(2);
        }
    };
    let stage = Stage::new(options.other.clone());
    let measures: [fn(&Stage, &Options); 9] = [
        table::writes,
        table::instructions,
        table::untapped,
        table::suppressed,
        table::first,
        table::load,
        table::exec,
        table::start,
        table::memory,
    ];
    for ((section, _), measure) in options::SECTIONS.iter().zip(measures) {
        if options.wants(section) {
            measure(&stage, &options);
        }
    }
    ExitCode::SUCCESS
}
