//! Several tools on one code object (3.12+).
//!
//! CPython keeps a table of who wants which instruction's event only from when several tools share an event, and begins it without
//! those who are there already, whose INSTRUCTION events are then lost (gh-157900, 3.12-3.15: `update_instrumentation_data` in
//! `Python/instrumentation.c`).

use std::sync::Arc;

use pyo3::types::PyAnyMethods;
use pyo3::{Bound, PyAny, PyResult, Python};

use super::monitoring::NAME;
use crate::modules;
use crate::probed::ProbedCode;
use crate::whole::events::as_it_is;

/// Identifiers that anybody can use; 6 and 7 are those of `sys.setprofile` and `sys.settrace`.
const IDS: std::ops::RangeInclusive<u8> = 0..=5;

/// Runs `set`, which sets our events of `code` under the identifier `own` or, if that is None, the trace function's, so that
/// neither ours nor another tool's are lost.
///
/// An identifier that is free shares an event meanwhile, after which the table is there for good and right for us; tools that were
/// there before have their local events set again. A tool that was there before with global INSTRUCTION events only cannot be
/// helped so.
pub(super) fn set(
    py: Python<'_>,
    code: &Arc<ProbedCode>,
    own: Option<u8>,
    set: impl FnOnce() -> PyResult<()>,
) -> PyResult<()> {
    let code = code.observed(py);
    let monitoring = modules::sys(py, c"monitoring")?;
    let events = monitoring.getattr("events")?;
    let number = |name: &str| -> PyResult<u32> { events.getattr(name)?.extract() };
    let (instruction, start) = (number("INSTRUCTION")?, number("PY_START")?);
    let set_events = |id: u8, events: u32| -> PyResult<Bound<'_, PyAny>> {
        as_it_is(py, || {
            monitoring.call_method1("set_local_events", (id, code, events))
        })
    };
    let (mut spare, mut others) = (None, Vec::new());
    for id in IDS.filter(|&id| Some(id) != own) {
        if monitoring.call_method1("get_tool", (id,))?.is_none() {
            spare = Some(id);
            continue;
        }
        let theirs = as_it_is(py, || {
            monitoring.call_method1("get_local_events", (id, code))
        })?;
        let theirs: u32 = theirs.extract()?;
        if theirs & instruction != 0 {
            others.push((id, theirs));
        }
    }
    // 3.12 has the trace function's events set globally; without another tool the spare would take them away again.
    if own.is_none() && others.is_empty() && cfg!(not(Py_3_13)) {
        spare = None;
    }
    if let Some(id) = spare {
        monitoring.call_method1("use_tool_id", (id, NAME))?;
        set_events(id, start)?;
    }
    let outcome = set();
    if let Some(id) = spare {
        set_events(id, 0)?;
        monitoring.call_method1("free_tool_id", (id,))?;
    }
    for (id, theirs) in others {
        set_events(id, 0)?;
        set_events(id, theirs)?;
    }
    outcome
}
