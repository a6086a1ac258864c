//! The one way from where a frame is to what it does next, compiled.

use std::fmt;

use debugop_bytecode::{Common, InstrIdx};
use rustc_hash::FxHashMap;

use crate::code::Code;
use crate::compute::Calculation;

mod compile;
mod unseen;
mod way;

pub(crate) use compile::call_of;
use compile::compile;
pub(crate) use way::{delegation, flow, standing};

/// Where a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum From {
    /// Before the `RESUME` with which it starts.
    Start,
    /// Just behind a site: index in the plan.
    Site(u32),
    /// Where this site fires, which is just happening: index in the plan.
    Fired(u32),
    /// About to execute this instruction.
    At(InstrIdx),
    /// About to execute this instruction; the site before it has not fired.
    Before(InstrIdx),
    /// In the middle of this instruction.
    In(InstrIdx),
    /// In the middle of this instruction, with everything as it was before it, and known.
    Pending(InstrIdx),
}

/// What a frame does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum To {
    /// A site fires: index in the plan.
    Site(u32),
    /// It is in the middle of this instruction.
    In(InstrIdx),
    /// It is in the middle of this instruction, and the record tells what is pending there.
    Pending(InstrIdx),
    /// It is in the middle of this instruction, with everything as it was before it, which is described.
    Told(InstrIdx),
    /// It is about to execute this instruction; sites before it have fired.
    At(InstrIdx),
    /// It is about to execute this instruction; the site before it has not fired.
    Before(InstrIdx),
    /// It ends or is suspended.
    Exit,
}

impl fmt::Display for From {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            From::Start => f.write_str("its start"),
            From::Site(site) | From::Fired(site) => write!(f, "site {site}"),
            From::At(at) | From::Before(at) => write!(f, "before instruction {}", at.0),
            From::In(at) | From::Pending(at) => write!(f, "instruction {}", at.0),
        }
    }
}

impl fmt::Display for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            To::Site(site) => write!(f, "site {site}"),
            To::In(at) | To::Pending(at) | To::Told(at) => write!(f, "instruction {}", at.0),
            To::At(at) | To::Before(at) => write!(f, "before instruction {}", at.0),
            To::Exit => f.write_str("an exit"),
        }
    }
}

/// What is put into a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// What is in another slot.
    Slot(u32),
    /// The tagged index in another slot plus one, or its `NULL`.
    Next(u32),
    /// A constant of the code object.
    Constant(u32),
    /// An `int`.
    Int(u32),
    /// A constant of the interpreter's.
    Common(Common),
    /// Nothing.
    Null,
    /// A bool.
    Bool(bool),
    /// A value of the record with which the way ends.
    Capture(u32),
    /// What only a later record will tell.
    Pending,
    /// The same, in this slot of the frame where the way ends: the next chunk may describe it.
    Later(u32),
}

/// One change of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// A slot gets a value.
    Set(u32, Source),
    /// Two slots are exchanged.
    Swap(u32, u32),
    /// A slot, and the next one, hold what is calculated with, and the first gets the result; what it gets if they are no numbers.
    Compute(u32, Calculation, Source),
    /// The cell in the slot gets a value (`STORE_DEREF`).
    SetCell(u32, Source),
    /// If there is nothing in this slot and a bound method in the next one, they get its function and its `self` (3.11's `PRECALL`).
    Unbind(u32),
}

/// A step of a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentStep {
    /// The instruction.
    pub at: InstrIdx,
    /// It is done when the operations up to this one are.
    pub end: u32,
}

/// A compiled way.
#[derive(Debug, Default)]
pub struct Segment {
    /// What is done, in this order.
    pub ops: Box<[Op]>,
    /// So many operations come before the first step.
    pub begin: u32,
    /// The steps. What comes after the last one's end happens with the last record's arrival.
    pub steps: Box<[SegmentStep]>,
    /// The last instruction executed, step or not.
    pub last: Option<InstrIdx>,
    /// Where the site stands with which it ends: before this instruction.
    pub next: Option<InstrIdx>,
    /// How many of its steps there are through the one that changes objects in slots, if one does.
    pub touching: Option<u32>,
    /// How many of its steps there are through the first one that may run code which changes objects, if one may.
    pub opaque: Option<u32>,
    /// How many of its steps there are through the last one that may, before the record that ends the way looks at objects.
    pub opaque_end: u32,
    /// The number of the code object.
    pub code: u32,
    /// The attributes, items and cells that it binds or deletes.
    pub stores: Box<[Store]>,
    /// Where it stores values into objects.
    pub storing: Box<[Storing]>,
    /// Where it lets go of values, until it is opaque anyway.
    pub drops: Box<[Drop]>,
}

/// An instruction lets go of what is in a slot: a finaliser may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drop {
    /// So many operations come before it.
    pub after: u32,
    /// The slot, then.
    pub slot: u32,
}

/// An instruction stores a value into an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storing {
    /// So many operations come before it.
    pub after: u32,
    /// The slots of both, then.
    pub object: u32,
    /// The value.
    pub value: u32,
}

/// What an instruction of a way takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// What is in this slot before the way.
    Slot(u32),
    /// A constant of the code object.
    Constant(u32),
    /// An `int`.
    Int(u32),
    /// A constant of the interpreter's.
    Common(Common),
    /// A value of the record with which the way ends.
    Capture(u32),
    /// That cannot be told from the way.
    Unknown,
}

/// What of an object is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What the cell holds.
    Cell,
    /// An attribute: the hash of its name.
    Attribute(u64),
    /// An item.
    Item(Operand),
}

/// A binding or deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Store {
    /// The object or cell.
    pub object: Operand,
    /// What of it.
    pub part: Part,
}

/// Key of a compiled way: from where, up to which instruction it has been executed, where to.
type Key = (From, Option<InstrIdx>, To);

/// Names a compiled way until [`Segments::forget`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentId(u32);

impl SegmentId {
    #[inline]
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }

    pub(crate) fn from_index(index: usize) -> Self {
        Self(index as u32)
    }
}

/// The ways compiled so far.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    all: Vec<Segment>,
    by_code: Vec<OfCode>,
    /// Operations and steps in `all`.
    size: usize,
    generation: u32,
}

/// The ways of one code object.
#[derive(Debug, Default)]
struct OfCode {
    compiled: FxHashMap<Key, SegmentId>,
    /// From each site the way that was gone last.
    recent: Vec<Option<(Option<InstrIdx>, To, SegmentId)>>,
}

/// All compiled ways are forgotten beyond this many operations and steps.
const MOST: usize = 1 << 22;

impl Segments {
    /// Whether it has become too much: then [`Segments::forget`] should be called. Until then identities stay valid.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.size > MOST
    }

    pub(crate) fn forget(&mut self) {
        *self = Self {
            generation: self.generation.wrapping_add(1),
            ..Self::default()
        };
    }

    /// Changes when everything is forgotten.
    #[inline]
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    #[inline]
    pub(crate) fn get(&self, id: SegmentId) -> &Segment {
        &self.all[id.0 as usize]
    }

    /// The way from `from`, of which everything through `done` has been executed already, to `to`. `None` if there is no such way.
    #[inline]
    pub(crate) fn find(
        &mut self,
        code: &Code,
        from: From,
        done: Option<InstrIdx>,
        to: To,
    ) -> Option<SegmentId> {
        if let From::Site(site) = from
            && let Some(of_code) = self.by_code.get(code.data().number as usize)
            && let Some(Some((known_done, known_to, id))) = of_code.recent.get(site as usize)
            && (*known_done, *known_to) == (done, to)
        {
            return Some(*id);
        }
        self.find_slowly(code, from, done, to)
    }

    /// The way between two sites, if it was the last that was gone from the first.
    #[inline]
    pub(crate) fn recent(&self, code: u32, from: u32, to: u32) -> Option<SegmentId> {
        let of_code = self.by_code.get(code as usize)?;
        match of_code.recent.get(from as usize)? {
            Some((None, To::Site(site), id)) if *site == to => Some(*id),
            _ => None,
        }
    }

    fn find_slowly(
        &mut self,
        code: &Code,
        from: From,
        done: Option<InstrIdx>,
        to: To,
    ) -> Option<SegmentId> {
        let number = code.data().number as usize;
        if self.by_code.len() <= number {
            self.by_code.resize_with(number + 1, OfCode::default);
        }
        let of_code = &mut self.by_code[number];
        let key = (from, done, to);
        let id = match of_code.compiled.get(&key) {
            Some(&id) => id,
            None => {
                let segment = compile(code, from, done, to)?;
                self.size += segment.ops.len() + segment.steps.len() + 16;
                let id = SegmentId(self.all.len() as u32);
                self.all.push(segment);
                of_code.compiled.insert(key, id);
                id
            }
        };
        if let From::Site(site) = from {
            let site = site as usize;
            if of_code.recent.len() <= site {
                of_code.recent.resize(site + 1, None);
            }
            of_code.recent[site] = Some((done, to, id));
        }
        Some(id)
    }
}
