//! Which code objects an engine reports without copies of them.

use std::sync::Arc;

use pyo3::types::PyCode;
use pyo3::{Bound, Python};
use rustc_hash::FxHashMap;

use super::Engine;
#[cfg(Py_3_13)]
use crate::crossinterp;
use crate::gil::GilCell;
use crate::probed::{ProbeError, ProbedCode};

/// Entries by the address of the code object that runs, which the entry keeps alive.
type Entries = FxHashMap<usize, Arc<ProbedCode>>;

static MONITORED: GilCell<Option<Entries>> = GilCell::new(None);
static TRACED: GilCell<Option<Entries>> = GilCell::new(None);

fn with<R>(py: Python<'_>, engine: Engine, f: impl FnOnce(&mut Entries) -> R) -> R {
    let cell = match engine {
        Engine::Settrace => &TRACED,
        _ => &MONITORED,
    };
    cell.with(
        py,
        |entries| f(entries.get_or_insert_with(Entries::default)),
    )
}

/// The entry of the code object at this address.
#[inline]
pub(super) fn find(py: Python<'_>, engine: Engine, address: usize) -> Option<Arc<ProbedCode>> {
    with(py, engine, |entries| entries.get(&address).cloned())
}

/// The entry of `code`; makes it if there is none.
///
/// # Errors
/// Why its steps cannot be told.
pub(super) fn obtain(
    py: Python<'_>,
    engine: Engine,
    code: &Bound<'_, PyCode>,
    module: &str,
) -> Result<Arc<ProbedCode>, ProbeError> {
    let address = code.as_ptr() as usize;
    if let Some(known) = find(py, engine, address) {
        return Ok(known);
    }
    #[cfg(Py_3_13)]
    crossinterp::watch(py)?;
    let made = ProbedCode::observe(engine, code, module)?;
    // Making it may have run Python (3.11: garbage is collected where memory is allocated), and so have made another.
    if let Some(known) = find(py, engine, address) {
        return Ok(known);
    }
    with(py, engine, |entries| {
        entries.insert(address, Arc::clone(&made))
    });
    Ok(made)
}

/// All entries.
pub(crate) fn all(py: Python<'_>) -> Vec<Arc<ProbedCode>> {
    let of = |engine| with(py, engine, |entries| entries.values().cloned().collect());
    let mut all: Vec<_> = of(Engine::Monitoring);
    all.extend(of(Engine::Settrace));
    all
}

/// Drops the entry of `code`.
pub(super) fn forget(py: Python<'_>, engine: Engine, code: &Arc<ProbedCode>) {
    let address = code.observed(py).as_ptr() as usize;
    // Dropped with the map closed.
    let removed = with(py, engine, |entries| entries.remove(&address));
    drop(removed);
}
