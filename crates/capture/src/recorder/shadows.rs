//! What was recorded last of objects that can change: enough to see whether they have.

use debugop_recording::stream::Kind;
use pyo3::ffi;

/// What is in an object, at a glance: objects by their addresses, what is recorded by value by its value. Two sums are the same, in
/// practice, only if the same is in the same places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Glance {
    /// The sum over the parts that are recorded, each mixed with its place.
    pub(super) sum: u64,
    /// How many there are, recorded or not.
    pub(super) length: u64,
}

impl Glance {
    /// A part in its place.
    #[inline]
    pub(super) fn mix(place: u64, word: u64) -> u64 {
        let key = place.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0xc2b2_ae3d_27d4_eb4f;
        let product = u128::from(word ^ key) * u128::from(key | 1);
        (product as u64) ^ (product >> 64) as u64
    }

    #[inline]
    pub(super) fn add(&mut self, place: u64, word: u64) {
        self.sum = self.sum.wrapping_add(Self::mix(place, word));
    }
}

/// What was recorded of an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shadow {
    /// What was in it.
    pub(super) glance: Glance,
    /// How many objects had died by then.
    pub(super) deaths: u64,
    /// The newest id by then.
    pub(super) newest: u64,
    /// Its class, which it keeps alive, the number of that and the kind.
    pub(super) class: *mut ffi::PyTypeObject,
    pub(super) number: u32,
    pub(super) kind: Kind,
}

impl Default for Shadow {
    fn default() -> Self {
        Self {
            glance: Glance::default(),
            deaths: 0,
            newest: 0,
            class: std::ptr::null_mut(),
            number: 0,
            kind: Kind::Opaque,
        }
    }
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
    pub(super) fn get(&self, index: u32) -> &Shadow {
        &self.all[index as usize]
    }

    #[inline]
    pub(super) fn set(&mut self, index: u32, shadow: Shadow) {
        self.all[index as usize] = shadow;
    }
}
