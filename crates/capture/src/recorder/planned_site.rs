//! One planned site, laid out so that what it needs when it fires is found quickly.

use std::cell::Cell;

use debugop_bytecode::operands::Fate;
use debugop_bytecode::plan::numeric::GUARDED_BITS;
use debugop_bytecode::{Analysis, InstrIdx, Op, Place, Plan, PlanSite, SiteKind, operands};
use debugop_recording::stream::{Little, Predictor, SiteNumber};
use pyo3::{Python, ffi};
use smallvec::SmallVec;

use super::callables::Changes;
use super::following::{self, Following};
use super::pending::Intact;
use super::planned::PlannedCode;
use super::threads::Shadow;
use crate::frame::Frame;
use crate::layout::slot::Content;
use crate::layout::{LongObject, VERSION};

/// More captures than a site has that is recorded [quickly](super::quick).
pub(super) const FEW: usize = 16;

/// How a site may be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Only as all can.
    Slow,
    /// It has a number and few captures, about which nothing is special, and stands in the middle of what its frame executes.
    Step,
    /// The same where the frame starts.
    Start,
    /// The same where it goes on after a suspension.
    Resume,
}

/// One planned site. What a quick one needs is in its first 64 bytes.
#[repr(C, align(64))]
pub(crate) struct PlannedSite {
    /// As that of its code.
    pub(super) copy: Cell<usize>,
    /// The same if its way is [`Way::Step`], else 0.
    pub(super) straight: Cell<usize>,
    /// The same if its way is [`Way::Start`] or [`Way::Resume`], else 0.
    pub(super) begins: Cell<usize>,
    /// In the recording: the base of the code object and its index; or [`UNKNOWN`], [`IGNORED`].
    pub(super) number: Cell<u32>,
    pub(super) way: Cell<Way>,
    /// How many of `few` there are.
    count: u8,
    /// The only one of `touches`, if the next instruction is no call; or [`Self::NO_TOUCH`], [`Self::TOUCHES`], [`Self::CALLS`].
    pub(super) touch: u16,
    /// `captures`, if they are few.
    few: [u16; FEW],
    /// What is known to follow it.
    pub(super) following: Cell<&'static Following>,
    /// How a record says that it fires.
    pub(super) said: Cell<Little>,
    /// Whether the next instruction is a call; then the callable is in the first of the slots of `touches`, or in the second if that is empty.
    pub(super) calls: bool,
    /// From where what has been called here last was, or what else has been called behind it.
    pub(super) calling: Cell<Calling>,
    pub(super) code: Cell<*const PlannedCode>,
    /// What was called here last.
    pub(super) callee: Cell<Callee>,
    pub(super) kind: SiteKind,
    /// The unit of the next instruction, if that raises again what has been raised before; else [`Self::NO_UNIT`].
    pub(super) reraises: u32,
    /// What the frame has told once the site has fired: [`Shadow::told`](super::threads::Shadow::told).
    pub(super) told: u32,
    /// The instruction that is executed next.
    pub(super) next: InstrIdx,
    /// The code units of that; of a call in several parts, of the first and the last one.
    pub(super) units: (u32, u32),
    /// Whether a chunk may end behind it: the frame can be described as standing before `next`, with every site there fired.
    pub(super) ends_chunk: bool,
    /// Depth of the value stack before it.
    pub(super) depth: u32,
    /// Indices into localsplus, the value stack behind it included.
    pub(super) captures: SmallVec<[u32; 4]>,
    pub(super) touches: SmallVec<[u32; 4]>,
    /// The first two of these, before a call.
    pub(super) called: [u32; 2],
    /// Captures that are left out ([`PlannedSite::bit`]).
    pub(super) redacts: Cell<u64>,
    /// While numbers are calculated with: the site that fires in its place, of those behind the plan's; itself, if none does. Else NULL.
    pub(super) instead: Cell<*const PlannedSite>,
    /// Slots that have to hold numbers for it to fire, if it is one of those.
    guards: Box<[u32]>,
    /// Whether the first capture says where the exception was raised: that of a handler that is given it.
    pub(super) lasti: bool,
}

/// What a call has called.
#[derive(Clone, Copy, Debug)]
pub(super) enum Callee {
    None,
    /// A function whose frame has been recorded: the address of the copy that it runs, and how many copies had died by then.
    Recorded(usize, u64),
    /// A callable of C code, by its [identity](super::callables::identity).
    Known(usize, Changes),
}

/// Where a frame stands that has called another one itself, in which the site has fired last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Calling {
    /// The [address](Frame::instruction_address) of its instruction in the copy that there is now; 0: not known.
    pub(super) at: usize,
    /// Its unit, at which nothing is pending.
    pub(super) unit: u32,
    /// How a record says that a frame starts that is called there, which is not nothing if `at` is known.
    pub(super) enter: Little,
    /// Whether that is the instruction that may change what has been touched.
    pub(super) is_touching: bool,
}

impl Calling {
    /// Nothing has been called yet.
    pub(super) const UNKNOWN: Self = Self {
        at: 0,
        unit: 0,
        enter: Little::NONE,
        is_touching: false,
    };
}

/// The code object has not been met in this recording yet.
pub(super) const UNKNOWN: u32 = u32::MAX;
/// The code object is not to be recorded.
pub(super) const IGNORED: u32 = u32::MAX - 1;

/// How many slots an instruction may have taken whose frame is in the middle of it: not those, from the bottom, that stay in their places.
pub(super) fn taken(analysis: &Analysis, at: InstrIdx) -> u32 {
    let instruction = analysis.get(analysis.calling(at));
    let operands = operands(VERSION, instruction.opcode, instruction.arg);
    operands.map_or(0, |operands| {
        let taken = operands.inputs.iter();
        let taken = taken.skip_while(|group| group.fate == Fate::Stays);
        taken.map(|group| group.count).sum::<u64>() as u32
    })
}

fn reraises(op: Op, arg: u32) -> bool {
    match op {
        Op::Reraise | Op::EndAsyncFor | Op::CleanupThrow => true,
        Op::RaiseVarargs => arg == 0,
        _ => false,
    }
}

/// The code units of an instruction, or of the first and the last part of the call that it begins.
fn units(analysis: &Analysis, first: InstrIdx) -> (u32, u32) {
    let unit = |at: InstrIdx| {
        let instruction = analysis.instructions().get(at.0 as usize);
        instruction.map_or(u32::MAX, |instruction| instruction.offset / 2)
    };
    let mut last = first;
    while debugop_bytecode::is_call_part(analysis, last.0 + 1) {
        last = InstrIdx(last.0 + 1);
    }
    (unit(first), unit(last))
}

/// Of the parts of a call, the first one that there is in this version.
fn is_call(op: Op) -> bool {
    matches!(op, Op::KwNames | Op::Precall | Op::Call | Op::CallKw)
}

impl PlannedSite {
    /// No instruction of such a kind follows.
    pub(super) const NO_UNIT: u32 = u32::MAX;
    // What is most frequent comes first: a compiler asks in the order of the numbers.
    /// The next instruction changes nothing.
    pub(super) const NO_TOUCH: u16 = u16::MAX - 2;
    /// `touches` says what the next instruction, a call, may change.
    pub(super) const CALLS: u16 = u16::MAX - 1;
    /// The same before another instruction.
    pub(super) const TOUCHES: u16 = u16::MAX;

    /// A site of `plan`, or of its numeric half, where these slots have to hold numbers.
    pub(super) fn new(site: &PlanSite, guards: &[u32], plan: &Plan, analysis: &Analysis) -> Self {
        let next = match site.place {
            Place::Before(at) => at,
            Place::After(at) => InstrIdx(at.0 + 1),
        };
        let op = |at: InstrIdx| {
            let found = analysis.instructions().get(at.0 as usize)?;
            Some(found.opcode.info(VERSION)?.op)
        };
        let is_unwind = site.kind == SiteKind::Unwind;
        let calls = !is_unwind && site.touches.len() > 1 && op(next).is_some_and(is_call);
        let mut few = [0; FEW];
        let mut count = 0;
        for (&slot, place) in site.captures.iter().zip(&mut few[..FEW - 1]) {
            let Ok(slot) = u16::try_from(slot) else { break };
            *place = slot;
            count += 1;
        }
        Self {
            number: Cell::new(UNKNOWN),
            way: Cell::new(Way::Slow),
            touch: match site.touches[..] {
                [] => Self::NO_TOUCH,
                [one] if one < u32::from(Self::NO_TOUCH) => one as u16,
                _ if calls => Self::CALLS,
                _ => Self::TOUCHES,
            },
            count,
            few,
            kind: site.kind,
            reraises: match op(next) {
                Some(op) if !is_unwind && reraises(op, analysis.get(next).arg) => {
                    analysis.get(next).offset / 2
                }
                _ => Self::NO_UNIT,
            },
            told: match is_unwind {
                true => Shadow::GONE,
                false => Shadow::NOT_TOLD,
            },
            next,
            units: units(analysis, next),
            ends_chunk: !is_unwind
                && (site.place == Place::Before(next) || plan.at(Place::Before(next)).is_none()),
            depth: if is_unwind {
                0
            } else {
                analysis.depth(next).unwrap_or_default()
            },
            captures: site.captures.clone(),
            touches: site.touches.clone(),
            called: match site.touches[..] {
                [first, second, ..] if calls => [first, second],
                _ => [0; 2],
            },
            calls,
            callee: Cell::new(Callee::None),
            calling: Cell::new(Calling::UNKNOWN),
            redacts: Cell::new(0),
            instead: Cell::new(std::ptr::null()),
            guards: guards.into(),
            lasti: site.kind == SiteKind::Handler && site.captures.len() == 2,
            copy: Cell::new(0),
            straight: Cell::new(0),
            begins: Cell::new(0),
            following: Cell::new(following::never()),
            said: Cell::new(Little::NONE),
            code: Cell::new(std::ptr::null()),
        }
    }

    /// Where the capture with this index stands in [`Self::redacts`]; all beyond the first 63 go together.
    #[inline]
    pub(super) fn bit(capture: usize) -> u32 {
        capture.min(63) as u32
    }

    /// Whether the capture with this index is left out.
    #[inline]
    pub(super) fn redacts(&self, capture: usize) -> bool {
        self.redacts.get() >> Self::bit(capture) & 1 != 0
    }

    /// Whether nothing is special about its captures.
    #[inline]
    pub(super) fn is_simple(&self) -> bool {
        !self.lasti && self.redacts.get() == 0
    }

    /// Whether the instruction behind it, or a part of it, is at this unit.
    #[inline]
    pub(super) fn is_before(&self, unit: u32) -> bool {
        (self.units.0..=self.units.1).contains(&unit)
    }

    /// What is left of a frame when its handler begins.
    pub(super) fn intact(&self) -> Intact {
        let taken = match self.kind {
            SiteKind::Handler => 1 + u32::from(self.lasti),
            _ => self.depth,
        };
        Intact::Below(self.depth.saturating_sub(taken))
    }

    /// The places of these.
    #[inline(always)]
    pub(super) fn few_slots(&self) -> &[u16; FEW] {
        &self.few
    }

    /// Its captures, if its [way](Way) is not slow.
    #[inline]
    pub(super) fn few(&self) -> &[u16] {
        &self.few[..usize::from(self.count) % FEW]
    }

    /// It has this number now, and what is left out is known.
    pub(super) fn set_number(&self, py: Python<'_>, number: u32) {
        self.number.set(number);
        self.following.set(following::of(py, number));
        self.said.set(Little::site(SiteNumber(number)));
        let is_plain = number < Predictor::MAX_SITES as u32
            && self.reraises == Self::NO_UNIT
            && self.is_simple()
            && usize::from(self.count) == self.captures.len();
        self.way.set(match self.kind {
            SiteKind::Step if is_plain => Way::Step,
            SiteKind::Start if is_plain => Way::Start,
            SiteKind::Resume if is_plain => Way::Resume,
            _ => Way::Slow,
        });
        self.go_straight();
    }

    /// It goes the general way, until its [number](Self::set_number) is set again.
    pub(super) fn go_slowly(&self) {
        self.way.set(Way::Slow);
        self.go_straight();
    }

    /// It has none.
    pub(super) fn forget_number(&self, instead: u32) {
        self.number.set(instead);
        self.following.set(following::never());
        self.way.set(Way::Slow);
        self.go_straight();
    }

    /// Its copy or its way has changed.
    pub(super) fn go_straight(&self) {
        let copy = self.copy.get();
        let (straight, begins) = match self.way.get() {
            Way::Step => (copy, 0),
            Way::Start | Way::Resume => (0, copy),
            Way::Slow => (0, 0),
        };
        self.straight.set(straight);
        self.begins.set(begins);
    }

    /// Where it stands.
    pub(crate) fn kind(&self) -> SiteKind {
        self.kind
    }

    /// How many captures it has.
    pub(crate) fn count(&self) -> usize {
        self.captures.len()
    }

    /// The slots that have to hold numbers for it to fire.
    #[inline(always)]
    pub(super) fn guards(&self) -> &[u32] {
        &self.guards
    }

    /// What is done where it stands, of the plan's sites.
    pub(crate) fn now(&self) -> Now<'_> {
        // SAFETY: in the box of the same code's sites.
        match unsafe { self.instead.get().as_ref() } {
            None => Now::Fires(self),
            Some(instead) if std::ptr::eq(instead, self) => Now::Nothing,
            Some(instead) if instead.guards.is_empty() => Now::Fires(instead),
            Some(instead) => Now::Guarded(instead),
        }
    }

    /// The site that fires here, if one does: while numbers are calculated with, it may be another. Where there is no number the code is recorded by
    /// its whole plan from then on.
    #[inline]
    pub(super) fn firing(&self, py: Python<'_>, frame: Frame<'_>) -> Option<&PlannedSite> {
        let instead = self.instead.get();
        if instead.is_null() {
            return Some(self);
        }
        if std::ptr::eq(instead, self) {
            return None;
        }
        if frame.code_address() != self.copy.get() {
            return None;
        }
        // SAFETY: in the box of the same code's sites.
        let instead = unsafe { &*instead };
        // SAFETY: slots of the frame that are live at the site: the frame runs the code that the plan was made for.
        let is_number = |slot: &u32| unsafe { is_number(frame.local(*slot)) };
        if instead.guards.iter().all(is_number) {
            return Some(instead);
        }
        self.code().go_whole(py, true);
        Some(self)
    }

    /// Whose site it is.
    #[inline]
    pub(super) fn code(&self) -> &PlannedCode {
        // SAFETY: set right after it was made, and the box that holds both is never moved out of.
        unsafe { &*self.code.get() }
    }
}

/// What is done where a planned site stands, of the plan's.
pub(crate) enum Now<'a> {
    /// This fires.
    Fires(&'a PlannedSite),
    /// Nothing, as long as numbers are calculated with.
    Nothing,
    /// This fires, if there are numbers in the slots that it [guards](PlannedSite::guards).
    Guarded(&'a PlannedSite),
}

/// Whether a slot holds what a guard lets through ([`Number::GUARDED`](debugop_bytecode::plan::numeric::Number::GUARDED)).
///
/// # Safety
/// The slot keeps its object alive.
#[inline(always)]
pub(super) unsafe fn is_number(content: Content) -> bool {
    let Content::Object(object) = content else {
        return false;
    };
    // SAFETY: by the contract; the fields of exact types are read.
    unsafe {
        let class = ffi::Py_TYPE(object);
        if class == &raw mut ffi::PyFloat_Type {
            return ffi::PyFloat_AS_DOUBLE(object).is_finite();
        }
        // What is let through is compact.
        class == &raw mut ffi::PyLong_Type
            && (*object.cast::<LongObject>()).is_below(1 << GUARDED_BITS)
    }
}
