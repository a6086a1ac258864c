//! `debugop.Predicate`: which steps are wanted.

use debugop_filter::{Pattern, Predicate as Condition};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// A condition on steps. Combine with `&`, `|` and `~`; evaluated natively.
#[pyclass(frozen, eq, module = "debugop")]
#[derive(Clone, PartialEq)]
pub(crate) struct Predicate {
    pub(crate) condition: Condition,
}

fn pattern(text: &str) -> PyResult<Pattern> {
    text.parse().map_err(|error: debugop_filter::PatternError| PyValueError::new_err(error.to_string()))
}

fn made(condition: Condition) -> Predicate {
    Predicate { condition }
}

#[pymethods]
impl Predicate {
    #[staticmethod]
    fn function(name: &str) -> PyResult<Self> {
        pattern(name).map(Condition::Function).map(made)
    }

    #[staticmethod]
    fn module(name: &str) -> PyResult<Self> {
        pattern(name).map(Condition::Module).map(made)
    }

    #[staticmethod]
    fn file(name: &str) -> PyResult<Self> {
        pattern(name).map(Condition::File).map(made)
    }

    #[staticmethod]
    fn opcode(name: &str) -> PyResult<Self> {
        pattern(name).map(Condition::Opcode).map(made)
    }

    #[staticmethod]
    fn line(first: i32, last: i32) -> Self {
        made(Condition::Line(first..=last))
    }

    #[staticmethod]
    fn depth(least: u32, most: u32) -> Self {
        made(Condition::Depth(least..=most))
    }

    fn __and__(&self, other: &Self) -> Self {
        made(Condition::And(vec![self.condition.clone(), other.condition.clone()]))
    }

    fn __or__(&self, other: &Self) -> Self {
        made(Condition::Or(vec![self.condition.clone(), other.condition.clone()]))
    }

    fn __invert__(&self) -> Self {
        made(Condition::Not(Box::new(self.condition.clone())))
    }

    fn __repr__(&self) -> String {
        format!("<debugop.Predicate {:?}>", self.condition)
    }
}
