//! States to which a machine can go back.

use std::sync::Arc;

use super::{After, Machine, Phase, Unplaced};
use crate::chunk::Chunk;
use crate::state::State;

/// A state between two records, to which a machine can go back.
#[derive(Clone, Debug)]
pub(crate) struct Checkpoint {
    /// Index of the record that comes next.
    pub(crate) record: usize,
    /// The step that comes next.
    pub(crate) number: u64,
    state: State,
    slots: usize,
    unplaced: Vec<Unplaced>,
}

impl Checkpoint {
    /// The same in the whole chunk, of which it has known a part.
    pub(crate) fn in_whole(&self, whole: &Arc<Chunk>) -> Self {
        let mut new = self.clone();
        new.state.chunk = Arc::clone(whole);
        new
    }
}

impl Machine {
    /// Whether no record has been begun and not ended.
    pub(crate) fn is_between_records(&self) -> bool {
        self.run.is_none()
            && matches!(self.phase, Phase::End)
            && matches!(self.after, After::Nothing)
    }

    /// The state now; `None` within a record.
    pub(crate) fn checkpoint(&self) -> Option<Checkpoint> {
        self.is_between_records().then(|| Checkpoint {
            record: self.next_record,
            number: self.number,
            state: self.state.clone(),
            slots: self.slots,
            unplaced: self.unplaced.clone(),
        })
    }

    /// Goes back to a state of the same chunk.
    pub(crate) fn restore(&mut self, checkpoint: &Checkpoint) {
        self.state.clone_from(&checkpoint.state);
        self.number = checkpoint.number;
        self.next_record = checkpoint.record;
        self.slots = checkpoint.slots;
        self.unplaced.clone_from(&checkpoint.unplaced);
        self.phase = Phase::End;
        self.run = None;
        self.later = None;
        self.after = After::Nothing;
        self.raised = None;
        self.presented = false;
        self.unwound.clear();
        self.lost.clear();
        self.written.clear();
        self.ended.clear();
        self.finished = false;
        self.is_cut = false;
    }
}
