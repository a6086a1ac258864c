//! Whether an object that may have changed has, for those that are asked most: lists, dicts and instances in which nothing has changed, or
//! one value. Nothing is collected first, as [`Pen::glance`] does for the rest.

use debugop_recording::stream::{Change, Encoder, Kind, MAX_PARTS, ObjectId, Short};
use pyo3::{Python, ffi};

use super::contents::{Parts, each, glance_word};
use super::identities::Entry;
use super::pen::{CONTENTS_RESERVE, IS_TYPE, Pen, small_int};
use super::quick::Simple;
use super::shadows::{EMPTY, Glance, Layout, is_address};
use crate::layout::objects::{Attributes, ListObject, TUPLE_ITEMS, attributes, pairs_of};

/// What a comparison has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Same,
    /// Another value in the place of this word.
    One(usize, *mut ffi::PyObject),
    /// It takes more to say.
    Other,
}

/// Compares word by word.
struct Comparing<'a> {
    words: &'a [u64],
    at: usize,
    found: Comparison,
}

impl Comparing<'_> {
    /// The next value, or none, in an object that had as many.
    #[inline(always)]
    fn see(&mut self, value: *mut ffi::PyObject) {
        let word = glance_word(value);
        let Some(&was) = self.words.get(self.at) else {
            self.found = Comparison::Other;
            return;
        };
        if was != word {
            self.found = match self.found {
                Comparison::Same if was != EMPTY && word != EMPTY => {
                    Comparison::One(self.at, value)
                }
                _ => Comparison::Other,
            };
        }
        self.at += 1;
    }

    fn finish(self) -> Comparison {
        if self.at == self.words.len() {
            self.found
        } else {
            Comparison::Other
        }
    }
}

/// The only word that differs from what it is of one of as many values, if there is one: `Ok(None)` if there is none, `Err` if it takes more to say.
///
/// # Safety
/// There are as many values at `values` as words, alive or NULL.
#[inline(always)]
unsafe fn differing(words: &[u64], values: *const *mut ffi::PyObject) -> Result<Option<usize>, ()> {
    let mut found = None;
    for (at, &was) in words.iter().enumerate() {
        // SAFETY: by the contract.
        let value = unsafe { *values.add(at) };
        // An address; if another object lives there now, even one that is known by its value, somebody has died.
        if was == value as u64 {
            continue;
        }
        let word = glance_word(value);
        if was == word {
            continue;
        }
        if found.is_some() || was == EMPTY || word == EMPTY {
            return Err(());
        }
        found = Some(at);
    }
    Ok(found)
}

impl Pen {
    /// As [`Pen::update`], for a list, a dict or an instance in which nothing has changed, or one value that is simple. Whether it is done; if not, nothing has been
    /// written.
    #[inline]
    pub(super) fn update_shortly(
        &mut self,
        py: Python<'_>,
        to: &mut Short<'_>,
        object: *mut ffi::PyObject,
        block: usize,
        newest: u64,
    ) -> bool {
        let Some(entry) = self.identities.lookup_at(py, object, block) else {
            return true;
        };
        let Some(index) = self.to_look_at(entry, newest) else {
            return true;
        };
        let shadow = self.shadows.get(index);
        // SAFETY: a live object.
        if shadow.class != unsafe { ffi::Py_TYPE(object) } {
            return false;
        }
        let glance = &shadow.glance;
        let is_pairs = glance.layout == Layout::Pairs;
        // SAFETY: a live object of the kind that its class had; nothing runs meanwhile. There are as many items or pairs as the length says, and
        // a value for each key.
        let (skipped, values) = unsafe {
            match (glance.layout, shadow.kind) {
                (Layout::Items, Kind::List) => {
                    let list = object.cast::<ListObject>();
                    if (*list).ob_base.ob_size.unsigned_abs() as u64 != glance.length {
                        return false;
                    }
                    (0, (*list).ob_item)
                }
                (Layout::Values, Kind::Instance) => {
                    let Attributes::Values(values) = attributes(object, shadow.class) else {
                        return false;
                    };
                    if glance.words.first() != Some(&(values.keys_address() as u64))
                        || values.len() + 1 != glance.words.len()
                    {
                        return false;
                    }
                    (1, values.first())
                }
                (Layout::Pairs, Kind::Dict | Kind::Instance) => {
                    let dict = match shadow.kind {
                        Kind::Dict => object,
                        _ => match attributes(object, shadow.class) {
                            Attributes::Dict(dict) if ffi::PyDict_CheckExact(dict) != 0 => dict,
                            _ => return false,
                        },
                    };
                    match pairs_of(dict) {
                        Some((pairs, length)) if length as u64 == glance.length => (0, pairs),
                        _ => return false,
                    }
                }
                _ => return false,
            }
        };
        let words = glance.words.get(skipped..).unwrap_or_default();
        // SAFETY: as above.
        let Ok(changed) = (unsafe { differing(words, values) }) else {
            return false;
        };
        // Another key.
        if is_pairs && changed.is_some_and(|at| at % 2 == 0) {
            return false;
        }
        let deaths = self.identities.deaths(py);
        if deaths != shadow.deaths && !self.have_lived(py, words, changed, shadow.deaths) {
            return false;
        }
        let Some(at) = changed else {
            self.shadows.get_mut(index).deaths = deaths;
            return true;
        };
        if glance.words.len() > MAX_PARTS {
            return false;
        }
        // SAFETY: as above; the list or the instance keeps it alive.
        let (value, simple) = unsafe {
            let value = *values.add(at);
            let simple = match small_int(value) {
                Some(int) => Some(Simple::Int(int)),
                None => self.simple(py, value),
            };
            (value, simple)
        };
        let Some(simple) = simple else { return false };
        let place = match glance.layout {
            Layout::Values => words[..at].iter().filter(|&&word| word != EMPTY).count(),
            Layout::Pairs => at / 2,
            _ => at,
        };
        let (id, length) = (ObjectId(entry.id.get()), glance.length);
        to.update_part(&mut self.recent, id, Change::Replace(place), length);
        self.put_simple(to, simple);
        let newest = self.newest();
        let shadow = self.shadows.get_mut(index);
        if let Some(word) = shadow.glance.words.get_mut(skipped + at) {
            *word = glance_word(value);
        }
        (shadow.deaths, shadow.newest) = (deaths, newest);
        true
    }

    /// Whether no object that is in these words but for number `except` has died after so many deaths.
    #[inline(always)]
    fn have_lived(
        &self,
        py: Python<'_>,
        words: &[u64],
        except: Option<usize>,
        deaths: u64,
    ) -> bool {
        let parts = words.iter().enumerate();
        let mut addresses = parts
            .filter(|&(at, &word)| Some(at) != except && is_address(word))
            .map(|(_, &word)| word as usize);
        self.identities.have_lived(py, &mut addresses, deaths)
    }

    /// Whether a tuple that is known for certain has the items that it was recorded with, if that is seen without more ado.
    #[inline(never)]
    pub(super) fn is_same_tuple(&self, py: Python<'_>, tuple: *mut ffi::PyObject) -> bool {
        let Some(entry) = self.identities.lookup(py, tuple) else {
            return false;
        };
        if entry.index >= IS_TYPE {
            return false;
        }
        let shadow = self.shadows.get(entry.index);
        let words = &shadow.glance.words;
        // SAFETY: a live object; if it is of its class still, it is a tuple, which has as many items as its length says, and its items live.
        let is_same = unsafe {
            shadow.class == ffi::Py_TYPE(tuple)
                && shadow.class == &raw mut ffi::PyTuple_Type
                && ffi::PyTuple_GET_SIZE(tuple).unsigned_abs() as u64 == shadow.glance.length
                && differing(words, tuple.cast::<u8>().add(TUPLE_ITEMS).cast()) == Ok(None)
        };
        is_same
            && (self.identities.deaths(py) == shadow.deaths
                || self.have_lived(py, words, None, shadow.deaths))
    }

    /// The index of the shadow of an object that an instruction may have changed before which ids up to `newest` had been given: if it is that object, and
    /// its contents are known.
    #[inline]
    pub(super) fn to_look_at(&self, entry: Entry, newest: u64) -> Option<u32> {
        let is_known =
            entry.id.get() <= newest && entry.epoch == self.chunk << 1 | 1 && entry.index < IS_TYPE;
        is_known.then_some(entry.index)
    }

    /// Compares `object`, of this kind, with what was in it.
    fn compare(&self, object: *mut ffi::PyObject, kind: Kind, glance: &Glance) -> Comparison {
        let mut comparing = Comparing {
            words: &glance.words,
            at: 0,
            found: Comparison::Same,
        };
        let limit = self.limits.items;
        // SAFETY: a live object of this kind; nothing runs meanwhile.
        let parts = unsafe { self.parts(object, kind) };
        // SAFETY: as above.
        unsafe {
            match (parts, glance.layout) {
                (Parts::Items(first, length), Layout::Items) if length as u64 == glance.length => {
                    for at in 0..length.min(limit) {
                        comparing.see(*first.add(at));
                    }
                }
                (Parts::Attributes(values), Layout::Values)
                    if glance.words.first() == Some(&(values.keys_address() as u64))
                        && values.len() + 1 == glance.words.len() =>
                {
                    comparing.at = 1;
                    for at in 0..values.len() {
                        comparing.see(values.value(at));
                    }
                }
                (parts @ Parts::Dict(_), Layout::Pairs) => {
                    let length = each(&parts, limit, |key, value| {
                        comparing.see(key);
                        comparing.see(value);
                    });
                    if length as u64 != glance.length {
                        return Comparison::Other;
                    }
                }
                _ => return Comparison::Other,
            }
        }
        match comparing.finish() {
            // Another key.
            Comparison::One(at, _) if glance.layout == Layout::Pairs && at % 2 == 0 => {
                Comparison::Other
            }
            found => found,
        }
    }

    /// Writes what has changed in an object whose shadow has this index, if that is nothing or one value and no more has to be asked. Whether
    /// it is done.
    #[inline]
    pub(super) fn update_quickly(
        &mut self,
        py: Python<'_>,
        to: &mut Encoder<'_>,
        object: *mut ffi::PyObject,
        id: ObjectId,
        index: u32,
    ) -> bool {
        let shadow = self.shadows.get(index);
        // SAFETY: a live object.
        if shadow.class != unsafe { ffi::Py_TYPE(object) } || !self.redacted.is_off() {
            return false;
        }
        let found = self.compare(object, shadow.kind, &shadow.glance);
        let (word, value) = match found {
            Comparison::Same => (usize::MAX, std::ptr::null_mut()),
            Comparison::One(word, value) => (word, value),
            Comparison::Other => return false,
        };
        let deaths = self.identities.deaths(py);
        let is_alive = |(at, &part): (usize, &u64)| {
            at == word
                || !is_address(part)
                || self
                    .identities
                    .last_death_at(py, part as *mut ffi::PyObject)
                    <= shadow.deaths
        };
        let words = &shadow.glance.words;
        if deaths != shadow.deaths && !words.iter().enumerate().all(is_alive) {
            return false;
        }
        if found == Comparison::Same {
            return true;
        }
        if words.len() > MAX_PARTS || !to.has_room(CONTENTS_RESERVE) {
            return false;
        }
        let place = match shadow.glance.layout {
            Layout::Items => word,
            Layout::Pairs => word / 2,
            _ => words[1..word].iter().filter(|&&part| part != EMPTY).count(),
        };
        let length = shadow.glance.length;
        to.update_part(&mut self.recent, id, Change::Replace(place), length);
        self.value(py, to, value, 1);
        let newest = self.newest();
        let deaths = self.identities.deaths(py);
        let shadow = self.shadows.get_mut(index);
        if let Some(part) = shadow.glance.words.get_mut(word) {
            *part = glance_word(value);
        }
        (shadow.deaths, shadow.newest) = (deaths, newest);
        true
    }
}
