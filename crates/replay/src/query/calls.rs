//! When a function was called, with what, and how it ended.

use std::ops::ControlFlow;
use std::sync::Arc;

use debugop_bytecode::{InstrIdx, Op};
use debugop_recording::stream::FrameNumber;
use debugop_value as data;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::machine::Watch;
use crate::recording::{OpenError, Recording};

use super::instruction;
use super::search::{self, Found};

/// How deep containers in containers are shown.
const DEPTH: u32 = 2;

/// A call of a function.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The step with which its frame starts.
    pub step: u64,
    /// Its frame.
    pub frame: FrameNumber,
    /// The number of its code object.
    pub code: u32,
    /// The caller's step before, if the caller is recorded.
    pub caller: Option<u64>,
    /// Its parameters, in order.
    pub arguments: Vec<(String, data::Value)>,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// At the recording's end it had not.
    Running,
    /// At a step, with a value.
    Returned(u64, data::Value),
    /// After a step, with an exception.
    Raised(u64, data::Value),
}

/// Every call of the functions with a qualified name, or with this name at its end.
///
/// # Errors
/// [`OpenError`].
pub fn calls(recording: &Arc<Recording>, name: &str) -> Result<Vec<Call>, OpenError> {
    let functions = recording.functions(name);
    let codes: FxHashSet<u32> = functions.map(|code| code.data().number).collect();
    let mut found: Vec<Call> = Vec::new();
    if codes.is_empty() {
        return Ok(found);
    }
    // Calls that have not ended, by frame.
    let mut running: FxHashMap<FrameNumber, usize> = FxHashMap::default();
    let known = recording.codes();
    let watch = || {
        let mut watch = Watch::default();
        watch.unwound = true;
        for code in codes.iter().filter_map(|code| known.get(*code)) {
            let all = (0..code.analysis().instructions().len() as u32).map(InstrIdx);
            let begins_or_ends = |at: &InstrIdx| {
                let op = instruction(code, *at).map(|found| found.0);
                matches!(op, Some(Op::Resume | Op::ReturnValue | Op::ReturnConst))
            };
            watch.add(code.data().number, all.filter(begins_or_ends));
        }
        watch
    };
    search::between::<()>(recording, watch, 0, u64::MAX, |stop| {
        let (step, state) = match stop {
            Found::Step(step, state) => (step, state),
            Found::Unwound(all, before, state) => {
                for unwound in all {
                    if let Some(index) = running.remove(&unwound.frame) {
                        let exception = state.describe(known, unwound.exception, DEPTH);
                        found[index].outcome = Outcome::Raised(before.unwrap_or(0), exception);
                    }
                }
                return ControlFlow::Continue(());
            }
        };
        let Some(frame) = state.frame() else {
            return ControlFlow::Continue(());
        };
        let code = frame.code();
        match instruction(code, step.at) {
            Some((Op::Resume, _, arg)) if arg & 3 == 0 => {
                let count = code.locals().arguments as usize;
                let arguments = frame.locals().take(count).zip(0..);
                let arguments = arguments.map(|(value, slot)| {
                    let name = code.local_name(slot).unwrap_or_default();
                    (name, state.describe(known, value, DEPTH))
                });
                let frames = state
                    .thread()
                    .map_or(&[][..], |(_, thread)| thread.frames());
                running.insert(step.frame, found.len());
                found.push(Call {
                    step: step.number,
                    frame: step.frame,
                    code: step.code,
                    caller: (frames.len() > 1).then(|| step.number.saturating_sub(1)),
                    arguments: arguments.collect(),
                    outcome: Outcome::Running,
                });
            }
            Some((Op::ReturnValue | Op::ReturnConst, ..)) => {
                if let Some(index) = running.remove(&step.frame) {
                    let value = returned(frame, step.at);
                    let value = state.describe(known, value, DEPTH);
                    found[index].outcome = Outcome::Returned(step.number, value);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

/// What a frame returns that is about to.
fn returned(frame: &crate::Frame, at: InstrIdx) -> crate::Value {
    match instruction(frame.code(), at) {
        Some((Op::ReturnConst, _, index)) => {
            crate::Value::Constant(frame.code().data().number, index)
        }
        _ => frame.stack().last().unwrap_or_default(),
    }
}
