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
    handled: Vec<Handled>,
    /// The exception that has arrived at clean-up code, which is going to raise it again.
    in_flight: Option<Value>,
    /// The exception whose handling the last step ended.
    popped: Option<Value>,
}

/// An exception that is being handled.
#[derive(Debug)]
struct Handled {
    exception: Value,
    /// The part of it that the last clause of an `except*` has taken, which is what `sys.exception()` gives there.
    part: Option<Value>,
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
        let is_it = |handled: &Value| is_same(handled, exception);
        let is_handled = |handled: &Handled| {
            is_it(&handled.exception) || handled.part.as_ref().is_some_and(is_it)
        };
        self.in_flight.as_ref().is_some_and(is_it) || self.handled.iter().any(is_handled)
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
        let innermost = self.handled.last().map(|handled| &handled.exception);
        let before = match (before, innermost) {
            (before, _) if !reraises => before,
            (Some(before), _) => Some(before),
            // The end of a `finally`, which may stand right behind that of a handler in it.
            (None, Some(handled)) if is_same(handled, exception) => None,
            (None, innermost) => popped.or_else(|| innermost.cloned()),
        };
        before.filter(|before| !is_same(before, exception))
    }

    /// An instruction is about to be executed after `before`. If it ends the handling of an exception while another is on its way out of
    /// the handler, returns that and the exception that it takes the place of.
    pub(super) fn executes(
        &mut self,
        before: Option<Op>,
        op: Op,
        step: &Step<'_>,
    ) -> Option<(Value, Value)> {
        if before == Some(Op::CheckEgMatch)
            && let Some(handled) = self.handled.last_mut()
            && let Some(part) = step.stack.last()
            && *part != Value::None
        {
            handled.part = Some(part.clone());
        }
        match op {
            Op::PushExcInfo => {
                self.in_flight = None;
                let exception = step.stack.last().cloned();
                self.handled.extend(exception.map(|exception| Handled {
                    exception,
                    part: None,
                }));
            }
            // The first ends a clause of an `except*`: what was raised there waits in a list until the end of it.
            Op::ListAppend | Op::EndAsyncFor | Op::CleanupThrow => self.in_flight = None,
            Op::PopExcept => {
                let popped = self.handled.pop().map(|handled| handled.exception);
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
