//! Copies that have breakpoints in place of probes ([`crate::breakpoint`]).

use std::sync::{Arc, OnceLock};

use debugop_bytecode::{Analysis, OffsetMap};
use pyo3::Bound;
use pyo3::types::PyCode;

use super::ProbedCode;
use super::error::names_of;
use crate::engine::Engine;
use crate::frame::CodeShape;
use crate::gil::GilCell;

impl ProbedCode {
    /// Describes `copy`, which has breakpoints in place of probes.
    pub(crate) fn woven(
        original: &Bound<'_, PyCode>,
        analysis: Analysis,
        map: OffsetMap,
        copy: &Bound<'_, PyCode>,
    ) -> Arc<Self> {
        let (qualname, file) = names_of(original);
        let shape = OnceLock::new();
        shape.get_or_init(|| CodeShape::of(copy));
        Arc::new(Self {
            original: original.clone().unbind(),
            woven: None,
            module: Box::default(),
            qualname: qualname.into(),
            file: file.into(),
            length: analysis.instructions().len(),
            analysis: analysis.into(),
            engine: Engine::Inject,
            map: map.into(),
            reported: Box::default(),
            begins: Box::default(),
            nested: Vec::new(),
            has_refused: false,
            is_woven: true,
            further: Box::default(),
            sites: GilCell::default(),
            silenced: GilCell::default(),
            refusals: GilCell::default(),
            lastis: OnceLock::new(),
            #[cfg(Py_3_12)]
            for_iters: OnceLock::new(),
            shape,
            reports_steps: false,
            planned: OnceLock::new(),
            copy: GilCell::new(copy.as_ptr() as usize),
            hooks: GilCell::default(),
            native: GilCell::default(),
            counter: GilCell::new(std::ptr::null()),
            watchers: GilCell::default(),
        })
    }

    /// Whether the copy has breakpoints in place of probes.
    #[inline]
    pub(crate) fn is_woven(&self) -> bool {
        self.is_woven
    }

    /// Whether some instruction is on `line`.
    pub(crate) fn has_line(&self, line: u32) -> bool {
        let mut entries = self.analysis().location_entries();
        entries.any(|entry| entry.location.line.map(i64::from) == Some(i64::from(line)))
    }
}
