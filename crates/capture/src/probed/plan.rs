//! What a recorder needs of a code object: the plan's sites.
//!
//! Where probes stand in a copy is the plan's to say, so each copy is made by one. All else that comes of it is made when the first site fires
//! ([`ProbedCode::plan_now`]), because most code of a program is never run: of 32,000 code objects that a program of some libraries has, 6,000 are.

use debugop_bytecode::plan::PlanError;
use debugop_bytecode::plan::numeric::{Number, Numeric};
use debugop_bytecode::{Analysis, Locals, Plan};
use pyo3::types::{PyAnyMethods, PyCode, PyFloat, PyFloatMethods, PyInt, PyTupleMethods};
use pyo3::{Bound, Python};

use super::ProbedCode;
use super::make::ProbeLayout;
use super::silence::probes;
use crate::code_object;
use crate::recorder::PlannedCode;
use crate::site;

impl ProbedCode {
    /// What a recorder needs of a copy with planned sites; made when it is first asked for. `None` if it has none, or has died.
    pub(crate) fn plan_now(&self, py: Python<'_>) -> Option<&PlannedCode> {
        if let Some(planned) = self.planned() {
            return Some(planned);
        }
        let copy = self.copy.get(py);
        if !self.has_plan || copy == 0 {
            return None;
        }
        let original = self.original(py);
        let analysis = self.analysis();
        let plan = plan(original, analysis).ok()?;
        let numeric = numeric(original, &plan, analysis);
        let made = PlannedCode::new(&plan, &numeric, self);
        let planned = &**self.planned.get_or_init(|| made);
        if planned.may_leave_out() {
            let again = self.insert_again(py);
            let recorders = again.layout.recorders_only(&again.starts);
            let left_out = recorders.filter(|&(_, index)| planned.may_be_left_out(index));
            let left_out = probes(&again.parts.code, left_out.map(|(start, _)| start));
            self.left_out.get_or_init(|| left_out);
        }
        let layout = ProbeLayout::of(analysis, self.reports_steps, Some(&plan));
        site::set_planned(py, self, |index| {
            planned.site(layout.planned.get(index).copied().flatten()?)
        });
        planned.set_copy(copy);
        Some(planned)
    }

    /// What a recorder needs of code that another engine reports; made when it is first asked for. `None` if that is a copy with breakpoints, or has no
    /// plan.
    pub(crate) fn plan_observed(&self, py: Python<'_>) -> Option<&PlannedCode> {
        if let Some(planned) = self.planned() {
            return Some(planned);
        }
        if !self.is_observed() || self.woven.is_some() {
            return None;
        }
        let original = self.original(py);
        let plan = plan(original, self.analysis()).ok()?;
        let address = original.as_ptr() as usize;
        let numeric = numeric(original, &plan, self.analysis());
        let made = PlannedCode::of_original(plan, &numeric, self, address);
        Some(self.planned.get_or_init(|| made))
    }
}

/// The plan of a code object.
pub(super) fn plan(original: &Bound<'_, PyCode>, analysis: &Analysis) -> Result<Plan, PlanError> {
    Plan::new(analysis, &locals(original))
}

/// What is left of the plan while numbers are calculated with.
fn numeric(original: &Bound<'_, PyCode>, plan: &Plan, analysis: &Analysis) -> Numeric {
    let constants = code_object::consts(original);
    let numbers = constants.iter().map(|constant| {
        if let Ok(float) = constant.cast_exact::<PyFloat>() {
            return Number::float(float.value().to_bits());
        }
        let int = constant.cast_exact::<PyInt>().ok()?;
        Number::int(int.extract().ok()?)
    });
    Numeric::new(
        analysis,
        &locals(original),
        plan,
        &numbers.collect::<Vec<_>>(),
    )
}

/// How frames of `code` lay out their local variables.
fn locals(code: &Bound<'_, PyCode>) -> Locals {
    let head = code_object::head(code);
    let stars = [CO_VARARGS, CO_VARKEYWORDS].into_iter();
    let stars = stars.filter(|flag| head.co_flags & flag != 0).count();
    let number = |value: i32| value.unsigned_abs();
    Locals {
        locals: number(head.co_nlocals),
        slots: number(head.co_nlocalsplus),
        arguments: number(head.co_argcount) + number(head.co_kwonlyargcount) + stars as u32,
    }
}

/// Flags of code objects that take further arguments (`Include/cpython/code.h`).
const CO_VARARGS: i32 = 4;
const CO_VARKEYWORDS: i32 = 8;
