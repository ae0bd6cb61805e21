//! `vfork`: its child runs in this process's memory, under a number of its own, and can outlive it there.
//!
//! Such a child writes under its parent's name. Where the parent is killed meanwhile, that name is nobody's, and the ring's
//! other writers would take lanes from one that is alive. So from its first `vfork` on a process holds lanes without
//! a name: nobody takes them back. One that it leaves locked when it is killed stays so, until most of a ring's lanes are
//! and the ring is given up. Children that are not made by `vfork` begin anew.
//!
//! The call itself is passed on as it came: its child returns on the caller's frame, so nothing may stand in between.
//!
//! # Safety
//!
//! This file may use `unsafe`: it exports C functions and calls their originals.
#![cfg_attr(panic = "abort", expect(unsafe_code, reason = "C edges"))]

/// What the shim calls before it jumps to the original: returns the original's address.
#[cfg(panic = "abort")]
extern "C" fn before_vfork() -> usize {
    crate::state::lend_memory();
    crate::original::address(crate::original::Original::vfork)
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

super::exported_shim!(vfork => "logtap_vfork");
super::exported_shim!(__vfork => "logtap_vfork");
