//! `debugop.Instruction`: one instruction of a code object.

use std::sync::Arc;

use debugop_bytecode::InstrIdx;
use debugop_capture::{ProbedCode, VERSION};
use pyo3::prelude::*;

/// One instruction of a code object, named as in the `dis` module.
#[pyclass(frozen, module = "debugop")]
pub(crate) struct Instruction {
    code: Arc<ProbedCode>,
    index: InstrIdx,
}

impl Instruction {
    pub(crate) fn new(code: Arc<ProbedCode>, index: InstrIdx) -> Self {
        Self { code, index }
    }

    fn get(&self) -> &debugop_bytecode::Instruction {
        self.code.analysis().get(self.index)
    }
}

#[pymethods]
impl Instruction {
    /// Byte offset in the original `co_code`.
    #[getter]
    fn offset(&self) -> u32 {
        self.get().offset
    }

    /// Name, such as `LOAD_FAST`.
    #[getter]
    fn opname(&self) -> &'static str {
        self.get().opcode.name(VERSION)
    }

    /// Number.
    #[getter]
    fn opcode(&self) -> u8 {
        self.get().opcode.0
    }

    /// The argument, `EXTENDED_ARG` included; None where the instruction takes none.
    #[getter]
    fn arg(&self) -> Option<u32> {
        let instruction = self.get();
        let info = instruction.opcode.info(VERSION)?;
        (info.arg != debugop_bytecode::ArgKind::None).then_some(instruction.arg)
    }

    /// Source line; None for instructions without one.
    #[getter]
    fn line(&self) -> Option<i32> {
        self.code.analysis().location(self.index).line
    }
}
