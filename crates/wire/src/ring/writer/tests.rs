//! One thread that writes into memory of its own and reads it back; `tests/loom.rs` has the others.

use super::super::SLOT_STDOUT;
use super::*;
use crate::record::Records;

/// Memory for a ring, aligned as a mapping is.
#[repr(C, align(4096))]
#[derive(Clone)]
struct Page([u8; 4096]);

struct Memory {
    pages: Vec<Page>,
    geometry: Geometry,
}

impl Memory {
    fn new(geometry: Geometry) -> Self {
        Self { pages: vec![Page([0; 4096]); geometry.file_size() as usize / 4096], geometry }
    }

    fn ring(&mut self) -> Ring {
        // SAFETY: the pages are aligned, long enough and outlive the test's ring.
        unsafe { Ring::attach(self.pages.as_mut_ptr().cast(), self.geometry) }
    }

    fn drain(&mut self) -> Vec<(RecordHeader, Vec<u8>)> {
        let ring = self.ring();
        let bytes: Vec<u8> = self.pages.iter().flat_map(|page| page.0).collect();
        let lane_size = u64::from(self.geometry.lane_size);
        let mut records = Vec::new();
        for lane in 0..self.geometry.lanes {
            let (head, tail) = (ring.lane(lane).word.head(), &ring.lane(lane).tail.position);
            let copy: Vec<u8> = (tail.load(Ordering::Relaxed)..head)
                .map(|at| bytes[(self.geometry.data_offset(lane) + at % lane_size) as usize])
                .collect();
            records.extend(Records::new(&copy).map(|record| {
                let (header, payload) = record.expect("a record");
                (header, payload.to_vec())
            }));
            tail.store(head, Ordering::Release);
        }
        records.sort_by_key(|(header, _)| (header.ticket, header.fragment));
        records
    }
}

fn put(ring: &Ring, tickets: &AtomicU64, hint: u32, text: &[u8]) -> Result<(), NoRoom> {
    // Two parts, so that the general way is tested; one part where it is empty.
    let (left, right) = text.split_at(text.len() / 3);
    let parts = [left, right].map(|part| Part { base: part.as_ptr(), length: part.len() });
    let write = Write {
        slot: SLOT_STDOUT,
        flags: 0,
        pid: 7,
        holder: 7,
        time: 1,
        parts: if hint % 2 == 0 {
            &parts
        } else {
            &[Part { base: text.as_ptr(), length: text.len() }]
        },
        length: text.len(),
    };
    ring.put(tickets, hint * 7919, &write)
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(200))]
    #[test]
    fn what_was_put_is_drained_in_order_or_counted_by_the_caller(
        lengths in proptest::collection::vec((0_usize..9000, 0_u32..9, proptest::bool::ANY), 1..60),
    ) {
        let mut memory = Memory::new(Geometry { lanes: 3, lane_size: 4096 });
        let ring = memory.ring();
        let tickets = AtomicU64::new(1);
        let mut expected: Vec<Vec<u8>> = Vec::new();
        let mut drained: Vec<(u64, Vec<u8>)> = Vec::new();
        let mut take = |memory: &mut Memory| {
            for (header, payload) in memory.drain() {
                match drained.last_mut() {
                    Some((ticket, text)) if *ticket == header.ticket => {
                        assert!(header.fragment > 0);
                        text.extend_from_slice(&payload);
                    }
                    _ => drained.push((header.ticket, payload)),
                }
            }
        };
        for (index, (length, hint, drain)) in lengths.into_iter().enumerate() {
            let text: Vec<u8> = (0..length).map(|at| (index * 31 + at) as u8).collect();
            if put(&ring, &tickets, hint, &text).is_ok() {
                expected.push(text);
            }
            if drain {
                take(&mut memory);
            }
        }
        take(&mut memory);
        proptest::prop_assert_eq!(drained.len() as u64, tickets.load(Ordering::Relaxed) - 1);
        let drained: Vec<Vec<u8>> = drained.into_iter().map(|(_, text)| text).collect();
        proptest::prop_assert_eq!(drained, expected);
    }
}

#[test]
fn a_held_lane_is_passed_over_and_a_tail_beyond_the_head_means_full() {
    let mut memory = Memory::new(Geometry { lanes: 2, lane_size: 4096 });
    let ring = memory.ring();
    let tickets = AtomicU64::new(1);
    let held = ring.lane(0).word.peek();
    assert!(ring.lane(0).word.try_lock(held));
    put(&ring, &tickets, 0, b"in the other lane").unwrap();
    assert_eq!(ring.lane(1).word.head(), size_of_record(17) as u64);
    ring.lane(1).tail.position.store(1 << 40, Ordering::Relaxed);
    assert_eq!(put(&ring, &tickets, 0, b"x"), Err(NoRoom { held: 1 }));
    assert!(ring.lane(0).word.reclaim(ring.lane(0).word.peek()));
    put(&ring, &tickets, 0, b"x").unwrap();
}

#[test]
fn a_lane_is_taken_back_only_from_a_holder_that_has_said_so() {
    let mut memory = Memory::new(Geometry { lanes: 2, lane_size: 4096 });
    let ring = memory.ring();
    let tickets = AtomicU64::new(1);
    put(&ring, &tickets, 0, b"by one who is gone").unwrap();
    // The next holder has said nothing yet: what the lane says is of the one before.
    let word = &ring.lane(0).word;
    assert!(word.try_lock(word.peek()));
    assert_eq!(ring.held(0), None);
    let write =
        Write { slot: SLOT_STDOUT, flags: 0, pid: 7, holder: 7, time: 0, parts: &[], length: 0 };
    ring.own(ring.lane(0), word.head(), &write, 5);
    let held = ring.held(0).unwrap();
    assert_eq!((held.owner, Pending::from_word(held.pending).length), (7, 5));
    assert!(ring.reclaim(0, &held));
    assert!(!ring.reclaim(0, &held), "twice");
    // Another with the same words at the same place is not the one that was gone.
    assert!(word.try_lock(word.peek()));
    ring.own(ring.lane(0), word.head(), &Write { holder: 8, ..write }, 5);
    assert!(!ring.reclaim(0, &held));
    assert_eq!(ring.held(0).unwrap().owner, 8, "and it keeps what it said");
    ring.own(ring.lane(0), word.head(), &Write { holder: 0, ..write }, 5);
    assert_eq!(ring.held(0), None, "one without a name is nobody's to take");
    assert!(!ring.reclaim(0, &held));
    let slot = ring.slot(SLOT_STDOUT);
    assert_eq!(slot.torn_records.load(Ordering::Relaxed), 1);
    assert_eq!(slot.torn_bytes.load(Ordering::Relaxed), 5);
}

#[test]
fn lanes_that_were_too_small_together_say_nothing_afterwards() {
    let mut memory = Memory::new(Geometry { lanes: 2, lane_size: 4096 });
    let ring = memory.ring();
    let tickets = AtomicU64::new(1);
    let large = vec![b'x'; 2 * 4096];
    assert!(put(&ring, &tickets, 0, &large).is_err());
    for lane in 0..2 {
        let word = &ring.lane(lane).word;
        assert!(word.try_lock(word.peek()));
        assert_eq!(ring.held(lane), None);
    }
}

#[test]
fn files_share_the_table_by_path_until_it_is_full() {
    let mut memory = Memory::new(Geometry { lanes: 1, lane_size: 4096 });
    let ring = memory.ring();
    let first = ring.file_slot(b"/var/log/a").unwrap();
    assert_eq!(ring.file_slot(b"/var/log/a"), Some(first));
    assert_ne!(ring.file_slot(b"/var/log/b"), Some(first));
    let slots = (0..MAX_STREAMS).filter(|n| ring.file_slot(format!("/{n}").as_bytes()).is_some());
    assert_eq!(slots.count(), MAX_STREAMS - SLOT_FILES as usize - 2);
    assert_eq!(ring.file_slot(&[b'x'; ARENA_SIZE]), None);
}
