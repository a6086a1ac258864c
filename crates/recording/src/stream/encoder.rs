//! Writes a stream into memory that is there already. For the recorder's hot path: no allocation, no panic.

use super::record::{ARRIVED, raised_number};
use super::{Kind, ObjectId, Progress, Reason, RecentObjects, Short, SiteNumber, WrittenBy, tag};

/// How many bytes at the end of the memory stay unused: every write is done in a piece of this size, then cut.
pub const RESERVE: usize = 16;

/// A place in memory to write a stream to.
///
/// Nothing fails: what does not fit is not written and [`overflowed`](Self::overflowed) says so from then on. The caller
/// then takes back the record, which is to say that it does not commit it, finishes the chunk and writes the record into a new one.
#[derive(Debug)]
pub struct Encoder<'a> {
    bytes: &'a mut [u8],
    at: usize,
    overflowed: bool,
}

#[inline]
pub(super) fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

impl<'a> Encoder<'a> {
    /// Writes from `at` on.
    #[inline]
    #[must_use]
    pub fn new(bytes: &'a mut [u8], at: usize) -> Self {
        Encoder {
            bytes,
            at,
            overflowed: false,
        }
    }

    /// Where the next byte goes; what is to be committed once a record is complete.
    #[inline]
    #[must_use]
    pub fn at(&self) -> usize {
        self.at
    }

    /// Whether something has not fitted.
    #[inline]
    #[must_use]
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// Whether `needed` more bytes fit for certain.
    #[inline]
    #[must_use]
    pub fn has_room(&self, needed: usize) -> bool {
        self.bytes.len().saturating_sub(self.at) >= needed.saturating_add(RESERVE)
    }

    /// Takes back what was written behind `at`, an earlier [`at`](Self::at). What the recent objects and the predictor
    /// have learned since cannot be taken back: only for the end of a chunk.
    #[inline]
    pub fn take_back(&mut self, at: usize) {
        self.at = at.min(self.at);
        self.overflowed = false;
    }

    /// Has a [`Short`] written here, if there is room for any; whether it has been. `write` says whether it wants that.
    #[inline(always)]
    pub fn shortly(&mut self, write: impl FnOnce(&mut Short<'_>) -> bool) -> bool {
        let place = self.bytes.get_mut(self.at..);
        let Some(place) = place.and_then(<[u8]>::first_chunk_mut) else {
            return false;
        };
        let mut short = Short::new(place);
        let is_wanted = write(&mut short);
        if is_wanted {
            self.at += short.len();
        }
        is_wanted
    }

    /// 16 bytes are written, of which `length` count.
    #[inline]
    fn put(&mut self, bytes: u128, length: usize) {
        match self
            .bytes
            .get_mut(self.at..)
            .and_then(<[u8]>::first_chunk_mut)
        {
            Some(place) => {
                let place: &mut [u8; RESERVE] = place;
                *place = bytes.to_le_bytes();
                self.at += length;
            }
            None => self.overflowed = true,
        }
    }

    /// As [`Self::put`] for one byte.
    #[inline]
    fn tag(&mut self, tag: u8) {
        let place = self.bytes.get_mut(self.at..);
        let place: Option<&mut [u8; RESERVE]> = place.and_then(<[u8]>::first_chunk_mut);
        match place {
            Some(place) => {
                place[0] = tag;
                self.at += 1;
            }
            None => self.overflowed = true,
        }
    }

    /// A tag and a varint behind it: at most 11 bytes.
    #[inline]
    fn tagged(&mut self, tag: u8, value: u64) {
        let (bytes, length) = tagged(tag, value);
        self.put(bytes, length);
    }

    /// A bare varint.
    #[inline]
    pub fn varint(&mut self, value: u64) {
        let (bytes, length) = varint(value);
        self.put(bytes, length);
    }

    /// A length and so many bytes: names, `str` heads in WTF-8, output.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.varint(bytes.len() as u64);
        self.raw(bytes);
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        if !self.has_room(bytes.len()) {
            self.overflowed = true;
        } else if let Some(place) = self.bytes.get_mut(self.at..self.at + bytes.len()) {
            place.copy_from_slice(bytes);
            self.at += bytes.len();
        }
    }
}

/// The tag of an int that has one of its own.
#[inline]
pub(super) fn small(value: i64) -> Option<u8> {
    (0..tag::SMALL_INTS)
        .contains(&value)
        .then(|| tag::INT_0 + value as u8)
}

/// A tag and a varint behind it, and how many bytes that is: at most 11.
#[inline(always)]
pub(super) fn tagged(tag: u8, value: u64) -> (u128, usize) {
    if value < 0x80 {
        (u128::from(tag) | u128::from(value) << 8, 2)
    } else if value < 0x4000 {
        let spread = value & 0x7f | 0x80 | (value & 0x3f80) << 1;
        (u128::from(tag) | u128::from(spread) << 8, 3)
    } else if value < 1 << 28 {
        let (spread, length) = spread_four(value);
        (u128::from(tag) | u128::from(spread) << 8, length + 1)
    } else {
        let (spread, length) = spread(value);
        (u128::from(tag) | spread << 8, length + 1)
    }
}

/// As [`spread`], for a value of at most four groups of seven bits.
#[inline(always)]
pub(super) fn spread_four(value: u64) -> (u64, usize) {
    let groups = 1
        + usize::from(value >> 7 != 0)
        + usize::from(value >> 14 != 0)
        + usize::from(value >> 21 != 0);
    let spread = value & 0x3fff | (value & 0x0fff_c000) << 2;
    let spread = spread & 0x007f_007f | (spread & 0x3f80_3f80) << 1;
    let more = 0x0080_8080 >> (8 * (4 - groups));
    (spread | more, groups)
}

/// A bare varint, and how many bytes that is: at most 10.
#[inline]
pub(super) fn varint(value: u64) -> (u128, usize) {
    if value < 0x80 {
        (u128::from(value), 1)
    } else if value < 1 << 28 {
        let (spread, length) = spread_four(value);
        (u128::from(spread), length)
    } else {
        spread(value)
    }
}

/// LEB128: seven bits a byte, least significant first, in at most 10 bytes.
#[inline(never)]
fn spread(value: u64) -> (u128, usize) {
    let groups = (u64::BITS - (value | 1).leading_zeros()).div_ceil(7);
    // Eight groups of seven bits: four and four, then two and two, then each by itself.
    let low = (value & 0x0fff_ffff) | (value & 0x0fff_ffff << 28) << 4;
    let low = low & 0x0000_3fff_0000_3fff | (low & 0x0fff_c000_0fff_c000) << 2;
    let low = low & 0x007f_007f_007f_007f | (low & 0x3f80_3f80_3f80_3f80) << 1;
    let high = value >> 56 & 0x7f | value >> 63 << 8;
    let more = u128::from_le_bytes([0x80; 16]) & ((1_u128 << (8 * (groups - 1))) - 1);
    (
        u128::from(low) | u128::from(high) << 64 | more,
        groups as usize,
    )
}

/// Values.
impl Encoder<'_> {
    /// An empty slot.
    #[inline]
    pub fn null(&mut self) {
        self.tag(tag::NULL);
    }

    /// `None`.
    #[inline]
    pub fn none(&mut self) {
        self.tag(tag::NONE);
    }

    /// `True` or `False`.
    #[inline]
    pub fn bool(&mut self, value: bool) {
        self.tag(tag::FALSE + u8::from(value));
    }

    /// `...`.
    #[inline]
    pub fn ellipsis(&mut self) {
        self.tag(tag::ELLIPSIS);
    }

    /// `NotImplemented`.
    #[inline]
    pub fn not_implemented(&mut self) {
        self.tag(tag::NOT_IMPLEMENTED);
    }

    /// An `int` that fits 64 bits.
    #[inline]
    pub fn int(&mut self, value: i64) {
        if let Some(tag) = small(value) {
            self.tag(tag);
        } else {
            self.tagged(tag::INT, zigzag(value));
        }
    }

    /// An `int` that fits 64 bits and is what `site` captures as its `capture`-th value. A recorder uses either this for all ints
    /// that sites capture, or [`int`](Self::int) for all.
    #[inline]
    pub fn captured_int(
        &mut self,
        strides: &mut super::Strides,
        site: SiteNumber,
        capture: usize,
        value: i64,
    ) {
        if strides.follows(site, capture, value) {
            self.tag(tag::INT_NEXT);
        } else {
            self.int(value);
        }
    }

    /// A larger `int`: sign and magnitude, least significant byte first.
    pub fn big_int(&mut self, negative: bool, magnitude: &[u8]) {
        self.tag(tag::BIG_INT);
        self.varint(u64::from(negative));
        self.bytes(magnitude);
    }

    /// An `int` beyond the limit: sign, `bit_length()` and the 64 highest bits.
    pub fn huge_int(&mut self, negative: bool, bits: u64, leading: u64) {
        self.tag(tag::HUGE_INT);
        self.varint(u64::from(negative));
        self.varint(bits);
        self.raw(&leading.to_le_bytes());
    }

    /// A `float`, as its bits.
    #[inline]
    pub fn float(&mut self, bits: u64) {
        self.put(u128::from(tag::FLOAT) | u128::from(bits) << 8, 9);
    }

    /// A `complex`, as the bits of its parts.
    #[inline]
    pub fn complex(&mut self, real: u64, imaginary: u64) {
        self.put(u128::from(tag::COMPLEX) | u128::from(real) << 8, 9);
        self.put(u128::from(imaginary), 8);
    }

    /// A machine integer in a stack slot.
    #[inline]
    pub fn tagged_int(&mut self, value: i64) {
        self.tagged(tag::TAGGED, zigzag(value));
    }

    /// An object that has been defined in this chunk.
    #[inline]
    pub fn object(&mut self, recent: &mut RecentObjects, id: ObjectId) {
        if let Some(slot) = recent.slot_of(id) {
            self.tag(tag::RECENT | slot);
        } else {
            self.tagged(tag::REF, recent.newest().0.wrapping_sub(id.0));
            recent.name(id);
        }
    }

    /// The object that is [defined](Self::define) next may have had another id before.
    pub fn doubtful(&mut self) {
        self.tag(tag::DOUBTFUL);
    }

    /// An object that has not been defined in this chunk, or was defined bare. Its [type](Self::type_of) follows, then,
    /// unless it is `bare`, its contents.
    #[inline]
    pub fn define(&mut self, recent: &mut RecentObjects, id: ObjectId, bare: bool) {
        if id.0 == recent.newest().0.wrapping_add(1) {
            self.tag(if bare { tag::DEF_BARE } else { tag::DEF });
        } else {
            let tag = if bare { tag::DEF_AT_BARE } else { tag::DEF_AT };
            self.tagged(tag, id.0);
        }
        recent.name(id);
    }

    /// A type that has been defined in this chunk, by its number in the chunk: 0 for the first one.
    #[inline]
    pub fn type_of(&mut self, in_chunk: u32) {
        self.varint(u64::from(in_chunk));
    }

    /// A type that is new in this chunk; its number in the chunk is that of the types before it. Then its number in the
    /// recording, kind and name (`module.qualname` in WTF-8).
    pub fn new_type(&mut self, in_chunk: u32, in_recording: u64, kind: Kind, name: &[u8]) {
        self.varint(u64::from(in_chunk));
        self.varint(in_recording);
        self.varint(kind as u64);
        self.bytes(name);
    }

    /// A value that is not known.
    #[inline]
    pub fn unknown(&mut self, reason: Reason) {
        self.tagged(tag::UNKNOWN, reason.0);
    }

    /// A value that is not to be recorded.
    #[inline]
    pub fn redacted(&mut self) {
        self.tag(tag::REDACTED);
    }
}

/// Contents: what follows `DEF` and `UPDATE`, after the type. Values inside follow by the functions above.
impl Encoder<'_> {
    /// `str`: length in code points and the head in WTF-8; `bytes`, `bytearray`: length and head.
    pub fn head(&mut self, length: u64, head: &[u8]) {
        self.varint(length);
        self.bytes(head);
    }

    /// Sequences, sets, mappings, instances: the true number, and how many follow (for mappings and instances pairs).
    #[inline]
    pub fn items(&mut self, length: u64, shown: u64) {
        if length | shown < 0x80 {
            self.put(u128::from(length | shown << 8), 2);
        } else {
            self.varint(length);
            self.varint(shown);
        }
    }

    /// Functions, code objects: the qualified name in WTF-8, and the code's number if it is recorded.
    pub fn code(&mut self, qualname: &[u8], code: Option<u32>) {
        self.bytes(qualname);
        self.varint(code.map_or(0, |code| u64::from(code) + 1));
    }

    /// Generators, coroutines: the qualified name in WTF-8, and the frame's number if it has been recorded.
    pub fn generator(&mut self, qualname: &[u8], frame: Option<super::FrameNumber>) {
        self.bytes(qualname);
        self.varint(frame.map_or(0, |frame| frame.0.wrapping_add(1)));
    }

    /// Exceptions: the true number of `args` and how many follow, or that they are not known. The attributes follow as
    /// [`items`](Self::items) and pairs.
    pub fn arguments(&mut self, known: Option<(u64, u64)>) {
        match known {
            Some((length, shown)) => {
                self.varint(1);
                self.items(length, shown);
            }
            None => self.varint(0),
        }
    }
}

/// Prefixes and bodies.
impl Encoder<'_> {
    /// The body of a site that captures nothing.
    #[inline]
    pub fn hit(&mut self) {
        self.tag(tag::HIT);
    }

    /// The body of a record of a frame that is in the middle of an instruction; so many values follow, none by [`Encoder::captured_int`].
    pub fn pending(&mut self, unit: u32, values: u64) {
        self.tagged(tag::PENDING, u64::from(unit));
        self.varint(values);
    }

    /// The site, unless [`Predictor::follows`](super::Predictor::follows) says that it is predicted.
    #[inline]
    pub fn site(&mut self, site: SiteNumber) {
        self.tagged(tag::SITE, u64::from(site.0));
    }

    /// Another thread runs from here on. Before any `pop` and frame of the record.
    pub fn thread(&mut self, number: super::ThreadNumber) {
        self.tagged(tag::THREAD, u64::from(number.0));
    }

    /// A thread that is not known in this chunk runs from here on.
    pub fn new_thread(
        &mut self,
        number: super::ThreadNumber,
        native: u64,
        name: &[u8],
        below: u64,
    ) {
        self.tagged(tag::THREAD_NEW, u64::from(number.0));
        self.varint(native);
        self.bytes(name);
        self.varint(below);
    }

    /// A thread has ended, which may be another one than the current one.
    pub fn thread_end(&mut self, number: super::ThreadNumber) {
        self.tagged(tag::THREAD_END, u64::from(number.0));
    }

    /// So many frames of the current thread have ended or been suspended; nothing for 0.
    #[inline]
    pub fn pop(&mut self, frames: u32) {
        match frames {
            0 => {}
            1 => self.tag(tag::POP_1),
            _ => self.tagged(tag::POP, u64::from(frames)),
        }
    }

    /// A new frame, called by this unit of the recorded frame below.
    #[inline]
    pub fn enter(&mut self, unit: u32) {
        self.tagged(tag::ENTER, u64::from(unit));
    }

    /// A new frame, called by something that is not recorded.
    #[inline]
    pub fn enter_foreign(&mut self, below: Option<u32>) {
        self.tagged(
            tag::ENTER_FOREIGN,
            below.map_or(0, |unit| u64::from(unit) + 1),
        );
    }

    /// A suspended frame goes on, called by this unit of the recorded frame below.
    #[inline]
    pub fn reenter(&mut self, frame: super::FrameNumber, unit: u32) {
        self.tagged(tag::REENTER, frame.0);
        self.varint(u64::from(unit));
    }

    /// A suspended frame goes on, called by something that is not recorded.
    #[inline]
    pub fn reenter_foreign(&mut self, frame: super::FrameNumber, below: Option<u32>) {
        self.tagged(tag::REENTER_FOREIGN, frame.0);
        self.varint(below.map_or(0, |unit| u64::from(unit) + 1));
    }

    /// The unit of this frame that raised, or was told of by what raised.
    #[inline]
    pub fn raised(&mut self, unit: u32, progress: Progress) {
        self.tagged(tag::RAISED, raised_number(unit, progress));
    }

    /// The frame on top is in the middle of a unit of the original code: before [`attach`](Self::attach), as the caller in
    /// [`enter`](Self::enter).
    pub fn inside(&mut self, unit: u32) {
        self.tagged(tag::INSIDE, u64::from(unit));
    }

    /// The frame on top is about to execute a unit of the original code, and a trace function is told of that: before the frame that is called. Up to
    /// version 4; now [`stands`](Self::stands) says more.
    pub fn told(&mut self, unit: u32) {
        self.tagged(tag::TOLD, u64::from(unit));
    }

    /// A trace function is told of the frame on top: before the frame that is called; [`frame`](Self::frame) and its slots follow, which say how it stands.
    pub fn stands(&mut self) {
        self.tag(tag::STANDS);
    }

    /// A frame met in the middle; [`frame`](Self::frame) and its slots follow.
    pub fn attach(&mut self) {
        self.tag(tag::ATTACH);
    }

    /// A frame of a keyframe or behind [`attach`](Self::attach) or [`stands`](Self::stands); so many slots follow as values.
    pub fn frame(
        &mut self,
        number: super::FrameNumber,
        code: u32,
        unit: u32,
        progress: Progress,
        slots: u64,
    ) {
        self.varint(number.0);
        self.varint(u64::from(code));
        let progress = match progress {
            Progress::Ready => 0,
            Progress::Executing => 1,
            Progress::Arrived => ARRIVED,
            Progress::Told => ARRIVED | 1,
        };
        self.varint(u64::from(unit) << 1 | progress);
        self.varint(slots);
    }

    /// New contents of an object that is defined in this chunk; they follow, without the type.
    #[inline]
    pub fn update(&mut self, recent: &mut RecentObjects, id: ObjectId) {
        self.tag(tag::UPDATE);
        self.object(recent, id);
    }

    /// An object that is defined in this chunk with at most [`MAX_PARTS`](super::MAX_PARTS) items or pairs, a list, dict or instance, has
    /// changed in one place; its true number is this now. The item or the value of the pair follows, of a new pair the key before it.
    #[inline]
    pub fn update_part(
        &mut self,
        recent: &mut RecentObjects,
        id: ObjectId,
        change: super::Change,
        length: u64,
    ) {
        self.tag(tag::UPDATE_PART);
        self.object(recent, id);
        self.varint(change.number());
        self.varint(length);
    }

    /// Nanoseconds since the last time or the keyframe.
    #[inline]
    pub fn time(&mut self, nanoseconds: u64) {
        self.tagged(tag::TIME, nanoseconds);
    }

    /// What the program wrote to stdout (1) or stderr (2), and who did.
    pub fn output(&mut self, stream: u8, bytes: &[u8], by: Option<WrittenBy>) {
        match by {
            None => self.tagged(tag::OUTPUT, u64::from(stream)),
            Some(WrittenBy { frame, unit }) => {
                self.tagged(tag::OUTPUT, u64::from(stream + tag::WITH_WRITER));
                self.varint(frame.0);
                self.varint(u64::from(unit));
            }
        }
        self.bytes(bytes);
    }

    /// Something could not be recorded.
    pub fn lost(&mut self, reason: Reason) {
        self.tagged(tag::LOST, reason.0);
    }
}

/// The keyframe, at the beginning of a chunk.
impl Encoder<'_> {
    /// Time since the recording began in nanoseconds, the newest object's id (0: none), the number of the next new
    /// frame, how many threads follow, and which of them runs. Each thread follows as
    /// [`keyframe_thread`](Self::keyframe_thread) and its frames.
    pub fn keyframe(
        &mut self,
        time: u64,
        newest: ObjectId,
        next_frame: super::FrameNumber,
        threads: u64,
        current: super::ThreadNumber,
    ) {
        self.varint(time);
        self.varint(newest.0);
        self.varint(next_frame.0);
        self.varint(threads);
        self.varint(u64::from(current.0));
    }

    /// A thread; so many frames follow, bottom first, above `below` frames that are left out.
    pub fn keyframe_thread(
        &mut self,
        number: super::ThreadNumber,
        native: u64,
        name: &[u8],
        below: u64,
        frames: u64,
    ) {
        self.varint(u64::from(number.0));
        self.varint(native);
        self.bytes(name);
        self.varint(below);
        self.varint(frames);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_varint_is_written_seven_bits_a_byte() {
        let around = |bit: u32| [(1_u64 << bit) - 1, 1 << bit, (1 << bit) + 1];
        let values = (0..64).flat_map(around).chain([u64::MAX, u64::MAX / 3]);
        for value in values {
            let (mut rest, mut bytes) = (value, Vec::new());
            while rest >= 0x80 {
                bytes.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            bytes.push(rest as u8);
            let (spread, length) = varint(value);
            assert_eq!(spread.to_le_bytes()[..length], bytes, "{value}");
            assert_eq!(spread >> (8 * length), 0, "{value}");
            assert_eq!(tagged(7, value), (spread << 8 | 7, length + 1), "{value}");
        }
    }
}
