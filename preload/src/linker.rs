//! The dynamic linker's list of loaded objects, where the kernel's word does not lead to it.
//!
//! Under PRoot and its like the kernel has started a small loader of theirs, which mapped program and linker by itself. The
//! memory map of the process shows the linker's image all the same. Everything that such a search follows is
//! first asked for in the kernel, so that what only looks like a linker (a file that somebody has mapped to read it) does
//! no harm. Refuses a list in which this library is not.

use crate::elf::{Image, Objects};
use crate::syscall::{self, CPath};

/// Whether this library is in the list that begins here.
pub(crate) fn lists_this_library(list: usize) -> bool {
    let own = crate::elf::own_dynamic();
    Objects::of_list(list).is_some_and(|mut objects| objects.any(|object| object.has_dynamic(own)))
}

/// Looks at the start of every mapped file for the image that holds the list.
#[cold]
pub(crate) fn find_in_maps() -> Option<usize> {
    let maps = syscall::open(CPath::new(b"/proc/self/maps\0")?, syscall::O_RDONLY, 0).ok()?;
    let mut buffer = [0_u8; 2048];
    let (mut kept, mut skipping) = (0, false);
    loop {
        let length = syscall::read_some(&maps, &mut buffer[kept..]).ok()?;
        if length == 0 {
            return None;
        }
        let filled = kept + length;
        let mut start = 0;
        while let Some(end) = buffer[start..filled].iter().position(|&byte| byte == b'\n') {
            let line = &buffer[start..start + end];
            start += end + 1;
            let is_whole = !core::mem::take(&mut skipping);
            let found = if is_whole { start_of_file(line).and_then(list_at) } else { None };
            if found.is_some() {
                return found;
            }
        }
        buffer.copy_within(start..filled, 0);
        kept = filled - start;
        // A path may be longer than the buffer; what counts stands at the start of a line.
        if kept == buffer.len() {
            (kept, skipping) = (0, true);
        }
    }
}

/// The address of a readable mapping of a file's start: `7f00-7f01 r--p 00000000 fe:00 12 /lib/ld.so`.
fn start_of_file(line: &[u8]) -> Option<usize> {
    let mut words = line.split(|&byte| byte == b' ');
    let (range, rights, offset) = (words.next()?, words.next()?, words.next()?);
    let inode = words.nth(1)?;
    let is_start = offset.iter().all(|&digit| digit == b'0') && inode != b"0";
    if !is_start || rights.first() != Some(&b'r') {
        return None;
    }
    let digits = range.split(|&byte| byte == b'-').next()?;
    usize::from_str_radix(core::str::from_utf8(digits).ok()?, 16).ok()
}

/// The linker's list, if the image at this address is the linker's and wholly mapped.
fn list_at(address: usize) -> Option<usize> {
    let image = Image::of_header(address)?;
    let span = image.span();
    let is_mapped = syscall::is_mapped(span.start & !4095, span.end - (span.start & !4095));
    let list = if is_mapped { image.own_list() } else { None };
    list.filter(|&list| lists_this_library(list))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readable_starts_of_files_are_found_among_mappings() {
        let start = b"7f1200-7f1300 r--p 00000000 fe:00 12                 /lib/ld.so";
        assert_eq!(start_of_file(start), Some(0x007f_1200));
        for other in [
            &b"7f1200-7f1300 r-xp 00001000 fe:00 12 /lib/ld.so"[..],
            b"7f1200-7f1300 ---p 00000000 fe:00 12 /lib/ld.so",
            b"7f1200-7f1300 rw-p 00000000 00:00 0 [stack]",
            b"7f1200-7f1300",
            b"",
        ] {
            assert_eq!(start_of_file(other), None, "{other:?}");
        }
    }

    #[test]
    fn the_list_of_a_process_does_not_name_a_library_that_is_not_loaded() {
        assert_eq!(find_in_maps(), None);
    }
}
