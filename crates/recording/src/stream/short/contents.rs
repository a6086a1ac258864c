//! What is in an object that has few parts.

use super::Short;
use crate::stream::encoder::{spread_four, varint};
use crate::stream::{ObjectId, RecentObjects, tag};

impl Short<'_> {
    /// As [`Encoder::update`](crate::stream::Encoder::update). With [`items`](Self::items) at most 32 bytes; up to [`VALUES`](Self::VALUES) values
    /// may follow. Prefixes may not come before it.
    #[inline]
    pub fn update(&mut self, recent: &mut RecentObjects, id: ObjectId) {
        self.tag(tag::UPDATE);
        self.object(recent, id);
    }

    /// As [`Encoder::define`](crate::stream::Encoder::define) of the newest object, [`type_of`](crate::stream::Encoder::type_of) and, where there are any,
    /// [`items`](crate::stream::Encoder::items), in up to four bytes. Whether that is enough: otherwise nothing is written.
    #[inline(always)]
    #[must_use]
    pub fn little_define(
        &mut self,
        recent: &mut RecentObjects,
        id: ObjectId,
        bare: bool,
        in_chunk: u32,
        items: Option<(u64, u64)>,
    ) -> bool {
        let (length, shown) = items.unwrap_or_default();
        if id.0 != recent.newest().0.wrapping_add(1) || u64::from(in_chunk) | length | shown >= 0x80
        {
            return false;
        }
        let tag = if bare { tag::DEF_BARE } else { tag::DEF };
        let bytes = [tag, in_chunk as u8, length as u8, shown as u8];
        let at = usize::from(self.at);
        self.bytes[at..at + bytes.len()].copy_from_slice(&bytes);
        self.at = self.at.wrapping_add(if items.is_some() { 4 } else { 2 });
        recent.name(id);
        true
    }

    /// The same of an object that has been defined in another chunk, or bare in this one, in up to eight bytes.
    #[inline(always)]
    #[must_use]
    pub fn little_define_at(
        &mut self,
        recent: &mut RecentObjects,
        id: ObjectId,
        bare: bool,
        in_chunk: u32,
        items: Option<(u64, u64)>,
    ) -> bool {
        let (length, shown) = items.unwrap_or_default();
        if id.0 >= 1 << 28
            || id.0 == recent.newest().0.wrapping_add(1)
            || u64::from(in_chunk) | length | shown >= 0x80
        {
            return false;
        }
        let (number, taken) = spread_four(id.0);
        let behind = u64::from(in_chunk) | length << 8 | shown << 16;
        let tag = if bare { tag::DEF_AT_BARE } else { tag::DEF_AT };
        let bytes = u64::from(tag) | number << 8 | behind << (8 * (taken + 1));
        let at = usize::from(self.at);
        self.bytes[at..at + 8].copy_from_slice(&bytes.to_le_bytes());
        let more = if items.is_some() { 3 } else { 1 };
        self.at = self.at.wrapping_add(taken as u8 + 1 + more);
        recent.name(id);
        true
    }

    /// As [`Encoder::items`](crate::stream::Encoder::items).
    #[inline]
    pub fn items(&mut self, length: u64, shown: u64) {
        self.put(varint(length));
        self.put(varint(shown));
    }

    /// [`update`](Self::update) and [`items`](Self::items), of an object that has been named lately and has few items. Whether that is so: otherwise nothing is written.
    #[inline(always)]
    #[must_use]
    pub fn little_update(
        &mut self,
        recent: &RecentObjects,
        id: ObjectId,
        length: usize,
        shown: usize,
    ) -> bool {
        self.of_recent(tag::UPDATE, recent, id, length as u64, shown as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::super::SHORT;
    use super::*;
    use crate::stream::Encoder;

    #[test]
    fn a_definition_is_what_an_encoder_writes() {
        for items in [
            None,
            Some((3, 3)),
            Some((127, 16)),
            Some((128, 16)),
            Some((1 << 40, 1)),
        ] {
            for (id, in_chunk) in [(8, 0), (8, 127), (8, 128), (7, 1), (9, 1)] {
                let bare = items.is_none() && in_chunk != 127;
                let (mut one, mut other) = ([0; SHORT], [0; SHORT]);
                let mut short = Short::new(&mut one);
                let mut encoder = Encoder::new(&mut other, 0);
                let recents = [
                    RecentObjects::new(ObjectId(7)),
                    RecentObjects::new(ObjectId(7)),
                ];
                let [mut recent, mut recent_too] = recents;
                let id = ObjectId(id);
                let is_little = short.little_define(&mut recent, id, bare, in_chunk, items);
                let has_few = items.is_none_or(|(length, _)| length < 128);
                assert_eq!(is_little, id.0 == 8 && in_chunk < 128 && has_few);
                assert_eq!(short.is_empty(), !is_little);
                if is_little {
                    encoder.define(&mut recent_too, id, bare);
                    encoder.type_of(in_chunk);
                    if let Some((length, shown)) = items {
                        encoder.items(length, shown);
                    }
                    let end = short.len();
                    assert_eq!(end, encoder.at());
                    assert_eq!(one[..end], other[..end]);
                }
                assert_eq!(recent.newest(), recent_too.newest());
            }
        }
    }

    #[test]
    fn a_definition_of_what_has_an_id_is_what_an_encoder_writes() {
        let ids = [1, 6, 8, 9, 127, 128, 16_383, 16_384, (1 << 28) - 1, 1 << 28];
        for items in [None, Some((0, 0)), Some((127, 16)), Some((128, 16))] {
            for (id, in_chunk) in ids.map(|id| [(id, 0), (id, 127), (id, 128)]).concat() {
                let bare = items.is_none() && in_chunk == 0;
                let (mut one, mut other) = ([0; SHORT], [0; SHORT]);
                let mut short = Short::new(&mut one);
                let mut encoder = Encoder::new(&mut other, 0);
                let recents = [0; 2].map(|_| RecentObjects::new(ObjectId(7)));
                let [mut recent, mut recent_too] = recents;
                let id = ObjectId(id);
                let is_little = short.little_define_at(&mut recent, id, bare, in_chunk, items);
                let has_few = items.is_none_or(|(length, _)| length < 128);
                let has_id = id.0 != 8 && id.0 < 1 << 28;
                assert_eq!(is_little, has_id && in_chunk < 128 && has_few);
                assert_eq!(short.is_empty(), !is_little);
                if is_little {
                    encoder.define(&mut recent_too, id, bare);
                    encoder.type_of(in_chunk);
                    if let Some((length, shown)) = items {
                        encoder.items(length, shown);
                    }
                    let end = short.len();
                    assert_eq!(end, encoder.at());
                    assert_eq!(one[..end], other[..end]);
                }
                assert_eq!(recent.slot_of(id), recent_too.slot_of(id));
                assert_eq!(recent.newest(), recent_too.newest());
            }
        }
    }

    #[test]
    fn is_what_an_encoder_writes_where_it_is_little() {
        for (length, is_little) in [(0, true), (127, true), (128, false), (1 << 40, false)] {
            let (mut one, mut other) = ([0; SHORT], [0; SHORT]);
            let mut short = Short::new(&mut one);
            let mut encoder = Encoder::new(&mut other, 0);
            let mut recents = [0; 2].map(|_| RecentObjects::new(ObjectId(u64::MAX >> 1)));
            let id = ObjectId(900);
            assert!(
                !short.little_update(&recents[0], id, length, 3),
                "not named yet"
            );
            short.update(&mut recents[0], id);
            encoder.update(&mut recents[1], id);
            let before = short.len();
            assert_eq!(short.little_update(&recents[0], id, length, 3), is_little);
            if is_little {
                encoder.update(&mut recents[1], id);
                encoder.items(length as u64, 3);
            } else {
                assert_eq!(short.len(), before);
            }
            let end = short.len();
            assert_eq!(end, encoder.at());
            assert_eq!(one[..end], other[..end]);
        }
    }

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
