//! Whether an object that may have changed has, for those that are asked most: lists, dicts and instances in which nothing has changed, or
//! one value. Nothing is collected first, as [`Pen::glance`] does for the rest.

use debugop_recording::stream::{Change, Encoder, Kind, MAX_PARTS, ObjectId};
use pyo3::{Python, ffi};

use super::contents::{Parts, each, glance_word};
use super::pen::{CONTENTS_RESERVE, Pen};
use super::shadows::{EMPTY, Glance, Layout, is_address};

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

impl Pen {
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
