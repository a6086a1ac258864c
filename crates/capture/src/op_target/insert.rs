//! Inserting DEBUG_OP before instructions of a code object.

use debugop_bytecode::{Analysis, Forbidden, Insertion, InstrIdx, Place, forbidden};
use pyo3::types::{PyAnyMethods, PyCode, PyTuple, PyTupleMethods};
use pyo3::{Bound, PyAny, PyErr, PyResult, Python};

use super::code_name;
use super::facts::{self, Origin};
use crate::code_object::{CodeFields, parts, with_parts};
use crate::layout::VERSION;
use crate::probed;

/// Why DEBUG_OP cannot be inserted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InsertError {
    /// No opcode unit is at the offset.
    #[error("cannot insert DEBUG_OP: {code} has no instruction at offset {offset}{hint}")]
    NoInstruction {
        /// Which code object.
        code: String,
        /// Byte offset asked for.
        offset: i64,
        /// Where the nearest one is, if the offset is inside an instruction.
        hint: String,
    },
    /// The instruction must follow the one before it at once, or cannot be reached.
    #[error("cannot insert DEBUG_OP before {opname} at offset {offset} of {code}: {reason}")]
    Forbidden {
        /// Which code object.
        code: String,
        /// Name of the instruction.
        opname: &'static str,
        /// Its byte offset.
        offset: u32,
        /// Why.
        reason: Forbidden,
    },
    /// The bytecode or the tables are not what a compiler writes.
    #[error("cannot insert DEBUG_OP into {code}: {source}")]
    Bytecode {
        /// Which code object.
        code: String,
        /// What is wrong.
        source: debugop_bytecode::Error,
    },
    /// Offsets are those of one code object.
    #[error(
        "cannot insert DEBUG_OP into nested code objects at given offsets: each has offsets of its own"
    )]
    NestedOffsets,
    /// Python raised while the copy was made.
    #[error(transparent)]
    Python(#[from] PyErr),
}

/// A copy of `code` with DEBUG_OP before the instructions at `offsets`: byte offsets of opcode units as `dis` gives them, in any
/// order, repetitions without effect. `None`: before every instruction where it is allowed ([`forbidden`]); with `nested` also
/// in the code objects among the constants.
///
/// Every jump to such an instruction lands on its DEBUG_OP. Lines, columns, exception ranges and depths stay right.
///
/// # Errors
/// [`InsertError`].
pub fn insert_debug_op<'py>(
    code: &Bound<'py, PyCode>,
    offsets: Option<Vec<i64>>,
    nested: bool,
) -> Result<Bound<'py, PyCode>, InsertError> {
    if nested && offsets.is_some() {
        return Err(InsertError::NestedOffsets);
    }
    let py = code.py();
    let fields = CodeFields::read(code)?;
    let view = fields.view();
    let bad = |source| InsertError::Bytecode {
        code: code_name(code),
        source,
    };
    let analysis = Analysis::new(&view).map_err(bad)?;
    let places = match offsets {
        None => everywhere(&analysis),
        Some(offsets) => at(code, &analysis, offsets)?,
    };
    let constants: Bound<'py, PyTuple> = code
        .getattr("co_consts")
        .and_then(|consts| Ok(consts.cast_into()?))?;
    let mut consts = if nested {
        insert_into_constants(&constants)?
    } else {
        constants.iter().collect()
    };
    let sequence = probed::probe(constant(py, &mut consts)?);
    let insertions: Vec<_> = places
        .into_iter()
        .map(|place| Insertion {
            place,
            sequence: &sequence,
            first: 0,
            branches: None,
        })
        .collect();
    let (parts, map) =
        parts(debugop_bytecode::insert(&view, &analysis, &insertions, None).map_err(bad)?);
    let copy = with_parts(code, &parts, &PyTuple::new(py, consts)?)?;
    facts::set_origin(
        py,
        &copy,
        Origin {
            code: code.clone().unbind(),
            map,
        },
    )?;
    Ok(copy)
}

fn everywhere(analysis: &Analysis) -> Vec<Place> {
    let all = (0..analysis.instructions().len() as u32).map(|index| Place::Before(InstrIdx(index)));
    all.filter(|&place| forbidden(analysis, place).is_none())
        .collect()
}

fn at(
    code: &Bound<'_, PyCode>,
    analysis: &Analysis,
    offsets: Vec<i64>,
) -> Result<Vec<Place>, InsertError> {
    let mut indices = Vec::with_capacity(offsets.len());
    for offset in offsets {
        let found = u32::try_from(offset)
            .ok()
            .and_then(|offset| analysis.at_offset(offset));
        let index = found.ok_or_else(|| no_instruction(code, analysis, offset))?;
        if let Some(reason) = forbidden(analysis, Place::Before(index)) {
            let instruction = analysis.get(index);
            let (opname, offset) = (instruction.opcode.name(VERSION), instruction.offset);
            return Err(InsertError::Forbidden {
                code: code_name(code),
                opname,
                offset,
                reason,
            });
        }
        indices.push(index);
    }
    indices.sort_unstable();
    indices.dedup();
    Ok(indices.into_iter().map(Place::Before).collect())
}

fn no_instruction(code: &Bound<'_, PyCode>, analysis: &Analysis, offset: i64) -> InsertError {
    let mut around = analysis.instructions().iter();
    let inside = around.find(|one| (i64::from(one.start)..i64::from(one.end())).contains(&offset));
    let hint = inside.map_or_else(String::new, |one| {
        format!(
            " (it is inside {}, whose offset is {})",
            one.opcode.name(VERSION),
            one.offset
        )
    });
    InsertError::NoInstruction {
        code: code_name(code),
        offset,
        hint,
    }
}

/// The index of DEBUG_OP in `consts`; added if it is not there.
fn constant<'py>(py: Python<'py>, consts: &mut Vec<Bound<'py, PyAny>>) -> PyResult<usize> {
    let op = super::debug_op(py)?;
    Ok(consts
        .iter()
        .position(|constant| constant.is(op))
        .unwrap_or_else(|| {
            consts.push(op.clone());
            consts.len() - 1
        }))
}

fn insert_into_constants<'py>(
    constants: &Bound<'py, PyTuple>,
) -> Result<Vec<Bound<'py, PyAny>>, InsertError> {
    let insert = |constant: Bound<'py, PyAny>| match constant.cast_exact::<PyCode>() {
        Ok(code) => insert_debug_op(code, None, true).map(Bound::into_any),
        Err(_) => Ok(constant),
    };
    constants.iter().map(insert).collect()
}
