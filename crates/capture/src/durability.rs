//! When lines have to be on the disk itself, and not only in the kernel: the choice, and how it is
//! written.

use std::str::FromStr;
use std::time::Duration;

use logtap_units::read;

/// When a segment that grows is written through to the disk.
///
/// A killed process loses nothing under any of them; they differ in what a power cut can take. A
/// finished, compressed segment is always on the disk before its raw form is removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fsync {
    /// When the kernel likes.
    Never,
    /// When a segment is closed.
    #[default]
    Rotation,
    /// So often, and when a segment is closed.
    Every(Duration),
    /// Before a batch is acknowledged.
    Always,
}

/// A text that is none of the choices.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is none of never, rotation, every:DURATION (as every:500ms, every:2s), always")]
pub struct UnknownFsync(pub String);

impl Fsync {
    /// Whether names of new files have to be on the disk too.
    pub(crate) const fn is_eager(self) -> bool {
        matches!(self, Self::Every(_) | Self::Always)
    }
}

impl FromStr for Fsync {
    type Err = UnknownFsync;

    fn from_str(text: &str) -> Result<Self, UnknownFsync> {
        let unknown = || UnknownFsync(text.to_owned());
        match text {
            "never" => Ok(Self::Never),
            "rotation" => Ok(Self::Rotation),
            "always" => Ok(Self::Always),
            _ => {
                let duration = text.strip_prefix("every:").ok_or_else(unknown)?;
                // A number alone is of seconds.
                match read::duration_or_number(duration, Duration::from_secs(1)) {
                    Ok(duration) if !duration.is_zero() => Ok(Self::Every(duration)),
                    _ => Err(unknown()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_read() {
        for (text, expected) in [
            ("never", Fsync::Never),
            ("rotation", Fsync::Rotation),
            ("always", Fsync::Always),
            ("every:500ms", Fsync::Every(Duration::from_millis(500))),
            ("every:2s", Fsync::Every(Duration::from_secs(2))),
            ("every:1.5", Fsync::Every(Duration::from_millis(1500))),
            ("every:1m", Fsync::Every(Duration::from_secs(60))),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for text in
            ["", "sometimes", "every:", "every:0s", "every:-1s", "every:soon", "every:1e300s"]
        {
            let error = text.parse::<Fsync>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{text}` is none of never, ")), "{error}");
        }
    }
}
