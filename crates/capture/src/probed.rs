//! A code object with DEBUG_OP before its instructions, and who watches it.

use std::num::NonZeroU32;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use debugop_bytecode::{
    Analysis, CodeParts, CodeView, Inserted, InstrIdx, OffsetMap, Op, Opcode, Place,
};
use debugop_filter::CodeNames;
use pyo3::types::{
    PyAnyMethods, PyBytes, PyBytesMethods, PyCode, PyDict, PyDictMethods, PyTuple, PyTupleMethods,
};
use pyo3::{Bound, Py, PyAny, PyErr, PyResult, Python};

use crate::engine::Engine;
use crate::event::{Event, EventKind, Raised};
use crate::frame::{CodeShape, Frame, SlotValue};
use crate::gil::GilCell;
use crate::layout::VERSION;
use crate::native::Native;
use crate::registry;
use crate::ring::TopOfStack;
use crate::site;
use crate::tracer::{Hook, Tracer};

mod positions;

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
    callables: Vec<Option<u32>>,
    /// What sites that speak for several instructions report after the first.
    further: Vec<InstrIdx>,
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

/// A code object's fields as bytes, read from Python.
pub struct CodeFields<'py> {
    code: Bound<'py, PyBytes>,
    exception_table: Bound<'py, PyBytes>,
    location_table: Bound<'py, PyBytes>,
    first_line: i32,
    stack_size: u32,
}

impl<'py> CodeFields<'py> {
    /// Reads the fields of `code`. `co_code` is the base form: without specialisation and instrumentation.
    ///
    /// # Errors
    /// `MemoryError`.
    pub fn read(code: &Bound<'py, PyCode>) -> PyResult<Self> {
        Ok(Self {
            code: code.getattr("co_code")?.cast_into()?,
            exception_table: code.getattr("co_exceptiontable")?.cast_into()?,
            location_table: code.getattr("co_linetable")?.cast_into()?,
            first_line: code.getattr("co_firstlineno")?.extract()?,
            stack_size: code.getattr("co_stacksize")?.extract()?,
        })
    }

    /// The same as the bytecode crate's view.
    #[must_use]
    pub fn view(&self) -> CodeView<'_> {
        CodeView {
            version: VERSION,
            code: self.code.as_bytes(),
            exception_table: self.exception_table.as_bytes(),
            location_table: self.location_table.as_bytes(),
            first_line: self.first_line,
            stack_size: self.stack_size,
        }
    }
}

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
    /// Python raised while the copy was made.
    #[error(transparent)]
    Python(#[from] PyErr),
}

impl ProbedCode {
    /// Probes `original` and those code objects in its constants that `wants` names. Returns the probed copy too, which the
    /// caller has to keep alive.
    ///
    /// `module` is `__name__` of the globals it runs in. Nested code that cannot be probed stays as it is.
    pub(crate) fn make<'py>(
        original: &Bound<'py, PyCode>,
        module: &str,
        wants: WantsNested<'_>,
    ) -> Result<(Arc<Self>, Bound<'py, PyCode>), ProbeError> {
        let py = original.py();
        let fields = CodeFields::read(original)?;
        let view = fields.view();
        let text = |name: &str| -> PyResult<String> { original.getattr(name)?.extract() };
        let (qualname, file) = (text("co_qualname")?, text("co_filename")?);
        let bad = |source| ProbeError::Bytecode {
            qualname: qualname.clone(),
            file: file.clone(),
            source,
        };

        let analysis = Analysis::new(&view).map_err(bad)?;
        let constants: Bound<'_, PyTuple> = original
            .getattr("co_consts")?
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

        let (mut consts, nested) = probe_constants(&constants, module, wants)?;
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
            callables,
            further: std::mem::take(&mut layout.further),
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
        let text = |name: &str| -> PyResult<String> { original.getattr(name)?.extract() };
        let (qualname, file) = (text("co_qualname")?, text("co_filename")?);
        let analysis = match Analysis::new(&fields.view()) {
            Ok(analysis) => analysis,
            Err(source) => {
                return Err(ProbeError::Bytecode {
                    qualname,
                    file,
                    source,
                });
            }
        };
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
            callables,
            further: Vec::new(),
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
                Some(Native::TopOfStack(ring)) => {
                    let steps = self.native_steps(py, site, ring);
                    tracer.count(py, steps);
                    steps > 0
                }
            }
        })
    }

    /// Hands the steps of `site` to `ring`; returns how many they were.
    #[inline]
    fn native_steps(self: &Arc<Self>, py: Python<'_>, site: &SiteInfo, ring: &TopOfStack) -> u32 {
        let Some((frame, shape)) = self.running(py) else {
            return 0;
        };
        let Some(depth) = site.depth else { return 0 };
        let mut event = Event {
            kind: EventKind::Instruction,
            code: self,
            instruction: site.first,
            frame,
            shape,
            depth: depth.get() - 1,
        };
        ring.step(py, &event);
        for &instruction in self.further(site) {
            if let Some(depth) = self.analysis.depth(instruction) {
                (event.instruction, event.depth) = (instruction, depth);
                ring.step(py, &event);
            }
        }
        site.steps
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

    /// The instruction that raised, from the `lasti` that the interpreter left at the bottom of the handler's stack.
    fn raising_instruction<'py>(
        &self,
        py: Python<'py>,
        frame: Frame<'py>,
        shape: &CodeShape,
    ) -> Option<InstrIdx> {
        let units: i64 = match frame.read(py, shape, 0) {
            SlotValue::Object(lasti) => lasti.extract().ok()?,
            SlotValue::Tagged(lasti) => i64::try_from(lasti).ok()?,
            _ => return None,
        };
        // 3.11 and 3.12 leave a frame that called a Python function at the last inline cache of its call.
        let offset = self.original_offset(u32::try_from(units.checked_mul(2)?).ok()?)?;
        self.analysis.at_offset(offset)
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
            .map(|(&place, sequence)| debugop_bytecode::Insertion { place, sequence })
            .collect()
    }
}

/// What a code object is made of that has the insertions, and where they are.
pub(crate) fn parts(inserted: Inserted) -> (CodeParts, OffsetMap) {
    let Inserted {
        code,
        exception_table,
        location_table,
        stack_size,
        map,
        ..
    } = inserted;
    (
        CodeParts {
            code,
            exception_table,
            location_table,
            stack_size,
        },
        map,
    )
}

/// A copy of `original` that has these parts and constants.
pub(crate) fn with_parts<'py>(
    original: &Bound<'py, PyCode>,
    parts: &CodeParts,
    consts: Vec<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyCode>> {
    let py = original.py();
    let changes = PyDict::new(py);
    changes.set_item("co_code", PyBytes::new(py, &parts.code))?;
    changes.set_item(
        "co_exceptiontable",
        PyBytes::new(py, &parts.exception_table),
    )?;
    changes.set_item("co_linetable", PyBytes::new(py, &parts.location_table))?;
    changes.set_item("co_stacksize", parts.stack_size)?;
    changes.set_item("co_consts", PyTuple::new(py, consts)?)?;
    Ok(original
        .call_method("replace", (), Some(&changes))?
        .cast_into()?)
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

/// Constants, and the probed code objects among them.
type ProbedConstants<'py> = (Vec<Bound<'py, PyAny>>, Vec<Arc<ProbedCode>>);

/// The constants with the nested code objects that `wants` names replaced by their probed copies, and those.
fn probe_constants<'py>(
    constants: &Bound<'py, PyTuple>,
    module: &str,
    wants: WantsNested<'_>,
) -> PyResult<ProbedConstants<'py>> {
    let mut nested = Vec::new();
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
        match registry::obtain(code, module, wants) {
            Ok((probed, copy)) => {
                consts.push(copy.into_any());
                nested.push(probed);
            }
            Err(ProbeError::Bytecode { .. }) => consts.push(constant),
            Err(ProbeError::Python(error)) => return Err(error),
        }
    }
    Ok((consts, nested))
}
