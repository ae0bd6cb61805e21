//! Takes pushes, redacts them and writes the capture.
//!
//! [`Store`] is the part without a network: `logtap run` hands it batches in its own process.
//! [`serve`] puts the Loki push API in front of it. A push is answered with 204 when, and only when,
//! its lines are in the capture.

pub mod audit;
mod body;
mod connection;
mod credentials;
mod directory;
mod faults;
mod json_lines;
mod label_limits;
mod meters;
mod notices;
pub mod notify;
mod odd_times;
mod otlp;
mod places;
mod push;
mod routes;
mod server;
mod shared;
mod sources;
mod status;
mod store;
mod strict;
mod talkers;
mod timed;
mod tls;
mod told;
mod trail;
mod unpack;
pub mod watch;
mod workers;

pub use connection::ConnectionLimits;
pub use credentials::{Credential, CredentialError};
pub use directory::{choose_directory, foreign_content, foreign_writers};
pub use faults::{FaultError, Faults};
pub use json_lines::{LineSource, LineSourceError};
pub use logtap_capture::redact;
pub use logtap_capture::rotation::segment_limit;
pub use logtap_capture::{Appended, Fsync, OnFull, Redactor, Status, Totals, WriterOptions};
pub use logtap_loki::Mapping;
pub use server::{Config, Handle, ServeError, check, serve};
pub use store::{Counts, Store, StoreError, StoreOptions};
pub use talkers::TalkerCounts;
pub use tls::{TlsError, TlsFiles};
