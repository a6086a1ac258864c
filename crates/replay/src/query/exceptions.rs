//! Every exception: where it was raised, and which handlers it met.

use std::ops::ControlFlow;
use std::sync::Arc;

use debugop_bytecode::{InstrIdx, Op};
use debugop_recording::stream::FrameNumber;
use debugop_value as data;
use rustc_hash::FxHashMap;

use crate::machine::{Unwound, Watch};
use crate::recording::{OpenError, Recording};
use crate::state::{State, Stepped};
use crate::value::Value;

use super::search::{self, Found};
use super::{instruction, last_step};

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
    /// Whether one of them was the outermost recorded one of its thread: nothing has handled it, as far as that is recorded.
    pub uncaught: bool,
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
    let watch = || {
        let mut watch = Watch::default();
        watch.unwound = true;
        for code in recording.codes().iter() {
            let all = (0..code.analysis().instructions().len() as u32).map(InstrIdx);
            let handles =
                |at: &InstrIdx| matches!(instruction(code, *at), Some((Op::PushExcInfo, ..)));
            watch.add(code.data().number, all.filter(handles));
        }
        watch
    };
    let mut error = None;
    search::between(recording, watch, from, to, |stop| {
        let (arrived, state) = match stop {
            Found::Unwound(unwound, _, state) => {
                (unwound.iter().map(Arrival::at_end).collect(), state)
            }
            Found::Step(step, state) => {
                let value = state.frame().and_then(|frame| frame.stack().last());
                let arrived = value.map(|value| Arrival {
                    value,
                    frame: step.frame,
                    code: step.code,
                    at: step.at,
                    handler: Some(step.number),
                    is_outermost: false,
                });
                (Vec::from_iter(arrived), state)
            }
        };
        for arrival in arrived {
            let index = match known.get(&arrival.value) {
                Some(&index) => index,
                None => {
                    let before = match arrival.before(recording, state) {
                        Ok(before) => before,
                        Err(found) => {
                            error = Some(found);
                            return ControlFlow::Break(());
                        }
                    };
                    found.push(Exception {
                        exception: state.describe(recording.codes(), arrival.value, DEPTH),
                        step: before.map(|before| before.0),
                        frame: arrival.frame,
                        code: arrival.code,
                        at: before.map_or(arrival.at, |before| before.1),
                        handlers: Vec::new(),
                        unwound: 0,
                        uncaught: false,
                    });
                    known.insert(arrival.value, found.len() - 1);
                    found.len() - 1
                }
            };
            match arrival.handler {
                Some(step) => found[index].handlers.push(step),
                None => {
                    found[index].unwound += 1;
                    found[index].uncaught |= arrival.is_outermost;
                }
            }
        }
        ControlFlow::Continue(())
    })?;
    match error {
        Some(error) => Err(error),
        None => Ok(found),
    }
}

/// An exception comes to a handler, or to the end of a frame.
struct Arrival {
    value: Value,
    frame: FrameNumber,
    code: u32,
    at: InstrIdx,
    handler: Option<u64>,
    /// Whether it has left the outermost frame of its thread.
    is_outermost: bool,
}

impl Arrival {
    /// The frame's last step before the exception arrived.
    fn before(
        &self,
        recording: &Arc<Recording>,
        state: &State,
    ) -> Result<Option<(u64, InstrIdx)>, OpenError> {
        let mut frames = state.threads().flat_map(|(_, thread)| thread.frames());
        let Some(frame) = frames.find(|frame| frame.number() == self.frame) else {
            return Ok(None);
        };
        let (number, stepped) = match self.handler {
            Some(_) => (frame.previous_number, frame.previous),
            None => (frame.stepped_number, frame.stepped),
        };
        if let (Some(number), Stepped::At(at)) = (number, stepped) {
            return Ok(Some((number, at)));
        }
        // It is in an earlier chunk, if anywhere.
        let firsts = recording.firsts()?;
        let chunk = usize::try_from(state.chunk().number).unwrap_or(usize::MAX);
        let first = firsts.get(chunk).copied().unwrap_or(0);
        let last = last_step(recording, self.frame, first)?;
        Ok(last.map(|step| (step.number, step.at)))
    }

    fn at_end(unwound: &Unwound) -> Self {
        Self {
            value: unwound.exception,
            frame: unwound.frame,
            code: unwound.code,
            at: unwound.at,
            handler: None,
            is_outermost: unwound.depth == 0,
        }
    }
}
