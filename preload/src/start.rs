//! The constructor: finds out where it is, and lets the hooks work only if everything is as it must be.
//!
//! It never prints (but in debug mode), never waits, never exits. Whatever is missing leaves the library inert.
//!
//! # Safety
//!
//! This file may use `unsafe`: it takes the arguments that the dynamic linker passes to constructors.
#![expect(unsafe_code, reason = "the edge to the dynamic linker")]

use core::ptr;

use logtap_wire::pattern;
use logtap_wire::ring::COVERAGE_PLT;
use logtap_wire::settings::Target;

use crate::elf::Name;
use crate::environment::{self, Refusal, Settings};
use crate::syscall::{self, OrIgnore as _};
use crate::text::Text;
use crate::{
    clock, control, descriptors, files, identity, namespace, original, patience, rings, state,
    stdio, streams, targets,
};

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

/// Starts tapping.
fn start(settings: &'static Settings) -> Result<(), Refusal> {
    if is_second_copy() {
        return Err(Refusal::Missing("another copy of the library works in this process"));
    }
    if settings.fine_clock {
        clock::use_fine();
    }
    patience::set_on_full(settings.on_full);
    identity::remember_process();
    files::start(settings).map_err(Refusal::Missing)?;
    if !matches!(settings.target(), Target::Tap(_)) {
        targets::start(settings).map_err(Refusal::Missing)?;
        streams::find_without_directory(settings);
        descriptors::start();
        rings::add_coverage(COVERAGE_PLT | stdio::patch());
        stdio::line_buffer_stdout();
        state::activate();
        return Ok(());
    }
    control::map(settings).map_err(Refusal::Missing)?;
    let namespace = namespace::of_pids();
    streams::find(settings, namespace);
    descriptors::start();
    rings::add_coverage(COVERAGE_PLT | stdio::patch());
    stdio::line_buffer_stdout();
    state::activate();
    // A process that owns a tapped stream gets its ring now, while it may still make system calls.
    let owns = [1, 2].into_iter().any(|descriptor| descriptors::class(descriptor).is_some());
    if owns && !rings::first(identity::process(), namespace) {
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
