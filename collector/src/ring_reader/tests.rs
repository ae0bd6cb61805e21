//! A ring made by hand, as bytes in a file.

use logtap_wire::ring::{Header, RING_MAGIC, StreamSlot};

use super::*;

mod interleaving;

const GEOMETRY: Geometry = Geometry { lanes: 4, lane_size: 4096 };

struct RingOnDisk {
    _directory: tempfile::TempDir,
    file: File,
}

impl RingOnDisk {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(directory.path().join("a.ring"))
            .unwrap();
        let mut bytes = vec![0; GEOMETRY.file_size() as usize];
        let mut put = |at: usize, word: &[u8]| bytes[at..at + word.len()].copy_from_slice(word);
        put(std::mem::offset_of!(Header, magic), &RING_MAGIC.to_ne_bytes());
        put(std::mem::offset_of!(Header, version), &logtap_wire::VERSION.to_ne_bytes());
        put(std::mem::offset_of!(Header, data_offset), &(DATA_OFFSET as u32).to_ne_bytes());
        put(std::mem::offset_of!(Header, lanes), &GEOMETRY.lanes.to_ne_bytes());
        put(std::mem::offset_of!(Header, lane_size), &GEOMETRY.lane_size.to_ne_bytes());
        file.write_all_at(&bytes, 0).unwrap();
        Self { _directory: directory, file }
    }

    fn reader(&self) -> RingReader {
        let file = self.file.try_clone().unwrap();
        let size = GEOMETRY.file_size();
        RingReader::adopt("a.ring", RingFile { file, size, blocks: size / 512, inode: 1 }).unwrap()
    }

    fn set_word(&self, lane: u32, word: u64) {
        self.file.write_all_at(&word.to_ne_bytes(), Geometry::lane_offset(lane) as u64).unwrap();
    }

    /// Puts a record around the lane's end and publishes it; the new head.
    fn put(&self, lane: u32, head: u64, ticket: u64, payload: &[u8]) -> u64 {
        let length = payload.len() as u32;
        let header = RecordHeader { length, ticket, ..RecordHeader::default() };
        let mut bytes: Vec<u8> =
            header.to_words().iter().flat_map(|word| word.to_ne_bytes()).collect();
        bytes.extend_from_slice(payload);
        bytes.resize(size_of_record(payload.len()), 0);
        for (at, byte) in (head..).zip(&bytes) {
            let at = GEOMETRY.data_offset(lane) + at % u64::from(GEOMETRY.lane_size);
            self.file.write_all_at(&[*byte], at).unwrap();
        }
        let head = head + bytes.len() as u64;
        self.set_word(lane, head << 1);
        head
    }

    fn tail(&self, lane: u32) -> u64 {
        read_word(&self.file, (Geometry::lane_offset(lane) + TAIL_OFFSET) as u64).unwrap()
    }
}

#[test]
fn a_record_goes_around_the_end_and_its_tail_waits_for_it() {
    let ring = RingOnDisk::new();
    let mut reader = ring.reader();
    let first = ring.put(2, 0, 1, &[b'a'; 3000]);
    assert!({
        reader.look().unwrap();
        reader.has_news(2) && !reader.has_news(1)
    });
    reader.read_lane(2, |_, _| true).unwrap();
    assert_eq!(reader.promises().collect::<Vec<_>>(), [(2, first)]);
    assert_eq!(reader.promises().count(), 0, "promised once");
    reader.release(2, first).unwrap();
    assert_eq!(ring.tail(2), first);
    let second = ring.put(2, first, 2, &[b'b'; 2000]);
    let mut held = Vec::new();
    reader
        .read_lane(2, |parsed, payload| {
            assert_eq!(payload, [b'b'; 2000]);
            held.push(*parsed);
            false
        })
        .unwrap();
    assert_eq!(reader.promises().count(), 0, "it is not taken yet");
    assert!(reader.is_pressed() || reader.buffered() > 0);
    assert_eq!(reader.take(&held[0]), [b'b'; 2000]);
    assert_eq!(reader.promises().collect::<Vec<_>>(), [(2, second)]);
}

#[test]
fn records_that_wait_hold_the_tail_in_any_order() {
    let ring = RingOnDisk::new();
    let mut reader = ring.reader();
    let mut heads = vec![0];
    for ticket in 1..=3 {
        heads.push(ring.put(0, heads[ticket as usize - 1], ticket, b"x"));
    }
    let mut held = Vec::new();
    reader
        .read_lane(0, |parsed, _| {
            held.push(*parsed);
            false
        })
        .unwrap();
    reader.take(&held[1]);
    assert_eq!(reader.positions(), [0; 4]);
    reader.take(&held[0]);
    assert_eq!(reader.positions()[0], heads[2]);
    let mut again = ring.reader();
    again.resume(&[heads[1]]);
    assert_eq!(again.read_lane(0, |_, _| true).unwrap(), heads[3] - heads[1]);
}

#[test]
fn a_ring_with_most_lanes_stuck_is_retired_once() {
    let ring = RingOnDisk::new();
    let mut reader = ring.reader();
    let mut look = |now| {
        reader.look().unwrap();
        reader.retire_if_stuck(now).unwrap()
    };
    for lane in 0..3 {
        ring.set_word(lane, 1);
    }
    assert!(!look(10));
    assert!(!look(10 + STUCK_AFTER));
    // One goes on: only two of four have been stuck for long.
    ring.set_word(2, 8 << 1 | 1);
    assert!(!look(11 + STUCK_AFTER));
    assert!(look(12 + 2 * STUCK_AFTER));
    assert!(!look(13 + 3 * STUCK_AFTER), "said once");
    let mut state = [0; 4];
    ring.file.read_exact_at(&mut state, STATE_OFFSET as u64).unwrap();
    assert_eq!(u32::from_ne_bytes(state), STATE_RETIRED);
}

#[test]
fn hostile_words_are_told_from_records() {
    for (word, expected) in [
        ((1_u64 << 62) << 1, "lane 1 has an impossible head"),
        (12 << 1, "lane 1 has an impossible head"),
        (48 << 1, "lane 1 holds bytes that are no record"),
    ] {
        let ring = RingOnDisk::new();
        let mut reader = ring.reader();
        // A length beyond what is there.
        ring.file.write_all_at(&[0xff; 4], GEOMETRY.data_offset(1)).unwrap();
        ring.set_word(1, word);
        let result = reader.read_lane(1, |_, _| true);
        assert_eq!(result.unwrap_err().to_string(), expected);
    }
    let ring = RingOnDisk::new();
    let mut reader = ring.reader();
    ring.set_word(1, 48 << 1);
    reader.read_lane(1, |_, _| true).unwrap();
    ring.set_word(1, 0);
    assert!(matches!(reader.read_lane(1, |_, _| true), Err(Hostility::BadHead { lane: 1 })));
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(300))]
    /// Whatever lies in a ring: it is read or refused, and never read twice.
    #[test]
    fn any_bytes_are_read_or_refused(
        words in proptest::collection::vec((0_u32..4, 0_u64..600), 1..6),
        places in proptest::collection::vec((4096_u64..32768, 0_u8..), 0..200),
        lengths in proptest::collection::vec((0_u64..80, 0_u32..200), 0..20),
    ) {
        let ring = RingOnDisk::new();
        for (at, byte) in places {
            ring.file.write_all_at(&[byte], at).unwrap();
        }
        for (at, length) in lengths {
            let at = GEOMETRY.data_offset(0) + at * 8;
            ring.file.write_all_at(&length.to_ne_bytes(), at).unwrap();
        }
        let mut reader = ring.reader();
        for (lane, head) in words {
            ring.set_word(lane, head << 4);
            let mut end = reader.positions()[lane as usize];
            let read = reader.look().and_then(|()| {
                reader.read_lane(lane, |parsed, payload| {
                    assert!(parsed.position == end && payload.len() <= 4096);
                    end += size_of_record(payload.len()) as u64;
                    true
                })
            });
            if read.is_err() {
                break;
            }
            for (lane, position) in reader.promises().collect::<Vec<_>>() {
                reader.release(lane, position).unwrap();
            }
        }
        for slot in 0..64 {
            if reader.new_stream(slot).is_err() {
                break;
            }
        }
        reader.torn().unwrap();
        reader.losses().unwrap();
        reader.coverage();
    }
}

#[test]
fn a_counter_that_cannot_be_true_or_has_shrunk_keeps_what_was_believed() {
    let ring = RingOnDisk::new();
    let mut reader = ring.reader();
    let put = |offset: usize, word: u64| {
        let at = (STREAMS_OFFSET + offset) as u64;
        ring.file.write_all_at(&word.to_ne_bytes(), at).unwrap();
    };
    let kind = u64::from(StreamKind::Stdout as u32);
    put(std::mem::offset_of!(StreamSlot, kind), kind);
    let (records, bytes) = (
        std::mem::offset_of!(StreamSlot, lost_records),
        std::mem::offset_of!(StreamSlot, lost_bytes),
    );
    let mut lost = || {
        let losses = reader.losses().unwrap();
        let of = |info: &SlotInfo| (info.lost_records, info.lost_bytes);
        (losses.first().map(|(_, info)| of(info)), reader.corrupt_slots())
    };
    assert_eq!(lost(), (None, 0));
    put(records, 7);
    put(bytes, 70);
    assert_eq!(lost(), (Some((7, 70)), 0));
    put(records, u64::from_ne_bytes(*b"scribble"));
    assert_eq!(lost(), (Some((7, 70)), 1));
    put(records, 6);
    assert_eq!(lost(), (Some((7, 70)), 1));
}
