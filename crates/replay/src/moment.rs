//! The world just before a step, to keep.

use std::sync::Arc;

use debugop_bytecode::ExceptionEntry;
use debugop_recording::stream::{ObjectId, ThreadNumber};
use debugop_value as data;

use crate::code::Codes;
use crate::describe::Describer;
use crate::machine::Step;
use crate::state::{Frame, Object, State, Thread};
use crate::value::Value;

/// How deep containers in containers are shown.
const DEPTH: u32 = 3;

/// The world just before a step.
#[derive(Clone, Debug)]
pub struct Moment {
    step: Step,
    state: State,
    codes: Arc<Codes>,
}

impl Moment {
    pub(crate) fn new(step: Step, state: State, codes: Arc<Codes>) -> Self {
        Self { step, state, codes }
    }

    /// The step that comes next.
    pub fn step(&self) -> Step {
        self.step
    }

    /// Nanoseconds since the recording began, as of the last time that was noted.
    pub fn time(&self) -> u64 {
        self.state.time()
    }

    /// The threads, by number.
    pub fn threads(&self) -> Vec<(ThreadNumber, &Thread)> {
        let mut threads: Vec<_> = self.state.threads().collect();
        threads.sort_unstable_by_key(|(number, _)| *number);
        threads
    }

    /// The recorded frames of the thread that runs, outermost first.
    pub fn frames(&self) -> &[Frame] {
        self.state
            .thread()
            .map_or(&[], |(_, thread)| thread.frames())
    }

    /// The world.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The code objects.
    pub fn codes(&self) -> &Arc<Codes> {
        &self.codes
    }

    /// A value as data, containers as deep as a live trace captures them. Identities are the recording's object ids.
    pub fn value(&self, value: Value) -> data::Value {
        self.describer().value(value, DEPTH)
    }

    /// An object.
    pub fn object(&self, id: ObjectId) -> Option<Object<'_>> {
        self.state.object(id)
    }

    fn describer(&self) -> Describer<'_> {
        Describer {
            state: &self.state,
            codes: &self.codes,
            doubts: true,
        }
    }
}

impl State {
    /// A value as data, containers `depth` levels deep. Identities are the recording's object ids.
    pub fn describe(&self, codes: &Codes, value: Value, depth: u32) -> data::Value {
        Describer {
            state: self,
            codes,
            doubts: true,
        }
        .value(value, depth)
    }

    /// The same as it was when it was looked at, certain or not.
    pub fn describe_as_seen(&self, codes: &Codes, value: Value, depth: u32) -> data::Value {
        Describer {
            state: self,
            codes,
            doubts: false,
        }
        .value(value, depth)
    }
}

impl Frame {
    /// The handlers around the instruction, innermost first: entries of the exception table.
    pub fn handlers(&self) -> Vec<ExceptionEntry> {
        let analysis = self.code().analysis();
        let mut found = Vec::new();
        let mut at = Some(self.at());
        while let Some(entry) = at.and_then(|at| analysis.exception_entry(at)) {
            if found.len() > analysis.exception_entries().len() || found.contains(entry) {
                break;
            }
            found.push(*entry);
            at = analysis.at_start(entry.target);
        }
        found
    }

    /// The source line of the instruction.
    pub fn line(&self) -> Option<i32> {
        self.code().line(self.at())
    }
}
