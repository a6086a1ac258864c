//! What a place has held, and for how long.

use std::sync::Arc;

use crate::recording::{OpenError, Recording};

use super::{How, Place, Write, last_step, writes};

/// A stretch of steps before each of which a place holds what one binding has put there.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// The first such step.
    pub first: u64,
    /// The last one; of a local variable, at most the last of its frame.
    pub last: u64,
    /// The binding, with the value; of a deletion that there is none.
    pub write: Write,
}

/// Everything that a place has held, in order, as far as it was bound while it was recorded.
///
/// # Errors
/// [`OpenError`].
pub fn states(recording: &Arc<Recording>, place: &Place) -> Result<Vec<Held>, OpenError> {
    let steps = recording.len()?;
    let found = writes(recording, place, 0, u64::MAX)?;
    let end = match place {
        Place::Local(frame, _) => {
            let last = last_step(recording, *frame, u64::MAX)?;
            last.map_or(steps, |last| last.number + 1)
        }
        _ => steps,
    };
    // A frame that starts with a value has it before its first step.
    let first = |write: &Write| match write.how {
        How::Argument => write.step,
        How::Bound | How::Deleted | How::Changed => write.step + 1,
    };
    let gaps = recording.gaps()?;
    let mut held: Vec<Held> = Vec::new();
    for (index, write) in found.iter().enumerate() {
        let until = found.get(index + 1).map_or(end, first).min(end);
        // Where steps are missing it may have got another value.
        let gap = gaps.get(gaps.partition_point(|&gap| gap <= write.step));
        let until = gap.map_or(until, |&gap| until.min(gap));
        let from = first(write);
        if from < until {
            held.push(Held {
                first: from,
                last: until - 1,
                write: write.clone(),
            });
        }
    }
    Ok(held)
}
