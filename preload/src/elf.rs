//! Finds symbols the way the dynamic linker does, without calling it.
//!
//! `dlsym` may be missing (libc-free programs, old glibc without libdl), may allocate, and may take a lock that
//! the caller holds. The linker's list of loaded objects and their hash tables are plain memory.
//!
//! # Safety
//!
//! This file may use `unsafe`: it reads the tables of loaded ELF objects. They are read-only after relocation and
//! stay as long as their object; the walk happens before the application's code could unload one.
#![expect(unsafe_code, reason = "reads the dynamic linker's tables")]

use core::ptr;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_PHDR: u32 = 6;
const DT_HASH: u64 = 4;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_DEBUG: u64 = 21;
const DT_GNU_HASH: u64 = 0x6fff_fef5;
const DT_VERSYM: u64 = 0x6fff_fff0;
const VERSION_HIDDEN: u16 = 0x8000;
const TYPE_TLS: u8 = 6;
const TYPE_INDIRECT: u8 = 10;

#[repr(C)]
#[derive(Clone, Copy)]
struct ProgramHeader {
    kind: u32,
    flags: u32,
    offset: u64,
    address: u64,
    physical: u64,
    file_size: u64,
    memory_size: u64,
    align: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Dynamic {
    tag: u64,
    value: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Symbol {
    name: u32,
    info: u8,
    other: u8,
    section: u16,
    value: u64,
    size: u64,
}

/// `struct link_map`, as debuggers know it.
#[repr(C)]
#[derive(Clone, Copy)]
struct LinkMap {
    base: usize,
    name: *const u8,
    dynamic: *const Dynamic,
    next: *const Self,
    previous: *const Self,
}

/// The name of a symbol, with its hash.
#[derive(Clone, Copy)]
pub(crate) struct Name<'a> {
    bytes: &'a [u8],
    /// As `DT_GNU_HASH` has it.
    hash: u32,
}

impl<'a> Name<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        let (mut hash, mut at) = (5381_u32, 0);
        while at < bytes.len() {
            hash = hash.wrapping_mul(33).wrapping_add(bytes[at] as u32);
            at += 1;
        }
        Self { bytes, hash }
    }
}

/// A loaded object.
#[derive(Clone, Copy)]
pub(crate) struct Object {
    map: *const LinkMap,
}

/// The loaded objects in the order in which symbols are looked up.
#[derive(Clone, Copy)]
pub(crate) struct Objects {
    next: *const LinkMap,
}

/// The program's headers, as the kernel tells them (`AT_PHDR`, `AT_PHNUM`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProgramHeaders {
    pub(crate) address: usize,
    pub(crate) count: usize,
}

impl Objects {
    /// The list, found through the program's own `DT_DEBUG` entry.
    pub(crate) fn of_program(headers: ProgramHeaders) -> Option<Self> {
        if headers.address == 0 {
            return None;
        }
        let table = headers.address as *const ProgramHeader;
        let mut base = 0;
        let mut dynamic = None;
        for index in 0..headers.count {
            // SAFETY: the kernel tells where the headers are and how many.
            let header = unsafe { *table.add(index) };
            match header.kind {
                PT_PHDR => base = headers.address - header.address as usize,
                PT_DYNAMIC => dynamic = Some(header.address as usize),
                _ => {}
            }
        }
        let dynamic = (base + dynamic?) as *const Dynamic;
        let debug = find(dynamic, DT_DEBUG)? as *const usize;
        if debug.is_null() {
            return None;
        }
        // SAFETY: struct r_debug is { int version; struct link_map *map; ... }.
        let next = unsafe { *debug.add(1) } as *const LinkMap;
        (!next.is_null()).then_some(Self { next })
    }
}

impl Iterator for Objects {
    type Item = Object;

    fn next(&mut self) -> Option<Object> {
        if self.next.is_null() {
            return None;
        }
        let object = Object { map: self.next };
        self.next = object.map().next;
        Some(object)
    }
}

impl Object {
    fn map(&self) -> LinkMap {
        // SAFETY: a non-null entry of the linker's list.
        unsafe { *self.map }
    }

    /// Whether it is the object with this dynamic section.
    pub(crate) fn has_dynamic(&self, dynamic: usize) -> bool {
        self.map().dynamic as usize == dynamic
    }

    /// Its symbols, to be asked for several names.
    pub(crate) fn tables(&self) -> Option<Tables> {
        let map = self.map();
        Tables::of(map.dynamic, map.base)
    }

    /// The address of a symbol that this object defines in its default version.
    pub(crate) fn symbol(&self, name: &Name<'_>) -> Option<usize> {
        self.tables()?.symbol(name)
    }

    /// The range of addresses that the object's segments span, where it has an ELF header in memory.
    pub(crate) fn span(&self) -> Option<(usize, usize)> {
        span(self.map().base)
    }

    /// Whether it begins below an address: its header need not be looked at where it does not.
    pub(crate) fn is_below(&self, address: usize) -> bool {
        self.map().base <= address
    }
}

/// The addresses that an object at `base` spans, read from its header.
fn span(base: usize) -> Option<(usize, usize)> {
    if base == 0 || base % 4096 != 0 {
        return None;
    }
    let (headers, count) = header_table(base)?;
    let mut end = base;
    for index in 0..count {
        // SAFETY: the ELF header tells where the program headers are and how many.
        let header = unsafe { *headers.add(index) };
        if header.kind == PT_LOAD {
            end = end.max(base + (header.address + header.memory_size) as usize);
        }
    }
    Some((base, end))
}

fn header_table(base: usize) -> Option<(*const ProgramHeader, usize)> {
    // SAFETY: the base of a loaded object is mapped and holds its ELF header.
    let magic = unsafe { *(base as *const [u8; 4]) };
    if magic != *b"\x7fELF" {
        return None;
    }
    // SAFETY: e_phoff of a 64-bit ELF header.
    let offset = unsafe { *((base + 32) as *const u64) };
    // SAFETY: e_phnum of a 64-bit ELF header.
    let count = unsafe { *((base + 56) as *const u16) };
    Some(((base + offset as usize) as *const ProgramHeader, usize::from(count)))
}

/// A symbol of an object that is not in the linker's list: the kernel's vDSO.
pub(crate) fn symbol_of_image(base: usize, name: &[u8]) -> Option<usize> {
    if base == 0 {
        return None;
    }
    let (headers, count) = header_table(base)?;
    let mut dynamic = None;
    let mut first = None;
    for index in 0..count {
        // SAFETY: as in `span`.
        let header = unsafe { *headers.add(index) };
        match header.kind {
            PT_DYNAMIC => dynamic = Some(header.address as usize),
            PT_LOAD if first.is_none() => first = Some((header.address - header.offset) as usize),
            _ => {}
        }
    }
    let load = base.wrapping_sub(first?);
    Tables::of(load.wrapping_add(dynamic?) as *const Dynamic, load)?.symbol(&Name::new(name))
}

fn find(dynamic: *const Dynamic, tag: u64) -> Option<u64> {
    let mut entry = dynamic;
    loop {
        // SAFETY: a dynamic section ends with a zero tag.
        let Dynamic { tag: found, value } = unsafe { *entry };
        if found == tag {
            return Some(value);
        }
        if found == 0 {
            return None;
        }
        // SAFETY: as above.
        entry = unsafe { entry.add(1) };
    }
}

/// The symbol tables of one object.
pub(crate) struct Tables {
    base: usize,
    symbols: *const Symbol,
    strings: *const u8,
    versions: *const u16,
    gnu_hash: *const u32,
    hash: *const u32,
}

impl Tables {
    fn of(dynamic: *const Dynamic, base: usize) -> Option<Self> {
        if dynamic.is_null() {
            return None;
        }
        // glibc relocates these pointers in place, musl and the kernel do not.
        let pointer = |value: u64| {
            let value = value as usize;
            if value < base { base + value } else { value }
        };
        let (mut symbols, mut strings) = (None, None);
        let (mut versions, mut gnu_hash, mut hash) = (ptr::null(), ptr::null(), ptr::null());
        let mut entry = dynamic;
        loop {
            // SAFETY: a dynamic section ends with a zero tag.
            let Dynamic { tag, value } = unsafe { *entry };
            match tag {
                0 => break,
                DT_SYMTAB => symbols = Some(pointer(value) as *const Symbol),
                DT_STRTAB => strings = Some(pointer(value) as *const u8),
                DT_VERSYM => versions = pointer(value) as *const u16,
                DT_GNU_HASH => gnu_hash = pointer(value) as *const u32,
                DT_HASH => hash = pointer(value) as *const u32,
                _ => {}
            }
            // SAFETY: as above.
            entry = unsafe { entry.add(1) };
        }
        Some(Self { base, symbols: symbols?, strings: strings?, versions, gnu_hash, hash })
    }

    /// The address of a symbol that is defined here in its default version.
    pub(crate) fn symbol(&self, name: &Name<'_>) -> Option<usize> {
        if !self.gnu_hash.is_null() {
            self.by_gnu_hash(name)
        } else if !self.hash.is_null() {
            self.by_hash(name.bytes)
        } else {
            None
        }
    }

    fn by_gnu_hash(&self, &Name { bytes: name, hash }: &Name<'_>) -> Option<usize> {
        // SAFETY: the four words of the table's header.
        let [buckets, first, bloom_words, shift] = unsafe { *self.gnu_hash.cast::<[u32; 4]>() };
        if buckets == 0 || bloom_words == 0 {
            return None;
        }
        // SAFETY: the filter follows the header.
        let bloom = unsafe { self.gnu_hash.add(4) }.cast::<u64>();
        // SAFETY: the index is below the number of words.
        let word = unsafe { *bloom.add((hash as usize / 64) % bloom_words as usize) };
        if word >> (hash % 64) & word >> ((hash >> shift) % 64) & 1 == 0 {
            return None;
        }
        // SAFETY: the buckets follow the filter.
        let table = unsafe { bloom.add(bloom_words as usize) }.cast::<u32>();
        // SAFETY: the index is below the number of buckets.
        let mut index = unsafe { *table.add((hash % buckets) as usize) };
        if index < first {
            return None;
        }
        // SAFETY: the chains follow the buckets.
        let chains = unsafe { table.add(buckets as usize) };
        loop {
            // SAFETY: a chain ends with a value whose lowest bit is set.
            let found = unsafe { *chains.add((index - first) as usize) };
            let address = if found | 1 == hash | 1 { self.matching(index, name) } else { None };
            if address.is_some() {
                return address;
            }
            if found & 1 != 0 {
                return None;
            }
            index += 1;
        }
    }

    fn by_hash(&self, name: &[u8]) -> Option<usize> {
        let hash = name.iter().fold(0_u32, |hash, &byte| {
            let hash = (hash << 4).wrapping_add(u32::from(byte));
            let high = hash & 0xf000_0000;
            (hash ^ high >> 24) & !high
        });
        // SAFETY: the two words of the table's header.
        let [buckets, _] = unsafe { *self.hash.cast::<[u32; 2]>() };
        if buckets == 0 {
            return None;
        }
        // SAFETY: the buckets follow the header.
        let table = unsafe { self.hash.add(2) };
        // SAFETY: the index is below the number of buckets.
        let mut index = unsafe { *table.add((hash % buckets) as usize) };
        while index != 0 {
            if let Some(address) = self.matching(index, name) {
                return Some(address);
            }
            // SAFETY: the chains follow the buckets and end with zero.
            index = unsafe { *table.add(buckets as usize + index as usize) };
        }
        None
    }

    fn matching(&self, index: u32, name: &[u8]) -> Option<usize> {
        // SAFETY: the hash table names symbols that exist.
        let symbol = unsafe { *self.symbols.add(index as usize) };
        let kind = symbol.info & 15;
        if symbol.section == 0 || symbol.value == 0 || kind == TYPE_TLS || kind == TYPE_INDIRECT {
            return None;
        }
        if !self.versions.is_null() {
            // SAFETY: one version for each symbol.
            let version = unsafe { *self.versions.add(index as usize) };
            if version & VERSION_HIDDEN != 0 {
                return None;
            }
        }
        for (at, &byte) in name.iter().chain(&[0]).enumerate() {
            // SAFETY: the string table holds a zero-terminated name; the walk ends at the first difference.
            if unsafe { *self.strings.add(symbol.name as usize + at) } != byte {
                return None;
            }
        }
        Some(self.base.wrapping_add(symbol.value as usize))
    }
}

/// The address of this library's own dynamic section, which tells it apart in the list.
#[cfg(panic = "abort")]
pub(crate) fn own_dynamic() -> usize {
    unsafe extern "C" {
        #[link_name = "_DYNAMIC"]
        static DYNAMIC: u8;
    }
    ptr::addr_of!(DYNAMIC) as usize
}

#[cfg(panic = "abort")]
core::arch::global_asm!(".hidden _DYNAMIC");

/// There is no library of ours outside of the profile that ships.
#[cfg(not(panic = "abort"))]
pub(crate) fn own_dynamic() -> usize {
    ptr::null::<u8>() as usize
}

const _: () = assert!(size_of::<Symbol>() == 24 && size_of::<ProgramHeader>() == 56);
