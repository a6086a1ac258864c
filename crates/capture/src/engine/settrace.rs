//! placeholder
use crate::probed::ProbedCode;
use crate::tracer::Tracer;
use pyo3::{PyResult, Python};
use std::sync::Arc;
pub(super) fn enter(_py: Python<'_>, _tracer: &Arc<Tracer>) -> PyResult<()> {
    Ok(())
}
pub(super) fn leave(_py: Python<'_>, _tracer: &Arc<Tracer>) -> PyResult<()> {
    Ok(())
}
pub(super) fn enable(_py: Python<'_>, _code: &Arc<ProbedCode>) -> PyResult<()> {
    Ok(())
}
