//! The numbers on the value stack that say where an exception was raised.
//!
//! A handler whose exception-table entry asks for it finds `lasti`, the code unit that raised, below the exception
//! (`Objects/exception_handling_notes.txt`): an int, from 3.14 on a tagged one. The interpreter counts the units of the code that
//! runs, which is the copy with probes; what is shown counts those of the original.

use debugop_bytecode::{InstrIdx, Varying};
use pyo3::types::{PyAnyMethods, PyInt};
use pyo3::{IntoPyObject, Python};

use super::ProbedCode;
use crate::frame::{CodeShape, Frame, SlotValue};

impl ProbedCode {
    /// Whether slot `slot`, bottom first, holds the code unit that an exception was raised in when `at` is reached (`lasti`).
    #[inline]
    pub(crate) fn holds_lasti(&self, at: InstrIdx, slot: u32) -> bool {
        // What is also reached without an exception has none on the way there.
        self.analysis().handler_only(at) && self.lastis().binary_search(&(at, slot)).is_ok()
    }

    fn lastis(&self) -> &[(InstrIdx, u32)] {
        self.lastis.get_or_init(|| {
            let by_instruction = debugop_bytecode::varying_slots(self.analysis());
            let all = (0..).map(InstrIdx).zip(by_instruction);
            let mut found: Vec<_> = all
                .flat_map(|(at, slots)| slots.into_iter().map(move |slot| (at, slot)))
                .filter(|(_, (_, varying))| *varying == Varying::Lasti)
                .map(|(at, (slot, _))| (at, slot))
                .collect();
            found.sort_unstable();
            found.into()
        })
    }

    /// A `lasti` as the original would have it: `found` counts the units of the copy.
    #[cold]
    pub(crate) fn original_lasti<'py>(
        &self,
        py: Python<'py>,
        found: SlotValue<'py>,
    ) -> SlotValue<'py> {
        let units = match &found {
            SlotValue::Object(object) => object
                .cast_exact::<PyInt>()
                .ok()
                .and_then(|int| int.extract().ok()),
            SlotValue::Tagged(units) => u32::try_from(*units).ok(),
            _ => None,
        };
        match (units.and_then(|units| self.shown_unit(units)), found) {
            (Some(units), SlotValue::Object(_)) => {
                let Ok(int) = units.into_pyobject(py);
                SlotValue::Object(int.into_any())
            }
            (Some(units), SlotValue::Tagged(_)) => SlotValue::Tagged(units as isize),
            (_, found) => found,
        }
    }

    /// The code unit of the original that corresponds to unit `new` of the copy. A probe stands for the instruction before or
    /// behind which it is; an inline cache (3.11 and 3.12 leave a frame there that calls) keeps its place.
    pub(crate) fn shown_unit(&self, new: u32) -> Option<u32> {
        Some(self.shown_offset(new.checked_mul(2)?)? / 2)
    }

    /// The instruction that raised, from the `lasti` that the interpreter left at the bottom of the handler's stack.
    pub(super) fn raising_instruction<'py>(
        &self,
        py: Python<'py>,
        frame: Frame<'py>,
        shape: &CodeShape,
    ) -> Option<InstrIdx> {
        let units: i64 = match frame.read(py, shape, 0) {
            SlotValue::Object(lasti) => lasti.extract().ok()?,
            SlotValue::Tagged(lasti) => i64::try_from(lasti).ok()?,
            _ => return None,
        };
        // 3.11 and 3.12 leave a frame that called a Python function at the last inline cache of its call.
        let offset = self.original_offset(u32::try_from(units.checked_mul(2)?).ok()?)?;
        let at = self.analysis().at_offset(offset)?;
        Some(self.analysis().calling(at))
    }
}
