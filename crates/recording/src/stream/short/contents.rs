//! What is in an object that has few parts.

use super::Short;
use crate::stream::encoder::varint;
use crate::stream::{ObjectId, RecentObjects, tag};

impl Short<'_> {
    /// As [`Encoder::update`](crate::stream::Encoder::update). With [`items`](Self::items) at most 32 bytes; up to [`VALUES`](Self::VALUES) values
    /// may follow. Prefixes may not come before it.
    #[inline]
    pub fn update(&mut self, recent: &mut RecentObjects, id: ObjectId) {
        self.tag(tag::UPDATE);
        self.object(recent, id);
    }

    /// As [`Encoder::items`](crate::stream::Encoder::items).
    #[inline]
    pub fn items(&mut self, length: u64, shown: u64) {
        self.put(varint(length));
        self.put(varint(shown));
    }
}

#[cfg(test)]
mod tests {
    use super::super::SHORT;
    use super::*;
    use crate::stream::Encoder;

    #[test]
    fn is_what_an_encoder_writes() {
        for (length, id) in [(0, 1), (200, 1 << 40), (u64::MAX, 900)] {
            let (mut one, mut other) = ([0; SHORT], [0; SHORT]);
            let mut short = Short::new(&mut one);
            let mut encoder = Encoder::new(&mut other, 0);
            let recent = || RecentObjects::new(ObjectId(u64::MAX >> 1));
            short.update(&mut recent(), ObjectId(id));
            encoder.update(&mut recent(), ObjectId(id));
            short.items(length, Short::VALUES as u64);
            encoder.items(length, Short::VALUES as u64);
            assert!(short.len() <= 32);
            for _ in 0..Short::VALUES {
                short.int(i64::MIN);
                encoder.int(i64::MIN);
            }
            let end = short.len();
            assert_eq!(end, encoder.at());
            assert!(!encoder.overflowed());
            assert_eq!(one[..end], other[..end]);
        }
    }
}
