//! Looks at every step of a range.

use debugop_bytecode::{InstrIdx, Op};
use debugop_recording::stream::FrameNumber;
use debugop_replay::{Cursor, OpenError, State, Step, Value, Watch};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::events::{Event, event, operation};

/// A step that is looked at.
pub(crate) struct Seen<'a> {
    pub(crate) step: Step,
    pub(crate) event: Event,
    pub(crate) state: &'a State,
    /// Frames that an exception has left just before.
    pub(crate) left: &'a [FrameNumber],
}

/// An exception and the last step of the frame that it was first seen in: the one that raised it.
pub(crate) struct Raised {
    pub(crate) step: u64,
    pub(crate) exception: Value,
}

/// Goes through steps, and knows what each frame has executed before.
pub(crate) struct Scan<'a> {
    cursor: &'a mut Cursor,
    /// The last step of each frame; its number if that was in the range.
    last: FxHashMap<FrameNumber, (Option<u64>, InstrIdx)>,
    exceptions: FxHashSet<Value>,
    left: Vec<FrameNumber>,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(cursor: &'a mut Cursor) -> Self {
        Self {
            cursor,
            last: FxHashMap::default(),
            exceptions: FxHashSet::default(),
            left: Vec::new(),
        }
    }

    /// Shows the steps from `first` on up to and without `end` that are watched for; without `watch` all of them, and the exceptions that were
    /// raised there if they are wanted. Returns what exceptions have left behind the last step that was shown.
    pub(crate) fn run(
        mut self,
        first: u64,
        end: u64,
        watch: Option<Watch>,
        wants_exceptions: bool,
        mut visit: impl FnMut(Seen<'_>),
        raised: impl FnMut(&State, Raised),
    ) -> Result<Vec<FrameNumber>, OpenError> {
        let Some(mut watch) = watch else {
            self.run_through(first, end, wants_exceptions, visit, raised)?;
            return Ok(Vec::new());
        };
        self.cursor.seek_before(first)?;
        let mut step = None;
        loop {
            if let Some(step) = step
                && let Some(state) = self.cursor.state()
                && let Some(frame) = state.frame()
            {
                visit(Seen {
                    step,
                    event: event(frame.code(), frame.before(), step.at),
                    state,
                    left: &self.left,
                });
            }
            step = self.cursor.next_watched(&mut watch, end)?;
            self.left.clear();
            let unwound = self.cursor.unwound().iter();
            self.left.extend(unwound.map(|unwound| unwound.frame));
            if step.is_none() {
                return Ok(self.left);
            }
        }
    }

    /// Shows every step from `first` on up to and without `end`, and the exceptions that were raised there.
    fn run_through(
        mut self,
        first: u64,
        end: u64,
        wants_exceptions: bool,
        mut visit: impl FnMut(Seen<'_>),
        mut raised: impl FnMut(&State, Raised),
    ) -> Result<(), OpenError> {
        // The step before says what its frame has executed.
        let begin = first.saturating_sub(1);
        let mut step = Some(self.cursor.seek(begin)?);
        if let Some(state) = self.cursor.state() {
            for (_, thread) in state.threads() {
                for frame in thread.frames() {
                    // A frame of another thread stands behind its last step.
                    let last = frame.stepped().unwrap_or(frame.at());
                    self.last.insert(frame.number(), (None, last));
                }
            }
            for frame in state.suspended() {
                let last = frame.stepped().unwrap_or(frame.at());
                self.last.insert(frame.number(), (None, last));
            }
            if let Some(frame) = state.frame() {
                self.last.remove(&frame.number());
            }
        }
        while let Some(at) = step {
            // One beyond shows what the last one has raised.
            if at.number > end || (at.number == end && !wants_exceptions) {
                break;
            }
            self.visit(at, first, end, wants_exceptions, &mut visit, &mut raised);
            step = self.cursor.next()?;
        }
        if step.is_none() && wants_exceptions {
            self.look_for_exceptions(&mut raised);
        }
        Ok(())
    }

    fn visit(
        &mut self,
        at: Step,
        first: u64,
        end: u64,
        wants_exceptions: bool,
        visit: &mut impl FnMut(Seen<'_>),
        raised: &mut impl FnMut(&State, Raised),
    ) {
        if at.number > first.saturating_sub(1) && wants_exceptions {
            self.look_for_exceptions(raised);
        } else {
            self.left.clear();
            self.left
                .extend(self.cursor.unwound().iter().map(|unwound| unwound.frame));
        }
        let Some(state) = self.cursor.state() else {
            return;
        };
        let Some(frame) = state.frame() else { return };
        let code = frame.code();
        if wants_exceptions
            && let Some((Op::PushExcInfo, _)) = operation(code, at.at)
            && let Some(exception) = frame.stack().last()
            && at.number >= first
            && self.exceptions.insert(exception)
            && let Some((Some(step), _)) = self.last.get(&at.frame).copied()
        {
            raised(state, Raised { step, exception });
        }
        let before = self.last.insert(at.frame, (Some(at.number), at.at));
        if at.number >= first && at.number < end {
            visit(Seen {
                step: at,
                event: event(code, before.map(|before| before.1), at.at),
                state,
                left: &self.left,
            });
        }
    }

    /// Exceptions that have left frames.
    fn look_for_exceptions(&mut self, raised: &mut impl FnMut(&State, Raised)) {
        self.left.clear();
        let Some(state) = self.cursor.state() else {
            return;
        };
        for unwound in self.cursor.unwound() {
            self.left.push(unwound.frame);
            let exception = unwound.exception;
            let last = self.last.remove(&unwound.frame);
            if self.exceptions.insert(exception)
                && let Some((Some(step), _)) = last
            {
                raised(state, Raised { step, exception });
            }
        }
    }
}
