//! Reads the few facts of an ELF file that decide whether it can be preloaded.
//!
//! Every read is bounded: a file can claim tables of any size. Refuses files whose headers do not
//! hold together.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use object::Endianness;
use object::elf as abi;
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::read::{ReadCache, ReadRef};

use crate::ProgramError;

/// Longest single table or string that is read.
const READ_LIMIT: u64 = 1 << 20;
/// Most libraries that are listed.
const NEEDED_LIMIT: usize = 1024;
/// Go puts its build information at the start of its first writable segment.
const GO_SEARCH: usize = 64 << 10;
const GO_MAGIC: &[u8] = b"\xff Go buildinf:";

/// What the ELF headers say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elf {
    /// What it was built for.
    pub machine: Machine,
    /// How it finds its libraries.
    pub linking: Linking,
    /// Whether it was built by Go.
    pub go: bool,
}

/// A processor architecture, as ELF names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// ELF's `e_machine`.
    pub number: u16,
    /// 64-bit.
    pub wide: bool,
    /// Most significant byte first.
    pub big_endian: bool,
}

/// How an executable finds its libraries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Linking {
    /// It has none and no loader.
    Static,
    /// By a dynamic loader.
    Dynamic {
        /// The loader's path.
        loader: PathBuf,
        /// Whose loader that is.
        libc: Libc,
        /// The libraries it names.
        needed: Vec<String>,
    },
}

/// A C library, told by its loader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Libc {
    /// The GNU C library.
    Glibc,
    /// musl.
    Musl,
    /// Something else.
    Other,
}

impl Machine {
    /// What this program, and the library in it, was built for.
    pub const fn of_this_build() -> Self {
        let number = if cfg!(target_arch = "x86_64") {
            62
        } else if cfg!(target_arch = "aarch64") {
            183
        } else {
            0
        };
        Self {
            number,
            wide: cfg!(target_pointer_width = "64"),
            big_endian: cfg!(target_endian = "big"),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.number, self.wide) {
            (3, _) => f.write_str("32-bit x86"),
            (40, _) => f.write_str("32-bit ARM"),
            (62, true) => f.write_str("x86_64"),
            (62, false) => f.write_str("x32"),
            (183, true) => f.write_str("aarch64"),
            (243, true) => f.write_str("64-bit RISC-V"),
            (21, _) => f.write_str("64-bit POWER"),
            (22, _) => f.write_str("s390"),
            (number, wide) => write!(f, "{}-bit machine {number}", if wide { 64 } else { 32 }),
        }
    }
}

/// Reads the file's headers; nothing where it is not an ELF file.
pub(crate) fn read(file: &File, path: &Path) -> Result<Option<Elf>, ProgramError> {
    let mut identification = [0; 16];
    let length = file
        .read_at(&mut identification, 0)
        .map_err(|source| ProgramError::Unreadable { path: path.to_path_buf(), source })?;
    if length < identification.len() || identification[..4] != abi::ELFMAG {
        return Ok(None);
    }
    let cache = ReadCache::new(file);
    let data = Bounded(&cache);
    let elf = match identification[4] {
        1 => parse::<abi::FileHeader32<Endianness>>(data, path),
        2 => parse::<abi::FileHeader64<Endianness>>(data, path),
        other => Err(format!("unknown class {other}")),
    };
    let damaged = |detail| ProgramError::Damaged { path: path.to_path_buf(), detail };
    elf.map(Some).map_err(damaged)
}

fn parse<Header: FileHeader<Endian = Endianness>>(
    data: Bounded<'_>,
    path: &Path,
) -> Result<Elf, String> {
    let text = |error: object::read::Error| error.to_string();
    let header = Header::parse(data).map_err(text)?;
    let endian = header.endian().map_err(text)?;
    let segments = header.program_headers(endian, data).map_err(text)?;

    let mut loader = None;
    for segment in segments {
        if let Some(name) = segment.interpreter(endian, data).map_err(text)? {
            loader = Some(PathBuf::from(OsStr::from_bytes(name)));
        }
    }
    let linking = match loader {
        None => {
            let own = names::<Header>(segments, endian, data, abi::DT_SONAME)?;
            let is_dynamic =
                segments.iter().any(|segment| segment.p_type(endian) == abi::PT_DYNAMIC);
            let file = path.file_name().map(|name| name.to_string_lossy().into_owned());
            match own
                .into_iter()
                .chain(file)
                .find_map(|name| Some((libc_with_loader(&name)?, name)))
            {
                // A dynamic loader that is started by hand loads the program, and the preloads with it.
                Some((libc, name)) if is_dynamic => {
                    Linking::Dynamic { loader: path.to_path_buf(), libc, needed: vec![name] }
                }
                _ => Linking::Static,
            }
        }
        Some(loader) => {
            let needed = names::<Header>(segments, endian, data, abi::DT_NEEDED)?;
            Linking::Dynamic { libc: libc_of(&loader, &needed), loader, needed }
        }
    };
    Ok(Elf {
        machine: Machine {
            number: header.e_machine(endian).0,
            wide: header.is_class_64(),
            big_endian: header.is_big_endian(),
        },
        linking,
        go: is_go::<Header>(header, segments, endian, data),
    })
}

/// The names that entries of this kind (DT_NEEDED, DT_SONAME) give, found as the loader finds them: by address, not by
/// section.
fn names<Header: FileHeader<Endian = Endianness>>(
    segments: &[Header::ProgramHeader],
    endian: Endianness,
    data: Bounded<'_>,
    kind: abi::DynamicTag,
) -> Result<Vec<String>, String> {
    let mut entries = &[][..];
    for segment in segments {
        if let Some(found) = segment.dynamic(endian, data).map_err(|error| error.to_string())? {
            entries = found;
        }
    }
    let value = |entry: &Header::Dyn| -> u64 { entry.d_val(endian).into() };
    let entries = || entries.iter().take_while(|entry| entry.d_tag(endian) != abi::DT_NULL);
    let Some(strings) = entries().find(|entry| entry.d_tag(endian) == abi::DT_STRTAB).map(value)
    else {
        return Ok(Vec::new());
    };
    entries()
        .filter(|entry| entry.d_tag(endian) == kind)
        .take(NEEDED_LIMIT)
        .map(|entry| {
            let address = strings.checked_add(value(entry));
            let name =
                address.and_then(|address| string_at::<Header>(segments, endian, data, address));
            let name = name.ok_or_else(|| "the name of a library is outside".to_owned())?;
            Ok(String::from_utf8_lossy(name).into_owned())
        })
        .collect()
}

fn string_at<'data, Header: FileHeader<Endian = Endianness>>(
    segments: &[Header::ProgramHeader],
    endian: Endianness,
    data: Bounded<'data>,
    address: u64,
) -> Option<&'data [u8]> {
    segments.iter().filter(|segment| segment.p_type(endian) == abi::PT_LOAD).find_map(|segment| {
        let (offset, size) = segment.file_range(endian);
        let inside = address.checked_sub(segment.p_vaddr(endian).into())?;
        (inside < size).then_some(())?;
        let start = offset.checked_add(inside)?;
        data.read_bytes_at_until(start..offset.checked_add(size)?, 0).ok()
    })
}

/// Go's own tool looks at the same two places: the section, and the start of the data segment
/// where a stripped file has no sections.
fn is_go<Header: FileHeader<Endian = Endianness>>(
    header: &Header,
    segments: &[Header::ProgramHeader],
    endian: Endianness,
    data: Bounded<'_>,
) -> bool {
    let named = header.sections(endian, data).is_ok_and(|sections| {
        [&b".go.buildinfo"[..], b".note.go.buildid"]
            .iter()
            .any(|name| sections.section_by_name(endian, name).is_some())
    });
    let writable = segments.iter().find(|segment| {
        segment.p_type(endian) == abi::PT_LOAD && segment.p_flags(endian).contains(abi::PF_W)
    });
    named
        || writable.is_some_and(|segment| {
            let (offset, size) = segment.file_range(endian);
            let beginning =
                data.read_bytes_at(offset, size.min(GO_SEARCH as u64)).unwrap_or_default();
            beginning.chunks(16).any(|chunk| chunk.starts_with(GO_MAGIC))
        })
}

/// Whose dynamic loader has this name of its own, or of its file; musl's is the C library itself.
fn libc_with_loader(name: &str) -> Option<Libc> {
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    if starts(&["ld-musl-", "libc.musl-"]) || name == "libc.so" {
        Some(Libc::Musl)
    } else {
        starts(&["ld-linux", "ld64.so"]).then_some(Libc::Glibc)
    }
}

fn libc_of(loader: &Path, needed: &[String]) -> Libc {
    let name = loader.file_name().unwrap_or_default().as_bytes();
    let needs = |prefix: &str| needed.iter().any(|library| library.starts_with(prefix));
    if name.starts_with(b"ld-musl-") || needs("libc.musl-") {
        Libc::Musl
    } else if name.starts_with(b"ld-linux") || name.starts_with(b"ld64.so") || needs("libc.so.6") {
        Libc::Glibc
    } else {
        Libc::Other
    }
}

/// A cached file of which no single read is larger than [`READ_LIMIT`].
#[derive(Clone, Copy)]
pub(crate) struct Bounded<'data>(pub(crate) &'data ReadCache<&'data File>);

impl<'data> ReadRef<'data> for Bounded<'data> {
    fn len(self) -> Result<u64, ()> {
        self.0.len()
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'data [u8], ()> {
        if size > READ_LIMIT { Err(()) } else { self.0.read_bytes_at(offset, size) }
    }

    fn read_bytes_at_until(self, range: Range<u64>, delimiter: u8) -> Result<&'data [u8], ()> {
        let end = range.end.min(range.start.saturating_add(READ_LIMIT));
        self.0.read_bytes_at_until(range.start..end, delimiter)
    }
}
