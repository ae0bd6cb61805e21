//! Memory maps of log files: noticed and reported, since what is stored through one cannot be seen.
//!
//! # Safety
//!
//! This file may use `unsafe`: it exports C functions and calls their originals with the arguments it was given.
#![expect(unsafe_code, reason = "C edges")]

use logtap_wire::ring::SEEN_MAPPED;

use super::{answer, original};
use crate::descriptors::{self, Class};
use crate::streams::Stream;
use crate::syscall::{MAP_SHARED, PROT_WRITE, number, raw};
use crate::{environment, rings};

/// Notes a map that was made, if a log can be written through it.
#[inline]
pub(super) fn mapped(protection: i32, flags: i32, descriptor: i32) {
    const MAP_TYPE: i32 = 0xf;
    const MAP_SHARED_VALIDATE: i32 = 3;
    let is_shared = matches!(flags & MAP_TYPE, kind if kind == MAP_SHARED as i32 || kind == MAP_SHARED_VALIDATE);
    if is_shared && protection & PROT_WRITE as i32 != 0 && descriptor >= 0 {
        look(descriptor);
    }
}

#[cold]
fn look(descriptor: i32) {
    let any_files = environment::get().is_some_and(|settings| !settings.patterns().is_empty());
    let class = if any_files { descriptors::class(descriptor) } else { None };
    if matches!(class, Some(Class { stream: Stream::File(_), .. })) {
        rings::add_coverage(SEEN_MAPPED);
    }
}

macro_rules! mapping {
    ($($name:ident = $fallback:ident),*) => {$(
        #[cfg_attr(panic = "abort", unsafe(no_mangle))]
        unsafe extern "C" fn $name(
            address: usize, length: usize, protection: i32, flags: i32, descriptor: i32, offset: i64,
        ) -> usize {
            type Map = unsafe extern "C" fn(usize, usize, i32, i32, i32, i64) -> usize;
            const FAILED: usize = usize::MAX;
            let result = match original!($name: Map).or_else(|| original!($fallback: Map)) {
                // SAFETY: the caller's arguments.
                Some(map) => unsafe { map(address, length, protection, flags, descriptor, offset) },
                // SAFETY: as above.
                None => answer(unsafe {
                    let (protection, flags) = (protection as usize, flags as usize);
                    raw(number::MMAP, [address, length, protection, flags, descriptor as usize, offset as usize])
                }) as usize,
            };
            if result != FAILED {
                mapped(protection, flags, descriptor);
            }
            result
        }
    )*};
}
mapping!(mmap = mmap64, mmap64 = mmap);
