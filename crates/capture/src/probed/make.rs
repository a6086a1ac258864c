//! How a code object gets its probes: the copy with sites in its constants.

use std::sync::{Arc, OnceLock};

use debugop_bytecode::{
    Analysis, CodeParts, Insertion, InstrIdx, Instruction, OffsetMap, Op, Opcode, Place, Plan,
    PlanSite, SiteKind, SiteVisitor, Unwind,
};
use pyo3::types::{PyCode, PyTuple, PyTupleMethods};
use pyo3::{Borrowed, Bound, PyResult};

use super::error::{MAX_NESTING, ProbeError, analyse};
use super::plan::plan;
use super::{ProbedCode, SiteInfo, WantsNested, leave};
use crate::code_object::{self, CodeFields, parts, with_parts};
use crate::constants::Constants;
use crate::engine::Engine;
use crate::frame::CodeShape;
use crate::gil::GilCell;
use crate::layout::VERSION;
use crate::recorder::{self, Density};
use crate::registry;
use crate::site;

impl ProbedCode {
    /// Probes `original` and those code objects in its constants that `wants` names. Returns the probed copy too, which the
    /// caller has to keep alive.
    ///
    /// `module` is `__name__` of the globals it runs in, `nesting` how many code objects it is nested in. Nested code that
    /// cannot be probed stays as it is.
    pub(crate) fn make<'py>(
        original: &Bound<'py, PyCode>,
        module: &str,
        wants: WantsNested<'_>,
        nesting: u32,
    ) -> Result<(Arc<Self>, Bound<'py, PyCode>), ProbeError> {
        let py = original.py();
        if nesting >= MAX_NESTING {
            return Err(ProbeError::too_deep(original));
        }
        let constants = code_object::consts(original);
        let fields = CodeFields::read(original)?;
        let (analysis, qualname, file) = analyse(original, &fields)?;
        let density = recorder::density(py);
        let steps = density != Density::Planned;
        let plan = match density {
            Density::Steps => None,
            Density::Planned | Density::Both => {
                let plan = plan(original, &analysis);
                Some(plan.map_err(|source| ProbeError::Plan {
                    qualname: qualname.clone(),
                    file: file.clone(),
                    source,
                })?)
            }
        };
        let inserted = insert_probes(&fields, &analysis, constants.len(), steps, plan.as_ref());
        let inserted = inserted.map_err(|source| ProbeError::Bytecode {
            qualname: qualname.clone(),
            file: file.clone(),
            source,
        })?;
        let Probing {
            parts, mut layout, ..
        } = inserted;
        let length = analysis.instructions().len();
        // Before what is nested needs the memory.
        drop(analysis);
        let further = std::mem::take(&mut layout.further);
        let mut consts = Constants::new(py, constants.len() + layout.sites.len())?;
        let (nested, has_refused) =
            probe_constants(constants, module, wants, nesting, &mut consts)?;
        let probed_code = Arc::new(Self {
            original: original.clone().unbind(),
            woven: None,
            module: module.into(),
            qualname: qualname.into(),
            file: file.into(),
            analysis: OnceLock::new(),
            length,
            engine: Engine::Inject,
            map: OnceLock::new(),
            reported: Box::default(),
            begins: Box::default(),
            nested,
            has_refused,
            fragments: None,
            further: further.into(),
            sites: GilCell::default(),
            silenced: GilCell::default(),
            left_out: OnceLock::new(),
            jumps_left_out: GilCell::default(),
            refusals: GilCell::default(),
            lastis: OnceLock::new(),
            #[cfg(Py_3_12)]
            for_iters: OnceLock::new(),
            shape: OnceLock::new(),
            reports_steps: steps,
            has_plan: plan.is_some(),
            planned: OnceLock::new(),
            copy: GilCell::default(),
            hooks: GilCell::default(),
            native: GilCell::default(),
            counter: GilCell::new(std::ptr::null()),
            watchers: GilCell::default(),
        });
        let is_planned = |index: usize| layout.planned.get(index).is_some_and(Option::is_some);
        site::new_sites(py, &probed_code, &layout.sites, is_planned, |site| {
            consts.push(site);
        })?;
        let copy = with_parts(original, &parts, &consts.finish())?;
        probed_code.shape.get_or_init(|| CodeShape::of(&copy));
        probed_code.copy.set(py, copy.as_ptr() as usize);
        if steps {
            // Sites that report steps as well do not look whether the recorder has met them.
            probed_code.plan_now(py);
        }
        Ok((probed_code, copy))
    }

    /// Describes `code` for `engine`, which reports what the code object itself executes: the same steps as a copy with
    /// probes would, without the copy and without the code nested in it. If `code` is a copy with breakpoints, those are no steps.
    ///
    /// # Errors
    /// Its bytecode or tables are not what a compiler writes.
    pub(crate) fn observe(
        engine: Engine,
        code: &Bound<'_, PyCode>,
        module: &str,
    ) -> Result<Arc<Self>, ProbeError> {
        let py = code.py();
        let woven = registry::of_copy(code).filter(|entry| entry.is_woven());
        let original = woven.as_ref().map_or(code, |entry| entry.original(py));
        let fields = CodeFields::read(original)?;
        let (analysis, qualname, file) = analyse(original, &fields)?;
        let mut reported = vec![false; analysis.instructions().len()].into_boxed_slice();
        for site in debugop_bytecode::sites(&analysis).sites {
            for instruction in site.reports {
                reported[instruction.0 as usize] = analysis.depth(instruction).is_some();
            }
        }
        let map = woven.as_ref().and_then(|entry| entry.map().cloned());
        let begins = match &map {
            Some(map) => begins(code, &analysis, map)?,
            None => Box::default(),
        };
        let shape = OnceLock::new();
        shape.get_or_init(|| CodeShape::of(code));
        Ok(Arc::new(Self {
            original: original.clone().unbind(),
            woven: woven.is_some().then(|| code.clone().unbind()),
            module: module.into(),
            qualname: qualname.into(),
            file: file.into(),
            length: analysis.instructions().len(),
            analysis: analysis.into(),
            engine,
            map: map.map_or_else(OnceLock::new, OnceLock::from),
            reported,
            begins,
            nested: Vec::new(),
            has_refused: false,
            fragments: None,
            further: Box::default(),
            sites: GilCell::default(),
            silenced: GilCell::default(),
            left_out: OnceLock::new(),
            jumps_left_out: GilCell::default(),
            refusals: GilCell::default(),
            lastis: OnceLock::new(),
            #[cfg(Py_3_12)]
            for_iters: OnceLock::new(),
            shape,
            reports_steps: true,
            has_plan: false,
            planned: OnceLock::new(),
            copy: GilCell::default(),
            hooks: GilCell::default(),
            native: GilCell::default(),
            counter: GilCell::new(std::ptr::null()),
            watchers: GilCell::default(),
        }))
    }
}

/// Where each instruction begins in `copy`, which may have given it further prefixes.
fn begins(
    copy: &Bound<'_, PyCode>,
    analysis: &Analysis,
    map: &OffsetMap,
) -> PyResult<Box<[(u32, InstrIdx)]>> {
    let fields = CodeFields::read(copy)?;
    let view = fields.view();
    let is_prefix = |at: u32| {
        let opcode = view.code.get(at as usize).copied();
        opcode.is_some() && opcode == Op::ExtendedArg.opcode(VERSION).map(|opcode| opcode.0)
    };
    let begin = |(index, instruction): (u32, &Instruction)| {
        let mut at = map.to_new(instruction.offset)?;
        while at >= 2 && is_prefix(at - 2) {
            at -= 2;
        }
        Some((at, InstrIdx(index)))
    };
    Ok((0..)
        .zip(analysis.instructions())
        .filter_map(begin)
        .collect())
}

/// `fields` with a probe at every place that reports something, if `steps` are reported, and at every place of the plan; where the
/// instructions are then; and the sites. The code object has so many `constants`, behind which those of the sites stand.
pub(super) fn insert_probes(
    fields: &CodeFields<'_>,
    analysis: &Analysis,
    constants: usize,
    steps: bool,
    plan: Option<&Plan>,
) -> Result<Probing, debugop_bytecode::Error> {
    let mut layout = ProbeLayout::of(analysis, steps, plan);
    let detours = leave::places(analysis, &layout.places, &layout.sites);
    let (sequence, unwind) = (probe(constants), probe(constants + layout.places.len()));
    let insertions = (0..).zip(&layout.places).map(|(first, &place)| Insertion {
        place,
        sequence: &sequence,
        first,
        branches: None,
    });
    let sequences: Vec<_> = (constants + layout.sites.len()..)
        .take(detours.len())
        .map(leave::sequence)
        .collect();
    let detours_of = leave::detours(&detours, &sequences);
    let mut inserted = debugop_bytecode::insert_with_detours(
        &fields.view(),
        analysis,
        insertions,
        Some(Unwind { sequence: &unwind }),
        &detours_of,
    )?;
    let starts = std::mem::take(&mut inserted.insertions);
    let detours_at = std::mem::take(&mut inserted.detours);
    for &(probe, next) in &detours {
        layout.sites.push(SiteInfo::leaving(probe, next));
        if plan.is_some() {
            layout.planned.push(None);
        }
    }
    let (parts, map) = parts(inserted);
    Ok(Probing {
        parts,
        map,
        starts,
        detours: detours
            .iter()
            .zip(detours_at)
            .map(|(&(probe, _), at)| (probe, at))
            .collect(),
        layout,
    })
}

/// A code object with probes, before it is one.
pub(super) struct Probing {
    pub(super) parts: CodeParts,
    pub(super) map: OffsetMap,
    /// The byte offset of the first code unit of each probe but that for exceptions that leave, in order.
    pub(super) starts: Vec<u32>,
    /// Detours: the number of the probe, and the byte offset.
    detours: Vec<(usize, u32)>,
    pub(super) layout: ProbeLayout,
}

impl Probing {
    /// Where each probe is but that for exceptions that leave, whether it adds to a variable, and the detour that it may lead to, with the
    /// instruction that frames go on with from there.
    pub(super) fn starts(&self) -> impl Iterator<Item = (u32, bool, Option<(u32, InstrIdx)>)> {
        let sites = self.starts.iter().zip(&self.layout.sites);
        let leaving = &self.layout.sites[self.starts.len() + 1..];
        let mut detours = self.detours.iter().zip(leaving).peekable();
        sites.enumerate().map(move |(number, (start, site))| {
            let detour = detours.next_if(|(detour, _)| detour.0 == number);
            let detour = detour.map(|(detour, site)| (detour.1, site.first));
            (*start, site.adds_to().is_some(), detour)
        })
    }
}

/// Where probes stand, and one for exceptions that leave.
pub(super) struct ProbeLayout {
    /// Of all of the sites but that for exceptions that leave, and those of detours behind it.
    places: Vec<Place>,
    sites: Vec<SiteInfo>,
    further: Vec<InstrIdx>,
    /// Which of the plan's sites each of them is, too. Empty without a plan.
    pub(super) planned: Vec<Option<u32>>,
}

impl ProbeLayout {
    /// Of the probes that start there in the copy, those that are there for a recorder only, each with its site's index in the plan; but none that has a part
    /// in an addition to a variable.
    pub(super) fn recorders_only(&self, starts: &[u32]) -> impl Iterator<Item = (u32, u32)> {
        let sites = starts.iter().zip(&self.sites).zip(&self.planned);
        sites.filter_map(|((start, site), planned)| {
            let is_recorders = site.is_silent() && !site.is_summing();
            planned
                .filter(|_| is_recorders)
                .map(|index| (*start, index))
        })
    }

    pub(super) fn of(analysis: &Analysis, steps: bool, plan: Option<&Plan>) -> Self {
        let most = analysis.instructions().len();
        let (unwind, planned) = match plan.and_then(|plan| plan.sites.split_last()) {
            Some((last, rest)) if last.kind == SiteKind::Unwind => (Some(rest.len() as u32), rest),
            _ => (None, plan.map_or(&[][..], |plan| &plan.sites)),
        };
        let mut making = Making {
            analysis,
            layout: Self {
                places: Vec::with_capacity(most),
                sites: Vec::with_capacity(most + 1),
                further: Vec::new(),
                planned: Vec::new(),
            },
            ahead: planned,
            index: 0,
            has_plan: plan.is_some(),
        };
        if steps {
            debugop_bytecode::visit_sites(analysis, &mut making);
        }
        making.planned_before(u64::MAX);
        let mut layout = making.layout;
        layout.sites.push(match steps {
            true => SiteInfo {
                first: InstrIdx(0),
                further: 0,
                count: 0,
                depth: SiteInfo::UNWIND,
            },
            false => SiteInfo::silent(InstrIdx(0)),
        });
        if plan.is_some() {
            layout.planned.push(unwind);
        }
        layout
    }
}

/// A [`ProbeLayout`] that is being made.
struct Making<'a> {
    analysis: &'a Analysis,
    layout: ProbeLayout,
    /// Sites of the plan that have no probe yet, in order.
    ahead: &'a [PlanSite],
    /// The index of the first of them.
    index: u32,
    has_plan: bool,
}

/// The order in which insertion takes places.
fn order(place: Place) -> u64 {
    match place {
        Place::Before(at) => u64::from(at.0) * 2,
        Place::After(at) => u64::from(at.0) * 2 + 1,
    }
}

impl Making<'_> {
    /// The next site of the plan, if its place comes before `end` in order.
    fn next_planned(&mut self, end: u64) -> Option<(u32, Place)> {
        let (first, rest) = self.ahead.split_first()?;
        if order(first.place) >= end {
            return None;
        }
        self.ahead = rest;
        self.index += 1;
        Some((self.index - 1, first.place))
    }

    /// [`SiteInfo::STORES`] if a site at `place` parts an addition from its store, so that CPython no longer does both at once. Then the
    /// site before the addition does.
    #[inline]
    fn parts_sum(&mut self, place: Place) -> u32 {
        let store = match place {
            Place::Before(store) => store,
            Place::After(add) => InstrIdx(add.0 + 1),
        };
        let Some(local) = debugop_bytecode::stores_sum(self.analysis, store) else {
            return 0;
        };
        let add = InstrIdx(store.0 - 1);
        let layout = &mut self.layout;
        if layout.places.last() == Some(&Place::After(add)) {
            // It is the last one before the store that settles.
            if let Some(site) = layout.sites.last_mut() {
                site.count &= !SiteInfo::STORES;
            }
            return SiteInfo::STORES;
        }
        if layout.places.last() != Some(&Place::Before(add)) {
            if debugop_bytecode::forbidden(self.analysis, Place::Before(add)).is_some() {
                return 0;
            }
            layout.places.push(Place::Before(add));
            layout.sites.push(SiteInfo::silent(add));
            if self.has_plan {
                layout.planned.push(None);
            }
        }
        if let Some(site) = layout.sites.last_mut() {
            site.count |= SiteInfo::ADDS | u32::from(local) << 24;
        }
        SiteInfo::STORES
    }

    /// Puts probes, which report no step, at the places of the plan before `end`.
    fn planned_before(&mut self, end: u64) {
        while let Some((index, place)) = self.next_planned(end) {
            let stores = self.parts_sum(place);
            let first = match place {
                Place::Before(at) => at,
                Place::After(at) => InstrIdx(at.0 + 1),
            };
            self.layout.places.push(place);
            let mut info = SiteInfo::silent(first);
            info.count |= stores;
            self.layout.sites.push(info);
            self.layout.planned.push(Some(index));
        }
    }
}

impl SiteVisitor for Making<'_> {
    #[inline]
    fn site(&mut self, place: Place, reports: &[InstrIdx]) {
        // Whatever a site reports is reached, because all of it executes together.
        if let Some((&first, others)) = reports.split_first()
            && let Some(depth) = self.analysis.depth(first)
        {
            if self.has_plan {
                self.planned_before(order(place));
            }
            let stores = self.parts_sum(place);
            if self.has_plan {
                let same = self.next_planned(order(place) + 1);
                self.layout.planned.push(same.map(|(index, _)| index));
            }
            let layout = &mut self.layout;
            layout.places.push(place);
            layout.sites.push(SiteInfo {
                first,
                further: layout.further.len() as u32,
                count: others.len() as u32 | stores,
                depth,
            });
            layout.further.extend_from_slice(others);
        }
    }
}

/// `LOAD_CONST constant; UNARY_INVERT; POP_TOP`.
pub(crate) fn probe(constant: usize) -> [(Opcode, u32); 3] {
    let opcode = |op: Op| op.opcode(VERSION).unwrap_or(Opcode(0));
    [
        (opcode(Op::LoadConst), constant as u32),
        (opcode(Op::UnaryInvert), 0),
        (opcode(Op::PopTop), 0),
    ]
}

/// Puts the constants to `consts`, the nested code objects that `wants` names replaced by their probed copies; returns those, and whether
/// others were left as they are.
fn probe_constants<'py>(
    constants: Borrowed<'_, 'py, PyTuple>,
    module: &str,
    wants: WantsNested<'_>,
    nesting: u32,
    consts: &mut Constants<'py>,
) -> PyResult<(Vec<Arc<ProbedCode>>, bool)> {
    let (mut nested, mut has_refused) = (Vec::new(), false);
    for constant in constants.iter() {
        let wanted = constant
            .cast_exact::<PyCode>()
            .ok()
            .filter(|code| wants(code));
        let Some(code) = wanted else {
            consts.push(constant);
            continue;
        };
        match registry::obtain_nested(code, module, wants, nesting + 1) {
            Ok((probed, copy)) => {
                consts.push(copy.into_any());
                nested.push(probed);
            }
            Err(ProbeError::Python(error)) => return Err(error),
            Err(_) => {
                has_refused = true;
                consts.push(constant);
            }
        }
    }
    Ok((nested, has_refused))
}
