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

/// Digests a sequence of words: 64 bits, so that two different sequences never come out the same in practice.
#[derive(Clone, Copy)]
pub(super) struct Digest(u64);

impl Digest {
    #[inline]
    pub(super) fn new(first: u64) -> Self {
        Self(0x9e37_79b9_7f4a_7c15).and(first)
    }

    #[inline]
    #[must_use]
    pub(super) fn and(self, word: u64) -> Self {
        let product = u128::from(self.0 ^ word) * 0x2d35_8dcc_aa6c_78a5_8bb8_4b93_962e_acc9;
        Self((product as u64).rotate_left(23) ^ (product >> 64) as u64)
    }

    #[inline]
    pub(super) fn value(self) -> u64 {
        self.0
    }
}
