//! Copies that have breakpoints in place of probes ([`crate::breakpoint`]).

use std::sync::{Arc, OnceLock};

use debugop_bytecode::{Analysis, OffsetMap};
use pyo3::types::PyCode;
use pyo3::{Bound, PyResult};

use super::{ProbedCode, names_of};
use crate::engine::Engine;
use crate::frame::CodeShape;
use crate::gil::GilCell;

impl ProbedCode {
    /// Describes `copy`, which has breakpoints in place of probes.
    ///
    /// # Errors
    /// `MemoryError`.
    pub(crate) fn woven(
        original: &Bound<'_, PyCode>,
        analysis: Analysis,
        map: OffsetMap,
        copy: &Bound<'_, PyCode>,
    ) -> PyResult<Arc<Self>> {
        let (qualname, file) = names_of(original);
        let shape = OnceLock::new();
        shape.get_or_init(|| CodeShape::of(copy));
        Ok(Arc::new(Self {
            original: original.clone().unbind(),
            module: Box::default(),
            qualname: qualname.into(),
            file: file.into(),
            analysis,
            engine: Engine::Inject,
            map: Some(map),
            reported: Box::default(),
            nested: Vec::new(),
            has_refused: false,
            is_woven: true,
            callables: Vec::new(),
            further: Vec::new(),
            lastis: OnceLock::new(),
            shape,
            copy: GilCell::new(copy.as_ptr() as usize),
            hooks: GilCell::default(),
            native: GilCell::default(),
            watchers: GilCell::default(),
        }))
    }

    /// Whether the copy has breakpoints in place of probes.
    #[inline]
    pub(crate) fn is_woven(&self) -> bool {
        self.is_woven
    }

    /// Whether some instruction is on `line`.
    pub(crate) fn has_line(&self, line: u32) -> bool {
        let lines = self.analysis.location_entries();
        let mut lines = lines.filter_map(|entry| entry.location.line);
        lines.any(|one| i64::from(one) == i64::from(line))
    }
}
