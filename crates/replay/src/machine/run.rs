//! The frame on top goes its way: the operations of a segment.

use debugop_recording::stream::{self, Contents, Kind, ObjectId, ThreadNumber};

use super::{Later, Machine, Phase, Run, Step};
use rustc_hash::FxHashMap;

use crate::chunk::Chunk;
use crate::error::{Error, ErrorKind};
use crate::segment::{From, Op, Segment, Source, To};
use crate::state::{Frame, State, Stepped};
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
            To::Pending(at) | To::Told(at) => {
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
        if !self.unplaced.is_empty() {
            self.place_written();
        }
        Ok(())
    }

    /// Executes to the next step of the way; `None` at its end.
    #[inline]
    pub(super) fn run_to_step(&mut self) -> Option<Step> {
        let run = self.run.as_mut()?;
        let segment = self.segments.get(run.segment);
        let end = if std::mem::take(&mut self.presented) {
            run.step += 1;
            let done = segment.steps.get(run.step - 1);
            done.map_or(0, |step| step.end) as usize
        } else {
            segment.begin as usize
        };
        let is_last = matches!(self.phase, Phase::End);
        if segment
            .opaque
            .is_some_and(|steps| run.step >= steps as usize)
        {
            self.state.opaque = self.next_record;
        }
        let told = (self.record.values.start, self.later);
        let Some(mut part) = Part::new(&mut self.state, told) else {
            self.run = None;
            return None;
        };
        let Some(step) = segment.steps.get(run.step).copied() else {
            let mut finalises = false;
            if self.values {
                finalises = part.execute_way(segment, run.done..segment.ops.len());
            }
            if let Some(at) = segment.next {
                part.frame.at = at;
            }
            if finalises {
                self.state.opaque = self.next_record;
            }
            self.state.ahead = false;
            self.state.updated |= segment.touching.is_some() || is_last;
            self.run = None;
            return None;
        };
        let mut finalises = false;
        if self.values {
            finalises = part.execute_way(segment, run.done..end);
        }
        run.done = end;
        let (thread, frame) = (part.thread, part.frame);
        let number = self.number;
        frame.at = step.at;
        frame.previous = frame.stepped;
        frame.stepped = Stepped::At(step.at);
        frame.previous_number = frame.stepped_number;
        frame.stepped_number = Some(number);
        let step = Step {
            number,
            thread,
            frame: frame.number,
            code: frame.code,
            at: step.at,
        };
        if finalises {
            self.state.opaque = self.next_record;
        }
        self.state.ahead = run.step < segment.opaque_end as usize;
        self.state.updated |= match segment.touching {
            Some(touching) => run.step >= touching as usize,
            // What did it is over.
            None => is_last,
        };
        self.number += 1;
        self.presented = true;
        Some(step)
    }

    /// Executes the rest of the way.
    #[inline]
    pub(super) fn run_to_end(&mut self) {
        let Some(run) = self.run.take() else { return };
        let first = run.step + usize::from(std::mem::take(&mut self.presented));
        let segment = self.segments.get(run.segment);
        let steps = segment.steps.len();
        if first < steps {
            self.number += (steps - first) as u64;
        }
        if segment.opaque.is_some() {
            self.state.opaque = self.next_record;
        }
        let values = self.record.values.start;
        let resolver = self.resolver.take();
        let is_resolved = resolver.is_some();
        if let Some(mut resolver) = resolver {
            self.run_resolving(&run, &mut resolver);
            self.resolver = Some(resolver);
        }
        let segment = self.segments.get(run.segment);
        let Some(mut part) = Part::new(&mut self.state, (values, self.later)) else {
            return;
        };
        if let Some(tally) = &mut self.tally {
            if !segment.stores.is_empty() {
                tally.stores(segment, part.frame, part.chunk, values);
            }
            if first < steps {
                tally.thread(part.thread.0);
                if let Some(step) = segment.steps.first() {
                    tally.way(run.segment, part.frame, step.at);
                }
            }
        }
        let mut finalises = is_resolved && !segment.drops.is_empty();
        if self.values && !is_resolved {
            finalises = part.execute_way(segment, run.done..segment.ops.len());
        }
        if first < steps
            && let Some(step) = segment.steps.last()
        {
            part.frame.stepped = Stepped::At(step.at);
            part.frame.stepped_number = Some(self.number - 1);
            part.frame.at = step.at;
        }
        if let Some(at) = segment.next {
            part.frame.at = at;
        }
        if finalises {
            self.state.opaque = self.next_record;
        }
        self.state.ahead = false;
        self.state.updated |= segment.touching.is_some() || matches!(self.phase, Phase::End);
    }
}

/// What operations of a way read and change.
pub(super) struct Part<'a> {
    thread: ThreadNumber,
    /// The one on top.
    pub(super) frame: &'a mut Frame,
    cells: &'a mut FxHashMap<ObjectId, (usize, Value)>,
    chunk: &'a Chunk,
    record: usize,
    /// The record's values begin here.
    values: usize,
    /// Where those of the frame's slots as the next chunk describes them are.
    later: Later,
}

impl<'a> Part<'a> {
    #[inline]
    pub(super) fn new(state: &'a mut State, (values, later): (usize, Later)) -> Option<Self> {
        let thread = state.threads.get_mut(state.current)?;
        Some(Self {
            thread: thread.number,
            frame: thread.frames.last_mut()?,
            cells: &mut state.cells,
            chunk: &state.chunk,
            record: state.record,
            values,
            later,
        })
    }

    /// Executes these operations of a way. Whether what it lets go of with them may have run a finaliser.
    #[inline]
    fn execute_way(&mut self, segment: &Segment, range: std::ops::Range<usize>) -> bool {
        if !segment.drops.is_empty() {
            return self.execute_dropping(segment, range);
        }
        self.execute(segment.ops.get(range).unwrap_or_default());
        false
    }

    fn execute_dropping(&mut self, segment: &Segment, range: std::ops::Range<usize>) -> bool {
        let (mut done, mut finalises) = (range.start, false);
        for drop in &segment.drops {
            let after = drop.after as usize;
            if !(range.start..=range.end).contains(&after) {
                continue;
            }
            self.execute(segment.ops.get(done..after).unwrap_or_default());
            done = done.max(after);
            finalises |= !is_inert(self.frame.get(drop.slot), self.chunk, self.record);
        }
        self.execute(segment.ops.get(done..range.end).unwrap_or_default());
        finalises
    }

    /// Executes operations of a way.
    #[inline]
    pub(super) fn execute(&mut self, ops: &[Op]) {
        let (chunk, values) = (self.chunk, (self.values, self.later));
        let frame = &mut *self.frame;
        for op in ops {
            match *op {
                Op::Set(slot, source) => {
                    let value = read(frame, chunk, values, source);
                    frame.set(slot, value);
                }
                Op::Compute(slot, calculation, source) => {
                    let operands = (frame.get(slot), frame.get(slot + 1));
                    let nan = frame.object.nan();
                    let told = read(frame, chunk, values, source);
                    let value = match told {
                        Value::Pending => calculation.of(operands, nan).unwrap_or(told),
                        told => told,
                    };
                    frame.set(slot, value);
                }
                Op::Swap(one, other) => {
                    let (first, second) = (frame.get(one), frame.get(other));
                    frame.set(one, second);
                    frame.set(other, first);
                }
                Op::Unbind(slot) => {
                    if let (Value::Null, Value::Object(id)) = (frame.get(slot), frame.get(slot + 1))
                        && let Some((_, definition)) = chunk.definition(id, self.record, true)
                        && let Some(Contents::Method { function, receiver }) = definition.contents
                    {
                        frame.set(slot, function.into());
                        frame.set(slot + 1, receiver.into());
                    }
                }
                Op::SetCell(cell, source) => {
                    if let Value::Object(id) = frame.get(cell) {
                        let value = read(frame, chunk, values, source);
                        self.cells.insert(id, (self.record, value));
                    }
                }
            }
        }
    }
}

/// Whether nothing runs when the last reference to a value goes.
fn is_inert(value: Value, chunk: &Chunk, record: usize) -> bool {
    let plain = |id| {
        let definition = chunk.definition(id, record, true);
        definition.map(|(_, definition)| definition)
    };
    let is_plain = |kind| {
        matches!(
            kind,
            Kind::Str | Kind::Bytes | Kind::ByteArray | Kind::Range
        )
    };
    match value {
        Value::Object(id) => plain(id).is_some_and(|definition| {
            let inner = |value: &stream::Value| match *value {
                stream::Value::Object(id) => {
                    plain(id).is_some_and(|inner| is_plain(inner.class.kind))
                }
                stream::Value::Unknown(_) => false,
                _ => true,
            };
            let kind = definition.class.kind;
            match &definition.contents {
                // Their contents cannot have changed since.
                Some(Contents::Items(items)) if matches!(kind, Kind::Tuple | Kind::FrozenSet) => {
                    items.items.len() as u64 == items.length && items.items.iter().all(inner)
                }
                _ => is_plain(kind),
            }
        }),
        Value::Unknown(_) | Value::Pending | Value::Redacted => false,
        _ => true,
    }
}

#[inline]
fn read(frame: &Frame, chunk: &Chunk, told: (usize, Later), source: Source) -> Value {
    let (values, later) = told;
    match source {
        Source::Slot(slot) => frame.get(slot),
        Source::Capture(index) => chunk
            .value(values + index as usize)
            .map_or(Value::Null, Value::from),
        Source::Later(slot) => match later.and_then(|later| chunk.described(later, slot)) {
            // Where it cannot be described, it is not known either.
            Some(value) => value.into(),
            None => Value::Pending,
        },
        Source::Int(int) => Value::Int(int.into()),
        Source::Common(common) => common.into(),
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
