//! Checks that a shared library can be loaded under any libc, or none.
//!
//! Reads the dynamic section and symbol table only; refuses everything that a loader would have to
//! find elsewhere: a needed library, a symbol that must be defined, a symbol of a certain version.

use object::Endianness;
use object::elf;
use object::read::elf::{Dyn, ElfFile64, FileHeader, Sym};

/// Explains every way in which the library depends on its surroundings; empty when it does not.
pub(crate) fn dependencies(library: &[u8]) -> Result<Vec<String>, String> {
    let file = ElfFile64::<Endianness>::parse(library)
        .map_err(|error| format!("it is not a 64-bit ELF file: {error}"))?;
    let endian = file.endian();
    if file.elf_header().e_type(endian) != elf::ET_DYN {
        return Err("it is not a shared library".to_owned());
    }
    let sections = file.elf_section_table();
    let mut found = Vec::new();

    let symbols = sections
        .symbols(endian, library, elf::SHT_DYNSYM)
        .map_err(|error| format!("its dynamic symbols cannot be read: {error}"))?;
    if symbols.is_empty() {
        return Err("it has no dynamic symbols".to_owned());
    }
    for symbol in symbols.iter().skip(1) {
        if symbol.is_undefined(endian) && symbol.st_bind() != elf::STB_WEAK {
            let name = symbol.name(endian, symbols.strings()).unwrap_or(b"?");
            found.push(format!("needs the symbol `{}`", String::from_utf8_lossy(name)));
        }
    }

    let (entries, names) = sections
        .dynamic(endian, library)
        .map_err(|error| format!("its dynamic section cannot be read: {error}"))?
        .ok_or_else(|| "it has no dynamic section".to_owned())?;
    let strings = sections.strings(endian, library, names).unwrap_or_default();
    for entry in entries {
        match entry.tag(endian) {
            elf::DT_NEEDED => {
                let name = entry.string(endian, strings).unwrap_or(b"?");
                found.push(format!("needs the library `{}`", String::from_utf8_lossy(name)));
            }
            elf::DT_VERNEED => found.push("refers to versions of symbols".to_owned()),
            elf::DT_VERDEF => found.push("defines versions of symbols".to_owned()),
            _ => {}
        }
    }
    Ok(found)
}
