//! Short byte strings on the stack: paths and messages, without allocation.

use core::fmt;

use crate::syscall::CPath;

/// A byte string of at most `N` bytes. What does not fit makes it [`Text::is_cut`], never a panic.
pub(crate) struct Text<const N: usize> {
    bytes: [u8; N],
    length: usize,
    cut: bool,
}

impl<const N: usize> Text<N> {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; N], length: 0, cut: false }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) -> &mut Self {
        let room = self.bytes.get_mut(self.length..self.length + bytes.len());
        match room {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.length += bytes.len();
            }
            None => self.cut = true,
        }
        self
    }

    pub(crate) fn push_number(&mut self, mut number: u64) -> &mut Self {
        let mut digits = [0; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.push(&digits[at..])
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// As a path for the kernel. `None` where it was cut.
    pub(crate) fn path(&mut self) -> Option<CPath<'_>> {
        self.push(b"\0");
        if self.cut { None } else { CPath::new(&self.bytes[..self.length]) }
    }
}

impl<const N: usize> fmt::Write for Text<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_left_out_and_said() {
        let mut text = Text::<8>::new();
        text.push(b"ab").push_number(1_234);
        assert_eq!(text.bytes(), b"ab1234");
        assert!(text.push(b"567").path().is_none());
        let mut exact = Text::<4>::new();
        assert!(exact.push(b"/ab").path().is_some());
    }
}
