//! Environment blocks, as the exec functions get them.
//!
//! # Safety
//!
//! This file may use `unsafe`: it walks C's arrays of C strings.
#![expect(unsafe_code, reason = "walks environment blocks")]

use core::slice;

use crate::environment::c_string;
use crate::original;

/// An array of C strings that ends with a null pointer.
pub(super) type Strings = *const *const u8;

/// Longest program name that is noted, and as much of a variable as is looked at.
pub(super) const LONGEST: usize = 1024;

/// The environment that the exec functions without an argument for it pass on.
pub(super) fn own() -> Strings {
    let address = original::global(b"environ").unwrap_or(0) as *const Strings;
    // SAFETY: libc's environ is a pointer to the environment block.
    if address.is_null() { core::ptr::null() } else { unsafe { *address } }
}

/// The entries of an environment.
///
/// # Safety
///
/// It is null or an environment block.
pub(super) unsafe fn entries<'a>(environment: Strings) -> &'a [*const u8] {
    if environment.is_null() {
        return &[];
    }
    let mut count = 0;
    // SAFETY: the block ends with a null pointer.
    while !unsafe { *environment.add(count) }.is_null() {
        count += 1;
    }
    // SAFETY: just walked.
    unsafe { slice::from_raw_parts(environment, count) }
}

/// The value of a variable, as much of it as is looked at.
///
/// # Safety
///
/// `environment` is null or an environment block.
pub(super) unsafe fn value<'a>(environment: Strings, name: &[u8]) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise.
    unsafe { entries(environment) }.iter().find_map(|entry| {
        // SAFETY: an entry of the block.
        unsafe { c_string(*entry, LONGEST) }.strip_prefix(name)
    })
}

/// Whether an environment preloads this library.
///
/// # Safety
///
/// It is null or an environment block.
pub(super) unsafe fn preloads(environment: Strings) -> bool {
    // SAFETY: the caller's promise.
    unsafe { value(environment, b"LD_PRELOAD=") }.is_some_and(names_library)
}

/// Whether this library is in a list of libraries.
pub(super) fn names_library(list: &[u8]) -> bool {
    list.windows(9).any(|window| window == b"liblogtap")
}
