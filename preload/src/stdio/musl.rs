//! musl: the `write` and `close` pointers of each FILE.
//!
//! Layout on 64 bits (src/internal/stdio_impl.h), the same in all releases from 1.0.0 to 1.2.5: flags at 0, close at 24,
//! wend at 32, wpos at 40, wbase at 56, write at 72, buf at 88, buf_size at 96, fd at 120, lbf at 144.
//! musl writes by an inline system call and does not say how much reached the kernel when one fails, so the function
//! here does the whole of its `__stdio_write` itself.
//!
//! # Safety
//!
//! This file may use `unsafe`: it replaces function pointers of FILEs after checking the three standard ones.
#![expect(unsafe_code, reason = "replaces function pointers of the C library")]

use core::mem::transmute;
use core::sync::atomic::{AtomicUsize, Ordering};

use logtap_wire::ring::COVERAGE_MUSL;
use logtap_wire::ring::writer::Part;

use crate::elf::Name;
use crate::syscall::{number, raw};
use crate::{descriptors, hooks, original, tap};

/// Offset of `fd` in FILE.
pub(super) const DESCRIPTOR: usize = 120;
const FLAGS: usize = 0;
const CLOSE: usize = 24;
const WRITE_END: usize = 32;
const WRITE_POSITION: usize = 40;
const WRITE_BASE: usize = 56;
const WRITE: usize = 72;
const BUFFER: usize = 88;
const BUFFER_SIZE: usize = 96;
const LINE_END: usize = 144;
const FLAG_ERROR: u32 = 32;
const FLAG_OWN_BUFFER: u32 = 64;

type Close = unsafe extern "C" fn(*mut u8) -> i32;

/// musl's own `__stdio_write`, `__stdout_write` and `__stdio_close`.
static PLAIN_WRITE: AtomicUsize = AtomicUsize::new(0);
static FIRST_WRITE: AtomicUsize = AtomicUsize::new(0);
static PLAIN_CLOSE: AtomicUsize = AtomicUsize::new(0);

/// One field of a FILE.
///
/// # Safety
///
/// `file` is a FILE of musl, and `T` is what lies at the offset.
unsafe fn field<T>(file: *mut u8, offset: usize) -> *mut T {
    // SAFETY: the caller's promise.
    unsafe { file.add(offset) }.cast()
}

/// Takes the standard FILEs. The coverage bit, if everything about them is as expected.
pub(super) fn patch() -> u32 {
    let standard = |name: &[u8]| {
        let pointer = original::global(name)? as *const *mut u8;
        // SAFETY: `stdout` is a pointer to a FILE.
        let file = unsafe { *pointer };
        (!file.is_null()).then_some(file)
    };
    let (Some(input), Some(output), Some(error)) =
        (standard(b"stdin"), standard(b"stdout"), standard(b"stderr"))
    else {
        return 0;
    };
    let Some(libc) = original::objects().and_then(|mut objects| {
        objects.find(|object| {
            [b"__stdio_write".as_slice(), b"__overflow"]
                .iter()
                .any(|name| object.symbol(&Name::new(name)).is_some())
        })
    }) else {
        return 0;
    };
    let Some((start, end)) = libc.span() else { return 0 };
    let inside = |address: usize| (start..end).contains(&address);
    for (number, file) in [(0, input), (1, output), (2, error)] {
        // SAFETY: a FILE is at least this large in every C library that has these symbols.
        let (descriptor, close, write) = unsafe {
            (
                *field::<i32>(file, DESCRIPTOR),
                *field::<usize>(file, CLOSE),
                *field::<usize>(file, WRITE),
            )
        };
        if descriptor != number || !inside(close) || (number > 0 && !inside(write)) {
            return 0;
        }
    }
    // SAFETY: checked above.
    unsafe {
        PLAIN_WRITE.store(*field::<usize>(error, WRITE), Ordering::Relaxed);
        PLAIN_CLOSE.store(*field::<usize>(error, CLOSE), Ordering::Relaxed);
        let first = *field::<usize>(output, WRITE);
        if first != PLAIN_WRITE.load(Ordering::Relaxed) {
            FIRST_WRITE.store(first, Ordering::Relaxed);
        }
        adopt(error);
        adopt(output);
    }
    COVERAGE_MUSL
}

/// Puts our functions into a FILE that has musl's own.
///
/// # Safety
///
/// `file` is a FILE of this process's C library.
pub(super) unsafe fn adopt(file: *mut u8) {
    let (plain, first) = (PLAIN_WRITE.load(Ordering::Relaxed), FIRST_WRITE.load(Ordering::Relaxed));
    if plain == 0 {
        return;
    }
    // SAFETY: a FILE of musl: `patch` has checked the library.
    let (write_slot, close_slot) =
        unsafe { (field::<usize>(file, WRITE), field::<usize>(file, CLOSE)) };
    // SAFETY: as above.
    let (now, closing) = unsafe { (*write_slot, *close_slot) };
    if now == plain {
        // SAFETY: as above.
        unsafe { *write_slot = write as *const () as usize };
    } else if now == first && first != 0 {
        // SAFETY: as above.
        unsafe { *write_slot = write_first as *const () as usize };
    }
    if closing == PLAIN_CLOSE.load(Ordering::Relaxed) {
        // SAFETY: as above.
        unsafe { *close_slot = close as *const () as usize };
    }
}

/// The first write to stdout, where musl finds out whether it is a terminal (`__stdout_write`): a terminal is written
/// line by line, unless the program has chosen a buffer.
unsafe extern "C" fn write_first(file: *mut u8, buffer: *const u8, length: usize) -> usize {
    const TIOCGWINSZ: usize = 0x5413;
    // SAFETY: FILE's fields; the kernel writes one struct winsize of eight bytes.
    unsafe {
        *field::<usize>(file, WRITE) = write as *const () as usize;
        if *field::<u32>(file, FLAGS) & FLAG_OWN_BUFFER == 0 {
            let mut size = [0_u64; 1];
            let descriptor = *field::<i32>(file, DESCRIPTOR) as usize;
            let arguments = [descriptor, TIOCGWINSZ, size.as_mut_ptr() as usize, 0, 0, 0];
            if raw(number::IOCTL, arguments).is_err() {
                *field::<i32>(file, LINE_END) = -1;
            }
        }
        write(file, buffer, length)
    }
}

/// What `__stdio_write` does: the buffered bytes and the new ones, until all are written or an error comes.
unsafe extern "C" fn write(file: *mut u8, buffer: *const u8, length: usize) -> usize {
    // SAFETY: FILE's fields.
    let (descriptor, base, position) = unsafe {
        (
            *field::<i32>(file, DESCRIPTOR),
            *field::<usize>(file, WRITE_BASE),
            *field::<usize>(file, WRITE_POSITION),
        )
    };
    let buffered = position.wrapping_sub(base);
    let all = [Part { base: base as *const u8, length: buffered }, Part { base: buffer, length }];
    let total = buffered + length;
    let class = descriptors::class(descriptor);
    if class.is_some_and(|class| class.suppress && tap::suppress(class, &all, total)) {
        // SAFETY: FILE's fields.
        unsafe { empty(file) };
        return length;
    }
    // Step by step as musl does it: the same calls, with the same empty parts.
    let (mut written, mut skip) = (0, 0);
    let mut left = all;
    let mut failed = false;
    loop {
        let arguments = [descriptor as usize, left[skip..].as_ptr() as usize, 2 - skip, 0, 0, 0];
        // SAFETY: the FILE's own bytes and the caller's.
        let result = hooks::answer(unsafe { raw(number::WRITEV, arguments) });
        if result < 0 || result == 0 && total > 0 {
            failed = true;
            break;
        }
        let mut taken = result as usize;
        written += taken;
        if written >= total {
            break;
        }
        if skip == 0 && taken > left[0].length {
            taken -= left[0].length;
            skip = 1;
        }
        let part = &mut left[skip];
        let step = taken.min(part.length);
        // SAFETY: within the part.
        part.base = unsafe { part.base.add(step) };
        part.length -= step;
    }
    if let (Some(class), true) = (class, written > 0) {
        tap::copy(class, &all, written);
    }
    if failed {
        // SAFETY: FILE's fields; a failed FILE has no room to write.
        unsafe {
            *field::<usize>(file, WRITE_POSITION) = 0;
            *field::<usize>(file, WRITE_BASE) = 0;
            *field::<usize>(file, WRITE_END) = 0;
            *field::<u32>(file, FLAGS) |= FLAG_ERROR;
        }
        return written.saturating_sub(buffered);
    }
    // SAFETY: FILE's fields.
    unsafe { empty(file) };
    length
}

/// Makes the whole buffer free again.
///
/// # Safety
///
/// `file` is a FILE of musl.
unsafe fn empty(file: *mut u8) {
    // SAFETY: FILE's fields.
    unsafe {
        let buffer = *field::<usize>(file, BUFFER);
        *field::<usize>(file, WRITE_END) = buffer + *field::<usize>(file, BUFFER_SIZE);
        *field::<usize>(file, WRITE_POSITION) = buffer;
        *field::<usize>(file, WRITE_BASE) = buffer;
    }
}

unsafe extern "C" fn close(file: *mut u8) -> i32 {
    // SAFETY: FILE's fields, and musl's own function.
    unsafe {
        let descriptor = *field::<i32>(file, DESCRIPTOR);
        let next = transmute::<usize, Close>(PLAIN_CLOSE.load(Ordering::Relaxed));
        descriptors::closing(descriptor);
        let result = next(file);
        descriptors::forget(descriptor);
        result
    }
}
