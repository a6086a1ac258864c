//! What most instructions do to an object that they change: an attribute is set that is there, or that comes, or an item of a list, or one comes at the end. Seen where the
//! values stand in memory, a row for which words are kept; nothing else of the object may have changed, whoever has changed it. A short list of which more has changed is
//! written anew.
//!
//! Nothing here panics or allocates but what is called for values that are rare.

use std::panic::{AssertUnwindSafe, catch_unwind};

use debugop_recording::stream::{Change, Kind, MAX_PARTS, ObjectId, RecentObjects, Short};
use pyo3::{Python, ffi};

use super::identities::Entry;
use super::pen::{Pen, small_int};
use super::quick::Simple;
use super::shadows::{Layout, Shadow};
use super::types::Types;
use super::words::{EMPTY, glance_word, int_word, is_address, word_at_once};
use crate::identity::Now;
use crate::layout::LongObject;
use crate::layout::objects::{Attributes, ListObject, Values, attributes, pairs_of, values_beside};

/// No place of a row.
pub(super) const NOWHERE: usize = usize::MAX;
/// More places than one.
pub(super) const MORE: usize = usize::MAX - 1;

/// Where the values of a row differ from their words: in one place, [`NOWHERE`] or in [`MORE`]; and the word of what is in that place now.
///
/// # Safety
/// There is a value for each word, none of which changes meanwhile.
// By itself, in registers of its own, and so is what it returns; it calls nothing but at its end, so that it saves none.
#[inline(never)]
pub(super) unsafe fn difference(words: &[u64], first: *const *mut ffi::PyObject) -> (usize, u64) {
    let (count, kept) = (words.len(), words.as_ptr());
    // An address; if another object lives there now, even one that is known by its value, somebody has died.
    // SAFETY: by the contract, of a place before the end.
    let is_same = |at: usize| unsafe { *kept.add(at) == *first.add(at) as u64 };
    let mut found = (NOWHERE, EMPTY);
    let mut next = 0;
    loop {
        let at = 'differs: {
            let mut at = next;
            while at + 4 <= count {
                if !is_same(at) {
                    break 'differs at;
                }
                if !is_same(at + 1) {
                    break 'differs at + 1;
                }
                if !is_same(at + 2) {
                    break 'differs at + 2;
                }
                if !is_same(at + 3) {
                    break 'differs at + 3;
                }
                at += 4;
            }
            while at < count {
                if !is_same(at) {
                    break 'differs at;
                }
                at += 1;
            }
            return found;
        };
        // SAFETY: as above.
        let (was, value) = unsafe { (*kept.add(at), *first.add(at)) };
        let Some(word) = word_at_once(value) else {
            // SAFETY: by the contract.
            return unsafe { difference_of_any(words, first) };
        };
        if was != word {
            if found.0 != NOWHERE {
                return (MORE, EMPTY);
            }
            found = (at, word);
        }
        next = at + 1;
    }
}

/// The same, where there are values whose words take a call.
///
/// # Safety
/// As for [`difference`].
#[inline(never)]
unsafe fn difference_of_any(words: &[u64], first: *const *mut ffi::PyObject) -> (usize, u64) {
    let mut found = (NOWHERE, EMPTY);
    for (at, &was) in words.iter().enumerate() {
        // SAFETY: by the contract.
        let value = unsafe { *first.add(at) };
        if was == value as u64 {
            continue;
        }
        let word = glance_word(value);
        if was != word {
            if found.0 != NOWHERE {
                return (MORE, EMPTY);
            }
            found = (at, word);
        }
    }
    found
}

/// The dict with the attributes of an object of this class, if they are in one.
///
/// # Safety
/// As [`attributes`].
#[inline]
pub(super) unsafe fn dict_of(
    object: *mut ffi::PyObject,
    class: *mut ffi::PyTypeObject,
) -> Option<*mut ffi::PyObject> {
    // SAFETY: by the contract.
    unsafe {
        match attributes(object, class) {
            Attributes::Dict(dict) if ffi::PyDict_CheckExact(dict) != 0 => Some(dict),
            _ => None,
        }
    }
}

/// Whether surely no object that is in `words`, those of this shadow, but for this one, has died since it was cast.
#[inline]
pub(super) fn have_lived(now: Now<'_>, words: &[u64], except: usize, shadow: &Shadow) -> bool {
    // What is no address shares a place with some that are: rarely one where somebody has died since.
    let is_near = |&word: &u64| now.last_death_at(word as usize) > shadow.deaths;
    words
        .iter()
        .position(is_near)
        .is_none_or(|first| have_lived_from(now, words, first, except, shadow))
}

/// The same of the words from here on.
#[inline(never)]
fn have_lived_from(
    now: Now<'_>,
    words: &[u64],
    first: usize,
    except: usize,
    shadow: &Shadow,
) -> bool {
    let is_gone = |(at, &word): (usize, &u64)| {
        at != except
            && now.last_death_at(word as usize) > shadow.deaths
            && is_address(word)
            // Who has come to the address since has a newer id, or none ([`Pen::is_still`]).
            && now.recent(word as usize).is_none_or(|entry| entry.id.get() > shadow.newest)
    };
    !words.iter().enumerate().skip(first).any(is_gone)
}

/// The contrary, by itself.
#[inline(never)]
fn have_died(now: Now<'_>, words: &[u64], except: usize, shadow: &Shadow) -> bool {
    !have_lived(now, words, except, shadow)
}

/// How many attributes there are before the one with index `at`, if there are so many of all.
#[inline(always)]
fn parts_before(words: &[u64], at: usize, length: u64) -> usize {
    if length == words.len() as u64 {
        return at;
    }
    let before = words.iter().take(at);
    before.fold(0, |count, &word| count + usize::from(word != EMPTY))
}

/// What an object has of which words are kept.
struct Row<'a> {
    /// Those of its values: all of its shadow's, but for the address of keys.
    words: &'a [u64],
    /// Where its values stand: as many as words, or one more.
    first: *const *mut ffi::PyObject,
    /// How many parts it has; of attributes, how many it had.
    length: u64,
    /// How many values there are more than words: in a list of which more is recorded than before one, in one of which less is, or where many are new, more.
    more: usize,
    /// The values with their names, if they stand beside keys.
    names: Option<Values>,
}

impl<'a> Row<'a> {
    /// What is in `object`, if that stands in a row, in which the words have their places.
    ///
    /// # Safety
    /// It is alive and of the class that its shadow says. What is returned is valid until something runs.
    #[inline(always)]
    unsafe fn of(
        types: &Types,
        limit: usize,
        object: *mut ffi::PyObject,
        shadow: &'a Shadow,
    ) -> Option<Self> {
        let (kept, length) = (&shadow.glance.words[..], shadow.glance.length);
        let mut row = Row {
            words: kept,
            first: std::ptr::null(),
            length,
            more: 0,
            names: None,
        };
        // SAFETY: by the contract.
        unsafe {
            match shadow.glance.layout {
                Layout::Values => {
                    let (keys, words) = kept.split_first()?;
                    let values = values_beside(object, shadow.class, *keys as usize)?;
                    if values.len() != words.len() {
                        return None;
                    }
                    (row.words, row.first, row.names) = (words, values.first(), Some(values));
                }
                Layout::Items => {
                    let list = object.cast::<ListObject>();
                    let size = (*list).ob_base.ob_size.cast_unsigned();
                    row.first = (*list).ob_item;
                    (row.length, row.more) =
                        (size as u64, size.min(limit).wrapping_sub(kept.len()));
                }
                Layout::Pairs => {
                    let dict = match shadow.kind {
                        Kind::Dict => object,
                        _ => dict_of(object, shadow.class)?,
                    };
                    let pairs = pairs_of(dict)?;
                    if !pairs.is_row() || pairs.len() as u64 != length {
                        return None;
                    }
                    row.first = pairs.first();
                }
                Layout::Members => {
                    let offset = types.find_ref(shadow.number)?.row?;
                    row.first = object.cast::<u8>().offset(offset).cast_const().cast();
                }
                Layout::Nothing => {
                    if !matches!(attributes(object, shadow.class), Attributes::None) {
                        return None;
                    }
                }
                Layout::Other | Layout::ItemsAlone | Layout::PairsAlone => return None,
            }
        }
        Some(row)
    }
}

/// A change of one part: what is written of it.
struct Changed {
    change: Change,
    /// What comes before the value: NULL for nothing.
    key: *mut ffi::PyObject,
    /// NULL for nothing.
    value: *mut ffi::PyObject,
    /// How many parts there are by now.
    length: u64,
}

impl Pen {
    /// As [`Pen::update_shortly`]: what is most frequent. Whether that is done; if not, nothing has been written or noted, and there may be another short form.
    #[inline(always)]
    pub(super) fn update_in_place(
        &mut self,
        py: Python<'_>,
        to: &mut Short<'_>,
        object: *mut ffi::PyObject,
        newest: u64,
    ) -> bool {
        let Some(now) = self.identities.now_at_once(py) else {
            return false;
        };
        let Some(entry) = now.recent(object as usize) else {
            return false;
        };
        let Some(index) = self.to_look_at(object, entry, newest) else {
            return true;
        };
        let Some(shadow) = self.shadows.find(index) else {
            return false;
        };
        // SAFETY: a live object.
        if shadow.class != unsafe { ffi::Py_TYPE(object) } {
            return false;
        }
        let (layout, length) = (shadow.glance.layout, shadow.glance.length);
        // SAFETY: it is of that class, and nothing runs until this is over.
        let Some(row) = (unsafe { Row::of(&self.types, self.limits.items, object, shadow) }) else {
            return false;
        };
        if row.more > 1 {
            return self.list_in_place(py, to, index, entry.id.get(), object);
        }
        let (words, first) = (row.words, row.first);
        // SAFETY: there is a value for each word.
        let (at, word) = unsafe { difference(words, first) };
        let is_as_long = layout != Layout::Items || row.length == length;
        let deaths = now.deaths();
        if at == NOWHERE && is_as_long {
            if deaths != shadow.deaths && have_died(now, words, at, shadow) {
                return false;
            }
            if let Some(shadow) = self.shadows.find_mut(index) {
                shadow.deaths = deaths;
            }
            return true;
        }
        let was = words.get(at).copied().unwrap_or(EMPTY);
        // Nothing has come or gone; nor is it another key.
        if was == EMPTY || word == EMPTY || !is_as_long || layout == Layout::Pairs && at % 2 == 0 {
            return self.change_in_place(py, to, object, entry, (at, word));
        }
        if deaths != shadow.deaths && have_died(now, words, at, shadow) {
            return false;
        }
        let place = match layout {
            Layout::Items => at,
            Layout::Pairs => at / 2,
            _ => parts_before(words, at, length),
        };
        let before = to.len();
        let (id, epoch) = (ObjectId(entry.id.get()), self.chunk << 1 | 1);
        let change = Change::Replace(place);
        let in_kept = at + (shadow.glance.words.len() - words.len());
        let is_put = shadow.glance.words.len() + 2 <= MAX_PARTS
            && to.little_update_part(&self.recent, id, change, length)
            // SAFETY: the object that the value is in keeps it alive.
            && unsafe { put::<true>(now, epoch, &mut self.recent, to, *first.add(at)) };
        if !is_put {
            to.shorten(before);
            return self.change_in_place(py, to, object, entry, (at, word));
        }
        let newest = self.newest();
        if let Some(shadow) = self.shadows.find_mut(index) {
            if let Some(kept) = shadow.glance.words.get_mut(in_kept) {
                *kept = word;
            }
            (shadow.deaths, shadow.newest) = (deaths, newest);
        }
        true
    }

    /// The same of an object that has been found, where more or something else is to be said than what is in place of another value. It differs at this place, where a value of
    /// this word is.
    #[inline(never)]
    fn change_in_place(
        &mut self,
        py: Python<'_>,
        to: &mut Short<'_>,
        object: *mut ffi::PyObject,
        entry: Entry,
        (at, word): (usize, u64),
    ) -> bool {
        let Some(now) = self.identities.now_at_once(py) else {
            return false;
        };
        let (Some(shadow), id) = (self.shadows.find(entry.index), entry.id.get()) else {
            return false;
        };
        let (layout, length) = (shadow.glance.layout, shadow.glance.length);
        let kept = shadow.glance.words.len();
        // SAFETY: as in `update_in_place`.
        let Some(row) = (unsafe { Row::of(&self.types, self.limits.items, object, shadow) }) else {
            return false;
        };
        let (words, first) = (row.words, row.first);
        let mut changed = Changed {
            change: Change::Length,
            key: std::ptr::null_mut(),
            value: std::ptr::null_mut(),
            length: row.length,
        };
        // The word that changes, or comes, in the shadow.
        let (mut place, mut word) = (NOWHERE, word);
        if layout == Layout::Items {
            match (at, row.more) {
                (NOWHERE, 1) if row.length == length + 1 => {
                    (place, changed.change) = (kept, Change::Insert(kept));
                    // SAFETY: there is one item more.
                    changed.value = unsafe { *first.add(kept) };
                    match word_at_once(changed.value) {
                        Some(new) if new != EMPTY && shadow.glance.has_place() => word = new,
                        _ => return false,
                    }
                }
                (NOWHERE, 0) => {}
                (_, 0) if at < kept && word != EMPTY && row.length == length => {
                    (place, changed.change) = (at, Change::Replace(at));
                    // SAFETY: there is an item for each word.
                    changed.value = unsafe { *first.add(at) };
                }
                _ => return self.list_in_place(py, to, entry.index, id, object),
            }
        } else {
            let Some(&was) = words.get(at) else {
                return false;
            };
            // An attribute is gone; or it is another key.
            if word == EMPTY || layout == Layout::Pairs && at % 2 == 0 {
                return false;
            }
            // SAFETY: there is a value for each word.
            (place, changed.value) = unsafe { (at + (kept - words.len()), *first.add(at)) };
            changed.change = match (was, layout) {
                (EMPTY, Layout::Values | Layout::Members) => {
                    changed.key = match row.names {
                        // SAFETY: as above.
                        Some(values) => unsafe { values.get(at).0 },
                        None => match self.types.member(shadow.number, at) {
                            Some(member) => member.0,
                            None => return false,
                        },
                    };
                    changed.length = length + 1;
                    Change::Insert(parts_before(words, at, length))
                }
                (EMPTY, _) => return false,
                (_, Layout::Pairs) => Change::Replace(at / 2),
                _ => Change::Replace(parts_before(words, at, length)),
            };
        }
        let deaths = now.deaths();
        if kept + 2 > MAX_PARTS
            || deaths != shadow.deaths && have_died(now, words, at, shadow)
            || !self.put_at_once(py, to, ObjectId(id), &changed)
                && !self.put_changed(py, to, ObjectId(id), &changed)
        {
            return false;
        }
        let newest = self.newest();
        if let Some(shadow) = self.shadows.find_mut(entry.index) {
            shadow.glance.set(place, word);
            shadow.glance.length = changed.length;
            (shadow.deaths, shadow.newest) = (deaths, newest);
        }
        true
    }

    /// Writes a change of an object, and with a key, that have been named lately. Whether it is that, and the value simple; otherwise nothing has been written or noted.
    #[inline(always)]
    fn put_at_once(
        &mut self,
        py: Python<'_>,
        to: &mut Short<'_>,
        id: ObjectId,
        changed: &Changed,
    ) -> bool {
        let Some(now) = self.identities.now_at_once(py) else {
            return false;
        };
        let (before, epoch) = (to.len(), self.chunk << 1 | 1);
        let (change, recent) = (changed.change, &mut self.recent);
        // SAFETY: the object that both are in keeps them alive.
        let is_put = to.little_update_part(recent, id, change, changed.length)
            && unsafe {
                (changed.key.is_null() || put::<false>(now, epoch, recent, to, changed.key))
                    && (changed.value.is_null()
                        || put::<true>(now, epoch, recent, to, changed.value))
            };
        if !is_put {
            to.shorten(before);
        }
        is_put
    }

    /// Writes a change. Whether there is a short form; otherwise nothing has been written or noted.
    #[inline(never)]
    fn put_changed(
        &mut self,
        py: Python<'_>,
        to: &mut Short<'_>,
        id: ObjectId,
        changed: &Changed,
    ) -> bool {
        // What is not simple may be looked up, in functions that can panic.
        let work = AssertUnwindSafe(|| {
            let now = self.identities.now_at_once(py)?;
            let key = self.simply_now(py, now, changed.key)?;
            let value = self.simply_now(py, now, changed.value)?;
            to.update_part(&mut self.recent, id, changed.change, changed.length);
            if !changed.key.is_null() {
                self.put_simple(to, key);
            }
            if !changed.value.is_null() {
                self.put_simple(to, value);
            }
            Some(())
        });
        // Who goes on by the general way panics there again, where that is told.
        catch_unwind(work).is_ok_and(|done| done.is_some())
    }

    /// Writes what is in a list of which more has changed than one item, if that are a few ints, floats and the like, and objects that have been named lately. Whether it has; otherwise nothing has
    /// been written or noted.
    #[inline(never)]
    fn list_in_place(
        &mut self,
        py: Python<'_>,
        to: &mut Short<'_>,
        index: u32,
        id: u64,
        list: *mut ffi::PyObject,
    ) -> bool {
        let Some(now) = self.identities.now_at_once(py) else {
            return false;
        };
        let list = list.cast::<ListObject>();
        // SAFETY: a live list, by its class.
        let (first, size) = unsafe { ((*list).ob_item, (*list).ob_base.ob_size.cast_unsigned()) };
        let shown = size.min(self.limits.items);
        let epoch = self.chunk << 1 | 1;
        let before = to.len();
        let mut words = [EMPTY; Short::VALUES];
        if self.limits.items > words.len()
            || !to.little_update(&self.recent, ObjectId(id), size, shown)
        {
            return false;
        }
        for (at, place) in words.iter_mut().enumerate().take(shown) {
            // SAFETY: there are so many items, which the list keeps alive; of an exact int the fields are read.
            let word = unsafe {
                let item = *first.add(at);
                match item.is_null() {
                    true => None,
                    // Asked for its value once.
                    false if ffi::Py_TYPE(item) == &raw mut ffi::PyLong_Type => {
                        let value = (*item.cast::<LongObject>()).compact();
                        match value.filter(|&value| to.little_int(value)) {
                            Some(value) => Some(int_word(value)),
                            None => word_at_once(item).filter(|_| put_long(to, item)),
                        }
                    }
                    false => {
                        let is_put = put::<false>(now, epoch, &mut self.recent, to, item);
                        word_at_once(item).filter(|_| is_put)
                    }
                }
            };
            let Some(word) = word else {
                to.shorten(before);
                return false;
            };
            *place = word;
        }
        let newest = self.newest();
        let words = words.get(..shown).unwrap_or_default();
        let is_kept = self.shadows.find_mut(index).is_some_and(|shadow| {
            let is_kept = shadow.glance.set_all(words);
            if is_kept {
                shadow.glance.length = size as u64;
                (shadow.deaths, shadow.newest) = (now.deaths(), newest);
            }
            is_kept
        });
        if !is_kept {
            to.shorten(before);
        }
        is_kept
    }

    /// As [`Self::update_in_place`], and where that is not enough in the more general ways that have a short form.
    #[inline(always)]
    pub(super) fn update_known(
        &mut self,
        py: Python<'_>,
        to: &mut Short<'_>,
        object: *mut ffi::PyObject,
        block: usize,
        newest: u64,
    ) -> bool {
        self.update_in_place(py, to, object, newest)
            || self.update_further(py, to, object, block, newest)
    }

    /// Those ways.
    #[inline(always)]
    pub(super) fn update_further(
        &mut self,
        py: Python<'_>,
        to: &mut Short<'_>,
        object: *mut ffi::PyObject,
        block: usize,
        newest: u64,
    ) -> bool {
        // Looked up, it is found at once, unless somebody hooks into the allocator just now.
        match self.identities.lookup_at(py, object, block) {
            Some(_) => self.update_otherwise(py, to, object, block, newest),
            None => true,
        }
    }

    /// What there is to write of a value, if it is simple; of NULL anything, which nobody writes.
    #[inline(always)]
    pub(super) fn simply_now(
        &self,
        py: Python<'_>,
        now: Now<'_>,
        object: *mut ffi::PyObject,
    ) -> Option<Simple> {
        // SAFETY: who holds the object keeps it alive; fields of exact types are read.
        unsafe {
            if object.is_null() || object == ffi::Py_None() {
                return Some(Simple::None);
            }
            let class = ffi::Py_TYPE(object);
            if class == &raw mut ffi::PyLong_Type {
                return small_int(object).map(Simple::Int);
            }
            if class == &raw mut ffi::PyFloat_Type {
                return Some(Simple::Float(ffi::PyFloat_AS_DOUBLE(object).to_bits()));
            }
            if class == &raw mut ffi::PyTuple_Type || class == &raw mut ffi::PyBool_Type {
                return self.simple(py, object);
            }
            let entry = now.recent(object as usize)?;
            (entry.epoch == self.chunk << 1 | 1).then(|| Simple::Object(ObjectId(entry.id.get())))
        }
    }
}

/// Writes an int that takes more bytes than most. Whether it is one of a few digits; otherwise nothing has been written.
///
/// # Safety
/// A live object.
#[inline(never)]
unsafe fn put_long(to: &mut Short<'_>, object: *mut ffi::PyObject) -> bool {
    // SAFETY: by the contract.
    let value = unsafe { small_int(object) };
    if let Some(value) = value {
        to.int(value);
    }
    value.is_some()
}

/// Writes a value that takes few bytes: of an object whose entry has this epoch its id, if that has been named lately, or otherwise where it may be noted (`NOTES`).
/// Whether it has; otherwise nothing has been written or noted.
///
/// # Safety
/// The object is alive.
#[inline(always)]
unsafe fn put<const NOTES: bool>(
    now: Now<'_>,
    epoch: u32,
    recent: &mut RecentObjects,
    to: &mut Short<'_>,
    object: *mut ffi::PyObject,
) -> bool {
    // SAFETY: by the contract; fields of exact types are read.
    unsafe {
        let class = ffi::Py_TYPE(object);
        if class == &raw mut ffi::PyLong_Type {
            let value = (*object.cast::<LongObject>()).compact();
            return value.is_some_and(|value| to.little_int(value)) || put_long(to, object);
        }
        if class == &raw mut ffi::PyFloat_Type {
            to.float(ffi::PyFloat_AS_DOUBLE(object).to_bits());
        } else if object == ffi::Py_None() {
            to.none();
        } else if class == &raw mut ffi::PyBool_Type {
            to.bool(object == ffi::Py_True());
        } else {
            let entry = now.recent(object as usize);
            // Some tuples are used again for others.
            let Some(entry) =
                entry.filter(|entry| entry.epoch == epoch && class != &raw mut ffi::PyTuple_Type)
            else {
                return false;
            };
            let id = ObjectId(entry.id.get());
            return to.recent_object(recent, id) || NOTES && to.little_object(recent, id);
        }
    }
    true
}
