//! The exception that is being handled, when a probe raises where no instruction of the program's could.

use debugop_bytecode::{Analysis, InstrIdx, Unsettled, unsettled};
use pyo3::{Bound, Python, ffi};

use crate::frame::{CodeShape, Frame, SlotValue};

unsafe extern "C" {
    /// The exception being handled, `sys.exception()`: a new reference, or NULL (`Python/errors.c`, 3.11+).
    fn PyErr_GetHandledException() -> *mut ffi::PyObject;
    /// Makes an exception, or None for none, the one being handled; takes no reference of the caller's.
    fn PyErr_SetHandledException(exception: *mut ffi::PyObject);
}

/// Makes `sys.exception()` what the handler of an exception raised just before `at` expects, or what it was before the frame was
/// entered if none will handle it.
///
/// To be called before that exception is set.
#[cold]
pub(crate) fn settle<'py>(
    py: Python<'py>,
    frame: Frame<'py>,
    shape: &CodeShape,
    analysis: &Analysis,
    at: InstrIdx,
) {
    let content = |slot| match frame.read(py, shape, slot) {
        SlotValue::Object(object) => Some(object),
        _ => None,
    };
    match unsettled(analysis, at) {
        Unsettled::Nothing => {}
        Unsettled::Restore { slot } => {
            if let Some(previous) = content(slot) {
                // SAFETY: the slot of an earlier PUSH_EXC_INFO holds an exception or None (Python/bytecodes.c); the function takes
                // its own reference.
                unsafe { PyErr_SetHandledException(previous.as_ptr()) }
            }
        }
        Unsettled::Push { slot } => {
            if let Some(arrived) = content(slot) {
                // SAFETY: the slot holds the exception that has just arrived; both functions keep to the rules above. The slot
                // gets what PUSH_EXC_INFO would leave there.
                let previous = unsafe {
                    let previous = Bound::from_owned_ptr_or_opt(py, PyErr_GetHandledException());
                    PyErr_SetHandledException(arrived.as_ptr());
                    previous
                };
                frame.write(
                    shape,
                    slot,
                    previous.unwrap_or_else(|| py.None().into_bound(py)),
                );
            }
        }
    }
}
