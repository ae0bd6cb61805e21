//! The queue, cut and filled in every way.
//!
//! # Safety
//!
//! This file may use `unsafe`: it attaches queues to memory of its own and reads the pieces that they give out.

use std::sync::atomic::AtomicBool;

use super::*;

const SIZE: u32 = 64 << 10;
/// No number of a thread that sends.
const WRITER: u32 = 99;

fn queue() -> Queue {
    let size = Queue::mapping_size(SIZE);
    let words = vec![0_u128; size / 16 + 8].leak();
    let start = words.as_mut_ptr().cast::<u8>();
    let base = start.wrapping_add(start.align_offset(128));
    // SAFETY: leaked zeros of this size, aligned.
    unsafe { Queue::attach(base, SIZE) }
}

fn put(queue: &Queue, bytes: &[u8]) -> bool {
    let (one, other) = bytes.split_at(bytes.len() / 2);
    let parts = [one, other].map(|part| Part { base: part.as_ptr(), length: part.len() });
    queue.put(&parts, 0, bytes.len(), 0, WRITER)
}

/// Sends at most so many bytes.
fn send(queue: &Queue, most: usize) -> Vec<u8> {
    let sending = queue.lock(1, |_| false).expect("nobody else");
    let mut out = Vec::new();
    for piece in sending.pieces(|_| false) {
        // SAFETY: pieces lie in the queue.
        out.extend_from_slice(unsafe { core::slice::from_raw_parts(piece.base, piece.length) });
    }
    out.truncate(most);
    sending.advance(out.len());
    out
}

#[test]
fn what_is_put_comes_out_in_order_however_it_is_cut() {
    let queue = queue();
    let (mut expected, mut got) = (Vec::new(), Vec::new());
    for turn in 0..5000_u32 {
        let line = format!("line {turn} {}\n", "x".repeat((turn % 97) as usize));
        assert!(put(&queue, line.as_bytes()), "{turn}");
        expected.extend_from_slice(line.as_bytes());
        if turn % 3 == 0 {
            got.extend(send(&queue, (turn % 211) as usize));
            while expected.len() - got.len() > SIZE as usize / 4 {
                got.extend(send(&queue, 1000));
            }
        }
    }
    while !queue.is_empty() {
        got.extend(send(&queue, 333));
    }
    assert!(got == expected);
    assert_eq!(queue.head().page.counts().delivered_bytes, expected.len() as u64);
}

#[test]
fn a_full_queue_refuses_and_a_new_connection_gets_the_begun_record_whole() {
    let queue = queue();
    let mut count = 0;
    while put(&queue, &[b'x'; 1000]) {
        count += 1;
    }
    assert_eq!(count, SIZE as usize / 1024);
    assert_eq!(send(&queue, 10).len(), 10);
    queue.lock(1, |_| false).expect("nobody else").start_over();
    assert_eq!(send(&queue, usize::MAX).len(), count * 1000);
    assert!(queue.is_empty() && put(&queue, b"again"));
}

#[test]
fn an_empty_queue_goes_back_to_its_beginning() {
    let queue = Queue { size: u64::from(SIZE), ..queue() };
    // Half of this queue is less than where it starts over: it goes on to its end.
    for _ in 0..1000 {
        assert!(put(&queue, &[1; 300]));
        assert_eq!(send(&queue, usize::MAX), [1; 300]);
    }
    assert!(queue.is_empty());
}

#[test]
fn a_writer_or_sender_that_was_thrown_out_holds_nobody_up() {
    let queue = queue();
    // As a thread that reserved and never copied.
    let position = queue.reserve(size_of_record(5), 0).expect("room");
    queue.length_and_owner(position)[0].store(5, Ordering::Relaxed);
    queue.length_and_owner(position)[1].store(77, Ordering::Relaxed);
    queue.mark(position).store(position ^ RESERVED, Ordering::Relaxed);
    assert!(put(&queue, b"after"));
    let sending = queue.lock(1, |_| false).expect("nobody else");
    assert_eq!(sending.pieces(|_| false).len(), 0, "it may still be copying");
    assert_eq!(sending.pieces(|thread| thread == 77).len(), 1);
    let _held = core::mem::ManuallyDrop::new(sending);
    assert!(queue.lock(2, |_| false).is_none());
    drop(queue.lock(2, |thread| thread == 1).expect("its holder is gone"));
    assert_eq!(send(&queue, usize::MAX), b"after");
    assert_eq!(queue.head().page.counts().lost_bytes, 5);
}

#[test]
fn threads_lose_nothing_and_keep_their_order() {
    static DONE: AtomicBool = AtomicBool::new(false);
    let queue = queue();
    let mut got = Vec::new();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                scope.spawn(move || {
                    for line in 0..5000 {
                        let text = format!("{writer} {line}\n");
                        while !put(&queue, text.as_bytes()) {
                            std::thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        scope.spawn(move || {
            for writer in writers {
                writer.join().expect("a writer");
            }
            DONE.store(true, Ordering::Release);
        });
        while !(DONE.load(Ordering::Acquire) && queue.is_empty()) {
            got.extend(send(&queue, 700));
        }
    });
    let text = String::from_utf8(got).expect("whole lines");
    let mut next = [0; 4];
    for line in text.lines() {
        let (writer, number) = line.split_once(' ').expect("two words");
        let writer: usize = writer.parse().expect("a number");
        assert_eq!(number.parse::<u32>().expect("a number"), next[writer]);
        next[writer] += 1;
    }
    assert_eq!(next, [5000; 4]);
}
