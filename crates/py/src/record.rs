//! `debugop.Record` and `debugop.Records`: steps as data.

use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use debugop_bytecode::InstrIdx;
use debugop_capture::activation::{Activation, Activations};
use debugop_capture::collector::Pause;
use debugop_capture::stack::{LiveStack, StackError};
use debugop_capture::value::{Limits, capture, capture_slot};
use debugop_capture::{Event, EventKind, GilCell, Handler, LiveFrame, ProbedCode, Tracer};
use debugop_report::{
    CodeInfo, Counter, FrameEventKind, Report, Sources, Step, TextOptions, TextReport,
};
use debugop_value::Value as Data;
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::{PyCode, PyList, PySlice, PySliceMethods, PyTuple};
use rustc_hash::FxHashMap;

use crate::convert;
use crate::event::{EventRecord, Telling, Told};
use crate::instruction::{Instruction, facts};
use crate::predicate::Predicate;
use crate::run::{describe, working_directory};
use crate::step::event_name;
use crate::value::Value;

/// What is kept of a step.
pub(crate) struct Snapshot {
    code: Arc<ProbedCode>,
    instruction: InstrIdx,
    kind: EventKind,
    number: u64,
    thread: u64,
    /// `None` if it is not known which activation of the code the frame is.
    frame: Option<u64>,
    depth: u32,
    stack: Box<[Data]>,
    exception: Option<Data>,
    /// What has happened before it, if anything has. Boxed, for most steps have none.
    #[expect(
        clippy::box_collection,
        reason = "a thin pointer: there are many snapshots"
    )]
    told: Option<Box<Vec<Told>>>,
    frame_event: Option<FrameEventKind>,
}

impl Snapshot {
    /// What is kept of a step whose callback still runs.
    ///
    /// # Errors
    /// The step is over.
    pub(crate) fn of_live(
        py: Python<'_>,
        live: &LiveStack,
        number: u64,
        depth: u32,
    ) -> Result<Self, StackError> {
        let limits = Limits::default();
        let slots = live.slots(py)?;
        let frame = live.live_frame(py).get(py).ok_or(StackError::Stale)?;
        Ok(Self {
            code: live.code(py),
            instruction: live.instruction(py),
            kind: live.kind(py),
            number,
            thread: frame.thread_ident(),
            frame: None,
            depth,
            stack: slots
                .iter()
                .map(|slot| capture_slot(slot, &limits))
                .collect(),
            exception: live
                .exception(py)?
                .map(|exception| capture(&exception, &limits)),
            told: None,
            frame_event: None,
        })
    }

    /// What is kept of the step that `tracer` is being told of.
    fn take<'py>(
        py: Python<'py>,
        tracer: &Tracer,
        event: &Event<'_, 'py>,
        activation: Activation,
    ) -> Self {
        let limits = Limits::default();
        let slot = |index| {
            event
                .stack(py, index)
                .map(|slot| capture_slot(&slot, &limits))
        };
        Self {
            code: Arc::clone(event.code),
            instruction: event.instruction,
            kind: event.kind,
            number: tracer.steps(py),
            thread: event.frame.thread_ident(),
            frame: Some(activation.id),
            depth: activation.depth,
            stack: (0..event.stack_len()).filter_map(slot).collect(),
            exception: event
                .exception(py)
                .map(|exception| capture(&exception, &limits)),
            told: None,
            frame_event: None,
        }
    }

    /// Finds out what has happened before the step.
    fn explained(mut self, py: Python<'_>, telling: &mut Telling) -> Self {
        let code = telling.code(py, &self.code);
        let step = self.shown(&code, 0);
        let frame_event = step.frame_event().map(|event| event.kind());
        let told = telling.step(&step);
        self.frame_event = frame_event;
        self.told = (!told.is_empty()).then(|| Box::new(told));
        self
    }
}

impl Snapshot {
    /// The step as reports take it; `at` numbers a frame that has no number.
    fn shown<'a>(&'a self, code: &'a CodeInfo, at: u64) -> Step<'a> {
        Step {
            number: self.number,
            thread: self.thread,
            frame: self.frame.unwrap_or(u64::MAX - at),
            depth: self.depth,
            code,
            instruction: self.instruction,
            event: match self.kind {
                EventKind::Unwind => debugop_report::Event::Unwind,
                _ => debugop_report::Event::Instruction,
            },
            stack: &self.stack,
            exception: self.exception.as_ref(),
        }
    }
}

/// One step of a traced program as data: it keeps the code object alive and nothing else of the program. Equal to itself
/// only, however often it is taken from its records.
#[pyclass(frozen, module = "debugop")]
pub(crate) struct Record {
    step: Arc<Snapshot>,
}

impl From<Arc<Snapshot>> for Record {
    fn from(step: Arc<Snapshot>) -> Self {
        Self { step }
    }
}

#[pymethods]
impl Record {
    /// Count of the step among those that the trace reported since it was started, from 1.
    #[getter]
    fn number(&self) -> u64 {
        self.step.number
    }

    /// Identifier of the thread, as `threading.get_ident()` gives it.
    #[getter]
    fn thread(&self) -> u64 {
        self.step.thread
    }

    /// Number of the execution of the code that the step belongs to, unique among the records of a trace; None in a record
    /// that `Step.record` made.
    #[getter]
    fn frame(&self) -> Option<u64> {
        self.step.frame
    }

    /// How many traced frames were below this one on the call stack when it was entered or resumed.
    #[getter]
    fn depth(&self) -> u32 {
        self.step.depth
    }

    /// `"instruction"` or `"unwind"`, as `Step.event`.
    #[getter]
    fn event(&self) -> &'static str {
        event_name(self.step.kind)
    }

    /// What the step means for its frame: `"enter"`, `"resume"`, `"handle"`, `"return"`, `"yield"` or `"unwind"`; None for most steps, and
    /// in a record that `Step.record` made.
    #[getter]
    fn frame_event(&self) -> Option<&'static str> {
        self.step.frame_event.map(FrameEventKind::name)
    }

    /// What has happened in the frame before the step, and which call the step is about to make: a tuple of `Event`; None in a record
    /// that `Step.record` made.
    #[getter]
    fn events<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        if self.step.frame.is_none() {
            return Ok(None);
        }
        let told = self.step.told.iter().flat_map(|told| told.iter());
        let events = told.map(|told| EventRecord::new(&self.step.code, told));
        PyTuple::new(py, events.collect::<Vec<_>>()).map(Some)
    }

    /// The code object as the program knows it, without probes.
    #[getter]
    fn code<'py>(&self, py: Python<'py>) -> Bound<'py, PyCode> {
        self.step.code.original(py).clone()
    }

    /// `co_name`.
    #[getter]
    fn name<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.step
            .code
            .original(py)
            .getattr(pyo3::intern!(py, "co_name"))
    }

    /// `co_qualname`.
    #[getter]
    fn qualname(&self) -> &str {
        self.step.code.names().qualname
    }

    /// `__name__` of the module whose globals the code runs in; empty if unknown.
    #[getter]
    fn module(&self) -> &str {
        self.step.code.names().module
    }

    /// `co_filename`.
    #[getter]
    fn filename(&self) -> &str {
        self.step.code.names().file
    }

    /// The instruction.
    #[getter]
    fn instruction(&self) -> Instruction {
        Instruction::new(Arc::clone(&self.step.code), self.step.instruction)
    }

    /// Source line; None for an instruction without one.
    #[getter]
    fn line(&self) -> Option<i32> {
        self.step
            .code
            .analysis()
            .location(self.step.instruction)
            .line
    }

    /// The value stack before the instruction, bottom first: a tuple of `Value`.
    #[getter]
    fn stack<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(
            py,
            self.step
                .stack
                .iter()
                .map(|slot| Value::from(slot.clone()))
                .collect::<Vec<_>>(),
        )
    }

    /// The exception as `Step.exception`, as a `Value`; otherwise None.
    #[getter]
    fn exception(&self) -> Option<Value> {
        self.step.exception.clone().map(Value::from)
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other
            .cast_exact::<Self>()
            .is_ok_and(|other| Arc::ptr_eq(&self.step, &other.get().step))
    }

    fn __hash__(&self) -> u64 {
        Arc::as_ptr(&self.step) as u64
    }

    fn __repr__(&self) -> String {
        let instruction = self.step.code.analysis().get(self.step.instruction);
        let opname = instruction.opcode.name(debugop_capture::VERSION);
        let stack: Vec<String> = self
            .step
            .stack
            .iter()
            .map(|slot| slot.short(30).to_string())
            .collect();
        let (number, event, qualname) = (self.step.number, self.event(), self.qualname());
        format!(
            "<debugop.Record {number} {event} {} {opname} in {qualname} [{}]>",
            instruction.offset,
            stack.join(", ")
        )
    }
}

/// The steps that a trace has collected, in their order: a sequence that grows while the trace runs.
#[pyclass(frozen, sequence, module = "debugop")]
#[derive(Default)]
pub(crate) struct Records {
    shared: Arc<Shared>,
}

/// What records and those who add to them share.
#[derive(Default)]
struct Shared {
    steps: GilCell<Vec<Arc<Snapshot>>>,
    activations: GilCell<Activations>,
    telling: GilCell<Telling>,
}

impl Records {
    /// Runs `f` on the steps, which must not run Python.
    fn with<R>(&self, py: Python<'_>, f: impl FnOnce(&mut Vec<Arc<Snapshot>>) -> R) -> R {
        let mut steps = self.shared.steps.take(py);
        let result = f(&mut steps);
        self.shared.steps.set(py, steps);
        result
    }

    /// A handler that adds to these records.
    pub(crate) fn collector(&self) -> Collector {
        Collector {
            records: Self {
                shared: Arc::clone(&self.shared),
            },
        }
    }
}

#[pymethods]
impl Records {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        self.with(py, |steps| steps.len())
    }

    fn __getitem__<'py>(
        &self,
        py: Python<'py>,
        index: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let length = self.__len__(py);
        if let Ok(slice) = index.cast_exact::<PySlice>() {
            let bounds = slice.indices(length as isize)?;
            let at = |nth: usize| (bounds.start + nth as isize * bounds.step).cast_unsigned();
            let chosen: Vec<_> = self.with(py, |steps| {
                (0..bounds.slicelength)
                    .filter_map(|nth| steps.get(at(nth)))
                    .map(Arc::clone)
                    .collect()
            });
            return Ok(PyList::new(py, chosen.into_iter().map(Record::from))?.into_any());
        }
        let chosen = match convert::sequence_index(index, length)? {
            Some(at) => self.with(py, |steps| steps.get(at).map(Arc::clone)),
            None => None,
        };
        let step = chosen.ok_or_else(|| {
            PyIndexError::new_err(format!("record index out of range: there are {length}"))
        })?;
        Ok(Bound::new(py, Record::from(step))?.into_any())
    }

    fn __iter__(&self) -> RecordIterator {
        RecordIterator {
            records: Self {
                shared: Arc::clone(&self.shared),
            },
            next: AtomicUsize::new(0),
        }
    }

    /// The records for which `predicate` holds, as a list.
    fn filter(&self, py: Python<'_>, predicate: &Predicate) -> Vec<Record> {
        let holds = |step: &&Arc<Snapshot>| {
            predicate.holds(&facts(&step.code, step.instruction), step.depth)
        };
        let chosen: Vec<_> = self.with(py, |steps| {
            steps.iter().filter(holds).map(Arc::clone).collect()
        });
        chosen.into_iter().map(Record::from).collect()
    }

    /// The records as text of at most `width` columns, with ANSI colours if `color`.
    fn text(&self, py: Python<'_>, width: usize, color: bool) -> PyResult<String> {
        let steps = self.with(py, |steps| steps.clone());
        let mut sources = Sources::new();
        let mut codes: FxHashMap<*const ProbedCode, CodeInfo> = FxHashMap::default();
        for step in &steps {
            let next = codes.len() as u32;
            if let Entry::Vacant(entry) = codes.entry(Arc::as_ptr(&step.code)) {
                entry.insert(describe(py, next, &step.code));
                let file = step.code.names().file;
                if file.starts_with('<') {
                    let lines: Vec<String> = py
                        .import("linecache")?
                        .call_method1("getlines", (file,))?
                        .extract()?;
                    sources.register(file, lines.concat());
                }
            }
        }
        let mut text = Vec::new();
        let options = TextOptions {
            width,
            color,
            flush_each_step: false,
        };
        let mut report = Box::new(TextReport::new(&mut text, options, sources));
        if let Some(directory) = working_directory() {
            *report = report.relative_to(directory);
        }
        let mut counter = Counter::default();
        for (at, step) in steps.iter().enumerate() {
            let shown = step.shown(&codes[&Arc::as_ptr(&step.code)], at as u64);
            counter.step(&shown);
            report.step(&shown)?;
        }
        report.finish(&counter.summary())?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Forgets all records.
    fn clear(&self, py: Python<'_>) {
        drop(self.shared.steps.take(py));
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        format!("<debugop.Records: {} steps>", self.__len__(py))
    }
}

/// Iterates over records, those too that are added meanwhile.
#[pyclass(frozen, module = "debugop")]
struct RecordIterator {
    records: Records,
    next: AtomicUsize,
}

#[pymethods]
impl RecordIterator {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> Option<Record> {
        let step = self.records.with(py, |steps| {
            steps.get(self.next.load(Relaxed)).map(Arc::clone)
        })?;
        self.next.fetch_add(1, Relaxed);
        Some(Record::from(step))
    }
}

/// Adds each step to records.
pub(crate) struct Collector {
    records: Records,
}

impl Handler for Collector {
    fn runs_python(&self) -> bool {
        false
    }

    fn step<'py>(
        &self,
        py: Python<'py>,
        tracer: &Arc<Tracer>,
        event: &Event<'_, 'py>,
        _: Option<LiveFrame>,
    ) -> PyResult<()> {
        let _pause = Pause::new(py);
        let mut activations = self.records.shared.activations.take(py);
        let activation = activations.of(py, tracer, event);
        self.records.shared.activations.set(py, activations);
        let mut telling = self.records.shared.telling.take(py);
        let step = Snapshot::take(py, tracer, event, activation).explained(py, &mut telling);
        self.records.shared.telling.set(py, telling);
        let step = Arc::new(step);
        self.records.with(py, |steps| steps.push(step));
        Ok(())
    }
}
