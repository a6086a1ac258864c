//! What a world tells of itself: which sites fire, what is pending, and where chunks begin.

use std::sync::Arc;

use debugop_bytecode::plan::numeric::GUARDED_BITS;
use debugop_bytecode::plan::{SiteKind, pending_before};
use debugop_bytecode::{InstrIdx, Place};
use debugop_recording::stream::{
    Frame, FrameNumber, Keyframe, Numbers, ObjectId, Prefix, Progress, Record, SiteNumber, Thread,
    ThreadNumber, Transcript, Value,
};

use super::{Activation, World};

pub(super) fn keyframe(next_frame: u64, current: u32, threads: Vec<(u32, Vec<Frame>)>) -> Keyframe {
    let thread = |(number, frames)| Thread {
        number: ThreadNumber(number),
        native: u64::from(number) + 1,
        name: Box::default(),
        below: 0,
        frames,
    };
    Keyframe {
        time: 0,
        newest: ObjectId(0),
        next_frame: FrameNumber(next_frame),
        threads: threads.into_iter().map(thread).collect(),
        current: ThreadNumber(current),
        objects: Vec::new(),
    }
}

impl World {
    /// The number of the site that fires where the plan has one, if one does. Once a guard has failed it is the plan's.
    fn firing(&mut self, site: u32) -> Option<u32> {
        let frame = self.frames.last().expect("one runs");
        let numeric = &mut self.numeric[frame.object.data().number as usize];
        if numeric.sites.is_empty() {
            return Some(site);
        }
        let index = numeric.sites.iter().position(|left| left.site == site)?;
        let slots = frame.object.locals().slots as usize;
        let is_number = |&slot: &u32| {
            let value = match (slot as usize).checked_sub(slots) {
                None => frame.locals[slot as usize],
                Some(slot) => frame.stack[slot],
            };
            matches!(value, Value::Int(int) if int.unsigned_abs() < 1 << GUARDED_BITS)
        };
        if numeric.sites[index].guards.iter().all(is_number) {
            return Some(frame.object.plan().sites.len() as u32 + index as u32);
        }
        numeric.sites.clear();
        Some(site)
    }

    pub(super) fn fire(&mut self, site: u32, raised: Option<u32>) {
        let Some(site) = self.firing(site) else {
            return;
        };
        let frame = self.frames.last().expect("one runs");
        let object = Arc::clone(&frame.object);
        let planned = &object.sites()[site as usize];
        let number = SiteNumber(object.data().site_base + site);
        let values = planned
            .captures
            .iter()
            .map(|&slot| {
                let slots = object.locals().slots;
                match slot.checked_sub(slots) {
                    None => frame.locals[slot as usize],
                    Some(slot) => frame.stack[slot as usize],
                }
            })
            .collect();
        if let Some(unit) = raised {
            self.before_push();
            self.prefixes
                .push(Prefix::Raised(unit, Progress::Executing));
        }
        self.record(Some(number), values);
    }

    /// Tells what is pending in the middle of the top frame's instruction.
    pub(super) fn tell(&mut self) {
        let Some((unit, values)) = self.frames.last_mut().and_then(Activation::pending) else {
            return;
        };
        self.before_push();
        self.introduce();
        let record = Record {
            pending: Some(unit),
            thread: ThreadNumber(self.thread),
            prefixes: std::mem::take(&mut self.prefixes),
            values,
            ..Record::default()
        };
        self.transcript.record(&record, Numbers::default());
    }

    /// The same of all other threads.
    fn tell_others(&mut self) {
        for other in &mut self.others {
            let Some((unit, values)) = other.frames.last_mut().and_then(Activation::pending) else {
                continue;
            };
            let record = Record {
                pending: Some(unit),
                thread: ThreadNumber(other.number),
                prefixes: match other.popped {
                    0 => Vec::new(),
                    count => vec![Prefix::Pop(count)],
                },
                values,
                ..Record::default()
            };
            self.transcript.record(&record, Numbers::default());
        }
    }

    pub(super) fn record(&mut self, site: Option<SiteNumber>, values: Vec<Value>) {
        self.before_push();
        self.introduce();
        let record = Record {
            offset: 0,
            site,
            pending: None,
            thread: ThreadNumber(self.thread),
            frame: None,
            prefixes: std::mem::take(&mut self.prefixes),
            objects: Vec::new(),
            values,
        };
        self.transcript.record(&record, Numbers::default());
        self.records += 1;
        // An exception that leaves is no place for a keyframe.
        let unwinds = record.site.is_some_and(|site| {
            self.codes
                .site(site)
                .is_some_and(|site| site.2.kind == SiteKind::Unwind)
        });
        // Whether a site before the same instruction has fired could not be told.
        let is_between = record.site.is_some_and(|site| {
            let found = self.codes.site(site);
            found.is_some_and(|(code, _, site)| match site.place {
                Place::After(at) => {
                    let code = self.codes.get(code).expect("it has a site");
                    code.plan().at(Place::Before(InstrIdx(at.0 + 1))).is_some()
                }
                Place::Before(_) => false,
            })
        });
        let ends = self.records >= self.next_chunk && !unwinds && !is_between;
        if ends {
            self.next_chunk = self.records + self.chunk_records;
            self.tell_others();
            let chunk = self.chunks.len() + 1;
            self.introduced = Some(chunk);
            let all = self.others.iter_mut().flat_map(|other| &mut other.frames);
            for frame in all.chain(&mut self.frames) {
                // Everything is in the keyframe.
                frame.told = frame.executing;
            }
            let frames = |frames: &[Activation]| frames.iter().map(Activation::frame).collect();
            let mut threads = vec![(self.thread, frames(&self.frames))];
            for other in &mut self.others {
                if !other.frames.is_empty() {
                    other.introduced = Some(chunk);
                    other.popped = 0;
                    threads.push((other.number, frames(&other.frames)));
                }
            }
            let keyframe = keyframe(self.next_frame, self.thread, threads);
            let new = Transcript::new(self.codes.captures(), &keyframe, Numbers::default());
            let full = std::mem::replace(&mut self.transcript, new);
            self.chunks.push(full.into_bytes());
        }
    }
}

impl Activation {
    /// What is pending in the middle of its instruction, if that has not been told: the unit, and the values.
    fn pending(&mut self) -> Option<(u32, Vec<Value>)> {
        if !self.executing || std::mem::replace(&mut self.told, true) {
            return None;
        }
        let (analysis, locals) = (self.object.analysis(), self.object.locals());
        let slots = self.object.plan().pending(self.at).iter();
        let values: Vec<Value> = slots
            .map(|&slot| pending_before(analysis, &locals, self.at, slot))
            .map(|slot| match slot.checked_sub(locals.slots) {
                None => self.locals[slot as usize],
                Some(slot) => self.stack[slot as usize],
            })
            .collect();
        (!values.is_empty()).then(|| (self.unit(), values))
    }

    pub(super) fn frame(&self) -> Frame {
        let slots = self.locals.iter().chain(&self.stack).copied().collect();
        Frame {
            number: FrameNumber(self.number),
            code: self.code,
            unit: self.unit(),
            progress: match self.executing {
                true => Progress::Executing,
                false => Progress::Ready,
            },
            slots,
        }
    }
}
