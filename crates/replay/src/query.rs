//! Questions to a recording. Answers come from the executed instructions and the values that they met, never from the source text.

mod argument;
mod calls;
mod diff;
mod exceptions;
mod globals;
mod hits;
mod marks;
mod origin;
mod place;
mod search;
mod states;
mod steps;
mod writes;

use std::ops::ControlFlow;
use std::sync::Arc;

use debugop_bytecode::{InstrIdx, Op, Opcode};
use debugop_recording::stream::FrameNumber;

use crate::code::Code;
use crate::index::Executed;
use crate::machine::{Step, Unwound, Watch};
use crate::recording::{OpenError, Recording};
use crate::state::{Frame, State};

pub use calls::{Call, MOST_YIELDED, Outcome, calls};
pub use diff::{Difference, Part, diff};
pub use exceptions::{Exception, exceptions};
pub use globals::globals;
pub use hits::{hit_count, hits, last_hit};
pub use marks::{Mark, Marks};
pub use origin::{Kind, Operand, Origin, Slot, Target, Why, origin, origins, origins_of};
pub use place::{Place, PlaceError};
pub use states::{Held, states};
pub use steps::{Filter, steps};
pub use writes::{How, Write, last_write, writes};

/// Shows every step from `from` on, up to and without `to`, until `visit` breaks; see [`walk_to_end`].
pub(crate) fn walk<B>(
    recording: &Arc<Recording>,
    from: u64,
    to: u64,
    mut visit: impl FnMut(&Step, &State) -> ControlFlow<B>,
) -> Result<Option<B>, OpenError> {
    walk_to_end(recording, from, to, |step, state, _| match step {
        Some(step) => visit(step, state),
        None => ControlFlow::Continue(()),
    })
}

/// Shows every step from `from` on, up to and without `to`, until `visit` breaks, with what has left frames before it; at last,
/// if `to` is the recording's end, what has left frames after the last step.
pub(crate) fn walk_to_end<B>(
    recording: &Arc<Recording>,
    from: u64,
    to: u64,
    mut visit: impl FnMut(Option<&Step>, &State, &[Unwound]) -> ControlFlow<B>,
) -> Result<Option<B>, OpenError> {
    let mut cursor = recording.cursor();
    let mut step = match from {
        0 => cursor.next()?,
        _ if from < recording.len()? => Some(cursor.seek(from)?),
        _ => None,
    };
    while let Some(at) = step {
        if at.number >= to {
            return Ok(None);
        }
        let Some(state) = cursor.state() else { break };
        if let ControlFlow::Break(found) = visit(Some(&at), state, cursor.unwound()) {
            return Ok(Some(found));
        }
        step = cursor.next()?;
    }
    match cursor
        .state()
        .map(|state| visit(None, state, cursor.unwound()))
    {
        Some(ControlFlow::Break(found)) => Ok(Some(found)),
        _ => Ok(None),
    }
}

/// The last step of a frame before another step, as far as none is missing between them.
pub(crate) fn last_step(
    recording: &Arc<Recording>,
    frame: FrameNumber,
    before: u64,
) -> Result<Option<Step>, OpenError> {
    let index = recording.index()?;
    let from = recording.known_from(before)?;
    for chunk in search::chunks_before(index, before) {
        if index.firsts()[chunk] < from {
            // Steps are missing between what is there and what has been shown.
            break;
        }
        if !index.has_frame(chunk, frame) {
            continue;
        }
        let mut watch = Watch::default();
        // A frame that is new in the chunk may be of any code object.
        let codes = match index.code_of(chunk, frame) {
            Some(code) => vec![code],
            None => index.codes(chunk),
        };
        for code in codes {
            let executed = index.executed(chunk, code);
            let executed = executed.into_iter().flat_map(Executed::steps);
            watch.add(code, executed.map(|(at, _)| at));
        }
        let last = search::last_in_chunk(recording, chunk, watch, before, false, |step, _| {
            (step.frame == frame).then_some(*step)
        })?;
        if last.is_some() {
            return Ok(last);
        }
    }
    Ok(None)
}

/// An instruction of a code object.
pub(crate) fn instruction(code: &Code, at: InstrIdx) -> Option<(Op, Opcode, u32)> {
    let instruction = code.analysis().instructions().get(at.0 as usize)?;
    let op = instruction.opcode.info(code.version())?.op;
    Some((op, instruction.opcode, instruction.arg))
}

/// A frame of the thread that runs, by its number.
pub(crate) fn frame_of(state: &State, number: FrameNumber) -> Option<&Frame> {
    let (_, thread) = state.thread()?;
    let mut frames = thread.frames().iter().rev();
    frames.find(|frame| frame.number() == number)
}
