//! Writes values: what a slot holds, and the contents of objects that are met for the first time.

use std::num::NonZeroU64;

use debugop_filter::Pattern;
use debugop_recording::stream::{Encoder, Kind, MAX_PARTS, ObjectId, Reason, RecentObjects};
use pyo3::{PyResult, Python, ffi};
use smallvec::SmallVec;

use super::callables::Callables;
use super::identities::{Entry, Identities, NONE};
use super::redacted::Redacted;
use super::shadows::{Difference, Glance, Shadow, Shadows};
use super::types::{Types, is_heap_type};
use super::words::{SmallInts, is_address};
use crate::layout::LongObject;
use crate::layout::objects::digits;
use crate::layout::slot::Content;

/// How much of a value is recorded.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Items of a container, attributes of an instance.
    pub items: usize,
    /// Code points of a string, bytes of a bytes object.
    pub length: usize,
    /// Bits of an int beyond which only its size is kept.
    pub bits: u64,
    /// How deep containers inside a container have contents, too.
    pub depth: u32,
    /// After so many bytes a chunk ends, full or not.
    pub chunk: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            items: 16,
            length: 256,
            bits: 4096,
            depth: 1,
            chunk: usize::MAX,
        }
    }
}

/// An int of several digits, as it is recorded.
pub(super) enum Long {
    Small(i64),
    /// Whether it is negative, and its magnitude, the least significant byte first.
    Big(bool, Vec<u8>),
    /// Whether it is negative, its `bit_length()`, and its 64 highest bits.
    Huge(bool, u64, u64),
}

/// Room in a chunk that values with contents leave alone.
pub(super) const CONTENTS_RESERVE: usize = 16 << 10;

/// The id of a type that is known as a type only.
pub(super) const UNNAMED: NonZeroU64 = NonZeroU64::MAX;
/// In the index of an entry: it is the number of a type.
pub(super) const IS_TYPE: u32 = 1 << 31;

/// The current chunk, as a number; in an entry's epoch, twice that, and one more if it is known with contents.
pub(super) struct Pen {
    pub(super) limits: Limits,
    pub(super) redacted: Redacted,
    pub(super) recent: RecentObjects,
    pub(super) identities: Identities,
    pub(super) shadows: Shadows,
    pub(super) types: Types,
    pub(super) callables: Callables,
    /// What is in the object that is looked at, here to be allocated once.
    now: Glance,
    pub(super) chunk: u32,
    /// Types defined in this chunk.
    pub(super) types_in_chunk: u32,
    /// Ids up to this one have been given to objects, recorded or not.
    reserved: u64,
}

impl Pen {
    pub(super) fn new(py: Python<'_>, limits: Limits, redact: Vec<Pattern>) -> PyResult<Self> {
        SmallInts::find(py);
        Ok(Self {
            limits,
            redacted: Redacted::new(redact),
            recent: RecentObjects::new(ObjectId(0)),
            identities: Identities::install(py)?,
            shadows: Shadows::default(),
            types: Types::default(),
            callables: Callables::new(py)?,
            now: Glance::default(),
            chunk: 1,
            types_in_chunk: 0,
            reserved: 0,
        })
    }

    /// A new chunk begins: everything is to be defined again.
    pub(super) fn begin_chunk(&mut self, py: Python<'_>) {
        let shadows = &mut self.shadows;
        self.identities.each_dead(py, |index| {
            if index & IS_TYPE == 0 {
                shadows.free(index);
            }
        });
        self.identities.begin_chunk(py);
        self.chunk += 1;
        self.types_in_chunk = 0;
        self.recent = RecentObjects::new(self.recent.newest());
    }

    /// What a slot holds.
    #[inline]
    pub(super) fn slot(&mut self, py: Python<'_>, to: &mut Encoder<'_>, content: Content) {
        match content {
            Content::Object(object) => self.value(py, to, object, 0),
            Content::Null => to.null(),
            #[cfg(Py_3_14)]
            Content::Tagged(value) => to.tagged_int(value as i64),
            #[cfg(Py_3_14)]
            Content::Opaque => to.unknown(Reason::UNREADABLE),
        }
    }

    /// A value; `inside` so many containers.
    #[inline]
    pub(super) fn value(
        &mut self,
        py: Python<'_>,
        to: &mut Encoder<'_>,
        object: *mut ffi::PyObject,
        inside: u32,
    ) {
        // SAFETY: whoever holds the object keeps it alive, and nothing runs here that could make them let go; fields of exact types
        // are read (layouts checked on 3.11.7, 3.12.1, 3.13.0, 3.14.10, 3.15.2).
        unsafe {
            match small_int(object) {
                Some(value) => to.int(value),
                None => self.other_value(py, to, object, inside),
            }
        }
    }

    /// A value that is no `int` of up to 64 bits.
    #[inline]
    pub(super) fn other_value(
        &mut self,
        py: Python<'_>,
        to: &mut Encoder<'_>,
        object: *mut ffi::PyObject,
        inside: u32,
    ) {
        // SAFETY: as above.
        unsafe {
            let class = ffi::Py_TYPE(object);
            if class == &raw mut ffi::PyFloat_Type {
                to.float(ffi::PyFloat_AS_DOUBLE(object).to_bits());
            } else if object == ffi::Py_None() {
                to.none();
            } else if object == ffi::Py_True() {
                to.bool(true);
            } else if object == ffi::Py_False() {
                to.bool(false);
            } else if class == &raw mut ffi::PyLong_Type {
                self.long(to, object);
            } else {
                self.object(py, to, object, inside);
            }
        }
    }

    /// The value of an exact int that fits.
    #[inline]
    pub(super) fn captured(&self, object: *mut ffi::PyObject) -> Option<i64> {
        // SAFETY: a live object, whose slot holds it.
        unsafe {
            if ffi::Py_TYPE(object) != &raw mut ffi::PyLong_Type {
                return None;
            }
            small_int(object).or_else(|| match self.read_long(object) {
                Long::Small(value) => Some(value),
                _ => None,
            })
        }
    }

    /// An int of several digits.
    #[cold]
    fn long(&mut self, to: &mut Encoder<'_>, object: *mut ffi::PyObject) {
        match self.read_long(object) {
            Long::Small(value) => to.int(value),
            Long::Big(negative, magnitude) if to.has_room(magnitude.len() + 64) => {
                to.big_int(negative, &magnitude);
            }
            Long::Big(..) => to.unknown(Reason::TOO_LARGE),
            Long::Huge(negative, bits, leading) => to.huge_int(negative, bits, leading),
        }
    }

    /// A live exact int of several digits.
    pub(super) fn read_long(&self, object: *mut ffi::PyObject) -> Long {
        // SAFETY: by the contract above.
        let (negative, digits) = unsafe { digits(object) };
        let Some(last) = digits.last() else {
            return Long::Small(0);
        };
        if digits.len() <= 3 {
            let fold = |value: u128, digit: &u32| value << 30 | u128::from(*digit);
            let magnitude = digits.iter().rev().fold(0, fold).cast_signed();
            if let Ok(value) = i64::try_from(if negative { -magnitude } else { magnitude }) {
                return Long::Small(value);
            }
        }
        let bits = (digits.len() as u64 - 1) * 30 + u64::from(u32::BITS - last.leading_zeros());
        let word = |from: u64| {
            // 64 bits from bit `from` on.
            let mut word = 0;
            for at in 0..64_u64 {
                let bit = from + at;
                let digit = digits.get((bit / 30) as usize).copied().unwrap_or(0);
                word |= u64::from(digit >> (bit % 30) & 1) << at;
            }
            word
        };
        if bits <= 64 {
            let magnitude = word(0);
            let signed = if negative {
                0_i64.checked_sub_unsigned(magnitude)
            } else {
                i64::try_from(magnitude).ok()
            };
            if let Some(value) = signed {
                return Long::Small(value);
            }
        }
        if bits > self.limits.bits {
            return Long::Huge(negative, bits, word(bits.saturating_sub(64)));
        }
        let mut magnitude = Vec::with_capacity(bits as usize / 8 + 8);
        for at in (0..bits).step_by(64) {
            magnitude.extend_from_slice(&word(at).to_le_bytes());
        }
        magnitude.truncate(bits.div_ceil(8) as usize);
        Long::Big(negative, magnitude)
    }

    #[inline]
    fn object(
        &mut self,
        py: Python<'_>,
        to: &mut Encoder<'_>,
        object: *mut ffi::PyObject,
        inside: u32,
    ) {
        if self.redacted.is_off()
            && let Some(id) = self.identities.standing_for(py, object)
        {
            return to.object(&mut self.recent, ObjectId(id));
        }
        self.object_otherwise(py, to, object, inside);
    }

    /// The same, if no id stands for it.
    #[inline(never)]
    pub(super) fn object_otherwise(
        &mut self,
        py: Python<'_>,
        to: &mut Encoder<'_>,
        object: *mut ffi::PyObject,
        inside: u32,
    ) {
        if let Some(met) = self.is_usual(py, to.has_room(CONTENTS_RESERVE), object) {
            return self.meet(py, to, object, met, inside);
        }
        self.object_again(py, to, object, inside);
    }

    /// The same, unless it is [new](Self::is_usual).
    #[inline(never)]
    pub(super) fn object_again(
        &mut self,
        py: Python<'_>,
        to: &mut Encoder<'_>,
        object: *mut ffi::PyObject,
        inside: u32,
    ) {
        if self.name_again(py, to, object, inside) {
            return;
        }
        let known = self.known(py, object);
        if !self.redacted.is_off() && known.is_some_and(|entry| self.has_redacted(entry.id.get())) {
            to.redacted();
        } else if let Some(entry) = known
            && entry.epoch >> 1 == self.chunk
            && (entry.epoch & 1 == 1 || inside > self.limits.depth)
        {
            // SAFETY: a live object, whose type is compared with a static one.
            let is_tuple = unsafe { ffi::Py_TYPE(object) == &raw mut ffi::PyTuple_Type };
            if entry.epoch & 1 == 1 && !is_tuple {
                self.identities.stand_for(py, object);
            }
            to.object(&mut self.recent, ObjectId(entry.id.get()));
        } else {
            self.define(py, to, object, known, inside);
        }
    }

    #[cold]
    #[inline(never)]
    fn define(
        &mut self,
        py: Python<'_>,
        to: &mut Encoder<'_>,
        object: *mut ffi::PyObject,
        known: Option<Entry>,
        inside: u32,
    ) {
        // SAFETY: static objects are compared with.
        unsafe {
            if object == ffi::Py_Ellipsis() {
                to.ellipsis();
                return;
            }
            if object == ffi::Py_NotImplemented() {
                to.not_implemented();
                return;
            }
            // SAFETY: a live object; its class is alive.
            let class = ffi::Py_TYPE(object);
            if class == &raw mut ffi::PyComplex_Type {
                let value = (*object.cast::<ffi::PyComplexObject>()).cval;
                to.complex(value.real.to_bits(), value.imag.to_bits());
                return;
            }
        }
        let number = self.type_number(py, object);
        let kind = self.types.get(number).kind;
        let bare = !to.has_room(CONTENTS_RESERVE) || self.is_bare(kind, inside);
        let id = known.map(|entry| entry.id).filter(|id| *id != UNNAMED);
        let id = id.unwrap_or_else(|| self.next_id());
        let mut entry = Entry {
            id,
            epoch: self.chunk << 1 | u32::from(!bare),
            index: known.map_or(NONE, |entry| entry.index),
        };
        if !bare && is_mutable(kind) && entry.index == NONE {
            entry.index = self.new_shadow(py, inside);
        }
        if known.is_some() {
            self.identities.update(py, object, entry);
        } else {
            // By `type_number`.
            self.identities.insert_judged(py, object, entry);
        }
        // Some tuples are used again for others.
        if !bare && kind != Kind::Tuple {
            self.identities.stand_for(py, object);
        }
        if self.identities.is_doubtful(py, object) {
            to.doubtful();
        }
        if bare {
            to.define(&mut self.recent, ObjectId(id.get()), bare);
            self.put_type(to, number);
        } else {
            self.describe(py, to, object, (number, kind), entry, inside);
        }
    }

    /// Whether an object of this kind, inside so many containers, is recorded without its contents.
    #[inline(always)]
    pub(super) fn is_bare(&self, kind: Kind, inside: u32) -> bool {
        inside > self.limits.depth
            && !matches!(
                kind,
                Kind::Str
                    | Kind::Bytes
                    | Kind::Type
                    | Kind::Module
                    | Kind::Builtin
                    | Kind::Function
                    | Kind::Code
                    | Kind::Opaque
            )
    }

    /// What is known of an object. Of a tuple that an iterator has used again with other items: nothing. A program cannot tell
    /// that from a new tuple (`zip`, `enumerate`, `dict.items`, `itertools`).
    #[inline]
    pub(super) fn known(&mut self, py: Python<'_>, object: *mut ffi::PyObject) -> Option<Entry> {
        let entry = self.identities.lookup(py, object)?;
        // SAFETY: a live object, whose type is compared with a static one.
        let is_tuple = unsafe { ffi::Py_TYPE(object) == &raw mut ffi::PyTuple_Type };
        if is_tuple && entry.index != NONE && self.is_other_tuple(py, object, entry) {
            return None;
        }
        Some(entry)
    }

    /// Whether the recording has an id for an object.
    pub(super) fn knows(&self, py: Python<'_>, object: *mut ffi::PyObject) -> bool {
        self.identities.lookup(py, object).is_some()
    }

    #[inline(never)]
    fn is_other_tuple(&mut self, py: Python<'_>, object: *mut ffi::PyObject, entry: Entry) -> bool {
        if self.is_tuple_of(py, object, entry.index)
            || self.is_unchanged(py, object, 0, Kind::Tuple, entry.index)
        {
            return false;
        }
        self.identities.forget(py, object);
        true
    }

    /// The id that was given last.
    #[inline]
    pub(super) fn newest(&self) -> u64 {
        self.recent.newest().0.max(self.reserved)
    }

    /// The id of an object that has none yet.
    pub(super) fn next_id(&self) -> NonZeroU64 {
        NonZeroU64::MIN.saturating_add(self.newest())
    }

    /// The id of an object, which it gets now if it has none. Only for a [witness](super::witness), who sees objects before they
    /// are recorded.
    pub(super) fn id_of(&mut self, py: Python<'_>, object: *mut ffi::PyObject) -> u64 {
        let known = self.known(py, object);
        if let Some(entry) = known
            && entry.id != UNNAMED
        {
            return entry.id.get();
        }
        let id = self.next_id();
        self.reserved = id.get();
        if let Some(entry) = known {
            self.identities.update(py, object, Entry { id, ..entry });
        } else {
            let entry = Entry {
                id,
                epoch: 0,
                index: NONE,
            };
            self.identities.insert(py, object, entry);
        }
        id.get()
    }

    /// Remembers what is in a tuple that only a witness has seen.
    pub(super) fn remember_tuple(&mut self, py: Python<'_>, object: *mut ffi::PyObject) {
        if let Some(entry) = self.identities.lookup(py, object)
            && entry.index == NONE
        {
            let index = self.shadows.add();
            self.cast_shadow(py, object, 0, Kind::Tuple, index);
            self.identities.update(py, object, Entry { index, ..entry });
        }
    }

    /// The number of the type of `object`.
    pub(super) fn type_number(&mut self, py: Python<'_>, object: *mut ffi::PyObject) -> u32 {
        // SAFETY: a live object; its class is alive.
        let class = unsafe { ffi::Py_TYPE(object) };
        if !is_heap_type(class) {
            return match self.types.find(class) {
                Some(number) => number,
                None => {
                    self.identities.judge(py, class);
                    self.types.add(py, class)
                }
            };
        }
        let known = self.identities.lookup(py, class.cast());
        if let Some(entry) = known
            && entry.index != NONE
        {
            return entry.index & !IS_TYPE;
        }
        self.identities.judge(py, class);
        let number = self.types.add(py, class);
        let index = number | IS_TYPE;
        if let Some(entry) = known {
            self.identities
                .update(py, class.cast(), Entry { index, ..entry });
        } else {
            let entry = Entry {
                id: UNNAMED,
                epoch: 0,
                index,
            };
            self.identities.insert(py, class.cast(), entry);
        }
        number
    }

    #[inline]
    pub(super) fn put_type(&mut self, to: &mut Encoder<'_>, number: u32) {
        let chunk = self.chunk;
        let known = self.types.get(number);
        if known.chunk == chunk {
            to.type_of(known.in_chunk);
        } else {
            (known.chunk, known.in_chunk) = (chunk, self.types_in_chunk);
            to.new_type(
                self.types_in_chunk,
                u64::from(number),
                known.kind,
                known.name.as_bytes(),
            );
            self.types_in_chunk += 1;
        }
    }

    /// Compares an object that may have changed with what is known of it, and writes its new contents if it has. It is the one whose memory
    /// begins at `block`, if that lives still, and had one of the ids up to `newest`.
    #[inline(never)]
    pub(super) fn update(
        &mut self,
        py: Python<'_>,
        to: &mut Encoder<'_>,
        object: *mut ffi::PyObject,
        block: usize,
        newest: u64,
    ) {
        let Some(entry) = self.identities.lookup_at(py, object, block) else {
            return;
        };
        if self.to_look_at(object, entry, newest).is_none() {
            return;
        }
        // SAFETY: it is alive.
        let class = unsafe { ffi::Py_TYPE(object) };
        let shadow = self.shadows.get(entry.index);
        let (number, kind) = if shadow.class == class {
            (shadow.number, shadow.kind)
        } else {
            let number = self.type_number(py, object);
            (number, self.types.get(number).kind)
        };
        let mut now = std::mem::take(&mut self.now);
        self.glance(&mut now, object, number, kind);
        let id = ObjectId(entry.id.get());
        let difference = self.shadows.get(entry.index).glance.difference(&now);
        let is_same = match difference {
            Difference::None => {
                self.is_alive_since(py, &now, entry.index, usize::MAX)
                    || self.is_still(py, object, number, kind, entry.index)
            }
            _ => false,
        };
        if !is_same && to.has_room(CONTENTS_RESERVE) {
            match difference {
                Difference::One(change, word)
                    if self.redacted.is_off()
                        && now.words.len() <= MAX_PARTS
                        && (self.is_alive_since(py, &now, entry.index, word)
                            || self.is_still_but(
                                py,
                                object,
                                (number, kind),
                                &now,
                                entry.index,
                                word,
                            )) =>
                {
                    to.update_part(&mut self.recent, id, change, now.length);
                    // SAFETY: a live object of this kind, in which this was found.
                    unsafe { self.part(py, to, object, (number, kind), change, word) };
                }
                _ => {
                    to.update(&mut self.recent, id);
                    self.contents(py, to, object, number, kind, 0);
                }
            }
            // What it was is where the next one is looked at.
            std::mem::swap(&mut self.shadows.get_mut(entry.index).glance, &mut now);
            self.date_shadow(py, object, number, kind, entry.index);
        }
        self.now = now;
    }

    /// Whether no object that is in `now` but for word `except` has died since the shadow was cast.
    fn is_alive_since(&self, py: Python<'_>, now: &Glance, index: u32, except: usize) -> bool {
        let deaths = self.shadows.get(index).deaths;
        let mut words = now.words.iter().enumerate();
        words.all(|(at, &word)| {
            at == except
                || !is_address(word)
                || self
                    .identities
                    .last_death_at(py, word as *mut ffi::PyObject)
                    <= deaths
        })
    }

    /// Whether an object is as it was when its shadow was cast.
    fn is_unchanged(
        &mut self,
        py: Python<'_>,
        object: *mut ffi::PyObject,
        number: u32,
        kind: Kind,
        index: u32,
    ) -> bool {
        let mut now = std::mem::take(&mut self.now);
        self.glance(&mut now, object, number, kind);
        let difference = self.shadows.get(index).glance.difference(&now);
        let same = difference == Difference::None
            && (self.is_alive_since(py, &now, index, usize::MAX)
                || self.is_still(py, object, number, kind, index));
        self.now = now;
        same
    }

    /// The addresses in an object are the same as when its shadow was cast. Whether they are those of the same objects: one that has come
    /// to one of them since has a newer id, or none.
    #[inline(never)]
    fn is_still(
        &mut self,
        py: Python<'_>,
        object: *mut ffi::PyObject,
        number: u32,
        kind: Kind,
        index: u32,
    ) -> bool {
        let newest = self.shadows.get(index).newest;
        let mut same = true;
        self.each_part(object, number, kind, |part| {
            same &= is_by_value(part)
                || self
                    .identities
                    .lookup(py, part)
                    .is_some_and(|entry| entry.id.get() <= newest);
        });
        if same {
            self.shadows.get_mut(index).deaths = self.identities.deaths(py);
        }
        same
    }

    /// The same of all words of `now` but `except`, the only one that differs.
    #[inline(never)]
    fn is_still_but(
        &self,
        py: Python<'_>,
        object: *mut ffi::PyObject,
        (number, kind): (u32, Kind),
        now: &Glance,
        index: u32,
        except: usize,
    ) -> bool {
        let Shadow { deaths, newest, .. } = *self.shadows.get(index);
        let words = now.words.iter().enumerate();
        let mut near: SmallVec<[u64; 16]> = words
            .filter(|&(at, &word)| at != except && is_address(word))
            .map(|(_, &word)| word)
            .filter(|&word| {
                self.identities
                    .last_death_at(py, word as *mut ffi::PyObject)
                    > deaths
            })
            .collect();
        // Only what is found in the object is an address for certain, of an object that lives.
        self.each_part(object, number, kind, |part| {
            if near.contains(&(part as u64))
                && let Some(entry) = self.identities.lookup(py, part)
                && entry.id.get() <= newest
            {
                near.retain(|&mut word| word != part as u64);
            }
        });
        near.is_empty()
    }
}

/// Whether an object is recorded by value, without an identity.
pub(super) fn is_by_value(object: *mut ffi::PyObject) -> bool {
    // SAFETY: a live object, whose type is compared with static ones.
    unsafe {
        let class = ffi::Py_TYPE(object);
        class == &raw mut ffi::PyLong_Type
            || class == &raw mut ffi::PyFloat_Type
            || class == &raw mut ffi::PyBool_Type
            || class == &raw mut ffi::PyComplex_Type
            || object == ffi::Py_None()
            || object == ffi::Py_Ellipsis()
            || object == ffi::Py_NotImplemented()
    }
}

/// The value of an exact int of up to three digits, if it fits.
///
/// # Safety
/// A live object.
#[inline(always)]
pub(super) unsafe fn small_int(object: *mut ffi::PyObject) -> Option<i64> {
    // SAFETY: by the contract; the fields of an exact int are read.
    unsafe {
        if ffi::Py_TYPE(object) != &raw mut ffi::PyLong_Type {
            return None;
        }
        let int = &*object.cast::<LongObject>();
        int.compact().or_else(|| int.few_digits())
    }
}

/// Whether what is in objects of this kind can change.
pub(super) fn is_mutable(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::List
            | Kind::Dict
            | Kind::Set
            | Kind::ByteArray
            | Kind::Instance
            | Kind::Cell
            | Kind::Exception
            | Kind::Tuple
            | Kind::ListSubclass
            | Kind::TupleSubclass
            | Kind::SetSubclass
            | Kind::FrozenSetSubclass
            | Kind::DictSubclass
            | Kind::Deque
    )
}
