//! The entries of the objects that were looked up last, by the addresses of the objects: what is in it is in the table, too.

use std::num::NonZeroU64;

use super::table::Entry;

const PLACES: usize = 1 << 10;

#[derive(Clone, Copy)]
struct Cached {
    /// Address of the object; 0: none.
    object: usize,
    entry: Entry,
}

const EMPTY: Cached = Cached {
    object: 0,
    entry: Entry {
        id: NonZeroU64::MIN,
        epoch: 0,
        index: 0,
    },
};

/// One place for an address.
pub(super) struct Cache(Box<[Cached; PLACES]>);

impl Default for Cache {
    fn default() -> Self {
        Self(Box::new([EMPTY; PLACES]))
    }
}

#[inline]
fn place(object: usize) -> usize {
    (object >> 4 ^ object >> 13) % PLACES
}

impl Cache {
    #[inline]
    pub(super) fn get(&self, object: usize) -> Option<Entry> {
        let cached = &self.0[place(object)];
        (cached.object == object).then_some(cached.entry)
    }

    /// The id in an entry that has this epoch.
    #[inline]
    pub(super) fn recent(&self, object: usize, epoch: u32) -> Option<NonZeroU64> {
        let cached = &self.0[place(object)];
        (cached.object == object && cached.entry.epoch == epoch).then_some(cached.entry.id)
    }

    #[inline]
    pub(super) fn set(&mut self, object: usize, entry: Entry) {
        self.0[place(object)] = Cached { object, entry };
    }

    /// The object whose memory begins at `block` is gone. It was up to 32 bytes behind that.
    pub(super) fn remove(&mut self, block: usize) {
        for object in [block, block + 16, block + 32] {
            let cached = &mut self.0[place(object)];
            if cached.object == object {
                *cached = EMPTY;
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.fill(EMPTY);
    }
}
