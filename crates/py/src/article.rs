//! What `debugop.article` is made of.

use debugop_bytecode::{Instruction, Opcode};
use debugop_capture::op_target::{self, InsertError};
use debugop_capture::value::{Limits, capture};
use debugop_capture::{VERSION, called_functions};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyCode, PyFrame, PyFunction, PyList};

/// Columns that a value may take.
const WIDTH: usize = 60;

/// A copy of `code` with DEBUG_OP before the instructions at `offsets`, or, when they are None, before every instruction where
/// nothing speaks against it, with `nested` also in nested code objects.
#[pyfunction]
#[pyo3(signature = (code, offsets = None, *, nested = false))]
pub(crate) fn insert_debug_op<'py>(
    code: &Bound<'py, PyCode>,
    offsets: Option<Vec<i64>>,
    nested: bool,
) -> PyResult<Bound<'py, PyCode>> {
    op_target::insert_debug_op(code, offsets, nested).map_err(|error| match error {
        InsertError::Python(error) => error,
        other => PyValueError::new_err(other.to_string()),
    })
}

/// The code object without DEBUG_OPs and the offset in it of the instruction that `frame` executes, or is about to execute if
/// it executes DEBUG_OP.
#[pyfunction]
pub(crate) fn source_instruction<'py>(
    frame: &Bound<'py, PyFrame>,
) -> PyResult<(Bound<'py, PyCode>, u32)> {
    op_target::source_instruction(frame)
}

/// The Python functions that calling `callable` enters first, found without running any of its code.
#[pyfunction]
pub(crate) fn python_functions<'py>(
    py: Python<'py>,
    callable: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyList>> {
    let found = PyList::empty(py);
    called_functions(py, callable, &mut |function: &Bound<'py, PyFunction>| {
        found.append(function)
    })?;
    Ok(found)
}

/// Where a call with this opcode and argument finds its callable, counted from the top of the stack (0); None if the opcode is
/// no call. If that slot is empty (NULL), the callable is the slot above it.
#[pyfunction]
pub(crate) fn callable_index(opcode: u8, arg: u32) -> Option<u32> {
    let call = Instruction {
        start: 0,
        offset: 0,
        arg,
        opcode: Opcode(opcode),
        caches: 0,
    };
    debugop_bytecode::callable_depth(VERSION, &call)?.checked_sub(1)
}

/// A short text for `value`, made without running its `__repr__` or any other code of the program's.
#[pyfunction]
pub(crate) fn short_repr(value: &Bound<'_, PyAny>) -> String {
    capture(value, &Limits::default()).short(WIDTH).to_string()
}
