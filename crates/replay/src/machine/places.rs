//! Where threads go, without the values that they have there.

use debugop_recording::stream::{FrameNumber, ThreadNumber};

use super::{Machine, Step};
use crate::error::Error;
use crate::segment::SegmentId;

/// A way that the frame on top of a thread has gone; its steps are numbered from `first`. Until the next one is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) thread: ThreadNumber,
    pub(crate) frame: FrameNumber,
    pub(crate) code: u32,
    pub(crate) first: u64,
    pub(crate) count: usize,
    segment: SegmentId,
}

impl Machine {
    /// From now on frames are followed, and what is in their slots means nothing.
    pub(crate) fn without_values(&mut self) {
        self.values = false;
    }

    /// Goes the next way that has steps. `None` at the chunk's end.
    pub(crate) fn next_way(&mut self) -> Result<Option<Way>, Error> {
        loop {
            if let Some(way) = self.pass() {
                return Ok(Some(way));
            }
            if !self.proceed()? {
                return Ok(None);
            }
        }
    }

    /// A step of a way.
    #[inline]
    pub(crate) fn step_of(&self, way: &Way, index: usize) -> Option<Step> {
        let step = self.segments.get(way.segment).steps.get(index)?;
        Some(Step {
            number: way.first + index as u64,
            thread: way.thread,
            frame: way.frame,
            code: way.code,
            at: step.at,
        })
    }

    /// Goes the way that has been begun.
    #[inline]
    fn pass(&mut self) -> Option<Way> {
        let run = self.run.take()?;
        self.unwound.clear();
        let thread = self.state.threads.get(self.state.current)?;
        let frame = thread.frames.last()?;
        let (first, count) = (self.number, self.segments.get(run.segment).steps.len());
        self.number += count as u64;
        (count > 0).then_some(Way {
            thread: thread.number,
            frame: frame.number,
            code: frame.code,
            first,
            count,
            segment: run.segment,
        })
    }
}
