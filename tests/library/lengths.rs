//! Writes of every length, since bytes are copied in another way for nearly each: what the ring holds is what was written.

use std::process::Stdio;

use super::tap::Tap;
use crate::support::machine::require;

#[test]
fn a_write_of_any_length_is_copied_whole() {
    let Some(perl) = require("perl") else { return };
    let tap = Tap::new();
    let (_reader, writer) = super::tap::pipe();
    // 45 KB together: what a pipe holds without a reader.
    let script = "my $all = join '', map { chr(33 + $_ * 7 % 89) } 0..400; \
                  syswrite STDOUT, substr($all, $_ % 64, $_) for 1..300;";
    let mut command = tap.command(&perl, &writer);
    let status = command.args(["-e", script]).stdin(Stdio::null()).status().expect("it runs");
    assert!(status.success());
    let all: Vec<u8> = (0..=400_u32).map(|at| (33 + at * 7 % 89) as u8).collect();
    let drained = tap.read();
    assert_eq!((drained.records.len(), drained.lost), (300, 0));
    for (record, length) in drained.records.iter().zip(1..=300) {
        assert_eq!(record.payload, all[length % 64..length % 64 + length], "of length {length}");
    }
}
