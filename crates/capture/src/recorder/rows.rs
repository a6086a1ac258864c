//! Looks again at objects whose values stand in a row in memory: lists, dicts, and instances with values beside the keys of their class. In most of them
//! nothing has changed, or one value has come or been replaced. What [`Pen::update_shortly`] does for all, in fewer instructions.

use debugop_recording::stream::{Change, Kind, MAX_PARTS, ObjectId, Short};
use pyo3::{Python, ffi};

use super::compare::is_dying;
use super::identities::Entry;
use super::pen::{IS_TYPE, Pen, small_int};
use super::quick::Simple;
use super::shadows::{Layout, Shadow};
use super::words::{EMPTY, glance_word, is_address};
use crate::identity::Now;
use crate::layout::objects::{Attributes, ListObject, attributes, pairs_of, values_beside};

/// The items of a list, or keys and values of a dict in turns.
struct Row {
    first: *const *mut ffi::PyObject,
    /// How many there are of which words are kept.
    shown: usize,
    /// How many items or pairs there are.
    length: u64,
}

/// Where a row differs from the words that are kept of it.
enum Differs {
    Nowhere,
    /// Here only, where a value of this word is now.
    At(usize, u64),
    More,
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
                        _ => match attributes(object, shadow.class) {
                            Attributes::Dict(dict) if ffi::PyDict_CheckExact(dict) != 0 => dict,
                            _ => return None,
                        },
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

    /// Where it differs from `words`, none of which is beyond its end.
    ///
    /// # Safety
    /// The object lives, and nothing has run since it was asked for its row.
    unsafe fn differs(&self, words: &[u64]) -> Differs {
        // SAFETY: by the contract.
        let next = |from| unsafe { next_difference(words, self.first, from) };
        match next(0) {
            None => Differs::Nowhere,
            Some((_, EMPTY)) => Differs::More,
            Some((at, word)) => match next(at + 1) {
                None => Differs::At(at, word),
                Some(_) => Differs::More,
            },
        }
    }
}

/// The first place from `from` on where the values differ from their words, and the word of what is there.
///
/// # Safety
/// There is a value for each word, none of which changes meanwhile.
#[inline(always)]
unsafe fn next_difference(
    words: &[u64],
    first: *const *mut ffi::PyObject,
    from: usize,
) -> Option<(usize, u64)> {
    let mut at = from;
    while let Some(&was) = words.get(at) {
        // SAFETY: by the contract.
        let value = unsafe { *first.add(at) };
        // An address; if another object lives there now, even one that is known by its value, somebody has died.
        if was != value as u64 {
            let word = glance_word(value);
            if was != word {
                return Some((at, word));
            }
        }
        at += 1;
    }
    None
}

/// Whether no object that is in `words`, but for this one, has died after so many deaths.
#[inline(always)]
pub(super) fn have_lived(now: Now<'_>, words: &[u64], except: usize, deaths: u64) -> bool {
    for (at, &word) in words.iter().enumerate() {
        if word >> 48 == 0
            && now.last_death_at(word as usize) > deaths
            && at != except
            && is_address(word)
        {
            return false;
        }
    }
    true
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

impl Pen {
    /// As [`Pen::update_shortly`]: by itself, what is most frequent, an attribute or an item of a list that is set, where no other keys or items have come.
    #[inline(always)]
    pub(super) fn update_known(
        &mut self,
        py: Python<'_>,
        to: &mut Short<'_>,
        object: *mut ffi::PyObject,
        block: usize,
        newest: u64,
    ) -> bool {
        let Some(now) = self.identities.now(py) else {
            return self.update_forgotten(py, to, object, block, newest);
        };
        let Some(entry) = now.recent(object as usize) else {
            return self.update_forgotten(py, to, object, block, newest);
        };
        // As `to_look_at`.
        if entry.id.get() > newest
            || entry.epoch != self.chunk << 1 | 1
            || entry.index >= IS_TYPE
            // SAFETY: it has an entry, so its memory has not been freed.
            || unsafe { is_dying(object) }
        {
            return true;
        }
        let shadow = self.shadows.get(entry.index);
        // SAFETY: a live object.
        if shadow.class != unsafe { ffi::Py_TYPE(object) } {
            return false;
        }
        let (layout, kept) = (shadow.glance.layout, &shadow.glance.words[..]);
        // SAFETY: it is of that class, and nothing runs until this is over.
        let row = unsafe {
            match (layout, kept) {
                (Layout::Items, _) => {
                    let list = object.cast::<ListObject>();
                    let is_as_long = (*list).ob_base.ob_size as u64 == shadow.glance.length;
                    is_as_long.then_some(((*list).ob_item, kept))
                }
                (Layout::Values, [keys, words @ ..]) => {
                    let values = values_beside(object, shadow.class, *keys as usize);
                    let values = values.filter(|values| values.len() == words.len());
                    values.map(|values| (values.first(), words))
                }
                (Layout::Members, words) => {
                    let row = self.types.get_ref(shadow.number).row;
                    row.map(|offset| {
                        (
                            object.cast::<u8>().offset(offset).cast_const().cast(),
                            words,
                        )
                    })
                }
                _ => None,
            }
        };
        let Some((first, words)) = row else {
            return self.update_otherwise(py, to, object, block, newest);
        };
        // SAFETY: there is a value for each word.
        let next = |from| unsafe { next_difference(words, first, from) };
        let deaths = now.deaths();
        let has_lived =
            |except| deaths == shadow.deaths || have_lived(now, words, except, shadow.deaths);
        let Some((at, word)) = next(0) else {
            let has_lived = has_lived(usize::MAX);
            if has_lived {
                self.shadows.get_mut(entry.index).deaths = deaths;
            }
            return has_lived;
        };
        let is_new = words[at] == EMPTY;
        if word == EMPTY
            || is_new && layout == Layout::Items
            || next(at + 1).is_some()
            || kept.len() + 2 > MAX_PARTS
        {
            return self.update_otherwise(py, to, object, block, newest);
        }
        if !has_lived(at) {
            return false;
        }
        // SAFETY: as above.
        let value = unsafe { *first.add(at) };
        if is_new {
            return self.add_attribute(py, to, object, entry, (at, word, value));
        }
        let Some(simple) = self.simply_now(py, now, value) else {
            return false;
        };
        let length = shadow.glance.length;
        let place = match layout {
            Layout::Items => at,
            _ => parts_before(words, at, length),
        };
        let at = at + (kept.len() - words.len());
        let id = ObjectId(entry.id.get());
        to.update_part(&mut self.recent, id, Change::Replace(place), length);
        self.put_simple(to, simple);
        let newest = self.newest();
        let shadow = self.shadows.get_mut(entry.index);
        if let Some(kept) = shadow.glance.words.get_mut(at) {
            *kept = word;
        }
        (shadow.deaths, shadow.newest) = (deaths, newest);
        true
    }

    /// The same where all that has changed is that an attribute has come, among those of its layout at `at`, of this word.
    #[inline(never)]
    fn add_attribute(
        &mut self,
        py: Python<'_>,
        to: &mut Short<'_>,
        object: *mut ffi::PyObject,
        entry: Entry,
        (at, word, value): (usize, u64, *mut ffi::PyObject),
    ) -> bool {
        let Some(now) = self.identities.now(py) else {
            return false;
        };
        let shadow = self.shadows.get(entry.index);
        let (kept, length) = (&shadow.glance.words[..], shadow.glance.length);
        let (name, words) = match (shadow.glance.layout, kept) {
            (Layout::Members, words) => {
                let members = &self.types.get_ref(shadow.number).members;
                (members[at].0, words)
            }
            (_, [keys, words @ ..]) => {
                // SAFETY: a live object of this class, and nothing has run since this was found.
                match unsafe { values_beside(object, shadow.class, *keys as usize) } {
                    // SAFETY: as above.
                    Some(values) => (unsafe { values.get(at).0 }, words),
                    None => return false,
                }
            }
            _ => return false,
        };
        let Some(simple) = self.simply_now(py, now, value) else {
            return false;
        };
        let Some(simple_name) = self.simply_now(py, now, name) else {
            return false;
        };
        let change = Change::Insert(parts_before(words, at, length));
        let at = at + (kept.len() - words.len());
        let deaths = now.deaths();
        to.update_part(
            &mut self.recent,
            ObjectId(entry.id.get()),
            change,
            length + 1,
        );
        self.put_simple(to, simple_name);
        self.put_simple(to, simple);
        let newest = self.newest();
        let shadow = self.shadows.get_mut(entry.index);
        shadow.glance.words[at] = word;
        shadow.glance.length = length + 1;
        (shadow.deaths, shadow.newest) = (deaths, newest);
        true
    }

    /// The same of an object that has not been looked up lately.
    #[cold]
    #[inline(never)]
    fn update_forgotten(
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

    /// The same in more general ways.
    #[inline(never)]
    fn update_otherwise(
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
        let differs = match words.len() <= row.shown {
            // SAFETY: as above.
            true => unsafe { row.differs(words) },
            false => Differs::More,
        };
        let part = if layout == Layout::Pairs { 2 } else { 1 };
        let more = row.shown.wrapping_sub(words.len());
        let (change, at, word) = match differs {
            Differs::Nowhere if more == 0 && row.length == length => (None, usize::MAX, 0),
            Differs::Nowhere if more == 0 => (Some(Change::Length), usize::MAX, 0),
            Differs::Nowhere if more == part && row.length == length + 1 => {
                let at = words.len();
                (Some(Change::Insert(at / part)), at, 0)
            }
            // Not another key, nor where none has been.
            Differs::At(at, word)
                if more == 0
                    && row.length == length
                    && at % part == part - 1
                    && words[at] != EMPTY =>
            {
                (Some(Change::Replace(at / part)), at, word)
            }
            _ => {
                let is_list = layout == Layout::Items;
                return Some(is_list && self.write_anew(py, to, object, entry));
            }
        };
        let deaths = now.deaths();
        if deaths != shadow.deaths && !have_lived(now, words, at, shadow.deaths) {
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

    /// What there is to write of a value, if it is simple; of NULL anything, which nobody writes.
    #[inline(always)]
    fn simply_now(
        &self,
        py: Python<'_>,
        now: Now<'_>,
        object: *mut ffi::PyObject,
    ) -> Option<Simple> {
        if object.is_null() || object == none() {
            return Some(Simple::None);
        }
        // SAFETY: who holds the object keeps it alive; fields of exact types are read.
        unsafe {
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

fn none() -> *mut ffi::PyObject {
    // SAFETY: the address of a static object.
    unsafe { ffi::Py_None() }
}
