//! What can be asked of a shared library without loading it: its architecture, and a number that it exports.

use std::fs::File;
use std::path::Path;

use object::Endianness;
use object::elf::{FileHeader64, PT_LOAD, SHT_DYNSYM};
use object::read::elf::{FileHeader as _, ProgramHeader as _, Sym as _};
use object::read::{ReadCache, ReadRef as _};

use crate::elf::Bounded;
use crate::{Machine, elf};

/// What an ELF file was built for; `None` where it is none or cannot be read.
pub fn machine(path: &Path) -> Option<Machine> {
    let file = File::open(path).ok()?;
    elf::read(&file, path).ok()?.map(|elf| elf.machine)
}

/// The 32-bit number that a 64-bit library exports under this name.
pub fn data_symbol(path: &Path, name: &str) -> Option<u32> {
    let file =
        File::open(path).ok().filter(|file| file.metadata().is_ok_and(|data| data.is_file()))?;
    let cache = ReadCache::new(&file);
    let data = Bounded(&cache);
    let header = FileHeader64::<Endianness>::parse(data).ok()?;
    let endian = header.endian().ok()?;
    let symbols = header.sections(endian, data).ok()?.symbols(endian, data, SHT_DYNSYM).ok()?;
    let symbol = symbols.iter().find(|symbol| {
        symbol.st_shndx(endian) != object::elf::SHN_UNDEF
            && symbol.name(endian, symbols.strings()).is_ok_and(|found| found == name.as_bytes())
    })?;
    let address = symbol.st_value(endian);
    let segments = header.program_headers(endian, data).ok()?;
    segments.iter().filter(|segment| segment.p_type(endian) == PT_LOAD).find_map(|segment| {
        let (offset, size) = segment.file_range(endian);
        let inside = address.checked_sub(segment.p_vaddr(endian))?;
        (inside.checked_add(4)? <= size).then_some(())?;
        let bytes = data.read_bytes_at(offset.checked_add(inside)?, 4).ok()?;
        bytes.try_into().ok().map(u32::from_ne_bytes)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_number_is_read_from_a_library_and_from_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let (source, library) = (directory.path().join("x.c"), directory.path().join("x.so"));
        std::fs::write(&source, "const unsigned NUMBER = 42; unsigned other(void) { return 1; }\n")
            .unwrap();
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .args([&library, &source])
            .stderr(Stdio::null())
            .status();
        if built.is_ok_and(|status| status.success()) {
            assert_eq!(data_symbol(&library, "NUMBER"), Some(42));
            assert_eq!(data_symbol(&library, "ABSENT"), None);
            assert_eq!(machine(&library), Some(Machine::of_this_build()));
        }
        assert_eq!(data_symbol(&source, "NUMBER"), None);
        assert_eq!(machine(directory.path()), None);
    }
}
