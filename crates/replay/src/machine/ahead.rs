//! What is going to be stored into objects on the way to a record, before the record's objects and values are known.
//!
//! A packed chunk tells changed objects by it, so whoever packs and whoever unpacks must find the same: nothing here may depend on what the
//! record says besides its thread, its prefixes and its body.

use debugop_bytecode::SiteKind;
use debugop_recording::packed::Stored;
use debugop_recording::stream::{Caller, Prefix, Record};
use smallvec::SmallVec;

use super::{Machine, Resolver};
use crate::segment::{From, Op, Segments, Source, To, call_of};
use crate::state::Frame;
use crate::value::Value;

/// The stores of so many frames that end with one record are looked at.
const MOST_ENDED: u32 = 8;
/// Ways with more operations are not looked at: each value is looked for among those that have changed.
const LONGEST: usize = 64;

impl Machine {
    /// Finds what is stored on the ways that a record's frames go to it.
    pub(crate) fn store_ahead(&mut self, record: &Record, found: &mut Vec<Stored>) {
        let mut threads = self.state.threads.iter();
        let Some(thread) = threads.find(|thread| thread.number == record.thread) else {
            return;
        };
        if thread.left > 0 {
            return;
        }
        let mut ahead = Ahead {
            segments: &mut self.segments,
            resolver: self.resolver.as_deref(),
            found,
        };
        let mut frames = thread.frames.iter().rev();
        let mut call = None;
        for prefix in &record.prefixes {
            match *prefix {
                Prefix::Time(_) | Prefix::Output(_) => {}
                Prefix::Pop(count) if count <= MOST_ENDED => {
                    for frame in frames.by_ref().take(count as usize) {
                        if !is_unwound(frame) {
                            ahead.way(frame, To::Exit);
                        }
                    }
                }
                Prefix::Enter(_, caller) | Prefix::Reenter(_, caller) => {
                    call = Some(caller);
                    break;
                }
                _ => return,
            }
        }
        let Some(frame) = frames.next() else { return };
        let to = match (call, record.site) {
            (Some(Caller::Unit(unit) | Caller::Foreign(Some(unit))), _) => {
                let at = frame.object.at_unit(unit);
                at.map(|at| To::In(call_of(&frame.object, at)))
            }
            (Some(Caller::Foreign(None)), _) | (None, None) => None,
            (None, Some(site)) => match self.codes.site(site) {
                Some((code, index, _))
                    if code == frame.code && frame.from != From::Fired(index) =>
                {
                    Some(To::Site(index))
                }
                _ => None,
            },
        };
        if let Some(to) = to {
            ahead.way(frame, to);
        }
    }
}

/// An exception has left the frame: its way is over.
pub(super) fn is_unwound(frame: &Frame) -> bool {
    let From::Site(site) = frame.from else {
        return false;
    };
    let planned = frame.object.sites().get(site as usize);
    planned.is_some_and(|site| site.kind == SiteKind::Unwind)
}

struct Ahead<'a> {
    segments: &'a mut Segments,
    resolver: Option<&'a Resolver>,
    found: &'a mut Vec<Stored>,
}

impl Ahead<'_> {
    /// What a frame stores on a way.
    fn way(&mut self, frame: &Frame, to: To) {
        let found = self
            .segments
            .find(&frame.object, frame.from, frame.done, to);
        let Some(segment) = found.map(|found| self.segments.get(found)) else {
            return;
        };
        if segment.storing.is_empty() || segment.ops.len() > LONGEST {
            return;
        }
        let mut slots = Slots {
            frame,
            changed: SmallVec::new(),
        };
        let mut done = 0;
        for storing in &segment.storing {
            let ops = segment.ops.get(done..storing.after as usize);
            for &op in ops.unwrap_or_default() {
                slots.execute(op);
            }
            done = done.max(storing.after as usize);
            let known = |value| {
                self.resolver
                    .and_then(|resolver| resolver.as_captured(value))
            };
            let object = match slots.get(storing.object) {
                Value::Object(id) => Some(id),
                _ => None,
            };
            if let Some(value) = known(slots.get(storing.value)) {
                self.found.push(Stored { object, value });
            }
        }
    }
}

/// The slots of a frame while it goes its way, without changing it.
struct Slots<'a> {
    frame: &'a Frame,
    /// What is there now, the last at the end.
    changed: SmallVec<[(u32, Value); 16]>,
}

impl Slots<'_> {
    fn get(&self, slot: u32) -> Value {
        let mut changed = self.changed.iter().rev();
        match changed.find(|changed| changed.0 == slot) {
            Some(changed) => changed.1,
            None => self.frame.get(slot),
        }
    }

    fn set(&mut self, slot: u32, value: Value) {
        match self.changed.iter_mut().find(|changed| changed.0 == slot) {
            Some(changed) => changed.1 = value,
            None => self.changed.push((slot, value)),
        }
    }

    fn execute(&mut self, op: Op) {
        match op {
            Op::Set(slot, source) => {
                let value = self.read(source);
                self.set(slot, value);
            }
            Op::Compute(slot, calculation, _) => {
                let operands = (self.get(slot), self.get(slot + 1));
                let value = calculation.of(operands, self.frame.object.nan());
                self.set(slot, value.unwrap_or(Value::Pending));
            }
            Op::Swap(one, other) => {
                let (first, second) = (self.get(one), self.get(other));
                self.set(one, second);
                self.set(other, first);
            }
            Op::Unbind(slot) => {
                self.set(slot, Value::Pending);
                self.set(slot + 1, Value::Pending);
            }
            Op::SetCell(..) => {}
        }
    }

    /// What only the record or a later one tells is not known.
    fn read(&self, source: Source) -> Value {
        match source {
            Source::Slot(slot) => self.get(slot),
            Source::Constant(index) => self.frame.constant(index),
            Source::Int(int) => Value::Int(int.into()),
            Source::Null => Value::Null,
            Source::Bool(bool) => Value::Bool(bool),
            Source::Common(common) => common.into(),
            Source::Next(slot) => match self.get(slot) {
                Value::Tagged(index) => Value::Tagged(index.wrapping_add(1)),
                other => other,
            },
            Source::Capture(_) | Source::Pending | Source::Later(_) => Value::Pending,
        }
    }
}
