//! A code object with DEBUG_OP before its instructions, and who watches it.

#[cfg(Py_3_12)]
mod enter;
mod error;
mod fire;
#[cfg(Py_3_12)]
mod for_iter;
mod lasti;
mod leave;
mod left_out;
mod make;
mod plan;
mod positions;
mod silence;
mod watchers;
mod woven;

use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use debugop_bytecode::{Analysis, InstrIdx, OffsetMap};
use debugop_filter::CodeNames;
use pyo3::types::{PyCode, PyTupleMethods};
use pyo3::{Bound, Py, Python};

use crate::code_object::{self, CodeFields};
use crate::engine::Engine;
use crate::extra;
use crate::frame::CodeShape;
use crate::gil::GilCell;
use crate::layout::VERSION;
use crate::recorder::{self, Density, PlannedCode};
use crate::site::Block;
use crate::tracer::{Hook, Tracer};

pub use error::ProbeError;
pub(crate) use error::{MAX_NESTING, MAX_SIZE};
#[cfg(not(Py_3_12))]
pub(crate) use leave::mover;
pub(crate) use leave::{prepare, sequence as detour};
#[cfg(Py_3_12)]
pub(crate) use left_out::keep;
use make::Probing;
pub(crate) use make::probe;
use silence::Probe;
pub(crate) use woven::Fragments;

/// What a site reports when it is reached.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SiteInfo {
    /// The first instruction that it speaks for.
    first: InstrIdx,
    /// The others, in the order of their execution: where they start in [`ProbedCode::further`],
    further: u32,
    /// and how many they are: the lower 22 bits. Of the rest [`SiteInfo::ADDS`] and [`SiteInfo::STORES`].
    count: u32,
    /// The value-stack depth before the first of them, or [`SiteInfo::UNWIND`].
    depth: u32,
}

impl SiteInfo {
    /// In place of a depth: it stands in the handler of exceptions that leave the frame.
    const UNWIND: u32 = u32::MAX;
    /// In place of a depth: it reports no step.
    const SILENT: u32 = u32::MAX - 1;

    /// Code has fewer instructions ([`MAX_SIZE`]).
    const COUNT: u32 = (1 << 22) - 1;
    /// It stands before an addition whose sum goes to a local variable at once: which one is in the upper 8 bits.
    const ADDS: u32 = 1 << 22;
    /// It stands before that store.
    const STORES: u32 = 1 << 23;

    /// A site that reports no step and stands before this instruction, or after the one before it.
    fn silent(first: InstrIdx) -> Self {
        Self {
            first,
            further: 0,
            count: 0,
            depth: Self::SILENT,
        }
    }

    /// Whether it reports no step.
    #[inline]
    pub(crate) fn is_silent(self) -> bool {
        self.depth == Self::SILENT
    }

    /// How many steps it tells of; an exception that leaves is one.
    #[inline]
    fn steps(self) -> u32 {
        self.further() + 1
    }

    /// How many instructions it reports after the first.
    #[inline]
    fn further(self) -> u32 {
        self.count & Self::COUNT
    }

    /// Whether it has a part in an addition to a variable ([`crate::concatenation`]).
    #[inline]
    pub(crate) fn is_summing(self) -> bool {
        self.count > Self::COUNT
    }

    /// The local variable that is added to.
    #[inline]
    fn adds_to(self) -> Option<u32> {
        (self.count & Self::ADDS != 0).then_some(self.count >> 24)
    }

    #[inline]
    fn stores_sum(self) -> bool {
        self.count & Self::STORES != 0
    }

    #[inline]
    fn is_unwind(self) -> bool {
        self.depth == Self::UNWIND
    }
}

/// One code object under observation: the original, its analysis, and the copy with probes in it.
///
/// Sites keep it alive, so it lives as long as any frame or function runs the probed copy; it keeps the original alive. The
/// probed copy belongs to whoever runs it and to the tracers, so nothing here is a cycle.
pub struct ProbedCode {
    original: Py<PyCode>,
    /// What another engine than DEBUG_OP reports, if that is a copy with breakpoints and not the original.
    woven: Option<Py<PyCode>>,
    module: Box<str>,
    qualname: Box<str>,
    file: Box<str>,
    /// [`ProbedCode::analysis`].
    analysis: OnceLock<Analysis>,
    /// How many instructions there are.
    length: usize,
    /// Who reports it.
    engine: Engine,
    /// [`ProbedCode::map`].
    map: OnceLock<OffsetMap>,
    /// Which instructions are steps, where another engine than DEBUG_OP reports them; otherwise empty: sites know it.
    reported: Box<[bool]>,
    /// Where instructions begin, prefixes and all, in the copy with breakpoints that another engine reports; otherwise empty.
    begins: Box<[(u32, InstrIdx)]>,
    nested: Vec<Arc<ProbedCode>>,
    /// Whether code that is nested in it was left as it is.
    has_refused: bool,
    /// Whether the copy has breakpoints in place of probes.
    fragments: Option<Fragments>,
    /// What sites that speak for several instructions report after the first.
    further: Box<[InstrIdx]>,
    /// The sites in the copy.
    sites: GilCell<Block>,
    /// Whether its probes have been made to be jumped over ([`ProbedCode::silence`]).
    silenced: GilCell<bool>,
    /// The probes that may be [left out](left_out), if that is known.
    left_out: OnceLock<Box<[Probe]>>,
    /// Whether they are jumped over.
    jumps_left_out: GilCell<bool>,
    /// How often a frame could not be moved to the original since ([`leave`]).
    refusals: GilCell<u32>,
    /// The slots, each with its instruction, that hold a `lasti`, in order.
    lastis: OnceLock<Box<[(InstrIdx, u32)]>>,
    /// Where [`for_iter`] has something to do.
    #[cfg(Py_3_12)]
    for_iters: OnceLock<Box<[for_iter::ForIter]>>,
    shape: OnceLock<CodeShape>,
    /// Whether its sites report every step, or a recorder's only.
    reports_steps: bool,
    /// Whether there are sites in the copy that a plan wants.
    has_plan: bool,
    /// What a recorder needs of these, once one of them has fired.
    planned: OnceLock<Box<PlannedCode>>,
    /// Address of the probed copy; 0 before it is made and after it has died ([`ProbedCode::lose_copy`]).
    copy: GilCell<usize>,
    hooks: GilCell<Option<Rc<[Hook]>>>,
    /// The tracer of the only hook, if a step needs nothing but its native part.
    native: GilCell<Option<Arc<Tracer>>>,
    /// Where that tracer counts steps, if it does nothing else; otherwise NULL.
    counter: GilCell<*const GilCell<u64>>,
    /// Serial numbers of the tracers that watch it, with a hook or not.
    watchers: GilCell<Vec<u64>>,
}

/// Which of the code objects in the constants of code that is probed are probed with it.
pub(crate) type WantsNested<'a> = &'a dyn Fn(&Bound<'_, PyCode>) -> bool;

impl ProbedCode {
    /// Gives up a share. Unlike dropping it, this lets go of the original at once if it was the last: outside of our own
    /// calls PyO3 puts that off.
    pub(crate) fn let_go(py: Python<'_>, share: Arc<Self>) {
        if let Some(own) = Arc::into_inner(share) {
            own.original.drop_ref(py);
            if let Some(woven) = own.woven {
                woven.drop_ref(py);
            }
            for nested in own.nested {
                Self::let_go(py, nested);
            }
        }
    }

    /// The probed copy is about to die.
    pub(crate) fn lose_copy(&self, py: Python<'_>) {
        self.copy.set(py, 0);
        if let Some(planned) = self.planned.get() {
            planned.set_copy(0);
        }
    }

    /// Whether its probes stand where those of new copies do.
    pub(crate) fn suits(&self, py: Python<'_>) -> bool {
        match recorder::density(py) {
            Density::Steps => self.reports_steps,
            Density::Planned => self.has_plan,
            Density::Both => self.reports_steps && self.has_plan,
        }
    }

    /// What a recorder needs, if it has planned sites and one has been met: [`ProbedCode::plan_now`].
    pub(crate) fn planned(&self) -> Option<&PlannedCode> {
        self.planned.get().map(|planned| &**planned)
    }

    /// The memory of its sites.
    #[inline]
    pub(crate) fn sites(&self) -> &GilCell<Block> {
        &self.sites
    }

    /// Whether it is a copy whose probes are there for a recorder only.
    pub(crate) fn is_for_recorders(&self) -> bool {
        !self.reports_steps && !self.is_observed()
    }

    /// Whether another engine than DEBUG_OP reports it: the original itself runs, or a copy with breakpoints.
    #[inline]
    pub(crate) fn is_observed(&self) -> bool {
        self.engine != Engine::Inject
    }

    /// Who reports it.
    pub(crate) fn engine(&self) -> Engine {
        self.engine
    }

    /// The code object as the program had it.
    #[must_use]
    pub fn original<'py>(&self, py: Python<'py>) -> &Bound<'py, PyCode> {
        self.original.bind(py)
    }

    /// The copy with probes, while somebody uses it.
    #[must_use]
    pub fn probed<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyCode>> {
        let copy = self.copy.get(py) as *mut pyo3::ffi::PyObject;
        // SAFETY: the address is that of a live code object or 0: CPython tells when the copy dies, before it frees it
        // (`crate::extra`), and that clears the address.
        unsafe { Some(Bound::from_borrowed_ptr_or_opt(py, copy)?.cast_into_unchecked()) }
    }

    /// What the original's bytecode says. Made anew when it is first asked for: most code that is probed is never run.
    ///
    /// # Panics
    /// No memory.
    #[inline]
    #[must_use]
    pub fn analysis(&self) -> &Analysis {
        match self.analysis.get() {
            Some(analysis) => analysis,
            None => self.analyse_again(),
        }
    }

    #[cold]
    fn analyse_again(&self) -> &Analysis {
        // Not within `get_or_init`: a thread that waits for its end would hold the GIL, which this one may have to give up.
        let analysis = Python::attach(|py| {
            let fields = CodeFields::read(self.original(py)).expect("it was read before");
            Analysis::new(&fields.view()).expect("it was analysed before")
        });
        self.analysis.get_or_init(|| analysis)
    }

    /// The code object whose execution another engine than DEBUG_OP reports.
    pub(crate) fn observed<'py>(&self, py: Python<'py>) -> &Bound<'py, PyCode> {
        self.woven.as_ref().unwrap_or(&self.original).bind(py)
    }

    /// From the copy's offsets to the original's; `None` where the original itself runs.
    fn map(&self) -> Option<&OffsetMap> {
        if let Some(map) = self.map.get() {
            return Some(map);
        }
        if self.is_observed() {
            return None;
        }
        // As `analyse_again`.
        let map = Python::attach(|py| self.insert_again(py).map);
        Some(self.map.get_or_init(|| map))
    }

    /// What the copy was made of.
    fn insert_again(&self, py: Python<'_>) -> Probing {
        let original = self.original(py);
        let fields = CodeFields::read(original).expect("it was read before");
        let constants = code_object::consts(original).len();
        let analysis = self.analysis();
        let plan = self.has_plan.then(|| plan::plan(original, analysis).ok());
        let plan = plan.flatten();
        let plan = plan.as_ref();
        let probing = make::insert_probes(&fields, analysis, constants, self.reports_steps, plan);
        probing.expect("they were inserted before")
    }

    /// How many instructions the original has.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// The sizes of the probed copy, which place the value stack in its frames.
    #[inline]
    pub(crate) fn shape(&self) -> Option<&CodeShape> {
        self.shape.get()
    }

    /// Module, qualified name and file.
    #[must_use]
    pub fn names(&self) -> CodeNames<'_> {
        CodeNames {
            module: &self.module,
            qualname: &self.qualname,
            file: &self.file,
        }
    }

    /// Probed code objects among its constants, in their order.
    #[must_use]
    pub fn nested(&self) -> &[Arc<Self>] {
        &self.nested
    }

    /// Where the callable stands below the top of the stack when `instruction` is a call, in slots (1: the top).
    #[inline]
    pub(crate) fn callable_depth(&self, instruction: InstrIdx) -> Option<u32> {
        debugop_bytecode::callable_depth(VERSION, self.analysis().get(instruction))
    }

    /// The code objects nested in it that are left as they are, each with its name, file and the reason.
    pub(crate) fn refused<'py>(&self, py: Python<'py>) -> Vec<(Bound<'py, PyCode>, Rc<str>)> {
        if !self.has_refused {
            return Vec::new();
        }
        let mut refused = Vec::new();
        for constant in code_object::consts(self.original(py)).iter() {
            let Ok(code) = constant.cast_into_exact::<PyCode>() else {
                continue;
            };
            if let Some(Some(reason)) = extra::peek(&code, |extra| extra.refused.cloned(py)) {
                refused.push((code, reason));
            }
        }
        refused
    }

    /// `<debugop.Site …>`: which instruction of which code a site stands for.
    pub(crate) fn describe_site(&self, site: SiteInfo) -> String {
        let place = if site.is_unwind() {
            "for exceptions that leave".to_owned()
        } else if site.is_silent() {
            "for the recorder".to_owned()
        } else if site.leaves() {
            "for frames that leave".to_owned()
        } else {
            let instruction = self.analysis().get(site.first);
            let name = instruction.opcode.name(VERSION);
            format!("before {} {name}", instruction.offset)
        };
        format!("<debugop.Site {place} in {}>", self.qualname)
    }
}
