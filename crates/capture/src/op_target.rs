//! DEBUG_OP as one object for every place: it looks up who listens when it is executed.
//!
//! `LOAD_CONST <op>; UNARY_INVERT; POP_TOP` may stand anywhere in any code object, written by [`insert_debug_op`] or by hand.
//! Nothing is known of the place beforehand, so the depth of the value stack comes from analysing the code object that runs
//! ([`facts`]), at the instruction that runs (`PyFrame_GetLasti`). A wrong depth is therefore impossible, whatever was
//! done to the code.

mod facts;
mod insert;
mod source;

use pyo3::exceptions::{PyKeyError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyAnyMethods, PyCode, PyDict, PyDictMethods, PyFrame, PyList, PyString, PyType};
use pyo3::{Bound, Py, PyAny, PyErr, PyResult, Python, ffi};

use crate::event::Raised;
use crate::frame::{Frame, SlotValue};
use crate::function::{code_of_frame, code_text};
use crate::invert_type;
use crate::site;

pub(crate) use facts::{Facts, Origin};
pub use insert::{InsertError, insert_debug_op};
pub use source::source_instruction;

static DEBUG_OP: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// The one object of type `debugop.DebugOp`.
///
/// # Errors
/// Whatever CPython says if the type or the object cannot be made.
pub fn debug_op(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    DEBUG_OP
        .get_or_try_init(py, || make(py))
        .map(|op| op.bind(py))
}

fn make(py: Python<'_>) -> PyResult<Py<PyAny>> {
    let doc = c"A constant for bytecode: executing ~op calls op_target(stack, frame) if the frame's globals have one.";
    invert_type::single(py, (c"debugop.DebugOp", doc), repr, fire).map(Bound::unbind)
}

/// The type of [`debug_op`], `debugop.DebugOp`.
///
/// # Errors
/// As for [`debug_op`].
pub fn debug_op_type(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    Ok(debug_op(py)?.get_type())
}

/// # Safety
/// Called by CPython as `tp_repr`.
unsafe extern "C" fn repr(_object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: the thread is attached, by CPython's calling convention.
    let py = unsafe { Python::assume_attached() };
    PyString::new(py, "<debugop.DEBUG_OP>").into_ptr()
}

/// Executes DEBUG_OP.
///
/// # Safety
/// Called by CPython as `nb_invert`. Anybody may write `~op` in Python, so nothing is assumed about the caller.
unsafe extern "C" fn fire(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: the thread is attached, by CPython's calling convention.
    let py = unsafe { Python::assume_attached() };
    site::execute(py, || {
        let Some(frame) = Frame::current(py) else {
            return Ok(());
        };
        let outcome = op_target(py, frame).and_then(|target| match target {
            None => Ok(()),
            Some(target) => call(py, frame, object, &target),
        });
        outcome.map_err(|error| Raised::set(py, error))
    })
}

/// `op_target` of the frame's globals.
///
/// # Errors
/// What the look-up raises, except `KeyError` from globals that are not an exact dict.
fn op_target<'py>(py: Python<'py>, frame: Frame<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let name = crate::names::op_target(py);
    let globals = frame.globals(py);
    if let Ok(globals) = globals.cast_exact::<PyDict>() {
        return globals.get_item(name);
    }
    match globals.get_item(name) {
        Ok(target) => Ok(Some(target)),
        Err(error) if error.is_instance_of::<PyKeyError>(py) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Calls `target(stack, frame)` for the DEBUG_OP `op` that `frame` executes.
fn call<'py>(
    py: Python<'py>,
    frame: Frame<'py>,
    op: *mut ffi::PyObject,
    target: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let Some(object) = frame.object(py) else {
        return Err(PyRuntimeError::new_err(
            "DEBUG_OP cannot stand before the first RESUME: the frame is incomplete there",
        ));
    };
    let stack = stack(py, frame, op)?;
    target.call1((stack, object))?;
    Ok(())
}

/// The value stack, top first, without the DEBUG_OP itself.
fn stack<'py>(
    py: Python<'py>,
    frame: Frame<'py>,
    op: *mut ffi::PyObject,
) -> PyResult<Bound<'py, PyList>> {
    let code = frame.code(py);
    let offset = frame.instruction_offset().ok_or_else(not_started)?;
    let facts = facts::facts(py, &code)?;
    let inversions = facts
        .inversions
        .as_ref()
        .map_err(|error| unreadable(&code, error))?;
    let not_an_instruction = || {
        PyTypeError::new_err(
            "DEBUG_OP is an opcode: only the instruction UNARY_INVERT can execute it",
        )
    };
    let found = inversions
        .binary_search_by_key(&offset, |inversion| inversion.offset)
        .map_err(|_| not_an_instruction())?;
    let unreachable = || {
        unreadable(
            &code,
            format_args!("nothing leads to the instruction at offset {offset}"),
        )
    };
    let depth = inversions[found].depth.ok_or_else(unreachable)?;
    // UNARY_INVERT takes one operand, so the analysis has refused a smaller depth.
    let top = depth - 1;
    match frame.read(py, &facts.shape, top) {
        SlotValue::Object(operand) if operand.as_ptr() == op => {}
        _ => return Err(not_an_instruction()),
    }
    let none = py.None().into_bound(py);
    let slots = (0..top)
        .rev()
        .map(|index| frame.read(py, &facts.shape, index));
    PyList::new(
        py,
        slots.map(|slot| match slot {
            SlotValue::Object(value) => value,
            SlotValue::Tagged(number) => {
                let Ok(number) = pyo3::IntoPyObject::into_pyobject(number, py);
                number.into_any()
            }
            SlotValue::Null | SlotValue::Opaque => none.clone(),
        }),
    )
}

/// The code object that a frame runs and the byte offset of the instruction that it executes.
fn position<'py>(frame: &Bound<'py, PyFrame>) -> PyResult<(Bound<'py, PyCode>, u32)> {
    let code = code_of_frame(frame);
    // SAFETY: a live frame object.
    let lasti = unsafe { ffi::PyFrame_GetLasti(frame.as_ptr().cast()) };
    let offset = u32::try_from(lasti).map_err(|_| not_started())?;
    Ok((code, offset))
}

fn not_started() -> PyErr {
    PyValueError::new_err("the frame has not started")
}

/// The exception for a value stack whose depth cannot be told.
fn unreadable(code: &Bound<'_, PyCode>, reason: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(format!(
        "DEBUG_OP cannot read the value stack of {}: {reason}",
        code_name(code)
    ))
}

/// `co_qualname` and `co_filename`, for messages.
fn code_name(code: &Bound<'_, PyCode>) -> String {
    format!(
        "{} in {}",
        code_text(code, "co_qualname"),
        code_text(code, "co_filename")
    )
}

/// Whether inverting `constant` is an opcode of ours.
fn is_probe(py: Python<'_>, constant: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(constant.is(debug_op(py)?) || constant.get_type().is(site::site_type(py)?))
}
