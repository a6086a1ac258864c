//! A record and its parts, as the decoder hands them out.

use super::Definition;

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident($of:ty);)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $of);
    )*};
}

numbers! {
    /// A site of a recording: the base of its code object + its index in the plan.
    SiteNumber(u32);
    /// A frame; numbers are given in the order in which frames are first recorded, from 0.
    FrameNumber(u64);
    /// A thread; numbers are given in the order in which threads are first recorded, from 0.
    ThreadNumber(u32);
    /// An object. Ids are given from 1 in the order in which objects are first recorded and never again.
    ObjectId(u64);
    /// Why something is not known: one of the constants, or a number of a later version.
    Reason(u64);
}

impl Reason {
    /// No reason was given.
    pub const UNSPECIFIED: Reason = Reason(0);
    /// It was beyond the recording's limits.
    pub const LIMIT: Reason = Reason(1);
    /// It could not be read without running code of the program.
    pub const UNREADABLE: Reason = Reason(2);
    /// It was too large for a chunk.
    pub const TOO_LARGE: Reason = Reason(3);
    /// There was no memory for it.
    pub const NO_MEMORY: Reason = Reason(4);
    /// Records of this thread were dropped: its frames are unknown until they are attached again.
    pub const DROPPED: Reason = Reason(5);
}

/// A captured value. An object's contents come as [`Definition`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Value {
    /// No object.
    Null,
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// `...`.
    Ellipsis,
    /// `NotImplemented`.
    NotImplemented,
    /// An `int` of at most 64 bits.
    Int(i64),
    /// A larger `int`: index into [`Decoder::big_ints`](super::Decoder::big_ints).
    BigInt(u32),
    /// A `float`, as its bits.
    Float(u64),
    /// A `complex`: index into [`Decoder::complexes`](super::Decoder::complexes).
    Complex(u32),
    /// A machine integer in a stack slot.
    Tagged(i64),
    /// Any other object.
    Object(ObjectId),
    /// A value that could not be captured.
    Unknown(Reason),
    /// A value that was not to be recorded.
    Redacted,
}

/// An `int` of more than 64 bits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum BigInt {
    /// All of it.
    Exact {
        /// Whether it is below zero.
        negative: bool,
        /// Its magnitude, least significant byte first.
        magnitude: Box<[u8]>,
    },
    /// Only its size and its first digits.
    Huge {
        /// Whether it is below zero.
        negative: bool,
        /// `int.bit_length()`.
        bits: u64,
        /// The 64 most significant bits of the magnitude.
        leading: u64,
    },
}

/// Which instruction called a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// An instruction of the recorded frame below: its offset in the original code, in code units (2 bytes).
    Unit(u32),
    /// Something that is not recorded. The recorded frame below, if there is one, is in the middle of this unit.
    Foreign(Option<u32>),
}

/// How far a frame is with an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Progress {
    /// It has come to it, and no site before it has fired: a trace function is told of it.
    Arrived,
    /// It is about to execute it; the sites before it have fired.
    Ready,
    /// It is in the middle of it, a call as a rule.
    Executing,
    /// It has come to it, the sites before it have fired, and a trace function is told of it: everything is as it was.
    Told,
}

/// Added to the place of a frame that has [arrived](Progress::Arrived) or is [told](Progress::Told) of: `unit << 1` is below it.
pub(super) const ARRIVED: u64 = 1 << 33;

/// What RAISED says of an instruction: its unit, or the place of a frame that has come to it and not begun it.
pub(crate) fn raised_number(unit: u32, progress: Progress) -> u64 {
    match progress {
        Progress::Arrived => ARRIVED | u64::from(unit) << 1,
        Progress::Told => ARRIVED | u64::from(unit) << 1 | 1,
        Progress::Executing | Progress::Ready => unit.into(),
    }
}

/// What [`raised_number`] has been made of.
pub(crate) fn raised_at(number: u64) -> Option<(u32, Progress)> {
    let Some(place) = number.checked_sub(ARRIVED) else {
        return Some((u32::try_from(number).ok()?, Progress::Executing));
    };
    let progress = match place & 1 {
        0 => Progress::Arrived,
        _ => Progress::Told,
    };
    Some((u32::try_from(place >> 1).ok()?, progress))
}

/// A frame in the middle of its code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The frame.
    pub number: FrameNumber,
    /// The number of its code object in the recording.
    pub code: u32,
    /// Offset of an instruction in the original code, in code units (2 bytes).
    pub unit: u32,
    /// How far the frame is with this instruction.
    pub progress: Progress,
    /// localsplus, then the value stack from the bottom; as deep as the stack is known to be.
    pub slots: Box<[Value]>,
}

/// What happened before a site fired, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prefix {
    /// The current thread, of which so many bottom frames are not in this chunk, is introduced.
    Thread(Box<Thread>),
    /// This thread has ended, and its frames with it.
    ThreadEnd(ThreadNumber),
    /// So many frames of the current thread, at least 1, have ended or been suspended.
    Pop(u32),
    /// This new frame starts.
    Enter(FrameNumber, Caller),
    /// This suspended frame goes on.
    Reenter(FrameNumber, Caller),
    /// The frame on top is in the middle of this unit of its original code, and calls the frame that is attached next.
    Inside(u32),
    /// The frame on top has come to this unit of its original code, no site there has fired yet, and what tells of that, a trace function, calls the
    /// frame that comes next. Only up to version 4.
    Told(u32),
    /// What tells of the frame on top, a trace function, calls the frame that comes next; this is how the frame on top stands, which has
    /// [`Progress::Arrived`] or [`Progress::Told`].
    Stands(Box<Frame>),
    /// This frame is met in the middle.
    Attach(Box<Frame>),
    /// The instruction of the frame on top that raised: offset in the original code, in code units. [`Progress::Executing`], or what told of it has
    /// raised: [`Progress::Arrived`] or [`Progress::Told`].
    Raised(u32, Progress),
    /// Nanoseconds since the recording began.
    Time(u64),
    /// The program wrote something.
    Output(Box<Output>),
    /// Something could not be recorded.
    Lost(Reason),
}

/// What the program wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// 1: stdout, 2: stderr.
    pub stream: u8,
    /// As it was written.
    pub bytes: Box<[u8]>,
    /// Who wrote it; `None` if no recorded frame did, or that is not known: up to version 6 it never is.
    pub by: Option<WrittenBy>,
}

/// The innermost recorded frame of a thread that writes something, and the instruction that it is in the middle of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrittenBy {
    /// The frame, which some thread has on its stack.
    pub frame: FrameNumber,
    /// The instruction's offset in the frame's original code, in code units.
    pub unit: u32,
}

/// A thread of a keyframe, or one that is new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    /// The thread.
    pub number: ThreadNumber,
    /// The system's number for it.
    pub native: u64,
    /// Its name in WTF-8, as far as known.
    pub name: Box<[u8]>,
    /// How many recorded frames lie below `frames`: too deep for a keyframe. One that goes on is attached.
    pub below: u64,
    /// Its recorded frames, bottom first; empty for a new thread.
    pub frames: Vec<Frame>,
}

/// How things were when a chunk began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyframe {
    /// Nanoseconds since the recording began.
    pub time: u64,
    /// The newest object id, 0 for none.
    pub newest: ObjectId,
    /// The number that the next new frame gets.
    pub next_frame: FrameNumber,
    /// Every thread with recorded frames.
    pub threads: Vec<Thread>,
    /// The thread that runs; one of `threads`, unless that is empty: then the first record introduces one.
    pub current: ThreadNumber,
    /// The objects in the frames, in the order of definition.
    pub objects: Vec<Definition>,
}

/// One record. The decoder fills the same one again and again, so that its vectors are allocated once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// Where it begins in the chunk's contents, in bytes.
    pub offset: usize,
    /// The site that fired; `None` for the last record of a chunk if it has prefixes only, and with `pending`.
    pub site: Option<SiteNumber>,
    /// If no site has fired, but a frame is looked at in the middle of an instruction: the instruction's offset in the original code, in code units.
    pub pending: Option<u32>,
    /// The thread on which it fired.
    pub thread: ThreadNumber,
    /// The frame in which it fired: the one on top of the thread after the prefixes, if it is known.
    pub frame: Option<FrameNumber>,
    /// What happened before.
    pub prefixes: Vec<Prefix>,
    /// Objects that are defined or updated, in this order; before `values` and the frames in `prefixes` refer to them.
    pub objects: Vec<Definition>,
    /// The captured values, in the order of the plan; with `pending`, those of the slots that are pending there.
    pub values: Vec<Value>,
}

impl Record {
    pub(super) fn clear(&mut self) {
        self.prefixes.clear();
        self.objects.clear();
        self.values.clear();
        self.site = None;
    }
}
