//! A code object with DEBUG_OP before its instructions, and who watches it.

mod lasti;

use std::num::NonZeroU32;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use debugop_bytecode::{Analysis, InstrIdx, OffsetMap, Op, Opcode, Place};
use debugop_filter::CodeNames;
use pyo3::types::{PyAnyMethods, PyCode, PyTuple, PyTupleMethods};
use pyo3::{Bound, Py, PyAny, PyErr, PyResult, Python};

use crate::code_object::{CodeFields, parts, with_parts};
use crate::engine::Engine;
use crate::event::{Event, EventKind, Raised};
use crate::extra;
use crate::frame::{CodeShape, Frame};
use crate::function;
use crate::gil::GilCell;
use crate::layout::VERSION;
use crate::names;
use crate::native::Native;
use crate::registry;
use crate::ring::TopOfStack;
use crate::site;
use crate::tracer::{Hook, Tracer};

mod positions;
mod woven;

/// What a site reports when it is reached.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SiteInfo {
    kind: SiteKind,
    /// The first instruction that it speaks for.
    first: InstrIdx,
    /// The others, in the order of their execution: where they start in [`ProbedCode::further`], and how many they are.
    further: (u32, u32),
    /// One more than the value-stack depth before the first of them; `None` if control never reaches it.
    depth: Option<NonZeroU32>,
    /// How many of them control reaches; an exception that leaves is one.
    steps: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SiteKind {
    /// Stands before instructions.
    Step,
    /// Stands in the handler of exceptions that leave the frame.
    Unwind,
}

/// One code object under observation: the original, its analysis, and the copy with probes in it.
///
/// Sites keep it alive, so it lives as long as any frame or function runs the probed copy; it keeps the original alive. The
/// probed copy belongs to whoever runs it and to the tracers, so nothing here is a cycle.
pub struct ProbedCode {
    original: Py<PyCode>,
    module: Box<str>,
    qualname: Box<str>,
    file: Box<str>,
    analysis: Analysis,
    /// Who reports it.
    engine: Engine,
    /// From the copy's offsets to the original's; `None` where the original itself runs.
    map: Option<OffsetMap>,
    /// Which instructions are steps, where the original itself runs; otherwise empty: sites know it.
    reported: Box<[bool]>,
    nested: Vec<Arc<ProbedCode>>,
    /// Whether code that is nested in it was left as it is.
    has_refused: bool,
    /// Whether the copy has breakpoints in place of probes.
    is_woven: bool,
    callables: Vec<Option<u32>>,
    /// What sites that speak for several instructions report after the first.
    further: Vec<InstrIdx>,
    /// The slots, each with its instruction, that hold a `lasti`, in order.
    lastis: OnceLock<Box<[(InstrIdx, u32)]>>,
    shape: OnceLock<CodeShape>,
    /// Address of the probed copy; 0 before it is made and after it has died ([`ProbedCode::lose_copy`]).
    copy: GilCell<usize>,
    hooks: GilCell<Option<Rc<[Hook]>>>,
    /// The tracer of the only hook, if a step needs nothing but its native part.
    native: GilCell<Option<Arc<Tracer>>>,
    /// Serial numbers of the tracers that watch it, with a hook or not.
    watchers: GilCell<Vec<u64>>,
}

/// Which of the code objects in the constants of code that is probed are probed with it.
pub(crate) type WantsNested<'a> = &'a dyn Fn(&Bound<'_, PyCode>) -> bool;

/// Why a code object is left without probes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// Its bytecode or tables are not what a compiler writes.
    #[error("{qualname} in {file}: {source}")]
    Bytecode {
        /// `co_qualname`.
        qualname: String,
        /// `co_filename`.
        file: String,
        /// What is wrong.
        source: debugop_bytecode::Error,
    },
    /// Probing it would take more time and memory than tracing may cost.
    #[error("{qualname} in {file}: {size} bytes of bytecode, where at most {MAX_SIZE} are probed")]
    TooLarge {
        /// `co_qualname`.
        qualname: String,
        /// `co_filename`.
        file: String,
        /// Length of `co_code`.
        size: usize,
    },
    /// It is nested in too many others.
    #[error(
        "{qualname} in {file} with the code around it: they are nested in {MAX_NESTING} code objects"
    )]
    TooDeep {
        /// `co_qualname`.
        qualname: String,
        /// `co_filename`.
        file: String,
    },
    /// Python raised while the copy was made.
    #[error(transparent)]
    Python(#[from] PyErr),
}

impl ProbeError {
    /// Whether the code object is such that it is left as it is; otherwise something went wrong while it was probed.
    pub(crate) fn is_refusal(&self) -> bool {
        !matches!(self, Self::Python(_))
    }

    /// `code` is nested in too many others.
    pub(crate) fn too_deep(code: &Bound<'_, PyCode>) -> Self {
        let (qualname, file) = names_of(code);
        Self::TooDeep { qualname, file }
    }
}

/// Larger code is left as it is. A probed copy takes about 150 bytes an instruction: this bounds it to some 100 MB, made
/// in a quarter of a second. No compiler writes such code but from generated sources.
pub(crate) const MAX_SIZE: usize = 1 << 20;

/// Code objects in each other's constants are probed with the outermost, which takes C stack, down to this depth. The tokenizer
/// allows 100 levels of indentation (`MAXINDENT`, `Parser/tokenizer.h`); only hand-made code is nested deeper.
pub(crate) const MAX_NESTING: u32 = 128;

/// The code object as [`Analysis`] has it, with its qualified name and file; or why it is left as it is.
fn analyse(
    original: &Bound<'_, PyCode>,
    fields: &CodeFields<'_>,
) -> Result<(Analysis, String, String), ProbeError> {
    let (qualname, file) = names_of(original);
    let size = fields.view().code.len();
    if size > MAX_SIZE {
        return Err(ProbeError::TooLarge {
            qualname,
            file,
            size,
        });
    }
    match Analysis::new(&fields.view()) {
        Ok(analysis) => Ok((analysis, qualname, file)),
        Err(source) => Err(ProbeError::Bytecode {
            qualname,
            file,
            source,
        }),
    }
}

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
        let mut layout = ProbeLayout::plan(&analysis, constants.len());
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
            is_woven: false,
            callables,
            further: std::mem::take(&mut layout.further),
            lastis: OnceLock::new(),
            shape: OnceLock::new(),
            copy: GilCell::default(),
            hooks: GilCell::default(),
            native: GilCell::default(),
            watchers: GilCell::default(),
        });
        for &info in &layout.sites {
            consts.push(site::new_site(py, &probed_code, info)?);
        }
        let copy = with_parts(original, &parts, consts)?;
        probed_code.shape.get_or_init(|| CodeShape::of(&copy));
        probed_code.copy.set(py, copy.as_ptr() as usize);
        Ok((probed_code, copy))
    }

    /// Gives up a share. Unlike dropping it, this lets go of the original at once if it was the last: outside of our own
    /// calls PyO3 puts that off.
    pub(crate) fn let_go(py: Python<'_>, share: Arc<Self>) {
        if let Some(own) = Arc::into_inner(share) {
            own.original.drop_ref(py);
            for nested in own.nested {
                Self::let_go(py, nested);
            }
        }
    }

    /// The probed copy is about to die.
    pub(crate) fn lose_copy(&self, py: Python<'_>) {
        self.copy.set(py, 0);
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
            is_woven: false,
            callables,
            further: Vec::new(),
            lastis: OnceLock::new(),
            shape,
            copy: GilCell::default(),
            hooks: GilCell::default(),
            native: GilCell::default(),
            watchers: GilCell::default(),
        }))
    }

    /// Whether the original itself runs and another engine than DEBUG_OP reports it.
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

    /// What the original's bytecode says.
    #[must_use]
    pub fn analysis(&self) -> &Analysis {
        &self.analysis
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
        self.callables[instruction.0 as usize]
    }

    /// Does all there is to do at `site`, if that is native; the first thing that a probe asks.
    #[inline]
    pub(crate) fn fire_natively(self: &Arc<Self>, py: Python<'_>, site: &SiteInfo) -> bool {
        self.native.with(py, |tracer| {
            let Some(tracer) = tracer else { return false };
            match tracer.native() {
                None => false,
                Some(Native::Count) => {
                    tracer.count(py, site.steps);
                    true
                }
                Some(Native::TopOfStack(ring)) => self.encode(py, site, tracer, ring),
            }
        })
    }

    /// Hands the steps of `site` to `ring`; false if there is none.
    #[inline]
    fn encode(&self, py: Python<'_>, site: &SiteInfo, tracer: &Tracer, ring: &TopOfStack) -> bool {
        let (Some((frame, shape)), Some(depth)) = (self.running(py), site.depth) else {
            return false;
        };
        let top = |depth: u32| Some(frame.glance(py, shape, depth.checked_sub(1)?));
        let code = self.original.as_ptr() as u64;
        ring.step(py, code, site.first, top(depth.get() - 1));
        if site.further.1 > 0 {
            for &instruction in self.further(site) {
                if let Some(depth) = self.analysis.depth(instruction) {
                    ring.step(py, code, instruction, top(depth));
                }
            }
        }
        tracer.count(py, site.steps);
        true
    }

    /// Whether anybody watches.
    #[inline]
    pub(crate) fn is_watched(&self, py: Python<'_>) -> bool {
        self.hooks.with(py, |hooks| hooks.is_some())
    }

    /// Runs the hooks of the site that has just been reached by the running frame.
    #[inline]
    pub(crate) fn fire(self: &Arc<Self>, py: Python<'_>, site: &SiteInfo) -> Result<(), Raised> {
        match self.running(py) {
            Some((frame, shape)) => self.fire_all(py, frame, shape, site),
            None => Ok(()),
        }
    }

    /// The running frame, if it runs this code.
    #[inline]
    fn running<'py>(&self, py: Python<'py>) -> Option<(Frame<'py>, &CodeShape)> {
        let (frame, shape) = (Frame::current(py)?, self.shape.get()?);
        // `~site` outside the code that it was made for: a copy that somebody edited, or plain Python. Not ours to report.
        // Whoever has a hook here also keeps the probed copy alive (`Tracer::stop` takes the hook out before it lets go), so
        // its address is its own.
        frame.has_shape(shape).then_some((frame, shape))
    }

    fn fire_all(
        self: &Arc<Self>,
        py: Python<'_>,
        frame: Frame<'_>,
        shape: &CodeShape,
        site: &SiteInfo,
    ) -> Result<(), Raised> {
        let Some(hooks) = self.hooks.cloned(py) else {
            return Ok(());
        };
        match site.kind {
            SiteKind::Step => {
                if let Some(depth) = site.depth {
                    let (kind, instruction) = (EventKind::Instruction, site.first);
                    fire_hooks(
                        py,
                        &hooks,
                        &Event {
                            kind,
                            code: self,
                            instruction,
                            frame,
                            shape,
                            depth: depth.get() - 1,
                        },
                    )?;
                }
                for &instruction in self.further(site) {
                    let Some(depth) = self.analysis.depth(instruction) else {
                        continue;
                    };
                    fire_hooks(
                        py,
                        &hooks,
                        &Event {
                            kind: EventKind::Instruction,
                            code: self,
                            instruction,
                            frame,
                            shape,
                            depth,
                        },
                    )?;
                }
                Ok(())
            }
            SiteKind::Unwind => {
                let instruction = self
                    .raising_instruction(py, frame, shape)
                    .unwrap_or(site.first);
                fire_hooks(
                    py,
                    &hooks,
                    &Event {
                        kind: EventKind::Unwind,
                        code: self,
                        instruction,
                        frame,
                        shape,
                        depth: 0,
                    },
                )
            }
        }
    }

    /// Runs the hooks for an instruction of observed code that `frame` is about to execute, if it is a step.
    #[inline]
    pub(crate) fn fire_step(
        self: &Arc<Self>,
        py: Python<'_>,
        frame: Frame<'_>,
        instruction: InstrIdx,
    ) -> Result<(), Raised> {
        if self.reported.get(instruction.0 as usize) != Some(&true) {
            return Ok(());
        }
        let depth = self.analysis.depth(instruction).unwrap_or_default();
        self.fire_observed(py, frame, EventKind::Instruction, instruction, depth)
    }

    /// Runs the hooks for an exception that `instruction` of observed code raised and that is leaving `frame`.
    pub(crate) fn fire_unwind(
        self: &Arc<Self>,
        py: Python<'_>,
        frame: Frame<'_>,
        instruction: InstrIdx,
    ) -> Result<(), Raised> {
        // A generator that never started has no step, and no DEBUG_OP sees an exception that is thrown into it.
        if self
            .analysis
            .first_resume()
            .is_none_or(|first| instruction < first)
        {
            return Ok(());
        }
        self.fire_observed(py, frame, EventKind::Unwind, instruction, 0)
    }

    #[inline]
    fn fire_observed(
        self: &Arc<Self>,
        py: Python<'_>,
        frame: Frame<'_>,
        kind: EventKind,
        instruction: InstrIdx,
        depth: u32,
    ) -> Result<(), Raised> {
        let (Some(hooks), Some(shape)) = (self.hooks.cloned(py), self.shape.get()) else {
            return Ok(());
        };
        if !frame.has_shape(shape) {
            return Ok(());
        }
        fire_hooks(
            py,
            &hooks,
            &Event {
                kind,
                code: self,
                instruction,
                frame,
                shape,
                depth,
            },
        )
    }

    /// The instruction that the code unit at byte `offset` of observed code belongs to, its prefixes and caches included.
    pub(crate) fn covering(&self, offset: u32) -> Option<InstrIdx> {
        let instructions = self.analysis.instructions();
        let after = instructions.partition_point(|one| one.start <= offset);
        Some(InstrIdx(u32::try_from(after.checked_sub(1)?).ok()?))
    }

    /// The instructions after the first that `site` speaks for.
    #[inline]
    fn further(&self, site: &SiteInfo) -> &[InstrIdx] {
        let (start, count) = (site.further.0 as usize, site.further.1 as usize);
        self.further.get(start..start + count).unwrap_or_default()
    }

    /// The code objects nested in it that are left as they are, each with its name, file and the reason.
    pub(crate) fn refused<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<Vec<(Bound<'py, PyCode>, Rc<str>)>> {
        if !self.has_refused {
            return Ok(Vec::new());
        }
        let constants = self.original(py).getattr(names::co_consts(py))?;
        let mut refused = Vec::new();
        for constant in constants.try_iter()? {
            let Ok(code) = constant?.cast_into_exact::<PyCode>() else {
                continue;
            };
            if let Some(Some(reason)) = extra::peek(&code, |extra| extra.refused.cloned(py)) {
                refused.push((code, reason));
            }
        }
        Ok(refused)
    }

    /// Adds or replaces the hooks.
    pub(crate) fn set_hooks(&self, py: Python<'_>, hooks: Vec<Hook>) {
        let native = if let [only] = &*hooks {
            only.native_only()
        } else {
            None
        };
        let old = (
            self.native.replace(py, native),
            self.hooks
                .replace(py, (!hooks.is_empty()).then(|| Rc::from(hooks))),
        );
        // Dropped when both are in place: the last reference to a tracer may run a destructor of the program's.
        drop(old);
    }

    /// The hooks now in place.
    pub(crate) fn hooks(&self, py: Python<'_>) -> Vec<Hook> {
        self.hooks
            .cloned(py)
            .map(|hooks| hooks.to_vec())
            .unwrap_or_default()
    }

    /// Whether any tracer watches it.
    pub(crate) fn has_watchers(&self, py: Python<'_>) -> bool {
        self.watchers.with(py, |watchers| !watchers.is_empty())
    }

    /// Who has hooks here.
    pub(crate) fn tracers(&self, py: Python<'_>) -> Vec<Arc<Tracer>> {
        self.hooks(py).iter().map(Hook::tracer).collect()
    }

    /// Whether `tracer` watches it.
    #[inline]
    pub(crate) fn is_watched_by(&self, py: Python<'_>, tracer: &Tracer) -> bool {
        let serial = tracer.serial();
        self.watchers
            .with(py, |watchers| watchers.contains(&serial))
    }

    /// `tracer` watches it from now on; false if it did already.
    pub(crate) fn add_watcher(&self, py: Python<'_>, tracer: &Tracer) -> bool {
        let new = !self.is_watched_by(py, tracer);
        if new {
            let serial = tracer.serial();
            self.watchers.with(py, |watchers| watchers.push(serial));
        }
        new
    }

    /// `tracer` watches it no longer; false if it did not.
    pub(crate) fn remove_watcher(&self, py: Python<'_>, tracer: &Tracer) -> bool {
        let watched = self.is_watched_by(py, tracer);
        let serial = tracer.serial();
        self.watchers
            .with(py, |watchers| watchers.retain(|other| *other != serial));
        watched
    }

    /// `<debugop.Site …>`: which instruction of which code a site stands for.
    pub(crate) fn describe_site(&self, site: SiteInfo) -> String {
        let place = match site.kind {
            SiteKind::Step => {
                let instruction = self.analysis.get(site.first);
                format!(
                    "before {} {}",
                    instruction.offset,
                    instruction.opcode.name(VERSION)
                )
            }
            SiteKind::Unwind => "for exceptions that leave".to_owned(),
        };
        format!("<debugop.Site {place} in {}>", self.qualname)
    }
}

#[inline]
fn fire_hooks<'py>(py: Python<'py>, hooks: &[Hook], event: &Event<'_, 'py>) -> Result<(), Raised> {
    for hook in hooks {
        hook.fire(py, event)?;
    }
    Ok(())
}

/// Sites and the instruction sequences that enter them.
struct ProbeLayout {
    sites: Vec<SiteInfo>,
    further: Vec<InstrIdx>,
    places: Vec<Place>,
    sequences: Vec<[(Opcode, u32); 3]>,
    unwind: [(Opcode, u32); 3],
}

impl ProbeLayout {
    /// A probe at every place that reports something, and one for exceptions that leave. Site `n` becomes constant
    /// `constants + n`.
    fn plan(analysis: &Analysis, constants: usize) -> Self {
        let plan = debugop_bytecode::sites(analysis);
        let mut layout = Self {
            sites: Vec::new(),
            further: Vec::new(),
            places: Vec::new(),
            sequences: Vec::new(),
            unwind: probe(0),
        };
        for site in plan.sites {
            let Some(&first) = site.reports.first() else {
                continue;
            };
            layout.sequences.push(probe(constants + layout.sites.len()));
            layout.places.push(site.place);
            let reached = |one: &&InstrIdx| analysis.depth(**one).is_some();
            layout.sites.push(SiteInfo {
                kind: SiteKind::Step,
                first,
                further: (layout.further.len() as u32, site.reports.len() as u32 - 1),
                depth: analysis
                    .depth(first)
                    .and_then(|depth| NonZeroU32::new(depth + 1)),
                steps: site.reports.iter().filter(reached).count() as u32,
            });
            layout.further.extend_from_slice(&site.reports[1..]);
        }
        layout.unwind = probe(constants + layout.sites.len());
        layout.sites.push(SiteInfo {
            kind: SiteKind::Unwind,
            first: InstrIdx(0),
            further: (0, 0),
            depth: None,
            steps: 1,
        });
        layout
    }

    fn unwind_sequence(&self) -> [(Opcode, u32); 3] {
        self.unwind
    }

    fn insertions(&self) -> Vec<debugop_bytecode::Insertion<'_>> {
        let pairs = self.places.iter().zip(&self.sequences);
        pairs
            .map(|(&place, sequence)| debugop_bytecode::Insertion {
                place,
                sequence,
                branches: None,
            })
            .collect()
    }
}

/// `co_qualname` and `co_filename`.
fn names_of(code: &Bound<'_, PyCode>) -> (String, String) {
    let text = |name| function::text(code, name);
    (
        text(names::co_qualname(code.py())),
        text(names::co_filename(code.py())),
    )
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
