//! Puts the preload library where an application can load it.
//!
//! In a container the injector runs before the application and copies the library into a volume
//! that both see. It refuses to do anything else: it changes no workload and talks to nobody.

pub mod command;

pub use command::{InjectArgs, InjectError, inject};
