//! When an object last died at an address, or at one that shares a place with it.

/// How many places there are: memory of 64 bytes each, modulo 128 KiB.
const PLACES: usize = 1 << 11;

/// For each place the number of the last death there.
pub(super) struct Graves(Box<[u64; PLACES]>);

impl Default for Graves {
    fn default() -> Self {
        Self(Box::new([0; PLACES]))
    }
}

#[inline]
fn place(address: usize) -> usize {
    (address >> 6) % PLACES
}

impl Graves {
    /// The object whose memory begins at `block` has died, as number `death`. It was up to 32 bytes behind that.
    pub(super) fn dig(&mut self, block: usize, death: u64) {
        self.0[place(block)] = death;
        self.0[place(block + 32)] = death;
    }

    /// Whatever there was is forgotten.
    pub(super) fn dig_everywhere(&mut self, death: u64) {
        self.0.fill(death);
    }

    /// No object at this address has died later.
    #[inline]
    pub(super) fn at(&self, address: usize) -> u64 {
        self.0[place(address)]
    }
}
