//! What the end-to-end tests share. Refuses to know any single program or any single test.

/// The lines of a capture directory.
pub(crate) mod capture;
/// One program, run plain and tapped, and everything that must then be the same.
pub(crate) mod comparison;
/// Small programs from `tests/apps`, compiled once per build directory.
pub(crate) mod compile;
/// How two lists of lines differ.
pub(crate) mod difference;
/// A disk that fails on demand, and a clock that is set.
pub(crate) mod faulty_disk;
/// Programs that the machine may lack: found, or the test is skipped and says so.
pub(crate) mod machine;
/// A capture as the predecessor reads it, as far as that is known.
pub(crate) mod predecessor;
/// Requests to a receiver.
pub(crate) mod pushing;
/// Receivers of one test, and what is left of them.
pub(crate) mod receiving;
/// Running a program on pipes or on a terminal, to its end.
pub(crate) mod running;
/// Sources of numbered lines at full speed, and a receiver for them.
pub(crate) mod senders;
/// A disk that is soon full.
pub(crate) mod small_disk;
/// A fresh directory per test, and the `logtap` command.
pub(crate) mod workspace;

/// Far longer than anything here takes, also on a machine that is several times slower and does other things: what is
/// ended by this hangs.
pub(crate) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(300);
