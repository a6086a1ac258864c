//! Recordings in Python: `debugop.open`.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use debugop_recording::file::{self, Child, Relatives};
use debugop_recording::stream::ThreadNumber;
use debugop_replay::query::{self, Place};
use debugop_replay::{Cursor, Loss, OpenError, Recording as Core};
use debugop_value::Value as Data;
use pyo3::exceptions::{PyIndexError, PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyType};

use crate::positions::{ReplayMarks, ReplaySteps};
use crate::recording_error::recording_error;
use crate::replay_events::ReplayEvents;
use crate::value::Value;

/// A recording that is open. `len()` is its number of steps; iterating goes through them, `reversed()` back; indexing gives the moment just before a step.
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
    pub(crate) frames: Vec<Py<Frame>>,
}

/// A frame of a moment.
#[pyclass(frozen, module = "debugop")]
pub(crate) struct Frame {
    moment: Arc<debugop_replay::Moment>,
    core: Arc<Core>,
    /// Which of the moment's frames.
    index: usize,
    /// Its number in the recording; a generator keeps its frame.
    #[pyo3(get)]
    number: u64,
    /// `co_qualname`.
    #[pyo3(get)]
    function: String,
    /// `co_filename`.
    #[pyo3(get)]
    file: String,
    /// The source line, if the instruction has one.
    #[pyo3(get)]
    line: Option<i32>,
    /// Byte offset of the instruction: about to be executed or, of a frame that has called another one, being executed.
    #[pyo3(get)]
    offset: u32,
    /// Its name.
    #[pyo3(get)]
    opname: &'static str,
    /// Its oparg.
    #[pyo3(get)]
    arg: u32,
    /// Local, cell and free variables that are bound, by name.
    #[pyo3(get)]
    locals: Py<PyDict>,
    /// The value stack, bottom first.
    #[pyo3(get)]
    stack: Vec<Py<Value>>,
    /// The handlers around the instruction, innermost first: offset and stack depth of each.
    #[pyo3(get)]
    handlers: Vec<(u32, u32)>,
}

#[pymethods]
impl Frame {
    /// The global variables that its code names, as far as they were bound in the recording. An object that nothing has looked at since is as it was then.
    #[getter]
    fn globals(&self, py: Python<'_>) -> PyResult<Py<PyDict>> {
        let found = py.detach(|| {
            let frame = self.moment.frames().get(self.index);
            let step = self.moment.step().number;
            let known = frame
                .map(|frame| query::globals(&self.core, frame.code(), step, self.moment.state()));
            known.unwrap_or_else(|| Ok(Vec::new()))
        });
        let globals = PyDict::new(py);
        for (name, data) in found.map_err(|error| refused(&error))? {
            globals.set_item(name, value(py, data)?)?;
        }
        Ok(globals.unbind())
    }
}

pub(crate) fn refused(error: &OpenError) -> PyErr {
    match error {
        OpenError::File(file::Error::Io { source, .. }) => {
            PyOSError::new_err((source.raw_os_error(), error.to_string()))
        }
        error => recording_error(error),
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
        seek(py, &self.core, step)
    }

    fn place(&self, py: Python<'_>, text: &str, step: u64) -> PyResult<Place> {
        let cursor = self.seek(py, step)?;
        let found = cursor.state().and_then(|state| {
            let frame = state.frame()?;
            Some(Place::find(&self.core, text, frame, state, step))
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
    /// Opens the recording at `path`. OSError: it cannot be read. RecordingError: it is none, or damaged.
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

    /// Its steps, in order: where each is. What is there is rebuilt when it is asked for.
    fn __iter__(&self, py: Python<'_>) -> PyResult<ReplaySteps> {
        let steps = py.detach(|| ReplaySteps::forwards(&self.core));
        steps.map_err(|error| refused(&error))
    }

    /// The same from the last one to the first one.
    fn __reversed__(&self, py: Python<'_>) -> PyResult<ReplaySteps> {
        let steps = py.detach(|| ReplaySteps::backwards(&self.core));
        steps.map_err(|error| refused(&error))
    }

    /// The steps at which execution comes to a source line: iterating goes through them, `reversed()` back.
    fn lines(&self) -> ReplayMarks {
        ReplayMarks::new(&self.core, query::Mark::Line)
    }

    /// The steps with which frames start, of a generator where it first runs: iterating goes through them, `reversed()` back.
    fn starts(&self) -> ReplayMarks {
        ReplayMarks::new(&self.core, query::Mark::Call)
    }

    /// What has happened, as the reports of `debugop show` have it: frames that are entered, left and gone on with, exceptions that are raised, handled and raised again, calls of what is
    /// no recorded Python code, what was written (`output`, with `stream` and `text`, behind the step that wrote it), threads (`thread_start`, with `name`, and `thread_end`). Dicts with `step`, `event` (a name of docs/jsonl.md), `function`, `file`, `line`, `offset`, `opname`, `frame`, `thread`, and what the event is about: `value`,
    /// `exception`, `replaced`, `callable`, `result`, `handler`, `from`. Iterating goes through them, `reversed()` back.
    fn events(&self) -> ReplayEvents {
        ReplayEvents::new(&self.core)
    }

    fn __getitem__(&self, py: Python<'_>, step: i64) -> PyResult<Moment> {
        self.at(py, step)
    }

    /// The recording of the process that has started this one, if that was recorded too: a dict with `uuid`, `pid` and `path`, which is None unless it is in the same directory.
    #[getter]
    fn parent<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let Some(parent) = &self.core.reader().header().parent else {
            return Ok(None);
        };
        let path = py.detach(|| Relatives::of(self.core.reader()).parent);
        let dict = PyDict::new(py);
        dict.set_item("uuid", &parent.uuid)?;
        dict.set_item("pid", parent.pid)?;
        dict.set_item("path", path.map(PathBuf::into_os_string))?;
        Ok(Some(dict))
    }

    /// The recordings in the same directory of processes that this one has started, in the order in which they began: a dict each, with `uuid`, `pid` and `path`.
    #[getter]
    fn children<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let found = py.detach(|| Relatives::of(self.core.reader()).children);
        let each = |child: Child| {
            let dict = PyDict::new(py);
            dict.set_item("uuid", child.uuid.to_string())?;
            dict.set_item("pid", child.pid)?;
            dict.set_item("path", child.path.into_os_string())?;
            Ok(dict)
        };
        found.into_iter().map(each).collect()
    }

    /// The name of the recording, 32 hexadecimal digits.
    #[getter]
    fn uuid(&self) -> String {
        self.core.reader().uuid().to_string()
    }

    /// The exit status of the process, negative for the signal that it ended itself by; None if it is not known: the recording is of a part of a program, or not finished.
    #[getter]
    fn exit_status(&self) -> Option<i32> {
        let summary = self.core.reader().summary();
        summary.and_then(|summary| summary.exit_status)
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

    /// What is not in the recording, in order: a dict each, with `step`, before which it is missing (the number of all steps: behind the last one), `what`
    /// (`"beginning"`, `"chunks"`, `"record"`, `"output"`, `"unfollowed"`, `"end"`) and `text`, which says it. Empty if nothing is missing.
    fn losses<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let found = py.detach(|| self.core.losses());
        let each = |loss: Loss| {
            let dict = PyDict::new(py);
            dict.set_item("step", loss.step)?;
            dict.set_item("what", loss.what.name())?;
            dict.set_item("text", loss.what.to_string())?;
            Ok(dict)
        };
        let found = found.map_err(|error| refused(&error))?;
        found.into_iter().map(each).collect()
    }

    /// What the program has written, in order: a dict each, with `step`, which wrote it (None if that is not known), `thread` and `frame` (their numbers in the recording, or None),
    /// `stream` (`"stdout"` or `"stderr"`), `bytes`, and `text`, these as UTF-8, with U+FFFD for what is none.
    fn output<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let chunks = self.core.reader().stream_len();
        let mut all = Vec::new();
        for chunk in 0..chunks {
            let found = py.detach(|| self.core.written_in(chunk));
            for written in found.map_err(|error| refused(&error))? {
                let dict = PyDict::new(py);
                dict.set_item("step", written.step)?;
                dict.set_item("thread", written.thread.map(|thread| thread.0))?;
                dict.set_item("frame", written.frame.map(|frame| frame.0))?;
                dict.set_item("stream", written.name())?;
                dict.set_item("bytes", PyBytes::new(py, &written.bytes))?;
                dict.set_item("text", String::from_utf8_lossy(&written.bytes))?;
                all.push(dict);
            }
        }
        Ok(all)
    }

    /// The steps at which execution came to line `line` of `file`, which may be the end of the path.
    fn hits(&self, py: Python<'_>, file: &str, line: i32) -> PyResult<Vec<u64>> {
        let found = py.detach(|| query::hits(&self.core, file, line, 0, u64::MAX));
        let found = found.map_err(|error| refused(&error))?;
        Ok(found.iter().map(|step| step.number).collect())
    }

    /// How often execution came to line `line` of `file`: taken from the index, however long the recording is.
    fn hit_count(&self, py: Python<'_>, file: &str, line: i32) -> PyResult<u64> {
        let found = py.detach(|| query::hit_count(&self.core, file, line));
        found.map_err(|error| refused(&error))
    }

    /// The last step before `before` at which execution came to line `line` of `file`; None if there is none.
    fn last_hit(
        &self,
        py: Python<'_>,
        file: &str,
        line: i32,
        before: u64,
    ) -> PyResult<Option<u64>> {
        let found = py.detach(|| query::last_hit(&self.core, &[(file, line)], before));
        let found = found.map_err(|error| refused(&error))?;
        Ok(found.map(|step| step.number))
    }

    /// The steps of which everything holds that is given: of a function, of instructions with this name, of a line `(file, line)`, of a thread
    /// (its number in the recording), in a time (nanoseconds since the beginning, from the first up to the second). At most `limit` of them.
    #[pyo3(signature = (*, function=None, opcode=None, line=None, thread=None, time=None, limit=None))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments in Python")]
    fn steps(
        &self,
        py: Python<'_>,
        function: Option<String>,
        opcode: Option<String>,
        line: Option<(String, i32)>,
        thread: Option<u32>,
        time: Option<(u64, u64)>,
        limit: Option<usize>,
    ) -> PyResult<Vec<u64>> {
        let filter = query::Filter {
            function,
            opcode,
            line,
            thread: thread.map(ThreadNumber),
            time: time.map(|(from, to)| from..to),
        };
        let limit = limit.unwrap_or(usize::MAX);
        let found = py.detach(|| {
            let mut found = Vec::new();
            query::steps(&self.core, &filter, 0, u64::MAX, |step| {
                if found.len() >= limit {
                    return ControlFlow::Break(());
                }
                found.push(step.number);
                ControlFlow::Continue(())
            })
            .map(|_| found)
        });
        found.map_err(|error| refused(&error))
    }

    /// Every call of the functions called `function`: dicts with `step`, `kind` (`"function"`, `"generator"`, `"coroutine"`, `"async generator"`), `arguments`,
    /// `yields` (how many items; of a coroutine, how often it was suspended), `yielded` (the first of them, each a step and a value), `outcome` (`"returned"`,
    /// `"raised"`, `"suspended"`, `"running"`), `end` and `value`.
    fn calls<'py>(&self, py: Python<'py>, function: &str) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let found = py.detach(|| query::calls(&self.core, function));
        let found = found.map_err(|error| refused(&error))?;
        let each = |call: query::Call| {
            let dict = PyDict::new(py);
            let arguments = PyDict::new(py);
            for (name, data) in call.arguments {
                arguments.set_item(name, value(py, data)?)?;
            }
            let items = call.yielded.into_iter();
            let items = items.map(|(step, data)| Ok((step, value(py, data)?)));
            let items = items.collect::<PyResult<Vec<_>>>()?;
            let (outcome, end, data) = match call.outcome {
                query::Outcome::Running => ("running", None, None),
                query::Outcome::Suspended => ("suspended", None, None),
                query::Outcome::Returned(step, data) => ("returned", Some(step), Some(data)),
                query::Outcome::Raised(step, data) => ("raised", Some(step), Some(data)),
            };
            dict.set_item("step", call.step)?;
            dict.set_item("frame", call.frame.0)?;
            dict.set_item("kind", call.sort.name())?;
            dict.set_item("arguments", arguments)?;
            dict.set_item("yields", call.yields)?;
            dict.set_item("yielded", items)?;
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

    /// What a place, looked up at `step`, has held: dicts with the `first` and the `last` step before which it was there, and, of the binding that
    /// put it there, what `writes` has.
    fn states<'py>(
        &self,
        py: Python<'py>,
        place: &str,
        step: u64,
    ) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let place = self.place(py, place, step)?;
        let found = py.detach(|| query::states(&self.core, &place));
        let found = found.map_err(|error| refused(&error))?;
        let each = |held: query::Held| {
            let dict = self.write(py, held.write)?;
            dict.set_item("first", held.first)?;
            dict.set_item("last", held.last)?;
            Ok(dict)
        };
        found.into_iter().map(each).collect()
    }

    /// Where the value of a place (a variable, `self.total`, `rows[0]`), or of `stack[N]`, N counted from the top, as seen from the frame that runs at `step`, comes from, hop by hop, at most `hops`
    /// of them: dicts with `step`, `function`, `file`, `line`, `offset` of what produced it, `kind`, `value` and the values of its `operands`.
    #[pyo3(signature = (name, step, hops=20))]
    fn origin<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        step: u64,
        hops: usize,
    ) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let cursor = self.seek(py, step)?;
        let known = cursor
            .state()
            .and_then(|state| Some((state, state.frame()?)));
        let (state, frame) =
            known.ok_or_else(|| PyValueError::new_err("no frame is known there"))?;
        let target = py.detach(|| query::Target::find(&self.core, name, frame, state, step));
        let target = target.map_err(|error| PyValueError::new_err(error.to_string()))?;
        let found = py.detach(|| query::origins_of(&self.core, step, &target, hops));
        let found = found.map_err(|error| refused(&error))?;
        let each = |origin: query::Origin| {
            let dict = self.located(py, Some(origin.step), origin.code, origin.at)?;
            dict.set_item("kind", format!("{:?}", origin.kind).to_lowercase())?;
            dict.set_item("value", value(py, origin.value)?)?;
            let operands = origin.operands.into_iter();
            let operands = operands.map(|operand| value(py, operand.value));
            dict.set_item("operands", operands.collect::<PyResult<Vec<_>>>()?)?;
            dict.set_item("ends", origin.ends.map(query::Why::text))?;
            Ok(dict)
        };
        found.into_iter().map(each).collect()
    }

    /// The first step at which this recording and another one of the same program part: a dict with `step`, `function`, `file`, `line`, `offset`, `what`
    /// (`"ended"`, `"instruction"`, `"stack"`, `"local"`), the `name` of the local or the `slot` of the stack, bottom first, and its values in `this` and in the
    /// `other`; None if they do not part. Identities are not compared.
    fn diff<'py>(&self, py: Python<'py>, other: &Self) -> PyResult<Option<Bound<'py, PyDict>>> {
        let found = py.detach(|| query::diff(&self.core, &other.core));
        let Some(found) = found.map_err(|error| refused(&error))? else {
            return Ok(None);
        };
        let dict = match found.left {
            Some(step) => self.located(py, Some(found.step), step.code, step.at)?,
            None => PyDict::new(py),
        };
        dict.set_item("step", found.step)?;
        let (what, values) = match found.part {
            query::Part::Ended(..) => ("ended", None),
            query::Part::Instruction => ("instruction", None),
            query::Part::Stack(slot, this, other) => {
                dict.set_item("slot", slot)?;
                ("stack", Some((this, other)))
            }
            query::Part::Local(name, this, other) => {
                dict.set_item("name", name)?;
                ("local", Some((this, other)))
            }
        };
        dict.set_item("what", what)?;
        if let Some((this, other)) = values {
            dict.set_item("this", value(py, this)?)?;
            dict.set_item("other", value(py, other)?)?;
        }
        Ok(Some(dict))
    }

    fn __repr__(&self) -> String {
        format!("<debugop.Replay of {:?}>", self.core.reader().path())
    }
}

fn seek(py: Python<'_>, core: &Arc<Core>, step: u64) -> PyResult<Cursor> {
    let mut cursor = core.cursor();
    py.detach(|| cursor.seek(step))
        .map_err(|error| refused(&error))?;
    Ok(cursor)
}

/// The moment just before a step.
pub(crate) fn moment_at(py: Python<'_>, core: &Arc<Core>, step: u64) -> PyResult<Moment> {
    let cursor = seek(py, core, step)?;
    moment(py, &cursor)
}

fn moment(py: Python<'_>, cursor: &Cursor) -> PyResult<Moment> {
    let gone = || PyValueError::new_err("nothing is known there");
    let at = Arc::new(cursor.moment().ok_or_else(gone)?);
    let threads = at.threads();
    let thread = threads
        .iter()
        .find(|(number, _)| *number == at.step().thread);
    let frames = at.frames().iter().enumerate().map(|(index, frame)| {
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
            moment: Arc::clone(&at),
            core: Arc::clone(cursor.recording()),
            index,
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
