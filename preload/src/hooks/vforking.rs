//! `vfork`, and `clone` in the same memory: the child runs in this process's memory, under a number of its own, and can
//! outlive it there.
//!
//! Such a child writes under its parent's name. Where the parent is killed meanwhile, that name is nobody's, and the ring's
//! other writers would take lanes from one that is alive. So from its first such child on a process holds lanes without
//! a name: nobody takes them back. One that it leaves locked when it is killed stays so, until most of a ring's lanes are
//! and the ring is given up. Forked children begin anew; threads, which end with their process, are no such children, nor
//! are those of `posix_spawn`, which makes them inside libc and lets them run nothing of the program's.
//!
//! The calls themselves are passed on as they came: a child of `vfork` returns on the caller's frame, and `clone` takes
//! more arguments than some callers give, the last of them on the stack. So nothing may stand in between.
//!
//! # Safety
//!
//! This file may use `unsafe`: it exports C functions and calls their originals.
#![cfg_attr(panic = "abort", expect(unsafe_code, reason = "C edges"))]

/// What the shim calls before it jumps to the original: returns the original's address.
#[cfg(panic = "abort")]
extern "C" fn before_vfork() -> usize {
    crate::identity::lend_memory();
    crate::original::address(crate::original::Original::vfork)
}

/// The same for `clone` with these flags.
#[cfg(panic = "abort")]
extern "C" fn before_clone(flags: i32) -> usize {
    const CLONE_VM: i32 = 0x100;
    const CLONE_THREAD: i32 = 0x1_0000;
    if flags & CLONE_VM != 0 && flags & CLONE_THREAD == 0 {
        crate::identity::lend_memory();
    }
    crate::original::address(crate::original::Original::clone)
}

#[cfg(all(panic = "abort", target_arch = "x86_64"))]
core::arch::global_asm!(
    ".hidden logtap_vfork",
    ".globl logtap_vfork",
    ".type logtap_vfork, @function",
    "logtap_vfork:",
    "sub rsp, 8",
    "call {before}",
    "add rsp, 8",
    "test rax, rax",
    "je 2f",
    "jmp rax",
    "2:",
    "mov eax, -1",
    "ret",
    ".size logtap_vfork, . - logtap_vfork",
    before = sym before_vfork,
);

#[cfg(all(panic = "abort", target_arch = "aarch64"))]
core::arch::global_asm!(
    ".hidden logtap_vfork",
    ".globl logtap_vfork",
    ".type logtap_vfork, @function",
    "logtap_vfork:",
    "stp x29, x30, [sp, #-16]!",
    "bl {before}",
    "mov x16, x0",
    "ldp x29, x30, [sp], #16",
    "cbz x16, 2f",
    "br x16",
    "2:",
    "mov w0, #-1",
    "ret",
    ".size logtap_vfork, . - logtap_vfork",
    before = sym before_vfork,
);

// clone(function, stack, flags, ...). Seven words pushed leave the stack aligned for the call.
#[cfg(all(panic = "abort", target_arch = "x86_64"))]
core::arch::global_asm!(
    ".hidden logtap_clone",
    ".globl logtap_clone",
    ".type logtap_clone, @function",
    "logtap_clone:",
    "push rdi",
    "push rsi",
    "push rdx",
    "push rcx",
    "push r8",
    "push r9",
    "push rax",
    "mov edi, edx",
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
    ".size logtap_clone, . - logtap_clone",
    before = sym before_clone,
);

#[cfg(all(panic = "abort", target_arch = "aarch64"))]
core::arch::global_asm!(
    ".hidden logtap_clone",
    ".globl logtap_clone",
    ".type logtap_clone, @function",
    "logtap_clone:",
    "stp x29, x30, [sp, #-80]!",
    "stp x0, x1, [sp, #16]",
    "stp x2, x3, [sp, #32]",
    "stp x4, x5, [sp, #48]",
    "stp x6, x7, [sp, #64]",
    "mov w0, w2",
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
    ".size logtap_clone, . - logtap_clone",
    before = sym before_clone,
);

super::exported_shim!(vfork => "logtap_vfork");
super::exported_shim!(__vfork => "logtap_vfork");
super::exported_shim!(clone => "logtap_clone");
super::exported_shim!(__clone => "logtap_clone");
