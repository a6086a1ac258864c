//! What is remembered about a code object, in the code object: its `co_extra`.
//!
//! CPython frees it together with the code object, so it can neither go stale nor be mistaken for another's, and there is as
//! much of it as there is code that executes DEBUG_OP (`Objects/codeobject.c`: `PyUnstable_Code_SetExtra`, `code_dealloc`).

use std::ffi::c_void;
use std::rc::Rc;

use debugop_bytecode::{Analysis, Error, InstrIdx, Instruction, OffsetMap, Op};
use pyo3::exceptions::PySystemError;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyAnyMethods, PyCode, PyTuple, PyTupleMethods};
use pyo3::{Bound, Py, PyErr, PyResult, Python, ffi};

use crate::frame::CodeShape;
use crate::gil::GilCell;
use crate::layout::VERSION;
use crate::probed::CodeFields;

/// Where the value stack of a code object's frames is, and what is known of the places where DEBUG_OP can execute.
pub(super) struct Facts {
    pub shape: CodeShape,
    /// Every UNARY_INVERT, in the order of their offsets. Or why the bytecode cannot be analysed.
    pub inversions: Result<Box<[Inversion]>, Error>,
}

/// One UNARY_INVERT.
#[derive(Clone, Copy)]
pub(super) struct Inversion {
    /// Byte offset.
    pub offset: u32,
    /// Depth of the stack before it; `None`: nothing leads to it.
    pub depth: Option<u32>,
    /// Byte offset of the first instruction after it that is no probe, if it is the middle of a probe; otherwise its own.
    pub next: u32,
}

/// The code object that DEBUG_OPs were inserted into.
pub(super) struct Origin {
    pub code: Py<PyCode>,
    pub map: OffsetMap,
}

#[derive(Default)]
struct Extra {
    facts: GilCell<Option<Rc<Facts>>>,
    origin: GilCell<Option<Rc<Origin>>>,
}

/// The slot of `co_extra` that is ours.
static INDEX: PyOnceLock<ffi::Py_ssize_t> = PyOnceLock::new();

/// # Safety
/// Called by CPython with what [`with`] has set, when the code object dies.
unsafe extern "C" fn free(extra: *mut c_void) {
    // CPython calls this for NULL, too, when another user's slot made it allocate the array.
    if !extra.is_null() {
        // SAFETY: the thread is attached; the pointer came from `Box::into_raw` and is given back exactly once.
        let (_py, extra) = unsafe {
            (
                Python::assume_attached(),
                Box::from_raw(extra.cast::<Extra>()),
            )
        };
        drop(extra);
    }
}

/// Runs `f` on what is remembered about `code`.
fn with<R>(code: &Bound<'_, PyCode>, f: impl FnOnce(&Extra) -> R) -> PyResult<R> {
    let py = code.py();
    let index = INDEX.get_or_try_init(py, || {
        // SAFETY: the GIL is held; `free` has the right signature and lives as long as the process.
        match unsafe { ffi::PyUnstable_Eval_RequestCodeExtraIndex(free) } {
            index if index >= 0 => Ok(index),
            _ => Err(PySystemError::new_err(
                "the 255 users of co_extra that CPython allows are there already",
            )),
        }
    })?;
    let mut extra = std::ptr::null_mut();
    // SAFETY: `code` is a code object and `index` was given to us. What is in our slot is NULL or an `Extra` of ours, which
    // stays until `code` dies, and the caller holds `code`.
    unsafe {
        if ffi::PyUnstable_Code_GetExtra(code.as_ptr(), *index, &raw mut extra) < 0 {
            return Err(PyErr::fetch(py));
        }
        if extra.is_null() {
            extra = Box::into_raw(Box::new(Extra::default())).cast();
            // Nothing has run since the slot was found empty, so nothing is overwritten.
            if ffi::PyUnstable_Code_SetExtra(code.as_ptr(), *index, extra) < 0 {
                drop(Box::from_raw(extra.cast::<Extra>()));
                return Err(PyErr::fetch(py));
            }
        }
        Ok(f(&*extra.cast::<Extra>()))
    }
}

/// What DEBUG_OP has to know about `code`; analysed the first time that it is asked for.
///
/// # Errors
/// `MemoryError`.
pub(super) fn facts(py: Python<'_>, code: &Bound<'_, PyCode>) -> PyResult<Rc<Facts>> {
    if let Some(facts) = with(code, |extra| extra.facts.cloned(py))? {
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
    with(code, |extra| extra.facts.set(py, Some(Rc::clone(&facts))))?;
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
    with(code, |extra| extra.origin.cloned(py))
}

/// Remembers what `code` was made from.
///
/// # Errors
/// `MemoryError`.
pub(super) fn set_origin(py: Python<'_>, code: &Bound<'_, PyCode>, origin: Origin) -> PyResult<()> {
    with(code, |extra| extra.origin.set(py, Some(Rc::new(origin))))
}
