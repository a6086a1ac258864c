//! An object that can change is met: what is in it is written, and kept to compare with.

use std::rc::Rc;

use debugop_recording::stream::{Encoder, Kind};
use pyo3::{Python, ffi};

use super::contents::{Parts, member};
use super::pen::{IS_TYPE, Pen};
use super::shadows::{Glance, Layout};
use super::words::glance_word;

impl Pen {
    /// Writes what is in an object and remembers it, the parts of most as they are come to.
    pub(super) fn describe(
        &mut self,
        py: Python<'_>,
        to: &mut Encoder<'_>,
        object: *mut ffi::PyObject,
        (number, kind): (u32, Kind),
        inside: u32,
        index: u32,
    ) {
        if kind == Kind::Tuple {
            // What is in it may refer to it, and whether a tuple is that one depends on what is in it.
            self.cast_shadow(py, object, number, kind, index);
            self.contents(py, to, object, number, kind, inside);
        } else {
            let mut glance = std::mem::take(&mut self.shadows.get_mut(index).glance);
            // SAFETY: a live object of this type and kind.
            if !unsafe { self.describe_row(py, to, &mut glance, object, (number, kind), inside) } {
                self.contents(py, to, object, number, kind, inside);
                self.glance(&mut glance, object, number, kind);
            }
            self.shadows.get_mut(index).glance = glance;
        }
        self.date_shadow(py, object, number, kind, index);
    }

    /// As [`Self::contents`] and [`Self::glance`] behind it, for lists, and for instances that have either values beside the keys of their class or nothing but
    /// members. Whether it is one; if not, nothing has been written.
    ///
    /// # Safety
    /// `object` is live, of this type and kind.
    unsafe fn describe_row(
        &mut self,
        py: Python<'_>,
        to: &mut Encoder<'_>,
        glance: &mut Glance,
        object: *mut ffi::PyObject,
        (number, kind): (u32, Kind),
        inside: u32,
    ) -> bool {
        glance.clear();
        let limit = self.limits.items;
        // SAFETY: by the contract; writing values runs nothing.
        unsafe {
            match (kind, self.parts(object, kind)) {
                (Kind::List, Parts::Items(first, length)) => {
                    glance.layout = Layout::Items;
                    glance.length = length as u64;
                    let shown = length.min(limit);
                    to.items(length as u64, shown as u64);
                    let items = (0..shown).map(|at| *first.add(at));
                    glance.words.extend(items.clone().map(glance_word));
                    items.for_each(|item| self.optional(py, to, item, inside));
                    true
                }
                (Kind::Instance, Parts::Attributes(values))
                    if self.types.get_ref(number).members.is_empty() && values.len() < limit =>
                {
                    glance.layout = Layout::Values;
                    glance.words.push(values.keys_address() as u64);
                    let places = (0..values.len()).map(|at| values.get(at));
                    self.describe_attributes(py, to, glance, places, inside);
                    true
                }
                (Kind::Instance, Parts::None) => {
                    let class = self.types.get_ref(number);
                    if class.has_dict || class.members.len() > limit {
                        return false;
                    }
                    glance.layout = Layout::Members;
                    // An instance inside may be of the same type.
                    let members = Rc::clone(&class.members);
                    let places = members.iter().map(|place| (place.0, member(object, place)));
                    self.describe_attributes(py, to, glance, places, inside);
                    true
                }
                _ => false,
            }
        }
    }

    /// Names and values, NULL where there is none; they are no more than are recorded.
    #[inline(always)]
    fn describe_attributes(
        &mut self,
        py: Python<'_>,
        to: &mut Encoder<'_>,
        glance: &mut Glance,
        places: impl Iterator<Item = (*mut ffi::PyObject, *mut ffi::PyObject)> + Clone,
        inside: u32,
    ) {
        let mut length = 0;
        glance.words.extend(places.clone().map(|(_, value)| {
            length += u64::from(!value.is_null());
            glance_word(value)
        }));
        glance.length = length;
        to.items(glance.length, glance.length);
        if glance.length > 0 {
            for (name, value) in places.filter(|(_, value)| !value.is_null()) {
                self.pair(py, to, name, value, inside);
            }
        }
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
