//! Where a probe may stand, and which instructions it speaks for.
//!
//! Two places are asked about: *before* an instruction, where jumps to the instruction land on what is inserted, and *after*
//! one, where they do not. What must stay together, and why, is listed in [`Forbidden`]. An instruction that no probe may
//! precede is spoken for by a neighbour's probe when control surely passes both, else it is [`Silent`].

use smallvec::SmallVec;

use crate::analysis::{Analysis, InstrIdx, NONE, flag};
use crate::insert::Place;
use crate::opcode::{Flow, Op};
use crate::version::Version;

/// Why nothing may be inserted at a place. Sources are functions and instruction definitions of CPython
/// (`Python/ceval.c` in 3.11, `Python/bytecodes.c` from 3.12 on, where no other file is named).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Forbidden {
    /// There is no such instruction.
    #[error("the code object has no such instruction")]
    Missing,
    /// Nothing leads to the instruction, so the depth of the stack there is unknown.
    #[error("nothing leads to the instruction")]
    Unreachable,
    /// Control never passes from the instruction to the next one.
    #[error("control does not continue after the instruction")]
    NoFallThrough,
    /// Until its first `RESUME` a frame is incomplete: invisible to tracebacks and `sys._getframe`
    /// (`_PyFrame_IsIncomplete`, `co_firsttraceable`); `RETURN_GENERATOR` copies it away.
    #[error("the frame is incomplete until its first RESUME")]
    Prefix,
    /// Generators look at the unit after `YIELD_VALUE` to learn how they are suspended (`Objects/genobject.c`: `_PyGen_yf`,
    /// `gen_close`), and monitoring reports the resumption there.
    #[error("a suspended frame must find RESUME right after its YIELD_VALUE")]
    Resumption,
    /// An exhausted `FOR_ITER` jumps to its target and then over `END_FOR` (3.12, 3.14+), in 3.13 over the `POP_TOP` after it too.
    /// From 3.14 on, branch monitoring takes the instruction executed before `POP_ITER` for the loop that ends
    /// (`INSTRUMENTED_POP_ITER`).
    #[error("the end of a for loop must stay together: END_FOR and the pop after it")]
    ExhaustedFor,
    /// `KW_NAMES` leaves the keyword names in a variable of the interpreter for the next `CALL` (3.11, 3.12); an exception in
    /// between would leave them to a wrong one. A specialised `PRECALL` skips a `CALL` right after it (3.11).
    #[error("KW_NAMES, PRECALL and CALL work as one instruction")]
    Call,
    /// `NOT_TAKEN` reports a branch whose origin is the instruction executed just before it (3.14+).
    #[error("branch monitoring takes the instruction before NOT_TAKEN for the branch")]
    NotTaken,
    /// The interpreter reads the unit before an instruction: `SEND` before `YIELD_VALUE` (3.11, `_gen_throw` in
    /// `Objects/genobject.c`, to leave a delegation), `LOAD_SPECIAL` before `CALL` (3.14+, `check_periodics_at_end`, to handle
    /// no signal between `__enter__` and the `with` block). [`Place::Before`] is fine: insertion repeats the unit.
    #[error("the interpreter reads the unit before the next instruction")]
    UnitBefore,
    /// 3.11, 3.12: a backward jump starts a new line event except when it lands on `SEND` itself (3.11
    /// `maybe_call_line_trace`, 3.12 `Python/instrumentation.c`). Going in by fall-through, [`Place::After`] the instruction before, is fine.
    #[error("a delegation's backward jump must land on SEND, or tracing sees a new line")]
    DelegationLoop,
}

/// Why an executed instruction is not reported by any probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Silent {
    /// It stands before the first `RESUME`: [`Forbidden::Prefix`].
    Prefix,
    /// Nothing leads to it.
    Unreachable,
    /// `END_FOR` and the pop of the iterator after it, `POP_TOP` in 3.13, `POP_ITER` from 3.14 on: [`Forbidden::ExhaustedFor`].
    /// Only a specialised `FOR_ITER` over a generator executes `END_FOR` and `POP_TOP`; `POP_ITER` executes whenever its
    /// loop is exhausted.
    EndFor,
    /// A hand-made arrangement in which neither a probe of its own nor a neighbour's can speak for it.
    Unsupported,
}

/// One place for a probe, and the instructions whose execution it reports, in the order they execute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Where the probe stands.
    pub place: Place,
    /// At least one. All see the stack that the probe sees: between them nothing is pushed or popped. (3.11's `PRECALL` may
    /// replace `[NULL, bound method]` by `[function, self]` before its `CALL`.)
    pub reports: SmallVec<[InstrIdx; 2]>,
}

/// What [`sites`] finds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sites {
    /// In the order insertion wants them. No two have the same place.
    pub sites: Vec<Site>,
    /// The instructions no site reports, in order.
    pub silent: Vec<(InstrIdx, Silent)>,
}

/// Sites that together report every instruction which can be reported: each reachable instruction is either reported by the
/// site(s) that every way to it passes, or listed as silent.
pub fn sites(analysis: &Analysis) -> Sites {
    let mut found = Sites {
        sites: Vec::with_capacity(analysis.instructions.len()),
        silent: Vec::new(),
    };
    visit_sites(analysis, &mut found);
    found.silent.sort_unstable_by_key(|silent| silent.0);
    found
}

/// Takes what [`visit_sites`] finds.
pub trait SiteVisitor {
    /// A [`Site`]; in the order insertion wants them.
    fn site(&mut self, place: Place, reports: &[InstrIdx]);

    /// An instruction that no site reports; in no certain order.
    fn silent(&mut self, instruction: InstrIdx, reason: Silent) {
        let _ = (instruction, reason);
    }
}

impl SiteVisitor for Sites {
    fn site(&mut self, place: Place, reports: &[InstrIdx]) {
        let reports = SmallVec::from_slice(reports);
        self.sites.push(Site { place, reports });
    }

    fn silent(&mut self, instruction: InstrIdx, reason: Silent) {
        self.silent.push((instruction, reason));
    }
}

/// [`sites`] without keeping them.
pub fn visit_sites(analysis: &Analysis, found: &mut impl SiteVisitor) {
    // Executed, but to be reported by the next site.
    let mut pending = SmallVec::<[InstrIdx; 4]>::new();
    let mut index = 0;
    while (index as usize) < analysis.instructions.len() {
        let here = InstrIdx(index);
        index += 1;
        if pending.is_empty() && analysis.is_plain(here.0) {
            if analysis.depths[here.usize()] == NONE {
                found.silent(here, Silent::Unreachable);
            } else {
                found.site(Place::Before(here), &[here]);
            }
            continue;
        }
        let Some(op) = analysis.op(here.0) else {
            continue;
        };
        if let Some(reason) = silence(analysis, here, op) {
            found.silent(here, reason);
            continue;
        }
        pending.push(here);
        if is_reported_late(analysis, here, op) {
            if !is_start(analysis, here) && next_reports(analysis, here) {
                continue;
            }
            let place = Place::After(here);
            if forbidden(analysis, place).is_none() {
                found.site(place, &pending);
            } else {
                give_up(found, &pending);
            }
            pending.clear();
            continue;
        }
        let place = match forbidden(analysis, Place::Before(here)) {
            None => Place::Before(here),
            Some(Forbidden::DelegationLoop) if let Some(entry) = loop_entry(analysis, here) => {
                entry
            }
            Some(_) => {
                give_up(found, &pending);
                pending.clear();
                continue;
            }
        };
        while is_call_part(analysis, index) && !is_target(analysis, InstrIdx(index)) {
            pending.push(InstrIdx(index));
            index += 1;
        }
        // In code that no compiler wrote the jump may be such a part.
        let last = InstrIdx(index - 1);
        if analysis.op(last.0) == Some(Op::JumpBackwardNoInterrupt)
            && let Some(target) = analysis.target(last)
            && loop_entry(analysis, target).is_some()
        {
            pending.push(target);
        }
        found.site(place, &pending);
        pending.clear();
    }
}

/// Neither a probe of its own nor a neighbour's can speak for these.
fn give_up(found: &mut impl SiteVisitor, instructions: &[InstrIdx]) {
    for &instruction in instructions {
        found.silent(instruction, Silent::Unsupported);
    }
}

/// Instructions that are never reported, whatever surrounds them.
fn silence(analysis: &Analysis, here: InstrIdx, op: Op) -> Option<Silent> {
    if analysis.depth(here).is_none() {
        return Some(Silent::Unreachable);
    }
    if is_prefix(analysis, here) {
        return Some(Silent::Prefix);
    }
    (op == Op::EndFor || is_end_for_pop(analysis, here.0)).then_some(Silent::EndFor)
}

/// `RESUME` and `NOT_TAKEN` leave everything as it is, so a probe after them reports them just as well.
fn is_reported_late(analysis: &Analysis, here: InstrIdx, op: Op) -> bool {
    match op {
        Op::NotTaken => true,
        Op::Resume => {
            analysis.entry == Some(here.0) || forbidden(analysis, Place::Before(here)).is_some()
        }
        _ => false,
    }
}

/// Whether the start of a frame, which is [reported late](is_reported_late), has a probe of its own: that is past before anybody is told of the first line, and a jump to that
/// line does not come to it. Where a delegation's loop is next, its [entry](loop_entry) is that probe.
fn is_start(analysis: &Analysis, here: InstrIdx) -> bool {
    analysis.entry == Some(here.0)
        && forbidden(analysis, Place::After(here)).is_none()
        && loop_entry(analysis, InstrIdx(here.0 + 1)).is_none()
}

/// Whether control may come from elsewhere than the instruction before.
fn is_target(analysis: &Analysis, here: InstrIdx) -> bool {
    analysis.is_jump_target(here) || analysis.is_handler(here)
}

/// Where a probe for the first round of a delegation's loop stands; its backward jump's probe speaks for the other rounds.
/// `None` when the instruction is no [`Forbidden::DelegationLoop`], or is reached in other ways too.
fn loop_entry(analysis: &Analysis, here: InstrIdx) -> Option<Place> {
    let entry = Place::After(InstrIdx(here.0.checked_sub(1)?));
    let looped = forbidden(analysis, Place::Before(here)) == Some(Forbidden::DelegationLoop);
    let only = !analysis.is_handler(here) && !analysis.has(here, flag::INTERRUPTIBLE_TARGET);
    (looped && only && forbidden(analysis, entry).is_none()).then_some(entry)
}

/// Whether the next instruction's site is passed only by way of this one, and exists.
fn next_reports(analysis: &Analysis, here: InstrIdx) -> bool {
    let next = InstrIdx(here.0 + 1);
    // Its backward jump does not come by.
    if loop_entry(analysis, next).is_some() {
        return true;
    }
    if is_target(analysis, next) {
        return false;
    }
    match analysis.op(next.0) {
        Some(op) => {
            is_reported_late(analysis, next, op)
                || forbidden(analysis, Place::Before(next)).is_none()
        }
        None => false,
    }
}

/// Why nothing may be inserted at `place`, or `None` where it may.
pub fn forbidden(analysis: &Analysis, place: Place) -> Option<Forbidden> {
    if let Place::Before(here) = place
        && analysis.is_plain(here.0)
    {
        return (analysis.depths[here.usize()] == NONE).then_some(Forbidden::Unreachable);
    }
    let here = match place {
        Place::Before(here) | Place::After(here) => here,
    };
    let Some(info) = analysis.info(here.0) else {
        return Some(Forbidden::Missing);
    };
    if analysis.depth(here).is_none() {
        return Some(Forbidden::Unreachable);
    }
    match place {
        Place::Before(_) if is_prefix(analysis, here) || analysis.entry == Some(here.0) => {
            Some(Forbidden::Prefix)
        }
        Place::Before(_) => match before(analysis, here.0, info.op) {
            None if analysis.version <= Version::V3_12 && info.op == Op::Send => {
                Some(Forbidden::DelegationLoop)
            }
            reason => reason,
        },
        Place::After(_) if is_prefix(analysis, here) => Some(Forbidden::Prefix),
        Place::After(_) => match info.flow {
            Flow::Yield => Some(Forbidden::Resumption),
            Flow::Jump | Flow::Return | Flow::Raise => Some(Forbidden::NoFallThrough),
            Flow::Next | Flow::Conditional
                if info.op == Op::EndFor || is_end_for_pop(analysis, here.0) =>
            {
                Some(Forbidden::ExhaustedFor)
            }
            Flow::Next | Flow::Conditional => {
                before(analysis, here.0 + 1, analysis.op(here.0 + 1)?)
            }
        },
    }
}

/// Why the instruction must follow the one before it at once.
fn before(analysis: &Analysis, here: u32, op: Op) -> Option<Forbidden> {
    match op {
        Op::Resume => Some(Forbidden::Resumption),
        Op::EndFor => Some(Forbidden::ExhaustedFor),
        Op::NotTaken => Some(Forbidden::NotTaken),
        _ if is_end_for_pop(analysis, here) => Some(Forbidden::ExhaustedFor),
        _ if is_call_part(analysis, here) => Some(Forbidden::Call),
        _ => None,
    }
}

/// Before the first `RESUME`. A frame without any stays incomplete for good.
fn is_prefix(analysis: &Analysis, here: InstrIdx) -> bool {
    analysis.entry.is_none_or(|entry| here.0 < entry)
}

fn previous(analysis: &Analysis, here: u32) -> Option<Op> {
    analysis.op(here.checked_sub(1)?)
}

/// The pop of the iterator after `END_FOR`, from 3.13 on.
fn is_end_for_pop(analysis: &Analysis, here: u32) -> bool {
    analysis.version >= Version::V3_13 && previous(analysis, here) == Some(Op::EndFor)
}

/// What follows `KW_NAMES` or `PRECALL`.
pub fn is_call_part(analysis: &Analysis, here: u32) -> bool {
    analysis.version <= Version::V3_12
        && matches!(previous(analysis, here), Some(Op::KwNames | Op::Precall))
        && analysis.op(here).is_some()
}

/// Whether the interpreter reads the unit just before this instruction, so that it has to be repeated there when something is
/// inserted in between: [`Forbidden::UnitBefore`].
pub(crate) fn reads_unit_before(analysis: &Analysis, here: u32) -> bool {
    let (version, pair) = (
        analysis.version,
        (previous(analysis, here), analysis.op(here)),
    );
    match pair {
        (Some(Op::Send), Some(Op::YieldValue)) => version == Version::V3_11,
        (Some(Op::LoadSpecial), Some(Op::Call)) => version >= Version::V3_14,
        _ => false,
    }
}
