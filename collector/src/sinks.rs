//! The sinks that come with the collector.

mod json_lines;
mod loki;
mod tcp;

pub use json_lines::JsonLines;
pub use loki::{Auth, ClientCertificate, LokiConfig, LokiSink, PushFormat};
pub use tcp::TcpLines;
