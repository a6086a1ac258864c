//! A recording for the console: moments whose values can be gone into, and searches for the next or the previous stop.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use debugop_debugger::{Breaks, Event, Motion, Search, SearchError, Stop, Writers};
use debugop_recording::stream::{Contents, FrameNumber, ThreadNumber};
use debugop_replay::query::{self, Place};
use debugop_replay::{Cursor, Loss, Moment, OpenError, Present, Recording as Core, Value};
use pyo3::exceptions::{PyIndexError, PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::progress;
use crate::replay::refused;
use crate::value::Value as Captured;

/// An instruction: offset, name, oparg (None if it takes none), what it stands for, line.
type Described = (u32, &'static str, Option<u32>, String, Option<i32>);

/// A recording that is gone through.
#[pyclass(frozen, module = "debugop._core")]
pub(crate) struct Past {
    core: Arc<Core>,
    /// Where it has been looked last: the next look is near as a rule.
    cursor: Mutex<Cursor>,
    /// The one that the last search has left.
    spare: Arc<Mutex<Option<Cursor>>>,
}

/// The recorded world just before a step.
#[pyclass(frozen, module = "debugop._core")]
pub(crate) struct PastMoment {
    moment: Arc<Moment>,
}

/// A recorded value at a moment, into which one can go.
#[pyclass(frozen, module = "debugop._core")]
pub(crate) struct PastValue {
    moment: Arc<Moment>,
    value: Value,
}

/// A search for the next stop.
#[pyclass(frozen, module = "debugop._core")]
pub(crate) struct PastSearch {
    search: Mutex<Option<Search>>,
    spare: Arc<Mutex<Option<Cursor>>>,
}

impl Drop for PastSearch {
    fn drop(&mut self) {
        let search = self.search.get_mut().map(Option::take);
        if let (Ok(Some(search)), Ok(mut spare)) = (search, self.spare.lock()) {
            *spare = Some(search.into_cursor());
        }
    }
}

fn interrupted(pending: &mut Option<PyErr>) -> bool {
    // A closure: the method itself is not general over lifetimes.
    #[expect(clippy::redundant_closure_for_method_calls)]
    let checked = Python::attach(|py| py.check_signals());
    *pending = checked.err();
    pending.is_some()
}

/// Works without the interpreter, and asks it now and then by [`interrupted`] whether somebody wants it to end. What a signal handler raised then is raised.
fn interruptibly<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&mut Option<PyErr>) -> T + Send,
) -> PyResult<T> {
    let mut pending = None;
    let found = py.detach(|| work(&mut pending));
    pending.map_or(Ok(found), Err)
}

fn motion(name: &str, line: i32) -> PyResult<Motion> {
    Ok(match name {
        "instruction" => Motion::Instruction,
        "instruction over" => Motion::InstructionOver,
        "line" => Motion::Line,
        "line over" => Motion::LineOver,
        "out" => Motion::Out,
        "until" => Motion::Until(line),
        "breaks" => Motion::Breaks,
        _ => return Err(PyValueError::new_err(format!("no motion: {name:?}"))),
    })
}

fn event_name(event: Event) -> &'static str {
    match event {
        Event::Call => "call",
        Event::Line => "line",
        Event::Return => "return",
        Event::Yield => "yield",
        _ => "instruction",
    }
}

impl Past {
    fn moment(&self, py: Python<'_>, step: u64) -> PyResult<Arc<Moment>> {
        let found = py.detach(|| {
            let mut cursor = self.cursor.lock().unwrap_or_else(PoisonError::into_inner);
            let here = cursor.step().map(|step| step.number);
            match here {
                Some(here) if here == step => {}
                Some(here) if here == step + 1 => {
                    cursor.previous()?;
                }
                _ => {
                    cursor.seek(step)?;
                }
            }
            Ok::<_, OpenError>(cursor.moment())
        });
        let moment = found.map_err(|error| refused(&error))?;
        let gone = || PyIndexError::new_err(format!("there is no step {step}"));
        Ok(Arc::new(moment.ok_or_else(gone)?))
    }

    fn place(&self, moment: &Moment, frame: usize, text: &str) -> PyResult<Place> {
        let frame = known_frame(moment, frame)?;
        let step = moment.step().number;
        let place = Place::find(&self.core, text, frame, moment.state(), step);
        place.map_err(|error| PyValueError::new_err(error.to_string()))
    }
}

#[pymethods]
impl Past {
    /// Opens the recording at `path`. OSError: it cannot be read. ValueError: it is none, or damaged. `present` is where a thread of this process stands that is
    /// recorded there: its last step is the one that it is about to execute.
    ///
    /// `before`: this recording, opened before it went on; what has been found out about it need not be found out again.
    #[new]
    #[pyo3(signature = (path, present=None, before=None))]
    fn open(
        py: Python<'_>,
        path: PathBuf,
        present: Option<(u32, Vec<(u64, u32)>)>,
        before: Option<&Bound<'_, Self>>,
    ) -> PyResult<Self> {
        let before = before.map(|before| Arc::clone(&before.get().core));
        let core = py.detach(|| match present {
            Some((thread, frames)) => {
                let frames = frames.into_iter();
                let frames = frames.map(|(number, unit)| (FrameNumber(number), unit));
                let present = Present {
                    thread: ThreadNumber(thread),
                    frames: frames.collect(),
                };
                match before {
                    Some(before) => before.reopen_at(present),
                    None => Core::open_at(&path, present),
                }
            }
            None => Core::open(&path),
        });
        let core = core.map_err(|error| refused(&error))?;
        let core = Arc::new(core.with_progress(move |done| progress::tell(&path, done)));
        let cursor = Mutex::new(core.cursor());
        let spare = Arc::default();
        Ok(Self {
            core,
            cursor,
            spare,
        })
    }

    /// The number of steps.
    #[getter]
    fn steps(&self, py: Python<'_>) -> PyResult<u64> {
        py.detach(|| self.core.len())
            .map_err(|error| refused(&error))
    }

    /// The command line of the run, the interpreter's version, how it ended: `(command, version, exit status or None)`.
    #[getter]
    fn run(&self) -> (Vec<String>, (u32, u32, u32), Option<i32>) {
        let reader = self.core.reader();
        let header = reader.header();
        let status = reader.summary().and_then(|summary| summary.exit_status);
        (
            header.command.clone(),
            header.interpreter.version.into(),
            status,
        )
    }

    /// The source files that it holds, by `co_filename`: their bytes.
    fn sources(&self) -> Vec<(String, Vec<u8>)> {
        // Damaged sources are as if they had not been recorded.
        let sources = self.core.reader().sources().unwrap_or_default();
        let each = |source: debugop_recording::file::Source| {
            let name = String::from_utf8_lossy(&source.filename).into_owned();
            (name, source.text)
        };
        sources.into_iter().map(each).collect()
    }

    /// The recorded code objects: number, `co_filename`, `co_qualname`, first line, and the lines that have instructions.
    fn codes(&self) -> Vec<(u32, String, String, i32, Vec<i32>)> {
        let each = |code: &Arc<debugop_replay::Code>| {
            let count = code.analysis().instructions().len() as u32;
            let all = (0..count).map(debugop_bytecode::InstrIdx);
            let mut lines: Vec<i32> = all
                .filter(|at| code.is_step(*at) && !begins(code, *at))
                .filter_map(|at| code.line(at))
                .collect();
            lines.sort_unstable();
            lines.dedup();
            let data = code.data();
            let first = data.first_line;
            (data.number, code.filename(), code.qualname(), first, lines)
        };
        self.core.codes().iter().map(each).collect()
    }

    /// The instructions of a code object.
    fn instructions(&self, code: u32) -> Vec<Described> {
        let Some(code) = self.core.codes().get(code) else {
            return Vec::new();
        };
        let info = debugop_report::replayed::Described::default().of(code);
        let each = |one: &debugop_report::InstructionInfo| {
            let name = one.opcode.name(code.version());
            let line = one.location.line;
            (one.offset, name, one.arg, one.argrepr.to_string(), line)
        };
        info.instructions().iter().map(each).collect()
    }

    /// What is not in the recording: the step before which it is missing, and what it is.
    fn losses(&self, py: Python<'_>) -> PyResult<Vec<(u64, String)>> {
        let found = py.detach(|| self.core.losses());
        let found = found.map_err(|error| refused(&error))?;
        let each = |loss: Loss| (loss.step, loss.what.to_string());
        Ok(found.into_iter().map(each).collect())
    }

    /// The moment just before a step; IndexError if there is none.
    fn at(&self, py: Python<'_>, step: u64) -> PyResult<PastMoment> {
        let moment = self.moment(py, step)?;
        Ok(PastMoment { moment })
    }

    /// A search from a step on.
    ///
    /// `motion` is one of "instruction", "instruction over", "line", "line over", "out", "until" (with `line`), "breaks". `lines` are files
    /// and lines, `instructions` code objects and offsets, `places` steps, frames (counted from the outermost) and places as seen from them.
    #[pyo3(signature = (step, motion, backwards, *, line=0, lines=Vec::new(), instructions=Vec::new(), places=Vec::new(), exceptions=false))]
    #[expect(clippy::too_many_arguments, reason = "by keyword, in Python")]
    fn search(
        &self,
        py: Python<'_>,
        step: u64,
        motion: &str,
        backwards: bool,
        line: i32,
        lines: Vec<(String, i32)>,
        instructions: Vec<(u32, u32)>,
        places: Vec<(u64, usize, String)>,
        exceptions: bool,
    ) -> PyResult<PastSearch> {
        let motion = self::motion(motion, line)?;
        let mut breaks = Breaks::default();
        for (file, line) in lines {
            breaks.line(&self.core, &file, line);
        }
        for (code, offset) in instructions {
            breaks.instruction(&self.core, code, offset);
        }
        for (step, frame, text) in places {
            let moment = self.moment(py, step)?;
            breaks.place(self.place(&moment, frame, &text)?);
        }
        if exceptions {
            breaks.exceptions();
        }
        let spare = self.spare.lock().ok().and_then(|mut spare| spare.take());
        let cursor = spare.unwrap_or_else(|| self.core.cursor());
        let search = py.detach(|| Search::new(cursor, step, motion, backwards, breaks));
        let search = search.map_err(|error| refused(&error))?;
        Ok(PastSearch {
            search: Mutex::new(Some(search)),
            spare: Arc::clone(&self.spare),
        })
    }

    /// The last exception that has left a frame with which a thread, or the recording, ended: `(step that raised it, exception)`.
    fn failure(&self, py: Python<'_>) -> PyResult<Option<(u64, Captured)>> {
        let found = py.detach(|| {
            let length = self.core.len()?;
            let firsts = self.core.firsts()?;
            let index = firsts.len().saturating_sub(2);
            let last = firsts.get(index.saturating_sub(1)).copied().unwrap_or(0);
            query::exceptions(&self.core, last, length)
        });
        let found = found.map_err(|error| refused(&error))?;
        let left = found
            .into_iter()
            .rev()
            .find(|exception| exception.unwound > exception.handlers.len() as u64);
        Ok(left.and_then(|exception| Some((exception.step?, exception.exception.into()))))
    }

    /// The steps that have raised an exception which nothing has handled, in order.
    fn uncaught(&self, py: Python<'_>) -> PyResult<Vec<u64>> {
        let found = py.detach(|| query::exceptions(&self.core, 0, self.core.len()?));
        let found = found.map_err(|error| refused(&error))?;
        let uncaught = found.into_iter().filter(|exception| exception.uncaught);
        let mut steps: Vec<u64> = uncaught.filter_map(|exception| exception.step).collect();
        steps.sort_unstable();
        Ok(steps)
    }

    /// Checks that a text names a place as seen from a frame; ValueError says why not.
    fn check_place(&self, py: Python<'_>, step: u64, frame: usize, text: &str) -> PyResult<()> {
        let moment = self.moment(py, step)?;
        self.place(&moment, frame, text).map(|_| ())
    }

    /// The value that a global variable of the file of a frame has at a step, where that is known: what was bound last.
    ///
    /// KeyError: it was bound nowhere in the recording before.
    fn global_value(
        &self,
        py: Python<'_>,
        step: u64,
        file: &str,
        name: &str,
    ) -> PyResult<PastValue> {
        let place = Place::Global(file.to_owned(), name.to_owned());
        let found = interruptibly(py, |pending| self.last_write(&place, step, pending))?;
        let missing = || PyKeyError::new_err(name.to_owned());
        let (moment, value) = found
            .map_err(|error| refused(&error))?
            .ok_or_else(missing)?;
        Ok(PastValue { moment, value })
    }

    /// Every binding of a place as seen from a frame, as `Replay.writes`, from step `from` on up to and without `to`.
    fn writes<'py>(
        &self,
        py: Python<'py>,
        step: u64,
        frame: usize,
        text: &str,
        to: u64,
    ) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let moment = self.moment(py, step)?;
        let place = self.place(&moment, frame, text)?;
        let found = interruptibly(py, |pending| {
            let mut all = Vec::new();
            let writers = Writers::new(&self.core, &place);
            for (chunk, range) in self.core.firsts()?.windows(2).enumerate() {
                if interrupted(pending) || range[0] >= to {
                    break;
                }
                if !writers.may_be_in(&self.core, chunk)? {
                    continue;
                }
                let end = range[1].min(to);
                all.extend(query::writes(&self.core, &place, range[0], end)?);
            }
            Ok(all)
        })?;
        let found = found.map_err(|error: OpenError| refused(&error))?;
        let each = |write: query::Write| {
            let dict = PyDict::new(py);
            dict.set_item("step", write.step)?;
            located(&dict, &self.core, write.code, write.at)?;
            dict.set_item("how", format!("{:?}", write.how).to_lowercase())?;
            dict.set_item("value", write.value.map(Captured::from))?;
            Ok(dict)
        };
        found.into_iter().map(each).collect()
    }

    /// Where the value of a place, or of `stack[N]`, as seen from a frame, comes from, hop by hop, at most `most`.
    fn origin<'py>(
        &self,
        py: Python<'py>,
        step: u64,
        frame: usize,
        name: &str,
        most: usize,
    ) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let moment = self.moment(py, step)?;
        let frame = known_frame(&moment, frame)?;
        let target = query::Target::find(&self.core, name, frame, moment.state(), step);
        let target = target.map_err(|error| PyValueError::new_err(error.to_string()))?;
        let found = py.detach(|| query::origins_of(&self.core, step, &target, most));
        let found = found.map_err(|error| refused(&error))?;
        let each = |origin: query::Origin| {
            let dict = PyDict::new(py);
            dict.set_item("step", origin.step)?;
            located(&dict, &self.core, origin.code, origin.at)?;
            dict.set_item("kind", format!("{:?}", origin.kind).to_lowercase())?;
            dict.set_item("ends", origin.ends.map(query::Why::text))?;
            dict.set_item("value", Captured::from(origin.value))?;
            Ok(dict)
        };
        found.into_iter().map(each).collect()
    }
}

impl Past {
    /// The moment after a place was last bound before a step, with what it was bound to.
    fn last_write(
        &self,
        place: &Place,
        step: u64,
        pending: &mut Option<PyErr>,
    ) -> Result<Option<(Arc<Moment>, Value)>, OpenError> {
        let writers = Writers::new(&self.core, place);
        let firsts = self.core.firsts()?;
        let from = self.core.known_from(step)?;
        for (chunk, range) in firsts.windows(2).enumerate().rev() {
            if range[0] < from {
                // It may have got another value in steps that are missing.
                break;
            }
            if range[0] >= step || !writers.may_be_in(&self.core, chunk)? {
                continue;
            }
            if interrupted(pending) {
                return Ok(None);
            }
            let end = range[1].min(step);
            let Some(write) = query::writes(&self.core, place, range[0], end)?.pop() else {
                continue;
            };
            let mut cursor = self.core.cursor();
            cursor.seek(write.step)?;
            let moment = cursor.moment();
            let bound = moment.as_ref().and_then(|moment| {
                let frame = moment.frames().last()?;
                (write.how == query::How::Bound).then(|| frame.stack().last())?
            });
            return Ok(moment
                .zip(bound)
                .map(|(moment, value)| (Arc::new(moment), value)));
        }
        Ok(None)
    }
}

fn known_frame(moment: &Moment, frame: usize) -> PyResult<&debugop_replay::Frame> {
    let frame = moment.frames().get(frame);
    frame.ok_or_else(|| PyIndexError::new_err("there is no such frame"))
}

fn begins(code: &debugop_replay::Code, at: debugop_bytecode::InstrIdx) -> bool {
    let instruction = code.analysis().get(at);
    instruction.opcode.name(code.version()) == "RESUME"
}

/// `function`, `file`, `line`, `offset` and `opname` of an instruction.
pub(crate) fn located(
    dict: &Bound<'_, PyDict>,
    core: &Core,
    code: u32,
    at: debugop_bytecode::InstrIdx,
) -> PyResult<()> {
    if let Some(code) = core.codes().get(code) {
        dict.set_item("function", code.qualname())?;
        dict.set_item("file", code.filename())?;
        dict.set_item("line", code.line(at))?;
        dict.set_item("offset", code.offset(at))?;
        dict.set_item(
            "opname",
            code.analysis().get(at).opcode.name(code.version()),
        )?;
    }
    Ok(())
}

#[pymethods]
impl PastSearch {
    /// The next place to stop at, a dict with `step`, `event`, `reached`, `breakpoint`, `raised` and `changes`; None at the recording's end.
    ///
    /// KeyboardInterrupt, and what other signal handlers raise, ends it.
    fn find<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let mut pending = None;
        let found = py.detach(|| {
            let mut search = self.search.lock().unwrap_or_else(PoisonError::into_inner);
            match search.as_mut() {
                Some(search) => search.find(&mut || interrupted(&mut pending)),
                None => Ok(None),
            }
        });
        match (found, pending) {
            (_, Some(error)) => Err(error),
            (Ok(None), None) => Ok(None),
            (Ok(Some(stop)), None) => told(py, stop).map(Some),
            (Err(SearchError::Open(error)), None) => Err(refused(&error)),
            (Err(SearchError::Interrupted), None) => Ok(None),
        }
    }
}

fn told(py: Python<'_>, stop: Stop) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("step", stop.step)?;
    dict.set_item("event", event_name(stop.event))?;
    dict.set_item("reached", stop.reached)?;
    dict.set_item("breakpoint", stop.breakpoint)?;
    dict.set_item("raised", stop.raised.map(Captured::from))?;
    let mut changes = Vec::new();
    for change in stop.changes {
        let how = format!("{:?}", change.how).to_lowercase();
        changes.push((
            change.place,
            change.step,
            how,
            change.before.map(Captured::from),
            change.value.map(Captured::from),
        ));
    }
    dict.set_item("changes", changes)?;
    Ok(dict)
}

#[pymethods]
impl PastMoment {
    /// The number of the step.
    #[getter]
    fn step(&self) -> u64 {
        self.moment.step().number
    }

    /// Nanoseconds since the recording began, as of the last time that was noted.
    #[getter]
    fn time(&self) -> u64 {
        self.moment.time()
    }

    /// The threads: number, the system's number, name, whether it runs, and `(file, line, function)` of each of its frames, outermost first.
    #[getter]
    #[expect(clippy::type_complexity, reason = "it becomes tuples in Python")]
    fn threads(&self) -> Vec<(u32, u64, String, bool, Vec<(String, Option<i32>, String)>)> {
        let running = self.moment.step().thread;
        let each = |(number, thread): (ThreadNumber, &debugop_replay::Thread)| {
            let frames = thread.frames().iter().map(|frame| {
                let code = frame.code();
                (code.filename(), frame.line(), code.qualname())
            });
            let name = String::from_utf8_lossy(thread.name()).into_owned();
            let frames = frames.collect();
            (number.0, thread.native(), name, number == running, frames)
        };
        self.moment.threads().into_iter().map(each).collect()
    }

    /// The frames of the thread that runs, outermost first: number, number of the code object, line, offset.
    #[getter]
    fn frames(&self) -> Vec<(u64, u32, Option<i32>, u32)> {
        let each = |frame: &debugop_replay::Frame| {
            let code = frame.code();
            let offset = code.offset(frame.at()).unwrap_or(0);
            (frame.number().0, code.data().number, frame.line(), offset)
        };
        self.moment.frames().iter().map(each).collect()
    }

    /// The local, cell and free variables of a frame, by name: those that are bound. `arguments`: the parameters only.
    #[pyo3(signature = (frame, arguments=false))]
    fn locals<'py>(
        &self,
        py: Python<'py>,
        frame: usize,
        arguments: bool,
    ) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        let Some(frame) = self.moment.frames().get(frame) else {
            return Ok(dict);
        };
        let code = frame.code();
        let count = match arguments {
            true => code.locals().arguments,
            false => code.locals().slots,
        };
        for (slot, value) in (0..count).zip(frame.locals()) {
            let value = match value {
                Value::Object(id) if code.holds_cell(slot) => {
                    let object = self.moment.object(id);
                    object.and_then(|object| object.cell).unwrap_or(value)
                }
                value => value,
            };
            if value != Value::Null {
                let name = code.local_name(slot).unwrap_or_default();
                dict.set_item(name, self.value(value))?;
            }
        }
        Ok(dict)
    }

    /// The value stack of a frame, bottom first.
    fn stack(&self, frame: usize) -> Vec<PastValue> {
        let frame = self.moment.frames().get(frame);
        frame.map_or_else(Vec::new, |frame| {
            frame.stack().map(|value| self.value(value)).collect()
        })
    }
}

impl PastMoment {
    fn value(&self, value: Value) -> PastValue {
        PastValue {
            moment: Arc::clone(&self.moment),
            value,
        }
    }
}

impl PastValue {
    fn part(&self, value: Value) -> Self {
        Self {
            moment: Arc::clone(&self.moment),
            value,
        }
    }

    fn contents(&self) -> Option<&Contents> {
        let Value::Object(id) = self.value else {
            return None;
        };
        self.moment.object(id)?.contents
    }
}

#[pymethods]
impl PastValue {
    /// Everything that was captured of it, as data.
    #[getter]
    fn data(&self) -> Captured {
        self.moment.value(self.value).into()
    }

    /// The step at which it is known.
    #[getter]
    fn step(&self) -> u64 {
        self.moment.step().number
    }

    /// Its identity in the recording; None for what has none.
    #[getter]
    fn id(&self) -> Option<u64> {
        match self.value {
            Value::Object(id) => Some(id.0),
            _ => None,
        }
    }

    /// Whether nothing can have changed its contents since they were looked at.
    #[getter]
    fn certain(&self) -> bool {
        match self.value {
            Value::Object(id) => self.moment.object(id).is_none_or(|object| object.certain),
            _ => true,
        }
    }

    /// How many items it really has; None if it is no container, or that is not known.
    #[getter]
    fn length(&self) -> Option<u64> {
        match self.contents()? {
            Contents::Bytes { length, .. } => Some(*length),
            contents => {
                let pairs = || contents.pairs().map(|pairs| pairs.length);
                contents.items().map(|items| items.length).or_else(pairs)
            }
        }
    }

    /// The same object at another moment, if that knows of it.
    fn at(&self, moment: &PastMoment) -> Self {
        let value = self.value;
        match value {
            Value::Object(id)
                if moment
                    .moment
                    .object(id)
                    .is_some_and(|found| found.contents.is_some()) =>
            {
                moment.value(value)
            }
            _ => self.part(value),
        }
    }

    /// An attribute, as far as it was captured.
    fn attribute(&self, name: &str) -> Option<Self> {
        let Value::Object(id) = self.value else {
            return None;
        };
        let found = self.moment.state().attribute(id, name)?;
        Some(self.part(found))
    }

    /// The items that were captured: of a list, tuple, set or frozenset; None for other values.
    fn items(&self) -> Option<Vec<Self>> {
        let items = self.contents()?.items()?;
        let each = |item: &debugop_recording::stream::Value| self.part((*item).into());
        Some(items.items.iter().map(each).collect())
    }

    /// The pairs of a dict, or names and values of attributes, that were captured; None for other values.
    fn pairs(&self) -> Option<Vec<(Self, Self)>> {
        let pairs = self.contents()?.pairs()?.pairs.iter();
        Some(
            pairs
                .map(|&(key, value)| (self.part(key.into()), self.part(value.into())))
                .collect(),
        )
    }

    /// Whether two names stand for the same object; None if that is not known.
    fn is_same(&self, other: &Self) -> Option<bool> {
        let unknown = |value: &Value| {
            matches!(
                value,
                Value::Unknown(_) | Value::Pending | Value::Redacted | Value::Constant(..)
            )
        };
        if unknown(&self.value) || unknown(&other.value) {
            return None;
        }
        Some(match (self.value, other.value) {
            (Value::Object(one), Value::Object(with)) if one != with => {
                let is_doubtful =
                    |moment: &Moment, id| moment.object(id).is_some_and(|object| object.doubtful);
                if is_doubtful(&self.moment, one) || is_doubtful(&other.moment, with) {
                    return None;
                }
                false
            }
            (Value::Object(_), Value::Object(_)) => true,
            (one, with) => one == with || self.moment.value(one) == other.moment.value(with),
        })
    }
}
