//! Recordings in Python: `debugop.open`.

use std::path::PathBuf;
use std::sync::Arc;

use debugop_recording::file;
use debugop_replay::query::{self, Place};
use debugop_replay::{Cursor, OpenError, Recording as Core};
use debugop_value::Value as Data;
use pyo3::exceptions::{PyIndexError, PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};

use crate::value::Value;

/// A recording that is open. `len()` is its number of steps; indexing gives the moment just before a step.
#[pyclass(frozen, module = "debugop", name = "Replay")]
pub(crate) struct Replay {
    core: Arc<Core>,
}

/// The world just before a step of a recording.
#[pyclass(frozen, get_all, module = "debugop")]
pub(crate) struct Moment {
    /// The number of the step, from 0.
    step: u64,
    /// The operating system's number of the thread that runs.
    thread: u64,
    /// Nanoseconds since the recording began, as of the last time that was noted.
    time: u64,
    /// Its frames, the one that runs last.
    frames: Vec<Py<Frame>>,
}

/// A frame of a moment.
#[pyclass(frozen, get_all, module = "debugop")]
pub(crate) struct Frame {
    /// Its number in the recording; a generator keeps its frame.
    number: u64,
    /// `co_qualname`.
    function: String,
    /// `co_filename`.
    file: String,
    /// The source line, if the instruction has one.
    line: Option<i32>,
    /// Byte offset of the instruction: about to be executed or, of a frame that has called another one, being executed.
    offset: u32,
    /// Its name.
    opname: &'static str,
    /// Its oparg.
    arg: u32,
    /// Local, cell and free variables that are bound, by name.
    locals: Py<PyDict>,
    /// The value stack, bottom first.
    stack: Vec<Py<Value>>,
    /// The handlers around the instruction, innermost first: offset and stack depth of each.
    handlers: Vec<(u32, u32)>,
}

pub(crate) fn refused(error: &OpenError) -> PyErr {
    match error {
        OpenError::File(file::Error::Io { source, .. }) => {
            PyOSError::new_err((source.raw_os_error(), error.to_string()))
        }
        _ => PyValueError::new_err(error.to_string()),
    }
}

fn value(py: Python<'_>, data: Data) -> PyResult<Py<Value>> {
    Py::new(py, Value::from(data))
}

impl Replay {
    fn length(&self, py: Python<'_>) -> PyResult<u64> {
        py.detach(|| self.core.len())
            .map_err(|error| refused(&error))
    }

    /// A cursor at a step.
    fn seek(&self, py: Python<'_>, step: u64) -> PyResult<Cursor> {
        let length = self.length(py)?;
        if step >= length {
            return Err(PyIndexError::new_err(format!(
                "there is no step {step}: the recording has {length} steps, numbered from 0"
            )));
        }
        let mut cursor = self.core.cursor();
        py.detach(|| cursor.seek(step))
            .map_err(|error| refused(&error))?;
        Ok(cursor)
    }

    fn place(&self, py: Python<'_>, text: &str, step: u64) -> PyResult<Place> {
        let cursor = self.seek(py, step)?;
        let found = cursor.state().and_then(|state| {
            let frame = state.frame()?;
            Some(Place::parse(text, frame, state, self.core.codes()))
        });
        let found = found.ok_or_else(|| PyValueError::new_err("no frame is known there"))?;
        found.map_err(|error| PyValueError::new_err(error.to_string()))
    }

    fn write<'py>(&self, py: Python<'py>, write: query::Write) -> PyResult<Bound<'py, PyDict>> {
        let dict = self.located(py, Some(write.step), write.code, write.at)?;
        let how = format!("{:?}", write.how).to_lowercase();
        dict.set_item("how", how)?;
        let written = write.value.map(|data| value(py, data)).transpose()?;
        dict.set_item("value", written)?;
        Ok(dict)
    }

    /// `step`, `function`, `file`, `line`, `offset` of an instruction.
    fn located<'py>(
        &self,
        py: Python<'py>,
        step: Option<u64>,
        code: u32,
        at: debugop_bytecode::InstrIdx,
    ) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        dict.set_item("step", step)?;
        if let Some(code) = self.core.codes().get(code) {
            dict.set_item("function", code.qualname())?;
            dict.set_item("file", code.filename())?;
            dict.set_item("line", code.line(at))?;
            dict.set_item("offset", code.offset(at))?;
        }
        Ok(dict)
    }
}

#[pymethods]
impl Replay {
    /// Opens the recording at `path`. OSError: it cannot be read. ValueError: it is none, or damaged.
    #[classmethod]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "PyO3 makes the path of what it is given"
    )]
    fn open(_class: &Bound<'_, PyType>, py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let core = py.detach(|| Core::open(&path));
        let core = core.map_err(|error| refused(&error))?;
        Ok(Self {
            core: Arc::new(core),
        })
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(usize::try_from(self.length(py)?)?)
    }

    /// The moment just before step `step`; IndexError if there is no such step. Negative numbers count from the end.
    fn at(&self, py: Python<'_>, step: i64) -> PyResult<Moment> {
        let length = self.length(py)?;
        let number = match u64::try_from(step) {
            Ok(number) => number,
            Err(_) => length.checked_sub(step.unsigned_abs()).unwrap_or(u64::MAX),
        };
        let cursor = self.seek(py, number)?;
        moment(py, &cursor)
    }

    fn __getitem__(&self, py: Python<'_>, step: i64) -> PyResult<Moment> {
        self.at(py, step)
    }

    /// The command line of the run: `sys.orig_argv`.
    #[getter]
    fn command(&self) -> Vec<String> {
        self.core.reader().header().command.clone()
    }

    /// The interpreter's version: major, minor and micro.
    #[getter]
    fn python_version(&self) -> (u32, u32, u32) {
        self.core.reader().header().interpreter.version.into()
    }

    /// The steps at which execution came to line `line` of `file`, which may be the end of the path.
    fn hits(&self, py: Python<'_>, file: &str, line: i32) -> PyResult<Vec<u64>> {
        let found = py.detach(|| query::hits(&self.core, file, line, 0, u64::MAX));
        let found = found.map_err(|error| refused(&error))?;
        Ok(found.iter().map(|step| step.number).collect())
    }

    /// Every call of the functions called `function`: dicts with `step`, `arguments`, `outcome` (`"returned"`, `"raised"`, `"running"`), `end`
    /// and `value`.
    fn calls<'py>(&self, py: Python<'py>, function: &str) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let found = py.detach(|| query::calls(&self.core, function));
        let found = found.map_err(|error| refused(&error))?;
        let each = |call: query::Call| {
            let dict = PyDict::new(py);
            let arguments = PyDict::new(py);
            for (name, data) in call.arguments {
                arguments.set_item(name, value(py, data)?)?;
            }
            let (outcome, end, data) = match call.outcome {
                query::Outcome::Running => ("running", None, None),
                query::Outcome::Returned(step, data) => ("returned", Some(step), Some(data)),
                query::Outcome::Raised(step, data) => ("raised", Some(step), Some(data)),
            };
            dict.set_item("step", call.step)?;
            dict.set_item("frame", call.frame.0)?;
            dict.set_item("arguments", arguments)?;
            dict.set_item("outcome", outcome)?;
            dict.set_item("end", end)?;
            dict.set_item("value", data.map(|data| value(py, data)).transpose()?)?;
            Ok(dict)
        };
        found.into_iter().map(each).collect()
    }

    /// Every exception: dicts with `step`, `function`, `file`, `line`, `offset` of what raised it, `exception`, the steps of its `handlers`, and
    /// how many frames it left.
    fn exceptions<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let found = py.detach(|| query::exceptions(&self.core, 0, u64::MAX));
        let found = found.map_err(|error| refused(&error))?;
        let each = |one: query::Exception| {
            let dict = self.located(py, one.step, one.code, one.at)?;
            dict.set_item("exception", value(py, one.exception)?)?;
            dict.set_item("handlers", one.handlers)?;
            dict.set_item("unwound", one.unwound)?;
            Ok(dict)
        };
        found.into_iter().map(each).collect()
    }

    /// Every binding of a place (`x`, `self.total`, `rows[0]`), as seen from the frame that runs at `step`: dicts with `step`, `function`, `file`,
    /// `line`, `offset`, `how` and `value`. ValueError: it is no place, or what it is in is not recorded.
    fn writes<'py>(
        &self,
        py: Python<'py>,
        place: &str,
        step: u64,
    ) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let place = self.place(py, place, step)?;
        let found = py.detach(|| query::writes(&self.core, &place, 0, u64::MAX));
        let found = found.map_err(|error| refused(&error))?;
        let each = |write| self.write(py, write);
        found.into_iter().map(each).collect()
    }

    /// The last of `writes` before `before`, where the place is looked up; None if there is none.
    fn last_write<'py>(
        &self,
        py: Python<'py>,
        place: &str,
        before: u64,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let place = self.place(py, place, before)?;
        let found = py.detach(|| query::last_write(&self.core, &place, before));
        let found = found.map_err(|error| refused(&error))?;
        found.map(|write| self.write(py, write)).transpose()
    }

    fn __repr__(&self) -> String {
        format!("<debugop.Replay of {:?}>", self.core.reader().path())
    }
}

fn moment(py: Python<'_>, cursor: &Cursor) -> PyResult<Moment> {
    let gone = || PyValueError::new_err("nothing is known there");
    let at = cursor.moment().ok_or_else(gone)?;
    let threads = at.threads();
    let thread = threads
        .iter()
        .find(|(number, _)| *number == at.step().thread);
    let frames = at.frames().iter().map(|frame| {
        let code = frame.code();
        let locals = PyDict::new(py);
        for (local, slot) in code.data().locals.iter().zip(frame.locals()) {
            let data = at.value(slot);
            if data != Data::Null {
                let name = String::from_utf8_lossy(&local.name);
                locals.set_item(name, value(py, data)?)?;
            }
        }
        let stack = frame.stack().map(|slot| value(py, at.value(slot)));
        let instruction = code.analysis().get(frame.at());
        let frame = Frame {
            number: frame.number().0,
            function: code.qualname(),
            file: code.filename(),
            line: frame.line(),
            offset: instruction.offset,
            opname: instruction.opcode.name(code.version()),
            arg: instruction.arg,
            locals: locals.unbind(),
            stack: stack.collect::<PyResult<_>>()?,
            handlers: frame
                .handlers()
                .iter()
                .map(|entry| (entry.target, entry.depth))
                .collect(),
        };
        Py::new(py, frame)
    });
    Ok(Moment {
        step: at.step().number,
        thread: thread.map_or(0, |(_, thread)| thread.native()),
        time: at.time(),
        frames: frames.collect::<PyResult<_>>()?,
    })
}
