//! Why a push could not be taken apart.

/// A push that cannot be decoded, as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It is not a protobuf push.
    #[error("protobuf: {reason} at byte {position}")]
    Protobuf {
        /// Where.
        position: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// It is not a JSON push.
    #[error("json: {reason} at byte {position}")]
    Json {
        /// Where.
        position: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// There is nothing.
    #[error("EOF")]
    Empty,
    /// It is larger than the limit, after decompression.
    #[error("request body too large: message size too large than max ({size} vs {limit})")]
    TooLarge {
        /// Its size, or where reading stopped.
        size: u64,
        /// What is allowed.
        limit: u64,
    },
    /// It is not snappy's block format.
    #[error("snappy: {0}")]
    Snappy(String),
    /// It is not gzip or deflate.
    #[error("{0}")]
    Gzip(String),
    /// It is not zstd.
    #[error("zstd: {0}")]
    Zstd(String),
    /// It is something that Loki refuses, and whoever decodes wants that too.
    #[error("{0}")]
    Refused(String),
}

impl DecodeError {
    /// The same, of a part behind which and before which there is more.
    pub(crate) fn of_all(self, before: usize, all: usize) -> Self {
        match self {
            Self::TooLarge { size, .. } => {
                Self::TooLarge { size: size + before as u64, limit: all as u64 }
            }
            other => other,
        }
    }
}
