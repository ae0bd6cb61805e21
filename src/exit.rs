//! How the process is to end.

/// How the process is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// With this exit code.
    Code(u8),
    /// By this signal, as the command that was run.
    Signal(i32),
}

impl Exit {
    /// All went well.
    pub(crate) const OK: Self = Self::Code(0);
}
