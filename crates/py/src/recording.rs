//! `debugop record`: the parsed command line, and a recording that is being made.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use debugop_capture::recorder::{Finished, Limits, Most, Plan, Session, Store, Witness, history};
use debugop_capture::{Engine, Options, Tracer, fork, spawn, toplevel};
use debugop_cli::RecordOptions;
use debugop_filter::{CodeFilter, Libraries, Pattern, Predicate};
use debugop_recording::file::{Parent, tail_path};
use debugop_recording::stream::Value;
use debugop_value::counted;
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyCode, PyDict, PyFrame, PyTuple};
use rustix::io::Errno;

use crate::children;
use crate::main_program::{Described, ReplacedExec, described};
use crate::run::output::Notes;

/// A parsed `debugop record`.
#[pyclass(frozen, module = "debugop._core")]
pub(crate) struct RecordRequest {
    options: Arc<RecordOptions>,
}

impl RecordRequest {
    pub(crate) fn new(options: RecordOptions) -> Self {
        Self {
            options: Arc::new(options),
        }
    }
}

/// A recording's, with the number of the process that makes it.
type Name = (String, u32);

/// A recording that is being made.
#[pyclass(frozen, module = "debugop._core")]
pub(crate) struct Recording {
    /// The file.
    output: Mutex<PathBuf>,
    plan: Plan,
    ring: Option<u64>,
    /// That of the command line.
    options: Option<Arc<RecordOptions>>,
    /// There is no file: the program is only run.
    is_unrecorded: bool,
    session: Mutex<Option<Arc<Session>>>,
    /// Set until it begins.
    store: Mutex<Option<Store>>,
    /// That of the recording which this process makes.
    name: Mutex<Option<Name>>,
    /// That of the program, once it is known.
    exit_status: Mutex<Option<i32>>,
    /// The variable, and where this process has begun, for Pythons that something else starts.
    announced: OnceLock<(OsString, PathBuf)>,
    replaced: ReplacedExec,
    finished: Mutex<Option<Result<Closed, Cut>>>,
    /// Where a witness of the run writes to, and then the witness.
    witnessed: Option<PathBuf>,
    witness: Mutex<Option<(Arc<Tracer>, Arc<Witness>)>>,
}

#[pymethods]
impl RecordRequest {
    /// What is run: (kind, name or text, arguments).
    #[getter]
    fn program(&self) -> Described {
        described(&self.options.program)
    }

    /// Whether child processes are recorded too.
    #[getter]
    fn children(&self) -> bool {
        self.options.output.children
    }

    /// Whether the recording is kept only if the program fails.
    #[getter]
    fn on_exception(&self) -> bool {
        self.options.on_exception
    }

    /// Opens the file. `libraries` are the directories of code that is not the user's own, `own` those of debugop itself.
    ///
    /// Raises OSError if the file cannot be written, RuntimeError if something else is in the way.
    fn open(
        &self,
        py: Python<'_>,
        libraries: Vec<String>,
        own: Vec<String>,
    ) -> PyResult<Recording> {
        Session::check(py)?;
        let recording = self.prepared(libraries, own);
        recording.make(py, self.options.parent.clone())?;
        Ok(recording)
    }

    /// Whether the number of an error says of the file's name that it cannot be meant; of another it might have been.
    #[expect(clippy::unused_self, reason = "asked of what refuses to open it")]
    fn is_wrong_path(&self, errno: Option<i32>) -> bool {
        let wrong = [
            Errno::NOENT,
            Errno::NOTDIR,
            Errno::ISDIR,
            Errno::ACCESS,
            Errno::PERM,
            Errno::ROFS,
            Errno::NAMETOOLONG,
            Errno::LOOP,
            Errno::INVAL,
            Errno::NXIO,
        ];
        errno.is_some_and(|errno| wrong.iter().any(|wrong| wrong.raw_os_error() == errno))
    }

    /// What stands in for a recording that cannot be made: it runs the program, and records nothing.
    fn unrecorded(&self) -> Recording {
        Recording {
            is_unrecorded: true,
            ..self.prepared(Vec::new(), Vec::new())
        }
    }
}

impl RecordRequest {
    fn prepared(&self, libraries: Vec<String>, own: Vec<String>) -> Recording {
        let options = &self.options;
        let directories = libraries;
        let filter = CodeFilter {
            functions: options.functions.clone(),
            ..options.filters.with(Libraries { directories, own })
        };
        let limits = Limits {
            items: options.limits.items,
            length: options.limits.length,
            bits: options.limits.bits,
            depth: options.limits.depth,
            chunk: options.limits.chunk.unwrap_or(usize::MAX),
        };
        let plan = Plan {
            filter,
            limits,
            redact: options.redact.clone(),
            most: Most {
                depth: options.depth,
                steps: options.limit,
            },
            with_tracers: options.witness.is_some(),
        };
        let output = options.output.of(std::process::id());
        Recording {
            options: Some(Arc::clone(options)),
            witnessed: options.witness.clone(),
            ..Recording::new(output, plan, options.ring)
        }
    }
}

impl Recording {
    fn new(output: PathBuf, plan: Plan, ring: Option<u64>) -> Self {
        Self {
            output: Mutex::new(output),
            plan,
            ring,
            options: None,
            is_unrecorded: false,
            session: Mutex::default(),
            store: Mutex::default(),
            name: Mutex::default(),
            exit_status: Mutex::default(),
            announced: OnceLock::new(),
            replaced: ReplacedExec::default(),
            finished: Mutex::default(),
            witnessed: None,
            witness: Mutex::default(),
        }
    }

    /// Makes the file.
    fn make(&self, py: Python<'_>, parent: Option<Name>) -> PyResult<()> {
        let output = self.output();
        let parent = parent.map(|(uuid, pid)| Parent { uuid, pid });
        let store = Store::create(py, &output, self.ring, &self.plan.limits, parent)?;
        if let Ok(mut name) = self.name.lock() {
            *name = Some((store.uuid().to_string(), std::process::id()));
        }
        if let Ok(mut own) = self.store.lock() {
            *own = Some(store);
        }
        Ok(())
    }

    fn output(&self) -> PathBuf {
        let output = self.output.lock();
        output.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What those are told that this process starts.
    fn name(&self) -> Option<Name> {
        self.name.lock().ok()?.clone()
    }

    fn start(&self, py: Python<'_>, attach: bool) -> PyResult<Arc<Session>> {
        let store = self.store.lock().ok().and_then(|mut store| store.take());
        let Some(store) = store else {
            return Err(PyRuntimeError::new_err("this recording has begun already"));
        };
        fork::watch();
        let notes = Notes::open();
        let left_out = Arc::new(move |what: &str| notes.say(&format!("not recorded: {what}")));
        let session = Arc::new(Session::start(
            py,
            store,
            self.plan.clone(),
            left_out,
            attach,
        )?);
        if let Ok(mut own) = self.session.lock() {
            *own = Some(Arc::clone(&session));
        }
        Ok(session)
    }

    fn take_session(&self) -> Option<Arc<Session>> {
        self.session
            .lock()
            .ok()
            .and_then(|mut session| session.take())
    }
}

#[pymethods]
impl Recording {
    /// The file.
    #[getter]
    fn path(&self) -> OsString {
        self.output().into_os_string()
    }

    /// What is to be said at the end; None before it.
    #[getter]
    fn said(&self, py: Python<'_>) -> Option<String> {
        let finished = self.finished.lock().ok()?.clone();
        let Closed {
            records,
            values,
            elapsed,
            size,
        } = match finished? {
            Ok(closed) => closed,
            Err(cut) => return Some(py.detach(|| self.kept(&cut))),
        };
        // The records tell only which sites have fired.
        let output = self.output();
        let steps = py.detach(|| {
            let recording = debugop_replay::Recording::open(&output).ok()?;
            recording.count_or_estimate(MOST_COUNTED).ok()
        });
        let steps = match steps {
            // A ring has dropped the others.
            Some((steps, _)) if self.ring.is_some() => {
                format!("about {} kept, ", counted(rounded(steps), "step"))
            }
            Some((steps, true)) => format!("{}, ", counted(steps, "step")),
            Some((steps, false)) => format!("about {}, ", counted(rounded(steps), "step")),
            None => String::new(),
        };
        let (path, seconds) = (output.display(), elapsed.as_secs_f64());
        Some(format!(
            "recorded {path}: {steps}{} with {} in {seconds:.2} s, {}",
            counted(records, "record"),
            counted(values, "value"),
            counted(size, "byte"),
        ))
    }

    /// Begins to record, and returns the copy of the main program's code that `execute` is to run. `sources` are the texts of code that
    /// has no file, by file name.
    fn begin<'py>(
        &self,
        py: Python<'py>,
        code: &Bound<'py, PyCode>,
        sources: Vec<(String, String)>,
    ) -> PyResult<Bound<'py, PyCode>> {
        if self.is_unrecorded {
            return Ok(code.clone());
        }
        if let Ok(mut store) = self.store.lock()
            && let Some(store) = &mut *store
        {
            for (name, text) in sources {
                store.add_source(&name, &text);
            }
        }
        let session = self.start(py, false)?;
        if let Some(path) = &self.witnessed {
            let witness = Witness::new(std::fs::File::create(path)?)?;
            let options = Options {
                wanted: Predicate::Always,
                follow: None,
                limit: None,
                engine: Engine::Inject,
                everywhere: Some(self.plan.filter.clone()),
            };
            let tracer = Tracer::new(Box::new(Arc::clone(&witness)), options);
            tracer.enter(py)?;
            tracer.watch_or_leave(py, code, "__main__")?;
            if let Ok(mut own) = self.witness.lock() {
                *own = Some((tracer, witness));
            }
        }
        session.watch(py, code, "__main__")
    }

    /// Begins to record what is called from now on, and, with `running`, what the frames execute that run already.
    fn begin_here(&self, py: Python<'_>, running: bool) -> PyResult<()> {
        self.start(py, running).map(|_| ())
    }

    /// Calls `function`, as if nothing had called it; what it runs with `exec`, a name in its globals, is the main program.
    /// Returns None, or the exception that came out.
    fn execute_by<'py>(
        slf: &Bound<'py, Self>,
        function: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
    ) -> PyResult<Option<PyErr>> {
        let exec = slf.getattr("exec")?;
        slf.get().replaced.call(exec, function, args)
    }

    /// Stands in for the builtin `exec` where the main program is run.
    fn exec<'py>(
        &self,
        py: Python<'py>,
        code: &Bound<'py, PyCode>,
        globals: &Bound<'py, PyDict>,
    ) -> PyResult<()> {
        self.replaced.put_back(py)?;
        let probed = self.begin(py, code, Vec::new())?;
        toplevel::evaluate(py, &probed, globals).map(|_| ())
    }

    /// Ends recording in a forked child: the file is the parent's.
    fn detach(&self, py: Python<'_>) -> PyResult<()> {
        fork::acknowledge();
        match self.take_session() {
            Some(session) => session.abandon(py),
            None => Ok(()),
        }
    }

    /// Goes on in a forked child with a recording of its own.
    fn restart(slf: &Bound<'_, Self>, py: Python<'_>) -> PyResult<()> {
        let this = slf.get();
        let began = this.session.lock().is_ok_and(|session| session.is_some());
        this.detach(py)?;
        let Some(options) = this.options.as_ref().filter(|_| began) else {
            return Ok(());
        };
        let output = options.output.of_child(std::process::id());
        if let Ok(mut own) = this.output.lock() {
            own.clone_from(&output);
        }
        if let Err(error) = this.make(py, this.name()) {
            if let Ok(mut name) = this.name.lock() {
                *name = None;
            }
            let (path, why) = (output.display(), error.value(py));
            let what =
                format!("the child process is not recorded: {path} cannot be written: {why}");
            Notes::open().say(&what);
            return Ok(());
        }
        this.start(py, false)?;
        if let Some((variable, directory)) = this.announced.get() {
            let value = children::variable_of(&Followed::of(slf.clone().unbind())?, directory);
            spawn::announce_in_forked_child(variable, &value);
        }
        Ok(())
    }

    /// The program's exit status is known: that of `os.waitstatus_to_exitcode`.
    fn ends_with(&self, status: i32) {
        if let Ok(mut own) = self.exit_status.lock() {
            *own = Some(status);
        }
    }

    /// What a variable says of the command of debugop and its options to a Python that a child process starts.
    fn child_variable(slf: Py<Self>) -> PyResult<OsString> {
        let directory = std::env::current_dir().unwrap_or_default();
        Ok(children::variable_of(&Followed::of(slf)?, &directory))
    }

    /// Records the Pythons that this process starts, too. `directory` is where the package `debugop` is; `variable` is the name of what goes to the
    /// environment of other programs.
    #[pyo3(signature = (directory, variable=None))]
    fn follow_children(
        slf: Py<Self>,
        py: Python<'_>,
        directory: OsString,
        variable: Option<OsString>,
    ) -> PyResult<()> {
        if let Some(variable) = &variable {
            let began = std::env::current_dir().unwrap_or_default();
            let _ = slf.get().announced.set((variable.clone(), began));
        }
        children::follow(py, Followed::of(slf)?, directory, variable)
    }

    /// Before a fork: what is recorded is in a shared mapping at once, but the recorder's own thread must not be there.
    fn flush(&self, py: Python<'_>) {
        let session = self.session.lock().ok().and_then(|session| session.clone());
        if let Some(session) = session {
            session.pause(py);
        }
    }

    /// Ends the recording. Returns what went wrong with the file, if anything did.
    fn finish(&self, py: Python<'_>) -> PyResult<Option<String>> {
        let Some(session) = self.take_session() else {
            return Ok(None);
        };
        let witness = self.witness.lock().ok().and_then(|mut own| own.take());
        if let Some((tracer, witness)) = witness {
            tracer.stop(py)?;
            if !witness.finish() {
                return Ok(Some("the witness could not write".to_owned()));
            }
        }
        let Some(finished) = session.stop(py)? else {
            return Ok(Some("the recorder failed and ended early".to_owned()));
        };
        let Finished {
            store,
            records,
            values,
            lost,
            elapsed,
        } = finished;
        let exit_status = self.exit_status.lock().ok().and_then(|status| *status);
        let closed = match store.finish(records, lost, elapsed, exit_status) {
            Ok(size) => Ok(Closed {
                records,
                values,
                elapsed,
                size,
            }),
            Err(error) => Err(Cut {
                why: error.to_string(),
                elapsed,
            }),
        };
        let problem = closed.as_ref().err().map(|cut| cut.why.clone());
        if let Ok(mut finished) = self.finished.lock() {
            *finished = Some(closed);
        }
        Ok(problem)
    }
}

/// So many bytes of the stream are replayed to say how many steps there are: a tenth of a second.
const MOST_COUNTED: u64 = 4 << 20;

/// What is known of a recording when it has ended.
#[derive(Clone, Copy)]
struct Closed {
    records: u64,
    values: u64,
    elapsed: Duration,
    size: u64,
}

/// What is known of one that could not be written to its end.
#[derive(Clone, Debug)]
struct Cut {
    why: String,
    elapsed: Duration,
}

impl Recording {
    /// What is to be said of a recording that could not be written to its end.
    fn kept(&self, cut: &Cut) -> String {
        let output = self.output();
        let (path, why) = (output.display(), &cut.why);
        let found = debugop_replay::Recording::open(&output);
        let kept = found.and_then(|recording| {
            let (steps, is_exact) = recording.count_or_estimate(MOST_COUNTED)?;
            Ok((steps, is_exact, recording.last_time()?))
        });
        let size = output.metadata().map_or(0, |file| file.len());
        match kept {
            Ok((steps, is_exact, time)) if steps > 0 => {
                let steps = match is_exact {
                    true => counted(steps, "step"),
                    false => format!("about {}", counted(rounded(steps), "step")),
                };
                let (seconds, all) = (time as f64 / 1e9, cut.elapsed.as_secs_f64());
                let (size, tail) = (counted(size, "byte"), tail_path(&output));
                let tail = tail.display();
                format!(
                    "the recording is not complete: {why}; it stopped {seconds:.2} s into the {all:.2} s of the program, and {path} ({size}) holds, with {tail}, {steps}"
                )
            }
            _ => {
                format!("the recording is not complete: {why}; nothing of it can be read in {path}")
            }
        }
    }
}

/// A number of which three digits count.
fn rounded(number: u64) -> u64 {
    let unit = 10u64.pow(number.checked_ilog10().unwrap_or(0).saturating_sub(2));
    (number + unit / 2) / unit * unit
}

/// What the Pythons that a recorded process starts are to do as well.
struct Followed {
    recording: Py<Recording>,
    options: Arc<RecordOptions>,
}

impl Followed {
    fn of(recording: Py<Recording>) -> PyResult<Self> {
        let Some(options) = recording.get().options.clone() else {
            return Err(PyValueError::new_err("only for the command line"));
        };
        Ok(Self { recording, options })
    }
}

impl children::Followed for Followed {
    const COMMAND: &str = "record";

    fn child_options(&self, directory: &Path, replaces: bool) -> Vec<OsString> {
        let name = self.recording.get().name();
        self.options.child_options(directory, replaces, name)
    }

    fn end(&self, py: Python<'_>, status: Option<i32>) {
        let recording = self.recording.get();
        if let Some(status) = status {
            // What the system keeps of it.
            recording.ends_with(status & 0xff);
        }
        // Nobody is left who could be told of a failure.
        let _ = recording.finish(py);
    }
}

/// Opens a recording in `path`, which `begin_here` begins.
#[pyfunction]
#[pyo3(signature = (path, *, include, exclude, function, all, redact, items, length, bits, nesting, ring, limit, libraries, own))]
#[expect(
    clippy::too_many_arguments,
    clippy::needless_pass_by_value,
    reason = "named ones, from one place in the package; PyO3 hands over what it extracts"
)]
pub(crate) fn start_recording(
    py: Python<'_>,
    path: PathBuf,
    include: Vec<String>,
    exclude: Vec<String>,
    function: Vec<String>,
    all: bool,
    redact: Vec<String>,
    items: usize,
    length: usize,
    bits: u64,
    nesting: u32,
    ring: Option<u64>,
    limit: Option<u64>,
    libraries: Vec<String>,
    own: Vec<String>,
) -> PyResult<Recording> {
    let patterns = |texts: &[String]| -> PyResult<Vec<Pattern>> {
        let parse = |text: &String| Pattern::new(text);
        let parsed: Result<_, _> = texts.iter().map(parse).collect();
        parsed.map_err(|error| PyValueError::new_err(error.to_string()))
    };
    let directories = libraries;
    let plan = Plan {
        filter: CodeFilter {
            all,
            include: patterns(&include)?,
            exclude: patterns(&exclude)?,
            functions: patterns(&function)?,
            libraries: Libraries { directories, own },
        },
        limits: Limits {
            items,
            length,
            bits,
            depth: nesting.min(8),
            ..Limits::default()
        },
        redact: patterns(&redact)?,
        most: Most {
            depth: None,
            steps: limit,
        },
        with_tracers: false,
    };
    Session::check(py)?;
    let recording = Recording::new(path, plan, ring);
    recording.make(py, None)?;
    Ok(recording)
}

/// Whether this process is recorded just now.
#[pyfunction]
pub(crate) fn is_recording(py: Python<'_>) -> bool {
    debugop_capture::recorder::is_being_made(py)
}

/// Compares a recording with what its witness saw. Returns (steps, slots, unknown, bare, certain, uncertain, uncertain_right, differences, told).
///
/// Raises OSError if one of them cannot be read.
#[pyfunction]
#[expect(
    clippy::type_complexity,
    clippy::needless_pass_by_value,
    reason = "what the annotation says; PyO3 hands over what it extracts"
)]
pub(crate) fn compare_recording(
    py: Python<'_>,
    recording: PathBuf,
    trace: PathBuf,
) -> PyResult<(u64, u64, u64, u64, u64, u64, u64, u64, Vec<String>)> {
    let failed = |error: &dyn std::fmt::Display| PyOSError::new_err(error.to_string());
    let found = py.detach(|| {
        let reader =
            debugop_recording::file::Reader::open(&recording).map_err(|error| failed(&error))?;
        let mut trace = debugop_recording::witness::reader(std::fs::File::open(trace)?)?;
        debugop_replay::witness::compare(&reader, &mut trace).map_err(|error| failed(&error))
    })?;
    Ok((
        found.steps,
        found.slots,
        found.unknown,
        found.bare,
        found.certain,
        found.uncertain,
        found.uncertain_right,
        found.differences,
        found.told,
    ))
}

/// Replays a recording, every slot of every step, or where each is only; returns the number of steps.
///
/// Raises OSError if it cannot be read or replayed to its end.
#[pyfunction]
#[expect(
    clippy::needless_pass_by_value,
    reason = "PyO3 hands over what it extracts"
)]
#[pyo3(signature = (recording, /, *, values=true))]
pub(crate) fn replay_recording(py: Python<'_>, recording: PathBuf, values: bool) -> PyResult<u64> {
    let failed = |error: &dyn std::fmt::Display| PyOSError::new_err(error.to_string());
    py.detach(|| {
        if !values {
            return count_steps(&recording).map_err(|error| failed(&error));
        }
        let reader =
            debugop_recording::file::Reader::open(&recording).map_err(|error| failed(&error))?;
        debugop_replay::witness::replay(&reader).map_err(|error| failed(&error))
    })
}

/// What a reader of packed chunks knows of stores into objects: of each chunk of the stream, in order, the record, the object (None: not known), the kind of the value and its number.
///
/// Raises OSError if the recording cannot be read or replayed.
#[pyfunction]
#[expect(
    clippy::needless_pass_by_value,
    reason = "PyO3 hands over what it extracts"
)]
#[pyo3(signature = (recording, /))]
pub(crate) fn recorded_stores(recording: PathBuf) -> PyResult<Vec<Vec<RecordedStore>>> {
    let failed = |error: &dyn std::fmt::Display| PyOSError::new_err(error.to_string());
    let recording = debugop_replay::Recording::open(&recording).map_err(|error| failed(&error))?;
    let (reader, codes) = (recording.reader(), recording.codes());
    let of_chunk = |index| {
        let stored = reader.stream(index).map_err(|error| failed(&error))?;
        let stores = debugop_replay::packed::stores(codes, &stored.contents);
        let stores = stores.ok_or_else(|| failed(&"a chunk cannot be replayed"))?;
        let shown = stores.into_iter().map(|(record, stored)| {
            let (kind, number) = plain(stored.value);
            (record, stored.object.map(|object| object.0), kind, number)
        });
        Ok(shown.collect())
    };
    (0..reader.stream_len()).map(of_chunk).collect()
}

/// Record, object, kind of the value, number.
type RecordedStore = (usize, Option<u64>, &'static str, i128);

fn plain(value: Value) -> (&'static str, i128) {
    match value {
        Value::None => ("none", 0),
        Value::Bool(bool) => ("bool", bool.into()),
        Value::Ellipsis => ("ellipsis", 0),
        Value::NotImplemented => ("not implemented", 0),
        Value::Int(int) => ("int", int.into()),
        Value::Tagged(int) => ("tagged", int.into()),
        Value::Float(bits) => ("float", bits.into()),
        Value::Object(id) => ("object", id.0.into()),
        // None of the others is ever known.
        _ => ("null", 0),
    }
}

/// Goes through all steps without the values there.
fn count_steps(recording: &Path) -> Result<u64, debugop_replay::OpenError> {
    let recording = Arc::new(debugop_replay::Recording::open(recording)?);
    let mut positions = recording.positions(0)?;
    let mut count = 0;
    while positions.next()?.is_some() {
        count += 1;
    }
    Ok(count)
}

/// Number of a thread; number and code unit of each of its recorded frames, outermost first; whether the last one is that which has stopped.
type Standing = (u32, Vec<(u64, u32)>, bool);

/// This thread has stopped in a debugger, in `frame`, `before` an instruction or in the course of one: nothing of it is recorded until `release_recording`. Returns where it
/// stands; None if nothing of it is recorded.
#[pyfunction]
#[pyo3(signature = (frame, before, /))]
pub(crate) fn hold_recording(
    py: Python<'_>,
    frame: Option<&Bound<'_, PyFrame>>,
    before: bool,
) -> Option<Standing> {
    let standing = history::hold(py, frame, before)?;
    Some((standing.thread, standing.frames, standing.stopped))
}

/// Begins a chunk of the recording that says how things are now that this thread is held: before somebody looks at it.
#[pyfunction]
pub(crate) fn describe_recording(py: Python<'_>) {
    history::describe(py);
}

/// This thread goes on; `changed`: what it sees may be other than when it was held.
#[pyfunction]
#[pyo3(signature = (changed, /))]
pub(crate) fn release_recording(py: Python<'_>, changed: bool) {
    history::release(py, changed);
}

/// Whether trace functions are a debugger's, and not recorded.
#[pyfunction]
#[pyo3(signature = (debugged, /))]
pub(crate) fn recording_is_debugged(py: Python<'_>, debugged: bool) {
    history::debugged(py, debugged);
}
