//! What the program's own trace functions are told (`sys.settrace`).
//!
//! CPython calls them by one C function, its trampoline (`trace_trampoline`, `Python/sysmodule.c`). Ours stands in front of it: `opcode` events of
//! what has been inserted into a copy are kept back, and calls and lines keep each `FOR_ITER` as it would be
//! (`ProbedCode::keep_general`). It is put into a thread's state when the thread sets a trace function: the functions behind `sys.settrace` and
//! `sys._settraceallthreads` are replaced in the module's table. Trace functions in C, which `PyEval_SetTrace` sets, are left alone.

use std::ffi::{c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use pyo3::exceptions::PySystemError;
use pyo3::{PyResult, Python, ffi};

use crate::builtin;
use crate::frame::Frame;
use crate::gil::GilCell;
use crate::interpreter::is_main;
use crate::layout::ThreadState;
use crate::modules;
use crate::registry;
use crate::thread;

type Setter = unsafe extern "C" fn(*mut ffi::PyObject, *mut ffi::PyObject) -> *mut ffi::PyObject;

/// `METH_O` functions of `sys`, and whether they set the trace function of all threads.
#[cfg(Py_3_12)]
const SETTERS: [(&str, bool); 2] = [("settrace", false), ("_settraceallthreads", true)];
#[cfg(not(Py_3_12))]
const SETTERS: [(&str, bool); 1] = [("settrace", false)];

/// What CPython has where ours stand.
static THEIRS: [OnceLock<Setter>; SETTERS.len()] = [const { OnceLock::new() }; SETTERS.len()];

/// CPython's trampoline, once it has been seen.
static TRAMPOLINE: OnceLock<ffi::Py_tracefunc> = OnceLock::new();

static WATCHING: GilCell<bool> = GilCell::new(false);

/// Events of a trace function (`Include/cpython/pystate.h`).
const CALL: c_int = 0;
const LINE: c_int = 2;
const OPCODE: c_int = 7;

/// `<dlfcn.h>`.
#[repr(C)]
struct DlInfo {
    file_name: *const c_char,
    file_base: *mut c_void,
    symbol_name: *const c_char,
    symbol: *mut c_void,
}

unsafe extern "C" {
    fn dladdr(address: *const c_void, info: *mut DlInfo) -> c_int;
}

/// Puts ours in front of the trampoline of each thread that has a trace function, or will have one, until the process ends.
///
/// # Errors
/// The interpreter is not as it should be.
pub(super) fn watch(py: Python<'_>) -> PyResult<()> {
    if WATCHING.replace(py, true) {
        return Ok(());
    }
    place::<0>(py)?;
    #[cfg(Py_3_12)]
    place::<1>(py)?;
    for state in thread::states(py) {
        // SAFETY: a live thread state (`thread::states`); the field is that of the layout, checked against the headers.
        let function = unsafe { (*state.cast::<ThreadState>()).c_tracefunc };
        if is_of_the_interpreter(function) {
            stand_before(py, state);
        }
    }
    Ok(())
}

/// Whether a function is part of CPython, which has one trace function.
fn is_of_the_interpreter(function: *mut c_void) -> bool {
    let base = |function: *const c_void| {
        let mut info = DlInfo {
            file_name: std::ptr::null(),
            file_base: std::ptr::null_mut(),
            symbol_name: std::ptr::null(),
            symbol: std::ptr::null_mut(),
        };
        // SAFETY: any address may be asked about; the answer is written to a structure of its own.
        (unsafe { dladdr(function, &raw mut info) } != 0).then_some(info.file_base)
    };
    !function.is_null()
        && base(function).is_some()
        && base(function) == base(ffi::PyEval_SetTrace as *const c_void)
}

fn place<const WHICH: usize>(py: Python<'_>) -> PyResult<()> {
    let module = modules::builtin(py, "sys")?;
    let entry = builtin::definition(&module, SETTERS[WHICH].0, ffi::METH_O)?;
    // SAFETY: the table is writable static data of the interpreter (`Python/sysmodule.c`, 3.11-3.15); the flags, which were compared, say
    // which member of the union is set, and ours has the same signature. The GIL is held.
    unsafe {
        THEIRS[WHICH].get_or_init(|| (*entry).ml_meth.PyCFunction);
        (*entry).ml_meth.PyCFunction = set::<WHICH>;
    }
    Ok(())
}

/// # Safety
/// Called by CPython as a function of [`SETTERS`].
unsafe extern "C" fn set<const WHICH: usize>(
    module: *mut ffi::PyObject,
    function: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the thread is attached, by CPython's calling convention; CPython's own function gets what was meant for it.
    unsafe {
        let py = Python::assume_attached();
        let Some(original) = THEIRS[WHICH].get() else {
            // Cannot be reached: `place` sets it first.
            PySystemError::new_err("debugop lost the function that sets trace functions")
                .restore(py);
            return std::ptr::null_mut();
        };
        let result = original(module, function);
        if !result.is_null() && is_main(py) {
            if SETTERS[WHICH].1 {
                for state in thread::states(py) {
                    stand_before(py, state);
                }
            } else {
                stand_before(py, ffi::PyThreadState_Get());
            }
        }
        result
    }
}

/// Puts ours in the place of the trampoline of a thread whose trace function has been set by `sys`.
fn stand_before(_py: Python<'_>, state: *mut ffi::PyThreadState) {
    // SAFETY: a live thread state, with the GIL held; the field is that of the layout, checked against the headers. What is in it is NULL
    // or a `Py_tracefunc`. Ours has the same signature, and the interpreter only calls it and compares it with NULL
    // (`Python/legacy_tracing.c`, `Python/ceval.c` of 3.11).
    unsafe {
        let function = &raw mut (*state.cast::<ThreadState>()).c_tracefunc;
        let ours = trace as *const () as *mut c_void;
        if (*function).is_null() || *function == ours {
            return;
        }
        let theirs = std::mem::transmute::<*mut c_void, ffi::Py_tracefunc>(*function);
        let trampoline = *TRAMPOLINE.get_or_init(|| theirs);
        if trampoline as *const () == theirs as *const () {
            *function = ours;
        }
    }
}

/// # Safety
/// Called by CPython as a `Py_tracefunc`, in the trampoline's place.
extern "C" fn trace(
    object: *mut ffi::PyObject,
    frame: *mut ffi::PyFrameObject,
    event: c_int,
    argument: *mut ffi::PyObject,
) -> c_int {
    // SAFETY: CPython calls trace functions with the thread attached.
    let py = unsafe { Python::assume_attached() };
    if matches!(event, CALL | LINE | OPCODE) && is_main(py) {
        let is_told = catch_unwind(AssertUnwindSafe(|| is_told(py, event)));
        if is_told.is_ok_and(|is_told| !is_told) {
            return 0;
        }
    }
    let Some(trampoline) = TRAMPOLINE.get() else {
        // Cannot be reached: `stand_before` sets it first.
        PySystemError::new_err("debugop lost the trampoline of trace functions").restore(py);
        return -1;
    };
    // SAFETY: CPython's own function with what was meant for it.
    unsafe { trampoline(object, frame, event, argument) }
}

/// Whether the program is to hear of an event of the running frame.
fn is_told(py: Python<'_>, event: c_int) -> bool {
    let Some(frame) = Frame::current(py) else {
        return true;
    };
    let code = frame.code(py);
    let Some(entry) = registry::of_copy(&code) else {
        return true;
    };
    if event == OPCODE {
        let offset = frame.instruction_offset();
        return offset.is_none_or(|offset| entry.tells_opcode(&code, offset));
    }
    #[cfg(Py_3_12)]
    entry.keep_general(&code);
    true
}
