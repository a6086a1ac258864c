//! Copies that have breakpoints in place of probes ([`crate::breakpoint`]).

use std::sync::{Arc, OnceLock};

use debugop_bytecode::{Analysis, Inserted, InstrIdx, OffsetMap, Op};
use pyo3::types::PyCode;
use pyo3::{Bound, PyAny, PyResult, Python};

use super::error::names_of;
use super::silence::{Probe, jump_to, opcode_of};
use super::{ProbedCode, SiteInfo};
use crate::engine::Engine;
use crate::frame::CodeShape;
use crate::gil::GilCell;
use crate::site;

/// Where breakpoints stand in a copy: what is there when they are in force, and what leads by them afterwards.
pub(crate) struct Fragments {
    probes: Box<[Probe]>,
    /// Where frames leave the copy: the number of the fragment, and the instruction that they go on with.
    leaving: Vec<(usize, InstrIdx)>,
}

impl Fragments {
    /// Those of `inserted`, some of which have detours: `leaving`, in order, each with the instruction behind it.
    pub(crate) fn of(inserted: &Inserted, leaving: Vec<(usize, InstrIdx)>) -> Self {
        let (units, _) = inserted.code.as_chunks::<2>();
        let mut detours = leaving.iter().zip(&inserted.detours).peekable();
        let both = inserted.insertions.iter().zip(&inserted.ends);
        let probe = |(number, (&start, &end)): (usize, (&u32, &u32))| {
            let detour = detours.next_if(|(leaving, _)| leaving.0 == number);
            let at = start as usize / 2;
            let before = at.checked_sub(1).map(|before| units[before][0]);
            Some(Probe {
                at,
                is: [*units.get(at)?, *units.get(at + 1)?],
                jump: [
                    opcode_of(Op::JumpForward),
                    u8::try_from((end - start) / 2 - 1).ok()?,
                ],
                detour: detour.and_then(|(_, &to)| jump_to(start, to)),
                after_load_fast: before == Some(opcode_of(Op::LoadFast)),
                adds: false,
            })
        };
        Self {
            probes: both.enumerate().filter_map(probe).collect(),
            leaving,
        }
    }
}

impl ProbedCode {
    /// Describes a copy that has breakpoints in place of probes; [`ProbedCode::is_woven_into`] says which it is.
    pub(crate) fn woven(
        original: &Bound<'_, PyCode>,
        analysis: Analysis,
        map: OffsetMap,
        fragments: Fragments,
    ) -> Arc<Self> {
        let (qualname, file) = names_of(original);
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
            fragments: Some(fragments),
            further: Box::default(),
            sites: GilCell::default(),
            silenced: GilCell::default(),
            left_out: OnceLock::new(),
            jumps_left_out: GilCell::default(),
            refusals: GilCell::default(),
            lastis: OnceLock::new(),
            #[cfg(Py_3_12)]
            for_iters: OnceLock::new(),
            shape: OnceLock::new(),
            reports_steps: false,
            has_plan: false,
            planned: OnceLock::new(),
            copy: GilCell::default(),
            hooks: GilCell::default(),
            native: GilCell::default(),
            counter: GilCell::new(std::ptr::null()),
            watchers: GilCell::default(),
        })
    }

    /// Says which copy it describes.
    pub(crate) fn is_woven_into(&self, copy: &Bound<'_, PyCode>) {
        self.shape.get_or_init(|| CodeShape::of(copy));
        self.copy.set(copy.py(), copy.as_ptr() as usize);
    }

    /// Whether the copy has breakpoints in place of probes.
    #[inline]
    pub(crate) fn is_woven(&self) -> bool {
        self.fragments.is_some()
    }

    /// The sites of the detours of its breakpoints, in order.
    ///
    /// # Errors
    /// `MemoryError`.
    pub(crate) fn leaving_sites<'py>(
        self: &Arc<Self>,
        py: Python<'py>,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let leaving = self.fragments.iter().flat_map(|all| &all.leaving);
        let infos: Vec<_> = leaving
            .map(|&(number, next)| SiteInfo::leaving(number, next))
            .collect();
        let mut sites = Vec::with_capacity(infos.len());
        site::new_sites(py, self, &infos, |_| false, |site| sites.push(site))?;
        Ok(sites)
    }

    /// Its breakpoints, as probes that can be led by.
    pub(super) fn fragments(&self) -> Option<&[Probe]> {
        self.fragments.as_ref().map(|fragments| &*fragments.probes)
    }

    /// Whether some instruction is on `line`.
    pub(crate) fn has_line(&self, line: u32) -> bool {
        let mut entries = self.analysis().location_entries();
        entries.any(|entry| entry.location.line.map(i64::from) == Some(i64::from(line)))
    }
}
