//! In which step something was written: that of the instruction which the record says, when the frame comes to it.

use debugop_bytecode::InstrIdx;
use debugop_recording::stream::{FrameNumber, Output};

use super::Machine;
use crate::segment::{From, call_of};
use crate::written::Written;

/// Something whose step has not come yet: the frame's next record executes it.
#[derive(Clone, Debug)]
pub(super) struct Unplaced {
    frame: FrameNumber,
    at: InstrIdx,
    written: Written,
}

impl Machine {
    /// What has been written since the step before, or is written on the way that has been begun since then.
    pub(crate) fn written(&self) -> &[Written] {
        &self.written
    }

    /// The prefix with this index says that something was written.
    pub(super) fn writes(&mut self, prefix: usize, output: &Output) {
        let mut written = Written {
            step: None,
            known: self.number,
            thread: None,
            frame: None,
            stream: output.stream,
            bytes: output.bytes.clone(),
            prefix,
        };
        let threads = self.state.threads.iter();
        let found = output.by.and_then(|by| {
            threads
                .flat_map(|thread| thread.frames.iter().map(|frame| (thread.number, frame)))
                .find(|(_, frame)| frame.number == by.frame)
                .and_then(|(thread, frame)| {
                    let at = frame.object.at_unit(by.unit)?;
                    Some((thread, frame, call_of(&frame.object, at)))
                })
        });
        let Some((thread, frame, at)) = found else {
            self.written.push(written);
            return;
        };
        let is_inside = match frame.from {
            From::In(here) | From::Pending(here) => here == at,
            _ => frame.done == Some(at),
        };
        match is_inside {
            true => {
                written.step = frame.stepped_number;
                written.thread = written.step.map(|_| thread);
                written.frame = written.step.map(|_| frame.number);
                self.written.push(written);
            }
            false => {
                written.thread = Some(thread);
                let frame = frame.number;
                self.unplaced.push(Unplaced { frame, at, written });
            }
        }
    }

    /// The frame on top has begun a way: what was written on it has its step now.
    #[cold]
    pub(super) fn place_written(&mut self) {
        let (Some(run), Some(frame)) = (&self.run, self.state.thread()) else {
            return;
        };
        let Some(frame) = frame.1.frames.last().map(|frame| frame.number) else {
            return;
        };
        let (steps, first) = (&self.segments.get(run.segment).steps, self.number);
        let (unplaced, written) = (&mut self.unplaced, &mut self.written);
        unplaced.retain_mut(|one| {
            let mut steps = (first..).zip(steps);
            let step = steps.find(|(_, step)| one.frame == frame && step.at == one.at);
            let Some((number, _)) = step else {
                return true;
            };
            one.written.step = Some(number);
            one.written.frame = Some(frame);
            written.push(one.written.clone());
            false
        });
    }

    /// The chunk is over: nothing says any more in which step the rest was written.
    pub(super) fn give_up_placing(&mut self) {
        if !self.state.chunk.is_whole() {
            return;
        }
        let rest = self.unplaced.drain(..).map(|one| Written {
            thread: None,
            ..one.written
        });
        self.written.extend(rest);
    }
}
