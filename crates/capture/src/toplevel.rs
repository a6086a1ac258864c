//! Running code as if nothing had called it.

use std::ffi::{CStr, c_char, c_void};

use pyo3::types::{PyCode, PyDict, PyTuple};
use pyo3::{Bound, PyAny, PyErr, PyResult, Python, ffi};

use crate::layout::{InterpreterFrame, ThreadState};

/// Puts the callers back when dropped, also while a panic passes through.
struct Callers {
    state: *mut ThreadState,
    frame: *mut InterpreterFrame,
    depth: i32,
}

impl Callers {
    /// Hides every frame of this thread, also from the recursion limit.
    fn hide(_py: Python<'_>) -> Self {
        // SAFETY: the token shows that the thread is attached. With nothing but the bottom frame the thread looks as it does
        // before its first frame (Python/pylifecycle.c runs the main program so; profilers that read the memory of a 3.15
        // expect this end of the chain); evaluating code pushes an entry frame whose `previous` is that and pops it again,
        // so the guard restores exactly what was there. Checked on 3.11.7, 3.12.1, 3.13.0, 3.14.10, 3.15.2.
        unsafe {
            let state = ffi::compat::PyThreadState_GetUnchecked().cast::<ThreadState>();
            let callers = Callers {
                state,
                frame: (*state).current_frame(),
                depth: (*state).recursion_depth(),
            };
            (*state).set_current_frame((*state).bottom_frame());
            (*state).set_recursion_depth(0);
            callers
        }
    }
}

impl Drop for Callers {
    fn drop(&mut self) {
        // SAFETY: the thread state is this thread's own and outlives the call; the frames in `frame` are those of our own
        // callers, which cannot have ended before us.
        unsafe {
            (*self.state).set_current_frame(self.frame);
            (*self.state).set_recursion_depth(self.depth);
        }
    }
}

/// Makes the interpreter ready for events in the frames that are going to be hidden.
///
/// When a tool asks for an event, 3.15 instruments the code of every frame on the stack, and takes for granted that this has
/// happened when an exception leaves a frame: a program under `sys.settrace` that ends by `SystemExit` would crash in our
/// launcher's frames (3.15.2, `get_tools_for_instruction` in `Python/instrumentation.c`). So some tool asks for an event now.
#[cfg(Py_3_15)]
fn instrument_callers(py: Python<'_>) -> PyResult<()> {
    use pyo3::types::PyAnyMethods;

    let monitoring = crate::modules::sys(py, c"monitoring")?;
    let event = monitoring.getattr("events")?.getattr("PY_UNWIND")?;
    for id in 0..=5_u8 {
        if monitoring.call_method1("get_tool", (id,))?.is_none() {
            monitoring.call_method1("use_tool_id", (id, "debugop"))?;
            monitoring.call_method1("set_events", (id, event))?;
            monitoring.call_method1("set_events", (id, 0))?;
            monitoring.call_method1("free_tool_id", (id,))?;
            break;
        }
    }
    Ok(())
}

/// Earlier versions look whether it has happened.
#[cfg(not(Py_3_15))]
#[expect(clippy::unnecessary_wraps, reason = "3.15 can fail")]
fn instrument_callers(_py: Python<'_>) -> PyResult<()> {
    Ok(())
}

/// Calls `function` with an empty call stack below it, as the interpreter runs a main program: `sys._getframe(1)` fails in
/// it, tracebacks start with it, and `inspect.stack()` shows none of our frames.
///
/// # Errors
/// What the function raises, with a traceback of its own frames only.
pub fn call<'py>(
    function: &Bound<'py, PyAny>,
    arguments: &Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyAny>> {
    instrument_callers(function.py())?;
    let _callers = Callers::hide(function.py());
    // SAFETY: live objects, and the thread is attached. pyo3's own `call` would do the same.
    unsafe {
        let result = ffi::PyObject_CallObject(function.as_ptr(), arguments.as_ptr());
        Bound::from_owned_ptr_or_opt(function.py(), result)
            .ok_or_else(|| PyErr::fetch(function.py()))
    }
}

/// Runs `code` in `globals`, as [`call`] does.
///
/// # Errors
/// What the code raises, with a traceback of its own frames only.
pub fn run<'py>(
    py: Python<'py>,
    code: &Bound<'py, PyCode>,
    globals: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyAny>> {
    instrument_callers(py)?;
    let _callers = Callers::hide(py);
    evaluate(py, code, globals)
}

/// Runs `code` in `globals`, called by whoever calls this.
///
/// # Errors
/// What the code raises.
pub fn evaluate<'py>(
    py: Python<'py>,
    code: &Bound<'py, PyCode>,
    globals: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: live objects of the right types, and the thread is attached.
    unsafe {
        let result = ffi::PyEval_EvalCode(code.as_ptr(), globals.as_ptr(), globals.as_ptr());
        Bound::from_owned_ptr_or_opt(py, result).ok_or_else(|| PyErr::fetch(py))
    }
}

/// Reports an uncaught exception as the interpreter does at the end of a main program: through `sys.excepthook`, which no
/// frame has called, with `sys.last_exc` set. `SystemExit` ends the process here, after the usual finalisation.
pub fn report_uncaught(py: Python<'_>, error: PyErr) {
    let _callers = Callers::hide(py);
    error.restore(py);
    // SAFETY: an exception is set and the thread is attached.
    unsafe { ffi::PyErr_PrintEx(1) }
}

unsafe extern "C" {
    /// The C library's; the result is a `FILE *`.
    fn fopen(path: *const c_char, mode: *const c_char) -> *mut c_void;
}

/// Reads the source file at `path`, compiles it as the interpreter does with a script named `filename`, and runs it in
/// `globals` if that succeeds.
///
/// The tokenizer for files words some errors differently from that for strings, which `compile` uses, and only this entry
/// point leads to it (`Python/pythonrun.c`, `PyRun_FileExFlags`).
///
/// # Errors
/// SyntaxError, or what the code raises.
pub fn run_file(
    py: Python<'_>,
    path: &CStr,
    filename: &CStr,
    globals: &Bound<'_, PyDict>,
) -> PyResult<()> {
    // SAFETY: the path is a C string; the file is closed by PyRun_FileExFlags (`closeit`), also when it fails.
    unsafe {
        let file = fopen(path.as_ptr(), c"rb".as_ptr());
        if file.is_null() {
            return Err(std::io::Error::last_os_error().into());
        }
        let (globals, close) = (globals.as_ptr(), 1);
        let result = ffi::PyRun_FileExFlags(
            file.cast(),
            filename.as_ptr(),
            ffi::Py_file_input,
            globals,
            globals,
            close,
            std::ptr::null_mut(),
        );
        Bound::from_owned_ptr_or_opt(py, result)
            .map(|_| ())
            .ok_or_else(|| PyErr::fetch(py))
    }
}
