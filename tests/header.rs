//! The C header of the wire format is what cbindgen makes of the crate, and C agrees with Rust about it.
//!
//! After a change of `crates/wire`: `LOGTAP_UPDATE=1 cargo test --test logtap-tests -- header`.

use std::path::Path;
use std::process::Command;

use crate::support::machine::require;

const HEADER: &str = "preload/include/logtap_wire.h";

#[test]
fn the_c_header_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let wire = root.join("crates/wire");
    let config =
        cbindgen::Config::from_file(wire.join("cbindgen.toml")).expect("the configuration");
    let bindings = cbindgen::Builder::new()
        .with_config(config)
        .with_src(wire.join("src/lib.rs"))
        .with_src(wire.join("src/control.rs"))
        .with_src(wire.join("src/record.rs"))
        .with_src(wire.join("src/ring.rs"))
        .with_src(wire.join("src/ring/lane.rs"))
        .with_src(wire.join("src/frame.rs"))
        .generate()
        .expect("a header");
    let mut made = Vec::new();
    bindings.write(&mut made);
    // cbindgen puts its prefix before names that have one already.
    let made = String::from_utf8(made).expect("text");
    let made = made.replace("LOGTAP_logtap_", "logtap_").replace("LOGTAP_LOGTAP_", "LOGTAP_");
    let path = root.join(HEADER);
    if std::env::var_os("LOGTAP_UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        std::fs::write(&path, &made).expect("the header");
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(there, made, "{HEADER} is out of date");
}

#[test]
fn c_sees_the_same_layout() {
    let Some(compiler) = require("cc") else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let program = directory.path().join("layout");
    let source = directory.path().join("layout.c");
    let code = r#"
#include <stddef.h>
#include <stdio.h>
#include "logtap_wire.h"
int main(void) {
    printf("%zu %zu %zu %zu %zu %zu\n", sizeof(struct logtap_lane), offsetof(struct logtap_lane, tail),
        sizeof(struct logtap_stream_slot), offsetof(struct logtap_ring_header, coverage),
        offsetof(struct logtap_ring_header, lease), offsetof(struct logtap_control_page, collector));
    printf("%zu %d\n", offsetof(struct logtap_record_header, lost_bytes), LOGTAP_HEADER_SIZE);
}
"#;
    std::fs::write(&source, code).expect("the source");
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("preload/include");
    let status = Command::new(compiler)
        .args(["-Wall", "-Werror", "-std=c11", "-I"])
        .arg(include)
        .arg(&source)
        .arg("-o")
        .arg(&program)
        .status()
        .expect("the compiler");
    assert!(status.success());
    let output = Command::new(&program).output().expect("the program");
    let text = String::from_utf8(output.stdout).expect("text");
    use logtap_wire::{control, record, ring};
    let expected = format!(
        "{} {} {} {} {} {}\n{} {}\n",
        size_of::<ring::Lane>(),
        ring::TAIL_OFFSET,
        size_of::<ring::StreamSlot>(),
        ring::COVERAGE_OFFSET,
        ring::LEASE_OFFSET,
        control::EPOCH_OFFSET,
        std::mem::offset_of!(record::RecordHeader, lost_bytes),
        record::HEADER_SIZE,
    );
    assert_eq!(text, expected);
}
