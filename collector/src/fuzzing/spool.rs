//! A spool that is written, damaged and opened again: what lies before the damage is read as it was, in order, and
//! afterwards the spool works.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use super::{Scratch, Script};
use crate::chunk::{Adoption, Chunk, Release};
use crate::config::{LineRules, SpoolConfig};
use crate::labels::LabelRules;
use crate::resume;
use crate::spool::{Spool, SpoolNext};

/// So large that some segments are begun, and so small that one input fills it.
const SIZE: u64 = 16 << 10;

/// Runs a script on one spool.
pub fn spool(data: &[u8]) {
    let scratch = Scratch::new();
    let config = SpoolConfig { directory: scratch.0.join("spool"), size: SIZE };
    let mut script = Script::new(data);
    let written = write(&config, &mut script);
    let places = places(&config);
    let Some(damage) = damage(&config, &mut script, &places) else {
        return compare(&config, &written, written.len());
    };
    // Chunks lie in the segments in order; the damage spares those that end before it.
    let spared = spared(&written, &damage);
    compare(&config, &written, spared);
}

/// A chunk as it was put, and where it ended: segment and offset.
struct Written {
    now: i64,
    bytes: Vec<u8>,
    end: (u64, u64),
}

fn open(config: &SpoolConfig) -> Spool {
    let source = "0123456789abcdef".repeat(2);
    Spool::open(config, LineRules::default(), source).expect("damaged or not, it is opened")
}

/// Puts chunks until the script says enough or the spool is full.
fn write(config: &SpoolConfig, script: &mut Script<'_>) -> Vec<Written> {
    let mut spool = open(config);
    let mut written = Vec::new();
    for now in 1..=i64::from(script.byte() % 24) {
        let length = usize::from(script.short() % 3000);
        let fill = script.byte();
        let mut chunk = Chunk { now, bytes: vec![fill; length], ..Chunk::default() };
        if fill.is_multiple_of(3) {
            let name = format!("{now}.ring");
            let ring = u32::from(fill);
            chunk.adoptions.push(Adoption { ring, name, tails: vec![1; 4], ..Adoption::default() });
            chunk.releases.push(Release::Tail { ring, lane: 1, position: length as u64 });
        }
        let bytes = chunk.bytes.clone();
        spool.writer.put(chunk, now as u32);
        if spool.writer.is_full() {
            // It stays in its ring.
            break;
        }
        assert!(spool.writer.safe().is_some_and(|chunk| chunk.bytes == bytes));
        let end = places(config).last().copied().expect("a segment");
        written.push(Written { now, bytes, end });
    }
    written
}

/// The segments and their lengths.
fn places(config: &SpoolConfig) -> Vec<(u64, u64)> {
    let mut places: Vec<(u64, u64)> = fs::read_dir(&config.directory)
        .expect("the spool")
        .filter_map(|entry| {
            let entry = entry.expect("an entry");
            let name = entry.file_name().into_string().expect("a plain name");
            let number = name.strip_suffix(".spool")?.parse().expect("a number");
            Some((number, entry.metadata().expect("a file").len()))
        })
        .collect();
    places.sort_unstable();
    places
}

/// Spoils one place of one segment, or a file beside them. Where it was; nowhere for `None`.
fn damage(
    config: &SpoolConfig,
    script: &mut Script<'_>,
    places: &[(u64, u64)],
) -> Option<(u64, u64)> {
    let kind = script.byte();
    let (segment, length) = *places.get(usize::from(script.byte()) % places.len().max(1))?;
    let at = u64::from(script.short()) % (length + 1);
    let path = config.directory.join(format!("{segment:08}.spool"));
    let file = File::options().write(true).open(&path).expect("a segment");
    match kind % 8 {
        0 => return None,
        1 => {
            let bytes = script.bytes(64);
            file.write_all_at(bytes, at).expect("memory");
        }
        2 => file.set_len(at).expect("memory"),
        3 => {
            // A machine that crashed: the length is there, the bytes are not.
            file.set_len(at).expect("memory");
            file.set_len(length).expect("memory");
        }
        4 => {
            file.write_all_at(script.bytes(4096), length).expect("memory");
            return Some((segment, length));
        }
        5 => {
            fs::remove_file(&path).expect("a segment");
            return Some((segment, 0));
        }
        6 => {
            let state = config.directory.join(format!("{segment:08}.state"));
            fs::write(state, script.bytes(256)).expect("memory");
            // The segments before it are taken for delivered.
            return Some((0, 0));
        }
        _ => {
            let name = ["source", "acknowledged"][usize::from(kind / 8 % 2)];
            fs::write(config.directory.join(name), script.bytes(256)).expect("memory");
            return Some((0, 0));
        }
    }
    Some((segment, at))
}

/// How many chunks ended before the damage.
fn spared(written: &[Written], damage: &(u64, u64)) -> usize {
    written.iter().take_while(|chunk| chunk.end <= *damage).count()
}

/// Opens the spool again, reads it to its end, and uses it once more.
fn compare(config: &SpoolConfig, written: &[Written], spared: usize) {
    let mut spool = open(config);
    resume::assembler(&mut spool, &config.directory, &LabelRules::new(&[]), false)
        .expect("an assembler for whatever is there");
    let held: u64 = places(config).iter().map(|(_, length)| length).sum();
    let read = read(&mut spool);
    let total: usize = read.iter().map(|chunk| chunk.bytes.len()).sum();
    assert!(total as u64 <= held, "more was read than is there");
    for (chunk, expected) in read.iter().zip(&written[..spared]) {
        assert_eq!((chunk.now, &chunk.bytes), (expected.now, &expected.bytes));
    }
    assert!(read.len() >= spared, "{} of {spared} chunks", read.len());
    let next = Chunk { now: 1 << 40, bytes: b"after".to_vec(), ..Chunk::default() };
    spool.writer.put(next, 1 << 20);
    if spool.writer.is_full() {
        return;
    }
    let again = self::read(&mut spool);
    assert_eq!(again.last().map(|chunk| &chunk.bytes[..]), Some(&b"after"[..]));
}

fn read(spool: &mut Spool) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    loop {
        match spool.reader.next(Duration::ZERO) {
            // Each segment begins with one that tells of the rings only.
            Ok(SpoolNext::Chunk(chunk)) if chunk.now == 0 => {}
            Ok(SpoolNext::Chunk(chunk)) => chunks.push(chunk),
            Ok(SpoolNext::Segment) => {}
            Ok(SpoolNext::Nothing | SpoolNext::Over) => return chunks,
            Err(error) => panic!("an opened spool is readable: {error}"),
        }
    }
}
