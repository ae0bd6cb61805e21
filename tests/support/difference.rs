//! How two lists of lines differ, for people to read.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::running::lines;

/// In which order a program's lines come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// One line after the other, always the same.
    Total,
    /// Several writers at once; the first word of a line names its writer, and each writer's
    /// lines come in order.
    PerWriter,
}

/// Says how two texts differ, if they do, down to the last line end.
pub(crate) fn difference_of_texts(expected: &[u8], got: &[u8]) -> Option<String> {
    if expected == got {
        return None;
    }
    let text = first_difference(&lines(expected), &lines(got));
    Some(text.unwrap_or_else(|| "the same lines, but the last one ends differently".to_owned()))
}

/// The lines with every number replaced by `#`.
pub(crate) fn masked(text: &[u8]) -> Vec<Vec<u8>> {
    let mask = |line: Vec<u8>| {
        let mut masked: Vec<u8> = Vec::new();
        for byte in line {
            match byte {
                b'0'..=b'9' if masked.last() == Some(&b'#') => {}
                b'0'..=b'9' => masked.push(b'#'),
                other => masked.push(other),
            }
        }
        masked
    };
    lines(text).into_iter().map(mask).collect()
}

/// Says how the lines differ, if they do.
pub(crate) fn difference(expected: &[Vec<u8>], got: &[Vec<u8>], order: Order) -> Option<String> {
    match order {
        Order::Total => first_difference(expected, got),
        Order::PerWriter => {
            let (expected, got) = (by_writer(expected), by_writer(got));
            let empty = Vec::new();
            expected.keys().chain(got.keys()).find_map(|writer| {
                let of = |lines: &BTreeMap<Vec<u8>, Vec<Vec<u8>>>| {
                    lines.get(writer).unwrap_or(&empty).clone()
                };
                first_difference(&of(&expected), &of(&got))
            })
        }
    }
}

fn by_writer(lines: &[Vec<u8>]) -> BTreeMap<Vec<u8>, Vec<Vec<u8>>> {
    let mut writers: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
    for line in lines {
        let writer = line.split(|byte| *byte == b' ').next().unwrap_or_default();
        writers.entry(writer.to_vec()).or_default().push(line.clone());
    }
    writers
}

fn first_difference(expected: &[Vec<u8>], got: &[Vec<u8>]) -> Option<String> {
    if expected == got {
        return None;
    }
    let place = expected.iter().zip(got).take_while(|(one, other)| one == other).count();
    let mut text =
        format!("{} lines expected, {} there; at line {place}", expected.len(), got.len());
    let around = |lines: &[Vec<u8>]| -> Vec<String> {
        lines.iter().skip(place).take(3).map(|line| show(line)).collect()
    };
    write!(text, "\n    expected {:?}\n    there    {:?}", around(expected), around(got))
        .expect("a string takes text");
    Some(text)
}

/// The beginning of a line, readable.
pub(crate) fn show(line: &[u8]) -> String {
    const SHOWN: usize = 100;
    let text = String::from_utf8_lossy(line);
    let mut shown: String = text.chars().take(SHOWN).collect();
    if text.chars().nth(SHOWN).is_some() {
        write!(shown, "... ({} bytes)", line.len()).expect("a string takes text");
    }
    shown
}
