//! Reads a stream, whatever its bytes are: a typed error or a record, in time and memory linear in the chunk.

mod values;

use std::collections::HashMap;

use super::record::{ARRIVED, raised_at};
use super::{
    BigInt, Caller, Definition, Error, ErrorKind, Frame, FrameNumber, Keyframe, Last, ObjectId,
    Output, Predictor, Prefix, Progress, Reason, Record, SiteNumber, Strides, Thread, ThreadNumber,
    Value, WrittenBy, tag,
};
use crate::cursor::Cursor;
use values::Objects;

/// Reads the records of one chunk.
///
/// ```no_run
/// # fn main() -> Result<(), debugop_recording::stream::Error> {
/// # let (contents, captures): (&[u8], &[u32]) = (&[], &[]);
/// use debugop_recording::stream::{Decoder, Record};
///
/// let (mut decoder, keyframe) = Decoder::new(contents, captures)?;
/// println!("{} threads", keyframe.threads.len());
/// let mut record = Record::default();
/// while decoder.next(&mut record)? {
///     println!("{:?}", record.site);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Decoder<'a> {
    cursor: Cursor<'a>,
    captures: &'a [u32],
    objects: Objects,
    predictor: Predictor,
    strides: Strides,
    /// The recorded frames of each thread that are in this chunk, with the last site of each. Keyed by numbers from the
    /// file, so hashed safely.
    stacks: HashMap<u32, Vec<Top>>,
    /// The current thread, if there is any, and its frames, which are not in `stacks` meanwhile.
    current: Option<ThreadNumber>,
    stack: Vec<Top>,
    next_frame: u64,
    time: u64,
}

#[derive(Debug, Clone, Copy)]
struct Top {
    frame: FrameNumber,
    last: Option<SiteNumber>,
}

impl<'a> Decoder<'a> {
    /// `bytes`: a chunk's uncompressed contents; `captures`: for each site of the recording the number of values that it
    /// captures.
    ///
    /// # Errors
    ///
    /// If there is no keyframe.
    pub fn new(bytes: &'a [u8], captures: &'a [u32]) -> Result<(Self, Keyframe), Error> {
        Self::begin(bytes, captures, false)
    }

    /// As [`Decoder::new`], for [`Decoder::append`] alone: the record that everything is added to has the keyframe's objects from the beginning.
    ///
    /// # Errors
    ///
    /// If there is no keyframe.
    pub fn appending(bytes: &'a [u8], captures: &'a [u32]) -> Result<(Self, Keyframe), Error> {
        Self::begin(bytes, captures, true)
    }

    fn begin(bytes: &'a [u8], captures: &'a [u32], keeps: bool) -> Result<(Self, Keyframe), Error> {
        let mut decoder = Decoder {
            cursor: Cursor::new(bytes),
            captures,
            objects: Objects::new(keeps),
            predictor: Predictor::new(captures.len()),
            strides: Strides::new(captures.len()),
            stacks: HashMap::default(),
            current: None,
            stack: Vec::new(),
            next_frame: 0,
            time: 0,
        };
        let keyframe = decoder.keyframe()?;
        Ok((decoder, keyframe))
    }

    /// The next record; `false` at the end. After an error the decoder has come to its end.
    ///
    /// # Errors
    ///
    /// If the bytes are no record.
    pub fn next(&mut self, record: &mut Record) -> Result<bool, Error> {
        record.clear();
        self.append(record)
    }

    /// As [`Decoder::next`], but its prefixes, objects and values are added to those of the records before, which `record` still has.
    ///
    /// # Errors
    ///
    /// If the bytes are no record.
    pub fn append(&mut self, record: &mut Record) -> Result<bool, Error> {
        record.site = None;
        record.pending = None;
        record.offset = self.cursor.at();
        if self.cursor.is_at_end() {
            return Ok(false);
        }
        let read = self.record(record);
        if read.is_err() {
            self.cursor.finish();
        }
        read.map(|()| true)
    }

    /// Where the next record begins, in bytes.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.cursor.at()
    }

    /// The large ints that were seen so far; [`Value::BigInt`](super::Value::BigInt) is an index into them.
    #[must_use]
    pub fn big_ints(&self) -> &[BigInt] {
        &self.objects.big_ints
    }

    /// The complex numbers that were seen so far, as the bits of real and imaginary part;
    /// [`Value::Complex`](super::Value::Complex) is an index into them.
    #[must_use]
    pub fn complexes(&self) -> &[[u64; 2]] {
        &self.objects.complexes
    }

    /// The number that the next new frame gets.
    #[must_use]
    pub fn next_frame(&self) -> FrameNumber {
        FrameNumber(self.next_frame)
    }

    fn keyframe(&mut self) -> Result<Keyframe, Error> {
        let mut objects = Vec::new();
        self.time = self.cursor.varint()?;
        let newest = ObjectId(self.cursor.varint()?);
        self.objects.begin(newest);
        self.next_frame = self.cursor.varint()?;
        // A thread takes at least 5 bytes, a frame at least 4.
        let count = self.cursor.count(5)?;
        let current = ThreadNumber(self.cursor.number()?);
        let mut threads = at_most(count);
        for _ in 0..count {
            threads.push(self.keyframe_thread(&mut objects)?);
        }
        if count > 0 {
            self.switch(current)?;
        }
        Ok(Keyframe {
            time: self.time,
            newest,
            next_frame: FrameNumber(self.next_frame),
            threads,
            current,
            objects,
        })
    }

    fn keyframe_thread(&mut self, objects: &mut Vec<Definition>) -> Result<Thread, Error> {
        let number = self.new_thread_number()?;
        let native = self.cursor.varint()?;
        let name = self.cursor.bytes()?.into();
        let below = self.cursor.varint()?;
        let count = self.cursor.count(4)?;
        let mut frames = at_most(count);
        for _ in 0..count {
            frames.push(self.frame(objects)?);
        }
        let stack = frames.iter().map(|frame| Top::at(frame.number)).collect();
        self.stacks.insert(number.0, stack);
        Ok(Thread {
            number,
            native,
            name,
            below,
            frames,
        })
    }

    fn new_thread_number(&mut self) -> Result<ThreadNumber, Error> {
        let at = self.cursor.at();
        let number = self.cursor.number()?;
        if self.current == Some(ThreadNumber(number)) || self.stacks.contains_key(&number) {
            return Err(ErrorKind::KnownThread(number.into()).at(at));
        }
        Ok(ThreadNumber(number))
    }

    fn frame(&mut self, objects: &mut Vec<Definition>) -> Result<Frame, Error> {
        let number = FrameNumber(self.cursor.varint()?);
        let code = self.cursor.number()?;
        let at = self.cursor.at();
        let place = self.cursor.varint()?;
        let unit = u32::try_from((place & !ARRIVED) >> 1).map_err(|_| ErrorKind::Number.at(at))?;
        let progress = match (place & ARRIVED, place & 1) {
            (0, 0) => Progress::Ready,
            (0, _) => Progress::Executing,
            (_, 0) => Progress::Arrived,
            _ => Progress::Told,
        };
        let count = self.cursor.count(1)?;
        let mut slots = at_most(count);
        for _ in 0..count {
            slots.push(self.objects.value(&mut self.cursor, objects)?);
        }
        Ok(Frame {
            number,
            code,
            unit,
            progress,
            slots: slots.into(),
        })
    }

    /// Makes this thread the current one.
    fn switch(&mut self, to: ThreadNumber) -> Result<(), Error> {
        if self.current == Some(to) {
            return Ok(());
        }
        let Some(stack) = self.stacks.remove(&to.0) else {
            return Err(ErrorKind::UnknownThread(to.0.into()).at(self.cursor.at()));
        };
        let left = std::mem::replace(&mut self.stack, stack);
        if let Some(from) = self.current.replace(to) {
            self.stacks.insert(from.0, left);
        }
        Ok(())
    }

    #[inline]
    fn record(&mut self, record: &mut Record) -> Result<(), Error> {
        self.parts(record)?;
        let missing = || ErrorKind::NoThread.at(record.offset);
        record.thread = self.current.ok_or_else(missing)?;
        record.frame = self.stack.last().map(|top| top.frame);
        Ok(())
    }

    fn parts(&mut self, record: &mut Record) -> Result<(), Error> {
        // Most records are a site that is predicted.
        if let Some(tag) = self.cursor.peek()
            && (tag <= tag::HIT || tag >= tag::RECENT)
        {
            let last = self.last(false);
            return self.body(record, None, last);
        }
        let mut order = Order::default();
        let mut named = None;
        let mut last = None;
        while let Some(tag) = self.cursor.peek() {
            if tag <= tag::HIT || tag >= tag::RECENT {
                let last = last.unwrap_or_else(|| self.last(order.popped));
                return self.body(record, named, last);
            }
            let at = self.cursor.at();
            self.cursor.skip();
            order.check(tag).map_err(|kind| kind.at(at))?;
            if order.pushed && last.is_none() {
                last = Some(self.last(order.popped));
            }
            if tag == tag::PENDING {
                if order.pushed || order.named {
                    return Err(ErrorKind::Misplaced(tag).at(at));
                }
                return self.pending(record);
            }
            if tag == tag::SITE {
                let at = self.cursor.at();
                let number = self.cursor.varint()?;
                named = Some(self.known_site(number).map_err(|kind| kind.at(at))?);
            } else {
                self.prefix(tag, at, record)?;
            }
        }
        if named.is_some() {
            return Err(ErrorKind::Truncated.at(self.cursor.at()));
        }
        Ok(())
    }

    fn known_site(&self, number: u64) -> Result<SiteNumber, ErrorKind> {
        u32::try_from(number)
            .ok()
            .filter(|&site| (site as usize) < self.captures.len())
            .map(SiteNumber)
            .ok_or(ErrorKind::UnknownSite(number))
    }

    /// The predictor's key.
    #[inline]
    fn last(&self, popped: bool) -> Last {
        match self.stack.last().and_then(|top| top.last) {
            Some(site) => Last::site(site, popped),
            None => Last::NOTHING,
        }
    }

    fn body(
        &mut self,
        record: &mut Record,
        named: Option<SiteNumber>,
        last: Last,
    ) -> Result<(), Error> {
        let at = self.cursor.at();
        let site = match named {
            Some(site) => {
                // As the writer did; whether it was predicted does not matter.
                let _ = self.predictor.follows(last, site);
                site
            }
            None => self
                .predictor
                .predicted(last)
                .ok_or_else(|| ErrorKind::NoSite.at(at))?,
        };
        let count = *self
            .captures
            .get(site.0 as usize)
            .ok_or_else(|| ErrorKind::UnknownSite(site.0.into()).at(at))?;
        if count == 0 {
            match self.cursor.byte()? {
                tag::HIT => {}
                other => return Err(ErrorKind::Misplaced(other).at(at)),
            }
        }
        for capture in 0..count as usize {
            let value = if self.cursor.peek() == Some(tag::INT_NEXT) {
                let at = self.cursor.at();
                self.cursor.skip();
                let expected = self.strides.expected(site, capture);
                Value::Int(expected.ok_or(ErrorKind::NoInt.at(at))?)
            } else {
                self.objects.value(&mut self.cursor, &mut record.objects)?
            };
            if let Value::Int(value) = value {
                // As the writer did; whether it was expected does not matter.
                let _ = self.strides.follows(site, capture, value);
            }
            record.values.push(value);
        }
        if let Some(top) = self.stack.last_mut() {
            top.last = Some(site);
        }
        record.site = Some(site);
        Ok(())
    }

    /// What the frame on top holds in the middle of an instruction.
    fn pending(&mut self, record: &mut Record) -> Result<(), Error> {
        record.pending = Some(self.cursor.number()?);
        for _ in 0..self.cursor.count(1)? {
            let value = self.objects.value(&mut self.cursor, &mut record.objects)?;
            record.values.push(value);
        }
        Ok(())
    }

    fn prefix(&mut self, tag: u8, at: usize, record: &mut Record) -> Result<(), Error> {
        let cursor = &mut self.cursor;
        let prefix = match tag {
            tag::THREAD => {
                let number = ThreadNumber(cursor.number()?);
                return self.switch(number);
            }
            tag::THREAD_NEW => {
                let number = self.new_thread_number()?;
                let thread = Thread {
                    number,
                    native: self.cursor.varint()?,
                    name: self.cursor.bytes()?.into(),
                    below: self.cursor.varint()?,
                    frames: Vec::new(),
                };
                self.stacks.insert(number.0, Vec::new());
                self.switch(number)?;
                Prefix::Thread(Box::new(thread))
            }
            tag::THREAD_END => {
                let number = ThreadNumber(cursor.number()?);
                let stack = match self.current {
                    Some(current) if current == number => Some(&mut self.stack),
                    _ => self.stacks.get_mut(&number.0),
                };
                stack
                    .ok_or(ErrorKind::UnknownThread(number.0.into()).at(at))?
                    .clear();
                Prefix::ThreadEnd(number)
            }
            tag::POP_1 => self.pop(1, at)?,
            tag::POP => {
                let count = cursor.varint()?;
                self.pop(count, at)?
            }
            tag::ENTER => {
                let caller = Caller::Unit(cursor.number()?);
                Prefix::Enter(self.enter(at)?, caller)
            }
            tag::ENTER_FOREIGN => {
                let caller = Caller::Foreign(cursor.optional_number()?);
                Prefix::Enter(self.enter(at)?, caller)
            }
            tag::REENTER | tag::REENTER_FOREIGN => {
                let frame = FrameNumber(cursor.varint()?);
                let caller = if tag == tag::REENTER {
                    Caller::Unit(cursor.number()?)
                } else {
                    Caller::Foreign(cursor.optional_number()?)
                };
                self.stack.push(Top::at(frame));
                Prefix::Reenter(frame, caller)
            }
            tag::ATTACH => {
                let frame = self.frame(&mut record.objects)?;
                // It may be a frame that nobody has announced: then it has got the next number.
                self.next_frame = self.next_frame.max(frame.number.0.saturating_add(1));
                self.stack.push(Top::at(frame.number));
                Prefix::Attach(Box::new(frame))
            }
            tag::STANDS => {
                let frame = self.frame(&mut record.objects)?;
                let top = self.stack.last().map(|top| top.frame);
                if top != Some(frame.number) {
                    return Err(ErrorKind::Misplaced(tag).at(at));
                }
                Prefix::Stands(Box::new(frame))
            }
            tag::INSIDE => Prefix::Inside(cursor.number()?),
            tag::TOLD => Prefix::Told(cursor.number()?),
            tag::RAISED => {
                let from = cursor.at();
                let found = raised_at(cursor.varint()?);
                let (unit, progress) = found.ok_or(ErrorKind::Number.at(from))?;
                Prefix::Raised(unit, progress)
            }
            tag::UPDATE => return self.objects.update(cursor, &mut record.objects),
            tag::UPDATE_PART => return self.objects.update_part(cursor, &mut record.objects),
            tag::TIME => {
                let since = cursor.varint()?;
                self.time = self
                    .time
                    .checked_add(since)
                    .ok_or(ErrorKind::Counter.at(at))?;
                Prefix::Time(self.time)
            }
            tag::OUTPUT => {
                let (stream, by) = match cursor.byte()? {
                    stream @ (1 | 2) => (stream, None),
                    stream @ (3 | 4) => {
                        let frame = FrameNumber(cursor.varint()?);
                        let unit = cursor.number()?;
                        (stream - tag::WITH_WRITER, Some(WrittenBy { frame, unit }))
                    }
                    _ => return Err(ErrorKind::Number.at(at + 1)),
                };
                let bytes = cursor.bytes()?.into();
                Prefix::Output(Box::new(Output { stream, bytes, by }))
            }
            tag::LOST => Prefix::Lost(Reason(cursor.varint()?)),
            other => return Err(ErrorKind::Tag(other).at(at)),
        };
        record.prefixes.push(prefix);
        Ok(())
    }

    fn pop(&mut self, count: u64, at: usize) -> Result<Prefix, Error> {
        let depth = self.stack.len();
        match u32::try_from(count) {
            Ok(popped @ 1..) if popped as usize <= depth => {
                self.stack.truncate(depth - popped as usize);
                Ok(Prefix::Pop(popped))
            }
            _ => Err(ErrorKind::Pop(count, depth).at(at)),
        }
    }

    fn enter(&mut self, at: usize) -> Result<FrameNumber, Error> {
        let number = FrameNumber(self.next_frame);
        self.next_frame = self
            .next_frame
            .checked_add(1)
            .ok_or(ErrorKind::Counter.at(at))?;
        self.stack.push(Top::at(number));
        Ok(number)
    }
}

/// Room for `count` things as a file announces them: no more than a little of it in advance.
fn at_most<T>(count: usize) -> Vec<T> {
    Vec::with_capacity(count.min(32))
}

impl Top {
    fn at(frame: FrameNumber) -> Self {
        Top { frame, last: None }
    }
}

/// Which prefixes a record has had, as far as their order matters.
#[derive(Default)]
struct Order {
    threaded: bool,
    popped: bool,
    pushed: bool,
    named: bool,
}

impl Order {
    /// A thread comes before the frames that it pops, which come before those that it pushes.
    fn check(&mut self, tag: u8) -> Result<(), ErrorKind> {
        let Order {
            threaded,
            popped,
            pushed,
            named,
        } = self;
        let (flag, after) = match tag {
            tag::THREAD | tag::THREAD_NEW => (threaded, *popped || *pushed),
            tag::POP_1 | tag::POP => (popped, *pushed),
            tag::ENTER | tag::ENTER_FOREIGN | tag::REENTER | tag::REENTER_FOREIGN => {
                (pushed, false)
            }
            tag::ATTACH => {
                *pushed = true;
                return Ok(());
            }
            tag::SITE => (named, false),
            _ => return Ok(()),
        };
        if after || std::mem::replace(flag, true) {
            return Err(ErrorKind::Twice(tag));
        }
        Ok(())
    }
}
