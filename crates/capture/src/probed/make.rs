//! How a code object gets its probes: the copy with sites in its constants.

use std::sync::{Arc, OnceLock};

use debugop_bytecode::{
    Analysis, CodeParts, Insertion, InstrIdx, OffsetMap, Op, Opcode, Place, SiteVisitor, Unwind,
};
use pyo3::types::{PyCode, PyTuple, PyTupleMethods};
use pyo3::{Borrowed, Bound, PyResult};

use super::error::{MAX_NESTING, ProbeError, analyse};
use super::{ProbedCode, SiteInfo, WantsNested};
use crate::code_object::{self, CodeFields, parts, with_parts};
use crate::constants::Constants;
use crate::engine::Engine;
use crate::frame::CodeShape;
use crate::gil::GilCell;
use crate::layout::VERSION;
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
        let inserted = insert_probes(&fields, &analysis, constants.len());
        let Probing { parts, plan, .. } = inserted.map_err(|source| ProbeError::Bytecode {
            qualname: qualname.clone(),
            file: file.clone(),
            source,
        })?;
        let length = analysis.instructions().len();
        // Before what is nested needs the memory.
        drop(analysis);
        let mut consts = Constants::new(py, constants.len() + plan.sites.len())?;
        let (nested, has_refused) =
            probe_constants(constants, module, wants, nesting, &mut consts)?;
        let probed_code = Arc::new(Self {
            original: original.clone().unbind(),
            module: module.into(),
            qualname: qualname.into(),
            file: file.into(),
            analysis: OnceLock::new(),
            length,
            engine: Engine::Inject,
            map: OnceLock::new(),
            reported: Box::default(),
            nested,
            has_refused,
            further: plan.further.into(),
            sites: GilCell::default(),
            silenced: GilCell::default(),
            lastis: OnceLock::new(),
            shape: OnceLock::new(),
            copy: GilCell::default(),
            hooks: GilCell::default(),
            native: GilCell::default(),
            watchers: GilCell::default(),
        });
        site::new_sites(py, &probed_code, &plan.sites, |site| consts.push(site))?;
        let copy = with_parts(original, &parts, &consts.finish())?;
        probed_code.shape.get_or_init(|| CodeShape::of(&copy));
        probed_code.copy.set(py, copy.as_ptr() as usize);
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
        let shape = OnceLock::new();
        shape.get_or_init(|| CodeShape::of(original));
        Ok(Arc::new(Self {
            original: original.clone().unbind(),
            module: module.into(),
            qualname: qualname.into(),
            file: file.into(),
            length: analysis.instructions().len(),
            analysis: analysis.into(),
            engine,
            map: OnceLock::new(),
            reported,
            nested: Vec::new(),
            has_refused: false,
            further: Box::default(),
            sites: GilCell::default(),
            silenced: GilCell::default(),
            lastis: OnceLock::new(),
            shape,
            copy: GilCell::default(),
            hooks: GilCell::default(),
            native: GilCell::default(),
            watchers: GilCell::default(),
        }))
    }
}

/// `fields` with a probe at every place that reports something, where the instructions are then, and the sites. The code object has
/// so many `constants`, behind which those of the sites stand.
pub(super) fn insert_probes(
    fields: &CodeFields<'_>,
    analysis: &Analysis,
    constants: usize,
) -> Result<Probing, debugop_bytecode::Error> {
    let plan = Plan::of(analysis);
    let sequence = probe(constants);
    let unwind = probe(constants + plan.places.len());
    let insertions = (0..).zip(&plan.places).map(|(first, &place)| Insertion {
        place,
        sequence: &sequence,
        first,
    });
    let unwind = Unwind { sequence: &unwind };
    let mut inserted =
        debugop_bytecode::insert(&fields.view(), analysis, insertions, Some(unwind))?;
    let starts = std::mem::take(&mut inserted.insertions);
    let (parts, map) = parts(inserted);
    Ok(Probing {
        parts,
        map,
        starts,
        plan,
    })
}

/// A code object with probes, before it is one.
pub(super) struct Probing {
    pub(super) parts: CodeParts,
    pub(super) map: OffsetMap,
    /// Where each probe is but that for exceptions that leave: the byte offset of its first code unit, in order.
    pub(super) starts: Vec<u32>,
    plan: Plan,
}

/// A probe at every place that reports something, and one for exceptions that leave.
struct Plan {
    /// Of all but the last of the sites.
    places: Vec<Place>,
    sites: Vec<SiteInfo>,
    further: Vec<InstrIdx>,
}

impl Plan {
    fn of(analysis: &Analysis) -> Self {
        let most = analysis.instructions().len();
        let mut found = Planned {
            analysis,
            plan: Self {
                places: Vec::with_capacity(most),
                sites: Vec::with_capacity(most + 1),
                further: Vec::new(),
            },
        };
        debugop_bytecode::visit_sites(analysis, &mut found);
        let mut plan = found.plan;
        plan.sites.push(SiteInfo {
            first: InstrIdx(0),
            further: 0,
            count: 0,
            depth: SiteInfo::UNWIND,
        });
        plan
    }
}

/// A [`Plan`] that is being made.
struct Planned<'a> {
    analysis: &'a Analysis,
    plan: Plan,
}

impl SiteVisitor for Planned<'_> {
    #[inline]
    fn site(&mut self, place: Place, reports: &[InstrIdx]) {
        let plan = &mut self.plan;
        // Whatever a site reports is reached, because all of it executes together.
        if let Some((&first, others)) = reports.split_first()
            && let Some(depth) = self.analysis.depth(first)
        {
            plan.places.push(place);
            plan.sites.push(SiteInfo {
                first,
                further: plan.further.len() as u32,
                count: others.len() as u32,
                depth,
            });
            plan.further.extend_from_slice(others);
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
