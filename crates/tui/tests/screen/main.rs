//! The screen without a terminal: keys go in, whole screens come out.

/// A capture in memory that answers what a state asks for.
mod fake;
/// Every key.
mod keys;
/// What the screen looks like.
mod screens;
