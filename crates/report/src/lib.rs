//! What people look at: text and JSON Lines reports of a stream of steps. No Python, no unsafe.
//!
//! Whatever produces steps, a live trace or a recording, describes each code object once as a [`CodeInfo`] and each
//! executed instruction as a [`Step`]. A [`Report`] turns them into something to look at.

mod check;
mod code;
mod jsonl;
mod none;
pub mod replayed;
mod sources;
mod step;
mod story;
mod summary;
mod text;
mod thread;

use std::io;

use debugop_replay::{Loss, Written};

pub use check::CheckReport;
pub use code::{CodeInfo, CodeNames, InstructionInfo};
pub use jsonl::{FORMAT_VERSION, JsonlReport};
pub use none::SummaryReport;
pub use sources::Sources;
pub use step::{Event, FrameEvent, FrameEventKind, Step};
pub use story::{Happening, Story, What};
pub use summary::{Counter, Summary};
pub use text::{TextOptions, TextReport};
pub use thread::{ThreadChange, ThreadEvent};

/// Something that shows steps in the order in which they were executed.
///
/// Reports buffer what they write. An error of the underlying writer, such as a closed pipe, is returned by the call
/// during which it shows; the report must not be used afterwards.
pub trait Report: Send {
    /// Shows one step.
    ///
    /// # Errors
    /// What the underlying writer returns.
    fn step(&mut self, step: &Step<'_>) -> io::Result<()>;

    /// Shows that a thread begins, before its first step, or has ended. Where the source of the steps cannot tell, this is not called.
    ///
    /// # Errors
    /// What the underlying writer returns.
    fn thread(&mut self, event: &ThreadEvent<'_>) -> io::Result<()> {
        let _ = event;
        Ok(())
    }

    /// Shows that something is not in the recording that the steps come from: before the step that is shown next.
    ///
    /// # Errors
    /// What the underlying writer returns.
    fn lost(&mut self, loss: &Loss) -> io::Result<()> {
        let _ = loss;
        Ok(())
    }

    /// Shows what the program has written: behind the step in which it did, as far as that is known.
    ///
    /// # Errors
    /// What the underlying writer returns.
    fn written(&mut self, written: &Written) -> io::Result<()> {
        let _ = written;
        Ok(())
    }

    /// Hands everything that was shown so far to the underlying writer: before a fork, or when the program may end
    /// without [`Report::finish`].
    ///
    /// # Errors
    /// What the underlying writer returns.
    fn flush(&mut self) -> io::Result<()>;

    /// Writes what belongs at the end, and flushes.
    ///
    /// # Errors
    /// What the underlying writer returns.
    fn finish(self: Box<Self>, summary: &Summary) -> io::Result<()>;
}
