//! What a story knows of one frame.

use debugop_bytecode::{InstrIdx, Op};
use debugop_value::Value;

use super::is_same;
use crate::step::Step;

/// A frame that is not over.
#[derive(Debug, Default)]
pub(super) struct Frame {
    /// The instruction of its last step.
    pub(super) last: Option<InstrIdx>,
    /// Whether that suspended it.
    pub(super) suspended: bool,
    /// The call that its last step was.
    pub(super) call: Option<Call>,
    /// The exceptions that have left frames that its last step called: one, or more where finalisers ran on the way.
    pub(super) left: Vec<Left>,
    /// The exceptions that it is handling, innermost last: those between `PUSH_EXC_INFO` and `POP_EXCEPT`.
    handled: Vec<Value>,
    /// The exception that has arrived at clean-up code, which is going to raise it again.
    in_flight: Option<Value>,
    /// The exception whose handling the last step ended.
    popped: Option<Value>,
}

/// A call whose outcome the frame's next step shows.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) callable: Value,
    /// Whether it is a Python function or a method of one.
    pub(super) is_python: bool,
    /// Whether a frame of the stream was entered from it.
    pub(super) entered: bool,
}

/// An exception that has left a frame.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) exception: Value,
    pub(super) from: u64,
}

impl Frame {
    pub(super) fn handles(&self, exception: &Value) -> bool {
        let in_flight = self.in_flight.iter();
        let mut all = self.handled.iter().chain(in_flight);
        all.any(|handled| is_same(handled, exception))
    }

    /// An exception has arrived at a handler or leaves the frame, raised by `RERAISE` if it `reraises`. Returns the exception
    /// that it takes the place of.
    ///
    /// `RERAISE` raises what arrived or is handled, or what has been made of that: by `CALL_INTRINSIC_1
    /// INTRINSIC_STOPITERATION_ERROR` in a generator, by `PREP_RERAISE_STAR` at the end of an `except*`.
    pub(super) fn arrives(&mut self, exception: &Value, reraises: bool) -> Option<Value> {
        let before = self.in_flight.take();
        let popped = self.popped.take();
        self.in_flight = Some(exception.clone());
        let before = if reraises {
            before.or(popped).or_else(|| self.handled.last().cloned())
        } else {
            before
        };
        before.filter(|before| !is_same(before, exception))
    }

    /// An instruction is about to be executed. If it ends the handling of an exception while another is on its way out of
    /// the handler, returns that and the exception that it takes the place of.
    pub(super) fn executes(&mut self, op: Op, step: &Step<'_>) -> Option<(Value, Value)> {
        match op {
            Op::PushExcInfo => {
                self.in_flight = None;
                self.handled.extend(step.stack.last().cloned());
            }
            Op::EndAsyncFor | Op::CleanupThrow => self.in_flight = None,
            Op::PopExcept => {
                let popped = self.handled.pop();
                match (&self.in_flight, popped) {
                    (Some(exception), Some(popped)) => {
                        return (!is_same(exception, &popped)).then(|| (exception.clone(), popped));
                    }
                    (_, popped) => self.popped = popped,
                }
            }
            Op::Reraise => {}
            _ => self.popped = None,
        }
        None
    }
}
