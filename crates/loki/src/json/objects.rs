//! Goes through JSON objects that follow each other, whatever is between them.

use super::scanner::Scanner;
use super::without_mark;
use crate::error::DecodeError;
use crate::escape::push_unescaped;

/// A name, still escaped and without quotes, and a value as text.
pub(crate) type Member<'a> = (&'a [u8], &'a [u8]);

/// Something in a text of objects.
pub(crate) enum Item<'a> {
    /// An object: its members, and all of its text.
    Object(Vec<Member<'a>>, &'a [u8]),
    /// Something else, up to the end of its line.
    Other(&'a [u8]),
}

/// How objects are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One in each line, or all of them in one array.
    Lines,
    /// One after the other, over as many lines as they like.
    Concatenated,
}

/// Goes through all objects of a text.
pub(crate) fn each_object<'a>(
    body: &'a [u8],
    layout: Layout,
    mut handle: impl FnMut(Item<'a>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let mut rest = without_mark(body.trim_ascii_start()).trim_ascii_start();
    let in_array = rest
        .strip_prefix(b"[")
        .is_some_and(|after| matches!(after.trim_ascii_start().first(), None | Some(b'{' | b']')));
    if in_array {
        rest = rest.get(1..).unwrap_or_default();
    }
    // What is left of a body behind the present line: that end is looked for once, however much is in the line.
    let mut behind = rest.len() + 1;
    loop {
        rest = without_mark(rest.trim_ascii_start()).trim_ascii_start();
        if in_array {
            while let Some((b',' | b']', after)) = rest.split_first() {
                rest = after.trim_ascii_start();
            }
        }
        if rest.is_empty() {
            return Ok(());
        }
        let line_end = |from: usize| {
            let after = rest.get(from..).unwrap_or_default();
            let end = memchr::memchr(b'\n', after).map_or(rest.len(), |place| from + place);
            #[cfg(test)]
            tests::SEARCHED.with(|searched| searched.set(searched.get() + end - from));
            end
        };
        let scope = match layout {
            Layout::Lines if !in_array => {
                if rest.len() <= behind {
                    behind = rest.len() - line_end(0);
                }
                rest.len() - behind
            }
            _ => rest.len(),
        };
        let mut scanner = Scanner::new(rest.get(..scope).unwrap_or_default());
        let used = match members(&mut scanner) {
            Ok(members) => {
                let end = scanner.position();
                handle(Item::Object(members, rest.get(..end).unwrap_or_default()))?;
                end
            }
            Err(_) => {
                // All that was looked at goes with it, so that no byte is looked at twice.
                let end = line_end(scanner.position().min(scope));
                handle(Item::Other(rest.get(..end).unwrap_or_default().trim_ascii_end()))?;
                end
            }
        };
        rest = rest.get(used..).unwrap_or_default();
    }
}

fn members<'a>(scanner: &mut Scanner<'a>) -> Result<Vec<Member<'a>>, DecodeError> {
    let mut members = Vec::new();
    if scanner.peek() != Some(b'{') {
        return Err(scanner.error("expected an object"));
    }
    scanner.object(|scanner, name| {
        // One object of nothing but members would take many times the memory of its text.
        if members.len() == MAX_MEMBERS {
            return Err(scanner.error("too many members in one object"));
        }
        members.push((name, scanner.value()?));
        Ok(())
    })?;
    Ok(members)
}

/// More members than this are not looked at: the object is kept as text then.
const MAX_MEMBERS: usize = 1 << 16;

/// The members of an object that is a value; none if it is not one.
pub(crate) fn members_of(value: &[u8]) -> Option<Vec<Member<'_>>> {
    members(&mut Scanner::new(value)).ok()
}

/// The elements of an array that is a value; none if it is not one.
pub(crate) fn elements_of(value: &[u8]) -> Option<Vec<&[u8]>> {
    let mut elements = Vec::new();
    let mut scanner = Scanner::new(value);
    if scanner.peek() != Some(b'[') {
        return None;
    }
    let outcome = scanner.array(|scanner| {
        elements.push(scanner.value()?);
        Ok(())
    });
    outcome.ok().map(|()| elements)
}

/// What is between the quotes of a string; any other value as it is.
pub(crate) fn inside(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value)
}

/// What the inside of a string stands for; itself, and false, if an escape in it is broken.
pub(crate) fn unescaped(text: &[u8]) -> (Vec<u8>, bool) {
    let mut out = Vec::with_capacity(text.len());
    match push_unescaped(&mut out, text) {
        Some(()) => (out, true),
        None => (text.to_vec(), false),
    }
}

/// A value's bytes: of a string what it stands for, of anything else its text.
pub(crate) fn bytes_of(value: &[u8]) -> Vec<u8> {
    match value.first() {
        Some(b'"') => unescaped(inside(value)).0,
        _ => value.to_vec(),
    }
}

/// A member's name as text.
pub(crate) fn name_of(name: &[u8]) -> String {
    text_of(&[b"\"", name, b"\""].concat())
}

/// A value's text; what is no UTF-8 in it is replaced.
pub(crate) fn text_of(value: &[u8]) -> String {
    String::from_utf8(bytes_of(value))
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        /// Bytes in which the end of a line was looked for.
        pub(super) static SEARCHED: Cell<usize> = const { Cell::new(0) };
    }

    #[test]
    fn the_end_of_a_line_is_looked_for_once_however_much_is_in_it() {
        let searched = |text: &str| {
            SEARCHED.set(0);
            let mut objects = 0;
            each_object(text.as_bytes(), Layout::Lines, |_| {
                objects += 1;
                Ok(())
            })
            .unwrap();
            (objects, SEARCHED.get())
        };
        for count in [1_000, 2_000] {
            let (line, broken) = ("{\"a\":1}".repeat(count), "{\"a\":1} x\n".repeat(count));
            assert_eq!(searched(&line), (count, line.len()));
            let (objects, steps) = searched(&broken);
            assert!(objects == 2 * count && steps <= 2 * broken.len(), "{steps}");
        }
    }
}
