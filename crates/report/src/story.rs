//! What happens between steps: exceptions that are raised and caught, and calls of what is no Python code.
//!
//! Every engine delivers the same steps, so that what they mean is derived here, once, from nothing but the steps: a
//! [`Story`] is shown each and says what has happened since the step before. It rests on three facts:
//!
//! - An exception shows when the frame's next step is a handler where it arrives, or an unwinding. The frame's previous step is the
//!   instruction that raised it, unless the same exception has just left a frame that this instruction called.
//! - `PUSH_EXC_INFO` and `POP_EXCEPT` bracket the handling of an exception (`InternalDocs/exception_handling.md`).
//! - What a call returns is on top of the stack at the frame's next step.
//!
//! What happens inside one instruction is no step: exceptions that C code swallows, such as the `StopIteration` that ends a `for` loop over an
//! iterator written in C, cannot be told. In a stream with holes, what depends on a step that is missing is left out or says less.

mod frame;

use std::borrow::Cow;

use debugop_bytecode::{InstrIdx, Op};
use debugop_value::{Id, Value};
use rustc_hash::FxHashMap;

use crate::step::{Event, FrameEvent, Step};
use frame::{Call, Frame, Left};

/// Frames that are remembered; beyond, all are forgotten, and the first events of each that goes on say less.
const MOST_FRAMES: usize = 1 << 16;

/// Stands for a frame that has not been seen.
const UNKNOWN: u64 = u64::MAX;

/// Something that has happened in the frame of the step that shows it, between that step and the frame's step before, except that
/// a [`What::CCall`] is about to happen.
#[derive(Debug, Clone, PartialEq)]
pub struct Happening<'a> {
    /// The instruction that did it: raised, called or swallowed. `None` if the frame's step before is not in the stream.
    pub instruction: Option<InstrIdx>,
    /// What it is.
    pub what: What<'a>,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum What<'a> {
    /// The instruction has raised the exception.
    Raise(&'a Value),
    /// An exception that is being handled is raised again: at the end of a `finally`, by a bare `raise`, by `raise e` in the
    /// handler of `e`.
    Reraise(&'a Value),
    /// The exception left the frame `from`, which the instruction had called, and came out of the instruction.
    Propagate {
        /// The exception.
        exception: &'a Value,
        /// The frame that it left.
        from: u64,
    },
    /// The suspended frame is resumed by an exception: `throw()`, `close()`, or the event loop's cancelling.
    Throw(&'a Value),
    /// The exception has arrived at an `except`, `finally` or `with`, whose first instruction this is.
    Catch {
        /// The exception.
        exception: &'a Value,
        /// Where it has arrived.
        handler: InstrIdx,
    },
    /// While one exception was handled, another took its place: it leaves the handler.
    Replace {
        /// The exception that goes on.
        exception: Value,
        /// The exception that was being handled.
        replaced: Value,
    },
    /// The exception left the frame `from`, and ended inside the instruction that had called that.
    Swallow {
        /// The exception.
        exception: Value,
        /// The frame that it left.
        from: u64,
    },
    /// What is no Python function is about to be called.
    CCall(Cow<'a, Value>),
    /// It has returned.
    CReturn {
        /// What was called.
        callable: Value,
        /// What it returned.
        result: &'a Value,
    },
    /// It has raised, or let through, the exception.
    CException {
        /// What was called.
        callable: Value,
        /// The exception.
        exception: &'a Value,
    },
    /// A Python function was called, and has returned, of which nothing is in the stream.
    UnfollowedReturn {
        /// What was called.
        callable: Value,
        /// What it returned.
        result: &'a Value,
    },
    /// A Python function was called, and has raised, of which nothing is in the stream.
    UnfollowedException {
        /// What was called.
        callable: Value,
        /// The exception.
        exception: &'a Value,
    },
}

impl What<'_> {
    /// Its name, in `jsonl` and in Python.
    pub fn name(&self) -> &'static str {
        match self {
            What::Raise(_) => "raise",
            What::Reraise(_) => "reraise",
            What::Propagate { .. } => "propagate",
            What::Throw(_) => "throw",
            What::Catch { .. } => "catch",
            What::Replace { .. } => "replace",
            What::Swallow { .. } => "swallow",
            What::CCall(_) => "c_call",
            What::CReturn { .. } => "c_return",
            What::CException { .. } => "c_exception",
            What::UnfollowedReturn { .. } => "unfollowed_return",
            What::UnfollowedException { .. } => "unfollowed_exception",
        }
    }

    /// The exception that it is about.
    pub fn exception(&self) -> Option<&Value> {
        match self {
            What::Raise(exception) | What::Reraise(exception) | What::Throw(exception) => {
                Some(exception)
            }
            What::Propagate { exception, .. }
            | What::Catch { exception, .. }
            | What::CException { exception, .. }
            | What::UnfollowedException { exception, .. } => Some(exception),
            What::Replace { exception, .. } | What::Swallow { exception, .. } => Some(exception),
            What::CCall(_) | What::CReturn { .. } | What::UnfollowedReturn { .. } => None,
        }
    }

    /// The frame that the exception left.
    pub fn from(&self) -> Option<u64> {
        match self {
            What::Propagate { from, .. } | What::Swallow { from, .. } => Some(*from),
            _ => None,
        }
    }

    /// What is or was called.
    pub fn callable(&self) -> Option<&Value> {
        match self {
            What::CCall(callable) => Some(callable),
            What::CReturn { callable, .. }
            | What::CException { callable, .. }
            | What::UnfollowedReturn { callable, .. }
            | What::UnfollowedException { callable, .. } => Some(callable),
            _ => None,
        }
    }

    /// What is or was called, to keep.
    pub fn into_callable(self) -> Option<Value> {
        match self {
            What::CCall(callable) => Some(callable.into_owned()),
            What::CReturn { callable, .. }
            | What::CException { callable, .. }
            | What::UnfollowedReturn { callable, .. }
            | What::UnfollowedException { callable, .. } => Some(callable),
            _ => None,
        }
    }

    /// What the call returned.
    pub fn result(&self) -> Option<&Value> {
        match self {
            What::CReturn { result, .. } | What::UnfollowedReturn { result, .. } => Some(result),
            _ => None,
        }
    }

    /// The exception in whose place another has come.
    pub fn replaced(&self) -> Option<&Value> {
        match self {
            What::Replace { replaced, .. } => Some(replaced),
            _ => None,
        }
    }

    /// Where the exception has arrived.
    pub fn handler(&self) -> Option<InstrIdx> {
        match self {
            What::Catch { handler, .. } => Some(*handler),
            _ => None,
        }
    }
}

/// Tells what happens in a stream of steps.
#[derive(Debug, Default)]
pub struct Story {
    /// The frames of each thread's stack that are in the stream, outermost first.
    threads: FxHashMap<u64, Vec<u64>>,
    frames: FxHashMap<u64, Box<Frame>>,
    /// The frame of the last step, which the next step is most often of: it is in `threads` and not in `frames`.
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    thread: u64,
    depth: u32,
    id: u64,
    frame: Box<Frame>,
}

impl Story {
    /// What has happened up to `step`, in its order. Steps are shown in the order of the stream.
    pub fn step<'a>(&mut self, step: &Step<'a>) -> Vec<Happening<'a>> {
        let mut happenings = Vec::new();
        let Some(info) = step.info() else {
            return happenings;
        };
        let event = step.frame_event();
        let mut frame = self.frame(step, event == Some(FrameEvent::Enter));
        let arrived = match event {
            Some(FrameEvent::Handle(exception)) => Some(exception),
            Some(FrameEvent::Unwind(exception)) => exception,
            _ => None,
        };
        let fails = arrived.is_some() || step.event == Event::Unwind;
        let before = frame.last;
        let op_before = before.and_then(|before| Some(step.code.instruction(before)?.op));
        let mut tell = |instruction, what| happenings.push(Happening { instruction, what });

        let mut from = None;
        for Left {
            exception,
            from: frame,
        } in std::mem::take(&mut frame.left)
        {
            match arrived {
                Some(arrived) if is_same(&exception, arrived) => from = Some(frame),
                // It cannot be told whether it is that one.
                None if fails => {}
                _ => tell(
                    before,
                    What::Swallow {
                        exception,
                        from: frame,
                    },
                ),
            }
        }
        if let Some(call) = frame.call.take() {
            let what = outcome(call, before, step, arrived, fails);
            if let Some(what) = what {
                tell(before, what);
            }
        }
        if let Some(exception) = arrived {
            let raiser = match step.event {
                // A `RERAISE` passes as the instruction that raised first.
                Event::Unwind if !frame.suspended && op_before != Some(Op::Reraise) => {
                    Some(step.instruction)
                }
                _ => before,
            };
            let by = raiser.and_then(|raiser| step.code.instruction(raiser));
            let raised_again = by.is_some_and(|by| match by.op {
                Op::Reraise | Op::EndAsyncFor | Op::CleanupThrow => true,
                Op::RaiseVarargs => by.arg == Some(0) && !is_nothing_to_raise(exception),
                _ => false,
            });
            let what = if frame.suspended {
                What::Throw(exception)
            } else if let Some(from) = from {
                What::Propagate { exception, from }
            } else if raised_again || self.is_handled(step.thread, &frame, exception) {
                What::Reraise(exception)
            } else {
                What::Raise(exception)
            };
            tell(raiser, what);
            let reraises = by.is_some_and(|by| by.op == Op::Reraise);
            if let Some(replaced) = frame.arrives(exception, reraises) {
                let exception = exception.clone();
                tell(
                    raiser,
                    What::Replace {
                        exception,
                        replaced,
                    },
                );
            }
            if step.event == Event::Instruction
                && matches!(
                    info.op,
                    Op::PushExcInfo | Op::EndAsyncFor | Op::CleanupThrow
                )
            {
                let handler = step.instruction;
                tell(raiser, What::Catch { exception, handler });
            }
        }
        if step.event == Event::Instruction {
            frame.suspended = false;
            if let Some((exception, replaced)) = frame.executes(op_before, info.op, step) {
                tell(
                    Some(step.instruction),
                    What::Replace {
                        exception,
                        replaced,
                    },
                );
            }
            if let Some(callable) = step.callable() {
                let is_python = matches!(callable, Value::Function { .. } | Value::Method { .. });
                frame.call = Some(Call {
                    callable: callable.clone(),
                    is_python,
                    entered: false,
                });
                if !is_python {
                    tell(Some(step.instruction), What::CCall(Cow::Borrowed(callable)));
                }
            }
        }
        frame.last = Some(step.instruction);
        self.leave(step, event, frame);
        happenings
    }

    /// What is known of the step's frame, which becomes the top of its thread's stack.
    fn frame(&mut self, step: &Step<'_>, entered: bool) -> Box<Frame> {
        if let Some(current) = self.current.take() {
            let is_same = (current.thread, current.depth, current.id)
                == (step.thread, step.depth, step.frame);
            if is_same && !entered {
                return current.frame;
            }
            self.frames.insert(current.id, current.frame);
        }
        if self.frames.len() >= MOST_FRAMES && !self.frames.contains_key(&step.frame) {
            self.frames.clear();
        }
        self.place(step, entered);
        let known = self.frames.remove(&step.frame);
        known.filter(|_| !entered).unwrap_or_default()
    }

    /// Puts the step's frame on top of its thread's stack.
    fn place(&mut self, step: &Step<'_>, entered: bool) {
        let stack = self.threads.entry(step.thread).or_default();
        let depth = step.depth as usize;
        if stack.get(depth) != Some(&step.frame) {
            stack.truncate(depth);
            // A depth is a count of frames that exist; the bound is for hostile streams.
            stack.resize(depth.min(MOST_FRAMES), UNKNOWN);
            stack.push(step.frame);
        } else {
            stack.truncate(depth + 1);
        }
        let caller = stack.len().checked_sub(2).and_then(|at| stack.get(at));
        if entered
            && let Some(caller) = caller.and_then(|caller| self.frames.get_mut(caller))
            && let Some(call) = &mut caller.call
        {
            call.entered = true;
        }
    }

    /// Remembers the frame, or that it is over.
    fn leave(&mut self, step: &Step<'_>, event: Option<FrameEvent<'_>>, mut frame: Box<Frame>) {
        match event {
            Some(FrameEvent::Yield(_)) => frame.suspended = true,
            Some(FrameEvent::Return(_) | FrameEvent::Unwind(_)) => {}
            _ => {
                self.current = Some(Current {
                    thread: step.thread,
                    depth: step.depth,
                    id: step.frame,
                    frame,
                });
                return;
            }
        }
        let Some(stack) = self.threads.get_mut(&step.thread) else {
            return;
        };
        stack.pop();
        if let Some(FrameEvent::Unwind(Some(exception))) = event
            && let Some(caller) = stack.last()
            && let Some(caller) = self.frames.get_mut(caller)
        {
            caller.left.push(Left {
                exception: exception.clone(),
                from: step.frame,
            });
        }
        if stack.is_empty() {
            self.threads.remove(&step.thread);
        }
        if frame.suspended {
            self.frames.insert(step.frame, frame);
        }
    }

    /// Whether a frame of the thread, of which `own` is the top, is handling the exception.
    fn is_handled(&self, thread: u64, own: &Frame, exception: &Value) -> bool {
        let below = self.threads.get(&thread).into_iter().flatten();
        own.handles(exception)
            || below
                .filter_map(|frame| self.frames.get(frame))
                .any(|frame| frame.handles(exception))
    }
}

/// How the call that the frame's step before made has ended.
fn outcome<'a>(
    call: Call,
    before: Option<InstrIdx>,
    step: &Step<'a>,
    arrived: Option<&'a Value>,
    fails: bool,
) -> Option<What<'a>> {
    let Call {
        callable,
        is_python,
        entered,
    } = call;
    if is_python && entered {
        return None;
    }
    if fails {
        let exception = arrived?;
        return Some(if is_python {
            What::UnfollowedException {
                callable,
                exception,
            }
        } else {
            What::CException {
                callable,
                exception,
            }
        });
    }
    // After anything but the next instruction, steps are missing.
    if before.map(|before| before.0.saturating_add(1)) != Some(step.instruction.0) {
        return None;
    }
    let result = step.stack.last()?;
    if !is_python {
        return Some(What::CReturn { callable, result });
    }
    // The function that makes a generator has no step of its own.
    (!is_generator(result)).then_some(What::UnfollowedReturn { callable, result })
}

fn is_generator(value: &Value) -> bool {
    let Value::Object { type_name, .. } = value else {
        return false;
    };
    matches!(&**type_name, "generator" | "coroutine" | "async_generator")
}

/// `raise` without an exception to raise again (`do_raise` in `Python/ceval.c`).
fn is_nothing_to_raise(exception: &Value) -> bool {
    let Value::Exception(exception) = exception else {
        return false;
    };
    let message = Value::str("No active exception to reraise");
    &*exception.type_name == "RuntimeError"
        && exception.args.as_deref() == Some(std::slice::from_ref(&message))
}

/// Whether two captured exceptions, of which one was alive when the other was captured, are the same object.
fn is_same(one: &Value, other: &Value) -> bool {
    identity(one).is_some() && identity(one) == identity(other)
}

/// Type and address: an address alone is given to the next object as soon as it is free.
fn identity(exception: &Value) -> Option<(&str, Id)> {
    match exception {
        Value::Exception(exception) => Some((&exception.type_name, exception.id)),
        Value::Object { type_name, id } => Some((type_name, *id)),
        _ => None,
    }
}
