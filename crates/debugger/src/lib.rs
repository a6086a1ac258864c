//! Goes through a recording as a debugger does: by instruction, by line, over calls, out of functions, to breakpoints, changes and exceptions; all
//! of it forwards and backwards. No Python, no unsafe.
//!
//! A [`Search`] begins at a step and finds the places to stop at one after the other, so that whoever asks can look at each (has its condition
//! come true?) and ask for the next. It reads the recording range by range, near ones first.

mod breaks;
mod events;
mod scan;
mod search;

pub use breaks::Breaks;
pub use events::Event;
pub use search::{Change, Motion, Search, SearchError, Stop};
