//! Is this an interpreter whose internals the compiled layouts describe?

use pyo3::exceptions::PyImportError;
use pyo3::types::PyAnyMethods;
use pyo3::{PyResult, Python, ffi};

use crate::frame::Frame;
use crate::function;
use crate::layout;
use crate::modules;

/// Refuses every interpreter that this build was not made for.
///
/// # Errors
/// `ImportError` with one sentence: a sub-interpreter, another minor version, a free-threaded or stack-reference-debug build, or
/// structs that are laid out otherwise than in the release that this was checked against.
pub fn check(py: Python<'_>) -> PyResult<()> {
    if !is_main(py) {
        return Err(PyImportError::new_err(
            "debugop works in the main interpreter only, and this is a sub-interpreter",
        ));
    }
    let running = py.version_info();
    let built = layout::VERSION;
    if (running.major, running.minor) != (3, built.minor()) {
        return Err(PyImportError::new_err(format!(
            "this build of debugop is for CPython {built} and cannot run on {}.{}; install the wheel for that version",
            running.major, running.minor
        )));
    }
    check_debug_offsets()?;
    check_running_frame(py)
}

/// Whether the calling thread is in the main interpreter, the only one that debugop works in.
///
/// Builtin types and functions are shared with sub-interpreters, which from 3.12 on may have a GIL of their own: whatever of ours
/// stands in their tables has to ask this before it touches anything.
#[inline]
pub(crate) fn is_main(_attached: Python<'_>) -> bool {
    // SAFETY: the thread is attached; both return addresses of interpreters that are alive, 3.11-3.15.
    unsafe { ffi::PyInterpreterState_Get() == ffi::PyInterpreterState_Main() }
}

/// Compares the compiled layouts with what the interpreter itself publishes for debuggers.
#[cfg(Py_3_13)]
fn check_debug_offsets() -> PyResult<()> {
    const COOKIE: &[u8; 8] = b"xdebugpy";
    const FREE_THREADED: usize = 2;
    const WORDS: usize = 64;

    unsafe extern "C" {
        /// `_Py_DebugOffsets` is the first member (`Include/internal/pycore_runtime_structs.h`).
        static _PyRuntime: [u64; WORDS];
    }
    // SAFETY: `_PyRuntime` is an exported, statically allocated struct of many kilobytes in 3.13-3.15; its first member is not
    // written after the interpreter has started.
    let words: [u64; WORDS] = unsafe { std::ptr::addr_of!(_PyRuntime).read() };
    if words[0].to_ne_bytes() != *COOKIE {
        return Err(PyImportError::new_err(
            "debugop cannot read this interpreter: its _PyRuntime does not start with _Py_DebugOffsets",
        ));
    }
    if words[FREE_THREADED] != 0 {
        return Err(PyImportError::new_err(
            "debugop does not support free-threaded builds of CPython; use the ordinary build",
        ));
    }
    for (word, expected) in layout::debug_offsets() {
        if words[word] != expected as u64 {
            return Err(PyImportError::new_err(format!(
                "debugop was built for another layout of CPython {}: word {word} of _Py_DebugOffsets says {}, expected {expected}",
                layout::VERSION,
                words[word]
            )));
        }
    }
    Ok(())
}

/// `_Py_DebugOffsets` came with 3.13; before that the running frame is the only witness.
#[cfg(not(Py_3_13))]
fn check_debug_offsets() -> PyResult<()> {
    Ok(())
}

/// Finds the running frame through the compiled layouts and compares it with what `sys._getframe` says. This refuses builds
/// whose stack references are table indices (`Py_STACKREF_DEBUG`) without following one.
fn check_running_frame(py: Python<'_>) -> PyResult<()> {
    let frame = modules::sys(py, c"_getframe")?.call0()?;
    let expected = function::code_of_frame(frame.cast()?);
    let found = Frame::current(py).map(Frame::code_address);
    if found == Some(expected.as_ptr() as usize) {
        return Ok(());
    }
    Err(PyImportError::new_err(format!(
        "debugop cannot read the frames of this build of CPython {}; is it a patched or a stack-reference-debug build?",
        layout::VERSION
    )))
}
