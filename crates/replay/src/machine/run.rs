//! The frame on top goes its way: the operations of a segment.

use debugop_recording::stream::Contents;

use super::{Machine, Phase, Run, Step};
use crate::chunk::Chunk;
use crate::error::{Error, ErrorKind};
use crate::segment::{From, Op, SegmentId, Source, To};
use crate::state::{Frame, State, Stepped, Thread};
use crate::value::Value;

impl Machine {
    /// The frame on top begins the way to what it does next.
    pub(super) fn go(&mut self, to: To) -> Result<(), Error> {
        if self.segments.is_full() {
            self.add_up();
            self.segments.forget();
        }
        let Some(frame) = self.state.top() else {
            return Ok(());
        };
        let (from, done) = (frame.from, frame.done);
        let Some(segment) = self.segments.find(&frame.object, from, done, to) else {
            let code = frame.code;
            return Err(self.error(ErrorKind::NoWay { code, from, to }));
        };
        match to {
            To::Site(site) => {
                frame.from = From::Site(site);
                frame.done = None;
            }
            To::At(at) => {
                frame.from = From::At(at);
                frame.done = None;
            }
            To::Pending(at) => {
                frame.from = From::Pending(at);
                frame.done = None;
            }
            To::Before(at) => {
                frame.from = From::Before(at);
                frame.done = None;
            }
            To::In(_) | To::Exit => {
                frame.done = self.segments.get(segment).last.or(done);
            }
        }
        self.run = Some(Run {
            segment,
            step: 0,
            done: 0,
        });
        Ok(())
    }

    /// Executes to the next step of the way; `None` at its end.
    #[inline]
    pub(super) fn run_to_step(&mut self) -> Option<Step> {
        let mut run = self.run.take()?;
        let segment = self.segments.get(run.segment);
        let end = if self.presented {
            self.presented = false;
            run.step += 1;
            let number = run.step - 1;
            segment.steps.get(number).map_or(0, |step| step.end) as usize
        } else {
            segment.begin as usize
        };
        let next = segment.steps.get(run.step).copied();
        let opaque_end = segment.opaque_end as usize;
        let changed = match segment.touching {
            Some(touching) => run.step >= touching as usize,
            // What did it is over.
            None => matches!(self.phase, Phase::End),
        };
        self.execute(run.segment, run.done, end);
        self.state.updated |= changed;
        run.done = end;
        let Some(step) = next else {
            self.execute(run.segment, run.done, usize::MAX);
            self.rest(run.segment);
            return None;
        };
        self.presented = true;
        self.state.ahead = run.step < opaque_end;
        self.run = Some(run);
        let number = self.number;
        self.number += 1;
        let thread = self.state.thread()?.0;
        let frame = self.state.top()?;
        frame.at = step.at;
        frame.previous = frame.stepped;
        frame.stepped = Stepped::At(step.at);
        frame.previous_number = frame.stepped_number;
        frame.stepped_number = Some(number);
        Some(Step {
            number,
            thread,
            frame: frame.number,
            code: frame.code,
            at: step.at,
        })
    }

    /// Executes the rest of the way.
    #[inline]
    pub(super) fn run_to_end(&mut self) {
        let Some(run) = self.run.take() else { return };
        let first = run.step + usize::from(std::mem::take(&mut self.presented));
        let segment = self.segments.get(run.segment);
        let (steps, last) = (segment.steps.len(), segment.steps.last().copied());
        if let Some(tally) = &mut self.tally
            && let Some(frame) = self.state.frame()
            && !segment.stores.is_empty()
        {
            tally.stores(segment, frame, &self.state.chunk, self.record.values.start);
        }
        self.execute(run.segment, run.done, usize::MAX);
        if first < steps {
            self.number += (steps - first) as u64;
            if let Some(tally) = &mut self.tally
                && let Some((thread, _)) = self.state.thread()
            {
                tally.thread(thread.0);
            }
            if let Some(tally) = &mut self.tally
                && let (Some(step), Some(frame)) = (
                    self.segments.get(run.segment).steps.first(),
                    self.state.top(),
                )
            {
                tally.way(run.segment, frame, step.at);
            }
            let number = self.number;
            if let (Some(step), Some(frame)) = (last, self.state.top()) {
                frame.at = step.at;
                frame.stepped = Stepped::At(step.at);
                frame.stepped_number = Some(number - 1);
            }
        }
        self.rest(run.segment);
    }

    /// The frame has come to the end of a way.
    #[inline]
    pub(super) fn rest(&mut self, segment: SegmentId) {
        if let (Some(at), Some(frame)) = (self.segments.get(segment).next, self.state.top()) {
            frame.at = at;
        }
        self.state.ahead = false;
        let touching = self.segments.get(segment).touching.is_some();
        self.state.updated |= touching || matches!(self.phase, Phase::End);
    }

    /// Executes operations of a way.
    #[inline]
    pub(super) fn execute(&mut self, segment: SegmentId, from: usize, to: usize) {
        let segment = self.segments.get(segment);
        if segment.opaque {
            self.state.opaque = self.next_record;
        }
        let values = self.record.values.start;
        let State {
            threads,
            current,
            cells,
            chunk,
            record,
            ..
        } = &mut self.state;
        let Some(frame) = threads.get_mut(*current).and_then(Thread::top) else {
            return;
        };
        let to = to.min(segment.ops.len());
        for op in segment.ops.get(from..to).unwrap_or_default() {
            match *op {
                Op::Set(slot, source) => {
                    let value = read(frame, chunk, values, source);
                    frame.set(slot, value);
                }
                Op::Swap(one, other) => {
                    let (first, second) = (frame.get(one), frame.get(other));
                    frame.set(one, second);
                    frame.set(other, first);
                }
                Op::Unbind(slot) => {
                    if let (Value::Null, Value::Object(id)) = (frame.get(slot), frame.get(slot + 1))
                        && let Some((_, definition)) = chunk.definition(id, *record, true)
                        && let Some(Contents::Method { function, receiver }) = definition.contents
                    {
                        frame.set(slot, function.into());
                        frame.set(slot + 1, receiver.into());
                    }
                }
                Op::SetCell(cell, source) => {
                    if let Value::Object(id) = frame.get(cell) {
                        let value = read(frame, chunk, values, source);
                        cells.insert(id, (*record, value));
                    }
                }
            }
        }
    }
}

#[inline]
fn read(frame: &Frame, chunk: &Chunk, values: usize, source: Source) -> Value {
    match source {
        Source::Slot(slot) => frame.get(slot),
        Source::Capture(index) => chunk
            .value(values + index as usize)
            .map_or(Value::Null, Value::from),
        Source::Int(int) => Value::Int(int.into()),
        Source::Null => Value::Null,
        Source::Bool(bool) => Value::Bool(bool),
        Source::Pending => Value::Pending,
        Source::Constant(index) => frame.constant(index),
        Source::Next(slot) => match frame.get(slot) {
            Value::Tagged(index) => Value::Tagged(index.wrapping_add(1)),
            other => other,
        },
    }
}
