//! Programs for another architecture, such as 32-bit ones: the library is taken out of their environment, because their
//! dynamic loader could only complain about it, on the program's stderr.
//!
//! The program itself is named by the collector like every other that the tap does not reach; what it starts in turn
//! is not tapped either. Whatever cannot be read or does not fit in the space here is started as it was asked for.
//! `execl` and its relatives pass their own arguments on and are left alone.
//!
//! # Safety
//!
//! This file may use `unsafe`: it walks environment blocks, and makes a copy of one that lives as long as the call.
#![expect(unsafe_code, reason = "walks and copies environment blocks")]

use core::ptr;

use super::environments::{self, LONGEST, Strings, entries, names_library, preloads};
use crate::environment::c_string;
use crate::state;
use crate::syscall::{self, AT_FDCWD, CPath, O_NONBLOCK, O_RDONLY, S_IFREG};
use crate::text::Text;

/// Most interpreters of interpreters that are looked at, as the kernel's `BINPRM` limit.
const INTERPRETERS: usize = 4;
/// As much of a file as the kernel looks at to find out what it is (`BINPRM_BUF_SIZE`).
const HEAD: usize = 256;
/// Where programs are looked for without PATH (`_PATH_DEFPATH` of both libcs, without the current directory).
const DEFAULT_PATH: &[u8] = b"/usr/local/bin:/bin:/usr/bin";
const VARIABLE: &[u8] = b"LD_PRELOAD=";
/// What the machine field of an ELF file of this build says (`e_machine` in elf.h).
const MACHINE: u16 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };

/// How a program is named.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// By its path.
    Path,
    /// By a name that is looked for in the directories of PATH where it has no slash.
    Searched,
}

/// Runs a call that starts a program, with the environment that the program shall get.
///
/// # Safety
///
/// `path` is null or a C string; `environment` is null or an environment block.
#[inline]
pub(super) unsafe fn started<R>(
    path: *const u8,
    named: Named,
    environment: Strings,
    call: impl FnOnce(Strings) -> R,
) -> R {
    // SAFETY: the caller's promise, here and below.
    let concerns = state::is_active()
        && state::may_call()
        && !path.is_null()
        && !environment.is_null()
        && unsafe { preloads(environment) && is_foreign(c_string(path, LONGEST), named) };
    if !concerns {
        return call(environment);
    }
    // SAFETY: as above.
    unsafe { without_library(environment, call) }
}

/// Whether a program, or what interprets it, is made for another architecture.
#[cold]
fn is_foreign(name: &[u8], named: Named) -> bool {
    if named == Named::Path || name.contains(&b'/') {
        return file_is_foreign(name) == Some(true);
    }
    // SAFETY: libc's own environment.
    let path =
        unsafe { environments::value(environments::own(), b"PATH=") }.unwrap_or(DEFAULT_PATH);
    path.split(|byte| *byte == b':')
        .find_map(|directory| {
            let mut file = Text::<LONGEST>::new();
            if !directory.is_empty() {
                file.push(directory).push(b"/");
            }
            file.push(name);
            file_is_foreign(file.bytes())
        })
        .unwrap_or(false)
}

/// The same of a file. `None` where it cannot be read or is no program.
fn file_is_foreign(file: &[u8]) -> Option<bool> {
    let mut head = [0; HEAD];
    let mut length = read_head(file, &mut head)?;
    for _ in 0..INTERPRETERS {
        let Some(line) = head[..length].strip_prefix(b"#!") else { break };
        let mut interpreter = Text::<HEAD>::new();
        interpreter.push(interpreter_of(line));
        length = read_head(interpreter.bytes(), &mut head)?;
    }
    is_foreign_elf(&head[..length])
}

/// The path in what stands behind `#!`.
fn interpreter_of(line: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = line.iter().position(|byte| !is_blank(byte)).unwrap_or(line.len());
    let line = &line[start..];
    let end = line.iter().position(|byte| is_blank(byte) || matches!(byte, b'\n' | 0));
    &line[..end.unwrap_or(line.len())]
}

/// Whether the head of a file is that of an ELF file for another architecture. `None` where it is no ELF file.
fn is_foreign_elf(head: &[u8]) -> Option<bool> {
    const CLASS_64: u8 = 2;
    const LITTLE_ENDIAN: u8 = 1;
    let (ident, machine) = (head.get(..6)?, head.get(18..20)?);
    let (class, order) = (ident[4], ident[5]);
    ident.starts_with(b"\x7fELF").then(|| {
        class != CLASS_64
            || order != LITTLE_ENDIAN
            || u16::from_le_bytes([machine[0], machine[1]]) != MACHINE
    })
}

/// Only a regular file is opened: opening a pipe or a device would do something.
fn read_head(file: &[u8], head: &mut [u8; HEAD]) -> Option<usize> {
    let mut name = Text::<{ LONGEST + 1 }>::new();
    let path: CPath<'_> = name.push(file).path()?;
    if syscall::status(AT_FDCWD, path).ok()?.kind() != S_IFREG {
        return None;
    }
    let descriptor = syscall::open(path, O_RDONLY | O_NONBLOCK, 0).ok()?;
    syscall::read_some(&descriptor, head).ok()
}

/// Runs the call with a copy of the environment in which this library is not preloaded; with the environment itself
/// where it has too many entries.
#[cold]
unsafe fn without_library<R>(environment: Strings, call: impl FnOnce(Strings) -> R) -> R {
    // SAFETY: the caller's promise.
    match unsafe { entries(environment) } {
        // Two sizes, so that a small environment needs little of what may be a small stack.
        few if few.len() < 128 => copied::<128, R>(few, call),
        many if many.len() < 1024 => copied::<1024, R>(many, call),
        _ => call(environment),
    }
}

/// Runs the call with a copy of fewer than `N` entries.
#[inline(never)]
fn copied<const N: usize, R>(entries: &[*const u8], call: impl FnOnce(Strings) -> R) -> R {
    let mut kept = [ptr::null::<u8>(); N];
    let mut preload = Text::<{ LONGEST + 1 }>::new();
    let mut length = 0;
    for entry in entries {
        // SAFETY: an entry of an environment block.
        let variable = unsafe { c_string(*entry, LONGEST) };
        let is_ours = variable.strip_prefix(VARIABLE).is_some_and(|value| {
            variable.len() < LONGEST
                && preload.bytes().is_empty()
                && write_others(value, &mut preload)
        });
        if !is_ours {
            kept[length] = *entry;
            length += 1;
        }
    }
    // The entry is written whole before its address is taken; alone, without any other library, it is left out.
    if preload.bytes().len() > VARIABLE.len() && preload.push(b"\0").bytes().ends_with(b"\0") {
        kept[length] = preload.bytes().as_ptr();
    }
    call(kept.as_ptr())
}

/// Writes the variable with the libraries of the list that are not this one; false where all stay.
fn write_others<const N: usize>(list: &[u8], out: &mut Text<N>) -> bool {
    let names = || list.split(|byte| matches!(byte, b':' | b' '));
    if !names().any(names_library) {
        return false;
    }
    out.push(VARIABLE);
    for (index, name) in names().filter(|name| !name.is_empty() && !names_library(name)).enumerate()
    {
        if index > 0 {
            out.push(b":");
        }
        out.push(name);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(block: &[&core::ffi::CStr]) -> Vec<String> {
        let pointers: Vec<*const u8> = block.iter().map(|entry| entry.as_ptr().cast()).collect();
        copied::<128, _>(&pointers, |copy| {
            // SAFETY: just made, and ends with a null pointer.
            let entries = unsafe { entries(copy) };
            let text = |entry: &*const u8| {
                // SAFETY: an entry of it.
                String::from_utf8_lossy(unsafe { c_string(*entry, LONGEST) }).into_owned()
            };
            entries.iter().map(text).collect()
        })
    }

    #[test]
    fn only_this_library_goes() {
        assert_eq!(rewritten(&[c"A=1", c"LD_PRELOAD=/x/liblogtap.so", c"B=2"]), ["A=1", "B=2"]);
        let others = [c"LD_PRELOAD=/a.so:/x/liblogtap.so /b.so", c"B=2"];
        assert_eq!(rewritten(&others), ["B=2", "LD_PRELOAD=/a.so:/b.so"]);
        assert_eq!(rewritten(&[c"LD_PRELOAD=/a.so", c"B=2"]), ["LD_PRELOAD=/a.so", "B=2"]);
    }

    #[test]
    fn another_class_or_machine_is_foreign() {
        let mut head = *b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\0\0";
        head[18..20].copy_from_slice(&MACHINE.to_le_bytes());
        assert_eq!(is_foreign_elf(&head), Some(false));
        head[4] = 1;
        assert_eq!(is_foreign_elf(&head), Some(true));
        head[4] = 2;
        head[18] = 3;
        assert_eq!(is_foreign_elf(&head), Some(true));
        assert_eq!(is_foreign_elf(b"MZ"), None);
        assert_eq!(is_foreign_elf(&[0; 64]), None);
    }

    #[test]
    fn a_script_is_what_interprets_it() {
        assert_eq!(interpreter_of(b" \t/bin/sh -e\nexit"), b"/bin/sh");
        assert_eq!(interpreter_of(b"/bin/sh"), b"/bin/sh");
        assert_eq!(interpreter_of(b"\n"), b"");
        assert_eq!(file_is_foreign(b"/bin/sh"), Some(false));
        assert_eq!(file_is_foreign(b"/nowhere/program"), None);
        assert_eq!(file_is_foreign(b"/dev/null"), None);
        assert!(!is_foreign(b"sh", Named::Searched));
    }
}
