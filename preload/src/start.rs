//! The constructor: finds out where it is, and lets the hooks work only if everything is as it must be.
//!
//! It never prints (but in debug mode), never waits, never exits. Whatever is missing leaves the library inert.
//!
//! # Safety
//!
//! This file may use `unsafe`: it takes the arguments that the dynamic linker passes to constructors.
#![expect(unsafe_code, reason = "the edge to the dynamic linker")]

use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

use logtap_wire::CONTROL_FILE;
use logtap_wire::control::{self, ControlPage};
use logtap_wire::pattern;
use logtap_wire::ring::COVERAGE_PLT;
use logtap_wire::settings::Target;

use crate::elf::{Image, Name, ProgramHeaders};
use crate::environment::{self, Refusal, Settings};
use crate::syscall::{
    self, CPath, O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR, OrIgnore as _, RAMFS_MAGIC, TMPFS_MAGIC,
};
use crate::text::Text;
use crate::{
    clock, descriptors, directory, files, linker, original, rings, state, stdio, streams, targets,
};

/// Sixteen random bytes that the kernel gives to every program that it starts.
static RANDOM: AtomicUsize = AtomicUsize::new(0);
static PAGE_SIZE: AtomicUsize = AtomicUsize::new(4096);

/// Memory's page size.
pub(crate) fn page_size() -> usize {
    PAGE_SIZE.load(Ordering::Relaxed)
}

/// A number that differs between programs, also between two that one process is within a clock's tick.
pub(crate) fn salt() -> u64 {
    let address = RANDOM.load(Ordering::Relaxed) as *const [u8; 8];
    // SAFETY: null, or where the kernel put the bytes, at the bottom of the stack.
    u64::from_ne_bytes(unsafe { address.as_ref() }.copied().unwrap_or_default())
}

/// One copy of the library is enough: the first one in the list works, others see this name and stay inert.
#[cfg_attr(panic = "abort", unsafe(no_mangle))]
#[used]
static LOGTAP_PRELOAD_VERSION: u32 = logtap_wire::VERSION;

#[cfg(panic = "abort")]
#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: unsafe extern "C" fn(i32, *const *const u8, *const *const u8) = construct;

/// Called by the dynamic linker. glibc passes the arguments of main; musl passes nothing.
unsafe extern "C" fn construct(_: i32, _: *const *const u8, environment: *const *const u8) {
    original::find();
    // Where libc has its environment already (musl, always) it is the one to read; where it has not
    // (glibc before its own constructor, no libc) the linker has passed it.
    let known = original::global(b"environ").map_or(ptr::null(), |address| {
        // SAFETY: libc's environ is a pointer to the environment block.
        unsafe { *(address as *const *const *const u8) }
    });
    let block = if known.is_null() { environment } else { known };
    // SAFETY: an environment block; nothing has read the settings yet.
    let result = unsafe { environment::read(block) }.and_then(start);
    if let Some(settings) = environment::get().filter(|settings| settings.debug) {
        if let Err(refusal) = result {
            complain(refusal);
        }
        complain_of_patterns(settings);
    }
}

/// What the kernel tells every process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Told {
    headers: ProgramHeaders,
    linker: usize,
    page_size: usize,
    random: usize,
    vdso: usize,
}

/// Reads what the kernel tells every process: page size, program headers, vDSO.
#[cold]
pub(crate) fn read_auxiliary_vector() {
    let mut buffer = [0_u8; 1024];
    let asked = syscall::auxiliary_vector(&mut buffer).unwrap_or(0);
    let mut told = Told::of_vector(&buffer[..asked]);
    // Kernels before 6.4 do not know the call, and an emulator may pass it on and get its own vector.
    let here = buffer.as_ptr() as usize;
    let mut list = is_on_this_stack(told.random, here).then(|| told.list()).flatten();
    if list.is_none() {
        if let Some(length) = read_vector_file(&mut buffer) {
            told = Told::of_vector(&buffer[..length]);
            list = told.list();
        }
    }
    if told.page_size.is_power_of_two() {
        PAGE_SIZE.store(told.page_size, Ordering::Relaxed);
    }
    RANDOM.store(told.random, Ordering::Relaxed);
    clock::find(told.vdso);
    // Neither vector is this program's where a tracer has put another program into the process than the kernel did.
    let list = list.or_else(linker::find_in_maps);
    original::set_list(list.unwrap_or(0));
}

#[cold]
fn read_vector_file(buffer: &mut [u8]) -> Option<usize> {
    let file = syscall::open(CPath::new(b"/proc/self/auxv\0")?, syscall::O_RDONLY, 0).ok()?;
    syscall::read(&file, buffer).ok()
}

/// Whether the kernel put the random bytes where the stack begins that an address is on. An emulator has a stack of its
/// own, far from its program's; where that program's headers are it does not say, so they must not be looked at.
fn is_on_this_stack(random: usize, address: usize) -> bool {
    /// Arguments, environment and what was called since: few stacks may grow so far.
    const REACH: usize = 64 << 20;
    random > address && random - address < REACH
}

impl Told {
    /// Where the linker's list of objects is, if this library is in it: then the vector is this program's.
    fn list(&self) -> Option<usize> {
        let program = Image::of_headers(self.headers)?;
        let list = if self.linker == 0 {
            // The linker was started as the program, and has loaded another one.
            program.own_list()
        } else {
            program.list_of(&Image::of_header(self.linker)?)
        };
        list.filter(|&list| linker::lists_this_library(list))
    }

    fn of_vector(vector: &[u8]) -> Self {
        const AT_PHDR: usize = 3;
        const AT_PHNUM: usize = 5;
        const AT_PAGESZ: usize = 6;
        const AT_BASE: usize = 7;
        const AT_RANDOM: usize = 25;
        const AT_SYSINFO_EHDR: usize = 33;
        let mut told = Self::default();
        for pair in vector.chunks_exact(16) {
            let (key, value) = pair.split_at(8);
            let word = |bytes: &[u8]| bytes.try_into().map(usize::from_ne_bytes).unwrap_or(0);
            match (word(key), word(value)) {
                (AT_PHDR, address) => told.headers.address = address,
                (AT_PHNUM, count) => told.headers.count = count,
                (AT_BASE, address) => told.linker = address,
                (AT_PAGESZ, size) => told.page_size = size,
                (AT_RANDOM, address) => told.random = address,
                (AT_SYSINFO_EHDR, address) => told.vdso = address,
                _ => {}
            }
        }
        told
    }
}

/// Starts tapping.
fn start(settings: &'static Settings) -> Result<(), Refusal> {
    if is_second_copy() {
        return Err(Refusal::Missing("another copy of the library works in this process"));
    }
    if settings.fine_clock {
        clock::use_fine();
    }
    state::set_on_full(settings.on_full);
    state::remember_process();
    files::start(settings).map_err(Refusal::Missing)?;
    if !matches!(settings.target(), Target::Tap(_)) {
        targets::start(settings).map_err(Refusal::Missing)?;
        streams::find_without_directory(settings);
        descriptors::start();
        state::add_coverage(COVERAGE_PLT | stdio::patch());
        stdio::line_buffer_stdout();
        state::activate();
        return Ok(());
    }
    let page = map_control(settings).map_err(Refusal::Missing)?;
    // SAFETY: just mapped, and never taken away.
    unsafe { state::set_control(page) };
    let namespace = rings::pid_namespace();
    streams::find(settings, namespace);
    descriptors::start();
    state::add_coverage(COVERAGE_PLT | stdio::patch());
    stdio::line_buffer_stdout();
    state::activate();
    // A process that owns a tapped stream gets its ring now, while it may still make system calls.
    let owns = [1, 2].into_iter().any(|descriptor| descriptors::class(descriptor).is_some());
    if owns && !rings::first(namespace) {
        return Err(Refusal::Missing("no ring could be made; records go through the socket"));
    }
    Ok(())
}

/// Whether a copy of the library comes before this one.
fn is_second_copy() -> bool {
    let (own, name) = (crate::elf::own_dynamic(), Name::new(b"LOGTAP_PRELOAD_VERSION"));
    original::objects().is_some_and(|mut objects| {
        objects
            .find(|object| object.symbol(&name).is_some())
            .is_some_and(|first| !first.has_dynamic(own))
    })
}

fn map_control(settings: &Settings) -> Result<*mut ControlPage, &'static str> {
    let directory =
        directory::find(settings).ok_or("there is no tap directory, or a link in its place")?;
    let mut path = Text::<128>::new();
    path.push(settings.directory()).push(b"/").push(CONTROL_FILE.as_bytes());
    let path = path.path().ok_or("the tap directory's path is too long")?;
    let mut opened = syscall::open(path, O_RDWR | O_NOFOLLOW, 0);
    if opened.as_ref().err() == Some(&syscall::ENOENT) {
        make_control(settings, path, directory.mode)?;
        opened = syscall::open(path, O_RDWR | O_NOFOLLOW, 0);
    }
    let file =
        opened.map_err(|_| "the tap directory has no control page that this user may open")?;
    let system = syscall::file_system(&file).unwrap_or(0);
    if system != TMPFS_MAGIC && system != RAMFS_MAGIC {
        return Err("the tap directory is not in memory (tmpfs)");
    }
    // Read, not looked at in the mapping: a hole of a full file system would end the process there.
    let mut start = [0; 32];
    let length = syscall::pread(file.number(), &mut start, 0).unwrap_or(0);
    if !control::is_valid(&start[..length]) {
        return Err("the control page is of another version");
    }
    let status =
        syscall::descriptor_status(file.number()).map_err(|_| "the control page cannot be read")?;
    if status.size < control::CONTROL_SIZE as u64 {
        return Err("the control page is cut");
    }
    syscall::map_shared(&file, control::CONTROL_SIZE)
        .map(<*mut u8>::cast)
        .map_err(|_| "the control page cannot be mapped")
}

/// Makes the control page where the collector has not come yet: what is written before it comes is kept for it.
///
/// Who may use the directory may use the page and the rings.
#[cold]
fn make_control(
    settings: &Settings,
    path: CPath<'_>,
    directory_mode: u32,
) -> Result<(), &'static str> {
    let ring_mode = match directory_mode & 0o022 {
        0o000 => 0o600,
        0o020 => 0o660,
        _ => 0o666,
    };
    let mut temporary = Text::<160>::new();
    temporary.push(settings.directory()).push(b"/.").push(CONTROL_FILE.as_bytes());
    temporary.push(b"-").push_number(u64::from(syscall::process_id())).push(b".tmp");
    let temporary = temporary.path().ok_or("the tap directory's path is too long")?;
    let flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW;
    let file = syscall::open(temporary, flags, ring_mode)
        .map_err(|_| "the tap directory has no control page and is not writable")?;
    let system = syscall::file_system(&file).unwrap_or(0);
    let page = control::page(ring_mode, control::DEFAULT_RING_CAP, clock::now());
    let written = (system == TMPFS_MAGIC || system == RAMFS_MAGIC)
        && syscall::change_mode(&file, ring_mode).is_ok()
        && syscall::write(file.number(), &page) == Ok(page.len());
    if written {
        // Where another was first, its page serves.
        syscall::link(temporary, path).or_ignore();
    }
    syscall::unlink(temporary).or_ignore();
    if written { Ok(()) } else { Err("the tap directory is not in memory (tmpfs), or full") }
}

/// Says in debug mode which patterns match nothing.
#[cold]
fn complain_of_patterns(settings: &Settings) {
    for pattern in
        pattern::split(settings.patterns()).filter(|pattern| !pattern::can_match(pattern))
    {
        let mut text = message();
        text.push(b"`")
            .push(pattern)
            .push(b"` in LLT_TAP_FILE never matches: paths are absolute\n");
        syscall::write(2, text.bytes()).or_ignore();
    }
}

/// The beginning of what is said in debug mode.
fn message() -> Text<512> {
    let mut text = Text::new();
    text.push(b"[liblogtap ").push_number(u64::from(syscall::process_id())).push(b"] ");
    text
}

/// Says in debug mode why nothing is tapped.
#[cold]
fn complain(refusal: Refusal) {
    let mut text = message();
    match refusal {
        Refusal::NotAsked => {
            text.push(b"inactive: nothing is to be tapped (LLT_TAP_INTO, LLT_TAP_FILE)")
        }
        Refusal::BadValue(name) => {
            text.push(b"inactive: the value of ").push(name.as_bytes()).push(b" cannot be read")
        }
        Refusal::Missing(what) => text.push(b"inactive: ").push(what.as_bytes()),
    };
    text.push(b"\n");
    syscall::write(2, text.bytes()).or_ignore();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_the_same_by_call_and_by_file() {
        let file = std::fs::read("/proc/self/auxv").expect("the file");
        let by_file = Told::of_vector(&file);
        assert!(by_file.page_size.is_power_of_two() && by_file.headers.address != 0);
        let mut buffer = [0_u8; 1024];
        // Kernels before 6.4 refuse.
        if let Ok(length) = syscall::auxiliary_vector(&mut buffer) {
            assert_eq!(Told::of_vector(&buffer[..length]), by_file);
        }
        assert_eq!(Told::of_vector(b"cut"), Told::default());
    }

    #[test]
    fn random_bytes_are_above_what_is_on_the_same_stack_and_near() {
        let here = 0x7ffe_1234_5000;
        assert!(is_on_this_stack(here + 1, here) && is_on_this_stack(here + (8 << 20), here));
        // Of the machine below an emulator; none at all; of another thread's stack.
        assert!(!is_on_this_stack(here, 0x1f_fefe_0000) && !is_on_this_stack(0, here));
        assert!(!is_on_this_stack(here - 1, here));
    }
}
