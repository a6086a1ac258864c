//! From a frame that runs code with DEBUG_OPs to the instruction of the code that they were inserted into.

use pyo3::exceptions::PyValueError;
use pyo3::types::{PyCode, PyFrame};
use pyo3::{Bound, PyResult};

use super::{code_name, facts, position, unreadable};
use crate::code_object::CodeFields;
use crate::layout::VERSION;
use crate::registry;

/// The instruction that `frame` executes, or, while it executes DEBUG_OP, the one that is about to be executed: the code object
/// that the DEBUG_OPs were inserted into, and the byte offset there.
///
/// DEBUG_OPs that were written by hand have no such code object; then the offset is that of the code that runs.
///
/// # Errors
/// `ValueError`: the frame has not started, its bytecode cannot be analysed, or it is at an instruction that was added.
pub fn source_instruction<'py>(frame: &Bound<'py, PyFrame>) -> PyResult<(Bound<'py, PyCode>, u32)> {
    let py = frame.py();
    let (mut code, lasti) = position(frame)?;
    let added = |code: &Bound<'py, PyCode>, offset: u32| {
        PyValueError::new_err(format!(
            "nothing in the original of {} corresponds to offset {offset}",
            code_name(code)
        ))
    };
    if let Some(probed) = registry::of_copy(&code) {
        let offset = probed
            .original_offset(lasti)
            .ok_or_else(|| added(&code, lasti))?;
        return Ok((probed.original(py).clone(), offset));
    }
    let mut offset = after_probes(&code, lasti)?;
    while let Some(origin) = facts::origin(py, &code)? {
        offset = origin
            .map
            .covering(offset)
            .ok_or_else(|| added(&code, offset))?;
        code = origin.code.bind(py).clone();
    }
    Ok((code, offset))
}

/// The offset of the instruction that the unit at `lasti` belongs to, or, if that is the middle of a probe, of the first one
/// after it that is no probe.
fn after_probes(code: &Bound<'_, PyCode>, lasti: u32) -> PyResult<u32> {
    let facts = facts::facts(code.py(), code)?;
    let inversions = facts
        .inversions
        .as_ref()
        .map_err(|error| unreadable(code, error))?;
    if let Ok(found) = inversions.binary_search_by_key(&lasti, |inversion| inversion.offset) {
        return Ok(inversions[found].next);
    }
    // 3.11 and 3.12 leave a calling frame at the last inline cache of its call (`Python/ceval.c`, `DISPATCH_INLINED`).
    let fields = CodeFields::read(code)?;
    let instructions = debugop_bytecode::decode(VERSION, fields.view().code)
        .map_err(|error| unreadable(code, error))?;
    let after = instructions.partition_point(|instruction| instruction.start <= lasti);
    after
        .checked_sub(1)
        .map(|index| instructions[index].offset)
        .ok_or_else(|| unreadable(code, "it has no instructions"))
}
