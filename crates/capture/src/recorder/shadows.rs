//! What was recorded last of objects that can change: a digest of it.

/// Digests, by the index that an object's entry has.
#[derive(Default)]
pub(super) struct Shadows {
    digests: Vec<u64>,
    free: Vec<u32>,
}

impl Shadows {
    /// A new index.
    pub(super) fn add(&mut self) -> u32 {
        if let Some(index) = self.free.pop() {
            return index;
        }
        self.digests.push(0);
        self.digests.len() as u32 - 1
    }

    /// The object is gone.
    pub(super) fn free(&mut self, index: u32) {
        self.free.push(index);
    }

    #[inline]
    pub(super) fn get(&self, index: u32) -> u64 {
        self.digests[index as usize]
    }

    #[inline]
    pub(super) fn set(&mut self, index: u32, digest: u64) {
        self.digests[index as usize] = digest;
    }
}
