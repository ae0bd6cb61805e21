//! Who holds a `flock`, as /proc/locks tells it, without taking any lock.
//!
//! Processes of other pid namespaces are not shown there, so an absent lock proves nothing by itself.

use std::fs;
use std::os::unix::fs::MetadataExt;

use rustix::fs::{major, minor};

/// All locks of the machine that this process is shown.
pub(crate) struct Locks(String);

impl Locks {
    /// Reads them now.
    pub(crate) fn read() -> Self {
        Self(fs::read_to_string("/proc/locks").unwrap_or_default())
    }

    /// The process that took a `flock` on this file first; it may have passed it on to its children.
    pub(crate) fn holder(&self, metadata: &fs::Metadata) -> Option<u32> {
        holder(&self.0, (major(metadata.dev()), minor(metadata.dev()), metadata.ino()))
    }
}

/// Lines look like `12: FLOCK  ADVISORY  WRITE 4711 00:1a:99 0 EOF`, device in hexadecimal.
fn holder(text: &str, file: (u32, u32, u64)) -> Option<u32> {
    text.lines().find_map(|line| {
        let words: Vec<_> = line.split_whitespace().filter(|word| *word != "->").collect();
        let [_, "FLOCK", _, _, process, place, ..] = words[..] else { return None };
        let mut numbers = place.split(':');
        let device_major = u32::from_str_radix(numbers.next()?, 16).ok()?;
        let device_minor = u32::from_str_radix(numbers.next()?, 16).ok()?;
        let inode = numbers.next()?.parse().ok()?;
        let process = process.parse().ok()?;
        (file == (device_major, device_minor, inode)).then_some(process)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_found_by_its_file() {
        let text = "1: POSIX  ADVISORY  WRITE 7 00:1a:99 0 EOF\n\
                    2: FLOCK  ADVISORY  READ  4711 00:1a:99 0 EOF\nnonsense\n";
        assert_eq!(holder(text, (0, 26, 99)), Some(4711));
        assert_eq!(holder(text, (0, 26, 98)), None);
        assert_eq!(holder(text, (1, 26, 99)), None);
    }
}
