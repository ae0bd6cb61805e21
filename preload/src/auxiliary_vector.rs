//! What the kernel tells every process at its start: page size, random bytes, where program, linker and vDSO are.
//!
//! Refuses to believe it where it is another program's, as under an emulator or a tracer.
//!
//! # Safety
//!
//! This file may use `unsafe`: it reads bytes where the kernel says that they are.
#![expect(unsafe_code, reason = "reads what the kernel points at")]

use core::sync::atomic::{AtomicUsize, Ordering};

use crate::elf::{Image, ProgramHeaders};
use crate::syscall::{self, CPath};
use crate::{clock, linker};

/// Sixteen random bytes that the kernel gives to every program that it starts.
static RANDOM: AtomicUsize = AtomicUsize::new(0);
static PAGE_SIZE: AtomicUsize = AtomicUsize::new(4096);

/// Memory's page size.
pub(crate) fn page_size() -> usize {
    PAGE_SIZE.load(Ordering::Relaxed)
}

/// A number that differs between programs, also between two that one process is within a clock's tick.
pub(crate) fn salt() -> u64 {
    let address = RANDOM.load(Ordering::Relaxed) as *const [u8; 8];
    // SAFETY: null, or where the kernel put the bytes, at the bottom of the stack.
    u64::from_ne_bytes(unsafe { address.as_ref() }.copied().unwrap_or_default())
}

/// What the kernel tells every process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct AuxiliaryVector {
    headers: ProgramHeaders,
    linker: usize,
    page_size: usize,
    random: usize,
    vdso: usize,
}

/// Reads it, and returns where the linker's list of loaded objects begins; 0 where that cannot be found.
#[cold]
pub(crate) fn read() -> usize {
    let mut buffer = [0_u8; 1024];
    let asked = syscall::auxiliary_vector(&mut buffer).unwrap_or(0);
    let mut vector = AuxiliaryVector::parse(&buffer[..asked]);
    // Kernels before 6.4 do not know the call, and an emulator may pass it on and get its own vector.
    let here = buffer.as_ptr() as usize;
    let mut list = is_on_this_stack(vector.random, here).then(|| vector.list()).flatten();
    if list.is_none() {
        if let Some(length) = read_vector_file(&mut buffer) {
            vector = AuxiliaryVector::parse(&buffer[..length]);
            list = vector.list();
        }
    }
    if vector.page_size.is_power_of_two() {
        PAGE_SIZE.store(vector.page_size, Ordering::Relaxed);
    }
    RANDOM.store(vector.random, Ordering::Relaxed);
    clock::find(vector.vdso);
    // Neither vector is this program's where a tracer has put another program into the process than the kernel did.
    let list = list.or_else(linker::find_in_maps);
    list.unwrap_or(0)
}

#[cold]
fn read_vector_file(buffer: &mut [u8]) -> Option<usize> {
    let file = syscall::open(CPath::new(b"/proc/self/auxv\0")?, syscall::O_RDONLY, 0).ok()?;
    syscall::read(&file, buffer).ok()
}

/// Whether the kernel put the random bytes where the stack begins that an address is on. An emulator has a stack of its
/// own, far from its program's; where that program's headers are it does not say, so they must not be looked at.
fn is_on_this_stack(random: usize, address: usize) -> bool {
    /// Arguments, environment and what was called since: few stacks may grow so far.
    const REACH: usize = 64 << 20;
    random > address && random - address < REACH
}

impl AuxiliaryVector {
    /// Where the linker's list of objects is, if this library is in it: then the vector is this program's.
    fn list(&self) -> Option<usize> {
        let program = Image::of_headers(self.headers)?;
        let list = if self.linker == 0 {
            // The linker was started as the program, and has loaded another one.
            program.own_list()
        } else {
            program.list_of(&Image::of_header(self.linker)?)
        };
        list.filter(|&list| linker::lists_this_library(list))
    }

    fn parse(bytes: &[u8]) -> Self {
        const AT_PHDR: usize = 3;
        const AT_PHNUM: usize = 5;
        const AT_PAGESZ: usize = 6;
        const AT_BASE: usize = 7;
        const AT_RANDOM: usize = 25;
        const AT_SYSINFO_EHDR: usize = 33;
        let mut vector = Self::default();
        for pair in bytes.chunks_exact(16) {
            let (key, value) = pair.split_at(8);
            let word = |bytes: &[u8]| bytes.try_into().map(usize::from_ne_bytes).unwrap_or(0);
            match (word(key), word(value)) {
                (AT_PHDR, address) => vector.headers.address = address,
                (AT_PHNUM, count) => vector.headers.count = count,
                (AT_BASE, address) => vector.linker = address,
                (AT_PAGESZ, size) => vector.page_size = size,
                (AT_RANDOM, address) => vector.random = address,
                (AT_SYSINFO_EHDR, address) => vector.vdso = address,
                _ => {}
            }
        }
        vector
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_the_same_by_call_and_by_file() {
        let file = std::fs::read("/proc/self/auxv").expect("the file");
        let by_file = AuxiliaryVector::parse(&file);
        assert!(by_file.page_size.is_power_of_two() && by_file.headers.address != 0);
        let mut buffer = [0_u8; 1024];
        // Kernels before 6.4 refuse.
        if let Ok(length) = syscall::auxiliary_vector(&mut buffer) {
            assert_eq!(AuxiliaryVector::parse(&buffer[..length]), by_file);
        }
        assert_eq!(AuxiliaryVector::parse(b"cut"), AuxiliaryVector::default());
    }

    #[test]
    fn random_bytes_are_above_what_is_on_the_same_stack_and_near() {
        let here = 0x7ffe_1234_5000;
        assert!(is_on_this_stack(here + 1, here) && is_on_this_stack(here + (8 << 20), here));
        // Of the machine below an emulator; none at all; of another thread's stack.
        assert!(!is_on_this_stack(here, 0x1f_fefe_0000) && !is_on_this_stack(0, here));
        assert!(!is_on_this_stack(here - 1, here));
    }
}
