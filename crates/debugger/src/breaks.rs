//! Where to stop besides where the motion ends.

use std::sync::Arc;

use debugop_bytecode::InstrIdx;
use debugop_replay::query::Place;
use debugop_replay::{Code, Recording};
use rustc_hash::{FxHashMap, FxHashSet};

/// Breakpoints, watched places, and whether exceptions stop.
#[derive(Clone, Debug, Default)]
pub struct Breaks {
    /// By code object, the lines.
    lines: FxHashMap<u32, FxHashSet<i32>>,
    /// Code object and instruction.
    instructions: FxHashSet<(u32, InstrIdx)>,
    pub(crate) places: Vec<Place>,
    pub(crate) exceptions: bool,
}

impl Breaks {
    /// Stop where execution comes to a line of a file, its path as recorded. `false`: no recorded code is there.
    pub fn line(&mut self, recording: &Recording, file: &str, line: i32) -> bool {
        let mut found = false;
        for code in recording
            .codes()
            .iter()
            .filter(|code| code.filename() == file)
        {
            if has_line(code, line) {
                let lines = self.lines.entry(code.data().number).or_default();
                lines.insert(line);
                found = true;
            }
        }
        found
    }

    /// Stop before an instruction: number of the code object, offset. `false`: there is none.
    pub fn instruction(&mut self, recording: &Recording, code: u32, offset: u32) -> bool {
        let at = recording.codes().get(code);
        match at.and_then(|code| code.analysis().at_offset(offset)) {
            Some(at) => {
                self.instructions.insert((code, at));
                true
            }
            None => false,
        }
    }

    /// Stop where a place is bound or changes.
    pub fn place(&mut self, place: Place) {
        self.places.push(place);
    }

    /// Stop at instructions that raise.
    pub fn exceptions(&mut self) {
        self.exceptions = true;
    }

    /// Whether there is nothing to stop at.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
            && self.instructions.is_empty()
            && self.places.is_empty()
            && !self.exceptions
    }

    /// Whether steps have to be looked at, and not only what they have written.
    pub(crate) fn want_steps(&self) -> bool {
        !self.lines.is_empty() || !self.instructions.is_empty() || self.exceptions
    }

    pub(crate) fn at_line(&self, code: &Arc<Code>, at: InstrIdx) -> bool {
        let lines = self.lines.get(&code.data().number);
        lines.is_some_and(|lines| code.line(at).is_some_and(|line| lines.contains(&line)))
    }

    pub(crate) fn at_instruction(&self, code: u32, at: InstrIdx) -> bool {
        self.instructions.contains(&(code, at))
    }

    /// Whether a step of this code object could be one to stop at.
    pub(crate) fn concern(&self, code: u32) -> bool {
        self.lines.contains_key(&code) || self.instructions.iter().any(|one| one.0 == code)
    }
}

fn has_line(code: &Code, line: i32) -> bool {
    let count = code.analysis().instructions().len() as u32;
    (0..count).any(|at| code.line(InstrIdx(at)) == Some(line) && code.is_step(InstrIdx(at)))
}
