//! `gc.get_referrers` of a code object finds the functions and frames that run its copies.
//!
//! The module `trace` finds the class of a method in this way: from the code of a frame to the function, and on to the dict of
//! the class.

use std::sync::OnceLock;

use pyo3::types::{PyAnyMethods, PyCode};
use pyo3::{Py, PyAny, PyResult, Python};

use crate::builtin::{self, Arguments, Function, Watched};
use crate::gil::GilCell;
use crate::modules;
use crate::registry;

static ORIGINAL: OnceLock<Function> = OnceLock::new();

/// `gc.get_referrers`, found when nothing is watched yet: to import a module makes functions.
static FUNCTION: GilCell<Option<Py<PyAny>>> = GilCell::new(None);

/// Finds the function; to be called when debugop is imported.
///
/// # Errors
/// The interpreter is not as it should be.
pub(super) fn prepare(py: Python<'_>) -> PyResult<()> {
    let function = modules::builtin(py, "gc")?.getattr("get_referrers")?;
    FUNCTION.set(py, Some(function.unbind()));
    Ok(())
}

/// Puts ours in its place, until the process ends.
///
/// # Errors
/// The interpreter is not as it should be.
pub(super) fn watch(py: Python<'_>) -> PyResult<()> {
    match FUNCTION.take(py) {
        Some(function) => builtin::place::<Referrers>(function.bind(py)),
        None => Ok(()),
    }
}

struct Referrers;

impl Watched for Referrers {
    fn original() -> &'static OnceLock<Function> {
        &ORIGINAL
    }

    fn look<'py>(_py: Python<'py>, arguments: &mut Arguments<'py>) -> PyResult<()> {
        let copies: Vec<_> = (0..)
            .map_while(|place| arguments.positional(place))
            .filter_map(|object| object.cast_exact::<PyCode>().ok())
            .flat_map(|code| {
                let mut copies = registry::copies(code);
                copies.retain(|copy| !copy.is(code));
                copies
            })
            .collect();
        for copy in copies {
            arguments.push(copy.into_any());
        }
        Ok(())
    }
}
