//! When a function was called, with what, what it yielded, and how it ended.

use std::ops::ControlFlow;
use std::sync::Arc;

use debugop_bytecode::{Argument, InstrIdx, Op};
use debugop_recording::stream::FrameNumber;
use debugop_value as data;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::code::{Code, Sort};
use crate::machine::Watch;
use crate::recording::{OpenError, Recording};
use crate::state::Frame;

use super::instruction;
use super::search::{self, Found};

/// What `CALL_INTRINSIC_1` does with an asynchronous generator's item; up to 3.11 an instruction of its own.
const ASYNC_GEN_WRAP: &str = "INTRINSIC_ASYNC_GEN_WRAP";

/// How deep containers in containers are shown.
const DEPTH: u32 = 2;

/// So many of the values that a call has yielded are kept.
pub const MOST_YIELDED: usize = 8;

/// A call of a function, as its frame shows it: of what makes a generator or coroutine, from where that is first resumed.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The step with which its frame starts.
    pub step: u64,
    /// What it is a frame of.
    pub sort: Sort,
    /// Its frame.
    pub frame: FrameNumber,
    /// The number of its code object.
    pub code: u32,
    /// The step before, of who called it or first resumed it, if that is recorded.
    pub caller: Option<u64>,
    /// Its parameters, in order.
    pub arguments: Vec<(String, data::Value)>,
    /// How many items it has yielded; of a coroutine, how often it was suspended. Of an asynchronous generator, not how often it was suspended for something
    /// that it awaits.
    pub yields: u64,
    /// The first [`MOST_YIELDED`] of these items, each with the step that yields it; none of a coroutine, which hands on what others have yielded.
    pub yielded: Vec<(u64, data::Value)>,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// At the recording's end it had not, and was running.
    Running,
    /// At the recording's end it had not, and was suspended. If it was forgotten or closed without executing anything, nothing tells.
    Suspended,
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
                    || yields(code, *at)
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
                    sort: code.sort(),
                    frame: step.frame,
                    code: step.code,
                    caller: (frames.len() > 1).then(|| step.number.saturating_sub(1)),
                    arguments: arguments.collect(),
                    yields: 0,
                    yielded: Vec::new(),
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
            _ if yields(code, step.at) => {
                if let Some(&index) = running.get(&step.frame) {
                    let call = &mut found[index];
                    call.yields += 1;
                    if call.sort != Sort::Coroutine && call.yielded.len() < MOST_YIELDED {
                        let value = frame.stack().last().unwrap_or_default();
                        let value = state.describe(known, value, DEPTH);
                        call.yielded.push((step.number, value));
                    }
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    })?;
    for frame in suspended(recording)? {
        if let Some(index) = running.remove(&frame) {
            found[index].outcome = Outcome::Suspended;
        }
    }
    Ok(found)
}

/// Whether an instruction yields an item, or, in a coroutine, suspends it. In an asynchronous generator an item is wrapped first, which tells it from what
/// others yield that it awaits.
fn yields(code: &Code, at: InstrIdx) -> bool {
    let Some((op, opcode, arg)) = instruction(code, at) else {
        return false;
    };
    match code.sort() {
        Sort::Function => false,
        Sort::Generator | Sort::Coroutine => op == Op::YieldValue,
        Sort::AsyncGenerator => {
            let argument = Argument::new(code.version(), opcode, arg, 0);
            op == Op::AsyncGenWrap || argument == Argument::Intrinsic(ASYNC_GEN_WRAP)
        }
    }
}

/// The frames that are suspended at the recording's end.
fn suspended(recording: &Arc<Recording>) -> Result<Vec<FrameNumber>, OpenError> {
    let Some(last) = recording.len()?.checked_sub(1) else {
        return Ok(Vec::new());
    };
    let mut cursor = recording.cursor();
    cursor.seek(last)?;
    cursor.next()?;
    let state = cursor.state();
    let frames = state.map(|state| state.suspended().map(Frame::number).collect());
    Ok(frames.unwrap_or_default())
}

/// What a frame returns that is about to.
fn returned(frame: &Frame, at: InstrIdx) -> crate::Value {
    match instruction(frame.code(), at) {
        Some((Op::ReturnConst, _, index)) => {
            crate::Value::Constant(frame.code().data().number, index)
        }
        _ => frame.stack().last().unwrap_or_default(),
    }
}
