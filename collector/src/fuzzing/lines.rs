//! Bytes to lines, and operations to lines.

use super::Script;
use crate::assembler::Assembler;
use crate::config::LineRules;
use crate::labels::LabelRules;
use crate::lines::{LineBuffer, Mark};
use crate::operation::{FRAGMENT, LATE, MORE, Operation, Record, RingEnd};
use crate::output::Output;
use logtap_wire::ring::StreamKind;

/// One stream of bytes in pieces: nothing is lost or made, however it is cut, and no line is too long.
pub fn lines(data: &[u8]) {
    let mut script = Script::new(data);
    let longest = usize::from(script.byte() % 64) + 1;
    let mut buffer = LineBuffer::default();
    let (mut written, mut out) = (Vec::new(), Vec::new());
    let mut split = false;
    let mut emit = |line: &[u8], _: i64, mark: Mark| {
        assert!(line.len() <= longest, "a line of {} bytes", line.len());
        out.push((line.to_vec(), mark));
    };
    let mut time = 0;
    while !script.is_over() {
        time += 1;
        let step = script.byte();
        if step == 0xff {
            buffer.flush(Mark::Partial, &mut emit);
            split = true;
            continue;
        }
        if step == 0xfe {
            // As another collector would go on.
            let (bytes, began, split) = buffer.state();
            let (bytes, began) = (bytes.to_vec(), began);
            buffer = LineBuffer::restored(&bytes, began, split);
        }
        let bytes = script.bytes(usize::from(step % 32));
        written.extend_from_slice(bytes);
        buffer.feed(bytes, time, longest, &mut emit);
        assert!(buffer.len() <= longest);
    }
    buffer.flush(Mark::Partial, &mut emit);
    let joined: Vec<u8> = out.iter().flat_map(|(line, _)| line.iter().copied()).collect();
    let expected: Vec<u8> = written.iter().copied().filter(|&byte| byte != b'\n').collect();
    assert_eq!(joined, expected, "a byte was lost or made");
    if !split {
        let ends = written.iter().filter(|&&byte| byte == b'\n').count();
        let whole = out.iter().filter(|(_, mark)| *mark == Mark::Whole).count();
        assert!(whole <= ends, "more whole lines than ends");
    }
}

/// Operations: as bytes of a damaged chunk, and as a script of several writers. What one assembler makes of them, two
/// make of them as well, one going on from the state of the other; and every byte of a record comes out once.
pub fn assembler(data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else { return };
    if first == 0 {
        let mut assembler = fresh(64);
        // Refused or not: it goes on.
        let refused = assembler.apply_chunk(1 << 40, rest).is_err();
        assembler.apply_chunk(1 << 41, &[]).expect("no operation is no error");
        let state = assembler.state();
        assert!(refused || state.len() <= 40 * rest.len() + 4096, "state of {}", state.len());
        fresh(64).apply_chunk(1 << 42, &state).expect("a state can be read");
        assert!(assembler.output.len() <= 64 * rest.len() + 4096);
        return;
    }
    let longest = usize::from(first) + 8;
    let mut script = Script::new(rest);
    let (mut one, mut two) = (fresh(longest), fresh(longest));
    let (mut from_one, mut from_two) = (Vec::new(), Vec::new());
    let (mut now, mut written, mut announced) = (1_i64 << 40, 0_u64, [false; 4]);
    for _ in 0..300 {
        if script.is_over() {
            break;
        }
        let mut chunk = Vec::new();
        written += step(&mut script, &mut chunk, &mut announced);
        now += i64::from(script.byte()) << 26;
        for assembler in [&mut one, &mut two] {
            assembler.apply_chunk(now, &chunk).expect("operations of ours");
        }
        take(&mut one, &mut from_one);
        take(&mut two, &mut from_two);
        if script.byte() & 7 == 0 {
            let state = two.state();
            let counted = two.account.clone();
            two = fresh(longest);
            two.apply_chunk(now, &state).expect("a state of ours");
            two.account = counted;
        }
    }
    let mut chunk = Vec::new();
    Operation::Flush.write(&mut chunk);
    for assembler in [&mut one, &mut two] {
        assembler.apply_chunk(now + 1, &chunk).expect("operations of ours");
    }
    take(&mut one, &mut from_one);
    take(&mut two, &mut from_two);
    assert_eq!(from_one, from_two, "a state does not lead to the same lines");
    assert_eq!(one.account.counts.totals.bytes, written, "bytes taken and bytes counted");
    let text: usize =
        from_one.iter().filter(|line| !line.is_gap()).map(|line| line.text.len()).sum();
    let ends = one.account.counts.totals.bytes - text as u64;
    assert!(ends <= one.account.counts.totals.bytes, "more text than was written");
    assert!(from_one.iter().all(|line| line.text.len() <= longest.max(100)));
    assert!(from_one.windows(2).all(|pair| pair[0].timestamp < pair[1].timestamp));
}

/// One operation of the script; the bytes that it delivers.
fn step(script: &mut Script<'_>, chunk: &mut Vec<u8>, announced: &mut [bool; 4]) -> u64 {
    let choice = script.byte();
    let at = usize::from(choice >> 6);
    let ring = at as u32 + 1;
    if !announced[at] {
        announced[at] = true;
        let namespace = u64::from(choice & 1);
        let (name, executable, source) = (&b"a.ring"[..], &b"/bin/x"[..], &b"preload"[..]);
        Operation::Ring { ring, pid: 7, namespace, name, executable, source }.write(chunk);
        for (slot, kind) in [(0, StreamKind::Stdout), (1, StreamKind::File)] {
            Operation::Stream { ring, slot, kind, path: b"/x" }.write(chunk);
        }
    }
    let (slot, pid) = (choice >> 4 & 1, u32::from(choice >> 5 & 1) + 7);
    match choice & 15 {
        0..=9 => {
            let payload = script.bytes(usize::from(choice & 15) * 3);
            let flags = script.byte() & (LATE | MORE | FRAGMENT);
            let ticket = u64::from(script.byte() % 4) + 1;
            let lost = u32::from(script.byte() / 128);
            let record = Record {
                ring,
                slot,
                flags,
                pid,
                ticket,
                time: i64::from(script.byte()) << 33,
                lost_records: lost,
                lost_bytes: u64::from(lost) * 10,
                payload,
            };
            Operation::Record(record).write(chunk);
            return payload.len() as u64;
        }
        10 => Operation::ProcessEnd { ring, pid }.write(chunk),
        11 => {
            let how = if choice & 16 == 0 { RingEnd::Released } else { RingEnd::Hostile };
            Operation::RingEnd { ring, coverage: 0, how }.write(chunk);
            announced[at] = false;
        }
        12 => Operation::Torn { ring, slot: Some(slot), bytes: Some(script.long()) }.write(chunk),
        13 => Operation::Loss { ring, slot, records: script.long(), bytes: script.long() }
            .write(chunk),
        14 => Operation::Flush.write(chunk),
        _ => Operation::TakenBack { ring, slot, records: script.long(), bytes: script.long() }
            .write(chunk),
    }
    0
}

/// A line as a sink would see it.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    number: u64,
    timestamp: i64,
    text: Vec<u8>,
    labels: logtap_loki::Pairs,
    metadata: logtap_loki::Pairs,
}

impl Seen {
    fn is_gap(&self) -> bool {
        self.metadata.iter().any(|(name, _)| name == "lost_records")
    }
}

fn take(assembler: &mut Assembler, lines: &mut Vec<Seen>) {
    let batch = assembler.output.batch();
    let first = batch.origin.as_ref().map_or(0, |origin| origin.first);
    for (entry, number) in batch.entries.iter().zip(first..) {
        lines.push(Seen {
            number,
            timestamp: entry.timestamp,
            text: batch.line(entry).to_vec(),
            labels: batch.streams[entry.stream as usize].clone(),
            metadata: batch.metadata[entry.metadata as usize].clone(),
        });
    }
    assembler.output.clear();
}

fn fresh(longest: usize) -> Assembler {
    let rules = LineRules { longest, ..LineRules::default() };
    Assembler::new(rules, LabelRules::new(&[]), Output::new("f".repeat(32), true))
}
