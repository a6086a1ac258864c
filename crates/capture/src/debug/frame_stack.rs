//! The value stack of a frame that a debugger looks at.

use debugop_bytecode::operands::operands;
use debugop_bytecode::{Analysis, InstrIdx};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::types::PyFrame;
use pyo3::{Bound, PyResult, Python};

use crate::code_object::CodeFields;
use crate::frame::{CodeShape, Frame, SlotValue};
use crate::layout::VERSION;

/// The slots of the value stack of `frame`, bottom first. With `begun` its instruction has taken its operands, which are not shown
/// then: it has called what runs now, has raised, or returns.
///
/// # Errors
/// RuntimeError: the frame does not run on this thread, or a generator's is suspended. ValueError: its bytecode is not what a compiler writes,
/// or cannot be reached.
pub fn frame_stack<'py>(
    py: Python<'py>,
    frame: &Bound<'py, PyFrame>,
    begun: bool,
) -> PyResult<Vec<SlotValue<'py>>> {
    let raw = running(py, frame).ok_or_else(|| {
        PyRuntimeError::new_err("the frame is not running on this thread, so it has no value stack")
    })?;
    let code = raw.code(py);
    let analysis = Analysis::new(&CodeFields::read(&code)?.view())
        .map_err(|error| PyValueError::new_err(error.to_string()))?;
    let offset = raw.instruction_offset().unwrap_or(0);
    let depth = depth_at(&analysis, offset, begun)
        .ok_or_else(|| PyValueError::new_err("the depth of the value stack is not known here"))?;
    let shape = CodeShape::of(&code);
    Ok((0..depth)
        .map(|index| raw.read(py, &shape, index))
        .collect())
}

/// The frame of this thread that `object` stands for.
fn running<'py>(py: Python<'py>, object: &Bound<'py, PyFrame>) -> Option<Frame<'py>> {
    let mut frame = Frame::current(py);
    while let Some(one) = frame {
        if one.stands_for(object) {
            return Some(one);
        }
        frame = one.previous();
    }
    None
}

/// How many slots are filled at `offset`, which is that of an instruction or of one of its prefixes.
fn depth_at(analysis: &Analysis, offset: u32, begun: bool) -> Option<u32> {
    let at = analysis
        .at_offset(offset)
        .or_else(|| analysis.at_start(offset))
        .or_else(|| last_before(analysis, offset))?;
    let depth = analysis.depth(at)?;
    if !begun {
        return Some(depth);
    }
    let instruction = analysis.get(at);
    let taken = operands(VERSION, instruction.opcode, instruction.arg)?.pops();
    depth.checked_sub(u32::try_from(taken).ok()?)
}

/// The instruction that a unit which is no instruction's own belongs to: a prefix.
fn last_before(analysis: &Analysis, offset: u32) -> Option<InstrIdx> {
    let after = analysis
        .instructions()
        .partition_point(|one| one.offset < offset);
    u32::try_from(after)
        .ok()
        .filter(|&after| (after as usize) < analysis.instructions().len())
        .map(InstrIdx)
}
