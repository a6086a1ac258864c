//! The objects that were named last, so that naming one of them again costs one byte.

use super::ObjectId;

/// 128 slots; the object with id *n* goes to slot *n* mod 128 whenever it is defined or referred to by id. Also the
/// newest id. Both sides keep one and begin each chunk with a new one.
#[derive(Debug, Clone)]
pub struct RecentObjects {
    slots: [u64; 128],
    newest: u64,
}

impl RecentObjects {
    /// At the beginning of a chunk; `newest` is the id of the newest object, 0 if there is none.
    #[must_use]
    pub fn new(newest: ObjectId) -> Self {
        RecentObjects {
            slots: [0; 128],
            newest: newest.0,
        }
    }

    /// The id that was given last, 0 at the beginning of a recording.
    #[inline]
    #[must_use]
    pub fn newest(&self) -> ObjectId {
        ObjectId(self.newest)
    }

    /// The slot of an object, if it is in it.
    #[inline]
    pub(super) fn slot_of(&self, id: ObjectId) -> Option<u8> {
        let slot = (id.0 & 127) as u8;
        (self.slots[usize::from(slot)] == id.0).then_some(slot)
    }

    /// The object in a slot, if there is one.
    #[inline]
    pub(super) fn in_slot(&self, slot: u8) -> Option<ObjectId> {
        let id = self.slots[usize::from(slot & 127)];
        (id != 0).then_some(ObjectId(id))
    }

    /// An object has been named.
    #[inline]
    pub(super) fn name(&mut self, id: ObjectId) {
        self.slots[(id.0 & 127) as usize] = id.0;
        self.newest = self.newest.max(id.0);
    }
}
