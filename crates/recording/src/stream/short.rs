//! Writes a short record into memory that is there already: what [`Encoder`](super::Encoder) would write, for the few kinds of values
//! that most records have, without looking at each whether there is room.

use super::encoder::{small, spread_four, tagged, varint, zigzag};
use super::{Change, FrameNumber, ObjectId, RESERVE, RecentObjects, SiteNumber, Strides, tag};

mod contents;

/// The room that a [`Short`] record is given: what fits into the first 256 bytes is kept.
pub const SHORT: usize = (1 << u8::BITS) + RESERVE;

/// What says that a frame goes on, but for where its caller stands: made once, for [`Short::reenter_as`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reenter(u64);

impl Reenter {
    /// Where it says how many bytes it is, above these. Nothing does where they are more than six.
    const LENGTH: u32 = 56;

    /// Of the frame with this number.
    #[inline]
    #[must_use]
    pub fn of(frame: FrameNumber) -> Self {
        let (bytes, length) = tagged(tag::REENTER, frame.0);
        match length <= 6 {
            true => Reenter(bytes as u64 | (length as u64) << Self::LENGTH),
            false => Reenter::default(),
        }
    }
}

/// A tag and a number that take up to three bytes: made once, to be written often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Little(u32);

impl Little {
    /// Where it says how many bytes it is, above these. Nothing does where they would be more than three.
    const LENGTH: u32 = 24;
    /// Nothing is written.
    pub const NONE: Self = Little(0);

    /// As [`Encoder::enter`](super::Encoder::enter).
    #[must_use]
    pub fn enter(unit: u32) -> Self {
        Self::of(tag::ENTER, unit)
    }

    /// As [`Encoder::site`](super::Encoder::site).
    #[must_use]
    pub fn site(site: SiteNumber) -> Self {
        Self::of(tag::SITE, site.0)
    }

    fn of(tag: u8, number: u32) -> Self {
        let (bytes, length) = tagged(tag, u64::from(number));
        match length <= 3 {
            true => Little(bytes as u32 | (length as u32) << Self::LENGTH),
            false => Self::NONE,
        }
    }
}

/// A short record in the making.
#[derive(Debug)]
pub struct Short<'a> {
    bytes: &'a mut [u8; SHORT],
    /// In as many bytes as `bytes` has places for: nothing that is written needs to be checked.
    at: u8,
}

impl<'a> Short<'a> {
    /// So many values may be written, of at most 11 bytes each, behind prefixes of at most 23 bytes altogether.
    pub const VALUES: usize = 16;

    /// Writes from the first byte on.
    #[inline]
    #[must_use]
    pub fn new(bytes: &'a mut [u8; SHORT]) -> Self {
        Short { bytes, at: 0 }
    }

    /// Goes on behind what has been written: [`len`](Self::len) of that.
    #[inline]
    #[must_use]
    pub fn behind(bytes: &'a mut [u8; SHORT], written: u8) -> Self {
        Short { bytes, at: written }
    }

    /// The same if so many `values` may follow: `None` if they may not.
    #[inline]
    #[must_use]
    pub fn room_behind(written: usize, values: usize) -> Option<u8> {
        /// What a value takes at most.
        const VALUE: usize = 11;
        u8::try_from(written.saturating_add(values * VALUE))
            .is_ok()
            .then_some(written as u8)
    }

    /// How many bytes have been written.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.at)
    }

    /// Whether nothing has been written.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.at == 0
    }

    /// Only the first `written` bytes have been.
    #[inline]
    pub fn shorten(&mut self, written: usize) {
        self.at = self.at.min(written as u8);
    }

    #[inline(always)]
    fn put(&mut self, (bytes, length): (u128, usize)) {
        let at = usize::from(self.at);
        self.bytes[at..at + RESERVE].copy_from_slice(&bytes.to_le_bytes());
        self.at = self.at.wrapping_add(length as u8);
    }

    #[inline]
    fn tag(&mut self, tag: u8) {
        self.bytes[usize::from(self.at)] = tag;
        self.at = self.at.wrapping_add(1);
    }

    /// As [`Encoder::site`](super::Encoder::site).
    #[inline]
    pub fn site(&mut self, site: SiteNumber) {
        self.put(tagged(tag::SITE, u64::from(site.0)));
    }

    /// A tag, and a number of up to two bytes. Whether that is enough: otherwise nothing is written.
    #[inline(always)]
    fn little(&mut self, tag: u8, number: u64) -> bool {
        if number >= 1 << 14 {
            return false;
        }
        // As `varint`: seven bits each, and whether there is another byte.
        let (bytes, length) = match number < 1 << 7 {
            true => (number, 2),
            false => (number & 0x7f | 0x80 | number >> 7 << 8, 3),
        };
        let bytes = (bytes as u32) << 8 | u32::from(tag);
        let at = usize::from(self.at);
        self.bytes[at..at + 4].copy_from_slice(&bytes.to_le_bytes());
        self.at = self.at.wrapping_add(length);
        true
    }

    /// As [`Encoder::pop`](super::Encoder::pop) for one frame.
    #[inline]
    pub fn pop_one(&mut self) {
        self.tag(tag::POP_1);
    }

    /// Writes what has been made: something has.
    #[inline(always)]
    pub fn made_before(&mut self, little: Little) {
        debug_assert!(little != Little::NONE);
        // What is behind it is written later.
        let at = usize::from(self.at);
        self.bytes[at..at + 4].copy_from_slice(&little.0.to_le_bytes());
        self.at = self.at.wrapping_add((little.0 >> Little::LENGTH) as u8);
    }

    /// Writes what has been made. Whether something has: otherwise nothing is written.
    #[inline(always)]
    #[must_use]
    pub fn made(&mut self, little: Little) -> bool {
        if little.0 == 0 {
            return false;
        }
        self.made_before(little);
        true
    }

    /// As [`Encoder::enter`](super::Encoder::enter).
    #[inline]
    pub fn enter(&mut self, unit: u32) {
        self.put(tagged(tag::ENTER, u64::from(unit)));
    }

    /// As [`enter_foreign`](Self::enter_foreign), of up to three bytes. Whether that is enough: otherwise nothing is written.
    #[inline(always)]
    #[must_use]
    pub fn little_enter_foreign(&mut self, below: u32) -> bool {
        self.little(tag::ENTER_FOREIGN, u64::from(below) + 1)
    }

    /// As [`reenter_foreign`](Self::reenter_foreign), of up to eight bytes. Whether that is enough: otherwise nothing of use is written.
    #[inline(always)]
    #[must_use]
    pub fn reenter_foreign_as(&mut self, frame: Reenter, below: u32) -> bool {
        const OTHER: u64 = (tag::REENTER ^ tag::REENTER_FOREIGN) as u64;
        match frame.0 {
            0 => false,
            bytes => self.reenter_at(Reenter(bytes ^ OTHER), below.saturating_add(1)),
        }
    }

    /// As [`reenter`](Self::reenter), of up to eight bytes, where `enter` is made of the unit, and not nothing. Whether that is enough: otherwise nothing of use is written.
    #[inline(always)]
    #[must_use]
    pub fn reenter_as(&mut self, frame: Reenter, enter: Little) -> bool {
        debug_assert!(enter != Little::NONE);
        if frame.0 == 0 {
            return false;
        }
        let at = usize::from(self.at);
        self.bytes[at..at + 8].copy_from_slice(&frame.0.to_le_bytes());
        let behind = self.at.wrapping_add((frame.0 >> Reenter::LENGTH) as u8);
        // All but its tag.
        let at = usize::from(behind);
        let unit = enter.0 >> u8::BITS;
        self.bytes[at..at + 4].copy_from_slice(&unit.to_le_bytes());
        let length = (enter.0 >> Little::LENGTH) as u8;
        self.at = behind.wrapping_add(length.wrapping_sub(1));
        true
    }

    /// The same of any unit of up to two bytes.
    #[inline(always)]
    fn reenter_at(&mut self, frame: Reenter, unit: u32) -> bool {
        if frame.0 == 0 || unit >= 1 << 14 {
            return false;
        }
        let at = usize::from(self.at);
        self.bytes[at..at + 8].copy_from_slice(&frame.0.to_le_bytes());
        let behind = self.at.wrapping_add((frame.0 >> Reenter::LENGTH) as u8);
        // As `varint`: seven bits each, and whether there is another byte.
        let (bytes, length) = match unit < 1 << 7 {
            true => (unit, 1),
            false => (unit & 0x7f | 0x80 | unit >> 7 << 8, 2),
        };
        let at = usize::from(behind);
        self.bytes[at..at + 2].copy_from_slice(&(bytes as u16).to_le_bytes());
        self.at = behind.wrapping_add(length);
        true
    }

    /// As [`Encoder::reenter`](super::Encoder::reenter).
    #[inline]
    pub fn reenter(&mut self, frame: FrameNumber, unit: u32) {
        self.put(tagged(tag::REENTER, frame.0));
        self.put(varint(u64::from(unit)));
    }

    /// As [`Encoder::enter_foreign`](super::Encoder::enter_foreign) above a recorded frame.
    #[inline]
    pub fn enter_foreign(&mut self, below: u32) {
        self.put(tagged(tag::ENTER_FOREIGN, u64::from(below) + 1));
    }

    /// As [`Encoder::reenter_foreign`](super::Encoder::reenter_foreign) above a recorded frame.
    #[inline]
    pub fn reenter_foreign(&mut self, frame: FrameNumber, below: u32) {
        self.put(tagged(tag::REENTER_FOREIGN, frame.0));
        self.put(varint(u64::from(below) + 1));
    }

    /// As [`Encoder::hit`](super::Encoder::hit).
    #[inline]
    pub fn hit(&mut self) {
        self.tag(tag::HIT);
    }

    /// As [`Encoder::none`](super::Encoder::none).
    #[inline]
    pub fn none(&mut self) {
        self.tag(tag::NONE);
    }

    /// As [`Encoder::bool`](super::Encoder::bool).
    #[inline]
    pub fn bool(&mut self, value: bool) {
        self.tag(tag::FALSE + u8::from(value));
    }

    /// As [`Encoder::float`](super::Encoder::float).
    #[inline]
    pub fn float(&mut self, bits: u64) {
        self.put((u128::from(tag::FLOAT) | u128::from(bits) << 8, 9));
    }

    /// As [`Encoder::null`](super::Encoder::null).
    #[inline]
    pub fn null(&mut self) {
        self.tag(tag::NULL);
    }

    /// As [`Encoder::int`](super::Encoder::int).
    #[inline(always)]
    pub fn int(&mut self, value: i64) {
        match small(value) {
            Some(tag) => self.tag(tag),
            None => self.put(tagged(tag::INT, zigzag(value))),
        }
    }

    /// The same, of up to five bytes. Whether that is enough: otherwise nothing is written.
    #[inline(always)]
    #[must_use]
    pub fn little_int(&mut self, value: i64) -> bool {
        if let Some(tag) = small(value) {
            self.tag(tag);
            return true;
        }
        let number = zigzag(value);
        if number < 1 << 14 {
            return self.little(tag::INT, number);
        }
        if number >= 1 << 28 {
            return false;
        }
        let (bytes, length) = spread_four(number);
        let bytes = bytes << 8 | u64::from(tag::INT);
        let at = usize::from(self.at);
        self.bytes[at..at + 8].copy_from_slice(&bytes.to_le_bytes());
        self.at = self.at.wrapping_add(length as u8 + 1);
        true
    }

    /// [Captures](Self::captured_int) an int, as far as that takes a byte: the one that is expected there. Whether it is.
    #[inline(always)]
    #[must_use]
    pub fn expected_int(
        &mut self,
        strides: &mut Strides,
        site: SiteNumber,
        capture: usize,
        value: i64,
    ) -> bool {
        let is_expected = strides.follows_first(site, capture, value);
        if is_expected {
            self.tag(tag::INT_NEXT);
        }
        is_expected
    }

    /// Refers to an object that has been named lately. Whether it has: otherwise nothing is written.
    #[inline(always)]
    #[must_use]
    pub fn recent_object(&mut self, recent: &RecentObjects, id: ObjectId) -> bool {
        match recent.slot_of(id) {
            Some(slot) => {
                self.tag(tag::RECENT | slot);
                true
            }
            None => false,
        }
    }

    /// As [`Self::object`], of an object that has not been named lately, in up to three bytes. Whether that is enough: otherwise nothing is written.
    #[inline(always)]
    #[must_use]
    pub fn little_object(&mut self, recent: &mut RecentObjects, id: ObjectId) -> bool {
        let is_enough = self.little(tag::REF, recent.newest().0.wrapping_sub(id.0));
        if is_enough {
            recent.name(id);
        }
        is_enough
    }

    /// As [`Encoder::captured_int`](super::Encoder::captured_int), for the first [`VALUES`](Self::VALUES) captures of sites below
    /// [`Predictor::MAX_SITES`](super::Predictor::MAX_SITES).
    #[inline(always)]
    pub fn captured_int(
        &mut self,
        strides: &mut Strides,
        site: SiteNumber,
        capture: usize,
        value: i64,
    ) {
        if strides.follows_first(site, capture, value) {
            self.tag(tag::INT_NEXT);
        } else {
            self.int(value);
        }
    }

    /// As [`Encoder::object`](super::Encoder::object).
    #[inline(always)]
    pub fn object(&mut self, recent: &mut RecentObjects, id: ObjectId) {
        if let Some(slot) = recent.slot_of(id) {
            self.tag(tag::RECENT | slot);
        } else {
            let older = recent.newest().0.wrapping_sub(id.0);
            self.put(tagged(tag::REF, older));
            recent.name(id);
        }
    }

    /// As [`Encoder::update_part`](super::Encoder::update_part): at most 32 bytes. One value may follow; prefixes may not come before it.
    #[inline(always)]
    pub fn update_part(
        &mut self,
        recent: &mut RecentObjects,
        id: ObjectId,
        change: Change,
        length: u64,
    ) {
        if !self.little_update_part(recent, id, change, length) {
            self.long_update_part(recent, id, change.number(), length);
        }
    }

    /// The same, of an object that has been named lately and few parts. Whether that is so: otherwise nothing is written.
    #[inline(always)]
    #[must_use]
    pub fn little_update_part(
        &mut self,
        recent: &RecentObjects,
        id: ObjectId,
        change: Change,
        length: u64,
    ) -> bool {
        self.of_recent(tag::UPDATE_PART, recent, id, change.number(), length)
    }

    /// A tag, an object that has been named lately and two numbers of a byte. Whether they are that: otherwise nothing is written.
    #[inline(always)]
    fn of_recent(
        &mut self,
        tag: u8,
        recent: &RecentObjects,
        id: ObjectId,
        first: u64,
        second: u64,
    ) -> bool {
        if first | second >= 0x80 {
            return false;
        }
        let Some(slot) = recent.slot_of(id) else {
            return false;
        };
        let bytes = [tag, tag::RECENT | slot, first as u8, second as u8];
        let at = usize::from(self.at);
        self.bytes[at..at + bytes.len()].copy_from_slice(&bytes);
        self.at = self.at.wrapping_add(bytes.len() as u8);
        true
    }

    #[inline(never)]
    fn long_update_part(
        &mut self,
        recent: &mut RecentObjects,
        id: ObjectId,
        number: u64,
        length: u64,
    ) {
        self.tag(tag::UPDATE_PART);
        self.object(recent, id);
        self.put(varint(number));
        self.put(varint(length));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Encoder;

    /// Whatever is written, the bytes are those of an `Encoder`.
    #[test]
    fn writes_what_an_encoder_writes() {
        let mut seed = 1_u64;
        let mut random = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        let recent = || RecentObjects::new(ObjectId(1 << 20));
        let (mut recents, mut strides) = ([recent(), recent()], [0; 2].map(|_| Strides::new(9)));
        for _ in 0..5_000 {
            let (mut one, mut other) = ([0; 400], [0; 400]);
            let mut short = Short::new(one[5..].first_chunk_mut().expect("there is room"));
            let mut encoder = Encoder::new(&mut other, 5);
            let [recent, recent_too] = &mut recents;
            let [stride, stride_too] = &mut strides;
            assert!(short.is_empty());
            for capture in 0..Short::VALUES {
                let bits = random();
                let value = (bits >> (bits % 64)).cast_signed() - 3;
                match random() % 8 {
                    0 => (short.none(), encoder.none()),
                    1 => (short.null(), encoder.null()),
                    2 => (short.bool(bits & 1 == 1), encoder.bool(bits & 1 == 1)),
                    3 => (short.float(bits), encoder.float(bits)),
                    4 => (short.hit(), encoder.hit()),
                    5 if capture == 0 => {
                        let site = SiteNumber((bits >> (bits % 24 + 40)) as u32);
                        if bits & 64 == 0 || !short.made(Little::site(site)) {
                            short.site(site);
                        }
                        ((), encoder.site(site))
                    }
                    5 if capture == 1 => {
                        let unit = (bits >> (bits % 32 + 32)) as u32;
                        if bits & 64 == 0 || !short.made(Little::enter(unit)) {
                            short.enter(unit);
                        }
                        ((), encoder.enter(unit))
                    }
                    5 if capture == 2 => (short.pop_one(), encoder.pop(1)),
                    5 if capture == 3 => {
                        let frame = FrameNumber(bits >> (bits % 64));
                        let unit = (bits >> (bits % 32 + 32)) as u32;
                        let enter = Little::enter(unit);
                        if enter == Little::NONE || !short.reenter_as(Reenter::of(frame), enter) {
                            short.reenter(frame, unit);
                        }
                        ((), encoder.reenter(frame, unit))
                    }
                    5 if capture == 4 => {
                        let unit = (bits >> (bits % 32 + 32)) as u32;
                        if bits & 64 == 0 || !short.little_enter_foreign(unit) {
                            short.enter_foreign(unit);
                        }
                        ((), encoder.enter_foreign(Some(unit)))
                    }
                    5 if capture == 5 => {
                        let frame = FrameNumber(bits >> (bits % 64));
                        let unit = (bits >> (bits % 32 + 32)) as u32;
                        if !short.reenter_foreign_as(Reenter::of(frame), unit) {
                            short.reenter_foreign(frame, unit);
                        }
                        ((), encoder.reenter_foreign(frame, Some(unit)))
                    }
                    5 => {
                        let id = ObjectId((1 << 20) - bits % 300 * (bits >> 40) % 20_000);
                        if bits & 64 == 0
                            || !short.recent_object(recent, id) && !short.little_object(recent, id)
                        {
                            short.object(recent, id);
                        }
                        ((), encoder.object(recent_too, id))
                    }
                    _ => {
                        let (site, at) = (SiteNumber((bits % 7) as u32), capture % 3);
                        if bits & 64 == 0 {
                            short.captured_int(stride, site, at, value);
                        } else if !short.expected_int(stride, site, at, value)
                            && !short.little_int(value)
                        {
                            short.int(value);
                        }
                        ((), encoder.captured_int(stride_too, site, at, value))
                    }
                };
            }
            let end = 5 + short.len();
            assert_eq!(end, encoder.at());
            assert!(!encoder.overflowed());
            assert_eq!(one[..end], other[..end]);
        }
    }

    #[test]
    fn a_change_of_one_part_is_what_an_encoder_writes() {
        for (length, place, id) in [
            (0, 0, 1),
            (127, 62, 1),
            (127, 64, 1),
            (128, 1, 1),
            (200, 63, 1 << 40),
            (u64::MAX, usize::MAX >> 2, 900),
        ] {
            let (mut one, mut other) = ([0; 400], [0; 400]);
            let mut short = Short::new(one.first_chunk_mut().expect("there is room"));
            let mut encoder = Encoder::new(&mut other, 0);
            let recent = || RecentObjects::new(ObjectId(u64::MAX >> 1));
            let change = Change::Replace(place);
            let mut recents = [recent(), recent()];
            // The second time the object is a recent one.
            for _ in 0..2 {
                let before = short.len();
                short.update_part(&mut recents[0], ObjectId(id), change, length);
                encoder.update_part(&mut recents[1], ObjectId(id), change, length);
                assert!(short.len() - before <= 32);
            }
            short.int(i64::MIN);
            encoder.int(i64::MIN);
            let end = short.len();
            assert_eq!(end, encoder.at());
            assert_eq!(one[..end], other[..end]);
        }
    }

    #[test]
    fn the_longest_record_fits() {
        let mut bytes = [0; SHORT];
        let mut short = Short::new(&mut bytes);
        short.pop_one();
        short.reenter_foreign(FrameNumber(u64::MAX), u32::MAX);
        short.site(SiteNumber(u32::MAX));
        for _ in 0..Short::VALUES {
            short.int(i64::MIN);
        }
        assert_eq!(short.len(), 23 + 11 * Short::VALUES);
        assert!(short.len() <= usize::from(u8::MAX));
    }
}
