//! Tells others what becomes of a capture: webhooks, and rules about when.

pub mod alert;
mod event;
mod redirects;
pub mod webhook;

pub use event::{EventKind, Notice, Stats, UnknownEvent};
