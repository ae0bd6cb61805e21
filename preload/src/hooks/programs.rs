//! Programs that this process starts: noted in the ring, so that the collector can tell which of them it cannot see.
//!
//! The calls themselves are passed on as they came, but for a program that could not load this library (`foreign`).
//! What waits for a `socket:` target is sent before an exec, as at the program's end.
//!
//! # Safety
//!
//! This file may use `unsafe`: it exports C functions and calls their originals with the arguments it was given.
#![expect(unsafe_code, reason = "C edges")]

use core::ffi::c_void;

use logtap_wire::record::Note;

use super::environments::{self, LONGEST, Strings, preloads};
use super::foreign::{self, Named};
use super::{answer, original};
use crate::environment::c_string;
use crate::syscall::{number, raw};
use crate::{rings, state, tap, targets};

/// Notes the start of a program. `environment` is null where it is not known.
///
/// # Safety
///
/// `path` is null or a C string; `environment` is null or an environment block.
#[inline]
pub(super) unsafe fn note(path: *const u8, environment: Strings) {
    if !state::is_active() || path.is_null() || rings::current().is_none() {
        return;
    }
    // SAFETY: the caller's promise.
    let path = unsafe { c_string(path, LONGEST) };
    // SAFETY: as above.
    let kind = if environment.is_null() || unsafe { preloads(environment) } {
        Note::Exec
    } else {
        Note::ExecWithoutPreload
    };
    tap::note(kind, path);
}

#[cfg_attr(panic = "abort", unsafe(no_mangle))]
unsafe extern "C" fn execve(path: *const u8, arguments: Strings, environment: Strings) -> i32 {
    targets::flush();
    // SAFETY: the caller's arguments, here and below.
    unsafe { note(path, environment) };
    let next = original!(execve: unsafe extern "C" fn(*const u8, Strings, Strings) -> i32);
    let exec = |environment: Strings| match next {
        // SAFETY: the caller's arguments.
        Some(execve) => unsafe { execve(path, arguments, environment) },
        // SAFETY: as above.
        None => answer(unsafe {
            let arguments = arguments as usize;
            raw(number::EXECVE, [path as usize, arguments, environment as usize, 0, 0, 0])
        }) as i32,
    };
    // SAFETY: the caller's arguments.
    unsafe { foreign::started(path, Named::Path, environment, exec) }
}

macro_rules! executing {
    ($($name:ident $named:ident $with_environment:ident),*) => {$(
        #[cfg_attr(panic = "abort", unsafe(no_mangle))]
        unsafe extern "C" fn $name(path: *const u8, arguments: Strings) -> i32 {
            targets::flush();
            let own = environments::own();
            // SAFETY: the caller's arguments, here and below.
            unsafe { note(path, own) };
            let next = original!($name: unsafe extern "C" fn(*const u8, Strings) -> i32);
            type With = unsafe extern "C" fn(*const u8, Strings, Strings) -> i32;
            let with = original!($with_environment: With);
            let exec = |environment: Strings| match with {
                // SAFETY: the caller's arguments.
                Some(exec) if environment != own => unsafe { exec(path, arguments, environment) },
                // SAFETY: as above.
                _ => next.map_or(-1, |exec| unsafe { exec(path, arguments) }),
            };
            // SAFETY: as above.
            unsafe { foreign::started(path, Named::$named, own, exec) }
        }
    )*};
}
executing!(execv Path execve, execvp Searched execvpe);

#[cfg_attr(panic = "abort", unsafe(no_mangle))]
unsafe extern "C" fn execvpe(name: *const u8, arguments: Strings, environment: Strings) -> i32 {
    targets::flush();
    // SAFETY: the caller's arguments, here and below.
    unsafe { note(name, environment) };
    let next = original!(execvpe: unsafe extern "C" fn(*const u8, Strings, Strings) -> i32);
    // SAFETY: the caller's arguments.
    let exec = |environment| next.map_or(-1, |exec| unsafe { exec(name, arguments, environment) });
    // SAFETY: as above.
    unsafe { foreign::started(name, Named::Searched, environment, exec) }
}

macro_rules! spawning {
    ($($name:ident $named:ident),*) => {$(
        #[cfg_attr(panic = "abort", unsafe(no_mangle))]
        unsafe extern "C" fn $name(
            process: *mut i32,
            path: *const u8,
            actions: *const c_void,
            attributes: *const c_void,
            arguments: Strings,
            environment: Strings,
        ) -> i32 {
            type Spawn = unsafe extern "C" fn(
                *mut i32, *const u8, *const c_void, *const c_void, Strings, Strings,
            ) -> i32;
            const ENOSYS: i32 = 38;
            // SAFETY: the caller's arguments, here and below.
            unsafe { note(path, environment) };
            original!($name: Spawn).map_or(ENOSYS, |spawn| {
                let spawned = |environment| {
                    // SAFETY: the caller's arguments.
                    unsafe { spawn(process, path, actions, attributes, arguments, environment) }
                };
                // SAFETY: as above.
                unsafe { foreign::started(path, Named::$named, environment, spawned) }
            })
        }
    )*};
}
spawning!(posix_spawn Path, posix_spawnp Searched);

/// What the `execl` shims call before they jump to the original with all their arguments: notes the program and
/// returns the original's address.
#[cfg(panic = "abort")]
unsafe extern "C" fn before_execl(path: *const u8, which: u32) -> usize {
    use crate::original::Original;
    let (original, environment) = match which {
        0 => (Original::execl, environments::own()),
        1 => (Original::execlp, environments::own()),
        // Its environment comes last among its arguments: not looked at.
        _ => (Original::execle, core::ptr::null()),
    };
    targets::flush();
    // SAFETY: the caller's arguments.
    unsafe { note(path, environment) };
    crate::original::address(original)
}

#[cfg(all(panic = "abort", target_arch = "x86_64"))]
macro_rules! execl {
    ($name:literal, $which:literal) => {
        core::arch::global_asm!(
            concat!(".hidden logtap_", $name),
            concat!(".globl logtap_", $name),
            concat!(".type logtap_", $name, ", @function"),
            concat!("logtap_", $name, ":"),
            "push rdi",
            "push rsi",
            "push rdx",
            "push rcx",
            "push r8",
            "push r9",
            "push rax",
            concat!("mov esi, ", $which),
            "call {before}",
            "mov r11, rax",
            "pop rax",
            "pop r9",
            "pop r8",
            "pop rcx",
            "pop rdx",
            "pop rsi",
            "pop rdi",
            "test r11, r11",
            "je 2f",
            "jmp r11",
            "2:",
            "mov eax, -1",
            "ret",
            concat!(".size logtap_", $name, ", . - logtap_", $name),
            before = sym before_execl,
        );
    };
}

#[cfg(all(panic = "abort", target_arch = "aarch64"))]
macro_rules! execl {
    ($name:literal, $which:literal) => {
        core::arch::global_asm!(
            concat!(".hidden logtap_", $name),
            concat!(".globl logtap_", $name),
            concat!(".type logtap_", $name, ", @function"),
            concat!("logtap_", $name, ":"),
            "stp x29, x30, [sp, #-80]!",
            "stp x0, x1, [sp, #16]",
            "stp x2, x3, [sp, #32]",
            "stp x4, x5, [sp, #48]",
            "stp x6, x7, [sp, #64]",
            concat!("mov w1, #", $which),
            "bl {before}",
            "mov x16, x0",
            "ldp x0, x1, [sp, #16]",
            "ldp x2, x3, [sp, #32]",
            "ldp x4, x5, [sp, #48]",
            "ldp x6, x7, [sp, #64]",
            "ldp x29, x30, [sp], #80",
            "cbz x16, 2f",
            "br x16",
            "2:",
            "mov w0, #-1",
            "ret",
            concat!(".size logtap_", $name, ", . - logtap_", $name),
            before = sym before_execl,
        );
    };
}

#[cfg(panic = "abort")]
execl!("execl", "0");
#[cfg(panic = "abort")]
execl!("execlp", "1");
#[cfg(panic = "abort")]
execl!("execle", "2");

super::exported_shim!(execl => "logtap_execl");
super::exported_shim!(execlp => "logtap_execlp");
super::exported_shim!(execle => "logtap_execle");

#[cfg_attr(panic = "abort", unsafe(no_mangle))]
unsafe extern "C" fn fexecve(descriptor: i32, arguments: Strings, environment: Strings) -> i32 {
    targets::flush();
    // SAFETY: the caller's arguments, here and below.
    unsafe { note(c"(descriptor)".as_ptr().cast(), environment) };
    let next = original!(fexecve: unsafe extern "C" fn(i32, Strings, Strings) -> i32);
    // SAFETY: the caller's arguments.
    next.map_or(-1, |exec| unsafe { exec(descriptor, arguments, environment) })
}
