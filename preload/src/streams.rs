//! Which descriptors are the container's standard output and standard error.
//!
//! Told by `LLT_STREAMS`, or published once per container in the tap directory by the first preloaded process:
//! from process 1 where it may be looked at, else from its own descriptors (marked as guessed).
//! Outside of a container (the first pid namespace) there is no process 1 of ours: a process group publishes its
//! own, for as long as the publisher lives.
//!
//! # Safety
//!
//! This file may use `unsafe`: the streams are written once at start, before any hook is active.
#![expect(unsafe_code, reason = "a static that is written once")]

use core::cell::UnsafeCell;
use core::fmt::Write as _;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use logtap_wire::STREAMS_PREFIX;
use logtap_wire::identity::{Recognise, Streams};

use crate::environment::Settings;
use crate::syscall::{
    self, AT_FDCWD, CPath, O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY, OrIgnore as _, Status,
};
use crate::text::Text;

/// Inode of the first pid namespace of a machine (`PROC_PID_INIT_INO`, include/linux/proc_ns.h).
const FIRST_PID_NAMESPACE: u64 = 0xEFFF_FFFC;

mod ancestors;
mod copies;

pub(crate) use copies::{is_stderr_copy, set_stderr_copy, stderr_copies};

/// A stream that is tapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
    /// An entry of the file table.
    File(u16),
}

struct Known(UnsafeCell<Streams>);

// SAFETY: written once before the hooks are active, and only read afterwards.
unsafe impl Sync for Known {}

static KNOWN: Known =
    Known(UnsafeCell::new(Streams { stdout: Recognise::Never, stderr: Recognise::Never }));
static ARE_ONE: AtomicBool = AtomicBool::new(false);
/// Calls of perror in progress: glibc writes through a duplicate that it makes inside.
static IN_PERROR: AtomicU32 = AtomicU32::new(0);

/// Finds out what the streams are. Called once, before the hooks are active.
pub(crate) fn find(settings: &Settings, pid_namespace: u64) {
    let streams = match settings.streams {
        Some(streams) => streams,
        None => published(settings.directory(), pid_namespace),
    };
    set(streams);
}

/// The same where there is no directory to publish them in: told by `LLT_STREAMS`, or those of the topmost process that
/// was started with the library's variables too, or this process's own.
pub(crate) fn find_without_directory(settings: &Settings) {
    let known = settings.streams.or_else(|| ancestors::topmost_tapped().and_then(of_process));
    set(known.unwrap_or_else(|| of_descriptors(b"/proc/self/fd/")));
}

fn set(streams: Streams) {
    // SAFETY: the hooks are not active yet.
    unsafe { *KNOWN.0.get() = streams };
    ARE_ONE.store(streams.are_one(), Ordering::Relaxed);
}

/// The streams of another process; nothing where it may not be looked at.
fn of_process(process: u32) -> Option<Streams> {
    let mut directory = Text::<32>::new();
    directory.push(b"/proc/").push_number(u64::from(process)).push(b"/fd/");
    let streams = of_descriptors(directory.bytes());
    (streams != Streams::default()).then_some(streams)
}

/// The streams behind the descriptors 1 and 2 of such a directory. One that is /dev/null counts by its number.
fn of_descriptors(directory: &[u8]) -> Streams {
    let of = |number: &[u8]| {
        let mut path = Text::<40>::new();
        path.push(directory).push(number);
        match path.path().and_then(|path| syscall::status(AT_FDCWD, path).ok()) {
            Some(status) if status.is_null() => Recognise::Number,
            Some(status) => Recognise::Object(status.identity),
            None => Recognise::Never,
        }
    };
    Streams { stdout: of(b"1"), stderr: of(b"2") }
}

/// Whether stdout and stderr are one object.
pub(crate) fn are_one() -> bool {
    ARE_ONE.load(Ordering::Relaxed)
}

/// Runs `call`, during which an unknown duplicate counts as standard error.
pub(crate) fn in_perror(call: impl FnOnce()) {
    IN_PERROR.fetch_add(1, Ordering::Relaxed);
    call();
    IN_PERROR.fetch_sub(1, Ordering::Relaxed);
}

/// Which standard stream a descriptor is.
pub(crate) fn recognise(descriptor: i32, status: &Status) -> Option<Stream> {
    // SAFETY: not written any more.
    let known = unsafe { &*KNOWN.0.get() };
    if status.is_null() {
        return match descriptor {
            1 if known.stdout == Recognise::Number => Some(Stream::Stdout),
            2 if known.stderr == Recognise::Number => Some(Stream::Stderr),
            _ => None,
        };
    }
    let is =
        |recognise| matches!(recognise, Recognise::Object(object) if status.identity.is(&object));
    match (is(known.stdout), is(known.stderr)) {
        (false, false) => None,
        (true, false) => Some(Stream::Stdout),
        (false, true) => Some(Stream::Stderr),
        (true, true) if is_stderr_copy(descriptor) => Some(Stream::Stderr),
        (true, true) if descriptor > 2 && IN_PERROR.load(Ordering::Relaxed) > 0 => {
            Some(Stream::Stderr)
        }
        (true, true) => Some(Stream::Stdout),
    }
}

/// The streams as published in the tap directory; publishes them if nobody did.
fn published(directory: &[u8], pid_namespace: u64) -> Streams {
    let mut name = Text::<160>::new();
    name.push(directory).push(b"/").push(STREAMS_PREFIX.as_bytes()).push_number(pid_namespace);
    let in_container = pid_namespace != FIRST_PID_NAMESPACE;
    if !in_container {
        name.push(b"-").push_number(u64::from(syscall::process_group()));
    }
    let mut temporary = Text::<192>::new();
    temporary.push(name.bytes()).push(b".").push_number(u64::from(syscall::process_id()));
    let (Some(name), Some(temporary)) = (name.path(), temporary.path()) else { return own() };
    let mut replace = false;
    match read(name) {
        Some((streams, publisher)) if in_container || !syscall::is_gone(publisher) => {
            return streams;
        }
        Some(_) => replace = true,
        None => {}
    }
    let first = if in_container { of_process_one() } else { None };
    let guessed = in_container && first.is_none();
    let streams = first.unwrap_or_else(own);
    if !write(temporary, &streams, guessed) {
        return streams;
    }
    if replace {
        // A publisher that is gone: its place is taken whole.
        if syscall::rename(temporary, name).is_ok() {
            return streams;
        }
    } else if syscall::link(temporary, name).is_err() {
        syscall::unlink(temporary).or_ignore();
        return read(name).map_or(streams, |(streams, _)| streams);
    }
    syscall::unlink(temporary).or_ignore();
    streams
}

fn of_process_one() -> Option<Streams> {
    let of = |path: &[u8]| {
        let status = syscall::status(AT_FDCWD, CPath::new(path)?).ok()?;
        (!status.is_null()).then_some(Recognise::Object(status.identity))
    };
    match (of(b"/proc/1/fd/1\0"), of(b"/proc/1/fd/2\0")) {
        (None, None) => None,
        (stdout, stderr) => {
            Some(Streams { stdout: stdout.unwrap_or_default(), stderr: stderr.unwrap_or_default() })
        }
    }
}

fn own() -> Streams {
    let of = |descriptor| match syscall::descriptor_status(descriptor) {
        Ok(status) if !status.is_null() => Recognise::Object(status.identity),
        _ => Recognise::Never,
    };
    Streams { stdout: of(1), stderr: of(2) }
}

fn write(path: CPath<'_>, streams: &Streams, guessed: bool) -> bool {
    let mut text = Text::<256>::new();
    let process = syscall::process_id();
    if writeln!(text, "{streams},guessed={},publisher={process}", u8::from(guessed)).is_err() {
        return false;
    }
    let Ok(file) = syscall::open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o644) else {
        return false;
    };
    syscall::change_mode(&file, 0o644).or_ignore();
    syscall::write(file.number(), text.bytes()) == Ok(text.bytes().len())
}

/// What was published, and by which process.
fn read(path: CPath<'_>) -> Option<(Streams, u32)> {
    let file = syscall::open(path, syscall::O_RDONLY | O_NOFOLLOW, 0).ok()?;
    let mut buffer = [0; 512];
    let length = syscall::read(&file, &mut buffer).ok()?;
    let text = buffer[..length].trim_ascii_end();
    let publisher = text
        .split(|&byte| byte == b',')
        .filter_map(|word| word.strip_prefix(b"publisher="))
        .find_map(|number| core::str::from_utf8(number).ok()?.parse().ok())?;
    Some((Streams::parse(text)?, publisher))
}
