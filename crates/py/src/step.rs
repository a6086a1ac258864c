//! `debugop.Step`, and the handler that hands it to a Python callback.

use std::sync::{Arc, Weak};

use debugop_capture::stack::LiveStack;
use debugop_capture::{Event, EventKind, GilCell, Handler, LiveFrame, Tracer};
use pyo3::prelude::*;
use pyo3::types::{PyCode, PyFrame};

use crate::convert::{self, StaleStep};
use crate::instruction::Instruction;
use crate::record::{Record, Snapshot};
use crate::stack::Stack;

/// `Step.event`.
pub(crate) fn event_name(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Unwind => "unwind",
        _ => "instruction",
    }
}

/// One step of a traced program: an instruction that is about to be executed.
///
/// `frame`, `depth`, `exception`, `record()` and what is in `stack` can be had only inside the callback that the step was
/// handed to, on its thread; afterwards they raise `debugop.StaleStep`. Everything else stays.
#[pyclass(frozen, module = "debugop")]
pub(crate) struct Step {
    live: LiveStack,
    number: GilCell<u64>,
    thread: GilCell<u64>,
    tracer: Weak<Tracer>,
    /// The stack that was asked for last, and for which step; used again when nobody kept it.
    stack: GilCell<Option<(Py<Stack>, u64)>>,
}

#[pymethods]
impl Step {
    /// Count of this step among those that the trace reported since it was started, from 1.
    #[getter]
    fn number(&self, py: Python<'_>) -> u64 {
        self.number.get(py)
    }

    /// `"instruction"`: it is about to be executed. `"unwind"`: the exception that it raised is about to leave the frame.
    #[getter]
    fn event(&self, py: Python<'_>) -> &'static str {
        event_name(self.live.kind(py))
    }

    /// The instruction: offset, opname, arg, argval, argrepr, positions, line.
    #[getter]
    fn instruction(&self, py: Python<'_>) -> Instruction {
        Instruction::new(self.live.code(py), self.live.instruction(py))
    }

    /// The code object as the program knows it, without probes.
    #[getter]
    fn code<'py>(&self, py: Python<'py>) -> Bound<'py, PyCode> {
        self.live.code(py).original(py).clone()
    }

    /// The value stack before the instruction, bottom first.
    #[getter]
    fn stack<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Stack>> {
        let number = self.number.get(py);
        let stack = match self.stack.take(py) {
            Some((stack, of_step)) if of_step == number => stack.into_bound(py),
            Some((spare, _)) if debugop_capture::is_unshared(spare.bind(py)) => {
                let spare = spare.into_bound(py);
                spare.get().follow(py, &self.live);
                spare
            }
            _ => Bound::new(py, Stack::new(self.live.copy(py)))?,
        };
        self.stack.set(py, Some((stack.clone().unbind(), number)));
        Ok(stack)
    }

    /// The frame object.
    #[getter]
    fn frame<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyFrame>> {
        let frame = self
            .live
            .live_frame(py)
            .get(py)
            .and_then(|frame| frame.object(py));
        frame.ok_or_else(|| convert::stack_error(debugop_capture::stack::StackError::Stale))
    }

    /// The exception that has just arrived at a handler, or that is about to leave the frame; otherwise None.
    #[getter]
    fn exception<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.live.exception(py).map_err(convert::stack_error)
    }

    /// Identifier of the thread, as `threading.get_ident()` gives it.
    #[getter]
    fn thread(&self, py: Python<'_>) -> u64 {
        self.thread.get(py)
    }

    /// How many traced frames are below this one on the call stack. Walks the stack of frames.
    #[getter]
    fn depth(&self, py: Python<'_>) -> PyResult<u32> {
        match (self.live.live_frame(py).get(py), self.tracer.upgrade()) {
            // A tracer that has been stopped no longer knows which frames were traced.
            (Some(frame), Some(tracer)) if tracer.watches(py, frame) => {
                Ok(tracer.call_depth(py, frame))
            }
            _ => Err(StaleStep::new_err(
                "this step is over, or its trace has been stopped: its call depth is no longer known",
            )),
        }
    }

    /// This step as data, which can be kept.
    fn record(&self, py: Python<'_>) -> PyResult<Record> {
        let depth = self.depth(py)?;
        let step = Snapshot::of_live(py, &self.live, self.number.get(py), depth)
            .map_err(convert::stack_error)?;
        Ok(Record::from(Arc::new(step)))
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let code = self.live.code(py);
        let instruction = code.analysis().get(self.live.instruction(py));
        let opname = instruction.opcode.name(debugop_capture::VERSION);
        format!(
            "<debugop.Step {} {} {} {} in {}>",
            self.number.get(py),
            self.event(py),
            instruction.offset,
            opname,
            code.names().qualname
        )
    }
}

/// Calls a Python function with each step.
pub(crate) struct Callback {
    function: Py<PyAny>,
    /// The last step, when nobody kept it: making an object for every instruction would double the cost of a callback.
    spare: GilCell<Option<Py<Step>>>,
}

impl Callback {
    pub(crate) fn new(function: Py<PyAny>) -> Self {
        Self {
            function,
            spare: GilCell::default(),
        }
    }

    fn step<'py>(
        &self,
        py: Python<'py>,
        tracer: &Arc<Tracer>,
        event: &Event<'_, 'py>,
        live: LiveFrame,
    ) -> PyResult<Bound<'py, Step>> {
        let (number, thread) = (tracer.steps(py), event.frame.thread_ident());
        let Some(spare) = self.spare.take(py) else {
            let live = LiveStack::new(event, live);
            return Bound::new(
                py,
                Step {
                    live,
                    number: GilCell::new(number),
                    thread: GilCell::new(thread),
                    tracer: Arc::downgrade(tracer),
                    stack: GilCell::default(),
                },
            );
        };
        let step = spare.into_bound(py);
        let reused = step.get();
        reused.live.retarget(py, event, live);
        reused.number.set(py, number);
        reused.thread.set(py, thread);
        Ok(step)
    }
}

impl Handler for Callback {
    fn runs_python(&self) -> bool {
        true
    }

    fn step<'py>(
        &self,
        py: Python<'py>,
        tracer: &Arc<Tracer>,
        event: &Event<'_, 'py>,
        live: Option<LiveFrame>,
    ) -> PyResult<()> {
        let Some(live) = live else { return Ok(()) };
        let step = self.step(py, tracer, event, live)?;
        self.function.bind(py).call1((&step,))?;
        if debugop_capture::is_unshared(&step) {
            self.spare.set(py, Some(step.unbind()));
        }
        Ok(())
    }
}
