//! Looks again at objects whose values stand in a row in memory: lists, dicts, and instances with values beside the keys of their class. In most of them
//! nothing has changed, or one value has come or been replaced. What [`Pen::update_shortly`] does for all, in fewer instructions.

use debugop_recording::stream::{Change, Kind, MAX_PARTS, ObjectId, Short};
use pyo3::{Python, ffi};

use super::compare::is_dying;
use super::in_place::{MORE, NOWHERE, dict_of, difference, have_lived};
use super::pen::{IS_TYPE, Pen};
use super::shadows::{Layout, Shadow};
use super::words::{EMPTY, glance_word};
use crate::layout::objects::{ListObject, pairs_of};

/// The items of a list, or keys and values of a dict in turns.
struct Row {
    first: *const *mut ffi::PyObject,
    /// How many there are of which words are kept.
    shown: usize,
    /// How many items or pairs there are.
    length: u64,
}

impl Row {
    /// What is in `object`, if that stands in a row.
    ///
    /// # Safety
    /// It is alive and of the class that its shadow says. What is returned is valid until something runs.
    #[inline(always)]
    unsafe fn of(object: *mut ffi::PyObject, shadow: &Shadow, limit: usize) -> Option<Self> {
        let glance = &shadow.glance;
        // SAFETY: by the contract; of a class there is only one kind of objects.
        unsafe {
            match glance.layout {
                Layout::Items => {
                    let list = object.cast::<ListObject>();
                    let length = (*list).ob_base.ob_size.unsigned_abs();
                    Some(Self {
                        first: (*list).ob_item,
                        shown: length.min(limit),
                        length: length as u64,
                    })
                }
                Layout::Pairs => {
                    let dict = match shadow.kind {
                        Kind::Dict => object,
                        _ => dict_of(object, shadow.class)?,
                    };
                    let pairs = pairs_of(dict).filter(|pairs| pairs.is_row())?;
                    Some(Self {
                        first: pairs.first(),
                        shown: 2 * pairs.len().min(limit),
                        length: pairs.len() as u64,
                    })
                }
                _ => None,
            }
        }
    }
}

impl Pen {
    /// As [`Pen::update_shortly`], of an object that has been looked up, in more general ways than [`Pen::update_in_place`].
    #[inline(never)]
    pub(super) fn update_otherwise(
        &mut self,
        py: Python<'_>,
        to: &mut Short<'_>,
        object: *mut ffi::PyObject,
        block: usize,
        newest: u64,
    ) -> bool {
        match self.update_row(py, to, object, newest) {
            Some(is_done) => is_done,
            None => self.update_places(py, to, object, block, newest),
        }
    }

    /// The same of any list or dict whose values stand in a row. `None` if they do not, or the object has not been looked up lately.
    #[inline(always)]
    fn update_row(
        &mut self,
        py: Python<'_>,
        to: &mut Short<'_>,
        object: *mut ffi::PyObject,
        newest: u64,
    ) -> Option<bool> {
        let now = self.identities.now(py)?;
        let entry = now.recent(object as usize)?;
        let epoch = self.chunk << 1 | 1;
        // As `to_look_at`.
        if entry.id.get() > newest
            || entry.epoch != epoch
            || entry.index >= IS_TYPE
            // SAFETY: it has an entry, so its memory has not been freed.
            || unsafe { is_dying(object) }
        {
            return Some(true);
        }
        let shadow = self.shadows.get(entry.index);
        // SAFETY: a live object.
        if shadow.class != unsafe { ffi::Py_TYPE(object) } {
            return Some(false);
        }
        // SAFETY: it is of that class, and nothing runs until this is over.
        let row = unsafe { Row::of(object, shadow, self.limits.items) }?;
        let (layout, length) = (shadow.glance.layout, shadow.glance.length);
        let words = &shadow.glance.words[..];
        let (place, word) = match words.len() <= row.shown {
            // SAFETY: as above.
            true => unsafe { difference(words, row.first) },
            false => (MORE, EMPTY),
        };
        let part = if layout == Layout::Pairs { 2 } else { 1 };
        let more = row.shown.wrapping_sub(words.len());
        let (change, at) = match place {
            NOWHERE if more == 0 && row.length == length => (None, NOWHERE),
            NOWHERE if more == 0 => (Some(Change::Length), NOWHERE),
            NOWHERE if more == part && row.length == length + 1 => {
                let at = words.len();
                (Some(Change::Insert(at / part)), at)
            }
            // Not another key, nor where none has been or is left.
            at if word != EMPTY
                && more == 0
                && row.length == length
                && at % part == part - 1
                && words.get(at).is_some_and(|&was| was != EMPTY) =>
            {
                (Some(Change::Replace(at / part)), at)
            }
            _ => {
                let is_list = layout == Layout::Items;
                return Some(is_list && self.write_anew(py, to, object, entry));
            }
        };
        let deaths = now.deaths();
        if deaths != shadow.deaths && !have_lived(now, words, at, shadow) {
            return Some(false);
        }
        let Some(change) = change else {
            self.shadows.get_mut(entry.index).deaths = deaths;
            return Some(true);
        };
        let is_replaced = matches!(change, Change::Replace(_));
        let to_come = if is_replaced && part == 1 { 0 } else { 2 };
        if words.len() + to_come > MAX_PARTS {
            return Some(false);
        }
        let none = std::ptr::null_mut();
        // SAFETY: as above; what has changed is there.
        let (key, value) = unsafe {
            match change {
                Change::Length => (none, none),
                Change::Insert(_) if part == 2 => (*row.first.add(at), *row.first.add(at + 1)),
                Change::Insert(_) | Change::Replace(_) => (none, *row.first.add(at)),
            }
        };
        let (Some(key_to_put), Some(value_to_put)) = (
            self.simply_now(py, now, key),
            self.simply_now(py, now, value),
        ) else {
            return Some(false);
        };
        to.update_part(
            &mut self.recent,
            ObjectId(entry.id.get()),
            change,
            row.length,
        );
        if !key.is_null() {
            self.put_simple(to, key_to_put);
        }
        if !value.is_null() {
            self.put_simple(to, value_to_put);
        }
        let newest = self.newest();
        let shadow = self.shadows.get_mut(entry.index);
        let words = &mut shadow.glance.words;
        match change {
            Change::Length => {}
            Change::Replace(_) => words[at] = word,
            Change::Insert(_) => {
                if part == 2 {
                    words.push(glance_word(key));
                }
                words.push(glance_word(value));
            }
        }
        shadow.glance.length = row.length;
        (shadow.deaths, shadow.newest) = (deaths, newest);
        Some(true)
    }
}
