//! Where a frame has come to, by where it stands in the probed copy, and which values are pending there.

use debugop_bytecode::{Analysis, Op, Plan, SiteKind};

use super::planned::PlannedCode;
use super::planned_site::PlannedSite;
use crate::frame::Frame;
use crate::layout::VERSION;

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
pub(super) struct Pending {
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
    pub(super) fn of(plan: &Plan, analysis: &Analysis) -> Self {
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

impl PlannedCode {
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

    /// Whether a frame that runs the copy is in the middle of that instruction itself, whether values are pending then or not.
    pub(super) fn is_inside(&self, frame: Frame<'_>, unit: u32) -> bool {
        let is_there = || {
            let now = frame.instruction_offset();
            now.is_some_and(|now| {
                self.unit(now) == Some(unit) && self.arrival(now) == Arrival::Executing
            })
        };
        match self.has_pending(unit) {
            true => self.is_executing(frame, unit),
            false => is_there(),
        }
    }

    /// Whether a frame that stands at byte `now` of the copy is in a probe behind the instruction that it [executes](Self::unit).
    pub(super) fn is_past(&self, now: u32) -> bool {
        let opcode = self
            .unit(now)
            .and_then(|unit| self.probed().copied_opcode(unit * 2));
        opcode.is_some_and(|opcode| now > opcode)
    }

    /// Whether values are pending at byte `now` of the copy, which is in the middle of the instruction at `unit`, or in a probe beside it.
    fn pends_at(&self, unit: u32, now: u32) -> bool {
        let Some((one, _)) = self.pending.find(unit) else {
            return false;
        };
        let opcode = self.probed().copied_opcode(unit * 2);
        opcode.is_some_and(|opcode| (opcode..opcode + one.units * 2).contains(&now))
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
