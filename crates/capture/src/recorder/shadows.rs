//! What was recorded last of objects that can change: enough to see whether they have.

/// What was recorded of an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shadow {
    /// A digest of what is in it, objects by their addresses.
    pub(super) quick: u64,
    /// How many objects had died by then.
    pub(super) deaths: u64,
    /// The newest id by then.
    pub(super) newest: u64,
}

/// Shadows, by the index that an object's entry has.
#[derive(Default)]
pub(super) struct Shadows {
    all: Vec<Shadow>,
    free: Vec<u32>,
}

impl Shadows {
    /// A new index.
    pub(super) fn add(&mut self) -> u32 {
        if let Some(index) = self.free.pop() {
            return index;
        }
        self.all.push(Shadow::default());
        self.all.len() as u32 - 1
    }

    /// The object is gone.
    pub(super) fn free(&mut self, index: u32) {
        self.free.push(index);
    }

    #[inline]
    pub(super) fn get(&self, index: u32) -> Shadow {
        self.all[index as usize]
    }

    #[inline]
    pub(super) fn set(&mut self, index: u32, shadow: Shadow) {
        self.all[index as usize] = shadow;
    }
}
