//! The entries of the objects that were looked up last, by the addresses of the objects: what is in it is in the table, too.

use std::cell::UnsafeCell;
use std::num::NonZeroU64;

use pyo3::Python;

use super::table::Entry;

/// A few dozen objects may be spoken of again and again, and no two of them should take turns in one place.
const PLACES: usize = 1 << 12;

#[derive(Clone, Copy)]
#[repr(C)]
struct Cached {
    /// The address again, if the entry's id [stands for the object](Cache::stand_for) without another look; else 0.
    stands_for: usize,
    id: u64,
    /// Address of the object; 0: none.
    object: usize,
    epoch: u32,
    index: u32,
}

const EMPTY: Cached = Cached {
    stands_for: 0,
    id: 0,
    object: 0,
    epoch: 0,
    index: 0,
};

/// One place for an address. There is one cache, static so that it is found without following a pointer; who has a [`Cache`] has it.
struct Places(UnsafeCell<[Cached; PLACES]>);

// SAFETY: read and written with the GIL held only; see `GilCell`.
unsafe impl Sync for Places {}

static ALL: Places = Places(UnsafeCell::new([EMPTY; PLACES]));

#[inline(always)]
fn place(object: usize) -> usize {
    (object >> 4 ^ object >> 13) % PLACES
}

/// The id that stands for the object at this address, if one does. No entry has the id 0.
#[inline(always)]
pub(super) fn standing_for(_py: Python<'_>, object: usize) -> Option<u64> {
    // SAFETY: the GIL is held, and nobody who changes the cache calls this meanwhile.
    let cached = unsafe { &(*ALL.0.get())[place(object)] };
    (cached.stands_for == object).then_some(cached.id)
}

/// From now on the id of the live object at this address, if it is in the cache, [stands for it](standing_for), until the object is gone, its entry changes, or
/// [`forget_standing`](Cache::forget_standing).
#[inline(always)]
pub(super) fn stand_for(_py: Python<'_>, object: usize) {
    // SAFETY: the GIL is held, and nobody who has a reference into the cache calls this meanwhile.
    let cached = unsafe { &mut (*ALL.0.get())[place(object)] };
    if cached.object == object {
        cached.stands_for = object;
    }
}

/// The right to use the cache; there is one, as there is one [`State`](super::State).
pub(super) struct Cache(());

impl Default for Cache {
    fn default() -> Self {
        let mut cache = Self(());
        cache.clear();
        cache
    }
}

impl Cache {
    #[inline(always)]
    fn all(&self) -> &[Cached; PLACES] {
        // SAFETY: there is one `Cache`, used with the GIL held, and this borrows it.
        unsafe { &*ALL.0.get() }
    }

    #[inline(always)]
    fn all_mut(&mut self) -> &mut [Cached; PLACES] {
        // SAFETY: as above.
        unsafe { &mut *ALL.0.get() }
    }

    #[inline]
    pub(super) fn get(&self, object: usize) -> Option<Entry> {
        let cached = &self.all()[place(object)];
        if cached.object != object {
            return None;
        }
        Some(Entry {
            id: NonZeroU64::new(cached.id)?,
            epoch: cached.epoch,
            index: cached.index,
        })
    }

    /// The id in an entry that has this epoch.
    #[inline]
    pub(super) fn recent(&self, object: usize, epoch: u32) -> Option<NonZeroU64> {
        let cached = &self.all()[place(object)];
        if cached.object != object || cached.epoch != epoch {
            return None;
        }
        NonZeroU64::new(cached.id)
    }

    #[inline]
    pub(super) fn set(&mut self, object: usize, entry: Entry) {
        self.all_mut()[place(object)] = Cached {
            stands_for: 0,
            id: entry.id.get(),
            object,
            epoch: entry.epoch,
            index: entry.index,
        };
    }

    /// No id stands for its object any more.
    pub(super) fn forget_standing(&mut self) {
        for cached in self.all_mut() {
            cached.stands_for = 0;
        }
    }

    /// The object whose memory begins at `block` is gone. It was up to 32 bytes behind that.
    pub(super) fn remove(&mut self, block: usize) {
        for object in [block, block + 16, block + 32] {
            let cached = &mut self.all_mut()[place(object)];
            if cached.object == object {
                // Of no meaning without that.
                (cached.object, cached.stands_for) = (0, 0);
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.all_mut().fill(EMPTY);
    }
}
