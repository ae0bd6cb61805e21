//! What becomes of numbered lines: nobody's are lost, and what is sent again is stored once.

use logtap_capture::{Capture, Filter};

use super::*;
use crate::StoreOptions;

const NAME: &str = "00112233445566778899aabbccddeeff";

struct Receiver {
    directory: tempfile::TempDir,
    store: Store,
    sources: Sources,
}

impl Receiver {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::create(directory.path(), StoreOptions::default()).unwrap();
        Self { directory, store, sources: Sources::default() }
    }

    /// The same capture under another receiver.
    fn again(self) -> Self {
        let Self { directory, store, .. } = self;
        drop(store);
        let store = Store::create(directory.path(), StoreOptions::default()).unwrap();
        Self { directory, store, sources: Sources::default() }
    }

    /// What becomes of the lines `first..=last` of a sender.
    fn push(&self, sender: &str, first: u64, last: u64) -> Taken {
        self.sources.append(&self.store, &mut batch(NAME, sender, first, last)).unwrap()
    }

    fn lines(self) -> Vec<String> {
        self.store.close().unwrap();
        let mut lines = Vec::new();
        Capture::open(self.directory.path()).unwrap().read(&Filter::default(), |line| {
            lines.push(line.unwrap().message.to_string());
            std::ops::ControlFlow::Continue(())
        });
        lines
    }
}

fn batch(name: &str, sender: &str, first: u64, last: u64) -> Batch {
    let mut batch = Batch::new();
    batch.streams.push(vec![("app".into(), "web".into())]);
    for number in first..=last {
        batch.push(0, number as i64, 0, format!("{sender}{number}").as_bytes());
    }
    batch.origin = Some(Origin { source: name.to_owned(), first, last });
    batch
}

fn numbered(sender: &str, first: u64, last: u64) -> Vec<String> {
    (first..=last).map(|number| format!("{sender}{number}")).collect()
}

#[test]
fn a_capture_does_not_tell_the_name_that_moves_a_mark() {
    let receiver = Receiver::new();
    receiver.push("a", 1, 9);
    let shown = stored_name(NAME);
    let files = std::fs::read_dir(receiver.directory.path()).unwrap();
    let text: String =
        files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    assert!(text.contains(&shown) && !text.contains(NAME), "{text}");
    assert_eq!(shown.len(), NAME.len());
    // Who has read the capture sends with far numbers as what stands in it.
    let far = &mut batch(&shown, "x", 1_000, 1_000);
    assert_eq!(receiver.sources.append(&receiver.store, far).unwrap().lines, 1);
    assert_eq!(receiver.push("a", 10, 20).lines, 11);
    let receiver = receiver.again();
    assert_eq!(receiver.push("a", 15, 30).lines, 10, "nor after a new start");
    let expected = [numbered("a", 1, 9), numbered("x", 1_000, 1_000), numbered("a", 10, 30)];
    assert_eq!(receiver.lines(), expected.concat());
}

#[test]
fn lines_sent_again_are_stored_once_in_whatever_batches() {
    let mut receiver = Receiver::new();
    for (first, last, lines) in [(1, 100, 100), (1, 100, 0), (50, 150, 50), (90, 140, 0)] {
        let Taken { lines: stored, missing, clashes, .. } = receiver.push("a", first, last);
        assert_eq!((stored, missing, clashes), (lines, 0, 0), "{first} to {last}");
    }
    receiver = receiver.again();
    assert_eq!(receiver.push("a", 140, 160).lines, 10);
    assert_eq!(receiver.push("a", 5_161, 5_160 + 4_000).missing, 5_000);
    assert_eq!(receiver.lines().len(), 160 + 4_000);
}

#[test]
fn a_gap_is_told_and_what_comes_late_is_stored() {
    let receiver = Receiver::new();
    assert_eq!(receiver.push("a", 7, 9).missing, 0, "it is heard of for the first time");
    assert_eq!(receiver.push("a", 21, 30).missing, 11);
    assert_eq!(receiver.push("a", 12, 14).lines, 3);
    assert_eq!(receiver.push("a", 12, 14).lines, 0);
    assert_eq!(receiver.push("a", 15, 35).lines, 6 + 5);
    assert_eq!(receiver.push("a", 10, 11).lines, 2);
    let mut lines = receiver.lines();
    lines.sort_by_key(|line| line[1..].parse::<u64>().unwrap());
    assert_eq!(lines, numbered("a", 7, 35));
}

#[test]
fn a_copied_state_is_noticed_and_nobody_s_lines_are_lost() {
    let receiver = Receiver::new();
    receiver.push("a", 1, 10);
    // From here on there are two, of which one is far slower.
    assert_eq!(receiver.push("a", 11, 5_000).clashes, 0);
    let taken = receiver.push("b", 11, 200);
    assert_eq!((taken.lines, taken.clashes), (190, 190));
    assert_eq!(
        receiver.push("a", 4_990, 5_010),
        Taken { lines: 10, bytes: 50, ..Taken::default() }
    );
    assert_eq!(receiver.push("b", 201, 210).lines, 10);
    assert_eq!(receiver.push("b", 211, 211).lines, 1);
    let lines = receiver.lines();
    for (sender, first, last) in [("a", 1, 5_010), ("b", 11, 211)] {
        let all = numbered(sender, first, last);
        assert_eq!(lines.iter().filter(|line| line.starts_with(sender)).count(), all.len());
        assert!(all.iter().all(|line| lines.contains(line)), "{sender}");
    }
}

#[test]
fn a_name_that_an_older_capture_shows_moves_its_mark_by_what_follows_only() {
    let receiver = Receiver::new();
    receiver.store.append(&batch(NAME, "a", 1, 10)).unwrap();
    let receiver = receiver.again();
    assert_eq!(
        receiver.push("x", 1_000, 1_000),
        Taken { lines: 1, bytes: 5, missing: 989, clashes: 0 }
    );
    assert_eq!(receiver.push("a", 5, 12).lines, 2, "it goes on where it was");
    let receiver = receiver.again();
    assert_eq!(receiver.push("x", 1_000, 1_000).missing, 987);
    assert_eq!(receiver.push("a", 12, 14).lines, 2);
    assert_eq!(receiver.lines().len(), 14 + 2);
}

#[test]
fn sources_are_forgotten_when_they_are_too_many() {
    let receiver = Receiver::new();
    for number in 0..2 * MAX_HEARD {
        let name = format!("{number:032x}");
        receiver.sources.append(&receiver.store, &mut batch(&name, "a", 1, 2)).unwrap();
        assert_eq!(receiver.push("a", number as u64 + 1, number as u64 + 1).lines, 1);
        assert!(lock(&receiver.sources.heard).sources.len() <= MAX_HEARD);
    }
    let first = &mut batch(&format!("{:032x}", 0), "a", 1, 2);
    assert_eq!(receiver.sources.append(&receiver.store, first).unwrap().lines, 0);
}
