//! What a collector without a spool leaves for the next one: the losses that it has told of rings that live on.
//!
//! What a ring's writers lost is counted over its whole life, in the ring. Who reads it anew needs to know how much of that
//! the sink has. Only what is surely told is noted, when a collector ends in order; after a kill the noted numbers are too
//! low, and losses are told again rather than not at all. A file that others could have written is not believed.
//!
//! ```text
//!  logtap told 1 \n
//!  created SP slot SP records SP bytes SP name \n      one for each stream that lost something
//! ```

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;

use logtap_wire::ring::MAX_STREAMS;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};

/// The file in the tap directory.
pub(crate) const TOLD_FILE: &str = "collector.told";
const HEAD: &str = "logtap told 1\n";
/// Streams that are noted; the losses of further ones are told again.
const MAX_TOLD: usize = 4096;
/// Bytes of the file that are read.
const MAX_BYTES: u64 = 2 << 20;

/// What was told of one stream of a ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// The ring's file, and when it was made: together they tell rings apart.
    pub(crate) name: String,
    pub(crate) created: u64,
    pub(crate) slot: u8,
    /// All that the stream had lost.
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

impl Told {
    /// Whether it is of that ring.
    pub(crate) fn is_of(&self, name: &str, created: u64) -> bool {
        self.name == name && self.created == created
    }

    /// Whether it is of the same stream.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.is_of(&other.name, other.created) && self.slot == other.slot
    }
}

/// Notes what was told, in place of what was noted before.
pub(crate) fn write(directory: &OwnedFd, told: &[Told]) -> io::Result<()> {
    match rustix::fs::unlinkat(directory, TOLD_FILE, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    if told.is_empty() {
        return Ok(());
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, TOLD_FILE, flags, Mode::RUSR | Mode::WUSR)?;
    File::from(file).write_all(encode(told).as_bytes())
}

/// What an earlier collector has noted; nothing where there is nothing that can be believed.
pub(crate) fn read(directory: &OwnedFd) -> io::Result<Vec<Told>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(directory, TOLD_FILE, flags, Mode::empty()) {
        Ok(file) => file,
        Err(rustix::io::Errno::NOENT) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let stat = rustix::fs::fstat(&file)?;
    let is_ours = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
        && stat.st_uid == rustix::process::geteuid().as_raw()
        && stat.st_mode & 0o022 == 0;
    if !is_ours {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "others can write it"));
    }
    let mut bytes = Vec::new();
    File::from(file).take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(decode(&bytes))
}

fn encode(told: &[Told]) -> String {
    let mut text = HEAD.to_owned();
    // A name with an end of line in it is no name that the library gives.
    for told in told.iter().filter(|told| !told.name.contains('\n')).take(MAX_TOLD) {
        let Told { name, created, slot, records, bytes } = told;
        let line = format!("{created} {slot} {records} {bytes} {name}\n");
        text.push_str(&line);
    }
    text
}

/// Lines that are whole; the others tell nothing.
fn decode(bytes: &[u8]) -> Vec<Told> {
    let text = std::str::from_utf8(bytes).ok().and_then(|text| text.strip_prefix(HEAD));
    let lines = text.unwrap_or_default().split_inclusive('\n');
    let parse = |line: &str| {
        let mut words = line.strip_suffix('\n')?.splitn(5, ' ');
        let mut number = || words.next()?.parse::<u64>().ok();
        let (created, slot, records, bytes) = (number()?, number()?, number()?, number()?);
        let slot = u8::try_from(slot).ok().filter(|slot| usize::from(*slot) < MAX_STREAMS)?;
        Some(Told { name: words.next()?.to_owned(), created, slot, records, bytes })
    };
    lines.filter_map(parse).take(MAX_TOLD).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn told(name: &str, slot: u8) -> Told {
        Told { name: name.to_owned(), created: u64::MAX, slot, records: 2, bytes: 100 }
    }

    #[test]
    fn what_is_noted_is_read_until_there_is_nothing_more() {
        let parent = tempfile::tempdir().unwrap();
        let directory = OwnedFd::from(File::open(parent.path()).unwrap());
        assert_eq!(read(&directory).unwrap(), []);
        let noted = [told("4-7-9-0.ring", 0), told("a name.ring", 63)];
        write(&directory, &[told("earlier.ring", 1)]).unwrap();
        write(&directory, &noted).unwrap();
        assert_eq!(read(&directory).unwrap(), noted);
        let path = parent.path().join(TOLD_FILE);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o620)).unwrap();
        assert!(read(&directory).is_err(), "others could have written it");
        write(&directory, &[]).unwrap();
        assert!(!path.exists());
        std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
        assert!(read(&directory).is_err(), "a link");
    }

    #[test]
    fn damaged_lines_tell_nothing_and_hide_no_others() {
        let text = format!(
            "{HEAD}1 0 2 3 a.ring\n1 99 2 3 slot\n1 0 x 3 b\n\n4 1 5 6 c.ring\n1 0 2 3 cut"
        );
        let names: Vec<_> = decode(text.as_bytes()).into_iter().map(|told| told.name).collect();
        assert_eq!(names, ["a.ring", "c.ring"]);
        assert_eq!(decode(b"logtap told 2\n1 0 2 3 a\n"), []);
        assert_eq!(decode(&[0xff; 9]), []);
        assert_eq!(decode(encode(&[told("x\ny", 0)]).as_bytes()), []);
    }
}
