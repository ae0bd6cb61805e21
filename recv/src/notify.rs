//! Tells others what becomes of a capture: webhooks, and rules about when.

pub mod alert;
mod event;
pub mod webhook;

pub use event::{EventKind, Notice, Stats, UnknownEvent};
