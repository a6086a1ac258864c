//! Probe plans: the few places from whose values every step of a run can be rebuilt.
//!
//! Most instructions only move values, so what they do follows from the code object ([`effect`](mod@crate::effect)). A plan is where a probe has to look:
//!
//! 1. after each `RESUME` that starts or resumes a frame;
//! 2. before a value that the interpreter made would be lost, or leave the basic blocks that one pass can follow: as late as possible, so
//!    that one site looks at several values and at what the next instruction may change;
//! 3. before each instruction that may change an object which is in a slot ([`Nature::touches`](crate::Nature::touches));
//! 4. where else two ways would lead from one site to the same instruction, or to two instructions by which a frame is left or suspended:
//!    so the sites that are passed say which way was taken;
//! 5. at each exception handler, and where exceptions leave ([`SiteKind::Unwind`]).
//!
//! From a site every instruction is reached in at most one way without passing another site. So the next site of the frame, the instruction at
//! which it calls another one, the one that raised, or that it ended or was suspended, each determine all that was executed in between.
//! [`check`](mod@check) proves this of a plan by going all ways.
//!
//! A value that nobody has looked at yet stands in its slot while an instruction above it executes. If other recorded code runs meanwhile, or the
//! instruction raises, it has to be looked at in the middle of the instruction: the plan says which slots these are ([`Plan::pending`]), and
//! that none of them changes before.
//!
//! A plan is a pure function of the code object: capture and replay compute it on their own. [`PLAN_VERSION`] changes with it.

mod build;
pub mod check;
pub mod numeric;

use smallvec::SmallVec;

use crate::analysis::{Analysis, InstrIdx};
use crate::effect::{Effect, effect};
use crate::insert::Place;
use crate::opcode::{Op, Opcode};
use crate::version::Version;

/// Two parties may use a plan together only if they agree on this.
pub const PLAN_VERSION: u16 = 6;

/// Up to this version values are looked at before each instruction that may raise, so none is pending in the middle of one, and objects that an
/// instruction may have changed before the next one that may run anything.
pub const LAST_EAGER_VERSION: u16 = 1;

/// Up to this version a plan has no [numeric](mod@numeric) half.
pub const LAST_WHOLE_VERSION: u16 = 2;

/// Up to this version constants of the interpreter's ([`Common`](crate::Common)) are looked at.
pub const LAST_LOOKING_AT_COMMON_VERSION: u16 = 3;

/// Up to this version the numeric half leaves out sites to which a way of more than 256 instructions leads, too, though another way may then lead to the same place.
pub const LAST_MISSING_ENDS_VERSION: u16 = 4;

/// Up to this version the site that tells of a frame's start stands before the function's first line, if nothing jumps there, and not behind its `RESUME`.
pub const LAST_STARTING_AT_LINE_VERSION: u16 = 5;

/// Index of a slot of the frame: first localsplus, then the value stack from the bottom.
pub type Slot = u32;

/// The local variables of a code object, as its frames lay them out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Locals {
    /// `co_nlocals`: local variables, arguments first. Behind them come the cells that are not arguments, and the free variables.
    pub locals: u32,
    /// Length of localsplus.
    pub slots: u32,
    /// How many of the locals are arguments, `*args` and `**kwargs` included.
    pub arguments: u32,
}

/// Why a site is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SiteKind {
    /// A frame starts: behind its first `RESUME`.
    Start,
    /// A frame goes on after a suspension: behind another `RESUME`.
    Resume,
    /// Any place between instructions.
    Step,
    /// An exception handler begins: captures the exception and, below it, `lasti` where the exception table asks for it. If control gets here
    /// without an exception, the site is a step.
    Handler,
    /// The exception leaves the frame: the handler of [`Unwind`](crate::Unwind).
    Unwind,
}

/// One place to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanSite {
    /// Where the probe stands. Of [`SiteKind::Unwind`]: after the last instruction, for order only.
    pub place: Place,
    /// What it is for.
    pub kind: SiteKind,
    /// Slots whose values are recorded, in this order. A slot may be empty (`NULL`).
    pub captures: SmallVec<[Slot; 4]>,
    /// Slots with objects that the instruction behind the site may change.
    pub touches: SmallVec<[Slot; 4]>,
}

/// The sites of a code object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In insertion order; no two have the same place. [`SiteKind::Unwind`] is the last. None for code without a `RESUME`, whose frames
    /// are never complete.
    pub sites: Vec<PlanSite>,
    /// Of the instructions in the middle of which values are pending, by index: where their slots begin in `slots`.
    instructions: Vec<(InstrIdx, u32)>,
    slots: Vec<Slot>,
    /// Whether constants of the interpreter's are looked at.
    looks_at_common: bool,
}

/// Why there is no plan. Only code that no compiler writes has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A site is needed where no probe may stand.
    #[error("a site is needed at byte offset {offset}, where no probe may stand")]
    NoPlace {
        /// Of the instruction, in bytes.
        offset: u32,
    },
    /// Too many ways meet at an instruction before which no probe may stand.
    #[error("too many ways meet at byte offset {offset}, where no probe may stand")]
    TooManyWays {
        /// Of the instruction, in bytes.
        offset: u32,
    },
    /// An instruction takes more from the stack than is there.
    #[error("the instruction at byte offset {offset} reaches below the stack")]
    Stack {
        /// Of the instruction, in bytes.
        offset: u32,
    },
    /// A local variable that the code object does not have.
    #[error("the instruction at byte offset {offset} names local {local} of {slots}")]
    Local {
        /// Of the instruction, in bytes.
        offset: u32,
        /// Index into localsplus.
        local: u32,
        /// Length of localsplus.
        slots: u32,
    },
}

impl Plan {
    /// Plans a code object. Linear in its size.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn new(analysis: &Analysis, locals: &Locals) -> Result<Self, PlanError> {
        Self::of_version(analysis, locals, PLAN_VERSION)
    }

    /// The plan that this version of plans has for a code object, from 1 to [`PLAN_VERSION`].
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn of_version(
        analysis: &Analysis,
        locals: &Locals,
        version: u16,
    ) -> Result<Self, PlanError> {
        build::build(analysis, locals, version)
    }

    /// What an instruction does to the slots, as far as it is known without looking: [`effect`](fn@crate::effect). `None` for an undefined opcode.
    pub fn effect(
        &self,
        version: Version,
        opcode: Opcode,
        oparg: u32,
        jump: bool,
    ) -> Option<Effect> {
        let found = effect(version, opcode, oparg, jump)?;
        Some(match self.looks_at_common {
            true => found.without_common(),
            false => found,
        })
    }

    /// The slots that hold, until the instruction is over, raises, or has somebody else's code run, the values that no site has looked at since
    /// they were made. Whoever looks at them then need not do so again before the instruction is over.
    pub fn pending(&self, at: InstrIdx) -> &[Slot] {
        let Ok(index) = self.instructions.binary_search_by_key(&at, |found| found.0) else {
            return &[];
        };
        let first = self.instructions[index].1 as usize;
        let end = self.instructions.get(index + 1).map(|next| next.1 as usize);
        &self.slots[first..end.unwrap_or(self.slots.len())]
    }

    /// The instructions in the middle of which values are pending, rising.
    pub fn with_pending(&self) -> impl Iterator<Item = InstrIdx> {
        self.instructions.iter().map(|found| found.0)
    }

    fn add_pending(&mut self, at: InstrIdx, slots: impl IntoIterator<Item = Slot>) {
        let first = self.slots.len() as u32;
        self.slots.extend(slots);
        if self.slots.len() as u32 > first {
            self.instructions.push((at, first));
        }
    }

    /// The index of the site at a place.
    pub fn at(&self, place: Place) -> Option<u32> {
        let sites = match self.sites.split_last() {
            Some((last, sites)) if last.kind == SiteKind::Unwind => sites,
            _ => &self.sites,
        };
        let found = sites.binary_search_by_key(&place.order(), |site| site.place.order());
        found.ok().map(|index| index as u32)
    }
}

/// Where the value was before an instruction that is in one of its [pending](Plan::pending) slots in the middle of it.
///
/// From 3.14 on `STORE_FAST_LOAD_FAST` runs the finaliser of what it has overwritten when it has both stored and loaded (`Python/bytecodes.c`).
pub fn pending_before(analysis: &Analysis, locals: &Locals, at: InstrIdx, slot: Slot) -> Slot {
    match (analysis.op(at.0), analysis.depth(at)) {
        (Some(Op::StoreFastLoadFast), Some(depth))
            if slot == analysis.get(at).arg >> 4 && depth > 0 =>
        {
            locals.slots + depth - 1
        }
        _ => slot,
    }
}

/// The place on the way from an instruction to the next one. Before the next one if that is not reached in another way.
pub(crate) fn place_between(analysis: &Analysis, from: InstrIdx) -> Option<Place> {
    let next = InstrIdx(from.0 + 1);
    let legal = |place| crate::sites::forbidden(analysis, place).is_none();
    let only = !analysis.is_jump_target(next) && !analysis.is_handler(next);
    let places = [Place::Before(next), Place::After(from)];
    places
        .into_iter()
        .skip(usize::from(!only))
        .find(|&place| legal(place))
}
