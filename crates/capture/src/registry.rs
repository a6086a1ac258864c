//! Which code objects are probed now, in the whole process.

use std::sync::Arc;

use pyo3::types::PyCode;
use pyo3::{Bound, Py, Python};
use rustc_hash::FxHashMap;

use crate::gil::GilCell;
use crate::probed::{ProbeError, ProbedCode};

/// Probed code by the address of the original and of the copy. Both are kept alive by the entry, so an address names one
/// object for as long as it stands here.
#[derive(Default)]
struct Registry {
    by_original: FxHashMap<usize, Arc<ProbedCode>>,
    by_probed: FxHashMap<usize, Arc<ProbedCode>>,
}

static REGISTRY: GilCell<Option<Registry>> = GilCell::new(None);

fn with<R>(py: Python<'_>, f: impl FnOnce(&mut Registry) -> R) -> R {
    REGISTRY.with(py, |registry| {
        f(registry.get_or_insert_with(Registry::default))
    })
}

/// The entry of a probed copy, by address.
pub(crate) fn find_probed(py: Python<'_>, code_address: usize) -> Option<Arc<ProbedCode>> {
    with(py, |registry| {
        registry.by_probed.get(&code_address).cloned()
    })
}

/// The entry of an original, by address.
pub(crate) fn find_original(py: Python<'_>, code_address: usize) -> Option<Arc<ProbedCode>> {
    with(py, |registry| {
        registry.by_original.get(&code_address).cloned()
    })
}

/// The entry of `code`, be it an original or a probed copy; probes it if there is none.
///
/// # Errors
/// Why it cannot be probed.
pub(crate) fn obtain(
    py: Python<'_>,
    code: &Bound<'_, PyCode>,
    module: &str,
) -> Result<Arc<ProbedCode>, ProbeError> {
    let address = code.as_ptr() as usize;
    let known = |registry: &mut Registry| {
        registry
            .by_probed
            .get(&address)
            .or_else(|| registry.by_original.get(&address))
            .cloned()
    };
    if let Some(existing) = with(py, known) {
        return Ok(existing);
    }
    let made = ProbedCode::make(py, code, module)?;
    // Making it ran Python (allocation can collect garbage), which may have probed the same code meanwhile.
    if let Some(existing) = with(py, known) {
        return Ok(existing);
    }
    let copy = made.probed(py).map(|copy| copy.as_ptr() as usize);
    with(py, |registry| {
        registry.by_original.insert(address, Arc::clone(&made));
        if let Some(copy) = copy {
            registry.by_probed.insert(copy, Arc::clone(&made));
        }
    });
    Ok(made)
}

/// One user fewer. With the last one, `code` leaves the registry and its probed copy is returned.
pub(crate) fn release(py: Python<'_>, code: &Arc<ProbedCode>) -> Option<Py<PyCode>> {
    let copy = code.release(py)?;
    forget(py, code, copy.as_ptr() as usize);
    Some(copy)
}

/// Drops what was probed for somebody who then failed to use it.
pub(crate) fn drop_unused(py: Python<'_>) {
    let unused: Vec<_> = with(py, |registry| {
        registry
            .by_original
            .values()
            .filter(|code| code.unused(py))
            .cloned()
            .collect()
    });
    for code in unused {
        if let Some(copy) = code.release(py) {
            forget(py, &code, copy.as_ptr() as usize);
        }
    }
}

fn forget(py: Python<'_>, code: &Arc<ProbedCode>, copy: usize) {
    let original = code.original(py).as_ptr() as usize;
    let removed = with(py, |registry| {
        (
            registry.by_original.remove(&original),
            registry.by_probed.remove(&copy),
        )
    });
    // Dropped here, with the registry closed: destructors may run Python.
    drop(removed);
}
