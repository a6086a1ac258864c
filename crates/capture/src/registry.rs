//! Which code objects are probed now, in the whole process.

use std::sync::{Arc, Weak};

use pyo3::types::PyCode;
use pyo3::{Bound, PyResult, Python};

use crate::breakpoint;
#[cfg(Py_3_13)]
use crate::crossinterp;
use crate::engine;
use crate::extra;
use crate::gil::GilCell;
use crate::probed::{ProbeError, ProbedCode, WantsNested};
use crate::replace;
use crate::whole;

/// Every entry that may be alive. What names an entry is kept in the code objects ([`crate::extra`]), so that it dies with
/// them.
#[derive(Default)]
struct Entries {
    all: Vec<Weak<ProbedCode>>,
    /// Dead ones are swept out when there are this many.
    sweep_at: usize,
}

static ENTRIES: GilCell<Option<Entries>> = GilCell::new(None);

/// Fewer are not worth sweeping.
const LEAST_SWEEP: usize = 1024;

fn remember(py: Python<'_>, code: &Arc<ProbedCode>) {
    ENTRIES.with(py, |entries| {
        let entries = entries.get_or_insert_with(Entries::default);
        if entries.all.len() >= entries.sweep_at {
            entries.all.retain(|entry| entry.strong_count() > 0);
            entries.sweep_at = LEAST_SWEEP.max(2 * entries.all.len());
        }
        entries.all.push(Arc::downgrade(code));
    });
}

/// Every entry that is alive.
pub(crate) fn all(py: Python<'_>) -> Vec<Arc<ProbedCode>> {
    ENTRIES.with(py, |entries| {
        let entries = entries.iter().flat_map(|entries| &entries.all);
        entries.filter_map(Weak::upgrade).collect()
    })
}

/// The entry of a probed copy.
#[inline]
pub(crate) fn of_copy(code: &Bound<'_, PyCode>) -> Option<Arc<ProbedCode>> {
    extra::peek(code, |extra| extra.copy_of.cloned(code.py()))?
}

/// The entry of `code`, be it an original or a probed copy, and its probed copy.
pub(crate) fn find<'py>(
    code: &Bound<'py, PyCode>,
) -> Option<(Arc<ProbedCode>, Bound<'py, PyCode>)> {
    let py = code.py();
    let (copy_of, probed) = extra::peek(code, |extra| {
        (extra.copy_of.cloned(py), extra.probed.cloned(py).upgrade())
    })?;
    if let Some(entry) = copy_of {
        if entry.is_woven() {
            return find(entry.original(py));
        }
        return Some((entry, code.clone()));
    }
    let entry = probed.filter(|entry| entry.suits(py))?;
    let copy = entry.probed(py)?;
    Some((entry, copy))
}

/// What runs in place of `code`: its copy with probes, and that with breakpoints.
pub(crate) fn copies<'py>(code: &Bound<'py, PyCode>) -> Vec<Bound<'py, PyCode>> {
    let probed = find(code).map(|(_, copy)| copy);
    probed.into_iter().chain(breakpoint::copy(code)).collect()
}

/// The entry of `code`, be it an original or a probed copy, and its probed copy, which the caller has to keep alive. Probes it
/// if there is none, with those nested in it that `wants` names.
///
/// # Errors
/// Why it cannot be probed.
pub(crate) fn obtain<'py>(
    code: &Bound<'py, PyCode>,
    module: &str,
    wants: WantsNested<'_>,
) -> Result<(Arc<ProbedCode>, Bound<'py, PyCode>), ProbeError> {
    obtain_nested(code, module, wants, 0)
}

/// The same for code that is nested in `nesting` code objects.
pub(crate) fn obtain_nested<'py>(
    code: &Bound<'py, PyCode>,
    module: &str,
    wants: WantsNested<'_>,
    nesting: u32,
) -> Result<(Arc<ProbedCode>, Bound<'py, PyCode>), ProbeError> {
    let found = find(code);
    let original = match &found {
        // Made when something else was wanted of copies; a frame or somebody who took it out of one still has it.
        Some((entry, _)) if !entry.suits(code.py()) => Some(entry.original(code.py()).clone()),
        _ => None,
    };
    let code = original.as_ref().unwrap_or(code);
    if let Some(existing) = found.filter(|_| original.is_none()).or_else(|| find(code)) {
        return Ok(existing);
    }
    let woven = of_copy(code).filter(|entry| entry.is_woven());
    let code = woven
        .as_ref()
        .map_or(code, |entry| entry.original(code.py()));
    replace::watch(code.py())?;
    #[cfg(Py_3_13)]
    crossinterp::watch(code.py())?;
    whole::hide_copies(code.py())?;
    let (made, copy) = match ProbedCode::make(code, module, wants, nesting) {
        Ok(made) => made,
        Err(error) => {
            refuse(code, &error)?;
            return Err(error);
        }
    };
    // Making it ran Python (allocation can collect garbage), which may have probed the same code meanwhile.
    if let Some(existing) = find(code) {
        return Ok(existing);
    }
    link(code, &copy, &made)?;
    whole::hand_on_events(code, &copy)?;
    remember(code.py(), &made);
    Ok((made, copy))
}

/// `copy`, which has breakpoints in place of probes, is new.
///
/// # Errors
/// `MemoryError`; the interpreter is not as it should be.
pub(crate) fn adopt_woven(entry: &Arc<ProbedCode>, copy: &Bound<'_, PyCode>) -> PyResult<()> {
    let py = copy.py();
    replace::watch(py)?;
    #[cfg(Py_3_13)]
    crossinterp::watch(py)?;
    whole::hide_copies(py)?;
    extra::with(copy, |extra| {
        extra.copy_of.set(py, Some(Arc::clone(entry)));
    })?;
    whole::hand_on_events(entry.original(py), copy)?;
    engine::share_woven(entry.original(py), copy)?;
    remember(py, entry);
    Ok(())
}

/// Notes down in `code` why it is left as it is.
pub(crate) fn refuse(code: &Bound<'_, PyCode>, error: &ProbeError) -> PyResult<()> {
    if !error.is_refusal() {
        return Ok(());
    }
    let reason = error.to_string().into();
    extra::with(code, |extra| {
        extra.refused.set(code.py(), Some(reason));
    })
}

fn link(
    original: &Bound<'_, PyCode>,
    copy: &Bound<'_, PyCode>,
    entry: &Arc<ProbedCode>,
) -> PyResult<()> {
    let py = original.py();
    extra::with(original, |extra| {
        extra.probed.set(py, Arc::downgrade(entry));
    })?;
    extra::with(copy, |extra| {
        extra.copy_of.set(py, Some(Arc::clone(entry)));
    })
}
