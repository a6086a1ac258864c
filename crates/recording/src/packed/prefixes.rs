//! What happens before a site fires, and the keyframe.

use super::Coding;
use super::coder::Coder;
use super::model::{Context, mix};
use super::records::{Codec, Top};
use super::values::{At, content};
use crate::stream::{
    Caller, Error, ErrorKind, Frame, FrameNumber, Keyframe, Numbers, ObjectId, Output, Prefix,
    Progress, Reason, Thread, ThreadNumber, Value, WrittenBy, raised_at, raised_number,
};

mod set {
    pub(super) const PREFIX: u8 = 60;
    pub(super) const NUMBER: u8 = 61;
    pub(super) const CALLER: u8 = 62;
    pub(super) const NAME: u8 = 63;
    pub(super) const OUTPUT: u8 = 64;
    pub(super) const KEYFRAME: u8 = 65;
    pub(super) const OBJECTS: u8 = 66;
    pub(super) const CHILD: u8 = 67;
    pub(super) const WRITER: u8 = 68;
}

/// No prefix is left.
const NO_MORE: u32 = 0;

/// The number by which a prefix is known.
pub(super) fn number_of(prefix: &Prefix) -> u32 {
    match prefix {
        Prefix::Thread(_) => 1,
        Prefix::ThreadEnd(_) => 2,
        Prefix::Pop(_) => 3,
        Prefix::Enter(..) => 4,
        Prefix::Reenter(..) => 5,
        Prefix::Inside(_) => 6,
        Prefix::Told(_) => 7,
        Prefix::Attach(_) => 8,
        Prefix::Raised(..) => 9,
        Prefix::Time(_) => 10,
        Prefix::Output(output) => match output.by {
            None => 11,
            Some(_) => 14,
        },
        Prefix::Lost(_) => 12,
        Prefix::Stands(_) => 13,
    }
}

impl<C: Coder> Codec<'_, C> {
    /// Who wrote something: how far the frame is from the one on top, and the unit.
    fn writer(&mut self, given: Option<WrittenBy>) -> Result<WrittenBy, Error> {
        let top = self.stack.last().map_or(0, |top| top.frame().0);
        let (frame, unit) = given.map_or((0, 0), |by| (by.frame.0, by.unit));
        let above = frame.wrapping_sub(top).cast_signed();
        let context = Context::new(set::WRITER, 0, 0, 0);
        let above = self.model.signed(context, above).cast_unsigned();
        let context = Context::new(set::WRITER, 1, 0, 0);
        let unit = self.model.number(context, u64::from(unit));
        let damaged = |_| ErrorKind::Number.at(self.offset);
        Ok(WrittenBy {
            frame: FrameNumber(top.wrapping_add(above)),
            unit: u32::try_from(unit).map_err(damaged)?,
        })
    }

    /// The next prefix of a record; `before`: what it depends on. Follows the frames as the stream's reader does.
    pub(super) fn prefix(
        &mut self,
        before: u32,
        given: Option<&Prefix>,
        numbers: Numbers<'_>,
    ) -> Result<Option<Prefix>, Error> {
        let offset = self.offset;
        let damaged = |kind: ErrorKind| kind.at(offset);
        let (truncated, number) = (damaged(ErrorKind::Truncated), damaged(ErrorKind::Number));
        let key = self.key();
        let context = Context::new(set::PREFIX, key, before, self.top_history());
        let found = self
            .model
            .symbol(context, 4, given.map_or(NO_MORE, number_of));
        let at = Context::new(set::NUMBER, found, key, before);
        Ok(Some(match found {
            NO_MORE => return Ok(None),
            1 => {
                let given = match given {
                    Some(Prefix::Thread(thread)) => Some(&**thread),
                    _ => None,
                };
                let thread = self.thread_header(given)?.0;
                self.introduce(&thread, Vec::new())?;
                self.switch(thread.number)?;
                Prefix::Thread(Box::new(thread))
            }
            2 => {
                let given = if let Some(&Prefix::ThreadEnd(of)) = given {
                    of.0
                } else {
                    0
                };
                let of = self.small(at, given)?;
                self.end_thread(ThreadNumber(of))?;
                Prefix::ThreadEnd(ThreadNumber(of))
            }
            3 => {
                let given = if let Some(&Prefix::Pop(count)) = given {
                    count
                } else {
                    0
                };
                let count = self.small(at, given)?;
                let depth = self.stack.len();
                let left = depth.checked_sub(count as usize).filter(|_| count > 0);
                let left = left.ok_or(damaged(ErrorKind::Pop(count.into(), depth)))?;
                self.stack.truncate(left);
                Prefix::Pop(count)
            }
            4 => {
                let given = match given {
                    Some(&Prefix::Enter(_, caller)) => Some(caller),
                    _ => None,
                };
                let caller = self.caller(given)?;
                let frame = self.starts()?;
                self.call(frame);
                Prefix::Enter(frame, caller)
            }
            5 => {
                let (frame, caller) = match given {
                    Some(&Prefix::Reenter(frame, caller)) => (frame.0, Some(caller)),
                    _ => (0, None),
                };
                let child = self.child_of(self.stack.len());
                let context = Context::new(set::CHILD, key, before, self.top_history());
                let frame = match self.model.coding() {
                    Coding::Five | Coding::Six if self.model.bit(context, child == frame) => child,
                    _ => self.reentered(at, frame),
                };
                let frame = FrameNumber(frame);
                let caller = self.caller(caller)?;
                self.call(frame);
                Prefix::Reenter(frame, caller)
            }
            6 => {
                let given = if let Some(&Prefix::Inside(unit)) = given {
                    unit
                } else {
                    0
                };
                Prefix::Inside(self.small(at, given)?)
            }
            7 => {
                let given = if let Some(&Prefix::Told(unit)) = given {
                    unit
                } else {
                    0
                };
                Prefix::Told(self.small(at, given)?)
            }
            8 => {
                let given = match given {
                    Some(Prefix::Attach(frame)) => Some(&**frame),
                    _ => None,
                };
                let frame = self.frame(given, numbers)?;
                self.next_frame = self.next_frame.max(frame.number.0.saturating_add(1));
                self.stack.push(Top::at(frame.number));
                Prefix::Attach(Box::new(frame))
            }
            9 => {
                let given = match given {
                    Some(&Prefix::Raised(unit, progress)) => raised_number(unit, progress),
                    _ => 0,
                };
                let (unit, progress) = raised_at(self.model.number(at, given)).ok_or(number)?;
                Prefix::Raised(unit, progress)
            }
            10 => {
                let given = if let Some(&Prefix::Time(time)) = given {
                    time
                } else {
                    0
                };
                let since = given.wrapping_sub(self.time);
                let since = self
                    .model
                    .number(Context::new(set::NUMBER, found, 0, 0), since);
                self.time = self.time.checked_add(since).ok_or(number)?;
                Prefix::Time(self.time)
            }
            11 | 14 => {
                let given = match given {
                    Some(Prefix::Output(output)) => Some(&**output),
                    _ => None,
                };
                let stream = self
                    .model
                    .bit(at, given.is_some_and(|output| output.stream == 2));
                let bytes = given.map_or(&[][..], |output| &output.bytes);
                let bytes = self.model.bytes(set::OUTPUT, bytes).ok_or(truncated)?;
                let by = match found {
                    11 => None,
                    _ => Some(self.writer(given.and_then(|output| output.by))?),
                };
                Prefix::Output(Box::new(Output {
                    stream: 1 + u8::from(stream),
                    bytes,
                    by,
                }))
            }
            12 => {
                let given = if let Some(&Prefix::Lost(reason)) = given {
                    reason.0
                } else {
                    0
                };
                Prefix::Lost(Reason(self.model.number(at, given)))
            }
            13 => {
                let given = match given {
                    Some(Prefix::Stands(frame)) => Some(&**frame),
                    _ => None,
                };
                Prefix::Stands(Box::new(self.frame(given, numbers)?))
            }
            _ => return Err(number),
        }))
    }

    /// The frame that the one on top of so many frames of the stack has called last.
    pub(super) fn child_of(&self, depth: usize) -> u64 {
        let top = depth.checked_sub(1).and_then(|top| self.stack.get(top));
        let top = top.map_or(0, |top| top.frame().0);
        self.children.get(&top).copied().unwrap_or(0)
    }

    /// The number of a new frame.
    pub(super) fn starts(&mut self) -> Result<FrameNumber, Error> {
        let frame = FrameNumber(self.next_frame);
        let after = self.next_frame.checked_add(1);
        self.next_frame = after.ok_or(ErrorKind::Number.at(self.offset))?;
        Ok(frame)
    }

    /// A frame is called by the one on top.
    pub(super) fn call(&mut self, frame: FrameNumber) {
        let top = self.stack.last().map_or(0, |top| top.frame().0);
        self.children.insert(top, frame.0);
        self.stack.push(Top::at(frame));
    }

    /// The number of a suspended frame that goes on, by that of the one before.
    fn reentered(&mut self, context: Context, given: u64) -> u64 {
        let last = self.last_reentered;
        let behind = self.next_frame.wrapping_sub(given).wrapping_sub(last);
        let behind = self.model.signed(context, behind.cast_signed());
        self.last_reentered = last.wrapping_add(behind.cast_unsigned());
        self.next_frame.wrapping_sub(self.last_reentered)
    }

    /// A number of 32 bits.
    pub(super) fn small(&mut self, context: Context, given: u32) -> Result<u32, Error> {
        let number = self.model.number(context, given.into());
        u32::try_from(number).map_err(|_| ErrorKind::Number.at(self.offset))
    }

    fn caller(&mut self, given: Option<Caller>) -> Result<Caller, Error> {
        let key = self.key();
        let context = Context::new(set::CALLER, key, self.top_history(), 0);
        let is_foreign = matches!(given, Some(Caller::Foreign(_)));
        let is_foreign = self.model.bit(context.with(1), is_foreign);
        let given = match given {
            Some(Caller::Unit(unit)) => unit.into(),
            Some(Caller::Foreign(Some(unit))) => u64::from(unit) + 1,
            _ => 0,
        };
        let number = self.model.number(context.with(2), given);
        let small = |number| u32::try_from(number).map_err(|_| ErrorKind::Number.at(self.offset));
        Ok(match is_foreign {
            false => Caller::Unit(small(number)?),
            true => Caller::Foreign(number.checked_sub(1).map(small).transpose()?),
        })
    }

    /// A thread without frames, and how many it has.
    fn thread_header(&mut self, given: Option<&Thread>) -> Result<(Thread, u64), Error> {
        let at = |number| Context::new(set::KEYFRAME, number, 0, 0);
        let number = self.small(at(1), given.map_or(0, |given| given.number.0))?;
        let native = self
            .model
            .number(at(2), given.map_or(0, |given| given.native));
        let name = given.map_or(&[][..], |given| &given.name);
        let name = self.model.bytes(set::NAME, name);
        let name = name.ok_or(ErrorKind::Truncated.at(self.offset))?;
        let below = self
            .model
            .number(at(3), given.map_or(0, |given| given.below));
        let frames = given.map_or(0, |given| given.frames.len() as u64);
        let frames = self.model.number(at(4), frames);
        let thread = Thread {
            number: ThreadNumber(number),
            native,
            name,
            below,
            frames: Vec::new(),
        };
        Ok((thread, frames))
    }

    /// A frame of a keyframe, or one met in the middle.
    fn frame(&mut self, given: Option<&Frame>, numbers: Numbers<'_>) -> Result<Frame, Error> {
        let at = |number, code| Context::new(set::KEYFRAME, number, code, 0);
        let number = given.map_or(0, |given| given.number.0);
        let behind = self.next_frame.wrapping_sub(number).cast_signed();
        let behind = self.model.signed(at(5, 0), behind);
        let number = self.next_frame.wrapping_sub(behind.cast_unsigned());
        let code = self.small(at(6, 0), given.map_or(0, |given| given.code))?;
        let unit = self.small(at(7, code), given.map_or(0, |given| given.unit))?;
        let progress = given.map_or(0, |given| match given.progress {
            Progress::Ready => 0,
            Progress::Executing => 1,
            Progress::Arrived => 2,
            Progress::Told => 3,
        });
        let progress = match self.model.symbol(at(8, code), 2, progress) {
            0 => Progress::Ready,
            1 => Progress::Executing,
            2 => Progress::Arrived,
            _ => Progress::Told,
        };
        let count = given.map_or(0, |given| given.slots.len() as u64);
        let count = self.model.number(at(9, code), count);
        let mut slots: Vec<Value> = Vec::new();
        for index in 0..count {
            let at = At {
                place: mix(code, index as u32 | 1 << 30),
                before: unit,
            };
            let given = given.and_then(|given| given.slots.get(index as usize));
            let given = given.copied().unwrap_or(Value::Null);
            let newest = self.objects.newest;
            slots.push(content(
                &mut self.model,
                &mut self.memory,
                newest,
                at,
                given,
                numbers,
            )?);
            self.check()?;
        }
        Ok(Frame {
            number: FrameNumber(number),
            code,
            unit,
            progress,
            slots: slots.into(),
        })
    }

    /// How things are when the chunk begins.
    pub(super) fn keyframe(
        &mut self,
        given: Option<&Keyframe>,
        numbers: Numbers<'_>,
    ) -> Result<Keyframe, Error> {
        let at = |number| Context::new(set::KEYFRAME, number, 1, 0);
        self.time = self
            .model
            .number(at(20), given.map_or(0, |given| given.time));
        let newest = self
            .model
            .number(at(21), given.map_or(0, |given| given.newest.0));
        self.objects.newest = ObjectId(newest);
        self.next_frame = self
            .model
            .number(at(22), given.map_or(0, |given| given.next_frame.0));
        let count = given.map_or(0, |given| given.objects.len());
        let mut objects = Vec::new();
        loop {
            let more = Context::new(set::OBJECTS, 0, 0, 0);
            if !self.model.bit(more, objects.len() < count) {
                break;
            }
            let given = given.and_then(|given| given.objects.get(objects.len()));
            objects.push(self.definition(0, given, numbers)?);
            self.check()?;
        }
        let count = given.map_or(0, |given| given.threads.len() as u64);
        let count = self.model.number(at(23), count);
        let mut threads = Vec::new();
        for index in 0..count {
            let given = given.and_then(|given| given.threads.get(index as usize));
            let (mut thread, frames) = self.thread_header(given)?;
            for index in 0..frames {
                let given = given.and_then(|given| given.frames.get(index as usize));
                thread.frames.push(self.frame(given, numbers)?);
                self.check()?;
            }
            let stack = thread.frames.iter().map(|frame| Top::at(frame.number));
            self.introduce(&thread, stack.collect())?;
            threads.push(thread);
            self.check()?;
        }
        let current = self.small(at(24), given.map_or(0, |given| given.current.0))?;
        if !threads.is_empty() {
            self.switch(ThreadNumber(current))?;
        }
        Ok(Keyframe {
            time: self.time,
            newest: ObjectId(newest),
            next_frame: FrameNumber(self.next_frame),
            threads,
            current: ThreadNumber(current),
            objects,
        })
    }
}
