//! Every exception: where it was raised, and which handlers it met.

use std::ops::ControlFlow;
use std::sync::Arc;

use debugop_bytecode::{InstrIdx, Op};
use debugop_recording::stream::FrameNumber;
use debugop_value as data;
use rustc_hash::FxHashMap;

use crate::machine::Unwound;
use crate::recording::{OpenError, Recording};
use crate::value::Value;

use super::{instruction, walk_to_end};

/// How deep containers in containers are shown.
const DEPTH: u32 = 2;

/// An exception.
#[derive(Clone, Debug, PartialEq)]
pub struct Exception {
    /// The exception as it was when it was first met.
    pub exception: data::Value,
    /// The step that raised it, or called what is not recorded and raised it; `None` if that is not in the recording.
    pub step: Option<u64>,
    /// The frame that it was raised in.
    pub frame: FrameNumber,
    /// The number of that frame's code object.
    pub code: u32,
    /// The instruction that raised it.
    pub at: InstrIdx,
    /// The steps with which handlers begin that it has come to, in order.
    pub handlers: Vec<u64>,
    /// How many frames it has left.
    pub unwound: u64,
}

/// Every exception that arrived at a handler of a recorded frame, or left one.
///
/// # Errors
/// [`OpenError`].
pub fn exceptions(
    recording: &Arc<Recording>,
    from: u64,
    to: u64,
) -> Result<Vec<Exception>, OpenError> {
    let mut found: Vec<Exception> = Vec::new();
    let mut known: FxHashMap<Value, usize> = FxHashMap::default();
    // The last step of each frame.
    let mut last: FxHashMap<FrameNumber, (u64, InstrIdx)> = FxHashMap::default();
    walk_to_end::<()>(recording, from, to, |step, state, unwound| {
        let mut arrived: Vec<Arrival> = unwound.iter().map(Arrival::at_end).collect();
        if let Some(step) = step
            && let Some(frame) = state.frame()
            && let Some((Op::PushExcInfo, ..)) = instruction(frame.code(), step.at)
            && let Some(value) = frame.stack().last()
        {
            arrived.push(Arrival {
                value,
                frame: step.frame,
                code: step.code,
                at: step.at,
                handler: Some(step.number),
            });
        }
        for arrival in arrived {
            let index = *known.entry(arrival.value).or_insert_with(|| {
                let before = last.get(&arrival.frame).copied();
                found.push(Exception {
                    exception: state.describe(recording.codes(), arrival.value, DEPTH),
                    step: before.map(|before| before.0),
                    frame: arrival.frame,
                    code: arrival.code,
                    at: before.map_or(arrival.at, |before| before.1),
                    handlers: Vec::new(),
                    unwound: 0,
                });
                found.len() - 1
            });
            match arrival.handler {
                Some(step) => found[index].handlers.push(step),
                None => {
                    found[index].unwound += 1;
                    last.remove(&arrival.frame);
                }
            }
        }
        if let Some(step) = step {
            last.insert(step.frame, (step.number, step.at));
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

/// An exception comes to a handler, or to the end of a frame.
struct Arrival {
    value: Value,
    frame: FrameNumber,
    code: u32,
    at: InstrIdx,
    handler: Option<u64>,
}

impl Arrival {
    fn at_end(unwound: &Unwound) -> Self {
        Self {
            value: unwound.exception,
            frame: unwound.frame,
            code: unwound.code,
            at: unwound.at,
            handler: None,
        }
    }
}
