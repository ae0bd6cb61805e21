//! The targets of liblogtap, `socket:` and `file:`, as programs that only know their variables meet them.
//! Each test is named after what liblogtap's users would see.

/// The collector as a sink.
mod collector;
/// A program that does what it is told.
mod puppet;
/// Sinks of raw bytes.
mod sink;

/// What the variables mean where they are not given, or given badly.
mod defaults;
/// `file:` targets.
mod file;
/// `LLT_LINE_BUFFERED`.
mod line_buffered;
/// `socket:` targets.
mod socket;
/// Out of the hook at every instruction.
mod steps;
