//! How a code object gets its probes: the copy with sites in its constants.

use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};

use debugop_bytecode::{
    Analysis, InstrIdx, Locals, Op, Opcode, Place, Plan, Site, SiteKind as PlanKind,
};
use pyo3::types::{PyAnyMethods, PyCode, PyTuple, PyTupleMethods};
use pyo3::{Bound, PyAny, PyErr, PyResult};

use super::error::{MAX_NESTING, ProbeError, analyse};
use super::{ProbedCode, SiteInfo, SiteKind, WantsNested};
use crate::code_object::{CodeFields, parts, with_parts};
use crate::engine::Engine;
use crate::frame::CodeShape;
use crate::gil::GilCell;
use crate::layout::VERSION;
use crate::names;
use crate::recorder::{self, Density, PlannedCode};
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
        let fields = CodeFields::read(original)?;
        let view = fields.view();
        let (analysis, qualname, file) = analyse(original, &fields)?;
        let bad = |source| ProbeError::Bytecode {
            qualname: qualname.clone(),
            file: file.clone(),
            source,
        };
        let constants: Bound<'_, PyTuple> = original
            .getattr(names::co_consts(py))?
            .cast_into()
            .map_err(PyErr::from)?;
        let density = recorder::density(py);
        let plan = match density {
            Density::Steps => None,
            Density::Planned | Density::Both => {
                let plan = Plan::new(&analysis, &locals(original)?);
                Some(plan.map_err(|source| ProbeError::Plan {
                    qualname: qualname.clone(),
                    file: file.clone(),
                    source,
                })?)
            }
        };
        let steps = density != Density::Planned;
        let mut layout = ProbeLayout::plan(&analysis, steps, plan.as_ref(), constants.len());
        let unwind = layout.unwind_sequence();
        let (parts, map) = {
            let insertions = layout.insertions();
            let unwind = debugop_bytecode::Unwind { sequence: &unwind };
            parts(
                debugop_bytecode::insert(&view, &analysis, &insertions, Some(unwind))
                    .map_err(bad)?,
            )
        };

        let (mut consts, nested, has_refused) =
            probe_constants(&constants, module, wants, nesting)?;
        let callables = analysis
            .instructions()
            .iter()
            .map(|one| debugop_bytecode::callable_depth(VERSION, one))
            .collect();
        let probed_code = Arc::new(Self {
            original: original.clone().unbind(),
            module: module.into(),
            qualname: qualname.into(),
            file: file.into(),
            analysis,
            engine: Engine::Inject,
            map: Some(map),
            reported: Box::default(),
            nested,
            has_refused,
            callables,
            further: std::mem::take(&mut layout.further),
            lastis: OnceLock::new(),
            shape: OnceLock::new(),
            reports_steps: steps,
            planned: OnceLock::new(),
            copy: GilCell::default(),
            hooks: GilCell::default(),
            native: GilCell::default(),
            watchers: GilCell::default(),
        });
        if let Some(plan) = &plan {
            probed_code
                .planned
                .get_or_init(|| PlannedCode::new(plan, &probed_code));
        }
        for (&info, planned) in layout.sites.iter().zip(&layout.planned) {
            let planned = planned.and_then(|index| probed_code.planned()?.site(index));
            consts.push(site::new_site(py, &probed_code, info, planned)?);
        }
        let copy = with_parts(original, &parts, consts)?;
        probed_code.shape.get_or_init(|| CodeShape::of(&copy));
        probed_code.copy.set(py, copy.as_ptr() as usize);
        if let Some(planned) = probed_code.planned() {
            planned.set_copy(copy.as_ptr() as usize);
        }
        Ok((probed_code, copy))
    }

    /// Describes `original` for `engine`, which reports what the code object itself executes: the same steps as a copy with
    /// probes would, without the copy and without the code nested in it.
    ///
    /// # Errors
    /// Its bytecode or tables are not what a compiler writes.
    pub(crate) fn observe(
        engine: Engine,
        original: &Bound<'_, PyCode>,
        module: &str,
    ) -> Result<Arc<Self>, ProbeError> {
        let fields = CodeFields::read(original)?;
        let (analysis, qualname, file) = analyse(original, &fields)?;
        let mut reported = vec![false; analysis.instructions().len()].into_boxed_slice();
        for site in debugop_bytecode::sites(&analysis).sites {
            for instruction in site.reports {
                reported[instruction.0 as usize] = analysis.depth(instruction).is_some();
            }
        }
        let callables = analysis
            .instructions()
            .iter()
            .map(|one| debugop_bytecode::callable_depth(VERSION, one))
            .collect();
        let shape = OnceLock::new();
        shape.get_or_init(|| CodeShape::of(original));
        Ok(Arc::new(Self {
            original: original.clone().unbind(),
            module: module.into(),
            qualname: qualname.into(),
            file: file.into(),
            analysis,
            engine,
            map: None,
            reported,
            nested: Vec::new(),
            has_refused: false,
            callables,
            further: Vec::new(),
            lastis: OnceLock::new(),
            shape,
            reports_steps: true,
            planned: OnceLock::new(),
            copy: GilCell::default(),
            hooks: GilCell::default(),
            native: GilCell::default(),
            watchers: GilCell::default(),
        }))
    }
}

/// Sites and the instruction sequences that enter them.
struct ProbeLayout {
    sites: Vec<SiteInfo>,
    /// Which of the plan's sites each of them is, too.
    planned: Vec<Option<u32>>,
    further: Vec<InstrIdx>,
    places: Vec<Place>,
    sequences: Vec<[(Opcode, u32); 3]>,
    unwind: [(Opcode, u32); 3],
}

/// The order in which insertion takes places.
fn order(place: Place) -> u64 {
    match place {
        Place::Before(at) => u64::from(at.0) * 2,
        Place::After(at) => u64::from(at.0) * 2 + 1,
    }
}

impl ProbeLayout {
    /// A probe at every place that reports something, if `steps` are reported, and at every place of the plan, and one for
    /// exceptions that leave. Site `n` becomes constant `constants + n`.
    fn plan(analysis: &Analysis, steps: bool, plan: Option<&Plan>, constants: usize) -> Self {
        let mut layout = Self {
            sites: Vec::new(),
            planned: Vec::new(),
            further: Vec::new(),
            places: Vec::new(),
            sequences: Vec::new(),
            unwind: probe(0),
        };
        let planned = plan.map_or(&[][..], |plan| &plan.sites);
        let (unwind, planned) = match planned.split_last() {
            Some((last, rest)) if last.kind == PlanKind::Unwind => (Some(rest.len() as u32), rest),
            _ => (None, planned),
        };
        let mut planned = (0..).zip(planned).peekable();
        if steps {
            for site in debugop_bytecode::sites(analysis).sites {
                while let Some((index, one)) =
                    planned.next_if(|(_, one)| order(one.place) < order(site.place))
                {
                    layout.add_planned(one.place, index, constants);
                }
                let same = planned.next_if(|(_, one)| order(one.place) == order(site.place));
                layout.add_steps(analysis, &site, same.map(|(index, _)| index), constants);
            }
        }
        for (index, one) in planned {
            layout.add_planned(one.place, index, constants);
        }
        layout.unwind = probe(constants + layout.sites.len());
        layout.sites.push(SiteInfo {
            kind: SiteKind::Unwind,
            first: InstrIdx(0),
            further: (0, 0),
            depth: None,
            steps: u32::from(steps),
        });
        layout.planned.push(unwind);
        layout
    }

    /// A site that reports steps, and is that of the plan with this index, if there is one.
    fn add_steps(
        &mut self,
        analysis: &Analysis,
        site: &Site,
        planned: Option<u32>,
        constants: usize,
    ) {
        let Some(&first) = site.reports.first() else {
            return;
        };
        self.sequences.push(probe(constants + self.sites.len()));
        self.places.push(site.place);
        let reached = |one: &&InstrIdx| analysis.depth(**one).is_some();
        self.sites.push(SiteInfo {
            kind: SiteKind::Step,
            first,
            further: (self.further.len() as u32, site.reports.len() as u32 - 1),
            depth: analysis
                .depth(first)
                .and_then(|depth| NonZeroU32::new(depth + 1)),
            steps: site.reports.iter().filter(reached).count() as u32,
        });
        self.planned.push(planned);
        self.further.extend_from_slice(&site.reports[1..]);
    }

    /// A site of the plan that reports no step.
    fn add_planned(&mut self, place: Place, index: u32, constants: usize) {
        let first = match place {
            Place::Before(at) => at,
            Place::After(at) => InstrIdx(at.0 + 1),
        };
        self.sequences.push(probe(constants + self.sites.len()));
        self.places.push(place);
        self.sites.push(SiteInfo {
            kind: SiteKind::Step,
            first,
            further: (0, 0),
            depth: None,
            steps: 0,
        });
        self.planned.push(Some(index));
    }

    fn unwind_sequence(&self) -> [(Opcode, u32); 3] {
        self.unwind
    }

    fn insertions(&self) -> Vec<debugop_bytecode::Insertion<'_>> {
        let pairs = self.places.iter().zip(&self.sequences);
        pairs
            .map(|(&place, sequence)| debugop_bytecode::Insertion { place, sequence })
            .collect()
    }
}

/// How frames of `code` lay out their local variables.
fn locals(code: &Bound<'_, PyCode>) -> PyResult<Locals> {
    /// `CO_VARARGS`, `CO_VARKEYWORDS`.
    const STARS: u32 = 4 | 8;
    let number = |name: &str| code.getattr(name)?.extract::<u32>();
    let stars = (number("co_flags")? & STARS).count_ones();
    Ok(Locals {
        locals: number("co_nlocals")?,
        slots: CodeShape::of(code).nlocalsplus.unsigned_abs(),
        arguments: number("co_argcount")? + number("co_kwonlyargcount")? + stars,
    })
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

/// Constants, the probed code objects among them, and whether others were left as they are.
type ProbedConstants<'py> = (Vec<Bound<'py, PyAny>>, Vec<Arc<ProbedCode>>, bool);

/// The constants with the nested code objects that `wants` names replaced by their probed copies, and those.
fn probe_constants<'py>(
    constants: &Bound<'py, PyTuple>,
    module: &str,
    wants: WantsNested<'_>,
    nesting: u32,
) -> PyResult<ProbedConstants<'py>> {
    let (mut nested, mut has_refused) = (Vec::new(), false);
    let mut consts = Vec::with_capacity(constants.len());
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
    Ok((consts, nested, has_refused))
}
