//! The steps of a recording, one after the other, in Python.

use std::collections::VecDeque;
use std::sync::Arc;

use debugop_bytecode::Instruction;
use debugop_replay::query::{Mark, Marks};
use debugop_replay::{Backwards, Code, OpenError, Positions, Recording as Core, Step};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::replay::{Frame, Moment, moment_at, refused};

/// So many steps are gone through at once, while other threads may run.
const BATCH: usize = 1024;

/// Which way is gone.
enum Way {
    Forwards(Box<Positions>),
    Backwards(Box<Backwards>),
    Marks(Box<Marks>),
}

impl Way {
    fn next(&mut self) -> Result<Option<Step>, OpenError> {
        match self {
            Way::Forwards(steps) => steps.next(),
            Way::Backwards(steps) => steps.next(),
            Way::Marks(steps) => steps.next(),
        }
    }
}

/// The steps of a recording, forwards or backwards.
#[pyclass(module = "debugop")]
pub(crate) struct ReplaySteps {
    core: Arc<Core>,
    way: Way,
    ready: VecDeque<Step>,
    /// What comes behind those that are ready.
    error: Option<OpenError>,
}

impl ReplaySteps {
    pub(crate) fn forwards(core: &Arc<Core>) -> Result<Self, OpenError> {
        let steps = core.positions(0)?;
        Ok(Self::new(core, Way::Forwards(Box::new(steps))))
    }

    pub(crate) fn backwards(core: &Arc<Core>) -> Result<Self, OpenError> {
        let steps = core.backwards(u64::MAX)?;
        Ok(Self::new(core, Way::Backwards(Box::new(steps))))
    }

    fn marked(core: &Arc<Core>, mark: Mark, backwards: bool) -> Result<Self, OpenError> {
        let steps = Marks::new(core, mark, backwards)?;
        Ok(Self::new(core, Way::Marks(Box::new(steps))))
    }

    fn new(core: &Arc<Core>, way: Way) -> Self {
        Self {
            core: Arc::clone(core),
            way,
            ready: VecDeque::new(),
            error: None,
        }
    }

    fn fill(&mut self) {
        while self.ready.len() < BATCH && self.error.is_none() {
            match self.way.next() {
                Ok(Some(step)) => self.ready.push_back(step),
                Ok(None) => break,
                Err(error) => self.error = Some(error),
            }
        }
    }
}

#[pymethods]
impl ReplaySteps {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&mut self, py: Python<'_>) -> PyResult<Option<ReplayStep>> {
        if self.ready.is_empty() {
            py.detach(|| self.fill());
        }
        match (self.ready.pop_front(), self.error.take()) {
            (Some(step), error) => {
                self.error = error;
                let core = Arc::clone(&self.core);
                Ok(Some(ReplayStep { core, step }))
            }
            (None, Some(error)) => Err(refused(&error)),
            (None, None) => Ok(None),
        }
    }
}

/// Steps of a kind: iterating goes through them, `reversed()` back.
#[pyclass(frozen, module = "debugop")]
pub(crate) struct ReplayMarks {
    core: Arc<Core>,
    mark: Mark,
}

impl ReplayMarks {
    pub(crate) fn new(core: &Arc<Core>, mark: Mark) -> Self {
        let core = Arc::clone(core);
        Self { core, mark }
    }

    fn steps(&self, py: Python<'_>, backwards: bool) -> PyResult<ReplaySteps> {
        let steps = py.detach(|| ReplaySteps::marked(&self.core, self.mark, backwards));
        steps.map_err(|error| refused(&error))
    }
}

#[pymethods]
impl ReplayMarks {
    fn __iter__(&self, py: Python<'_>) -> PyResult<ReplaySteps> {
        self.steps(py, false)
    }

    fn __reversed__(&self, py: Python<'_>) -> PyResult<ReplaySteps> {
        self.steps(py, true)
    }
}

/// A step of a recording: where it is. What is there is rebuilt when it is asked for.
#[pyclass(frozen, module = "debugop")]
pub(crate) struct ReplayStep {
    core: Arc<Core>,
    step: Step,
}

impl ReplayStep {
    fn code(&self) -> PyResult<&Arc<Code>> {
        let code = self.core.codes().get(self.step.code);
        code.ok_or_else(|| PyValueError::new_err("nothing is known there"))
    }

    fn instruction(&self) -> PyResult<&Instruction> {
        Ok(self.code()?.analysis().get(self.step.at))
    }
}

#[pymethods]
impl ReplayStep {
    /// Its number, from 0.
    #[getter]
    fn step(&self) -> u64 {
        self.step.number
    }

    /// The number of its frame in the recording; a generator keeps its frame.
    #[getter]
    fn frame(&self) -> u64 {
        self.step.frame.0
    }

    /// `co_qualname`.
    #[getter]
    fn function(&self) -> PyResult<String> {
        Ok(self.code()?.qualname())
    }

    /// `co_filename`.
    #[getter]
    fn file(&self) -> PyResult<String> {
        Ok(self.code()?.filename())
    }

    /// The source line, if the instruction has one.
    #[getter]
    fn line(&self) -> PyResult<Option<i32>> {
        Ok(self.code()?.line(self.step.at))
    }

    /// Byte offset of the instruction.
    #[getter]
    fn offset(&self) -> PyResult<u32> {
        Ok(self.instruction()?.offset)
    }

    /// Its name.
    #[getter]
    fn opname(&self) -> PyResult<&'static str> {
        Ok(self.instruction()?.opcode.name(self.code()?.version()))
    }

    /// Its oparg.
    #[getter]
    fn arg(&self) -> PyResult<u32> {
        Ok(self.instruction()?.arg)
    }

    /// The world just before it.
    fn moment(&self, py: Python<'_>) -> PyResult<Moment> {
        moment_at(py, &self.core, self.step.number)
    }

    /// The frames of its moment, the one that runs last.
    #[getter]
    fn frames(&self, py: Python<'_>) -> PyResult<Vec<Py<Frame>>> {
        Ok(self.moment(py)?.frames)
    }

    fn __repr__(&self) -> PyResult<String> {
        let (opname, function) = (self.opname()?, self.function()?);
        let (number, offset) = (self.step.number, self.offset()?);
        Ok(format!(
            "<debugop.ReplayStep {number}: {opname} at offset {offset} of {function}>"
        ))
    }
}
