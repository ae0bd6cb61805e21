//! `dprintf` and its family where libc writes from inside (glibc from 2.37 on, musl), and `perror`.
//!
//! Rust on stable cannot define C-variadic functions: small assembly shims make a `va_list` of their arguments
//! and call the `v` form, which is an ordinary function. The original writes first; then the text is
//! formatted once more, into memory of ours.
//!
//! # Safety
//!
//! This file may use `unsafe`: it exports C functions and calls their originals with the arguments it was given.
#![expect(unsafe_code, reason = "C edges")]

use core::ffi::c_void;
use core::ptr;

use logtap_wire::ring::writer::Part;

use super::original;
use crate::descriptors::{self, Class};
use crate::{stdio, streams, syscall, tap};

/// Texts up to this length are formatted on the stack.
const SHORT: usize = 512;

/// A `va_list` as it is passed to functions: a pointer to this, on both architectures.
#[cfg_attr(target_arch = "x86_64", repr(C))]
#[derive(Clone, Copy)]
#[allow(dead_code, reason = "C code reads it; some compilers notice that Rust code does not")]
struct Arguments([u64; if cfg!(target_arch = "x86_64") { 3 } else { 4 }]);

type Format = unsafe extern "C" fn(*mut u8, usize, *const u8, *mut Arguments) -> i32;

/// Formats once more what the original has just written.
#[cold]
fn again(class: Class, format: *const u8, arguments: Arguments, written: i32) {
    let Some(vsnprintf) = original!(vsnprintf: Format) else {
        return tap::count_uncopied(class, written as usize);
    };
    let errno = stdio::errno();
    let length = written as usize;
    let mut text = [0_u8; SHORT];
    let mut arguments = arguments;
    if length < SHORT {
        // SAFETY: the application's own format and arguments, which libc has just accepted.
        unsafe { vsnprintf(text.as_mut_ptr(), SHORT, format, &raw mut arguments) };
        tap::copy(class, &[Part { base: text.as_ptr(), length }], length);
    } else if let Ok(memory) = syscall::map_anonymous(length + 1) {
        // SAFETY: as above, into a fresh mapping of this size.
        unsafe { vsnprintf(memory, length + 1, format, &raw mut arguments) };
        tap::copy(class, &[Part { base: memory, length }], length);
        // SAFETY: nobody else has seen the mapping.
        unsafe { syscall::unmap(memory, length + 1) };
    } else {
        tap::count_uncopied(class, length);
    }
    stdio::set_errno(errno);
}

fn formatted(
    descriptor: i32,
    format: *const u8,
    arguments: *mut Arguments,
    call: impl FnOnce(*mut Arguments) -> i32,
) -> i32 {
    let class = if stdio::formats_inside() { descriptors::class(descriptor) } else { None };
    let Some(class) = class else { return call(arguments) };
    // SAFETY: a va_list of the caller; a copy, as va_copy makes one on these architectures.
    let copy = unsafe { ptr::read(arguments) };
    let written = call(arguments);
    if written > 0 {
        again(class, format, copy, written);
    }
    written
}

#[cfg_attr(panic = "abort", unsafe(no_mangle))]
unsafe extern "C" fn vdprintf(descriptor: i32, format: *const u8, arguments: *mut c_void) -> i32 {
    type Print = unsafe extern "C" fn(i32, *const u8, *mut Arguments) -> i32;
    formatted(descriptor, format, arguments.cast(), |arguments| {
        // SAFETY: the caller's arguments.
        original!(vdprintf: Print)
            .map_or(-1, |print| unsafe { print(descriptor, format, arguments) })
    })
}

#[cfg_attr(panic = "abort", unsafe(no_mangle))]
unsafe extern "C" fn __vdprintf_chk(
    descriptor: i32,
    flag: i32,
    format: *const u8,
    arguments: *mut c_void,
) -> i32 {
    type Print = unsafe extern "C" fn(i32, i32, *const u8, *mut Arguments) -> i32;
    type Plain = unsafe extern "C" fn(i32, *const u8, *mut Arguments) -> i32;
    formatted(descriptor, format, arguments.cast(), |arguments| {
        match original!(vdprintf_chk: Print) {
            // SAFETY: the caller's arguments.
            Some(print) => unsafe { print(descriptor, flag, format, arguments) },
            // SAFETY: the caller's arguments.
            None => original!(vdprintf: Plain)
                .map_or(-1, |print| unsafe { print(descriptor, format, arguments) }),
        }
    })
}

// The register arguments are saved as the ABI lays out a va_list's save area (System V AMD64 section 3.5.7,
// AAPCS64 appendix "Variable argument lists").
#[cfg(all(panic = "abort", target_arch = "x86_64"))]
macro_rules! variadic {
    ($name:literal, $target:ident, $named:literal, $list:literal) => {
        core::arch::global_asm!(
            concat!(".hidden logtap_", $name),
            concat!(".globl logtap_", $name),
            concat!(".type logtap_", $name, ", @function"),
            concat!("logtap_", $name, ":"),
            "sub rsp, 216",
            "mov [rsp + 32], rdi",
            "mov [rsp + 40], rsi",
            "mov [rsp + 48], rdx",
            "mov [rsp + 56], rcx",
            "mov [rsp + 64], r8",
            "mov [rsp + 72], r9",
            "test al, al",
            "je 2f",
            "movaps [rsp + 80], xmm0",
            "movaps [rsp + 96], xmm1",
            "movaps [rsp + 112], xmm2",
            "movaps [rsp + 128], xmm3",
            "movaps [rsp + 144], xmm4",
            "movaps [rsp + 160], xmm5",
            "movaps [rsp + 176], xmm6",
            "movaps [rsp + 192], xmm7",
            "2:",
            concat!("mov dword ptr [rsp], ", $named, " * 8"),
            "mov dword ptr [rsp + 4], 48",
            "lea rax, [rsp + 224]",
            "mov [rsp + 8], rax",
            "lea rax, [rsp + 32]",
            "mov [rsp + 16], rax",
            concat!("mov ", $list, ", rsp"),
            "call {target}",
            "add rsp, 216",
            "ret",
            concat!(".size logtap_", $name, ", . - logtap_", $name),
            target = sym $target,
        );
    };
}
#[cfg(all(panic = "abort", target_arch = "x86_64"))]
variadic!("dprintf", vdprintf, "2", "rdx");
#[cfg(all(panic = "abort", target_arch = "x86_64"))]
variadic!("__dprintf_chk", __vdprintf_chk, "3", "rcx");

#[cfg(all(panic = "abort", target_arch = "aarch64"))]
macro_rules! variadic {
    ($name:literal, $target:ident, $named:literal, $list:literal) => {
        core::arch::global_asm!(
            concat!(".hidden logtap_", $name),
            concat!(".globl logtap_", $name),
            concat!(".type logtap_", $name, ", @function"),
            concat!("logtap_", $name, ":"),
            "stp x29, x30, [sp, #-16]!",
            "mov x29, sp",
            "sub sp, sp, #224",
            "stp x0, x1, [sp, #32]",
            "stp x2, x3, [sp, #48]",
            "stp x4, x5, [sp, #64]",
            "stp x6, x7, [sp, #80]",
            "stp q0, q1, [sp, #96]",
            "stp q2, q3, [sp, #128]",
            "stp q4, q5, [sp, #160]",
            "stp q6, q7, [sp, #192]",
            "add x9, x29, #16",
            "str x9, [sp]",
            "add x9, sp, #96",
            "str x9, [sp, #8]",
            "add x9, sp, #224",
            "str x9, [sp, #16]",
            concat!("mov w9, #-(64 - ", $named, " * 8)"),
            "str w9, [sp, #24]",
            "mov w9, #-128",
            "str w9, [sp, #28]",
            concat!("mov ", $list, ", sp"),
            "bl {target}",
            "mov sp, x29",
            "ldp x29, x30, [sp], #16",
            "ret",
            concat!(".size logtap_", $name, ", . - logtap_", $name),
            target = sym $target,
        );
    };
}
#[cfg(all(panic = "abort", target_arch = "aarch64"))]
variadic!("dprintf", vdprintf, "2", "x2");
#[cfg(all(panic = "abort", target_arch = "aarch64"))]
variadic!("__dprintf_chk", __vdprintf_chk, "3", "x3");

super::exported_shim!(dprintf => "logtap_dprintf");
super::exported_shim!(__dprintf_chk => "logtap___dprintf_chk");

/// glibc's perror writes through a duplicate of descriptor 2 that it makes inside, where nobody sees it.
#[cfg_attr(panic = "abort", unsafe(no_mangle))]
unsafe extern "C" fn perror(text: *const u8) {
    streams::in_perror(|| {
        if let Some(perror) = original!(perror: unsafe extern "C" fn(*const u8)) {
            // SAFETY: the caller's arguments.
            unsafe { perror(text) };
        }
    });
}
