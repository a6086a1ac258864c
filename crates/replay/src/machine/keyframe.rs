//! Begins with a chunk: the frames as its keyframe describes them.

use std::sync::Arc;

use debugop_recording::stream::{self, Caller, FrameNumber, Progress};

use super::{MOST_SLOTS, Machine};
use crate::code::Code;
use crate::error::{Error, ErrorKind};
use crate::segment::From;
use crate::state::{Frame, Stepped, Thread};
use crate::value::Value;

impl Machine {
    pub(super) fn keyframe(&mut self) -> Result<(), Error> {
        let chunk = Arc::clone(&self.state.chunk);
        for thread in &chunk.keyframe.threads {
            self.thread(thread)?;
        }
        self.state.switch(chunk.keyframe.current);
        Ok(())
    }

    pub(super) fn thread(&mut self, thread: &stream::Thread) -> Result<(), Error> {
        let mut frames = Vec::new();
        for frame in &thread.frames {
            frames.push(self.known_frame(frame)?);
        }
        let new = Thread {
            number: thread.number,
            native: thread.native,
            name: thread.name.clone(),
            left: 0,
            below: thread.below,
            frames,
        };
        self.state.switch(thread.number);
        let current = self.state.current;
        self.state.threads[current] = new;
        Ok(())
    }

    /// The last step of a frame from before the chunk.
    fn before(&self, frame: FrameNumber) -> Stepped {
        let index = self
            .carried
            .binary_search_by_key(&frame, |carried| carried.0);
        index.map_or(Stepped::Unknown, |index| Stepped::At(self.carried[index].1))
    }

    pub(super) fn known_frame(&mut self, frame: &stream::Frame) -> Result<Frame, Error> {
        let object = self.code(frame.code)?;
        let at = match frame.progress {
            Progress::Executing | Progress::Told => self.unit(&object, frame.unit)?,
            Progress::Arrived | Progress::Ready => self.instruction(&object, frame.unit)?,
        };
        let mut slots: Vec<Value> = Vec::new();
        if self.values {
            slots.extend(frame.slots.iter().map(|&value| Value::from(value)));
            slots.truncate(self.most_slots(&object));
        }
        self.count_slots(slots.len())?;
        Ok(Frame {
            number: frame.number,
            code: frame.code,
            object,
            slots,
            at,
            caller: Caller::Foreign(None),
            from: match frame.progress {
                Progress::Arrived => From::Before(at),
                Progress::Ready => From::At(at),
                Progress::Executing => From::In(at),
                Progress::Told => From::Pending(at),
            },
            done: None,
            stepped: self.before(frame.number),
            previous: Stepped::Unknown,
            stepped_number: None,
            previous_number: None,
        })
    }

    pub(super) fn most_slots(&self, code: &Code) -> usize {
        code.locals().slots as usize + code.data().stack_size as usize
    }

    pub(super) fn count_slots(&mut self, slots: usize) -> Result<(), Error> {
        self.slots += slots + 8;
        if self.slots > MOST_SLOTS {
            return Err(self.error(ErrorKind::TooManySlots(MOST_SLOTS)));
        }
        Ok(())
    }
}
