//! Time without a system call: the kernel's vDSO.
//!
//! The coarse clock by default: reading the exact one executes an instruction that sandboxes may forbid,
//! which would end the process.
//!
//! # Safety
//!
//! This file may use `unsafe`: it calls the function that the kernel mapped for this purpose.
#![expect(unsafe_code, reason = "calls the kernel's vDSO")]

use core::mem::transmute;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crate::elf;

const REALTIME: i32 = 0;
const REALTIME_COARSE: i32 = 5;
const MONOTONIC_COARSE: i32 = 6;

static FUNCTION: AtomicUsize = AtomicUsize::new(0);
static FINE: AtomicBool = AtomicBool::new(false);
/// The tick of the monotonic clock at which both clocks were read last.
static TICK: AtomicU64 = AtomicU64::new(0);
/// How far the other clock was ahead of it then, modulo 2^64.
static AHEAD: AtomicU64 = AtomicU64::new(0);

type ClockGetTime = unsafe extern "C" fn(i32, *mut [u64; 2]) -> i32;

/// Finds the clock in the vDSO at this address (`AT_SYSINFO_EHDR`; 0 where there is none).
pub(crate) fn find(vdso: usize) {
    let name: &[u8] = if cfg!(target_arch = "aarch64") {
        b"__kernel_clock_gettime"
    } else {
        b"__vdso_clock_gettime"
    };
    FUNCTION.store(elf::symbol_of_image(vdso, name).unwrap_or(0), Ordering::Relaxed);
}

/// Takes time stamps from the exact clock.
pub(crate) fn use_fine() {
    FINE.store(true, Ordering::Relaxed);
}

/// Takes time stamps from the coarse clock from now on.
pub(crate) fn use_coarse() {
    FINE.store(false, Ordering::Relaxed);
}

/// Nanoseconds since 1970; 0 where no clock can be read without a system call.
#[inline(always)]
pub(crate) fn now() -> u64 {
    get(if FINE.load(Ordering::Relaxed) { REALTIME } else { REALTIME_COARSE })
}

/// Nanoseconds of the monotonic clock, good to a few milliseconds; 0 where it cannot be read.
#[inline(always)]
pub(crate) fn monotonic() -> u64 {
    get(MONOTONIC_COARSE)
}

/// What [`now`] says, where `monotonic` was just read: the coarse clocks stand still between two ticks, and
/// move together, so one of them is read instead of both. A step of the clock shows from the next tick on.
///
/// Threads may mix their stores: the distance of the clocks is the same for all of them but at a step.
#[inline(always)]
pub(crate) fn now_at(monotonic: u64) -> u64 {
    if TICK.load(Ordering::Acquire) == monotonic && !FINE.load(Ordering::Relaxed) {
        return monotonic.wrapping_add(AHEAD.load(Ordering::Relaxed));
    }
    let now = now();
    if now != 0 && monotonic != 0 {
        AHEAD.store(now.wrapping_sub(monotonic), Ordering::Relaxed);
        TICK.store(monotonic, Ordering::Release);
    }
    now
}

#[inline(always)]
fn get(clock: i32) -> u64 {
    let address = FUNCTION.load(Ordering::Relaxed);
    if address == 0 {
        return 0;
    }
    // SAFETY: the address is that of clock_gettime in the vDSO, which has this type.
    let function = unsafe { transmute::<usize, ClockGetTime>(address) };
    let mut time = [0; 2];
    // SAFETY: the kernel's function writes one struct timespec.
    if unsafe { function(clock, &raw mut time) } != 0 {
        return 0;
    }
    time[0].wrapping_mul(1_000_000_000).wrapping_add(time[1])
}
