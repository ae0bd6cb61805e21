//! More than anybody needs: files, names, sizes.

use std::path::Path;
use std::process::Command;

use logtap_wire::record::RecordHeader;
use logtap_wire::ring::{ARENA_SIZE, MAX_STREAMS, SLOT_STDOUT, STARTER};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::memory_sink::{memory, skip, wait_until};
use crate::raw_ring::{RawRing, SMALL, with_line};
use crate::running::Running;
use crate::writer::Writer;

/// What a collector may take, whatever it is given, in KiB. Far above what it takes, far below what it was given.
const MEMORY: u64 = 96 << 10;

/// Waits until exactly these texts, in any order, have come out.
fn wait_for_all(running: &Running, mut expected: Vec<String>) {
    wait_until(|| running.taken().0 >= expected.len() as u64);
    let mut texts = running.texts();
    texts.sort_unstable();
    expected.sort_unstable();
    assert_eq!(texts, expected);
}

#[test]
fn ten_thousand_files_are_told_from_rings_and_the_rings_are_read() {
    let parent = memory();
    let tap = parent.path().join("tap");
    let running = Running::start(&tap, "", &[]);
    let good = Writer::new(&tap, STARTER);
    let mut expected = Vec::new();
    for number in 0..10_000_u32 {
        let path = tap.join(format!("{number}.ring"));
        match number % 10 {
            0 | 1 => {
                let text = format!("ring {number}");
                with_line(u64::from(number), &text).write(&tap, &number.to_string());
                expected.push(text);
            }
            2 | 3 => std::fs::create_dir(&path).unwrap(),
            4 | 5 => std::os::unix::fs::symlink("/etc/passwd", &path).unwrap(),
            6 | 7 => mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap(),
            _ => std::fs::write(&path, b"x").unwrap(),
        }
        if number % 100 == 0 {
            let text = format!("good {number}");
            good.write_waiting(7, SLOT_STDOUT, format!("{text}\n").as_bytes());
            expected.push(text);
        }
    }
    wait_for_all(&running, expected);
    wait_until(|| running.metric("hostile_files_total") == 8_000);
    assert_eq!(running.metric("records_total"), 2_000 + 100);
    assert!(running.log().len() < 200, "one line for each of them fills a disk");
    assert!(running.peak() < MEMORY, "{} KiB", running.peak());
    running.stop();
}

#[test]
fn rings_beyond_the_limit_of_descriptors_wait_and_are_read() {
    let parent = memory();
    let tap = parent.path().join("tap");
    let running = Running::start(&tap, "ulimit -n 40", &[]);
    let held: Vec<Writer> = (0..20).map(|_| Writer::new(&tap, SMALL)).collect();
    let mut expected = Vec::new();
    for number in 0..300_u32 {
        let text = format!("waits {number}");
        with_line(u64::from(number), &text).write(&tap, &number.to_string());
        expected.push(text);
    }
    for (number, writer) in held.iter().enumerate() {
        let text = format!("holds {number}");
        writer.write_waiting(7, SLOT_STDOUT, format!("{text}\n").as_bytes());
        expected.push(text);
    }
    // Rings that are held take descriptors; where they take all, the others wait for the first to end.
    drop(held);
    wait_for_all(&running, expected);
    assert_eq!(running.metric("hostile_files_total"), 0);
    running.stop();
}

#[test]
fn files_of_exabytes_that_are_all_hole_take_nothing_from_others() {
    let parent = memory();
    let tap = parent.path().join("tap");
    let running = Running::start(&tap, "", &[]);
    for name in ["a.ring", "b.ring", "c.ring", "d.tmp"] {
        let file = std::fs::File::create(tap.join(name)).unwrap();
        file.set_len(i64::MAX as u64).unwrap();
    }
    wait_until(|| running.metric("hostile_files_total") == 3);
    let good = Writer::new(&tap, STARTER);
    good.write_waiting(7, SLOT_STDOUT, b"good\n");
    wait_for_all(&running, vec!["good".to_owned()]);
    // What the writers are told of the cap counts what is there.
    wait_until(|| ring_bytes(&tap) == STARTER.file_size());
    running.stop();
}

fn ring_bytes(tap: &Path) -> u64 {
    let page = std::fs::read(tap.join(logtap_wire::CONTROL_FILE)).unwrap();
    let at = logtap_wire::control::RING_BYTES_OFFSET;
    u64::from_ne_bytes(page[at..at + 8].try_into().unwrap())
}

#[test]
fn names_as_long_as_they_can_be_take_little_memory() {
    let parent = memory();
    let tap = parent.path().join("tap");
    let running = Running::start(&tap, "", &["--no-spool"]);
    let mut rings = Vec::new();
    for number in 0..400_u64 {
        let mut ring = RawRing::new(SMALL);
        ring.arena(0xff);
        for slot in 2..MAX_STREAMS {
            ring.file(slot, slot as u32, ARENA_SIZE as u32 - 64);
            let header =
                RecordHeader { ticket: number, slot: slot as u8, ..RecordHeader::default() };
            ring.record(header, b"x\n");
        }
        rings.push(ring);
    }
    for (number, ring) in rings.iter().enumerate() {
        ring.write(&tap, &number.to_string());
    }
    let lines = 400 * (MAX_STREAMS as u64 - 2);
    wait_until(|| running.taken().0 == lines);
    assert!(running.peak() < MEMORY, "{} KiB", running.peak());
    running.stop();
}

#[test]
fn a_ring_full_of_empty_lines_takes_little_memory() {
    let parent = memory();
    let tap = parent.path().join("tap");
    let running = Running::start(&tap, "", &["--no-spool"]);
    let writer = Writer::new(&tap, logtap_wire::ring::Geometry::of_size(4 << 20));
    let text = vec![b'\n'; 100_000];
    for _ in 0..3 {
        writer.write_waiting(7, SLOT_STDOUT, &text);
    }
    drop(writer);
    wait_until(|| running.taken() == (300_000, 0));
    assert!(running.peak() < MEMORY, "{} KiB", running.peak());
    running.stop();
}

#[test]
fn a_ring_of_another_user_is_read_if_it_may_be_and_else_counted() {
    use std::os::unix::fs::PermissionsExt as _;
    if !rustix::process::geteuid().is_root() {
        return skip("only root can make files of another user");
    }
    let parent = memory();
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(parent.path(), 0o755);
    let tap = parent.path().join("tap");
    std::fs::create_dir(&tap).unwrap();
    mode(&tap, 0o1777);
    // The program itself may be where only root can go.
    let place = tempfile::tempdir().unwrap();
    mode(place.path(), 0o755);
    let program = place.path().join("collector");
    // By another process: what this one has open for writing, children of other tests have open too for a moment, and
    // no kernel executes such a file.
    let copy =
        Command::new("cp").arg(env!("CARGO_BIN_EXE_logtap-collector")).arg(&program).status();
    assert!(copy.unwrap().success());
    mode(&program, 0o755);
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
    command.args(["--to", "-", "--listen", "127.0.0.1:0", "--tap"]).arg(&tap);
    let running = Running::spawn(&mut command);
    // Under a name that is none of a ring until its permissions are what they are.
    let closed = with_line(1, "closed").write(parent.path(), "closed");
    mode(&closed, 0o600);
    std::fs::rename(&closed, tap.join("closed.ring")).unwrap();
    let shared = with_line(2, "shared").write(parent.path(), "shared");
    mode(&shared, 0o666);
    std::fs::rename(&shared, tap.join("shared.ring")).unwrap();
    wait_for_all(&running, vec!["shared".to_owned()]);
    wait_until(|| running.metric("hostile_files_total") == 1);
    assert!(tap.join("closed.ring").metadata().unwrap().len() > 0);
    // Its name cannot be removed, its memory can.
    wait_until(|| tap.join("shared.ring").metadata().unwrap().len() == 0);
    running.stop();
}
