//! `debugop.Predicate` and the functions that make one: which steps are wanted.

use std::fmt;

use debugop_filter::{Pattern, Predicate as Condition, StepFacts};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

/// A condition on steps, evaluated natively. Combine with `&`, `|` and `~`.
///
/// Made by `function`, `module`, `file`, `opcode`, `line` and `depth`; given to `trace(where=…)` or `Trace.filter`.
#[pyclass(frozen, eq, module = "debugop")]
#[derive(Clone, PartialEq)]
pub(crate) struct Predicate {
    pub(crate) condition: Condition,
}

fn made(condition: Condition) -> Predicate {
    Predicate { condition }
}

/// The pattern in `text`, made by `parse`; ValueError says what is wrong with it.
pub(crate) fn pattern<E: fmt::Display>(
    text: &str,
    parse: impl Fn(&str) -> Result<Pattern, E>,
) -> PyResult<Pattern> {
    parse(text).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// Steps of functions that a glob names: by `__name__`, `__qualname__`, or `module.qualname`, of the function itself or of
/// what it is in (`function("json.decoder")` holds in all of that module). With a `/` it is a pattern over files.
///
/// Raises ValueError for an empty or malformed glob.
#[pyfunction]
pub(crate) fn function(pattern: &str) -> PyResult<Predicate> {
    self::pattern(pattern, Pattern::new)
        .map(Condition::Function)
        .map(made)
}

/// Steps of code whose module, or a package that it is in, a glob names: `module("json")` holds in `json.decoder` too.
///
/// Raises ValueError for an empty or malformed glob.
#[pyfunction]
pub(crate) fn module(pattern: &str) -> PyResult<Predicate> {
    self::pattern(pattern, Pattern::new)
        .map(Condition::Module)
        .map(made)
}

/// Steps of code whose file a glob names, from any directory on unless it starts with `/`: `file("parser.py")`,
/// `file("src/**/*.py")`, `file("tests/")`. `*` stops at `/`, `**` does not.
///
/// Raises ValueError for an empty or malformed glob.
#[pyfunction]
pub(crate) fn file(pattern: &str) -> PyResult<Predicate> {
    self::pattern(pattern, Pattern::over_files)
        .map(Condition::File)
        .map(made)
}

/// Steps whose instruction's name matches a glob, in capitals as in `dis`: `opcode("CALL*")`.
///
/// Raises ValueError for an empty or malformed glob.
#[pyfunction]
pub(crate) fn opcode(pattern: &str) -> PyResult<Predicate> {
    self::pattern(pattern, Pattern::new)
        .map(Condition::Opcode)
        .map(made)
}

/// Steps on source lines `first` to `last`, both included; on one line without `last`. Instructions without a line are on
/// none.
///
/// Raises ValueError when `last` is before `first`.
#[pyfunction]
#[pyo3(signature = (first, last = None))]
pub(crate) fn line(first: i32, last: Option<i32>) -> PyResult<Predicate> {
    let last = last.unwrap_or(first);
    if last < first {
        return Err(PyValueError::new_err(format!(
            "lines {first} to {last} are no lines"
        )));
    }
    Ok(made(Condition::Line(first..=last)))
}

/// Steps in frames that are `least` to `most` traced calls below the first traced frame of their thread, both included;
/// that one has depth 0. `depth(n)` is 0 to n.
///
/// Raises ValueError when `most` is below `least`.
#[pyfunction]
#[pyo3(signature = (least, most = None))]
pub(crate) fn depth(least: u32, most: Option<u32>) -> PyResult<Predicate> {
    let depths = most.map_or(0..=least, |most| least..=most);
    if depths.is_empty() {
        return Err(PyValueError::new_err(format!(
            "depths {} to {} are no depths",
            depths.start(),
            depths.end()
        )));
    }
    Ok(made(Condition::Depth(depths)))
}

impl Predicate {
    /// Whether it holds for a step with these facts.
    pub(crate) fn holds(&self, facts: &StepFacts<'_>, depth: u32) -> bool {
        self.condition.holds(facts, depth)
    }
}

#[pymethods]
impl Predicate {
    fn __and__(&self, other: &Self) -> Self {
        made(Condition::And(vec![
            self.condition.clone(),
            other.condition.clone(),
        ]))
    }

    fn __or__(&self, other: &Self) -> Self {
        made(Condition::Or(vec![
            self.condition.clone(),
            other.condition.clone(),
        ]))
    }

    fn __invert__(&self) -> Self {
        made(Condition::Not(Box::new(self.condition.clone())))
    }

    fn __bool__(&self) -> PyResult<bool> {
        Err(PyTypeError::new_err(
            "a predicate has no truth value; combine predicates with &, | and ~, not with and, or and not",
        ))
    }

    fn __repr__(&self) -> String {
        Shown(&self.condition).to_string()
    }
}

/// A condition as the Python expression that makes it.
struct Shown<'a>(&'a Condition);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut joined = |all: &[Condition], operator: &str| {
            f.write_str("(")?;
            for (at, one) in all.iter().enumerate() {
                write!(f, "{}{}", if at == 0 { "" } else { operator }, Shown(one))?;
            }
            f.write_str(")")
        };
        match self.0 {
            Condition::Function(pattern) => write!(f, "debugop.function({:?})", pattern.as_str()),
            Condition::Module(pattern) => write!(f, "debugop.module({:?})", pattern.as_str()),
            Condition::File(pattern) => write!(f, "debugop.file({:?})", pattern.as_str()),
            Condition::Opcode(pattern) => write!(f, "debugop.opcode({:?})", pattern.as_str()),
            Condition::Line(lines) => write!(f, "debugop.line({}, {})", lines.start(), lines.end()),
            Condition::Depth(depths) => {
                write!(f, "debugop.depth({}, {})", depths.start(), depths.end())
            }
            Condition::And(all) => joined(all, " & "),
            Condition::Or(all) => joined(all, " | "),
            Condition::Not(inner) => write!(f, "~{}", Shown(inner)),
            // `Always`, which no function makes.
            _ => f.write_str("debugop.Predicate"),
        }
    }
}
