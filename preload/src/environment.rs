//! The settings, copied out of the environment at start.
//!
//! Copied, because programs overwrite their own environment (to change their title). Kept in a static of fixed
//! size, because nothing is allocated; only a list of file patterns gets pages of its own.
//!
//! # Safety
//!
//! This file may use `unsafe`: it walks the environment block, and hands out a static that is written
//! once before it is read.
#![expect(unsafe_code, reason = "walks the environment block")]

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::slice;
use core::sync::atomic::{AtomicBool, Ordering};

use logtap_wire::identity::Streams;
use logtap_wire::ring::Geometry;
use logtap_wire::settings::{self, MAX_FILE_PATH, OnFull, Target};

use crate::syscall;

/// Longest list of file patterns.
const MAX_PATTERNS: usize = 8192;

/// Longest pause between two attempts to connect that can be asked for, in seconds.
const LONGEST_PAUSE: u32 = 86_400;

/// What the environment asks for.
pub(crate) struct Settings {
    form: Form,
    path: [u8; MAX_FILE_PATH],
    path_length: usize,
    patterns: &'static [u8],
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
    pub(crate) suppress_stdout: bool,
    pub(crate) suppress_stderr: bool,
    pub(crate) suppress_files: bool,
    pub(crate) on_full: OnFull,
    pub(crate) full_ring: Geometry,
    /// Bytes that may wait for a `socket:` target.
    pub(crate) queue_size: u32,
    /// Seconds, see [`settings::TARGET_FIRST_CONNECT`].
    pub(crate) first_connect: u32,
    /// Seconds, see [`settings::TARGET_RECONNECT`].
    pub(crate) reconnect: u32,
    /// Milliseconds, see [`settings::EXIT_WAIT`].
    pub(crate) exit_wait: u32,
    pub(crate) line_buffered: bool,
    pub(crate) fine_clock: bool,
    pub(crate) debug: bool,
    /// What the streams are, if somebody says so.
    pub(crate) streams: Option<Streams>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Tap,
    Socket,
    File,
}

/// Why the library stays inert.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Nobody asked for anything: not worth a word.
    NotAsked,
    /// A variable has a value that cannot be read.
    BadValue(&'static str),
    /// Something around the process is not as it must be.
    Missing(&'static str),
}

impl Settings {
    /// What holds where the environment says nothing.
    const DEFAULT: Self = Self {
        form: Form::File,
        path: [0; MAX_FILE_PATH],
        path_length: 0,
        patterns: &[],
        stdout: false,
        stderr: false,
        suppress_stdout: false,
        suppress_stderr: false,
        suppress_files: false,
        on_full: OnFull::Drop,
        full_ring: Geometry::of_size(settings::DEFAULT_RING_SIZE),
        queue_size: settings::DEFAULT_QUEUE_SIZE,
        first_connect: settings::DEFAULT_FIRST_CONNECT,
        reconnect: settings::DEFAULT_RECONNECT,
        exit_wait: settings::DEFAULT_EXIT_WAIT,
        line_buffered: false,
        fine_clock: false,
        debug: false,
        streams: None,
    };
}

struct Stored(UnsafeCell<MaybeUninit<Settings>>);

// SAFETY: written once, before `READ` is stored (release), and only read afterwards.
unsafe impl Sync for Stored {}

static SETTINGS: Stored = Stored(UnsafeCell::new(MaybeUninit::uninit()));
static READ: AtomicBool = AtomicBool::new(false);

/// The settings, once they have been read.
#[inline(always)]
pub(crate) fn get() -> Option<&'static Settings> {
    // SAFETY: written before `READ` is set, and not afterwards.
    READ.load(Ordering::Acquire).then(|| unsafe { &*SETTINGS.0.get().cast::<Settings>() })
}

impl Settings {
    /// Where the copies go.
    pub(crate) fn target(&self) -> Target<'_> {
        let path = &self.path[..self.path_length];
        match self.form {
            Form::Tap => Target::Tap(path),
            Form::Socket => Target::Socket(path),
            Form::File => Target::File(path),
        }
    }

    /// The tap directory.
    pub(crate) fn directory(&self) -> &[u8] {
        &self.path[..self.path_length]
    }

    /// Takes a target whose path is not too long.
    fn set_target(&mut self, target: &Target<'_>) {
        self.form = match target {
            Target::Tap(_) => Form::Tap,
            Target::Socket(_) => Form::Socket,
            Target::File(_) => Form::File,
        };
        if let Some(room) = self.path.get_mut(..target.path().len()) {
            room.copy_from_slice(target.path());
            self.path_length = target.path().len();
        }
    }

    /// The `:` list of file patterns; empty where no file is tapped.
    pub(crate) fn patterns(&self) -> &[u8] {
        self.patterns
    }
}

/// Reads the settings from an environment block. Only the constructor calls this, once.
///
/// # Safety
///
/// `block` is null or an array of C strings that ends with a null pointer; nobody has called [`get`]
/// successfully yet.
pub(crate) unsafe fn read(block: *const *const u8) -> Result<&'static Settings, Refusal> {
    // SAFETY: nobody reads before `READ` is set.
    let settings = unsafe { &mut *SETTINGS.0.get() }.write(Settings::DEFAULT);
    settings.set_target(&Target::File(settings::DEFAULT_TARGET_FILE));
    let mut suppress_stderr = None;
    let mut entry = block;
    let mut problem = None;
    while !entry.is_null() {
        // SAFETY: the block ends with a null pointer.
        let string = unsafe { *entry };
        if string.is_null() {
            break;
        }
        // SAFETY: not the last entry.
        entry = unsafe { entry.add(1) };
        // SAFETY: entries are C strings; the second byte is read only behind a first one.
        if unsafe { *string } != b'L' || unsafe { *string.add(1) } != b'L' {
            continue;
        }
        // SAFETY: as above.
        let bytes = unsafe { c_string(string, 64 << 10) };
        let Some(equals) = bytes.iter().position(|&byte| byte == b'=') else { continue };
        let (name, value) = (&bytes[..equals], &bytes[equals + 1..]);
        let Ok(name) = core::str::from_utf8(name) else { continue };
        match apply(settings, name, value, &mut suppress_stderr) {
            Ok(()) => {}
            Err(name) => problem = Some(name),
        }
    }
    settings.suppress_stderr = suppress_stderr.unwrap_or(settings.suppress_stdout);
    let result = match problem {
        Some(name) => Err(Refusal::BadValue(name)),
        None if !settings.stdout && !settings.stderr && settings.patterns.is_empty() => {
            Err(Refusal::NotAsked)
        }
        None => Ok(()),
    };
    READ.store(true, Ordering::Release);
    result.map(|()| &*settings)
}

/// Copies the list of patterns to where it stays: pages of its own. `None` where it is too long, or there is no memory.
fn keep_patterns(value: &[u8]) -> Option<&'static [u8]> {
    if value.is_empty() {
        return Some(&[]);
    }
    if value.len() > MAX_PATTERNS {
        return None;
    }
    let room = syscall::map_anonymous(value.len()).ok()?;
    // SAFETY: fresh zeros of that length, which nobody else knows and nobody takes away.
    let room = unsafe { slice::from_raw_parts_mut(room, value.len()) };
    room.copy_from_slice(value);
    Some(room)
}

/// Takes one variable. The name comes back where its value cannot be read.
fn apply(
    settings: &mut Settings,
    name: &str,
    value: &[u8],
    suppress_stderr: &mut Option<bool>,
) -> Result<(), &'static str> {
    fn need<T>(value: Option<T>, name: &'static str) -> Result<T, &'static str> {
        value.ok_or(name)
    }
    // As good as unset; only stderr's suppression differs between the two, and liblogtap reads an empty one as false.
    if value.is_empty() && name != settings::SUPPRESS_STDERR {
        return Ok(());
    }
    match name {
        settings::TARGET => {
            settings.set_target(&need(Target::parse(value), settings::TARGET)?);
        }
        settings::TAP_INTO => {
            let into = need(settings::tap_into(value), settings::TAP_INTO)?;
            (settings.stdout, settings.stderr) = into;
        }
        settings::TAP_FILE => {
            settings.patterns = need(keep_patterns(value), settings::TAP_FILE)?;
        }
        settings::SUPPRESS_STDOUT => {
            settings.suppress_stdout = need(settings::truth(value), settings::SUPPRESS_STDOUT)?;
        }
        settings::SUPPRESS_STDERR => {
            *suppress_stderr = Some(need(settings::truth(value), settings::SUPPRESS_STDERR)?);
        }
        settings::SUPPRESS_TAP_FILE => {
            settings.suppress_files = need(settings::truth(value), settings::SUPPRESS_TAP_FILE)?;
        }
        settings::STREAMS => {
            settings.streams = Some(need(Streams::parse(value), settings::STREAMS)?);
        }
        settings::ON_FULL => settings.on_full = need(OnFull::parse(value), settings::ON_FULL)?,
        settings::RING_SIZE => {
            let size = need(settings::ring_size(value), settings::RING_SIZE)?;
            settings.full_ring = Geometry::of_size(size);
            settings.queue_size = size;
        }
        settings::TARGET_FIRST_CONNECT => {
            let seconds = settings::time(value, LONGEST_PAUSE);
            settings.first_connect = need(seconds, settings::TARGET_FIRST_CONNECT)?;
        }
        settings::TARGET_RECONNECT => {
            let seconds = settings::time(value, LONGEST_PAUSE);
            settings.reconnect = need(seconds, settings::TARGET_RECONNECT)?;
        }
        settings::EXIT_WAIT => {
            let milliseconds = settings::time(value, settings::MAX_WAIT);
            settings.exit_wait = need(milliseconds, settings::EXIT_WAIT)?;
        }
        settings::LINE_BUFFERED => {
            settings.line_buffered = need(settings::truth(value), settings::LINE_BUFFERED)?;
        }
        settings::CLOCK => match value {
            b"fine" => settings.fine_clock = true,
            b"coarse" | b"" => {}
            _ => return Err(settings::CLOCK),
        },
        settings::DEBUG_MODE => {
            settings.debug = need(settings::truth(value), settings::DEBUG_MODE)?;
        }
        _ => {}
    }
    Ok(())
}

/// A C string, cut at `limit` bytes.
///
/// # Safety
///
/// `string` points to a zero-terminated string, or to at least `limit` readable bytes.
pub(crate) unsafe fn c_string<'a>(string: *const u8, limit: usize) -> &'a [u8] {
    let mut length = 0;
    // SAFETY: not beyond the terminating zero.
    while length < limit && unsafe { *string.add(length) } != 0 {
        length += 1;
    }
    // SAFETY: just walked.
    unsafe { slice::from_raw_parts(string, length) }
}
