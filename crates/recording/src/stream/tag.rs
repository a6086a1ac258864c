//! The first byte of everything in a record.
//!
//! | bytes | meaning |
//! |---|---|
//! | `00` | never written: what has not been written yet reads as this |
//! | `01`–`40` | the int 0–63 |
//! | `41`–`5F` | other values |
//! | `60`–`7F` | the bodies [`HIT`] and [`PENDING`], and the prefixes |
//! | `80`–`FF` | the object in slot 0–127 of the recent objects |

/// Nothing: memory that has not been written to.
pub const END: u8 = 0x00;
/// The int 0; the ints up to [`SMALL_INTS`] follow.
pub const INT_0: u8 = 0x01;
/// How many ints have a tag of their own.
pub const SMALL_INTS: i64 = 64;

/// An empty slot: no object.
pub const NULL: u8 = 0x41;
/// `None`.
pub const NONE: u8 = 0x42;
/// `False`.
pub const FALSE: u8 = 0x43;
/// `True`.
pub const TRUE: u8 = 0x44;
/// `...`.
pub const ELLIPSIS: u8 = 0x45;
/// `NotImplemented`.
pub const NOT_IMPLEMENTED: u8 = 0x46;
/// An `int` of 64 bits: zigzag varint.
pub const INT: u8 = 0x47;
/// A larger `int`: sign (0, 1 for negative), length, magnitude with the least significant byte first.
pub const BIG_INT: u8 = 0x48;
/// An `int` beyond the limit: sign, bit length, the 64 highest bits in 8 bytes.
pub const HUGE_INT: u8 = 0x49;
/// A `float`: its 8 bytes.
pub const FLOAT: u8 = 0x4a;
/// A `complex`: real part, imaginary part.
pub const COMPLEX: u8 = 0x4b;
/// A machine integer in a stack slot (CPython 3.14 and later): zigzag varint.
pub const TAGGED: u8 = 0x4c;
/// A known object: varint, its id below the newest id.
pub const REF: u8 = 0x4d;
/// A new object: its id is the newest id + 1. Type, contents.
pub const DEF: u8 = 0x4e;
/// An object that is new in this chunk, or to which contents are given now: id, type, contents.
pub const DEF_AT: u8 = 0x4f;
/// As [`DEF`], without contents.
pub const DEF_BARE: u8 = 0x50;
/// As [`DEF_AT`], without contents.
pub const DEF_AT_BARE: u8 = 0x51;
/// A value that is not known: varint, the [`Reason`](super::Reason).
pub const UNKNOWN: u8 = 0x52;
/// A value that was not to be recorded.
pub const REDACTED: u8 = 0x53;
/// In a body: the int that [`Strides`](super::Strides) expects there.
pub const INT_NEXT: u8 = 0x54;

/// The body of a site that captures nothing.
pub const HIT: u8 = 0x60;
/// This site, not the predicted one: varint.
pub const SITE: u8 = 0x61;
/// From here on this thread: varint.
pub const THREAD: u8 = 0x62;
/// From here on this thread, first seen in this chunk: number, native id, name.
pub const THREAD_NEW: u8 = 0x63;
/// A thread has ended: varint, its number. The current one may be another.
pub const THREAD_END: u8 = 0x64;
/// One frame of the current thread has ended or been suspended.
pub const POP_1: u8 = 0x65;
/// So many have: varint.
pub const POP: u8 = 0x66;
/// A new frame, called by an instruction of the recorded frame below: varint, the instruction's unit.
pub const ENTER: u8 = 0x67;
/// A new frame, called by something that is not recorded: varint, 0 or 1 + the unit at which the recorded frame below is.
pub const ENTER_FOREIGN: u8 = 0x68;
/// A suspended frame goes on: varint, its number; then as [`ENTER`].
pub const REENTER: u8 = 0x69;
/// A suspended frame goes on: varint, its number; then as [`ENTER_FOREIGN`].
pub const REENTER_FOREIGN: u8 = 0x6a;
/// The instruction of this frame that raised: varint, its unit.
pub const RAISED: u8 = 0x6b;
/// A frame met in the middle: a frame as in keyframes.
pub const ATTACH: u8 = 0x6c;
/// New contents of a known object: the object as a value, contents.
pub const UPDATE: u8 = 0x6d;
/// Nanoseconds since the last time: varint.
pub const TIME: u8 = 0x6e;
/// What the program wrote: 1 stdout or 2 stderr, length, bytes.
pub const OUTPUT: u8 = 0x6f;
/// What is added to an [`OUTPUT`]'s stream if it says who wrote.
pub const WITH_WRITER: u8 = 2;
/// Something could not be recorded: varint, the [`Reason`](super::Reason).
pub const LOST: u8 = 0x70;
/// The frame on top, which calls one that is attached, is in the middle of this unit: varint.
pub const INSIDE: u8 = 0x71;
/// A known object has changed in one place: the object as a value, varint [`Change`](super::Change), varint length, what is new there.
pub const UPDATE_PART: u8 = 0x72;
/// What tells of the instruction that the frame on top has come to calls the next one: varint, its unit. No site there has fired.
pub const TOLD: u8 = 0x73;
/// The object that is defined behind it may be one that had another id before.
pub const DOUBTFUL: u8 = 0x55;
/// A body: what the frame on top holds in the middle of an instruction: varint, its unit; varint, how many values; the values.
pub const PENDING: u8 = 0x74;
/// What tells of the frame on top calls the next one: a frame as in keyframes, the one on top.
pub const STANDS: u8 = 0x75;

/// An object by its slot in the recent objects, added to the slot.
pub const RECENT: u8 = 0x80;
