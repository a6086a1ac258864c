//! What is known of code objects that execute DEBUG_OP.

use std::rc::Rc;

use debugop_bytecode::{Analysis, Error, InstrIdx, Instruction, OffsetMap, Op};
use pyo3::types::{PyAnyMethods, PyCode, PyTuple, PyTupleMethods};
use pyo3::{Bound, Py, PyResult, Python};

use crate::code_object::CodeFields;
use crate::extra;
use crate::frame::CodeShape;
use crate::layout::VERSION;

/// Where the value stack of a code object's frames is, and what is known of the places where DEBUG_OP can execute.
pub(crate) struct Facts {
    pub shape: CodeShape,
    /// Every UNARY_INVERT, in the order of their offsets. Or why the bytecode cannot be analysed.
    pub inversions: Result<Box<[Inversion]>, Error>,
}

/// One UNARY_INVERT.
#[derive(Clone, Copy)]
pub(crate) struct Inversion {
    /// Byte offset.
    pub offset: u32,
    /// Depth of the stack before it; `None`: nothing leads to it.
    pub depth: Option<u32>,
    /// Byte offset of the first instruction after it that is no probe, if it is the middle of a probe; otherwise its own.
    pub next: u32,
}

/// The code object that DEBUG_OPs were inserted into.
pub(crate) struct Origin {
    pub code: Py<PyCode>,
    pub map: OffsetMap,
}

/// What DEBUG_OP has to know about `code`; analysed the first time that it is asked for.
///
/// # Errors
/// `MemoryError`.
pub(super) fn facts(py: Python<'_>, code: &Bound<'_, PyCode>) -> PyResult<Rc<Facts>> {
    if let Some(facts) = extra::with(code, |extra| extra.facts.cloned(py))? {
        return Ok(facts);
    }
    let fields = CodeFields::read(code)?;
    let constants: Bound<'_, PyTuple> = code.getattr("co_consts")?.cast_into()?;
    let is_op = constants
        .iter()
        .map(|constant| super::is_probe(py, &constant))
        .collect::<PyResult<Vec<_>>>()?;
    let inversions = Analysis::new(&fields.view()).map(|analysis| inversions(&analysis, &is_op));
    let facts = Rc::new(Facts {
        shape: CodeShape::of(code),
        inversions,
    });
    extra::with(code, |extra| extra.facts.set(py, Some(Rc::clone(&facts))))?;
    Ok(facts)
}

/// `is_op`: which constants make an inversion an opcode of ours.
fn inversions(analysis: &Analysis, is_op: &[bool]) -> Box<[Inversion]> {
    let invert = Op::UnaryInvert.opcode(VERSION);
    let inversion = |(index, instruction): (u32, &Instruction)| {
        (Some(instruction.opcode) == invert).then(|| Inversion {
            offset: instruction.offset,
            depth: analysis.depth(InstrIdx(index)),
            next: after_probes(analysis, is_op, index),
        })
    };
    (0u32..)
        .zip(analysis.instructions())
        .filter_map(inversion)
        .collect()
}

/// Offset of the first instruction after the probe whose UNARY_INVERT is instruction `index` and after all probes that follow
/// it; the offset of `index` if it is not in a probe.
fn after_probes(analysis: &Analysis, is_op: &[bool], index: u32) -> u32 {
    const LENGTH: u32 = 3;
    let starts_at = |first: u32| {
        let arg = |ahead: u32, op: Op| {
            let instruction = analysis.instructions().get((first + ahead) as usize)?;
            (Some(instruction.opcode) == op.opcode(VERSION)).then_some(instruction.arg)
        };
        let load = arg(0, Op::LoadConst)
            .filter(|&constant| is_op.get(constant as usize).copied().unwrap_or_default());
        load.is_some() && arg(1, Op::UnaryInvert).is_some() && arg(2, Op::PopTop).is_some()
    };
    let mut next = index;
    if let Some(mut first) = index.checked_sub(1) {
        while starts_at(first) {
            first += LENGTH;
            next = first;
        }
    }
    // Something follows a POP_TOP: the analysis refuses code that falls off its end.
    analysis.get(InstrIdx(next)).offset
}

/// What DEBUG_OPs were inserted into to make `code`.
///
/// # Errors
/// `MemoryError`.
pub(super) fn origin(py: Python<'_>, code: &Bound<'_, PyCode>) -> PyResult<Option<Rc<Origin>>> {
    extra::with(code, |extra| extra.origin.cloned(py))
}

/// Remembers what `code` was made from.
///
/// # Errors
/// `MemoryError`.
pub(super) fn set_origin(py: Python<'_>, code: &Bound<'_, PyCode>, origin: Origin) -> PyResult<()> {
    extra::with(code, |extra| extra.origin.set(py, Some(Rc::new(origin))))
}
