//! Takes pushes, redacts them and writes the capture.
//!
//! [`Store`] is the part without a network: `logtap run` hands it batches in its own process.
//! [`serve`] puts the Loki push API in front of it. A push is answered with 204 when, and only when,
//! its lines are in the capture.

mod body;
mod directory;
mod meters;
mod push;
mod server;
mod status;
mod store;

pub use directory::choose_directory;
pub use logtap_capture::redact;
pub use logtap_capture::{Appended, Redactor, Totals, WriterOptions};
pub use server::{Config, Handle, ServeError, serve};
pub use store::{Counts, Store, StoreError, StoreOptions};
