//! Stack slots and errors as Python objects.

use debugop_capture::stack::StackError;
use debugop_capture::{ProbeError, SlotValue};
use pyo3::exceptions::{PyIndexError, PyOverflowError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::{PyTypeInfo, create_exception};

create_exception!(
    debugop,
    StaleStep,
    PyRuntimeError,
    "A step, or its stack, was used after its callback had returned."
);

/// The type of `debugop.NULL`: an empty slot of the value stack, which is not None.
#[pyclass(frozen, name = "NullType", module = "debugop")]
struct Null;

#[pymethods]
impl Null {
    fn __repr__(&self) -> &'static str {
        "NULL"
    }

    fn __bool__(&self) -> bool {
        false
    }

    fn __reduce__(&self) -> &'static str {
        "NULL"
    }
}

static NULL: PyOnceLock<Py<Null>> = PyOnceLock::new();

/// `debugop.NULL`, of which there is one.
pub(crate) fn null(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    Ok(NULL
        .get_or_try_init(py, || Py::new(py, Null))?
        .bind(py)
        .as_any())
}

/// Whether `object` is `debugop.NULL`.
pub(crate) fn is_null(object: &Bound<'_, PyAny>) -> bool {
    object.get_type().is(Null::type_object(object.py()))
}

/// A slot as Python sees it: NULL as `debugop.NULL`, an interpreter's bare integer as an int.
pub(crate) fn slot<'py>(py: Python<'py>, value: SlotValue<'py>) -> PyResult<Bound<'py, PyAny>> {
    null(py).map(|null| slot_or(py, value, null))
}

/// The same, for callers that have fetched `debugop.NULL`.
#[inline]
pub(crate) fn slot_or<'py>(
    py: Python<'py>,
    value: SlotValue<'py>,
    null: &Bound<'py, PyAny>,
) -> Bound<'py, PyAny> {
    match value {
        SlotValue::Object(object) => object,
        SlotValue::Tagged(number) => {
            let Ok(number) = number.into_pyobject(py);
            number.into_any()
        }
        _ => null.clone(),
    }
}

/// A Python index into a sequence of `length` items, counted from the end if negative; `None` if it is out of range.
///
/// # Errors
/// TypeError: not an integer.
pub(crate) fn sequence_index(index: &Bound<'_, PyAny>, length: usize) -> PyResult<Option<usize>> {
    match index.extract::<isize>() {
        Ok(index) if index < 0 => Ok(length.checked_sub(index.unsigned_abs())),
        Ok(index) => Ok(Some(index.unsigned_abs()).filter(|&index| index < length)),
        Err(error) if error.is_instance_of::<PyOverflowError>(index.py()) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The Python exception for a failed stack access.
pub(crate) fn stack_error(error: StackError) -> PyErr {
    let text = error.to_string();
    match error {
        StackError::Python(error) => error,
        StackError::OutOfRange { .. } => PyIndexError::new_err(text),
        StackError::Forbidden { .. } => PyTypeError::new_err(text),
        _ => StaleStep::new_err(text),
    }
}

/// The Python exception for code that cannot be probed.
pub(crate) fn probe_error(error: ProbeError) -> PyErr {
    match error {
        ProbeError::Python(error) => error,
        other => PyValueError::new_err(format!("cannot trace {other}")),
    }
}
