//! Records, in either direction.

use rustc_hash::FxHashMap;

use super::coder::Coder;
use super::contents::Objects;
use super::model::{Context, Model, mix};
use super::prefixes::number_of;
use super::shapes::{Come, SHAPES, Shape};
use super::values::{At, Entry, Memory, how, value};
use super::{Coding, Follow};
use crate::stream::{
    Error, ErrorKind, FrameNumber, Numbers, Prefix, Record, SiteNumber, Thread, ThreadNumber, Value,
};

mod set {
    pub(super) const QUIET: u8 = 1;
    pub(super) const BODY: u8 = 2;
    pub(super) const THREAD: u8 = 3;
    pub(super) const OBJECTS: u8 = 4;
    pub(super) const SITE: u8 = 5;
    pub(super) const HOW: u8 = 6;
    pub(super) const COUNT: u8 = 7;
    pub(super) const USUAL: u8 = 8;
}

pub(super) mod body {
    pub(in crate::packed) const NOTHING: u32 = 0;
    pub(in crate::packed) const SITE: u32 = 1;
    pub(in crate::packed) const PENDING: u32 = 2;
    /// There is no such record: the chunk ends.
    pub(in crate::packed) const END: u32 = 3;
}

/// Sites that follow several sites.
const FOLLOWING: u32 = 16;
/// Places of values that no site captures.
const OTHERS: usize = 4096;

/// A frame on a thread's stack.
#[derive(Clone, Copy, Debug)]
pub(super) struct Top {
    frame: FrameNumber,
    /// The last site + 1; 0: none in this chunk.
    last: u32,
    /// The sites before, as a hash.
    history: u32,
}

impl Top {
    pub(super) fn at(frame: FrameNumber) -> Self {
        Top {
            frame,
            last: 0,
            history: 0,
        }
    }

    pub(super) fn frame(self) -> FrameNumber {
        self.frame
    }
}

/// What a record is told by.
#[derive(Clone, Copy)]
pub(super) struct Key {
    /// As [`Last`](crate::stream::Last).
    last: u32,
    history: u32,
}

/// A record to be written.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) record: &'a Record,
    pub(super) computed: &'a [bool],
    pub(super) numbers: Numbers<'a>,
}

/// Both directions.
pub(super) struct Codec<'a, C> {
    pub(super) model: Model<C>,
    pub(super) memory: Memory,
    pub(super) objects: Objects,
    /// Number of the record.
    pub(super) offset: usize,
    captures: &'a [u32],
    /// Of each site the place of its first capture.
    firsts: Vec<u32>,
    entries: Vec<Entry>,
    /// The site that came last time, + 1: by the last one, and by several.
    after_one: Vec<u32>,
    after_more: Vec<u32>,
    /// The prefixes that came last time, by several sites.
    pub(super) shapes: Vec<Shape>,
    stacks: FxHashMap<u32, Vec<Top>>,
    pub(super) current: Option<ThreadNumber>,
    pub(super) stack: Vec<Top>,
    pub(super) next_frame: u64,
    pub(super) time: u64,
    pub(super) last_reentered: u64,
    /// By the number of a frame, the frame that it has called last.
    pub(super) children: FxHashMap<u64, u64>,
    /// Places of the values of the record that has been coded last.
    places: Vec<u32>,
    pub(super) hows: Vec<u8>,
    /// Whether the last records were as expected, one bit each.
    recent: u32,
}

impl<'a, C: Coder> Codec<'a, C> {
    pub(super) fn new(coder: C, coding: Coding, raw: usize, captures: &'a [u32]) -> Self {
        let mut firsts = Vec::with_capacity(captures.len());
        let mut total = 0_usize;
        for &count in captures {
            firsts.push(total as u32);
            total += count as usize;
        }
        Codec {
            model: Model::new(coder, coding, raw as u64 * 128 + (1 << 17)),
            memory: Memory::new(),
            objects: Objects::default(),
            offset: 0,
            captures,
            firsts,
            entries: vec![Entry::default(); total + OTHERS],
            after_one: vec![0; 2 * captures.len() + 2],
            after_more: vec![0; 1 << FOLLOWING],
            shapes: vec![Shape::default(); SHAPES],
            stacks: FxHashMap::default(),
            current: None,
            stack: Vec::new(),
            next_frame: 0,
            time: 0,
            last_reentered: 0,
            children: FxHashMap::default(),
            places: Vec::new(),
            hows: Vec::new(),
            recent: 0,
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        match self.model.is_over() {
            false => Ok(()),
            true => Err(ErrorKind::Truncated.at(self.offset)),
        }
    }

    /// The last site of the frame on top.
    pub(super) fn key(&self) -> u32 {
        self.stack.last().map_or(0, |top| top.last)
    }

    pub(super) fn top_history(&self) -> u32 {
        self.stack.last().map_or(0, |top| top.history)
    }

    pub(super) fn introduce(&mut self, thread: &Thread, stack: Vec<Top>) -> Result<(), Error> {
        let number = thread.number;
        if self.current == Some(number) || self.stacks.contains_key(&number.0) {
            return Err(ErrorKind::KnownThread(number.0.into()).at(self.offset));
        }
        self.stacks.insert(number.0, stack);
        Ok(())
    }

    pub(super) fn switch(&mut self, to: ThreadNumber) -> Result<(), Error> {
        if self.current == Some(to) {
            return Ok(());
        }
        let Some(stack) = self.stacks.remove(&to.0) else {
            return Err(ErrorKind::UnknownThread(to.0.into()).at(self.offset));
        };
        let left = std::mem::replace(&mut self.stack, stack);
        if let Some(from) = self.current.replace(to) {
            self.stacks.insert(from.0, left);
        }
        Ok(())
    }

    pub(super) fn end_thread(&mut self, number: ThreadNumber) -> Result<(), Error> {
        let stack = match self.current {
            Some(current) if current == number => Some(&mut self.stack),
            _ => self.stacks.get_mut(&number.0),
        };
        stack
            .ok_or(ErrorKind::UnknownThread(number.0.into()).at(self.offset))?
            .clear();
        Ok(())
    }

    #[inline]
    pub(super) fn key_of(&self, popped: bool) -> Key {
        let top = self.stack.last();
        let last = match top.map_or(0, |top| top.last) {
            0 => 0,
            site => 2 * site + u32::from(popped),
        };
        Key {
            last,
            history: top.map_or(0, |top| top.history),
        }
    }

    #[inline]
    pub(super) fn more(key: Key) -> usize {
        (mix(key.last, key.history) >> (32 - FOLLOWING)) as usize
    }

    /// The site that is likely to come.
    #[inline]
    fn expected(&self, key: Key) -> Option<SiteNumber> {
        let one = || self.after_one.get(key.last as usize).copied();
        let more = self.after_more[Self::more(key)];
        let found = if more > 0 { more } else { one().unwrap_or(0) };
        found.checked_sub(1).map(SiteNumber)
    }

    /// This site has come.
    #[inline]
    fn came(&mut self, key: Key, site: SiteNumber) {
        self.after_more[Self::more(key)] = site.0 + 1;
        if let Some(known) = self.after_one.get_mut(key.last as usize) {
            *known = site.0 + 1;
        }
        if let Some(top) = self.stack.last_mut() {
            // Of the last four: older ones are shifted out.
            top.history = (top.history << 8) ^ mix(top.last, 77) >> 20;
            top.last = site.0 + 1;
        }
    }

    /// The next record, behind what `out` has. `false`: there is none.
    #[inline]
    pub(super) fn record(
        &mut self,
        given: Option<Given<'_>>,
        follow: &mut Follow<'_>,
        out: &mut Record,
    ) -> Result<bool, Error> {
        self.places.clear();
        self.hows.clear();
        self.offset += 1;
        out.offset = self.offset;
        out.site = None;
        out.pending = None;
        let key = self.key_of(false);
        let expected = self.expected(key);
        let quiet = match given {
            Some(given) => self.is_quiet(given, expected),
            None => false,
        };
        let recent = match self.model.coding() {
            Coding::Four => 0,
            Coding::Five | Coding::Six => self.recent & 7,
        };
        let context = Context::new(set::QUIET, key.last, recent, key.history);
        let quiet = self.model.bit(context, quiet);
        self.recent = self.recent << 1 | u32::from(quiet);
        if quiet {
            let damaged = ErrorKind::NoSite.at(self.offset);
            let site = expected.ok_or(damaged)?;
            let (first, count) = self.place(site).ok_or(damaged)?;
            for place in first..first + count {
                let entry = self.entries[place as usize];
                let how = entry.likely();
                if how >= how::WRITTEN {
                    return Err(damaged);
                }
                out.values.push(self.memory.candidate(place, &entry, how));
                self.places.push(place);
                self.hows.push(how);
            }
            out.site = Some(site);
            self.came(key, site);
        } else if !self.full(given, follow, out)? {
            return Ok(false);
        }
        self.check()?;
        let missing = ErrorKind::NoThread.at(self.offset);
        out.thread = self.current.ok_or(missing)?;
        out.frame = self.stack.last().map(|top| top.frame);
        Ok(true)
    }

    /// Where the values of a site are, and how many.
    #[inline]
    fn place(&self, site: SiteNumber) -> Option<(u32, u32)> {
        let index = site.0 as usize;
        Some((*self.firsts.get(index)?, *self.captures.get(index)?))
    }

    /// Whether a record is as it is likely to be.
    #[inline]
    fn is_quiet(&self, given: Given<'_>, expected: Option<SiteNumber>) -> bool {
        let Given {
            record, computed, ..
        } = given;
        if record.site != expected
            || expected.is_none()
            || record.pending.is_some()
            || !record.prefixes.is_empty()
            || !record.objects.is_empty()
            || self.current != Some(record.thread)
        {
            return false;
        }
        let Some((first, count)) = record.site.and_then(|site| self.place(site)) else {
            return false;
        };
        count as usize == record.values.len()
            && (first..)
                .zip(&record.values)
                .enumerate()
                .all(|(index, (place, &value))| {
                    let entry = &self.entries[place as usize];
                    match entry.likely() {
                        how::COMPUTED => computed.get(index).is_some_and(|computed| *computed),
                        how::WRITTEN.. => false,
                        how => self.memory.how(place, entry, value) == how,
                    }
                })
    }

    #[inline(never)]
    fn full(
        &mut self,
        given: Option<Given<'_>>,
        follow: &mut Follow<'_>,
        out: &mut Record,
    ) -> Result<bool, Error> {
        let record = given.map(|given| given.record);
        let before = self.key_of(false);
        let sort = record.map_or(body::END, |record| match record {
            Record { site: Some(_), .. } => body::SITE,
            Record {
                pending: Some(_), ..
            } => body::PENDING,
            _ => body::NOTHING,
        });
        let recent = match self.model.coding() {
            Coding::Four => 0,
            Coding::Five | Coding::Six => self.recent & 7,
        };
        if self.model.coding() != Coding::Four {
            let place = self.shape_of(before);
            let shape = self.shapes[place];
            let is_usual = record.is_some_and(|record| self.is_usual(record, shape));
            let context = Context::new(set::USUAL, before.last, recent, before.history);
            if self.model.bit(context, is_usual) {
                let come = self.usual(shape, out)?;
                return self.rest(given, follow, body::SITE, come, out);
            }
        }
        let context = Context::new(set::BODY, before.last, recent, before.history);
        let sort = self.model.symbol(context, 2, sort);
        if sort == body::END {
            return Ok(false);
        }
        self.unusual(given, follow, sort, before, out)
    }

    /// What is not as it was last time after the same sites.
    fn unusual(
        &mut self,
        given: Option<Given<'_>>,
        follow: &mut Follow<'_>,
        sort: u32,
        before: Key,
        out: &mut Record,
    ) -> Result<bool, Error> {
        let numbers = given.map_or(Numbers::default(), |given| given.numbers);
        let record = given.map(|given| given.record);
        let introduces = |prefix: &Prefix| matches!(prefix, Prefix::Thread(_));
        let to = record.filter(|record| !record.prefixes.iter().any(introduces));
        let to = to.map(|record| record.thread);
        let switches = to.is_some() && to != self.current;
        let context = Context::new(set::THREAD, before.last, sort, 0);
        if self.model.bit(context, switches) {
            let to = to.map_or(0, |to| to.0);
            let to = self.small(context.with(1), to)?;
            self.switch(ThreadNumber(to))?;
        }
        let mut popped = false;
        let mut last = None;
        let mut path = sort;
        for index in 0.. {
            let key = self.key_of(popped);
            let given = record.and_then(|record| record.prefixes.get(index));
            let Some(prefix) = self.prefix(path, given, numbers)? else {
                break;
            };
            popped |= matches!(prefix, Prefix::Pop(_));
            if matches!(
                prefix,
                Prefix::Enter(..) | Prefix::Reenter(..) | Prefix::Attach(_)
            ) && last.is_none()
            {
                last = Some(key);
            }
            if !matches!(prefix, Prefix::Time(_)) {
                path = mix(path, number_of(&prefix));
            }
            out.prefixes.push(prefix);
            self.check()?;
        }
        let key = last.unwrap_or_else(|| self.key_of(popped));
        if sort == body::SITE {
            let place = self.shape_of(before);
            self.shapes[place] = Shape::of(&out.prefixes);
        }
        self.rest(given, follow, sort, Come { key, path }, out)
    }

    /// Objects, site and values of a record.
    fn rest(
        &mut self,
        given: Option<Given<'_>>,
        follow: &mut Follow<'_>,
        sort: u32,
        come: Come,
        out: &mut Record,
    ) -> Result<bool, Error> {
        let Come { key, path } = come;
        let numbers = given.map_or(Numbers::default(), |given| given.numbers);
        let record = given.map(|given| given.record);
        let is_five = self.model.coding() != Coding::Four;
        let site = match sort == body::SITE && is_five {
            true => Some(self.site(given, key, path)?),
            false => None,
        };
        let place = match site {
            Some(site) => mix(site.0 | 1 << 31, path),
            None => mix(key.last, path),
        };
        let mut known = 0;
        loop {
            let given = record.and_then(|record| record.objects.get(known));
            let context = Context::new(set::OBJECTS, place, known as u32, key.history);
            if !self.model.bit(context, given.is_some()) {
                break;
            }
            if known == 0 {
                self.objects.forget_stored();
                if self.model.coding() == Coding::Six
                    && let Some(thread) = self.current
                {
                    out.thread = thread;
                    out.site = site;
                    follow(out, &mut self.objects.stored);
                }
            }
            let definition = self.definition(mix(place, known as u32), given, numbers)?;
            known += 1;
            out.objects.push(definition);
            self.check()?;
        }
        match sort {
            body::SITE => {
                let site = match site {
                    Some(site) => site,
                    None => self.site(given, key, path)?,
                };
                self.captures(given, key, path, site, out)?;
            }
            body::PENDING => self.pending(given, key, out)?,
            _ => {}
        }
        Ok(true)
    }

    /// Which site it is.
    fn site(&mut self, given: Option<Given<'_>>, key: Key, path: u32) -> Result<SiteNumber, Error> {
        let wanted = given.and_then(|given| given.record.site);
        let more = self.after_more[Self::more(key)].checked_sub(1);
        let one = self.after_one.get(key.last as usize).copied().unwrap_or(0);
        let one = one.checked_sub(1);
        let context = Context::new(set::SITE, key.last, path, key.history);
        let choice = match wanted.map(|site| site.0) {
            site if site == more => 0,
            site if site == one => 1,
            _ => 2,
        };
        let unknown = ErrorKind::NoSite.at(self.offset);
        let choice = match self.model.coding() {
            Coding::Six if self.model.bit(context, choice == 0) => 0,
            Coding::Six => 1 + u32::from(self.model.bit(context.with(2), choice == 2)),
            Coding::Four | Coding::Five => self.model.symbol(context, 2, choice),
        };
        let site = match choice {
            0 => more.ok_or(unknown)?,
            1 => one.ok_or(unknown)?,
            _ => {
                let near = key.last / 2;
                let wanted = wanted.map_or(0, |site| i64::from(site.0) - i64::from(near));
                let found = i64::from(near).checked_add(self.model.signed(context.with(1), wanted));
                let found = found.and_then(|site| u32::try_from(site).ok());
                found.ok_or(unknown)?
            }
        };
        Ok(SiteNumber(site))
    }

    /// The values that a site captures.
    fn captures(
        &mut self,
        given: Option<Given<'_>>,
        key: Key,
        path: u32,
        site: SiteNumber,
        out: &mut Record,
    ) -> Result<(), Error> {
        let (first, count) = self
            .place(site)
            .ok_or(ErrorKind::UnknownSite(site.0.into()).at(self.offset))?;
        for index in 0..count {
            self.capture(given, index as usize, first + index, mix(path, index), out)?;
        }
        out.site = Some(site);
        self.came(key, site);
        Ok(())
    }

    fn pending(
        &mut self,
        given: Option<Given<'_>>,
        key: Key,
        out: &mut Record,
    ) -> Result<(), Error> {
        let record = given.map(|given| given.record);
        let unit = record.and_then(|record| record.pending).unwrap_or(0);
        let context = Context::new(set::COUNT, key.last, key.history, 0);
        let unit = self.small(context, unit)?;
        let count = record.map_or(0, |record| record.values.len() as u64);
        let count = self.model.number(context.with(unit), count);
        for index in 0..count {
            let place = mix(mix(key.last, unit), index as u32) as usize % OTHERS;
            let place = self.entries.len() - OTHERS + place;
            self.capture(given, index as usize, place as u32, 0, out)?;
        }
        out.pending = Some(unit);
        Ok(())
    }

    /// A value; computed ones are NULL in `out`.
    fn capture(
        &mut self,
        given: Option<Given<'_>>,
        index: usize,
        place: u32,
        path: u32,
        out: &mut Record,
    ) -> Result<(), Error> {
        let entry = self.entries[place as usize];
        let wanted = given.and_then(|given| given.record.values.get(index));
        let wanted = wanted.copied().unwrap_or(Value::Null);
        let how = match given {
            Some(given) if given.computed.get(index) == Some(&true) => how::COMPUTED,
            Some(_) => self.memory.how(place, &entry, wanted),
            None => 0,
        };
        let context = Context::new(set::HOW, place, entry.hows & 0xfff, path);
        let how = match self.model.coding() {
            Coding::Six if self.model.bit(context, how == entry.likely()) => entry.likely(),
            _ => self.model.symbol(context, 3, how.into()) as u8,
        };
        let found = match how {
            how::COMPUTED => Value::Null,
            how::AFTER_TWO..=how::NEXT => self.memory.candidate(place, &entry, how),
            _ => {
                let numbers = given.map_or(Numbers::default(), |given| given.numbers);
                let at = At {
                    place: place | 1 << 31,
                    before: path,
                };
                let newest = self.objects.newest;
                value(
                    &mut self.model,
                    &mut self.memory,
                    newest,
                    at,
                    wanted,
                    numbers,
                )?
            }
        };
        self.places.push(place);
        self.hows.push(how);
        out.values.push(found);
        self.check()
    }

    /// These are the values of the record, the computed ones too.
    #[inline]
    pub(super) fn resolved(&mut self, values: &[Value]) {
        for ((&place, &how), &value) in self.places.iter().zip(&self.hows).zip(values) {
            let entry = &mut self.entries[place as usize];
            entry.told(how);
            self.memory.captured(place, entry, value);
        }
    }
}
