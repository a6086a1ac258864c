//! `debugop.Instruction`: one instruction of a code object, described as the interpreter's own `dis` does.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use debugop_bytecode::argument::{Argument, Conversion, Resolve};
use debugop_bytecode::{Analysis, ArgKind, InstrIdx, Version};
use debugop_capture::{CodeFields, ProbedCode, VERSION};
use debugop_filter::StepFacts;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyBytes, PyCode, PyComplex, PyFloat, PyFrozenSet, PyFunction, PyInt, PySlice, PyString,
    PyTuple,
};

/// Columns of a constant whose `repr` would run the program's code.
const FOREIGN_CONSTANT_WIDTH: usize = 80;

/// One instruction of a code object, named and described as in the `dis` module of the running interpreter, for the code
/// as the program knows it.
///
/// Keeps its code object alive. Equal to another when both are the same instruction of the same code object.
#[pyclass(frozen, module = "debugop")]
pub(crate) struct Instruction {
    code: Described,
    index: InstrIdx,
}

/// A code object and its analysis.
#[derive(Clone)]
enum Described {
    /// Of code that is or was traced.
    Probed(Arc<ProbedCode>),
    /// Of code that was only asked about.
    Plain(Arc<(Py<PyCode>, Analysis)>),
}

impl Described {
    fn analysis(&self) -> &Analysis {
        match self {
            Self::Probed(code) => code.analysis(),
            Self::Plain(code) => &code.1,
        }
    }

    fn original<'py>(&self, py: Python<'py>) -> &Bound<'py, PyCode> {
        match self {
            Self::Probed(code) => code.original(py),
            Self::Plain(code) => code.0.bind(py),
        }
    }
}

/// The instructions of a function or code object, in the order of their offsets, without `EXTENDED_ARG` and caches.
///
/// Raises TypeError for anything else, ValueError for code whose bytecode or tables are not what a compiler writes.
#[pyfunction]
pub(crate) fn instructions(code: &Bound<'_, PyAny>) -> PyResult<Vec<Instruction>> {
    let code = match code.cast_exact::<PyFunction>() {
        Ok(function) => function.getattr("__code__")?,
        Err(_) => code.clone(),
    };
    let Ok(code) = code.cast_into_exact::<PyCode>() else {
        return Err(PyTypeError::new_err(
            "instructions() takes a function or a code object",
        ));
    };
    let analysis = Analysis::new(&CodeFields::read(&code)?.view())
        .map_err(|error| PyValueError::new_err(error.to_string()))?;
    let count = analysis.instructions().len() as u32;
    let code = Described::Plain(Arc::new((code.unbind(), analysis)));
    Ok((0..count)
        .map(|index| Instruction {
            code: code.clone(),
            index: InstrIdx(index),
        })
        .collect())
}

/// What predicates look at.
pub(crate) fn facts(code: &ProbedCode, index: InstrIdx) -> StepFacts<'_> {
    let analysis = code.analysis();
    let opcode = analysis.get(index).opcode.name(VERSION);
    StepFacts {
        code: code.names(),
        opcode,
        line: analysis.location(index).line,
    }
}

impl Instruction {
    pub(crate) fn new(code: Arc<ProbedCode>, index: InstrIdx) -> Self {
        Self {
            code: Described::Probed(code),
            index,
        }
    }

    fn get(&self) -> &debugop_bytecode::Instruction {
        self.code.analysis().get(self.index)
    }

    fn argument(&self) -> Argument {
        argument(self.get())
    }

    /// Item `index` of a tuple of the code object.
    fn item<'py>(
        &self,
        py: Python<'py>,
        attribute: &str,
        index: u32,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.code.original(py).getattr(attribute)?.get_item(index)
    }

    /// The name of `localsplus[index]`.
    fn local<'py>(&self, py: Python<'py>, index: u32) -> PyResult<Bound<'py, PyAny>> {
        self.code
            .original(py)
            .call_method1(pyo3::intern!(py, "_varname_from_oparg"), (index,))
    }
}

fn argument(instruction: &debugop_bytecode::Instruction) -> Argument {
    Argument::new(
        VERSION,
        instruction.opcode,
        instruction.arg,
        instruction.end(),
    )
}

/// The function that a conversion calls, or None.
fn conversion<'py>(py: Python<'py>, conversion: Conversion) -> PyResult<Bound<'py, PyAny>> {
    match conversion {
        Conversion::None => Ok(py.None().into_bound(py)),
        called => py.import("builtins")?.getattr(called.name()),
    }
}

/// Whether `repr(object)` runs none of the program's code: exact types that the compiler puts into constants.
fn has_plain_repr(object: &Bound<'_, PyAny>) -> bool {
    if let Ok(tuple) = object.cast_exact::<PyTuple>() {
        return tuple.iter().all(|item| has_plain_repr(&item));
    }
    if let Ok(set) = object.cast_exact::<PyFrozenSet>() {
        return set.iter().all(|item| has_plain_repr(&item));
    }
    if object.is_exact_instance_of::<PySlice>() {
        let part = |name| object.getattr(name).is_ok_and(|part| has_plain_repr(&part));
        return part("start") && part("stop") && part("step");
    }
    object.is_none()
        || object.is(object.py().Ellipsis())
        || object.is_exact_instance_of::<PyString>()
        || object.is_exact_instance_of::<PyInt>()
        || object.is_exact_instance_of::<PyBool>()
        || object.is_exact_instance_of::<PyBytes>()
        || object.is_exact_instance_of::<PyFloat>()
        || object.is_exact_instance_of::<PyComplex>()
        || object.is_exact_instance_of::<PyCode>()
}

/// The texts of one code object. What cannot be had leaves an empty text, as an index out of range does in `dis`.
struct Texts<'a, 'py> {
    instruction: &'a Instruction,
    py: Python<'py>,
}

impl Resolve for Texts<'_, '_> {
    fn constant(&self, index: u32, text: &mut String) {
        let Ok(constant) = self.instruction.item(self.py, "co_consts", index) else {
            return;
        };
        let plain = if has_plain_repr(&constant) {
            constant.repr().ok()
        } else {
            None
        };
        match plain {
            Some(plain) => text.push_str(&plain.to_string_lossy()),
            // An object of the program's, or an int with more digits than `sys.set_int_max_str_digits` allows.
            None => {
                let value = debugop_capture::value::capture(
                    &constant,
                    &debugop_capture::value::Limits::default(),
                );
                text.push_str(&value.short(FOREIGN_CONSTANT_WIDTH).to_string());
            }
        }
    }

    fn name(&self, index: u32, text: &mut String) {
        if let Ok(name) = self.instruction.item(self.py, "co_names", index) {
            text.push_str(&name.to_string());
        }
    }

    fn local(&self, index: u32, text: &mut String) {
        if let Ok(name) = self.instruction.local(self.py, index) {
            text.push_str(&name.to_string());
        }
    }

    /// `dis.get_instructions` numbers the targets of jumps, and leaves exception handlers out.
    fn label(&self, offset: u32) -> Option<u32> {
        let target = |one: &debugop_bytecode::Instruction| match argument(one) {
            Argument::Jump(target) | Argument::JumpOrigin(target) => Some(target),
            _ => None,
        };
        let instructions = self.instruction.code.analysis().instructions();
        let mut targets: Vec<u32> = instructions
            .iter()
            .filter_map(target)
            .filter(|&target| target <= offset)
            .collect();
        targets.sort_unstable();
        targets.dedup();
        (targets.last() == Some(&offset)).then_some(targets.len() as u32)
    }
}

#[pymethods]
impl Instruction {
    /// Byte offset of the opcode in the original `co_code`.
    #[getter]
    fn offset(&self) -> u32 {
        self.get().offset
    }

    /// Name, such as `LOAD_FAST`.
    #[getter]
    fn opname(&self) -> &'static str {
        self.get().opcode.name(VERSION)
    }

    /// Number of the opcode; differs between versions of CPython.
    #[getter]
    fn opcode(&self) -> u8 {
        self.get().opcode.0
    }

    /// The argument, `EXTENDED_ARG` included; None where the instruction takes none.
    #[getter]
    fn arg(&self) -> Option<u32> {
        let instruction = self.get();
        let info = instruction.opcode.info(VERSION)?;
        (info.arg != ArgKind::None).then_some(instruction.arg)
    }

    /// What the argument stands for: a constant, a name, a jump's target offset, …; the argument itself where `dis` knows no
    /// more; None without one.
    #[getter]
    fn argval<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let any =
            |value: u32| -> PyResult<Bound<'py, PyAny>> { Ok(value.into_pyobject(py)?.into_any()) };
        match self.argument() {
            Argument::None => Ok(py.None().into_bound(py)),
            Argument::Const(index) => self.item(py, "co_consts", index),
            Argument::Name(index, _) => self.item(py, "co_names", index),
            Argument::Local(index) | Argument::Free(index) => self.local(py, index),
            Argument::LocalPair(first, second) => {
                Ok(PyTuple::new(py, [self.local(py, first)?, self.local(py, second)?])?.into_any())
            }
            Argument::Compare { op, .. } => Ok(PyString::intern(py, op).into_any()),
            Argument::Jump(offset) | Argument::JumpOrigin(offset) => any(offset),
            Argument::Format(called, with_format) => Ok((conversion(py, called)?, with_format)
                .into_pyobject(py)?
                .into_any()),
            Argument::Conversion(called) => conversion(py, called),
            Argument::CommonConstant(_) if VERSION >= Version::V3_15 => py
                .import("dis")?
                .getattr("_common_constants")?
                .get_item(self.get().arg),
            _ => any(self.get().arg),
        }
    }

    /// `argval` as `dis` shows it; empty where it shows nothing. A constant that is not of an exact built-in type is shown
    /// by its type: no `__repr__` of the program is run.
    #[getter]
    fn argrepr(&self, py: Python<'_>) -> String {
        self.argument().repr(
            VERSION,
            &Texts {
                instruction: self,
                py,
            },
        )
    }

    /// `dis.Positions`: lineno, end_lineno, col_offset, end_col_offset; lines from 1, columns in UTF-8 bytes from 0, None
    /// where unknown.
    #[getter]
    fn positions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let location = self.code.analysis().location(self.index);
        let fields = (
            location.line,
            location.end_line,
            location.column,
            location.end_column,
        );
        py.import("dis")?.getattr("Positions")?.call1(fields)
    }

    /// Source line; None for instructions without one.
    #[getter]
    fn line(&self) -> Option<i32> {
        self.code.analysis().location(self.index).line
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        let py = other.py();
        let same = |other: &Self| {
            self.index == other.index && self.code.original(py).is(other.code.original(py))
        };
        other
            .cast_exact::<Self>()
            .is_ok_and(|other| same(other.get()))
    }

    fn __hash__(&self, py: Python<'_>) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.code.original(py).as_ptr() as usize, self.index.0).hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let argrepr = self.argrepr(py);
        let shown = match self.arg() {
            None => String::new(),
            Some(arg) if argrepr.is_empty() => format!(" {arg}"),
            Some(arg) => format!(" {arg} ({argrepr})"),
        };
        format!(
            "<debugop.Instruction {} {}{shown}>",
            self.offset(),
            self.opname()
        )
    }
}
