//! Where chunks go.

use pyo3::Python;

use super::planned::PlannedCode;

/// Chunks in memory.
pub struct Store {
    bytes: Box<[u8]>,
    chunks: Vec<Vec<u8>>,
}

impl Store {
    /// Keeps everything in memory.
    #[must_use]
    pub fn new() -> Self {
        Self {
            bytes: vec![0; 256 << 10].into(),
            chunks: Vec::new(),
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// The memory of the current chunk.
    #[inline]
    pub(super) fn bytes(&mut self) -> &'static mut [u8] {
        // SAFETY: the box is not moved or freed while the recorder, which alone asks for it, lives.
        unsafe { std::slice::from_raw_parts_mut(self.bytes.as_mut_ptr(), self.bytes.len()) }
    }

    #[inline]
    pub(super) fn commit(&mut self, _at: usize) {}

    pub(super) fn end_chunk(&mut self, at: usize) {
        self.chunks.push(self.bytes[..at].to_vec());
    }

    pub(super) fn add_code(&mut self, _py: Python<'_>, _code: &PlannedCode, _number: u32, _base: u32) {}

    pub(super) fn fail(&self, _why: &str) {}

    /// Bytes of all chunks.
    #[must_use]
    pub fn size(&self) -> usize {
        self.chunks.iter().map(Vec::len).sum()
    }
}
