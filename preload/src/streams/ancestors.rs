//! Which of the processes above this one was started with the library's variables too.
//!
//! Its streams are those of the whole: a pipe between two of its children is not. Asked once, at start, and only where no
//! tap directory says what the streams are.

use crate::syscall::{self, CPath};
use crate::text::Text;

/// Processes that are looked at.
const HIGHEST: usize = 16;
/// How the variables begin that ask for a tap (`LLT_TAP_INTO`, `LLT_TAP_FILE`).
const MARK: &[u8] = b"LLT_TAP_";

/// The topmost tapped process of the unbroken line of tapped processes above; process 1 where that is tapped. Nothing
/// where the one that started this process is not tapped, or does not let itself be looked at.
pub(super) fn topmost_tapped() -> Option<u32> {
    if syscall::process_id() != 1 && is_tapped(1) {
        return Some(1);
    }
    let mut found = None;
    let mut process = parent(syscall::process_id());
    for _ in 0..HIGHEST {
        match process {
            Some(above) if above > 1 && is_tapped(above) => {
                found = Some(above);
                process = parent(above);
            }
            _ => break,
        }
    }
    found
}

fn open(process: u32, name: &[u8]) -> Option<syscall::Descriptor> {
    let mut path = Text::<40>::new();
    path.push(b"/proc/").push_number(u64::from(process)).push(name);
    let path: CPath<'_> = path.path()?;
    syscall::open(path, syscall::O_RDONLY, 0).ok()
}

/// The fourth word of `/proc/PID/stat`; the second one is in parentheses and may hold anything.
fn parent(process: u32) -> Option<u32> {
    let file = open(process, b"/stat")?;
    let mut buffer = [0; 512];
    let length = syscall::read(&file, &mut buffer).ok()?;
    parse_parent(&buffer[..length])
}

fn parse_parent(stat: &[u8]) -> Option<u32> {
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let mut words = stat.get(end + 2..)?.split(|&byte| byte == b' ');
    words.next()?;
    core::str::from_utf8(words.next()?).ok()?.parse().ok()
}

/// Whether a process was started with one of the variables.
fn is_tapped(process: u32) -> bool {
    let Some(file) = open(process, b"/environ") else { return false };
    let mut buffer = [0; 2048];
    // Whether the buffer begins where a variable does.
    let (mut kept, mut at_start) = (0, true);
    loop {
        let Ok(length) = syscall::read(&file, &mut buffer[kept..]) else { return false };
        let filled = kept + length;
        if has_mark(&buffer[..filled], at_start) {
            return true;
        }
        if filled < buffer.len() {
            return false;
        }
        // What may be the beginning of the mark, and the zero before it, is looked at again.
        let from = filled - (MARK.len() + 1);
        buffer.copy_within(from.., 0);
        kept = filled - from;
        at_start = false;
    }
}

fn has_mark(bytes: &[u8], at_start: bool) -> bool {
    at_start && bytes.starts_with(MARK)
        || bytes
            .windows(MARK.len() + 1)
            .any(|window| window.first() == Some(&0) && window.ends_with(MARK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_found_behind_any_name() {
        assert_eq!(parse_parent(b"7 (a) b) S 42 7 7 0"), Some(42));
        assert_eq!(parse_parent(b"7 (sh) R 1 7"), Some(1));
        assert_eq!(parse_parent(b"7 (sh"), None);
        assert_eq!(parent(std::process::id()), Some(std::os::unix::process::parent_id()));
    }

    #[test]
    fn a_variable_is_found_only_where_one_begins() {
        assert!(has_mark(b"LLT_TAP_INTO=3\0A=B\0", true));
        assert!(!has_mark(b"LLT_TAP_INTO=3\0A=B\0", false));
        assert!(has_mark(b"A=B\0LLT_TAP_FILE=/x\0", false));
        assert!(!has_mark(b"A=LLT_TAP_INTO\0B=", true));
        assert!(!is_tapped(std::process::id()));
    }
}
