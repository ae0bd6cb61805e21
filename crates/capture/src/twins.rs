//! A segment that is there raw and compressed: which of the two to believe.
//!
//! After a crash of ours both are whole and the same. The predecessor writes the compressed file in
//! place, so after its crash that may be the front of the other; and restarted within a second it uses
//! a name again, so that the two have nothing in common. A raw file is never less than its compressed
//! one.

use std::io::{self, BufReader, Read};
use std::path::Path;

use crate::index::IndexEntry;
use crate::open::open_to_read;

/// What two files of one stem have to do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Twins {
    /// They hold the same lines.
    Same,
    /// The compressed one has only the front, or nothing.
    Torn,
    /// They hold different lines.
    Different,
}

/// What the index alone says; `None` if it does not know the compressed file.
pub(crate) fn judge(finished: Option<&IndexEntry>, raw_bytes: u64) -> Option<Twins> {
    let same = finished?.bytes == raw_bytes;
    Some(if same { Twins::Same } else { Twins::Different })
}

/// Compares their content.
pub(crate) fn compare(raw: &Path, finished: &Path) -> io::Result<Twins> {
    let mut raw = BufReader::new(open_to_read(raw)?);
    let mut decoder = zstd::stream::read::Decoder::new(open_to_read(finished)?)?;
    let mut unpacked = vec![0; 1 << 18];
    let mut expected = vec![0; 1 << 18];
    loop {
        let Ok(length) = decoder.read(&mut unpacked) else { return Ok(Twins::Torn) };
        let unpacked = unpacked.get(..length).unwrap_or_default();
        let expected = expected.get_mut(..length).unwrap_or_default();
        match raw.read_exact(expected) {
            Ok(()) if unpacked == expected => {}
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
            _ => return Ok(Twins::Different),
        }
        if length == 0 {
            let ended = raw.read(&mut [0])? == 0;
            return Ok(if ended { Twins::Same } else { Twins::Torn });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn tells_a_copy_from_a_front_and_from_something_else() {
        let directory = tempfile::tempdir().unwrap();
        let (raw, finished) = (directory.path().join("raw"), directory.path().join("zst"));
        let text: Vec<u8> = (0..100_000).flat_map(|n| format!("{n}\n").into_bytes()).collect();
        fs::write(&raw, &text).unwrap();
        let packed = zstd::bulk::compress(&text, 1).unwrap();
        let other = zstd::bulk::compress(b"something else", 1).unwrap();
        let longer = zstd::bulk::compress(&[&text[..], b"more"].concat(), 1).unwrap();
        for (content, expected) in [
            (&packed[..], Twins::Same),
            (&packed[..packed.len() / 2], Twins::Torn),
            (b"", Twins::Torn),
            (b"nonsense", Twins::Torn),
            (&other, Twins::Different),
            (&longer, Twins::Different),
        ] {
            fs::write(&finished, content).unwrap();
            assert_eq!(compare(&raw, &finished).unwrap(), expected);
        }
    }
}
