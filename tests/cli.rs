//! `logtap` as people and scripts see it: its words, its refusals, its reports, and what a command
//! under `logtap run` sees of the world. What is captured of real programs is compared elsewhere.

/// A terminal with a shell in it, to type into.
mod typing;

/// Completion in bash, fish and zsh.
mod completion;
/// Job control: Ctrl-C, Ctrl-Z, background.
mod jobs;
/// A program with thousands of log files.
mod many_files;
/// Mistakes in arguments, the same in all three programs.
mod mistakes;
/// Paths with blanks, line ends and bytes that are no text.
mod odd_names;
/// What other users can do to a run.
mod other_users;
/// Pushing to who asks for TLS, certificates, tokens and passwords.
mod pushing;
/// Inspect and grep, and which capture they mean.
mod reading;
/// Why a receiver does not start, or nothing reaches it.
mod receiving;
/// The help texts.
mod reference;
/// Mistakes, and what is said about them.
mod refusals;
/// The file of a run's summary.
mod summary_file;
/// What the command sees: signals, descriptors, environment.
mod surroundings;
/// Text of others on a terminal.
mod terminals;
/// Programs that the tap does not reach are named.
mod unreached;
