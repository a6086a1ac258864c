//! The input of the target: which CPython, the code objects, the chunks of the stream; no checksums, so that any change of a byte gets further
//! than the file.
//!
//!     input  := minor version - 11 (one byte), part codes, part chunk*
//!     part   := length (two bytes, little-endian), so many bytes, or as many as are left

/// An input, taken apart.
pub struct Input<'a> {
    pub minor: u8,
    pub codes: &'a [u8],
    pub chunks: Vec<&'a [u8]>,
}

fn part<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (part, rest) = rest.split_at(usize::from(u16::from_le_bytes(*length)).min(rest.len()));
    *bytes = rest;
    Some(part)
}

impl<'a> Input<'a> {
    pub fn read(mut bytes: &'a [u8]) -> Option<Self> {
        let (&minor, rest) = bytes.split_first()?;
        bytes = rest;
        let codes = part(&mut bytes)?;
        let chunks = std::iter::from_fn(|| part(&mut bytes)).take(8).collect();
        Some(Self {
            minor: 11 + minor % 5,
            codes,
            chunks,
        })
    }

    /// `None`: a part is too long.
    #[allow(dead_code, reason = "used by one of two")]
    pub fn write(&self) -> Option<Vec<u8>> {
        let mut bytes = vec![self.minor - 11];
        for part in std::iter::once(&self.codes).chain(&self.chunks) {
            bytes.extend(u16::try_from(part.len()).ok()?.to_le_bytes());
            bytes.extend(*part);
        }
        Some(bytes)
    }
}
