//! Whether an object that may have changed has, for those that are asked most and whose values stand in no [row](super::rows): dicts with other keys than
//! strings and instances with `__slots__` in which nothing has changed, or one value has changed or come, and sets that are few simple values; and lists that
//! are that. Nothing is collected first, as [`Pen::glance`] does for the rest.

use debugop_recording::stream::{Change, Kind, MAX_PARTS, ObjectId, Short};
use pyo3::{Python, ffi};

use super::identities::Entry;
use super::in_place::{dict_of, have_lived};
use super::parts::{each, member};
use super::pen::{IS_TYPE, Pen, small_int};
use super::quick::Simple;
use super::shadows::{Layout, Shadow};
use super::types::{Member, Types};
use super::words::{EMPTY, glance_word};
use crate::identity;
use crate::layout::objects::{Pairs, TUPLE_ITEMS, pairs_of};

/// Where the values of an object stand, in the order of its shadow's words.
#[derive(Clone, Copy)]
enum Places<'a> {
    Pairs(Pairs),
    /// In an object.
    Members(*mut ffi::PyObject, &'a [Member]),
}

/// An object now.
struct Now<'a> {
    places: Places<'a>,
    /// How many words a glance of it has.
    words: usize,
    /// How many pairs there are; of attributes, how many there were.
    length: u64,
}

/// As many parts as a [`Short`] has room for.
const FEW: usize = Short::VALUES;

/// All parts of a list or set that are recorded, of which none needs to be described.
struct FewParts {
    values: [Simple; FEW],
    /// Of a glance.
    words: [u64; FEW],
    shown: usize,
    length: usize,
}

impl FewParts {
    fn words(&self) -> &[u64] {
        &self.words[..self.shown]
    }
}

/// The only word that differs from what it is of one of as many values, if there is one: `Ok(None)` if there is none, `Err` if it takes more to say.
#[inline(always)]
fn differing(
    words: &[u64],
    value: impl Fn(usize) -> *mut ffi::PyObject,
) -> Result<Option<usize>, ()> {
    let mut found = None;
    for (at, &was) in words.iter().enumerate() {
        let value = value(at);
        // An address; if another object lives there now, even one that is known by its value, somebody has died.
        if was == value as u64 {
            continue;
        }
        let word = glance_word(value);
        if was == word {
            continue;
        }
        if found.is_some() || word == EMPTY {
            return Err(());
        }
        found = Some(at);
    }
    Ok(found)
}

impl Places<'_> {
    /// What is at a word.
    ///
    /// # Safety
    /// The object lives, nothing has run since this was asked for, and there is such a word, which is no address of keys.
    #[inline]
    unsafe fn get(self, at: usize) -> *mut ffi::PyObject {
        // SAFETY: by the contract.
        unsafe {
            match self {
                Self::Pairs(pairs) => pairs.get(at),
                Self::Members(object, members) => member(object, &members[at]),
            }
        }
    }

    /// As [`differing`].
    ///
    /// # Safety
    /// As [`Self::get`], for all words.
    #[inline(always)]
    unsafe fn differing(self, words: &[u64]) -> Result<Option<usize>, ()> {
        // SAFETY: by the contract.
        unsafe {
            match self {
                Self::Pairs(pairs) => differing(words, |at| pairs.get(at)),
                Self::Members(object, members) => {
                    differing(words, |at| member(object, &members[at]))
                }
            }
        }
    }
}

impl<'a> Now<'a> {
    /// What is in `object`, if it can be compared word by word where it stands.
    ///
    /// # Safety
    /// It is alive and of the class that its shadow says. What is returned is valid until something runs.
    #[inline(always)]
    unsafe fn of(
        types: &'a Types,
        limit: usize,
        object: *mut ffi::PyObject,
        shadow: &Shadow,
    ) -> Option<Self> {
        let length = shadow.glance.length;
        // SAFETY: by the contract; of a class there is only one kind of objects.
        unsafe {
            match (shadow.glance.layout, shadow.kind) {
                (Layout::Members, Kind::Instance) => {
                    let members = &types.get_ref(shadow.number).members[..];
                    Some(Self {
                        places: Places::Members(object, members),
                        words: members.len(),
                        length,
                    })
                }
                (Layout::Pairs, Kind::Dict | Kind::Instance) => {
                    let dict = match shadow.kind {
                        Kind::Dict => object,
                        _ => dict_of(object, shadow.class)?,
                    };
                    let pairs = pairs_of(dict)?;
                    Some(Self {
                        places: Places::Pairs(pairs),
                        words: 2 * pairs.len().min(limit),
                        length: pairs.len() as u64,
                    })
                }
                _ => None,
            }
        }
    }

    /// What has changed since the shadow was cast, if this is all that differs: `None` if it takes more to say.
    #[inline(always)]
    fn change(&self, shadow: &Shadow, differing: Option<usize>) -> Option<Option<Change>> {
        let (layout, words) = (shadow.glance.layout, &shadow.glance.words[..]);
        let more = self.words.checked_sub(words.len())?;
        let is_longer = self.length != shadow.glance.length;
        match (layout, differing) {
            (Layout::Pairs, None) => match more {
                0 => Some(is_longer.then_some(Change::Length)),
                2 if self.length == shadow.glance.length + 1 => {
                    Some(Some(Change::Insert(words.len() / 2)))
                }
                _ => None,
            },
            (_, None) if more == 0 => Some(None),
            (_, Some(at)) if more == 0 && !is_longer => {
                let was_empty = words[at] == EMPTY;
                match layout {
                    // Not another key.
                    Layout::Pairs if !was_empty && at % 2 == 1 => {
                        Some(Some(Change::Replace(at / 2)))
                    }
                    Layout::Members => {
                        let before = shadow.glance.parts_before(at);
                        Some(Some(match was_empty {
                            true => Change::Insert(before),
                            false => Change::Replace(before),
                        }))
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// The key that is new and the value, each NULL if there is none, of a change at a word.
    ///
    /// # Safety
    /// As [`Places::get`].
    #[inline(always)]
    unsafe fn changed(
        &self,
        change: Change,
        at: usize,
    ) -> (*mut ffi::PyObject, *mut ffi::PyObject) {
        let none = std::ptr::null_mut();
        // SAFETY: by the contract.
        unsafe {
            match (change, self.places) {
                (Change::Length, _) => (none, none),
                (Change::Insert(_), Places::Pairs(pairs)) => (pairs.get(at), pairs.get(at + 1)),
                (Change::Insert(_), Places::Members(object, members)) => {
                    (members[at].0, member(object, &members[at]))
                }
                (_, places) => (none, places.get(at)),
            }
        }
    }
}

impl Pen {
    /// As [`Pen::update`], for an object in which nothing has changed, or only simple values ([`Simple`]), if it is of a kind for which that is seen soon and
    /// nothing is left out of what is recorded. Whether it is done; if not, nothing has been written.
    #[inline(never)]
    pub(super) fn update_shortly(
        &mut self,
        py: Python<'_>,
        to: &mut Short<'_>,
        object: *mut ffi::PyObject,
        block: usize,
        newest: u64,
    ) -> bool {
        self.update_known(py, to, object, block, newest)
    }

    /// The same for an object whose values do not stand in a row.
    #[inline(never)]
    pub(super) fn update_places(
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
        let Some(index) = self.to_look_at(object, entry, newest) else {
            return true;
        };
        let shadow = self.shadows.get(index);
        // SAFETY: a live object.
        if shadow.class != unsafe { ffi::Py_TYPE(object) } {
            return false;
        }
        if shadow.kind == Kind::Set {
            return self.update_set(py, to, object, entry);
        }
        // SAFETY: a live object of that class; nothing runs until this is over.
        let Some(now) = (unsafe { Now::of(&self.types, self.limits.items, object, shadow) }) else {
            return false;
        };
        let glance = &shadow.glance;
        let change = if now.words < glance.words.len() {
            None
        } else {
            // SAFETY: as above; there is a value for each word.
            let differing = unsafe { now.places.differing(&glance.words) };
            let differing = differing.ok();
            differing.and_then(|at| Some((at, now.change(shadow, at)?)))
        };
        let Some((differing, change)) = change else {
            return false;
        };
        let deaths = self.identities.deaths(py);
        if deaths != shadow.deaths && !self.have_lived(py, differing, shadow) {
            return false;
        }
        let Some(change) = change else {
            self.shadows.get_mut(index).deaths = deaths;
            return true;
        };
        let at = differing.unwrap_or(glance.words.len());
        // SAFETY: as above; what has changed is at this word.
        let (key, value) = unsafe { now.changed(change, at) };
        if glance.words.len() + 2 > MAX_PARTS {
            return false;
        }
        let (Some(key_to_put), Some(value_to_put)) = (self.simply(py, key), self.simply(py, value))
        else {
            return false;
        };
        let length = match change {
            Change::Insert(_) => glance.length + 1,
            Change::Length | Change::Replace(_) => now.length,
        };
        to.update_part(&mut self.recent, ObjectId(entry.id.get()), change, length);
        if !key.is_null() {
            self.put_simple(to, key_to_put);
        }
        if !value.is_null() {
            self.put_simple(to, value_to_put);
        }
        let newest = self.newest();
        let shadow = self.shadows.get_mut(index);
        let words = &mut shadow.glance.words;
        match words.get_mut(at) {
            Some(word) => *word = glance_word(value),
            None if change == Change::Length => {}
            None => {
                if shadow.glance.layout == Layout::Pairs {
                    words.push(glance_word(key));
                }
                words.push(glance_word(value));
            }
        }
        shadow.glance.length = length;
        (shadow.deaths, shadow.newest) = (deaths, newest);
        true
    }

    /// As [`Self::update_shortly`], for a set: all that is in it, if anything has changed.
    #[inline(never)]
    fn update_set(
        &mut self,
        py: Python<'_>,
        to: &mut Short<'_>,
        set: *mut ffi::PyObject,
        entry: Entry,
    ) -> bool {
        let Some(few) = self.few_parts(py, set, Kind::Set) else {
            return false;
        };
        let shadow = self.shadows.get(entry.index);
        if few.length as u64 != shadow.glance.length || *few.words() != shadow.glance.words[..] {
            self.put_anew(py, to, &few, entry);
            return true;
        }
        let deaths = self.identities.deaths(py);
        if deaths != shadow.deaths && !self.have_lived(py, None, shadow) {
            return false;
        }
        self.shadows.get_mut(entry.index).deaths = deaths;
        true
    }

    /// Writes what is in a list that has changed in more than one place, if that is little and simple. Whether it has.
    #[inline(never)]
    pub(super) fn write_anew(
        &mut self,
        py: Python<'_>,
        to: &mut Short<'_>,
        list: *mut ffi::PyObject,
        entry: Entry,
    ) -> bool {
        let few = self.few_parts(py, list, Kind::List);
        if let Some(few) = &few {
            self.put_anew(py, to, few, entry);
        }
        few.is_some()
    }

    fn put_anew(&mut self, py: Python<'_>, to: &mut Short<'_>, few: &FewParts, entry: Entry) {
        to.update(&mut self.recent, ObjectId(entry.id.get()));
        to.items(few.length as u64, few.shown as u64);
        for &value in &few.values[..few.shown] {
            self.put_simple(to, value);
        }
        let (deaths, newest) = (self.identities.deaths(py), self.newest());
        let shadow = self.shadows.get_mut(entry.index);
        shadow.glance.words.clear();
        shadow.glance.words.extend_from_slice(few.words());
        shadow.glance.length = few.length as u64;
        (shadow.deaths, shadow.newest) = (deaths, newest);
    }

    /// The parts of a list or set, if they are few and simple.
    #[inline]
    fn few_parts(
        &self,
        py: Python<'_>,
        object: *mut ffi::PyObject,
        kind: Kind,
    ) -> Option<FewParts> {
        let mut few = FewParts {
            values: [Simple::None; FEW],
            words: [EMPTY; FEW],
            shown: 0,
            length: 0,
        };
        if self.limits.items > FEW {
            return None;
        }
        let mut are_simple = true;
        // SAFETY: a live object of this kind; nothing runs meanwhile.
        few.length = unsafe {
            each(
                &self.parts(object, kind),
                self.limits.items,
                |part, _| match self.simply(py, part) {
                    Some(value) if !part.is_null() => {
                        few.values[few.shown] = value;
                        few.words[few.shown] = glance_word(part);
                        few.shown += 1;
                    }
                    _ => are_simple = false,
                },
            )
        };
        are_simple.then_some(few)
    }

    /// What there is to write of a value, if it is simple; of NULL anything, which nobody writes.
    #[inline(always)]
    fn simply(&self, py: Python<'_>, object: *mut ffi::PyObject) -> Option<Simple> {
        if object.is_null() {
            return Some(Simple::None);
        }
        // SAFETY: who holds the object keeps it alive.
        unsafe {
            match small_int(object) {
                Some(int) => Some(Simple::Int(int)),
                None => self.simple(py, object),
            }
        }
    }

    /// Whether surely no object that is in a shadow, but for word `except`, has died since.
    #[inline(always)]
    fn have_lived(&self, py: Python<'_>, except: Option<usize>, shadow: &Shadow) -> bool {
        let except = except.unwrap_or(usize::MAX);
        let now = self.identities.now(py);
        now.is_some_and(|now| have_lived(now, &shadow.glance.words, except, shadow))
    }

    /// Whether a tuple that is known for certain has the items that it was recorded with, if that is seen without more ado.
    #[inline(never)]
    pub(super) fn is_same_tuple(&self, py: Python<'_>, tuple: *mut ffi::PyObject) -> bool {
        let entry = self.identities.lookup(py, tuple);
        entry.is_some_and(|entry| self.is_tuple_of(py, tuple, entry.index))
    }

    /// The same, of a tuple whose entry has this index.
    #[inline]
    pub(super) fn is_tuple_of(
        &self,
        py: Python<'_>,
        tuple: *mut ffi::PyObject,
        index: u32,
    ) -> bool {
        if index >= IS_TYPE {
            return false;
        }
        let (now, shadow) = (self.identities.now(py), self.shadows.get(index));
        // SAFETY: a live object.
        now.is_some_and(|now| unsafe { is_tuple_of(now, tuple, shadow) })
    }

    /// The index of the shadow of an object that an instruction may have changed before which ids up to `newest` had been given: if it is that object, its
    /// contents are known, and it is not [dying](is_dying).
    #[inline]
    pub(super) fn to_look_at(
        &self,
        object: *mut ffi::PyObject,
        entry: Entry,
        newest: u64,
    ) -> Option<u32> {
        let is_known = entry.id.get() <= newest
            && entry.epoch == self.chunk << 1 | 1
            && entry.index < IS_TYPE
            // SAFETY: it has an entry, so its memory has not been freed.
            && !unsafe { is_dying(object) };
        is_known.then_some(entry.index)
    }
}

/// Whether an object is a tuple that has the items of this shadow.
///
/// # Safety
/// The object is alive.
#[inline(always)]
pub(super) unsafe fn is_tuple_of(
    now: identity::Now<'_>,
    tuple: *mut ffi::PyObject,
    shadow: &Shadow,
) -> bool {
    let glance = &shadow.glance;
    // SAFETY: a live object; if it is of its class still, it is a tuple, which has as many items as its length says, and its items live.
    let is_same = unsafe {
        let first: *const *mut ffi::PyObject = tuple.cast::<u8>().add(TUPLE_ITEMS).cast();
        shadow.class == ffi::Py_TYPE(tuple)
            && shadow.class == &raw mut ffi::PyTuple_Type
            && ffi::PyTuple_GET_SIZE(tuple).unsigned_abs() as u64 == glance.length
            && differing(&glance.words, |at| *first.add(at)) == Ok(None)
    };
    is_same && (now.deaths() == shadow.deaths || have_lived(now, &glance.words, usize::MAX, shadow))
}

/// Whether the last reference to an object has gone, and what its `tp_dealloc` does runs code: contents are taken out of it then (`subtype_dealloc`,
/// `Objects/typeobject.c`), which nobody has seen who saw the object. What it had before stays what is known of it, and is not certain, since what may
/// have changed it may run anything.
///
/// # Safety
/// The object's memory has not been freed.
#[inline]
pub(super) unsafe fn is_dying(object: *mut ffi::PyObject) -> bool {
    // SAFETY: by the contract.
    unsafe { ffi::Py_REFCNT(object) == 0 }
}
