//! The planned sites of a code object: what a site needs when it fires, laid out to be found quickly.

use std::cell::{Cell, OnceCell};

use debugop_bytecode::operands::Fate;
use debugop_bytecode::plan::numeric::{GUARDED_BITS, Numeric, all_sites};
use debugop_bytecode::{Analysis, InstrIdx, Op, Place, Plan, SiteKind, operands};
use debugop_recording::stream::Predictor;
use pyo3::{Python, ffi};
use smallvec::SmallVec;

use super::callables::Changes;
use super::pending::Intact;
use super::threads::Shadow;
use crate::frame::Frame;
use crate::gil::GilCell;
use crate::layout::slot::Content;
use crate::layout::{LongObject, VERSION};
use crate::probed::ProbedCode;
use crate::site;

/// The planned sites of one probed code object.
///
/// Belongs to a [`ProbedCode`], which the sites' objects keep alive.
pub(crate) struct PlannedCode {
    /// Those of the plan, and behind them those that are left while numbers are calculated with.
    pub(super) sites: Box<[PlannedSite]>,
    /// Of each the index of the plan's site at the same place.
    whole: Box<[u32]>,
    /// How many the plan has.
    count: usize,
    /// Something else has been calculated with: it is recorded by the whole plan from then on.
    is_whole: Cell<bool>,
    probed: *const ProbedCode,
    /// Address of the probed copy, 0 when it has died.
    pub(super) copy: Cell<usize>,
    /// Its number in the recording; meaningless until its sites have numbers.
    pub(super) number: Cell<u32>,
    /// By code unit of the probed copy.
    spots: OnceCell<Box<[Spot]>>,
    /// The same of a frame that somebody may be told of.
    arrivals: OnceCell<Box<[Arrival]>>,
    pending: Pending,
    /// The plan, if another engine than DEBUG_OP reports the code.
    observed: OnceCell<Plan>,
    /// Of that, whether the step of an instruction says anything: see [`PlannedCode::passes_over`].
    #[cfg(Py_3_12)]
    looked_at: OnceCell<Box<[bool]>>,
}

/// What a frame executes that stands at a code unit of the probed copy.
#[derive(Clone, Copy)]
pub(super) struct Spot {
    /// The instruction of the original: its offset in code units.
    pub(super) unit: u32,
    /// Whether values are pending in the middle of it, and this is it, not a probe beside it.
    pub(super) has_pending: bool,
}

/// How far a frame has come that stands at a code unit of the probed copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It executes what its [`Spot`] says.
    Executing,
    /// It has [come](ProbedCode::arrived) to this unit of the original.
    At(u32),
    /// It has not told of itself yet: it is before its first `RESUME` or in one behind which it tells, unless it raises again
    /// what was raised there.
    Arriving,
}

/// The instructions in the middle of which values are pending, rising, and the slots of these.
#[derive(Default)]
struct Pending {
    instructions: Box<[PendingAt]>,
    slots: Box<[u32]>,
    /// A bit for each code unit of the original.
    bits: Box<[u64]>,
}

/// One of them, in code units of the original.
struct PendingAt {
    unit: u32,
    /// Of its opcode and its caches.
    units: u32,
    /// Where its slots end; they begin where those of the one before do.
    end: u32,
}

impl Pending {
    fn of(plan: &Plan, analysis: &Analysis) -> Self {
        let mut slots = Vec::new();
        let instructions = plan.with_pending().map(|at| {
            slots.extend_from_slice(plan.pending(at));
            let instruction = analysis.get(at);
            PendingAt {
                unit: instruction.offset / 2,
                units: (instruction.end() - instruction.offset) / 2,
                end: slots.len() as u32,
            }
        });
        let instructions: Box<[PendingAt]> = instructions.collect();
        let last = instructions.last().map_or(0, |last| last.unit as usize + 1);
        let mut bits = vec![0; last.div_ceil(64)];
        for one in &instructions {
            bits[one.unit as usize / 64] |= 1 << (one.unit % 64);
        }
        Self {
            instructions,
            slots: slots.into(),
            bits: bits.into(),
        }
    }

    fn find(&self, unit: u32) -> Option<(&PendingAt, &[u32])> {
        let found = self
            .instructions
            .binary_search_by_key(&unit, |one| one.unit);
        let index = found.ok()?;
        let first = index
            .checked_sub(1)
            .map_or(0, |before| self.instructions[before].end);
        let one = &self.instructions[index];
        Some((one, &self.slots[first as usize..one.end as usize]))
    }
}

// SAFETY: everything in it is used with the GIL held only; see `GilCell`.
unsafe impl Send for PlannedCode {}
// SAFETY: as above.
unsafe impl Sync for PlannedCode {}

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
    /// In the recording: the base of the code object and its index; or [`UNKNOWN`], [`IGNORED`].
    pub(super) number: Cell<u32>,
    pub(super) way: Cell<Way>,
    /// How many of `few` there are.
    count: u8,
    /// The only one of `touches`, if the next instruction is no call; or [`Self::NO_TOUCH`], [`Self::TOUCHES`], [`Self::CALLS`].
    pub(super) touch: u16,
    /// `captures`, if they are few.
    few: [u16; FEW],
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
    /// Whether the next instruction is a call; then the callable is in the first of the slots of `touches`, or in the second if that is empty.
    pub(super) calls: bool,
    /// What was called here last.
    pub(super) callee: Cell<Callee>,
    /// From where that was, or what else has been called behind it.
    pub(super) calling: Cell<Calling>,
    /// Captures that are left out ([`PlannedSite::bit`]).
    pub(super) redacts: Cell<u64>,
    /// While numbers are calculated with: the site that fires in its place, of those behind the plan's; itself, if none does. Else NULL.
    pub(super) instead: Cell<*const PlannedSite>,
    /// Slots that have to hold numbers for it to fire, if it is one of those.
    guards: Box<[u32]>,
    /// Whether the first capture says where the exception was raised: that of a handler that is given it.
    pub(super) lasti: bool,
    code: Cell<*const PlannedCode>,
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
    /// Whether that is the instruction that may change what has been touched.
    pub(super) is_touching: bool,
}

impl Calling {
    /// Nothing has been called yet.
    pub(super) const UNKNOWN: Self = Self {
        at: 0,
        unit: 0,
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

/// How many copies with planned sites have died.
static DEATHS: GilCell<u64> = GilCell::new(0);

/// How many copies with planned sites have died: as long as it stays the same, the address of one names it.
#[inline]
pub(super) fn deaths(py: Python<'_>) -> u64 {
    DEATHS.get(py)
}

impl PlannedSite {
    /// No instruction of such a kind follows.
    pub(super) const NO_UNIT: u32 = u32::MAX;
    /// The next instruction changes nothing.
    pub(super) const NO_TOUCH: u16 = u16::MAX;
    /// `touches` says what the next instruction may change.
    pub(super) const TOUCHES: u16 = u16::MAX - 1;
    /// The same before a call.
    pub(super) const CALLS: u16 = u16::MAX - 2;

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
    fn set_number(&self, number: u32) {
        self.number.set(number);
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

    /// It has none.
    fn forget_number(&self, instead: u32) {
        self.number.set(instead);
        self.way.set(Way::Slow);
        self.go_straight();
    }

    /// Its copy or its way has changed.
    fn go_straight(&self) {
        self.straight.set(match self.way.get() {
            Way::Step => self.copy.get(),
            _ => 0,
        });
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
            && (*object.cast::<LongObject>())
                .compact()
                .is_some_and(|int| int.unsigned_abs() < 1 << GUARDED_BITS)
    }
}

impl PlannedCode {
    /// The sites of `plan` in the copy that `probed` describes.
    pub(crate) fn new(plan: &Plan, numeric: &Numeric, probed: &ProbedCode) -> Box<Self> {
        let analysis = probed.analysis();
        let (all, whole) = all_sites(plan, numeric);
        let count = plan.sites.len();
        let sites = all.iter().enumerate().map(|(index, site)| {
            let left = index.checked_sub(count);
            let left = left.and_then(|left| numeric.sites.get(left));
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
            PlannedSite {
                number: Cell::new(UNKNOWN),
                way: Cell::new(Way::Slow),
                touch: match site.touches[..] {
                    [] => PlannedSite::NO_TOUCH,
                    [one] if one < u32::from(PlannedSite::CALLS) => one as u16,
                    _ if calls => PlannedSite::CALLS,
                    _ => PlannedSite::TOUCHES,
                },
                count,
                few,
                kind: site.kind,
                reraises: match op(next) {
                    Some(op) if !is_unwind && reraises(op, analysis.get(next).arg) => {
                        analysis.get(next).offset / 2
                    }
                    _ => PlannedSite::NO_UNIT,
                },
                told: match is_unwind {
                    true => Shadow::GONE,
                    false => Shadow::NOT_TOLD,
                },
                next,
                units: units(analysis, next),
                ends_chunk: !is_unwind
                    && (site.place == Place::Before(next)
                        || plan.at(Place::Before(next)).is_none()),
                depth: if is_unwind {
                    0
                } else {
                    analysis.depth(next).unwrap_or_default()
                },
                captures: site.captures.clone(),
                touches: site.touches.clone(),
                calls,
                callee: Cell::new(Callee::None),
                calling: Cell::new(Calling::UNKNOWN),
                redacts: Cell::new(0),
                instead: Cell::new(std::ptr::null()),
                guards: left.map_or_else(Box::default, |left| left.guards.as_slice().into()),
                lasti: site.kind == SiteKind::Handler && site.captures.len() == 2,
                copy: Cell::new(0),
                straight: Cell::new(0),
                code: Cell::new(std::ptr::null()),
            }
        });
        let made = Box::new(Self {
            sites: sites.collect(),
            whole: whole.into(),
            count,
            is_whole: Cell::new(false),
            probed: std::ptr::from_ref(probed),
            copy: Cell::new(0),
            number: Cell::new(0),
            spots: OnceCell::new(),
            arrivals: OnceCell::new(),
            pending: Pending::of(plan, analysis),
            observed: OnceCell::new(),
            #[cfg(Py_3_12)]
            looked_at: OnceCell::new(),
        });
        for site in &made.sites {
            site.code.set(&raw const *made);
        }
        made
    }

    /// Whether the site with this index in the plan has nothing to do while numbers are calculated with.
    pub(crate) fn may_be_left_out(&self, index: u32) -> bool {
        let stay = &self.whole[self.count..];
        !stay.is_empty() && stay.binary_search(&index).is_err()
    }

    /// The site with this index in the plan.
    pub(crate) fn site(&self, index: u32) -> Option<&PlannedSite> {
        self.sites.get(index as usize)
    }

    /// The code object that it belongs to.
    #[inline]
    pub(super) fn probed(&self) -> &ProbedCode {
        // SAFETY: it owns this.
        unsafe { &*self.probed }
    }

    /// What a frame executes that stands at byte `offset` of the copy.
    #[inline]
    pub(super) fn spot(&self, offset: u32) -> Option<Spot> {
        let spots = self.spots.get_or_init(|| self.make_spots());
        let spot = spots.get(offset as usize / 2).copied();
        spot.filter(|spot| spot.unit != u32::MAX)
    }

    /// The instruction of the original at byte `offset` of the copy: its offset in code units.
    #[inline]
    pub(super) fn unit(&self, offset: u32) -> Option<u32> {
        self.spot(offset).map(|spot| spot.unit)
    }

    /// How far a frame has come that stands at byte `offset` of the copy.
    #[inline]
    pub(super) fn arrival(&self, offset: u32) -> Arrival {
        let arrivals = self.arrivals.get_or_init(|| self.make_arrivals());
        let arrival = arrivals.get(offset as usize / 2).copied();
        arrival.unwrap_or(Arrival::Executing)
    }

    /// As [`ProbedCode::arrived`].
    #[inline]
    pub(super) fn arrived(&self, offset: u32) -> Option<u32> {
        match self.arrival(offset) {
            Arrival::At(unit) => Some(unit),
            _ => None,
        }
    }

    /// Whether values are pending in the middle of the instruction at a unit of the original.
    #[inline]
    pub(super) fn has_pending(&self, unit: u32) -> bool {
        let bits = self.pending.bits.get(unit as usize / 64);
        bits.is_some_and(|bits| bits >> (unit % 64) & 1 != 0)
    }

    /// The slots with values that are pending there.
    pub(super) fn pending(&self, unit: u32) -> &[u32] {
        self.pending.find(unit).map_or(&[], |found| found.1)
    }

    /// Whether a frame that runs the copy is in the middle of that instruction itself, not in a probe beside it, and values are pending then.
    pub(super) fn is_executing(&self, frame: Frame<'_>, unit: u32) -> bool {
        let spot = frame.instruction_offset().and_then(|now| self.spot(now));
        spot.is_some_and(|spot| spot.has_pending && spot.unit == unit)
    }

    /// Whether values are pending at byte `now` of the copy, which is in the middle of the instruction at `unit`, or in a probe beside it.
    fn pends_at(&self, unit: u32, now: u32) -> bool {
        let Some((one, _)) = self.pending.find(unit) else {
            return false;
        };
        let opcode = self.probed().copied_opcode(unit * 2);
        opcode.is_some_and(|opcode| (opcode..opcode + one.units * 2).contains(&now))
    }

    /// The sites of `plan` for frames that run the original itself.
    pub(crate) fn of_original(
        plan: Plan,
        numeric: &Numeric,
        probed: &ProbedCode,
        address: usize,
    ) -> Box<Self> {
        let made = Self::new(&plan, numeric, probed);
        made.set_copy(address);
        made.observed.get_or_init(|| plan);
        made
    }

    /// The site at a place of code that another engine reports.
    pub(super) fn at(&self, place: Place) -> Option<&PlannedSite> {
        self.site(self.observed.get()?.at(place)?)
    }

    /// Whether nothing needs to be known of the step of an instruction of code that another engine reports: it has no site, and how the frame has come to it
    /// does not matter.
    #[cfg(Py_3_12)]
    pub(super) fn passes_over(&self, at: InstrIdx) -> bool {
        let Some(plan) = self.observed.get() else {
            return false;
        };
        let looked_at = self.looked_at.get_or_init(|| self.make_looked_at(plan));
        looked_at.get(at.0 as usize) == Some(&false)
    }

    #[cfg(Py_3_12)]
    #[cold]
    fn make_looked_at(&self, plan: &Plan) -> Box<[bool]> {
        let analysis = self.probed().analysis();
        let count = analysis.instructions().len() as u32;
        let mut found: Box<[bool]> = (0..count)
            .map(InstrIdx)
            .map(|at| plan.at(Place::Before(at)).is_some() || analysis.is_handler(at))
            .collect();
        // Who falls through has a site behind; who does not has to be seen elsewhere next. A jump may go on behind what it leads to: `END_FOR` and its pop.
        for at in (0..count).filter(|&at| plan.at(Place::After(InstrIdx(at))).is_some()) {
            let target = analysis.target(InstrIdx(at));
            let targets = target.map_or(0..0, |target| target.0..target.0 + 3);
            for next in [at, at + 1].into_iter().chain(targets) {
                if let Some(looked_at) = found.get_mut(next as usize) {
                    *looked_at = true;
                }
            }
        }
        found
    }

    #[cold]
    fn make_arrivals(&self) -> Box<[Arrival]> {
        let probed = self.probed();
        let analysis = probed.analysis();
        let is_before = |offset: u32| {
            let at = analysis.at_offset(self.unit(offset)? * 2)?;
            let first = analysis.first_resume()?;
            let tells = |site: &PlannedSite| {
                matches!(site.kind, SiteKind::Start | SiteKind::Resume) && site.next.0 == at.0 + 1
            };
            let op = analysis.get(at).opcode.info(VERSION).map(|info| info.op);
            Some(at < first || op == Some(Op::Resume) && self.sites.iter().any(tells))
        };
        let count = probed.shape().map_or(0, |shape| shape.units);
        (0..count as u32)
            .map(|unit| match probed.arrived(unit * 2) {
                Some(unit) => Arrival::At(unit),
                None if is_before(unit * 2) == Some(true) => Arrival::Arriving,
                None => Arrival::Executing,
            })
            .collect()
    }

    #[cold]
    fn make_spots(&self) -> Box<[Spot]> {
        let probed = self.probed();
        let count = probed.shape().map_or(0, |shape| shape.units);
        (0..count as u32)
            .map(|unit| {
                let original = match probed.is_observed() {
                    true => probed
                        .observed_at(unit * 2)
                        .map(|at| probed.analysis().get(at).offset),
                    false => probed.original_offset(unit * 2),
                };
                let original = original.map_or(u32::MAX, |offset| offset / 2);
                Spot {
                    unit: original,
                    has_pending: original != u32::MAX && self.pends_at(original, unit * 2),
                }
            })
            .collect()
    }
}

impl PlannedCode {
    /// The probed copy has been made (its address), or has died (0).
    pub(crate) fn set_copy(&self, address: usize) {
        // SAFETY: copies are made and die with the GIL held.
        let py = unsafe { Python::assume_attached() };
        DEATHS.set(py, DEATHS.get(py) + 1);
        self.copy.set(address);
        for site in &self.sites {
            site.copy.set(address);
            site.calling.set(Calling::UNKNOWN);
            site.go_straight();
        }
    }

    /// Length of localsplus without the value stack.
    #[inline]
    pub(super) fn locals(&self) -> u32 {
        let shape = self.probed().shape();
        shape.map_or(0, |shape| shape.nlocalsplus.unsigned_abs())
    }

    /// The sites of its plan.
    pub(super) fn plan_sites(&self) -> &[PlannedSite] {
        &self.sites[..self.count]
    }

    /// Numbers its sites; `numeric`: those that numbers make unnecessary may be left out.
    pub(super) fn set_numbers(&self, py: Python<'_>, code: u32, base: u32, numeric: bool) {
        self.number.set(code);
        if numeric && self.sites.len() > self.count && !self.is_whole.get() {
            let (whole, left) = self.sites.split_at(self.count);
            for site in whole {
                site.instead.set(site);
            }
            for (site, &index) in left.iter().zip(&self.whole[self.count..]) {
                whole[index as usize].instead.set(site);
            }
            self.probed().jump_over_left_out(py);
        }
        for (site, number) in self.sites.iter().zip(base..) {
            site.set_number(number);
        }
        site::choose_again(py, self.probed());
    }

    /// From now on all sites of the plan fire; `for_good`: in other recordings, too.
    #[cold]
    pub(super) fn go_whole(&self, py: Python<'_>, for_good: bool) {
        self.is_whole.set(self.is_whole.get() || for_good);
        for site in self.plan_sites() {
            site.instead.set(std::ptr::null());
        }
        self.probed().put_back_left_out(py);
        site::choose_again(py, self.probed());
    }

    /// Forgets the numbers of another recording.
    pub(super) fn reset(&self, py: Python<'_>) {
        for site in &self.sites {
            site.instead.set(std::ptr::null());
            site.forget_number(UNKNOWN);
            site.callee.set(Callee::None);
            site.redacts.set(0);
        }
        self.probed().put_back_left_out(py);
        site::choose_again(py, self.probed());
    }

    /// Whether it has been met in this recording.
    pub(super) fn is_recorded(&self) -> bool {
        let first = self.sites.first();
        first.is_some_and(|site| site.number.get() < IGNORED)
    }

    /// Never records it.
    pub(super) fn ignore(&self) {
        for site in &self.sites {
            site.forget_number(IGNORED);
        }
    }
}

impl Drop for PlannedCode {
    fn drop(&mut self) {
        super::forget(self);
    }
}
