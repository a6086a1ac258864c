//! Which chunks of a recording need not be looked at: the index says what is in each.

use std::collections::BTreeSet;

use debugop_bytecode::{InstrIdx, Op};
use debugop_recording::stream::{FrameNumber, ThreadNumber};
use debugop_replay::query::Place;
use debugop_replay::{Code, Index, Mention, OpenError, Recording, Watch};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::breaks::Breaks;
use crate::events::operation;

/// Instructions by code object, in order.
type Instructions = FxHashMap<u32, Vec<InstrIdx>>;

/// Where a place may have been bound.
#[derive(Clone, Debug)]
pub struct Writers {
    place: Place,
    /// Of a global variable, what binds or deletes the name in its file.
    binding: Instructions,
}

impl Writers {
    /// Of a place.
    pub fn new(recording: &Recording, place: &Place) -> Self {
        let mut binding = Instructions::default();
        if let Place::Global(file, name) = place {
            let codes = recording.codes().iter();
            for code in codes.filter(|code| code.filename() == *file) {
                let names = &code.data().names;
                collect(code, &mut binding, |op, arg| {
                    let binds = matches!(
                        op,
                        Op::StoreGlobal | Op::StoreName | Op::DeleteGlobal | Op::DeleteName
                    );
                    binds && names.get(arg as usize).map(Vec::as_slice) == Some(name.as_bytes())
                });
            }
        }
        Self {
            place: place.clone(),
            binding,
        }
    }

    /// Whether the place may have been bound or changed in a chunk.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn may_be_in(&self, recording: &Recording, chunk: usize) -> Result<bool, OpenError> {
        let index = recording.index()?;
        Ok(match &self.place {
            Place::Local(frame, _) => index.has_frame(chunk, *frame),
            Place::Global(..) => executes(index, chunk, &self.binding),
            Place::Cell(object) => index.mentions(chunk, *object) != Mention::No,
            Place::Attribute(..) | Place::Item(..) => index.may_change(chunk, &self.place),
        })
    }
}

/// What a search has to look at.
#[derive(Clone, Debug)]
pub(crate) struct Chunks {
    breaks: Instructions,
    writers: Vec<Writers>,
    /// Where handlers begin, if exceptions are asked for.
    handlers: Option<Instructions>,
    /// Where the function returns that the motion is to leave.
    returns: Instructions,
    ends: Ends,
}

/// Where a motion can end.
#[derive(Clone, Debug)]
pub(crate) enum Ends {
    /// Nowhere by itself.
    Nowhere,
    /// Anywhere in a thread.
    Thread(ThreadNumber),
    /// In these frames.
    Frames(BTreeSet<FrameNumber>),
    /// Where code of this number returns, or in these frames.
    Return(u32, BTreeSet<FrameNumber>),
}

impl Ends {
    fn may_be_in(&self, index: &Index, chunk: usize, returns: &Instructions) -> bool {
        let any = |frames| index.has_any_frame(chunk, frames);
        match self {
            Self::Nowhere => false,
            Self::Thread(thread) => index.threads(chunk).contains(&thread.0),
            Self::Frames(frames) => any(frames),
            Self::Return(_, frames) => {
                index.unwound(chunk) > 0 || executes(index, chunk, returns) || any(frames)
            }
        }
    }
}

impl Chunks {
    pub(crate) fn new(recording: &Recording, breaks: &Breaks, ends: Ends) -> Self {
        let mut returns = Instructions::default();
        if let Ends::Return(code, _) = ends
            && let Some(code) = recording.codes().get(code)
        {
            collect(code, &mut returns, |op, _| {
                matches!(op, Op::ReturnValue | Op::ReturnConst)
            });
        }
        let handlers = breaks.exceptions.then(|| {
            let mut found = Instructions::default();
            for code in recording.codes().iter() {
                collect(code, &mut found, |op, _| op == Op::PushExcInfo);
            }
            found
        });
        let writers = breaks.places.iter();
        Self {
            breaks: breaks.instructions(recording),
            writers: writers
                .map(|place| Writers::new(recording, place))
                .collect(),
            handlers,
            returns,
            ends,
        }
    }

    /// What is to be looked at, if that is not every step: all instructions of some code objects, and those that breakpoints are at.
    pub(crate) fn watch(&self, recording: &Recording, of_ends: &FxHashSet<u32>) -> Option<Watch> {
        if matches!(self.ends, Ends::Thread(_)) || self.handlers.is_some() {
            return None;
        }
        let mut watch = Watch::default();
        for (code, instructions) in &self.breaks {
            watch.add(*code, instructions.iter().copied());
        }
        for number in of_ends {
            if let Some(code) = recording.codes().get(*number) {
                let count = code.analysis().instructions().len() as u32;
                watch.add(*number, (0..count).map(InstrIdx));
            }
        }
        Some(watch)
    }

    /// Whether there may be something to stop at in a chunk.
    pub(crate) fn may_stop(&self, recording: &Recording, chunk: usize) -> Result<bool, OpenError> {
        let index = recording.index()?;
        if self.ends.may_be_in(index, chunk, &self.returns) || executes(index, chunk, &self.breaks)
        {
            return Ok(true);
        }
        for writers in &self.writers {
            if writers.may_be_in(recording, chunk)? {
                return Ok(true);
            }
        }
        // What the last step of a chunk raises arrives in the next one.
        Ok(self.handlers.as_ref().is_some_and(|handlers| {
            let arrives = |chunk| index.unwound(chunk) > 0 || executes(index, chunk, handlers);
            arrives(chunk) || (chunk + 1 < index.len() && arrives(chunk + 1))
        }))
    }
}

fn executes(index: &Index, chunk: usize, wanted: &Instructions) -> bool {
    wanted.iter().any(|(code, instructions)| {
        let executed = index.executed(chunk, *code);
        executed.is_some_and(|executed| executed.any_of(instructions))
    })
}

fn collect(code: &Code, found: &mut Instructions, wanted: impl Fn(Op, u32) -> bool) {
    let count = code.analysis().instructions().len() as u32;
    let all = (0..count).map(InstrIdx);
    let these: Vec<InstrIdx> = all
        .filter(|at| operation(code, *at).is_some_and(|(op, arg)| wanted(op, arg)))
        .collect();
    if !these.is_empty() {
        found.insert(code.data().number, these);
    }
}
