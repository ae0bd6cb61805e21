//! The functions that the library exports in front of libc's: C edges only.
//!
//! Each calls its original exactly once on every path (but for a suppressed write) and leaves errno as that left it.
//! What is exported is held by a golden list in the tests of the repository.

/// Exports an assembly shim under the name of a C-variadic function.
///
/// What `global_asm!` defines is not exported from a cdylib. So a function without arguments and without a frame jumps
/// there: all argument registers and the stack are as the caller left them. (Naked functions would say this
/// better; they came after Rust 1.85.)
macro_rules! exported_shim {
    ($name:ident => $shim:literal) => {
        #[cfg(panic = "abort")]
        #[unsafe(no_mangle)]
        extern "C" fn $name() -> ! {
            // SAFETY: nothing stands between the caller and the shim but this jump.
            unsafe {
                #[cfg(target_arch = "x86_64")]
                core::arch::asm!(concat!("jmp ", $shim), options(noreturn, nostack));
                #[cfg(target_arch = "aarch64")]
                core::arch::asm!(concat!("b ", $shim), options(noreturn, nostack));
            }
        }
    };
}
pub(crate) use exported_shim;

mod backtraces;
mod calls;
mod copying;
mod descriptors;
mod ending;
mod environments;
mod foreign;
mod formatted;
mod mapping;
mod programs;
mod redirecting;
mod vforking;
mod write;

/// The original of a hook as a function of this type, where there is one.
macro_rules! original {
    ($name:ident: $type:ty) => {{
        let address = crate::original::address(crate::original::Original::$name);
        // SAFETY: the symbol of this name is a function of this type in every C library.
        (address != 0).then(|| unsafe { core::mem::transmute::<usize, $type>(address) })
    }};
}
pub(crate) use original;

/// The kernel's answer as libc gives it: -1 and errno.
#[expect(unsafe_code, reason = "stores errno where libc says it is")]
#[cold]
pub(crate) fn answer(result: Result<usize, crate::syscall::Errno>) -> isize {
    match result {
        Ok(value) => value as isize,
        Err(crate::syscall::Errno(error)) => {
            if let Some(location) = original!(errno_location: unsafe extern "C" fn() -> *mut i32) {
                // SAFETY: __errno_location points to the thread's errno.
                unsafe { *location() = error };
            }
            -1
        }
    }
}
