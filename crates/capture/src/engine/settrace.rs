//! The engine `settrace`: a C trace function with opcode events, on every thread.
//!
//! Opcode events come for frames whose `f_trace_opcodes` is set, which is done when they start or go on. A `RESUME` has no opcode
//! event; the call event tells of it, and also of exceptions thrown into a generator, which no `RESUME` is executed for. So it
//! is reported with the opcode event that comes next in its frame. That an exception leaves a frame is told without the
//! exception (`call_trace_protected` in `Python/ceval.c` of 3.11, `sys_trace_unwind` in `Python/legacy_tracing.c`), so what was
//! raised last in the frame is remembered.

use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use debugop_bytecode::{InstrIdx, Op};
use pyo3::exceptions::{PyRuntimeError, PySystemError};
use pyo3::types::{PyAnyMethods, PyCode, PyFrame, PyTuple, PyTupleMethods, PyTypeMethods};
use pyo3::{Bound, Py, PyAny, PyResult, Python, ffi};
use rustc_hash::FxHashMap;

use super::{Engine, discover, ended, observed, threads, while_leaving};
use crate::event::Raised;
use crate::frame::{Frame, SlotValue};
use crate::gil::{GilCell, release};
use crate::layout::{FrameObject, ThreadState, VERSION};
use crate::probed::ProbedCode;
use crate::thread;
use crate::tracer::Tracer;
use crate::whole;

/// Those who use the engine.
static TRACERS: GilCell<Vec<Arc<Tracer>>> = GilCell::new(Vec::new());

/// What is known of frames between two events, by address.
#[derive(Default)]
struct Frames {
    /// The RESUME that the frame goes on with.
    resumes: FxHashMap<usize, InstrIdx>,
    /// The exception that was raised last, until the frame executes something.
    raised: FxHashMap<usize, Py<PyAny>>,
}

static FRAMES: GilCell<Option<Frames>> = GilCell::new(None);

fn frames<R>(py: Python<'_>, f: impl FnOnce(&mut Frames) -> R) -> R {
    FRAMES.with(py, |frames| f(frames.get_or_insert_with(Frames::default)))
}

unsafe extern "C" {
    /// The exception being handled: a new reference, or NULL (`Python/errors.c`, 3.11+).
    fn PyErr_GetHandledException() -> *mut ffi::PyObject;
    /// A frame that is not going to run (`Objects/frameobject.c`).
    fn PyFrame_New(
        state: *mut ffi::PyThreadState,
        code: *mut ffi::PyObject,
        globals: *mut ffi::PyObject,
        locals: *mut ffi::PyObject,
    ) -> *mut ffi::PyObject;
    #[cfg(not(Py_3_12))]
    fn _PyEval_SetTrace(
        state: *mut ffi::PyThreadState,
        function: Option<ffi::Py_tracefunc>,
        argument: *mut ffi::PyObject,
    ) -> c_int;
    #[cfg(Py_3_12)]
    fn PyEval_SetTraceAllThreads(function: Option<ffi::Py_tracefunc>, argument: *mut ffi::PyObject);
}

/// What a thread's trace function is.
enum Function {
    None,
    Own,
    /// Somebody else's: what it is called with, in words.
    Other(String),
}

fn function_of(py: Python<'_>, state: *mut ffi::PyThreadState) -> Function {
    // SAFETY: a live thread state (`thread::states`); the field is that of the layout, checked against the headers.
    let function = unsafe { (*state.cast::<ThreadState>()).c_tracefunc };
    if function.is_null() {
        return Function::None;
    }
    if std::ptr::eq(function, trace as *const () as *mut c_void) {
        return Function::Own;
    }
    let words = whole::trace_object(py, state).map_or_else(
        || "written in C".to_owned(),
        |object| {
            let class = object.get_type();
            let module = class.module().map(|name| name.to_string());
            let name = class.qualname().map(|name| name.to_string());
            format!(
                "a {}.{}",
                module.unwrap_or_default(),
                name.unwrap_or_default()
            )
        },
    );
    Function::Other(words)
}

/// `tracer` begins to use the engine.
///
/// # Errors
/// RuntimeError: a thread has a trace function already; CPython allows one.
pub(super) fn enter(py: Python<'_>, tracer: &Arc<Tracer>) -> PyResult<()> {
    let first = TRACERS.with(py, |tracers| tracers.is_empty());
    if first {
        for state in thread::states(py) {
            if let Function::Other(words) = function_of(py, state) {
                return Err(PyRuntimeError::new_err(format!(
                    "the engine settrace needs the trace function of every thread, and one has a trace function already: {words}"
                )));
            }
        }
    }
    TRACERS.with(py, |tracers| tracers.push(Arc::clone(tracer)));
    if first {
        announce_opcodes(py)?;
        install(py)?;
        threads::watch(py)?;
    }
    Ok(())
}

/// 3.12 asks for opcode events when a trace function is set, if some frame wanted them before (gh-114480).
fn announce_opcodes(py: Python<'_>) -> PyResult<()> {
    if cfg!(all(Py_3_12, not(Py_3_13)))
        && let Some(frame) = Frame::current(py).and_then(|frame| frame.object(py))
    {
        let before = frame.getattr("f_trace_opcodes")?;
        frame.setattr("f_trace_opcodes", true)?;
        frame.setattr("f_trace_opcodes", before)?;
    }
    Ok(())
}

/// Sets the trace function of every thread that has none.
pub(super) fn install(py: Python<'_>) -> PyResult<()> {
    set_all(py, Some(trace))
}

#[cfg(not(Py_3_12))]
fn set_all(py: Python<'_>, function: Option<ffi::Py_tracefunc>) -> PyResult<()> {
    for state in thread::states(py) {
        let replace = match function_of(py, state) {
            Function::None => function.is_some(),
            Function::Own => function.is_none(),
            Function::Other(_) => false,
        };
        // SAFETY: a live thread state, with the GIL held; NULL as argument is what `sys.gettrace` shows as None.
        if replace && unsafe { _PyEval_SetTrace(state, function, std::ptr::null_mut()) } < 0 {
            return Err(pyo3::PyErr::fetch(py));
        }
    }
    Ok(())
}

/// There is no exported function for one other thread, so a thread with a trace function of its own keeps all from being set.
#[cfg(Py_3_12)]
fn set_all(py: Python<'_>, function: Option<ffi::Py_tracefunc>) -> PyResult<()> {
    let states = thread::states(py);
    let other = states
        .iter()
        .any(|&state| matches!(function_of(py, state), Function::Other(_)));
    // SAFETY: the thread is attached; NULL as argument is what `sys.gettrace` shows as None.
    unsafe {
        if !other {
            PyEval_SetTraceAllThreads(function, std::ptr::null_mut());
        } else if !matches!(
            function_of(py, ffi::PyThreadState_Get()),
            Function::Other(_)
        ) {
            ffi::PyEval_SetTrace(function, std::ptr::null_mut());
        }
    }
    if pyo3::PyErr::occurred(py) {
        return Err(pyo3::PyErr::fetch(py));
    }
    Ok(())
}

/// `tracer` uses the engine no more; with the last one the trace functions are taken away.
pub(super) fn leave(py: Python<'_>, tracer: &Arc<Tracer>) -> PyResult<()> {
    let (gone, unused) = TRACERS.with(py, |tracers| {
        let at = tracers.iter().position(|one| Arc::ptr_eq(one, tracer));
        let gone = at.map(|at| tracers.remove(at));
        (gone, tracers.is_empty())
    });
    if gone.is_some() && unused {
        threads::forget(py);
        set_all(py, None)?;
        whole::expect_trace_functions(py);
        drop(FRAMES.take(py));
    }
    Ok(())
}

/// Events of `code` are wanted.
#[cfg(Py_3_12)]
pub(super) fn enable(py: Python<'_>, code: &Arc<ProbedCode>) -> PyResult<()> {
    super::shared::set(py, code, None, || {
        if cfg!(Py_3_13) {
            set_opcodes(py, code, true)
        } else {
            Ok(())
        }
    })
}

/// Events of `code` are wanted: `arm` does it.
#[cfg(not(Py_3_12))]
#[expect(clippy::unnecessary_wraps, reason = "later versions can fail")]
pub(super) fn enable(_py: Python<'_>, _code: &Arc<ProbedCode>) -> PyResult<()> {
    Ok(())
}

/// Nobody wants events of `code` any more.
pub(super) fn disable(py: Python<'_>, code: &Arc<ProbedCode>) -> PyResult<()> {
    if cfg!(Py_3_13) {
        return set_opcodes(py, code, false);
    }
    Ok(())
}

/// Since 3.13 opcode events belong to code objects, and a frame's attribute sets them (`_PyEval_SetOpcodeTrace`), if the frame has
/// a trace function. Which frame is all the same, so this makes one that never runs.
fn set_opcodes(py: Python<'_>, code: &Arc<ProbedCode>, on: bool) -> PyResult<()> {
    let globals = pyo3::types::PyDict::new(py);
    let code = code.observed(py);
    // SAFETY: live objects of the right types; the result is a new reference or NULL with an exception.
    let frame = whole::as_it_is(code, || unsafe {
        let frame = PyFrame_New(
            ffi::PyThreadState_Get(),
            code.as_ptr(),
            globals.as_ptr(),
            globals.as_ptr(),
        );
        Bound::from_owned_ptr_or_err(py, frame)
    })?;
    let raw = frame.as_ptr().cast::<FrameObject>();
    // SAFETY: a live frame object that nobody else knows; it owns its reference to its trace function, which is NULL so far.
    unsafe {
        if (*raw).f_trace.is_null() {
            (*raw).f_trace = py.None().into_ptr();
        }
    }
    frame.setattr("f_trace_opcodes", on)
}

/// Makes the interpreter report the opcodes of `frame`, whose code is watched.
pub(super) fn arm(frame: &Bound<'_, PyFrame>) {
    // SAFETY: a live frame object. Before 3.13 the attribute's setter does no more than this, `announce_opcodes` apart, and since
    // 3.13 no more than this and what `set_opcodes` has done for its code.
    unsafe { (*frame.as_ptr().cast::<FrameObject>()).f_trace_opcodes = 1 }
}

/// Events of a trace function (`Include/cpython/pystate.h`).
mod what {
    use std::ffi::c_int;
    pub(super) const CALL: c_int = 0;
    pub(super) const EXCEPTION: c_int = 1;
    pub(super) const RETURN: c_int = 3;
    pub(super) const OPCODE: c_int = 7;
}

/// The trace function.
///
/// # Safety
/// Called by CPython as a `Py_tracefunc`.
extern "C" fn trace(
    _: *mut ffi::PyObject,
    frame: *mut ffi::PyFrameObject,
    event: c_int,
    argument: *mut ffi::PyObject,
) -> c_int {
    // SAFETY: CPython calls trace functions with the thread attached; `frame` is a live frame object, the argument a borrowed
    // reference or NULL.
    let (py, object, argument) = unsafe {
        let py = Python::assume_attached();
        let object = Bound::from_borrowed_ptr(py, frame.cast()).cast_into_unchecked::<PyFrame>();
        (py, object, Bound::from_borrowed_ptr_or_opt(py, argument))
    };
    match catch_unwind(AssertUnwindSafe(|| {
        take(py, &object, event, argument.as_ref())
    })) {
        Ok(Ok(())) => 0,
        Ok(Err(Raised)) => -1,
        Err(_) => {
            PySystemError::new_err("debugop failed inside its trace function").restore(py);
            -1
        }
    }
}

fn take<'py>(
    py: Python<'py>,
    object: &Bound<'py, PyFrame>,
    event: c_int,
    argument: Option<&Bound<'py, PyAny>>,
) -> Result<(), Raised> {
    let Some(frame) = Frame::current(py) else {
        return Ok(());
    };
    let address = frame.code_address();
    let mut entry = observed::find(py, Engine::Settrace, address);
    if entry.is_none() && event == what::CALL {
        let code: Bound<'py, PyCode> = frame.code(py);
        let tracers = TRACERS.cloned(py);
        if discover(py, &tracers, frame, &code).map_err(|error| Raised::set(py, error))? {
            entry = observed::find(py, Engine::Settrace, address);
        }
    }
    let Some(entry) = entry else { return Ok(()) };
    let Some(offset) = frame.instruction_offset() else {
        return Ok(());
    };
    match event {
        what::CALL => {
            arm(object);
            if let Some(at) = entry.observed_at(offset)
                && op(&entry, at) == Some(Op::Resume)
            {
                frames(py, |frames| frames.resumes.insert(frame.address(), at));
            }
            Ok(())
        }
        what::OPCODE => {
            settle(py, &entry, frame)?;
            let Some(at) = instruction_at(&entry, offset) else {
                return Ok(());
            };
            if let Some(exception) = raises_again(py, &entry, frame, at) {
                remember(py, frame, exception);
            }
            entry.fire_step(py, frame, at)?;
            #[cfg(not(Py_3_12))]
            whole::makes(py, &entry, frame, at);
            Ok(())
        }
        what::EXCEPTION => {
            frames(py, |frames| frames.resumes.remove(&frame.address()));
            // (type, value, traceback), normalised (`call_exc_trace`, `sys_trace_exception_func`).
            let value = argument
                .and_then(|argument| argument.cast::<PyTuple>().ok())
                .and_then(|parts| parts.get_item(1).ok());
            if let Some(value) = value {
                remember(py, frame, value);
            }
            Ok(())
        }
        what::RETURN => {
            let raised = frames(py, |frames| {
                frames.resumes.remove(&frame.address());
                frames.raised.remove(&frame.address())
            });
            let suspends = raised.is_none()
                && entry
                    .observed_at(offset)
                    .is_some_and(|at| op(&entry, at) == Some(Op::YieldValue));
            if let (Some(exception), Some(at)) = (raised, entry.observed_at(offset)) {
                let exception = exception.into_bound(py);
                while_leaving(py, frame, exception, || entry.fire_unwind(py, frame, at))?;
            }
            if suspends {
                return Ok(());
            }
            ended(py, &entry).map_err(|error| Raised::set(py, error))
        }
        _ => Ok(()),
    }
}

fn op(entry: &ProbedCode, at: InstrIdx) -> Option<Op> {
    let opcode = entry.analysis().get(at).opcode;
    opcode.info(VERSION).map(|info| info.op)
}

/// The instruction that an opcode event at `offset` tells of: 3.11 has one event for an instruction and its prefixes, at the
/// first prefix; the others one for each unit.
fn instruction_at(entry: &ProbedCode, offset: u32) -> Option<InstrIdx> {
    if cfg!(Py_3_12) {
        entry.analysis().at_offset(entry.original_unit(offset)?)
    } else {
        entry.observed_from(offset)
    }
}

/// The frame goes on: reports its RESUME if there was one, and forgets what was raised.
fn settle(py: Python<'_>, entry: &Arc<ProbedCode>, frame: Frame<'_>) -> Result<(), Raised> {
    let (resume, raised) = frames(py, |frames| {
        (
            frames.resumes.remove(&frame.address()),
            frames.raised.remove(&frame.address()),
        )
    });
    // Dropped here, with the map closed.
    if raised.is_some() {
        release(raised);
    }
    match resume {
        Some(at) => entry.fire_step(py, frame, at),
        None => Ok(()),
    }
}

fn remember(py: Python<'_>, frame: Frame<'_>, exception: Bound<'_, PyAny>) {
    let exception = exception.unbind();
    let before = frames(py, |frames| {
        frames.raised.insert(frame.address(), exception)
    });
    if before.is_some() {
        release(before);
    }
}

/// The exception that the instruction at `at` will raise again, if it does so without an exception event.
fn raises_again<'py>(
    py: Python<'py>,
    entry: &ProbedCode,
    frame: Frame<'py>,
    at: InstrIdx,
) -> Option<Bound<'py, PyAny>> {
    match op(entry, at)? {
        Op::Reraise | Op::EndAsyncFor | Op::CleanupThrow => {
            let top = entry.analysis().depth(at)?.checked_sub(1)?;
            match frame.read(py, entry.shape()?, top) {
                SlotValue::Object(exception) => Some(exception),
                _ => None,
            }
        }
        // SAFETY: the thread is attached; a new reference or NULL.
        Op::RaiseVarargs => unsafe {
            Bound::from_owned_ptr_or_opt(py, PyErr_GetHandledException())
        },
        _ => None,
    }
}
