//! What Rust and the compiler expect where there is no standard library.
//!
//! # Safety
//!
//! This file may use `unsafe`: it defines the memory functions that compiled code calls. They are hidden, so
//! that the application never meets them.
#![expect(unsafe_code, reason = "defines the symbols that compiled code refers to")]

use core::arch::global_asm;

/// No code path panics; should one, the thread stops here rather than take the application down.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        crate::syscall::sleep(1_000_000_000);
    }
}

// `core` comes compiled with unwinding tables that name the personality. Nothing ever unwinds here.
global_asm!(
    ".hidden rust_eh_personality",
    ".globl rust_eh_personality",
    "rust_eh_personality:",
    "ret"
);

#[cfg(target_arch = "x86_64")]
global_asm!(
    ".hidden memcpy, memmove, memset, memcmp, bcmp",
    ".globl memcpy, memmove, memset, memcmp, bcmp",
    // 32 bytes a step, then the last 32 (or fewer) once more from the end.
    "memcpy:",
    "mov rax, rdi",
    "cmp rdx, 16",
    "jb 3f",
    "movups xmm0, [rsi + rdx - 16]",
    "lea rcx, [rdi + rdx - 16]",
    "cmp rdx, 32",
    "jbe 2f",
    "movups xmm1, [rsi + rdx - 32]",
    "lea r8, [rdi + rdx - 32]",
    "5:",
    "movups xmm2, [rsi]",
    "movups xmm3, [rsi + 16]",
    "movups [rdi], xmm2",
    "movups [rdi + 16], xmm3",
    "add rsi, 32",
    "add rdi, 32",
    "cmp rdi, r8",
    "jb 5b",
    "movups [r8], xmm1",
    "movups [rcx], xmm0",
    "ret",
    "2:",
    "movups xmm2, [rsi]",
    "movups [rdi], xmm2",
    "movups [rcx], xmm0",
    "ret",
    "3:",
    "mov rcx, rdx",
    "rep movsb",
    "ret",
    "memmove:",
    "mov rax, rdi",
    "mov rcx, rdx",
    "mov r8, rdi",
    "sub r8, rsi",
    "cmp r8, rdx",
    "jb 2f",
    "rep movsb",
    "ret",
    "2:",
    "lea rsi, [rsi + rcx - 1]",
    "lea rdi, [rdi + rcx - 1]",
    "std",
    "rep movsb",
    "cld",
    "ret",
    "memset:",
    "mov r8, rdi",
    "mov eax, esi",
    "mov rcx, rdx",
    "rep stosb",
    "mov rax, r8",
    "ret",
    "memcmp:",
    "bcmp:",
    "xor eax, eax",
    "mov rcx, rdx",
    "cmp rcx, rcx",
    "repe cmpsb",
    "je 2f",
    "movzx eax, byte ptr [rdi - 1]",
    "movzx ecx, byte ptr [rsi - 1]",
    "sub eax, ecx",
    "2:",
    "ret",
);

#[cfg(target_arch = "aarch64")]
global_asm!(
    ".hidden memcpy, memmove, memset, memcmp, bcmp",
    ".globl memcpy, memmove, memset, memcmp, bcmp",
    "memcpy:",
    "mov x3, x0",
    "2: cmp x2, #16",
    "b.lo 3f",
    "ldp x4, x5, [x1], #16",
    "stp x4, x5, [x3], #16",
    "sub x2, x2, #16",
    "b 2b",
    "3: cbz x2, 4f",
    "ldrb w4, [x1], #1",
    "strb w4, [x3], #1",
    "sub x2, x2, #1",
    "b 3b",
    "4: ret",
    "memmove:",
    "sub x3, x0, x1",
    "cmp x3, x2",
    "b.hs memcpy",
    "5: cbz x2, 6f",
    "sub x2, x2, #1",
    "ldrb w4, [x1, x2]",
    "strb w4, [x0, x2]",
    "b 5b",
    "6: ret",
    "memset:",
    "mov x3, x0",
    "7: cbz x2, 8f",
    "strb w1, [x3], #1",
    "sub x2, x2, #1",
    "b 7b",
    "8: ret",
    "memcmp:",
    "bcmp:",
    "9: cbz x2, 10f",
    "ldrb w3, [x0], #1",
    "ldrb w4, [x1], #1",
    "sub x2, x2, #1",
    "cmp w3, w4",
    "b.eq 9b",
    "sub w0, w3, w4",
    "ret",
    "10: mov w0, #0",
    "ret",
);
