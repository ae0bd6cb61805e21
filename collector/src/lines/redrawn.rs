//! Lines that their writer draws again and again behind a carriage return: only the last state stays.
//!
//! A state is what can be seen: what is empty, of blanks or of sequences that erase and colour replaces nothing. So neither
//! a carriage return at the end of a line nor one at its beginning is a state. States may come in any number of pieces.

use memchr::{memchr, memrchr};

use super::{LineBuffer, Mark};

/// Longer text is taken for visible without a look.
const LONGEST_BLANK: usize = 512;

/// What was left out of lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// States that others replaced.
    pub(crate) states: u64,
    /// Their bytes, with the carriage returns behind them.
    pub(crate) bytes: u64,
}

impl LineBuffer {
    /// As `feed`, keeping the last state of each line.
    pub(super) fn feed_redrawn(
        &mut self,
        bytes: &[u8],
        time: i64,
        longest: usize,
        mut emit: impl FnMut(&[u8], i64, Mark),
    ) {
        self.find_return();
        let mut rest = bytes;
        while !rest.is_empty() {
            let end = memchr(b'\n', rest);
            let text = &rest[..end.unwrap_or(rest.len())];
            if self.is_empty() {
                self.began = time;
            }
            for (number, part) in text.split(|byte| *byte == b'\r').enumerate() {
                if number > 0 {
                    self.carriage_return();
                }
                if !part.is_empty() {
                    self.draw(part, longest, &mut emit);
                }
            }
            let Some(end) = end else { return };
            if self.is_empty() {
                emit(b"", time, Mark::Whole);
            } else {
                self.flush(Mark::Whole, &mut emit);
            }
            rest = &rest[end + 1..];
        }
    }

    /// What was left out since this was asked last.
    pub(crate) fn take_left_out(&mut self) -> LeftOut {
        std::mem::take(&mut self.left_out)
    }

    /// Where the last state ends, in a line that another collector has begun.
    fn find_return(&mut self) {
        if std::mem::replace(&mut self.is_watched, true) {
            return;
        }
        self.returned =
            memrchr(b'\r', &self.pending).filter(|at| is_blank(&self.pending[at + 1..]));
    }

    fn carriage_return(&mut self) {
        match self.returned {
            // Nothing was seen behind the one before.
            Some(at) => {
                self.pending.truncate(at + 1);
            }
            None if is_blank(&self.pending) && !self.split => self.pending.clear(),
            None => {
                self.returned = Some(self.pending.len());
                self.pending.push(b'\r');
            }
        }
    }

    /// Appends bytes without an end of a line or of a state.
    fn draw(&mut self, part: &[u8], longest: usize, emit: &mut impl FnMut(&[u8], i64, Mark)) {
        let Some(at) = self.returned else { return self.keep(part, longest, emit) };
        let drawn = self.pending.len() - (at + 1);
        let (head, rest) = part.split_at(part.len().min(LONGEST_BLANK + 1 - drawn));
        self.pending.extend_from_slice(head);
        if is_blank(&self.pending[at + 1..]) {
            return;
        }
        let state = self.pending.split_off(at + 1);
        self.left_out.states += 1;
        self.left_out.bytes += self.pending.len() as u64;
        self.pending.clear();
        self.returned = None;
        self.keep(&state, longest, emit);
        self.keep(rest, longest, emit);
    }
}

/// Whether nothing of this is to be seen, as far as it has come: blanks, and sequences that erase or colour.
fn is_blank(text: &[u8]) -> bool {
    if text.len() > LONGEST_BLANK {
        return false;
    }
    let mut rest = text;
    while let [first, behind @ ..] = rest {
        rest = match first {
            b' ' | b'\t' => behind,
            0x1b => match behind {
                [] => return true,
                [b'[', sequence @ ..] => {
                    let is_parameter = |byte: &&u8| matches!(byte, b'0'..=b'9' | b';');
                    let parameters = sequence.iter().take_while(is_parameter).count();
                    match &sequence[parameters..] {
                        [] => return true,
                        [b'K' | b'J' | b'm', after @ ..] => after,
                        _ => return false,
                    }
                }
                _ => return false,
            },
            _ => return false,
        };
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LineRules;

    /// The lines of a text that comes in pieces of one size, with what is left at the end, and what was left out.
    fn collapsed(text: &str, size: usize, longest: usize) -> (Vec<String>, LeftOut) {
        let rules = LineRules { longest, collapse_progress: true, ..LineRules::default() };
        let (mut buffer, mut out) = (LineBuffer::default(), Vec::new());
        let mut left_out = LeftOut::default();
        let mut emit =
            |line: &[u8], _: i64, _: Mark| out.push(String::from_utf8_lossy(line).into_owned());
        for piece in text.as_bytes().chunks(size) {
            // As another collector would go on.
            let (bytes, began, split) = buffer.state();
            buffer = LineBuffer::restored(bytes, began, split);
            buffer.take(piece, 0, &rules, &mut emit);
            assert!(buffer.len() <= longest + 1 + LONGEST_BLANK + 1);
            let more = buffer.take_left_out();
            left_out.states += more.states;
            left_out.bytes += more.bytes;
        }
        buffer.flush(Mark::Partial, &mut emit);
        (out, left_out)
    }

    #[test]
    fn the_last_state_of_each_line_stays_however_it_comes() {
        for (text, expected, states) in [
            ("plain\nand more\n", vec!["plain", "and more"], 0),
            ("windows\r\nends\r\n\r\n", vec!["windows", "ends", ""], 0),
            // apt
            ("\rReading 0%\r\rReading 50%\r\rReading... Done\n", vec!["Reading... Done"], 2),
            // pip
            (
                "\r\x1b[K  |##  | 10 kB\r\x1b[K  |### | 20 kB\r\x1b[K  |####| 30 kB\nnext\n",
                vec!["\x1b[K  |####| 30 kB", "next"],
                2,
            ),
            // ffmpeg
            ("frame=1 fps=0\rframe=2 fps=9\rframe=3 fps=9\r\n", vec!["frame=3 fps=9"], 2),
            // tqdm, without an end
            ("\r 0%| | 0/2\r 50%|# | 1/2\r 100%|##| 2/2", vec![" 100%|##| 2/2"], 2),
            // The line is erased before it is drawn, or at the end.
            ("one\x1b[2K\rtwo\x1b[2K\r", vec!["two\x1b[2K"], 1),
            ("one\rtwo\r        \r\x1b[0m\x1b[K\nafter\n", vec!["two", "after"], 1),
        ] {
            for size in 1..=text.len() {
                let (lines, left_out) = collapsed(text, size, 1000);
                assert_eq!(
                    (lines, left_out.states),
                    (expected.iter().map(|line| (*line).to_owned()).collect(), states),
                    "{text:?} in pieces of {size}"
                );
            }
        }
    }

    #[test]
    fn megabytes_of_states_take_the_room_of_one_and_long_ones_are_split() {
        let text: String = (0..200_000).map(|number| format!("\r{number} of 200,000")).collect();
        let (lines, left_out) = collapsed(&text, 4096, 1000);
        assert_eq!(lines, ["199999 of 200,000"]);
        assert_eq!(left_out.states, 199_999);
        assert_eq!(left_out.bytes as usize, text.len() - 1 - lines[0].len());
        let long = "x".repeat(25);
        let (lines, _) = collapsed(&format!("short\r{long}\rend\n"), 7, 10);
        assert_eq!(lines.concat(), format!("{}end", "x".repeat(20)));
    }
}
