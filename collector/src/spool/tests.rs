//! Both ends together, and what a crash leaves.

use super::*;
use crate::chunk::{Adoption, Chunk, Release};

fn config(directory: &Path, size: u64) -> SpoolConfig {
    SpoolConfig { directory: directory.join("spool"), size }
}

fn open(config: &SpoolConfig) -> Spool {
    Spool::open(config, LineRules::default(), "0123456789abcdef".repeat(2)).unwrap()
}

fn chunk(now: i64, size: usize) -> Chunk {
    Chunk { now, bytes: vec![now as u8; size], ..Chunk::default() }
}

/// What can be read without waiting: times of chunks, 0 for a new segment.
fn read(spool: &mut Spool) -> Vec<i64> {
    let mut read = Vec::new();
    loop {
        match spool.reader.next(Duration::ZERO).unwrap() {
            SpoolNext::Chunk(chunk) => {
                assert!(chunk.bytes.iter().all(|&byte| byte == chunk.now as u8));
                read.push(chunk.now);
            }
            SpoolNext::Segment => read.push(-1),
            SpoolNext::Nothing | SpoolNext::Over => return read,
        }
    }
}

#[test]
fn what_was_put_is_read_again_after_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path(), 1 << 20);
    let mut spool = open(&config);
    for now in 1..=3 {
        spool.writer.put(chunk(now, 100), 5);
    }
    assert!(spool.writer.safe().is_some());
    assert_eq!(read(&mut spool), [1, 2, 3]);
    assert!(matches!(
        Spool::open(&config, LineRules::default(), String::new()),
        Err(CollectorError::Busy { .. })
    ));
    spool.reader.acknowledge(7).unwrap();
    let source = spool.source.clone();
    drop(spool);
    let mut again = open(&config);
    assert_eq!((&again.source, again.reader.acknowledged()), (&source, 7));
    assert_eq!(again.writer.next_ring(), 5);
    assert_eq!(read(&mut again), [1, 2, 3]);
}

#[test]
fn segments_go_when_their_lines_are_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path(), 8000);
    let mut spool = open(&config);
    let adoption = Adoption { ring: 4, name: "a.ring".to_owned(), ..Adoption::default() };
    spool.writer.put(Chunk { adoptions: vec![adoption], ..chunk(1, 1200) }, 5);
    let release = Release::Tail { ring: 4, lane: 2, position: 64 };
    spool.writer.put(Chunk { releases: vec![release], ..chunk(2, 1200) }, 5);
    spool.writer.put(chunk(3, 1200), 5);
    let mut lines = 0;
    loop {
        match spool.reader.next(Duration::ZERO).unwrap() {
            SpoolNext::Chunk(_) => lines += 10,
            SpoolNext::Segment => spool.reader.begin(format!("after {lines}").into_bytes(), lines),
            SpoolNext::Nothing | SpoolNext::Over => break,
        }
    }
    spool.reader.acknowledge(15).unwrap();
    // The first segment held ten lines; the second's twenty are not all acknowledged.
    assert_eq!(list(&config.directory).unwrap(), [2, 3]);
    drop(spool);
    let mut again = open(&config);
    let state = again.reader.first_state().unwrap();
    assert!(matches!(state, FirstState::Known(state) if state == b"after 10"));
    assert_eq!(again.writer.find("a.ring", 0).unwrap().tails, [0, 0, 64]);
    // The first chunk of a segment only says where the rings are.
    assert_eq!(read(&mut again), [0, 2, -1, 0, 3]);
}

#[test]
fn a_full_spool_takes_more_once_lines_are_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&config(directory.path(), 8000));
    for now in 1..=9 {
        spool.writer.put(chunk(now, 1000), 1);
    }
    assert!(spool.writer.is_full());
    let mut taken = 0;
    while spool.writer.safe().is_some() {
        taken += 1;
    }
    assert!((6..8).contains(&taken), "{taken}");
    while !matches!(spool.reader.next(Duration::ZERO).unwrap(), SpoolNext::Nothing) {
        spool.reader.begin(Vec::new(), 0);
    }
    spool.reader.acknowledge(1).unwrap();
    spool.writer.retry();
    assert!(!spool.writer.is_full());
}

#[test]
fn a_frame_that_was_cut_off_is_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path(), 1 << 20);
    let path = segment_path(&config.directory, 1);
    let mut spool = open(&config);
    spool.writer.put(chunk(1, 100), 1);
    let first = fs::metadata(&path).unwrap().len();
    spool.writer.put(chunk(2, 100), 1);
    let whole = fs::metadata(&path).unwrap().len();
    drop(spool);
    for cut in [first, first + 1, first + 20, whole - 1] {
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(cut).unwrap();
        let mut again = open(&config);
        assert_eq!(read(&mut again), [1], "cut at {cut}");
        again.writer.put(chunk(2, 100), 1);
        assert_eq!(read(&mut again), [2]);
        assert_eq!(fs::metadata(&path).unwrap().len(), whole);
    }
    // Nothing but a piece of the header: as if the segment had not been begun.
    File::options().write(true).open(&path).unwrap().set_len(5).unwrap();
    assert_eq!(read(&mut open(&config)), Vec::<i64>::new());
}

#[test]
fn other_rules_wait_until_the_spool_is_new() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path(), 1 << 20);
    drop(open(&config));
    let rules = LineRules { longest: 5, collapse_progress: true, ..LineRules::default() };
    let spool = Spool::open(&config, rules, String::new()).unwrap();
    assert_eq!(spool.rules, LineRules::default());
    assert_eq!(spool.source, "0123456789abcdef".repeat(2));
}

#[test]
fn the_rules_of_a_spool_are_kept_with_it_also_whether_progress_is_collapsed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("source");
    for collapse_progress in [false, true] {
        let rules = LineRules { longest: 7, collapse_progress, ..LineRules::default() };
        let source = "0123456789abcdef".repeat(2);
        write_source(&File::create(&path).unwrap(), &source, rules).unwrap();
        assert_eq!(read_source(&path).unwrap(), Some((source, rules)));
    }
}

#[test]
fn a_changed_byte_ends_the_segment() {
    use std::os::unix::fs::FileExt as _;
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path(), 1 << 20);
    let mut spool = open(&config);
    for now in 1..=3 {
        spool.writer.put(chunk(now, 100), 1);
    }
    drop(spool);
    let path = segment_path(&config.directory, 1);
    let length = fs::metadata(&path).unwrap().len();
    let file = File::options().write(true).open(&path).unwrap();
    file.write_all_at(b"x", length - 150).unwrap();
    assert_eq!(read(&mut open(&config)), [1]);
}

#[test]
fn a_state_that_cannot_be_written_is_written_later() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path(), 8000);
    let mut spool = open(&config);
    for now in 1..=2 {
        spool.writer.put(chunk(now, 1200), 1);
    }
    loop {
        match spool.reader.next(Duration::ZERO).unwrap() {
            SpoolNext::Chunk(_) => {}
            SpoolNext::Segment => spool.reader.begin(b"state".to_vec(), 10),
            SpoolNext::Nothing | SpoolNext::Over => break,
        }
    }
    // As on a full disk, whoever is root.
    let obstacle = config.directory.join("00000002.state.tmp");
    fs::create_dir(&obstacle).unwrap();
    assert!(spool.reader.acknowledge(20).is_err());
    assert_eq!(list(&config.directory).unwrap(), [1, 2], "nothing goes before the state is there");
    fs::remove_dir(&obstacle).unwrap();
    spool.reader.acknowledge(20).unwrap();
    assert_eq!(list(&config.directory).unwrap(), [2]);
    assert!(state_path(&config.directory, 2).exists());
}
