//! Trace and profile functions written in Python, called from Rust with the protocol of `sys.settrace` and `sys.setprofile`.
//!
//! The events come by `PyEval_SetTrace` and `PyEval_SetProfile` on every version: from 3.12 on that is `sys.monitoring`'s tool 7
//! (6 for profile functions) with callbacks written in C (`Python/legacy_tracing.c`), on 3.11 the evaluation loop's own hook. Another
//! tool of `sys.monitoring` cannot keep the protocol: its events are the interpreter's and not a thread's, `frame.f_trace_opcodes`
//! asks for tool 7's events only (`_PyEval_SetOpcodeTrace`, 3.13+), and exceptions are told globally only (before 3.15).

use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::exceptions::PySystemError;
use pyo3::types::{PyAnyMethods, PyFrame, PyString};
use pyo3::{Bound, Py, PyAny, PyErr, PyResult, Python, ffi};

use crate::layout::{FrameObject, ThreadState};
use crate::whole;

unsafe extern "C" {
    #[cfg(not(Py_3_13))]
    fn PyFrame_FastToLocalsWithError(frame: *mut ffi::PyFrameObject) -> c_int;
    #[cfg(not(Py_3_13))]
    fn PyFrame_LocalsToFast(frame: *mut ffi::PyFrameObject, clear: c_int);
    #[cfg(Py_3_12)]
    fn PyEval_SetTraceAllThreads(function: Option<ffi::Py_tracefunc>, argument: *mut ffi::PyObject);
    #[cfg(Py_3_12)]
    fn PyEval_SetProfileAllThreads(
        function: Option<ffi::Py_tracefunc>,
        argument: *mut ffi::PyObject,
    );
    #[cfg(not(Py_3_13))]
    fn _PyEval_SetTrace(
        state: *mut ffi::PyThreadState,
        function: Option<ffi::Py_tracefunc>,
        argument: *mut ffi::PyObject,
    ) -> c_int;
    #[cfg(not(Py_3_13))]
    fn _PyEval_SetProfile(
        state: *mut ffi::PyThreadState,
        function: Option<ffi::Py_tracefunc>,
        argument: *mut ffi::PyObject,
    ) -> c_int;
}

/// `PyTrace_CALL` (`Include/cpython/pystate.h`), the one event that goes to the thread's function and not to the frame's.
const CALL: c_int = 0;

/// What events are called, by their numbers; the same in 3.11-3.15 (`whatstrings` in `Python/sysmodule.c`).
const NAMES: [&str; 8] = [
    "call",
    "exception",
    "line",
    "return",
    "c_call",
    "c_exception",
    "c_return",
    "opcode",
];

/// Sets the trace function of this thread; None takes it away.
///
/// # Errors
/// What an audit hook raises, where CPython does not write it to `sys.unraisablehook`.
pub fn set_trace(function: &Bound<'_, PyAny>) -> PyResult<()> {
    set_with(function, trace)
}

/// Sets the C trace function of this thread, which is called with `function`; if that is None, takes it away.
///
/// # Errors
/// As [`set_trace`].
pub(super) fn set_with(function: &Bound<'_, PyAny>, trace: ffi::Py_tracefunc) -> PyResult<()> {
    set(function, trace, |function, argument| {
        // SAFETY: the thread is attached; CPython takes its own reference to the argument (`Python/ceval.c`,
        // `Python/legacy_tracing.c`, 3.11-3.15). What is exported before 3.13 leaves an exception that `PyEval_SetTrace` writes to
        // `sys.unraisablehook`.
        unsafe {
            #[cfg(Py_3_13)]
            ffi::PyEval_SetTrace(function, argument);
            #[cfg(not(Py_3_13))]
            _PyEval_SetTrace(ffi::PyThreadState_Get(), function, argument);
        }
    })
}

/// Sets the profile function of this thread; None takes it away.
///
/// # Errors
/// As [`set_trace`].
pub fn set_profile(function: &Bound<'_, PyAny>) -> PyResult<()> {
    set(function, profile, |function, argument| {
        // SAFETY: as in `set_trace`.
        unsafe {
            #[cfg(Py_3_13)]
            ffi::PyEval_SetProfile(function, argument);
            #[cfg(not(Py_3_13))]
            _PyEval_SetProfile(ffi::PyThreadState_Get(), function, argument);
        }
    })
}

/// Sets the trace function of every thread that there is.
///
/// # Errors
/// As [`set_trace`].
pub fn set_trace_all_threads(function: &Bound<'_, PyAny>) -> PyResult<()> {
    set(function, trace, |function, argument| {
        #[cfg(Py_3_12)]
        // SAFETY: as in `set_trace`.
        unsafe {
            PyEval_SetTraceAllThreads(function, argument);
        }
        #[cfg(not(Py_3_12))]
        for_each_thread(|state| {
            // SAFETY: a live thread state, with the GIL held (`Python/ceval.c`, 3.11).
            unsafe { _PyEval_SetTrace(state, function, argument) }
        });
    })
}

/// Sets the profile function of every thread that there is.
///
/// # Errors
/// As [`set_trace`].
pub fn set_profile_all_threads(function: &Bound<'_, PyAny>) -> PyResult<()> {
    set(function, profile, |function, argument| {
        #[cfg(Py_3_12)]
        // SAFETY: as in `set_trace`.
        unsafe {
            PyEval_SetProfileAllThreads(function, argument);
        }
        #[cfg(not(Py_3_12))]
        for_each_thread(|state| {
            // SAFETY: a live thread state, with the GIL held (`Python/ceval.c`, 3.11).
            unsafe { _PyEval_SetProfile(state, function, argument) }
        });
    })
}

#[cfg(not(Py_3_12))]
fn for_each_thread(set: impl Fn(*mut ffi::PyThreadState) -> c_int) {
    // SAFETY: called with the thread attached.
    let py = unsafe { Python::assume_attached() };
    for state in crate::thread::states(py) {
        if set(state) < 0 {
            return;
        }
    }
}

fn set(
    function: &Bound<'_, PyAny>,
    trampoline: ffi::Py_tracefunc,
    install: impl FnOnce(Option<ffi::Py_tracefunc>, *mut ffi::PyObject),
) -> PyResult<()> {
    if function.is_none() {
        install(None, std::ptr::null_mut());
        whole::expect_trace_functions(function.py());
    } else {
        install(Some(trampoline), function.as_ptr());
    }
    match PyErr::take(function.py()) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// The trace function that [`set_trace`] has set for this thread.
#[must_use]
pub fn get_trace(py: Python<'_>) -> Option<Py<PyAny>> {
    let state = state(py);
    // SAFETY: the running thread's state, whose fields are checked against the headers.
    let (function, object) = unsafe { ((*state).c_tracefunc, (*state).c_traceobj) };
    own(py, function, trace, object)
}

/// The profile function that [`set_profile`] has set for this thread.
#[must_use]
pub fn get_profile(py: Python<'_>) -> Option<Py<PyAny>> {
    let state = state(py);
    // SAFETY: as in `get_trace`.
    let (function, object) = unsafe { ((*state).c_profilefunc, (*state).c_profileobj) };
    own(py, function, profile, object)
}

fn state(_py: Python<'_>) -> *mut ThreadState {
    // SAFETY: the thread is attached, so it has a state.
    unsafe { ffi::PyThreadState_Get().cast() }
}

/// `object`, if `function` is our `trampoline`.
fn own(
    py: Python<'_>,
    function: *mut c_void,
    trampoline: ffi::Py_tracefunc,
    object: *mut ffi::PyObject,
) -> Option<Py<PyAny>> {
    if !std::ptr::eq(function, trampoline as *const () as *mut c_void) {
        return None;
    }
    // SAFETY: the thread state's own reference, or NULL.
    unsafe { Bound::from_borrowed_ptr_or_opt(py, object) }.map(Bound::unbind)
}

/// What a trace function is told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    Call,
    Line,
    Return,
    Exception,
    Opcode,
    Other,
}

impl Event {
    pub(super) fn of(number: c_int) -> Self {
        match number {
            0 => Self::Call,
            1 => Self::Exception,
            2 => Self::Line,
            3 => Self::Return,
            7 => Self::Opcode,
            _ => Self::Other,
        }
    }
}

/// The C trace function; `function` is the Python one.
extern "C" fn trace(
    function: *mut ffi::PyObject,
    frame: *mut ffi::PyFrameObject,
    event: c_int,
    argument: *mut ffi::PyObject,
) -> c_int {
    // SAFETY: what CPython has called us with is passed on.
    guarded(|py| unsafe { deliver(py, function, frame, event, argument) })
}

/// Does with an event what the trace function of `sys.settrace` does: calls `function` for `call`, and the frame's own for all others.
///
/// # Safety
/// The arguments are those of a `Py_tracefunc`, from CPython.
pub(super) unsafe fn deliver(
    py: Python<'_>,
    function: *mut ffi::PyObject,
    frame: *mut ffi::PyFrameObject,
    event: c_int,
    argument: *mut ffi::PyObject,
) -> PyResult<()> {
    let object = frame.cast::<FrameObject>();
    let callback = if event == CALL {
        function
    } else {
        // SAFETY: a live frame object.
        unsafe { (*object).f_trace }
    };
    // SAFETY: NULL or a reference of the frame's or of the thread's, of which the callback may deprive them; this is our own.
    let Some(callback) = (unsafe { Bound::from_borrowed_ptr_or_opt(py, callback) }) else {
        return Ok(());
    };
    // SAFETY: a live frame object and a borrowed reference or NULL.
    match unsafe { call(py, &callback, frame, event, argument) } {
        Ok(local) => {
            if !local.is_none() {
                // SAFETY: the frame object outlives the call, and owns what is in the field.
                unsafe { set_local(py, object, local.into_ptr()) };
            }
            Ok(())
        }
        Err(error) => {
            set_trace(py.None().bind(py))?;
            // SAFETY: as above.
            unsafe { set_local(py, object, std::ptr::null_mut()) };
            Err(error)
        }
    }
}

/// What [`deliver`] does when a trace function has failed: the thread and the frame have none any more.
pub(super) fn forget(frame: &Bound<'_, PyFrame>) {
    let py = frame.py();
    if let Err(error) = set_trace(py.None().bind(py)) {
        error.write_unraisable(py, None);
    }
    // SAFETY: a live frame object.
    unsafe { set_local(py, frame.as_ptr().cast(), std::ptr::null_mut()) };
}

/// Whether a frame has a trace function of its own.
pub(super) fn has_local(frame: &Bound<'_, PyFrame>) -> bool {
    // SAFETY: a live frame object.
    unsafe { !(*frame.as_ptr().cast::<FrameObject>()).f_trace.is_null() }
}

/// `callback(frame, event, None)`, as [`deliver`] calls trace functions.
///
/// # Errors
/// What it raises.
#[cfg(Py_3_12)]
pub(super) fn call_python<'py>(
    callback: &Bound<'py, PyAny>,
    frame: &Bound<'py, PyFrame>,
    event: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let number = NAMES.iter().position(|name| *name == event);
    let number = number.and_then(|at| c_int::try_from(at).ok()).unwrap_or(-1);
    // SAFETY: a live frame object; NULL stands for None.
    unsafe {
        call(
            frame.py(),
            callback,
            frame.as_ptr().cast(),
            number,
            std::ptr::null_mut(),
        )
    }
}

/// Replaces a frame's `f_trace`.
///
/// # Safety
/// `frame` is a live frame object, `function` NULL or a reference that it will own.
unsafe fn set_local(py: Python<'_>, frame: *mut FrameObject, function: *mut ffi::PyObject) {
    // SAFETY: by the contract; the old reference is given up after the field has the new one, because that may run Python.
    unsafe {
        let old = std::mem::replace(&mut (*frame).f_trace, function);
        drop(Bound::from_owned_ptr_or_opt(py, old));
    }
}

/// The C profile function; `function` is the Python one.
extern "C" fn profile(
    function: *mut ffi::PyObject,
    frame: *mut ffi::PyFrameObject,
    event: c_int,
    argument: *mut ffi::PyObject,
) -> c_int {
    guarded(|py| {
        // SAFETY: CPython hands over what the thread has as its profile function; our own reference outlives that.
        let callback = unsafe { Bound::from_borrowed_ptr(py, function) };
        // SAFETY: a live frame object and a borrowed reference or NULL.
        match unsafe { call(py, &callback, frame, event, argument) } {
            Ok(_) => Ok(()),
            Err(error) => {
                set_profile(py.None().bind(py))?;
                Err(error)
            }
        }
    })
}

/// Runs the implementation of a C trace function.
pub(super) fn guarded(run: impl FnOnce(Python<'_>) -> PyResult<()>) -> c_int {
    // SAFETY: CPython calls trace and profile functions with the thread attached.
    let py = unsafe { Python::assume_attached() };
    let failed = match catch_unwind(AssertUnwindSafe(|| run(py))) {
        Ok(Ok(())) => return 0,
        Ok(Err(error)) => error,
        Err(_) => PySystemError::new_err("debugop failed inside its trace function"),
    };
    failed.restore(py);
    -1
}

/// Runs `f`, which calls Python for an event of `frame`, with what CPython does around it (`call_trampoline` in `Python/sysmodule.c`):
/// before 3.13 the frame's dictionary of locals is filled before and read after.
///
/// # Errors
/// What `f` raises.
pub(super) fn with_locals<T>(
    frame: &Bound<'_, PyFrame>,
    f: impl FnOnce() -> PyResult<T>,
) -> PyResult<T> {
    #[cfg(not(Py_3_13))]
    // SAFETY: a live frame object; the function leaves an exception where it fails.
    if unsafe { PyFrame_FastToLocalsWithError(frame.as_ptr().cast()) } < 0 {
        return Err(PyErr::fetch(frame.py()));
    }
    let result = f();
    #[cfg(not(Py_3_13))]
    // SAFETY: a live frame object. What `f` has raised is not set as the thread's exception.
    unsafe {
        PyFrame_LocalsToFast(frame.as_ptr().cast(), 1);
    }
    #[cfg(Py_3_13)]
    let _ = frame;
    result
}

/// `callback(frame, event, argument)`, as [`with_locals`] says.
///
/// # Safety
/// `frame` is a live frame object, `argument` a live object or NULL.
unsafe fn call<'py>(
    py: Python<'py>,
    callback: &Bound<'py, PyAny>,
    frame: *mut ffi::PyFrameObject,
    event: c_int,
    argument: *mut ffi::PyObject,
) -> PyResult<Bound<'py, PyAny>> {
    let name = usize::try_from(event).ok().and_then(|at| NAMES.get(at));
    let name = PyString::intern(py, name.copied().unwrap_or("unknown"));
    // SAFETY: by the contract.
    let (object, argument) = unsafe {
        (
            Bound::from_borrowed_ptr(py, frame.cast()).cast_into_unchecked::<PyFrame>(),
            Bound::from_borrowed_ptr_or_opt(py, argument),
        )
    };
    let argument = argument.unwrap_or_else(|| py.None().into_bound(py));
    let arguments = [
        std::ptr::null_mut(),
        object.as_ptr(),
        name.as_ptr(),
        argument.as_ptr(),
    ];
    with_locals(&object, || {
        // SAFETY: live objects, with room for one before them as the flag promises; a new reference or NULL with an exception.
        unsafe {
            let result = ffi::PyObject_Vectorcall(
                callback.as_ptr(),
                arguments.as_ptr().add(1),
                3 | ffi::PY_VECTORCALL_ARGUMENTS_OFFSET,
                std::ptr::null_mut(),
            );
            Bound::from_owned_ptr_or_err(py, result)
        }
    })
}
