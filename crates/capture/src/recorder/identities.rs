//! Which objects are known by which id.

use std::num::NonZeroU64;

use pyo3::ffi;
use rustc_hash::FxHashMap;

/// What is known of an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) id: NonZeroU64,
    /// Of the last definition; see [`super::objects`].
    pub(super) epoch: u32,
    /// Of its shadow; [`Entry::NONE`] for none.
    pub(super) index: u32,
}

impl Entry {
    pub(super) const NONE: u32 = u32::MAX;
}

/// Objects by address.
#[derive(Default)]
pub(super) struct Identities {
    all: FxHashMap<usize, Entry>,
}

impl Identities {
    #[inline]
    pub(super) fn lookup(&self, object: *mut ffi::PyObject) -> Option<Entry> {
        self.all.get(&(object as usize)).copied()
    }

    pub(super) fn set(&mut self, object: *mut ffi::PyObject, entry: Entry) {
        self.all.insert(object as usize, entry);
    }

    pub(super) fn forget(&mut self, object: *mut ffi::PyObject) {
        self.all.remove(&(object as usize));
    }
}
