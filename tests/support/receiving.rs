//! Receivers of one test, numbered lines for them, and what is left when they have ended.

use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use super::capture;
use super::faulty_disk::FaultyDisk;
use super::pushing::push;
use super::running::Service;
use super::workspace::{command, logtap};

/// A receiver that listens.
pub(crate) fn receiver(port: u16, directory: &Path, options: &[&str]) -> Service {
    start(port, directory, options, None)
}

/// One whose files are on a disk with faults.
pub(crate) fn receiver_on(
    disk: &FaultyDisk,
    port: u16,
    directory: &Path,
    options: &[&str],
) -> Service {
    start(port, directory, options, Some(disk))
}

fn start(port: u16, directory: &Path, options: &[&str], disk: Option<&FaultyDisk>) -> Service {
    let mut receiver = command(logtap());
    receiver.args(["recv", "--headless", "--listen", &format!("127.0.0.1:{port}"), "--dir"]);
    receiver.arg(directory).args(options);
    if let Some(disk) = disk {
        disk.under(&mut receiver);
    }
    let receiver = Service::start(receiver, Path::new("/"));
    receiver.wait_for_port(port);
    receiver
}

/// Stops it and gives what it has said.
pub(crate) fn said(receiver: Service) -> String {
    let outcome = receiver.stop(Signal::TERM, &[]);
    assert!(outcome.status.success(), "{outcome:?}");
    String::from_utf8(outcome.stderr).expect("text")
}

/// What a capture says about itself.
pub(crate) fn metadata(directory: &Path) -> Value {
    let text = std::fs::read(directory.join("metadata.json")).expect("metadata");
    serde_json::from_slice(&text).expect("JSON")
}

/// The objects of a file of a capture that has one in a line.
pub(crate) fn objects(directory: &Path, name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(directory.join(name)).expect(name);
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Ten lines that no compressor can make much of.
pub(crate) fn lines(first: u64) -> Vec<String> {
    (first..first + 10)
        .map(|number| {
            let mut state = number + 1;
            let noise: String = (0..400)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    char::from(b'a' + (state >> 59) as u8 % 26)
                })
                .collect();
            format!("{number} {noise}")
        })
        .collect()
}

/// Pushes batches of such lines; gives the numbers of the lines that were acknowledged, and how many
/// pushes were put off.
pub(crate) fn push_many(port: u16, pushes: u64) -> (Vec<u64>, u64) {
    let (mut stored, mut refused) = (Vec::new(), 0);
    for number in 0..pushes {
        let lines = lines(number * 10);
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let answer = push(port, 1 + number * 10, &lines);
        match answer.status {
            204 => stored.extend(number * 10..number * 10 + 10),
            429 => refused += 1,
            _ => panic!("{answer:?}"),
        }
    }
    (stored, refused)
}

/// The numbers of the lines of a capture.
pub(crate) fn stored(directory: &Path) -> Vec<u64> {
    capture::read(directory).iter().map(|line| number(&line.text)).collect()
}

/// The number of a line.
pub(crate) fn number(text: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(text);
    text.split(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}
