//! What is not in a recording, and where.

use std::fmt;

use debugop_recording::file::Ending;
use debugop_recording::stream::{Reason, ThreadNumber};

use crate::recording::{OpenError, Recording};

/// Something that is not in a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The step before which it is missing: the number of all steps, if it is missing behind the last one.
    pub step: u64,
    /// What.
    pub what: Lost,
}

/// What is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The beginning: a ring has dropped so many chunks, or chunks of a damaged recording are gone (0). It goes on so many nanoseconds after it has begun.
    Beginning(u64, u64),
    /// Chunks that were damaged. It goes on so many nanoseconds after the recording has begun.
    Chunks(u64),
    /// A record that had no room, and with it, perhaps, steps of this thread.
    Record(ThreadNumber),
    /// Something that the program has written, which had no room.
    Output,
    /// What this chunk of the stream says from this byte of its uncompressed contents on, which does not fit what is known before it.
    Unfollowed {
        /// Index among the chunks of the stream.
        chunk: u64,
        /// In bytes.
        offset: usize,
    },
    /// The end: how the recording ended.
    End(Ending),
}

impl Lost {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Beginning(..) => "beginning",
            Self::Chunks(_) => "chunks",
            Self::Record(_) => "record",
            Self::Output => "output",
            Self::Unfollowed { .. } => "unfollowed",
            Self::End(_) => "end",
        }
    }

    /// Whether steps may be missing, and what they have done.
    pub fn has_steps(self) -> bool {
        self != Self::Output
    }

    pub(crate) fn of(reason: Reason, thread: ThreadNumber, first: bool) -> Self {
        // Before it had a reason of its own, a record that had no room was told of at the beginning of the next chunk.
        match reason == Reason::DROPPED || first {
            true => Self::Record(thread),
            false => Self::Output,
        }
    }
}

/// Nanoseconds as seconds.
struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} s", self.0 as f64 / 1e9)
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Beginning(0, until) => write!(f, "the first {} are missing", Seconds(until)),
            Self::Beginning(_, until) => {
                write!(f, "the first {} were beyond --ring", Seconds(until))
            }
            Self::Chunks(until) => write!(
                f,
                "a part is missing: it goes on {} after the recording began",
                Seconds(until)
            ),
            Self::Record(_) => f.write_str("a record was too large: steps may be missing"),
            Self::Output => f.write_str("something that was written was too large to be recorded"),
            Self::Unfollowed { chunk, offset } => write!(
                f,
                "what was recorded here does not fit together, from byte {offset} of chunk {chunk} to its end (please report it)"
            ),
            Self::End(Ending::Failed(0)) => {
                f.write_str("the recording ends here: it could not be written any more")
            }
            Self::End(Ending::Failed(error)) => {
                let error = std::io::Error::from_raw_os_error(error.cast_signed());
                write!(
                    f,
                    "the recording ends here: it could not be written any more: {error}"
                )
            }
            Self::End(Ending::Finished) => f.write_str("what came after this may be missing"),
            Self::End(Ending::Killed) => {
                f.write_str("the recording ends here: its process was killed, or recording failed")
            }
            Self::End(Ending::Unfinished | Ending::Writing) => {
                f.write_str("the recording ends here: it was not finished")
            }
        }
    }
}

impl Recording {
    /// What is missing between a chunk and what is before it in the file.
    pub(crate) fn lost_before(&self, chunk: usize) -> Option<Lost> {
        let info = self.reader().stream_info(chunk)?;
        if chunk == 0 {
            let begins = info.sequence == 0 && info.time == 0;
            return (!begins).then_some(Lost::Beginning(info.sequence, info.time));
        }
        self.is_behind_gap(chunk).then_some(Lost::Chunks(info.time))
    }

    /// Whether chunks are missing right before this one.
    pub(crate) fn is_behind_gap(&self, chunk: usize) -> bool {
        let summary = self.reader().summary();
        summary.is_some_and(|summary| summary.gaps.contains(&(chunk as u64)))
    }

    /// What is missing at the end.
    pub(crate) fn lost_at_end(&self) -> Option<Lost> {
        let ending = self.reader().ending();
        let is_cut = match ending {
            Ending::Killed | Ending::Failed(_) | Ending::Unfinished => true,
            Ending::Writing => false,
            // What has been saved of a recording that was not finished says nothing of its end.
            Ending::Finished => {
                let summary = self.reader().summary();
                summary.is_some_and(|summary| summary.recovered && summary.records.is_none())
            }
        };
        is_cut.then_some(Lost::End(ending))
    }

    /// Whether steps may be missing right before a chunk.
    pub(crate) fn is_behind_loss(&self, chunk: usize) -> Result<bool, OpenError> {
        Ok(self.is_behind_gap(chunk) || self.index()?.has_dropped(chunk))
    }

    /// The steps before which steps may be missing, rising.
    pub(crate) fn gaps(&self) -> Result<Vec<u64>, OpenError> {
        let firsts = self.firsts()?;
        let mut gaps = Vec::new();
        for (chunk, &first) in firsts.iter().enumerate().take(firsts.len() - 1) {
            if self.is_behind_loss(chunk)? {
                gaps.push(first);
            }
        }
        Ok(gaps)
    }

    /// The first step from which on up to `step` no step is missing.
    ///
    /// # Errors
    /// As [`Recording::index`].
    pub fn known_from(&self, step: u64) -> Result<u64, OpenError> {
        let firsts = self.firsts()?;
        let chunks = firsts.len().saturating_sub(1);
        let end = firsts.partition_point(|&first| first <= step).min(chunks);
        for chunk in (0..end).rev() {
            if self.is_behind_loss(chunk)? {
                return Ok(firsts[chunk]);
            }
        }
        Ok(0)
    }

    /// Everything that is not in the recording, in order.
    ///
    /// # Errors
    /// As [`Recording::chunk`] and [`Recording::index`].
    pub fn losses(&self) -> Result<Vec<Loss>, OpenError> {
        let index = self.index()?;
        let mut found = Vec::new();
        for (chunk, &step) in index.firsts().iter().enumerate().take(index.len()) {
            let before = self.lost_before(chunk);
            found.extend(before.map(|what| Loss { step, what }));
            if index.lost(chunk) == 0 {
                continue;
            }
            let mut machine = self.machine(self.chunk(chunk)?, step, Vec::new())?;
            loop {
                let goes_on = machine.skip_record()?.is_some();
                found.extend_from_slice(machine.lost());
                if !goes_on {
                    break;
                }
            }
        }
        let step = self.len()?;
        found.extend(self.lost_at_end().map(|what| Loss { step, what }));
        Ok(found)
    }
}
