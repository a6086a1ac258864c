//! One step of a stream: an instruction that is about to be executed, or an exception that leaves a frame.

use debugop_bytecode::{InstrIdx, Op};
use debugop_value::Value;

use crate::code::{CodeInfo, InstructionInfo};

/// What a step tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The instruction is about to be executed.
    Instruction,
    /// An exception leaves the frame; the step's instruction is the one that raised it.
    Unwind,
}

/// One step.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// Counts the steps of the stream, from 1.
    pub number: u64,
    /// The thread, as `threading.get_ident()` names it.
    pub thread: u64,
    /// Unique per activation: a generator keeps its frame from first to last resumption, a recursive call has its own.
    pub frame: u64,
    /// How many frames of the stream are below this one in its thread; 0 for the outermost.
    pub depth: u32,
    /// The code object that the frame executes.
    pub code: &'a CodeInfo,
    /// The instruction.
    pub instruction: InstrIdx,
    /// What happens.
    pub event: Event,
    /// The value stack before the instruction, bottom first; at an unwinding, empty.
    pub stack: &'a [Value],
    /// The exception that leaves the frame, or that has just arrived at this handler.
    pub exception: Option<&'a Value>,
}

/// What an instruction means for its frame.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum FrameEvent<'a> {
    /// The frame starts.
    Enter,
    /// A generator or coroutine goes on after a `yield` or `await`.
    Resume,
    /// An exception arrives at a handler.
    Handle(&'a Value),
    /// The frame ends with this value.
    Return(Option<&'a Value>),
    /// The frame is suspended and hands out this value.
    Yield(Option<&'a Value>),
    /// The frame ends with this exception.
    Unwind(Option<&'a Value>),
}

/// Which [`FrameEvent`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameEventKind {
    /// [`FrameEvent::Enter`].
    Enter,
    /// [`FrameEvent::Resume`].
    Resume,
    /// [`FrameEvent::Handle`].
    Handle,
    /// [`FrameEvent::Return`].
    Return,
    /// [`FrameEvent::Yield`].
    Yield,
    /// [`FrameEvent::Unwind`].
    Unwind,
}

impl FrameEventKind {
    /// Its name in `jsonl`.
    pub fn name(self) -> &'static str {
        match self {
            FrameEventKind::Enter => "enter",
            FrameEventKind::Resume => "resume",
            FrameEventKind::Handle => "handle",
            FrameEventKind::Return => "return",
            FrameEventKind::Yield => "yield",
            FrameEventKind::Unwind => "unwind",
        }
    }
}

impl FrameEvent<'_> {
    /// Which it is.
    pub fn kind(&self) -> FrameEventKind {
        match self {
            FrameEvent::Enter => FrameEventKind::Enter,
            FrameEvent::Resume => FrameEventKind::Resume,
            FrameEvent::Handle(_) => FrameEventKind::Handle,
            FrameEvent::Return(_) => FrameEventKind::Return,
            FrameEvent::Yield(_) => FrameEventKind::Yield,
            FrameEvent::Unwind(_) => FrameEventKind::Unwind,
        }
    }

    /// Its name in `jsonl`.
    pub fn name(&self) -> &'static str {
        self.kind().name()
    }
}

impl<'a> Step<'a> {
    /// Of a call: what is called. `None` for other instructions.
    pub fn callable(&self) -> Option<&'a Value> {
        let depth = self.info()?.callable_depth? as usize;
        let at = self.stack.len().checked_sub(depth)?;
        match self.stack.get(at)? {
            // Before 3.13 NULL, where there is one, stands below the callable.
            Value::Null => self.stack.get(at + 1),
            callable => Some(callable),
        }
    }

    /// The instruction's description; `None` if the index is not of this code object.
    pub fn info(&self) -> Option<&'a InstructionInfo> {
        self.code.instruction(self.instruction)
    }

    /// What this step means for the frame; `None` for most instructions.
    ///
    /// The low two bits of `RESUME`'s oparg are 0 at the start of a frame and tell otherwise after what it
    /// resumes (the documentation of `dis`, "RESUME").
    pub fn frame_event(&self) -> Option<FrameEvent<'a>> {
        if self.event == Event::Unwind {
            return Some(FrameEvent::Unwind(self.exception));
        }
        let info = self.info()?;
        let top = self.stack.last();
        match info.op {
            Op::Resume if info.arg.is_some_and(|arg| arg & 3 != 0) => Some(FrameEvent::Resume),
            Op::Resume => Some(FrameEvent::Enter),
            Op::ReturnValue => Some(FrameEvent::Return(top)),
            Op::ReturnConst => {
                let constant = self.code.names.consts.get(info.arg? as usize);
                Some(FrameEvent::Return(constant))
            }
            Op::YieldValue => Some(FrameEvent::Yield(top)),
            _ if info.is_handler => {
                let landed = top.filter(|top| matches!(top, Value::Exception(_)));
                self.exception.or(landed).map(FrameEvent::Handle)
            }
            _ => None,
        }
    }
}
