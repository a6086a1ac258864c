//! Bytes and how far they have been read.

use crate::stream::{Error, ErrorKind};

impl ErrorKind {
    pub(crate) fn at(self, offset: usize) -> Error {
        Error { offset, kind: self }
    }
}

#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Cursor { bytes, at: 0 }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    pub(crate) fn finish(&mut self) {
        self.at = self.bytes.len();
    }

    #[inline]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Past the byte that was peeked at.
    #[inline]
    pub(crate) fn skip(&mut self) {
        self.at += 1;
    }

    #[inline]
    pub(crate) fn byte(&mut self) -> Result<u8, Error> {
        let byte = self.peek().ok_or(ErrorKind::Truncated.at(self.at))?;
        self.at += 1;
        Ok(byte)
    }

    /// So many bytes.
    pub(crate) fn take<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let &taken = rest.first_chunk().ok_or(ErrorKind::Truncated.at(self.at))?;
        self.at += N;
        Ok(taken)
    }

    /// A varint of up to 64 bits.
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, Error> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(first.into());
        }
        self.long_varint(first)
    }

    fn long_varint(&mut self, first: u8) -> Result<u64, Error> {
        let began = self.at - 1;
        let mut value = u64::from(first & 0x7f);
        for shift in (7..).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift > 63 || bits << shift >> shift != bits {
                return Err(ErrorKind::Number.at(began));
            }
            value |= bits << shift;
            if byte < 0x80 {
                break;
            }
        }
        Ok(value)
    }

    /// A varint of up to 32 bits.
    pub(crate) fn number(&mut self) -> Result<u32, Error> {
        let at = self.at;
        u32::try_from(self.varint()?).map_err(|_| ErrorKind::Number.at(at))
    }

    /// A varint of up to 32 bits, plus 1; 0 for `None`.
    pub(crate) fn optional_number(&mut self) -> Result<Option<u32>, Error> {
        let at = self.at;
        match self.varint()?.checked_sub(1) {
            None => Ok(None),
            Some(number) => u32::try_from(number)
                .map(Some)
                .map_err(|_| ErrorKind::Number.at(at)),
        }
    }

    /// A number of things of which each takes at least `size` bytes of what follows.
    pub(crate) fn count(&mut self, size: usize) -> Result<usize, Error> {
        let at = self.at;
        let count = self.varint()?;
        usize::try_from(count)
            .ok()
            .filter(|&count| count <= (self.bytes.len() - self.at) / size)
            .ok_or(ErrorKind::Length(count).at(at))
    }

    /// A length and so many bytes.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Error> {
        let length = self.count(1)?;
        let bytes = &self.bytes[self.at..self.at + length];
        self.at += length;
        Ok(bytes)
    }
}
