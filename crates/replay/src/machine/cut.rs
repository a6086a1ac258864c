//! Where what was recorded does not fit what is known before it.

use super::{After, Machine, Phase};
use crate::error::Error;
use crate::loss::{Loss, Lost};

impl Machine {
    /// From now on a record that does not fit is no error: the chunk ends before it, with a [`Lost::Unfollowed`]. The next one has a keyframe to begin from.
    pub(crate) fn ends_where_lost(&mut self) {
        self.ends_where_lost = true;
    }

    /// Whether the chunk has ended before a record that does not fit.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Ends the chunk here.
    #[cold]
    pub(super) fn cut(&mut self, error: &Error) {
        self.run = None;
        self.after = After::Nothing;
        self.phase = Phase::End;
        self.next_record = self.state.chunk.record_count();
        self.finished = true;
        self.is_cut = true;
        let (chunk, offset) = (error.chunk, error.offset);
        self.lost.push(Loss {
            step: self.number,
            what: Lost::Unfollowed { chunk, offset },
        });
    }
}
