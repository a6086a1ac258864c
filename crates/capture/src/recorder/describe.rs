//! An object is met: its type is written, and what is in it; of one that can change that is kept to compare with.

use std::rc::Rc;

use debugop_recording::stream::{Encoder, Kind, ObjectId, Short};
use pyo3::{Python, ffi};

use super::identities::Entry;
use super::parts::{Parts, member};
use super::pen::{IS_TYPE, Pen, is_mutable};
use super::shadows::{Glance, Layout};
use super::words::{EMPTY, few_word, float_word, glance_word, int_word};
use crate::layout::LongObject;

/// How many of these there are, NULL where there is none.
#[inline(always)]
fn set(count: usize, value: impl Fn(usize) -> *mut ffi::PyObject) -> u64 {
    let mut set = 0;
    for at in 0..count {
        set += u64::from(!value(at).is_null());
    }
    set
}

/// Behind so many bytes no further pair is written at once: as many are left as a name and a value take.
const FULL: usize = (1 << u8::BITS) - 2 * 11;

impl Pen {
    /// Writes the definition of an object that has this entry, with its contents, and remembers those, of most as they are come to.
    #[inline]
    pub(super) fn describe(
        &mut self,
        py: Python<'_>,
        to: &mut Encoder<'_>,
        object: *mut ffi::PyObject,
        (number, kind): (u32, Kind),
        entry: Entry,
        inside: u32,
    ) {
        let class = self.types.get_ref(number);
        let limit = self.limits.items;
        // SAFETY: a live object of this type and kind; writing values runs nothing.
        unsafe {
            match kind {
                Kind::List | Kind::Tuple => {
                    if let Parts::Items(first, length) = self.parts(object, kind) {
                        let shown = length.min(limit);
                        self.head(
                            to,
                            entry,
                            number,
                            false,
                            Some((length as u64, shown as u64)),
                        );
                        let mut glance = self.take_glance(entry.index);
                        glance.length = length as u64;
                        if kind == Kind::List {
                            glance.layout = Layout::Items;
                        }
                        let item = |at: usize| *first.add(at);
                        let written = self.put_items(py, to, &mut glance, shown, item);
                        // What is in it may refer to it, and whether a tuple is that one depends on what is in it.
                        self.shadows.get_mut(entry.index).glance = glance;
                        self.date_shadow(py, object, number, kind, entry.index);
                        if written < shown {
                            for at in written..shown {
                                self.optional(py, to, item(at), inside);
                            }
                            self.date_shadow(py, object, number, kind, entry.index);
                        }
                        return;
                    }
                }
                Kind::Instance => match self.parts(object, kind) {
                    Parts::Attributes(values)
                        if class.members.is_empty() && values.len() < limit =>
                    {
                        let mut glance = self.take_glance(entry.index);
                        glance.layout = Layout::Values;
                        glance.words.push(values.keys_address() as u64);
                        let count = values.len();
                        glance.length = set(count, |at| values.value(at));
                        let pairs = (count, |at| values.get(at));
                        self.describe_pairs(py, to, glance, entry, number, pairs, inside);
                        return self.date_shadow(py, object, number, kind, entry.index);
                    }
                    Parts::None if !class.has_dict && class.members.len() <= limit => {
                        // An instance inside may be of the same type.
                        let members = Rc::clone(&class.members);
                        let mut glance = self.take_glance(entry.index);
                        glance.layout = Layout::Members;
                        let value = |at: usize| member(object, &members[at]);
                        glance.length = set(members.len(), value);
                        let place = |at: usize| (members[at].0, value(at));
                        let pairs = (members.len(), place);
                        self.describe_pairs(py, to, glance, entry, number, pairs, inside);
                        return self.date_shadow(py, object, number, kind, entry.index);
                    }
                    _ => {}
                },
                _ => {}
            }
        }
        self.head(to, entry, number, false, None);
        if kind != Kind::Opaque {
            self.contents(py, to, object, number, kind, inside);
        }
        if is_mutable(kind) {
            self.cast_shadow(py, object, number, kind, entry.index);
        }
    }

    /// The memory of an empty glance, until it is [given back](Self::describe).
    #[inline(always)]
    fn take_glance(&mut self, index: u32) -> Glance {
        let mut glance = std::mem::take(&mut self.shadows.get_mut(index).glance);
        glance.clear();
        glance
    }

    /// Writes that an object is defined, `bare` or not, its type, and how many parts it has and how many follow, if it has any.
    #[inline(always)]
    pub(super) fn head(
        &mut self,
        to: &mut Encoder<'_>,
        entry: Entry,
        number: u32,
        bare: bool,
        items: Option<(u64, u64)>,
    ) {
        let id = ObjectId(entry.id.get());
        let class = self.types.get_ref(number);
        let (in_chunk, is_known) = (class.in_chunk, class.chunk == self.chunk);
        let recent = &mut self.recent;
        if is_known
            && to.shortly(|to| {
                to.little_define(recent, id, bare, in_chunk, items)
                    || to.little_define_at(recent, id, bare, in_chunk, items)
            })
        {
            return;
        }
        to.define(&mut self.recent, id, bare);
        self.put_type(to, number);
        if let Some((length, shown)) = items {
            to.items(length, shown);
        }
    }

    /// Writes the first of `count` items and remembers all; returns how many have been written, up to one that has to be described itself.
    #[inline(always)]
    fn put_items(
        &mut self,
        py: Python<'_>,
        to: &mut Encoder<'_>,
        glance: &mut Glance,
        count: usize,
        item: impl Fn(usize) -> *mut ffi::PyObject,
    ) -> usize {
        let words = &mut glance.words;
        words.reserve(count);
        let mut written = 0;
        if self.redacted.is_off() && count <= Short::VALUES {
            to.shortly(|to| {
                while written < count
                    && let Some(word) = self.put_part(py, to, item(written))
                {
                    words.push(word);
                    written += 1;
                }
                true
            });
        }
        if written < count {
            words.extend((written..count).map(|at| glance_word(item(at))));
        }
        written
    }

    /// As [`describe`](Self::describe), of an instance that has so many places for attributes: names and values, NULL where there is none; they are no more than are
    /// recorded. The glance knows how many there are.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "what is written, and where")]
    fn describe_pairs(
        &mut self,
        py: Python<'_>,
        to: &mut Encoder<'_>,
        mut glance: Glance,
        entry: Entry,
        number: u32,
        (count, place): (
            usize,
            impl Fn(usize) -> (*mut ffi::PyObject, *mut ffi::PyObject),
        ),
        inside: u32,
    ) {
        let length = glance.length;
        self.head(to, entry, number, false, Some((length, length)));
        let words = &mut glance.words;
        words.reserve(count);
        // So many places have been seen to, and whether the name of the next one has been written.
        let (mut written, mut has_name) = (0, false);
        if length == 0 {
            words.resize(words.len() + count, EMPTY);
            written = count;
        }
        while written < count {
            let simply = self.redacted.is_off();
            let is_written = simply
                && to.shortly(|to| {
                    while written < count && to.len() < FULL {
                        let (name, value) = place(written);
                        if value.is_null() {
                            words.push(EMPTY);
                        } else {
                            has_name = has_name || self.put_name(py, to, name);
                            if !has_name {
                                break;
                            }
                            let Some(word) = self.put_part(py, to, value) else {
                                break;
                            };
                            has_name = false;
                            words.push(word);
                        }
                        written += 1;
                    }
                    true
                });
            if is_written && written == count {
                break;
            }
            // One that is not that simple, or for which there may be no room behind what has been written.
            let (name, value) = place(written);
            words.push(glance_word(value));
            written += 1;
            match (value.is_null(), has_name) {
                (true, _) => {}
                (false, true) => self.value(py, to, value, inside + 1),
                (false, false) => self.pair(py, to, name, value, inside),
            }
            has_name = false;
        }
        self.shadows.get_mut(entry.index).glance = glance;
    }

    /// Writes a part, if nothing has to be described for it: otherwise nothing is written. Its [word](glance_word), if it has been written.
    #[inline(always)]
    fn put_part(
        &mut self,
        py: Python<'_>,
        to: &mut Short<'_>,
        part: *mut ffi::PyObject,
    ) -> Option<u64> {
        if part.is_null() {
            to.null();
            return Some(EMPTY);
        }
        // SAFETY: a live object; fields of exact types are read.
        unsafe {
            let class = ffi::Py_TYPE(part);
            if class == &raw mut ffi::PyLong_Type {
                let int = &*part.cast::<LongObject>();
                let Some(value) = int.compact() else {
                    let value = int.few_digits()?;
                    to.int(value);
                    return Some(few_word(value));
                };
                if !to.little_int(value) {
                    to.int(value);
                }
                return Some(int_word(value));
            }
            if class == &raw mut ffi::PyFloat_Type {
                let bits = ffi::PyFloat_AS_DOUBLE(part).to_bits();
                to.float(bits);
                return Some(float_word(bits));
            }
            if part == ffi::Py_None() {
                to.none();
            } else if class == &raw mut ffi::PyBool_Type {
                to.bool(part == ffi::Py_True());
            } else if !self.put_name(py, to, part) {
                return None;
            }
        }
        Some(part as u64)
    }

    /// Writes an object for which an id stands. Whether one does: otherwise nothing is written.
    #[inline(always)]
    fn put_name(&mut self, py: Python<'_>, to: &mut Short<'_>, name: *mut ffi::PyObject) -> bool {
        let Some(id) = self.identities.standing_for(py, name) else {
            return false;
        };
        let (id, recent) = (ObjectId(id), &mut self.recent);
        if !to.recent_object(recent, id) && !to.little_object(recent, id) {
            to.object(recent, id);
        }
        true
    }

    /// Remembers what is in an object, all of which has been recorded.
    pub(super) fn cast_shadow(
        &mut self,
        py: Python<'_>,
        object: *mut ffi::PyObject,
        number: u32,
        kind: Kind,
        index: u32,
    ) {
        let mut glance = std::mem::take(&mut self.shadows.get_mut(index).glance);
        self.glance(&mut glance, object, number, kind);
        self.shadows.get_mut(index).glance = glance;
        self.date_shadow(py, object, number, kind, index);
    }

    /// Remembers that it was now.
    #[inline]
    pub(super) fn date_shadow(
        &mut self,
        py: Python<'_>,
        object: *mut ffi::PyObject,
        number: u32,
        kind: Kind,
        index: u32,
    ) {
        let (deaths, newest) = (self.identities.deaths(py), self.newest());
        let shadow = self.shadows.get_mut(index);
        (shadow.deaths, shadow.newest) = (deaths, newest);
        // SAFETY: a live object.
        shadow.class = unsafe { ffi::Py_TYPE(object) };
        (shadow.number, shadow.kind) = (number, kind);
    }

    /// The index of a new shadow; `inside` so many containers.
    #[inline]
    pub(super) fn new_shadow(&mut self, py: Python<'_>, inside: u32) -> u32 {
        // Those of the dead are used again, which are in the processor's cache still. Inside a container that may have been forgotten for the sake of what is
        // in it, the container's index is in use until it is done.
        if inside == 0 {
            while let Some(index) = self.identities.next_dead(py) {
                if index & IS_TYPE == 0 {
                    self.shadows.free(index);
                }
            }
        }
        self.shadows.add()
    }
}
