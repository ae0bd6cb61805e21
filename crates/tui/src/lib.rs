//! The screen of a running receiver: statistics, and the whole capture as scrollback.
//!
//! The heart is pure: `update` turns a state and an event into the next [`state`] and what is to be done,
//! and [`draw`] turns a state into cells. Lines are read from the capture's files by their place, only
//! those that are on the screen; what takes longer (filters, searches, export) runs in threads of its
//! own and says how far it is. Knows no network, writes nothing but the export that was asked for.

mod ascii;
mod catalogue;
mod clipboard;
pub mod draw;
mod export;
mod format;
mod highlight;
mod input;
mod judge;
pub mod keys;
mod lines;
mod outgoing;
mod page;
mod pager;
mod place;
mod prompt;
mod rates;
mod screen;
mod shown;
mod spec;
pub mod state;
mod statistics;
mod survey;
mod tally;
mod terminal;
mod text;
mod theme;
mod time;
mod update;
mod warnings;
mod wrap;

pub use screen::{Ended, Options, TuiError, run};
pub use statistics::{Source, Statistics};
pub use theme::Theme;
