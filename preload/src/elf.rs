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
    previous: *const LinkMap,
    left: u32,
}

/// No process has more objects; a longer list is none of the linker's.
const MAX_OBJECTS: u32 = 1 << 16;
/// Addresses of programs on 64 bits end here or below (x86_64: 47 bits; aarch64: 48, or 52 on request only).
const ADDRESSES_END: usize = 1 << 48;

/// An image's program headers, as the kernel tells them (`AT_PHDR`, `AT_PHNUM`) or its ELF header does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProgramHeaders {
    pub(crate) address: usize,
    pub(crate) count: usize,
}

/// An ELF image in memory, of which everything that was looked at lies inside its own segments.
#[derive(Clone, Copy)]
pub(crate) struct Image {
    base: usize,
    start: usize,
    end: usize,
    dynamic: usize,
    dynamic_entries: usize,
}

impl Image {
    /// The image that has these program headers, `None` where they contradict themselves.
    pub(crate) fn of_headers(headers: ProgramHeaders) -> Option<Self> {
        let ProgramHeaders { address, count } = headers;
        if address == 0 || address % 8 != 0 || address > ADDRESSES_END {
            return None;
        }
        let table = address as *const ProgramHeader;
        // SAFETY: the kernel or the ELF header tells where the headers are and how many.
        let header = |index: usize| unsafe { *table.add(index) };
        let loads = || (0..count).map(header).filter(|header| header.kind == PT_LOAD);
        let base = match (0..count).map(header).find(|header| header.kind == PT_PHDR) {
            Some(own) => address.wrapping_sub(own.address as usize),
            // The dynamic linker's own image has no such entry: its ELF header is in front of the table.
            None => {
                let start = address.checked_sub(ELF_HEADER_SIZE)?;
                let first = loads().next().filter(|first| first.offset == 0)?;
                (start % 4096 == 0 && is_elf(start))
                    .then(|| start.wrapping_sub(first.address as usize))?
            }
        };
        let range = |header: &ProgramHeader| {
            let start = base.wrapping_add(header.address as usize);
            let end = start.checked_add(header.memory_size as usize)?;
            (end <= ADDRESSES_END).then_some((start, end))
        };
        let (mut lowest, mut highest) = (usize::MAX, 0);
        for load in loads() {
            let (start, end) = range(&load)?;
            (lowest, highest) = (lowest.min(start), highest.max(end));
        }
        let dynamic = (0..count).map(header).find(|header| header.kind == PT_DYNAMIC)?;
        let (start, end) = range(&dynamic)?;
        let is_loaded = loads().any(|load| {
            range(&load)
                .is_some_and(|(load_start, load_end)| load_start <= start && end <= load_end)
        });
        (is_loaded && start % 8 == 0 && (lowest..highest).contains(&address)).then_some(Self {
            base,
            start: lowest,
            end: highest,
            dynamic: start,
            dynamic_entries: (end - start) / size_of::<Dynamic>(),
        })
    }

    /// The image whose ELF header is at an address, the start of at least a page that can be read.
    pub(crate) fn of_header(address: usize) -> Option<Self> {
        if address == 0 || address % 4096 != 0 || !is_elf(address) {
            return None;
        }
        let (table, count) = header_table(address)?;
        let end = (table as usize - address) + count * size_of::<ProgramHeader>();
        (end <= 4096)
            .then_some(ProgramHeaders { address: table as usize, count })
            .and_then(Self::of_headers)
    }

    /// The addresses from its first to its last byte.
    pub(crate) fn span(&self) -> core::ops::Range<usize> {
        self.start..self.end
    }

    fn entry(&self, tag: u64) -> Option<usize> {
        let dynamic = self.dynamic as *const Dynamic;
        (0..self.dynamic_entries)
            // SAFETY: the dynamic section lies inside a loaded segment.
            .map(|index| unsafe { *dynamic.add(index) })
            .take_while(|entry| entry.tag != 0)
            .find(|entry| entry.tag == tag)
            .map(|entry| entry.value as usize)
    }

    /// Whether an address is a place for a structure of pointers inside this image.
    fn holds(&self, address: usize) -> bool {
        address % 8 == 0 && address >= self.start && address.saturating_add(64) <= self.end
    }

    /// Where the program that this image is has been told to find the linker's list (`DT_DEBUG`), if that is inside the
    /// linker's image.
    pub(crate) fn list_of(&self, linker: &Self) -> Option<usize> {
        self.entry(DT_DEBUG).filter(|&list| linker.holds(list))
    }

    /// The linker's list in the linker's own image: `_r_debug` in glibc, behind `_dl_debug_addr` in musl.
    pub(crate) fn own_list(&self) -> Option<usize> {
        let tables = Tables::of(self.dynamic as *const Dynamic, self.base)?;
        let inside = |address: &usize| self.holds(*address);
        if !tables.is_inside(self) {
            return None;
        }
        tables.symbol(&Name::new(b"_r_debug")).filter(inside).or_else(|| {
            let pointer = tables.symbol(&Name::new(b"_dl_debug_addr")).filter(inside)?;
            // SAFETY: a pointer inside the image.
            Some(unsafe { *(pointer as *const usize) }).filter(inside)
        })
    }
}

/// Bytes of an ELF header of 64 bits; the program headers usually follow at once.
const ELF_HEADER_SIZE: usize = 64;

/// Whether there is the header of a 64-bit ELF image at an address that can be read.
fn is_elf(address: usize) -> bool {
    const CLASS_64: u8 = 2;
    // SAFETY: the caller's promise.
    let start = unsafe { *(address as *const [u8; 5]) };
    start == [0x7f, b'E', b'L', b'F', CLASS_64]
}

impl Objects {
    /// The list that the linker's `struct r_debug` at this address begins; 0 has none.
    pub(crate) fn of_list(list: usize) -> Option<Self> {
        if list == 0 {
            return None;
        }
        // SAFETY: struct r_debug is { int version; struct link_map *map; ... }.
        let next = unsafe { *(list as *const usize).add(1) } as *const LinkMap;
        (!next.is_null()).then_some(Self { next, previous: ptr::null(), left: MAX_OBJECTS })
    }
}

impl Iterator for Objects {
    type Item = Object;

    fn next(&mut self) -> Option<Object> {
        let address = self.next as usize;
        if address == 0 || address % 8 != 0 || address > ADDRESSES_END || self.left == 0 {
            return None;
        }
        let object = Object { map: self.next };
        let map = object.map();
        // Each entry names the one before it; where one does not, the list is being changed or is none.
        if map.previous != self.previous || map.dynamic as usize % 8 != 0 {
            self.left = 0;
            return None;
        }
        (self.previous, self.next, self.left) = (self.next, map.next, self.left - 1);
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
        let base = self.map().base;
        if base == 0 || base % 4096 != 0 {
            return None;
        }
        // The tables of symbols mostly are on the header's own page. Where they are not (an object that was prelinked,
        // or linked to begin elsewhere than at 0), nobody knows whether there is a header.
        let near = self.tables().is_some_and(|tables| tables.begin_on_page(base));
        if !near && !crate::syscall::is_mapped(base, 4096) {
            return None;
        }
        span(base)
    }

    /// Whether it begins below an address: its header need not be looked at where it does not.
    pub(crate) fn is_below(&self, address: usize) -> bool {
        self.map().base <= address
    }
}

/// The addresses that an object at `base` spans, read from its header.
fn span(base: usize) -> Option<(usize, usize)> {
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

    fn addresses(&self) -> impl Iterator<Item = usize> {
        let Self { symbols, strings, versions, gnu_hash, hash, .. } = *self;
        [symbols as usize, strings as usize, versions as usize, gnu_hash as usize, hash as usize]
            .into_iter()
            .filter(|&address| address != 0)
    }

    /// Whether the tables begin inside an image.
    fn is_inside(&self, image: &Image) -> bool {
        self.addresses().all(|address| image.span().contains(&address))
    }

    /// Whether one of the tables begins on the page at an address.
    fn begin_on_page(&self, page: usize) -> bool {
        self.addresses().any(|address| address & !4095 == page)
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
