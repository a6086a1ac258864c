//! Rising numbers in little room, of which any can be looked up without reading all of them.
//!
//! They stand in blocks of [`BLOCK`]: a varint, how many blocks; of each block its first number (8 bytes, little-endian) and where its others begin behind these
//! heads (4 bytes); then the differences of the others, varints.

use super::summary::{Reader, put};

/// So many numbers are a block.
const BLOCK: usize = 64;
/// Bytes of a block's head.
const HEAD: usize = 12;

/// Adds rising numbers to `out`.
pub(super) fn write(numbers: impl Iterator<Item = u64>, out: &mut Vec<u8>) {
    let (mut heads, mut others) = (Vec::new(), Vec::new());
    let mut before = 0;
    let mut blocks = 0;
    for (index, number) in numbers.enumerate() {
        if index % BLOCK == 0 {
            heads.extend(number.to_le_bytes());
            heads.extend((others.len() as u32).to_le_bytes());
            blocks += 1;
        } else {
            put(&mut others, number - before);
        }
        before = number;
    }
    put(out, blocks);
    out.extend(heads);
    out.extend(others);
}

/// What [`write`] has written, to be looked up in.
#[derive(Clone, Copy, Debug)]
pub(super) struct List<'a> {
    heads: &'a [[u8; HEAD]],
    others: &'a [u8],
}

impl<'a> List<'a> {
    /// `None` if there is no room for so many heads.
    pub(super) fn new(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let blocks = usize::try_from(reader.number()?).ok()?;
        let behind = bytes.get(reader.at()..)?;
        let (heads, others) = behind.split_at_checked(blocks.checked_mul(HEAD)?)?;
        Some(Self {
            heads: heads.as_chunks().0,
            others,
        })
    }

    /// Whether each block can be read to its end and is where its head says; `None` if not.
    pub(super) fn check(&self) -> Option<()> {
        for block in 0..self.heads.len() {
            let mut reader = Reader::new(self.block(block)?);
            while !reader.is_at_end() {
                reader.number()?;
            }
        }
        Some(())
    }

    fn first(&self, block: usize) -> Option<u64> {
        let first = self.heads.get(block)?.first_chunk()?;
        Some(u64::from_le_bytes(*first))
    }

    fn begin(&self, block: usize) -> Option<usize> {
        let head = self.heads.get(block)?.last_chunk()?;
        usize::try_from(u32::from_le_bytes(*head)).ok()
    }

    /// The numbers of a block behind the first one.
    fn block(&self, block: usize) -> Option<&'a [u8]> {
        let end = self.begin(block + 1).unwrap_or(self.others.len());
        self.others.get(self.begin(block)?..end)
    }

    /// The first number that is not less than this one.
    pub(super) fn at_least(&self, wanted: u64) -> Option<u64> {
        let after = self.heads.partition_point(|head| {
            let first = head.first_chunk().map(|first| u64::from_le_bytes(*first));
            first.is_some_and(|first| first <= wanted)
        });
        let Some(block) = after.checked_sub(1) else {
            return self.first(0);
        };
        let mut number = self.first(block)?;
        let mut others = Reader::new(self.block(block)?);
        while number < wanted {
            match others.number() {
                Some(more) => number = number.saturating_add(more),
                None => return self.first(after),
            }
        }
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(numbers: &[u64]) {
        let mut bytes = Vec::new();
        write(numbers.iter().copied(), &mut bytes);
        let list = List::new(&bytes).expect("as written");
        list.check().expect("as written");
        let around = numbers
            .iter()
            .flat_map(|&number| [number.saturating_sub(1), number, number.saturating_add(1)]);
        for wanted in around.chain([0, 1 << 40, u64::MAX]) {
            let expected = numbers.iter().copied().find(|&number| number >= wanted);
            assert_eq!(list.at_least(wanted), expected, "{wanted} of {numbers:?}");
        }
        for end in 0..bytes.len() {
            // Cut off, it is no list or a shorter one.
            if let Some(list) = List::new(&bytes[..end]) {
                list.at_least(u64::MAX);
                let _ = list.check();
            }
        }
    }

    #[test]
    fn every_number_is_found() {
        check(&[]);
        check(&[0]);
        check(&[7, 8, 300, u64::MAX]);
        for count in [63, 64, 65, 128, 200] {
            check(&(0..count).map(|number| number * number).collect::<Vec<_>>());
            check(
                &(0..count)
                    .map(|number| 5 + number * 1000)
                    .collect::<Vec<_>>(),
            );
        }
    }
}
