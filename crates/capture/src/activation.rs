//! Identities of frames: addresses are used again, activations are not.

use debugop_bytecode::Op;
use pyo3::Python;
use rustc_hash::FxHashMap;

use crate::event::{Event, EventKind};
use crate::layout::VERSION;
use crate::tracer::Tracer;

/// Beyond this many remembered frames (suspended generators that nobody resumes) all are forgotten; those that go on get
/// new identities.
const MOST: usize = 1 << 16;

/// One execution of a code object, from its first instruction to its last, suspensions included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activation {
    /// Unique in the trace.
    pub id: u64,
    /// How many traced frames were below it when it was entered or resumed.
    pub depth: u32,
}

/// The activations that are not over.
#[derive(Debug, Default)]
pub struct Activations {
    count: u64,
    by_frame: FxHashMap<usize, Active>,
}

/// An activation that is not over.
#[derive(Clone, Copy, Debug)]
struct Active {
    activation: Activation,
    /// Whether its last step suspended it: whatever comes next, it is called anew.
    suspended: bool,
}

impl Activations {
    /// Which activation `event` belongs to.
    pub fn of<'py>(
        &mut self,
        py: Python<'py>,
        tracer: &Tracer,
        event: &Event<'_, 'py>,
    ) -> Activation {
        let frame = event.frame.address();
        let instruction = event.instruction();
        let op = instruction.opcode.info(VERSION).map(|info| info.op);
        let resumes = event.kind == EventKind::Instruction && op == Some(Op::Resume);
        // The low two bits of RESUME's argument are 0 where a frame starts (documentation of `dis`).
        let starts = resumes && instruction.arg & 3 == 0;
        let known = if starts {
            None
        } else {
            self.by_frame.get(&frame).copied()
        };
        let activation = match known {
            Some(known) if !resumes && !known.suspended => known.activation,
            Some(known) => Activation {
                depth: tracer.call_depth(py, event.frame),
                ..known.activation
            },
            None => {
                self.count += 1;
                Activation {
                    id: self.count,
                    depth: tracer.call_depth(py, event.frame),
                }
            }
        };
        if event.kind == EventKind::Unwind || matches!(op, Some(Op::ReturnValue | Op::ReturnConst))
        {
            self.by_frame.remove(&frame);
            return activation;
        }
        let suspended = op == Some(Op::YieldValue);
        if known.is_none_or(|known| known.activation != activation || known.suspended != suspended)
        {
            if self.by_frame.len() >= MOST {
                self.by_frame.clear();
            }
            let active = Active {
                activation,
                suspended,
            };
            self.by_frame.insert(frame, active);
        }
        activation
    }
}
