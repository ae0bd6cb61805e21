//! Writers as sequences of single stores, interleaved at random with each other and with the reader, each of them
//! stopped for good at any point. What `tests/library/fire.rs` tries on one write of the real library, instruction by
//! instruction, is tried here on many writes at once.

use super::*;

/// One store of a writer that holds a lane, or the lock before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Lock,
    Owner,
    Pending,
    Header,
    Payload,
    Publish,
}

/// A writer in the middle of something, or of nothing.
struct Writer {
    pid: u32,
    at: At,
    lane: u32,
    head: u64,
    ticket: u64,
    dead: bool,
}

/// What a lane should hold.
#[derive(Default)]
struct Expected {
    published: VecDeque<(u64, u32)>,
    holder: Option<usize>,
}

const LENGTH: usize = 40;
const SIZE: u64 = size_of_record(LENGTH) as u64;

impl Writer {
    /// Does one store. Where the lane is held or full it goes on to the next one.
    fn step(&mut self, own: usize, ring: &RingOnDisk, lanes: &mut [Expected], tickets: &mut u64) {
        let offset = Geometry::lane_offset(self.lane) as u64;
        let data = GEOMETRY.data_offset(self.lane) + self.head % u64::from(GEOMETRY.lane_size);
        let put = |bytes: &[u8], at: u64| ring.file.write_all_at(bytes, at).unwrap();
        self.at = match self.at {
            At::Lock => {
                let word = Seen::from_raw(read_word(&ring.file, offset).unwrap());
                let used = word.head() - ring.tail(self.lane);
                if word.is_locked() || used + SIZE > u64::from(GEOMETRY.lane_size) {
                    self.lane = (self.lane + 1) % GEOMETRY.lanes;
                    return;
                }
                self.head = word.head();
                ring.set_word(self.lane, self.head << 1 | 1);
                lanes[self.lane as usize].holder = Some(own);
                At::Owner
            }
            At::Owner => {
                put(&self.pid.to_ne_bytes(), offset + OWNER_OFFSET as u64);
                At::Pending
            }
            At::Pending => {
                let (head, length) = (self.head as u32, LENGTH as u32);
                let pending = Pending { head, slot: SLOT_STDOUT, length };
                put(&pending.to_word().to_ne_bytes(), offset + PENDING_OFFSET as u64);
                At::Header
            }
            At::Header => {
                (self.ticket, *tickets) = (*tickets, *tickets + 1);
                let length = LENGTH as u32;
                let (ticket, pid) = (self.ticket, self.pid);
                let header = RecordHeader { length, ticket, pid, ..RecordHeader::default() };
                let words = header.to_words();
                let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
                put(&bytes, data);
                At::Payload
            }
            At::Payload => {
                put(&[self.pid as u8; LENGTH], data + (SIZE - LENGTH as u64));
                At::Publish
            }
            At::Publish => {
                ring.set_word(self.lane, (self.head + SIZE) << 1);
                let lane = &mut lanes[self.lane as usize];
                lane.published.push_back((self.ticket, self.pid));
                lane.holder = None;
                At::Lock
            }
        };
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(60))]
    #[test]
    fn writers_that_stop_anywhere_leave_whole_records_and_countable_holes(
        steps in proptest::collection::vec((0_usize..8, 0_u8..100), 1..400),
    ) {
        let ring = RingOnDisk::new();
        let mut reader = ring.reader();
        let mut writers: Vec<Writer> = (0..6)
            .map(|own| Writer { pid: own + 1, at: At::Lock, lane: own % 4, head: 0, ticket: 0, dead: false })
            .collect();
        let mut lanes: Vec<Expected> = (0..4).map(|_| Expected::default()).collect();
        let mut tickets = 1;
        let mut read = |lanes: &mut [Expected]| {
            reader.look().unwrap();
            for lane in 0..GEOMETRY.lanes {
                reader.read_lane(lane, |parsed, payload| {
                    let expected = lanes[lane as usize].published.pop_front();
                    assert_eq!(expected, Some((parsed.header.ticket, parsed.header.pid)));
                    assert_eq!(payload, [parsed.header.pid as u8; LENGTH]);
                    true
                }).unwrap();
            }
            for (lane, position) in reader.promises().collect::<Vec<_>>() {
                reader.release(lane, position).unwrap();
            }
        };
        for (who, chance) in steps {
            let Some(writer) = writers.get_mut(who) else {
                read(&mut lanes);
                continue;
            };
            writer.dead |= chance == 0;
            // No record goes around the lane's end here: another test is about that.
            if !writer.dead && (writer.head + 2 * SIZE < u64::from(GEOMETRY.lane_size) || writer.at != At::Lock) {
                writer.step(who, &ring, &mut lanes, &mut tickets);
            }
        }
        read(&mut lanes);
        assert!(lanes.iter().all(|lane| lane.published.is_empty()), "a published record was not read");
        // All processes are gone: each lane that was held is one torn write, of known length once it was told.
        let mut reader = ring.reader();
        let torn = reader.torn().unwrap();
        let held: Vec<&Writer> = lanes.iter().filter_map(|lane| Some(&writers[lane.holder?])).collect();
        let told = held.iter().filter(|writer| ![At::Owner, At::Pending].contains(&writer.at));
        let known = torn.iter().filter(|torn| torn.what == Some((SLOT_STDOUT, LENGTH as u64)));
        assert_eq!(known.count(), told.count());
        assert!(torn.len() <= held.len());
    }
}
