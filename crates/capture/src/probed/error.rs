//! What is left without probes, and why.

use debugop_bytecode::Analysis;
use pyo3::types::PyCode;
use pyo3::{Bound, PyErr};

use crate::code_object::{self, CodeFields};
use crate::value::string;

/// Why a code object is left without probes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// Its bytecode or tables are not what a compiler writes.
    #[error("{qualname} in {file}: {source}")]
    Bytecode {
        /// `co_qualname`.
        qualname: String,
        /// `co_filename`.
        file: String,
        /// What is wrong.
        source: debugop_bytecode::Error,
    },
    /// Probing it would take more time and memory than tracing may cost.
    #[error("{qualname} in {file}: {size} bytes of bytecode, where at most {MAX_SIZE} are probed")]
    TooLarge {
        /// `co_qualname`.
        qualname: String,
        /// `co_filename`.
        file: String,
        /// Length of `co_code`.
        size: usize,
    },
    /// It is nested in too many others.
    #[error(
        "{qualname} in {file} with the code around it: they are nested in {MAX_NESTING} code objects"
    )]
    TooDeep {
        /// `co_qualname`.
        qualname: String,
        /// `co_filename`.
        file: String,
    },
    /// There is no plan for what is to be recorded: its bytecode is not what a compiler writes.
    #[error("{qualname} in {file}: {source}")]
    Plan {
        /// `co_qualname`.
        qualname: String,
        /// `co_filename`.
        file: String,
        /// What is wrong.
        source: debugop_bytecode::plan::PlanError,
    },
    /// Python raised while the copy was made.
    #[error(transparent)]
    Python(#[from] PyErr),
}

impl ProbeError {
    /// Whether the code object is such that it is left as it is; otherwise something went wrong while it was probed.
    pub(crate) fn is_refusal(&self) -> bool {
        !matches!(self, Self::Python(_))
    }

    /// `code` is nested in too many others.
    pub(crate) fn too_deep(code: &Bound<'_, PyCode>) -> Self {
        let (qualname, file) = names_of(code);
        Self::TooDeep { qualname, file }
    }
}

/// Larger code is left as it is. A probed copy takes about 90 bytes an instruction, and some 200 while it is made: this bounds it to some 100 MB, made
/// in a quarter of a second. No compiler writes such code but from generated sources.
pub(crate) const MAX_SIZE: usize = 1 << 20;

/// Code objects in each other's constants are probed with the outermost, which takes C stack, down to this depth. The tokenizer
/// allows 100 levels of indentation (`MAXINDENT`, `Parser/tokenizer.h`); only hand-made code is nested deeper.
pub(crate) const MAX_NESTING: u32 = 128;

/// The code object as [`Analysis`] has it, with its qualified name and file; or why it is left as it is.
pub(super) fn analyse(
    original: &Bound<'_, PyCode>,
    fields: &CodeFields<'_>,
) -> Result<(Analysis, String, String), ProbeError> {
    let (qualname, file) = names_of(original);
    let size = fields.view().code.len();
    if size > MAX_SIZE {
        return Err(ProbeError::TooLarge {
            qualname,
            file,
            size,
        });
    }
    match Analysis::new(&fields.view()) {
        Ok(analysis) => Ok((analysis, qualname, file)),
        Err(source) => Err(ProbeError::Bytecode {
            qualname,
            file,
            source,
        }),
    }
}

/// `co_qualname` and `co_filename`.
pub(super) fn names_of(code: &Bound<'_, PyCode>) -> (String, String) {
    (
        string(&code_object::qualname(code)),
        string(&code_object::filename(code)),
    )
}
