//! Copies by asking the terminal (OSC 52), so that it works through SSH and in tmux too.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Terminals take no more than about this.
const MAX_BYTES: usize = 74_000;

/// The bytes that put a text on the clipboard; `None` if it is too long.
pub(crate) fn sequence(text: &str) -> Option<String> {
    (text.len() <= MAX_BYTES).then(|| format!("\x1b]52;c;{}\x07", STANDARD.encode(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_not_cut_in_silence() {
        assert_eq!(sequence("hi").unwrap(), "\x1b]52;c;aGk=\x07");
        assert_eq!(sequence(&"x".repeat(MAX_BYTES + 1)), None);
    }
}
