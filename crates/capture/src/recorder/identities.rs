//! Which objects are known by which id: [`crate::identity`], for objects by their addresses.

use std::num::NonZeroU64;

use pyo3::{Borrowed, PyAny, PyResult, Python, ffi};

pub(super) use crate::identity::Entry;
use crate::identity::{self, NO_INDEX};

/// In the index of an entry: none.
pub(super) const NONE: u32 = NO_INDEX;

/// As many objects are known at a time, in up to 64 bytes each.
const LIMIT: usize = 1 << 19;

/// Objects by address.
pub(super) struct Identities(identity::Identities);

/// # Safety
/// `object` is alive as long as the borrow is used.
#[inline]
unsafe fn borrow<'a, 'py>(py: Python<'py>, object: *mut ffi::PyObject) -> Borrowed<'a, 'py, PyAny> {
    // SAFETY: by the contract.
    unsafe { Borrowed::from_ptr(py, object) }
}

impl Identities {
    pub(super) fn install(py: Python<'_>) -> PyResult<Self> {
        Ok(Self(identity::Identities::install(py, LIMIT)?))
    }

    pub(super) fn uninstall(self, py: Python<'_>) {
        self.0.uninstall(py);
    }

    /// The entry of `object`, which is alive.
    #[inline]
    pub(super) fn lookup(&self, py: Python<'_>, object: *mut ffi::PyObject) -> Option<Entry> {
        // SAFETY: nothing runs before the borrow ends.
        self.0.lookup(py, unsafe { borrow(py, object) })
    }

    /// The id of `object`, which is alive, if it has been looked up lately and its entry has this epoch.
    #[inline]
    pub(super) fn recent(
        &self,
        py: Python<'_>,
        object: *mut ffi::PyObject,
        epoch: u32,
    ) -> Option<NonZeroU64> {
        self.0.recent(py, object as usize, epoch)
    }

    /// The id that stands for `object`, which is alive: nothing else needs to be known to write it.
    #[inline(always)]
    pub(super) fn standing_for(&self, py: Python<'_>, object: *mut ffi::PyObject) -> Option<u64> {
        self.0.standing_for(py, object as usize)
    }

    /// From now on the id of `object`, which is alive and has just been looked up, stands for it, until its entry changes or a chunk begins.
    #[inline]
    pub(super) fn stand_for(&self, py: Python<'_>, object: *mut ffi::PyObject) {
        self.0.stand_for(py, object as usize);
    }

    /// A chunk begins: no id stands for its object.
    pub(super) fn begin_chunk(&self, py: Python<'_>) {
        self.0.forget_standing(py);
    }

    /// What is known now, until something runs.
    #[inline(always)]
    pub(super) fn now(&self, py: Python<'_>) -> Option<identity::Now<'_>> {
        self.0.now(py)
    }

    /// The same; `None` also where that takes a call.
    #[inline(always)]
    pub(super) fn now_at_once(&self, py: Python<'_>) -> Option<identity::Now<'_>> {
        self.0.now_at_once(py)
    }

    /// The entry of the object at this address, whose memory begins at `block`, if there is one.
    #[inline]
    pub(super) fn lookup_at(
        &self,
        py: Python<'_>,
        object: *mut ffi::PyObject,
        block: usize,
    ) -> Option<Entry> {
        self.0.lookup_at(py, object as usize, block)
    }

    /// No object at this address has died, or been forgotten, after so many deaths.
    #[inline]
    pub(super) fn last_death_at(&self, py: Python<'_>, object: *mut ffi::PyObject) -> u64 {
        self.0.last_death_at(py, object)
    }

    /// The ends of all objects of this type are to be seen from now on; it is that of a live object.
    pub(super) fn judge(&self, py: Python<'_>, class: *mut ffi::PyTypeObject) {
        self.0.judge(py, class);
    }

    /// Whether `object`, which is alive and has an entry, may have had another one before.
    pub(super) fn is_doubtful(&self, py: Python<'_>, object: *mut ffi::PyObject) -> bool {
        // SAFETY: as above.
        self.0.is_doubtful(py, unsafe { borrow(py, object) })
    }

    /// Whether the live object whose memory begins at `block` has surely never had an entry.
    #[inline(always)]
    pub(super) fn is_new(&self, py: Python<'_>, block: usize) -> bool {
        self.0.is_new(py, block)
    }

    /// Adds `object`, which [is new](Self::is_new), and whose type has been [judged](Self::judge); whether its id is to stand for it.
    #[inline(always)]
    pub(super) fn insert_new(
        &self,
        py: Python<'_>,
        object: *mut ffi::PyObject,
        block: usize,
        entry: Entry,
        stands: bool,
    ) {
        self.0.insert_new(py, object as usize, block, entry, stands);
    }

    /// The entry of the object whose memory begins at `block`, which is alive, and where that is, until another entry comes or goes. `None` also where that is doubtful.
    #[inline(always)]
    pub(super) fn whereabouts(&self, py: Python<'_>, block: usize) -> Option<(usize, Entry)> {
        self.0.whereabouts(py, block)
    }

    /// Changes the entry of `object`, which is alive, where it [is](Self::whereabouts); whether its id is to stand for it.
    #[inline(always)]
    pub(super) fn change_at(
        &self,
        py: Python<'_>,
        object: *mut ffi::PyObject,
        place: usize,
        entry: Entry,
        stands: bool,
    ) {
        self.0.change_at(py, object as usize, place, entry, stands);
    }

    /// The index in the entry of `class`, which is alive, if that has one and has been looked up lately.
    #[inline(always)]
    pub(super) fn recent_index(
        &self,
        py: Python<'_>,
        class: *mut ffi::PyTypeObject,
    ) -> Option<u32> {
        let entry = self.0.now(py)?.recent(class as usize)?;
        (entry.index != NONE).then_some(entry.index)
    }

    /// As [`Self::insert`], of an object whose type has been [judged](Self::judge).
    #[inline]
    pub(super) fn insert_judged(&self, py: Python<'_>, object: *mut ffi::PyObject, entry: Entry) {
        // SAFETY: as above.
        self.0
            .insert_judged(py, unsafe { borrow(py, object) }, entry);
    }

    /// Adds `object`, which is alive and has no entry.
    pub(super) fn insert(&self, py: Python<'_>, object: *mut ffi::PyObject, entry: Entry) {
        // SAFETY: as above.
        self.0.insert(py, unsafe { borrow(py, object) }, entry);
    }

    /// Changes the entry of `object`, which is alive and has one.
    pub(super) fn update(&self, py: Python<'_>, object: *mut ffi::PyObject, entry: Entry) {
        // SAFETY: as above.
        self.0.update(py, unsafe { borrow(py, object) }, entry);
    }

    /// Forgets `object`, which lives.
    pub(super) fn forget(&self, py: Python<'_>, object: *mut ffi::PyObject) {
        // SAFETY: as above.
        self.0.forget(py, unsafe { borrow(py, object) });
    }

    /// Whether the recorder is told before an entry of a traceback is made.
    pub(super) fn hears_of_tracebacks(&self, py: Python<'_>) -> bool {
        self.0.hears_of_tracebacks(py)
    }

    /// How many objects have died or been forgotten.
    #[inline]
    pub(super) fn deaths(&self, py: Python<'_>) -> u64 {
        self.0.deaths(py)
    }

    /// The index of the entry of an object that has died, if there is one that has not been told.
    #[inline]
    pub(super) fn next_dead(&self, py: Python<'_>) -> Option<u32> {
        self.0.next_dead(py)
    }

    /// The indices of the entries of objects that have died.
    pub(super) fn each_dead(&self, py: Python<'_>, tell: impl FnMut(u32)) {
        self.0.each_dead(py, tell);
    }
}
