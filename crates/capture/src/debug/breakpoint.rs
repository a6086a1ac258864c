//! Breakpoints: where they are, and whether one that has been reached is in effect.
//!
//! The objects are the standard library's `bdb.Breakpoint`, which pdb and programs read and write; what they say is asked for here
//! and nowhere else.

use std::sync::Arc;

use pyo3::types::{
    PyAnyMethods, PyCode, PyDict, PyDictMethods, PyFrame, PyList, PyString, PyTypeMethods,
};
use pyo3::{Bound, Py, PyAny, PyErr, PyResult, Python, intern};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::gil::GilCell;
use crate::modules;

/// What `bdb.effective` answers: a breakpoint, and whether it may be deleted if it is temporary.
pub type Effective<'py> = Option<(Bound<'py, PyAny>, bool)>;

/// Conditions that have been compiled, by their texts; those of breakpoints that are gone are forgotten when there are many.
static CONDITIONS: GilCell<Option<FxHashMap<String, Py<PyAny>>>> = GilCell::new(None);

/// How many are kept.
const MOST_CONDITIONS: usize = 1000;

/// The first of the breakpoints of one place that is in effect in `frame`, by the rules of `bdb.effective`: each that is enabled
/// and meant for this place counts a hit; one whose condition holds uses up its ignore count; one whose condition raises
/// is in effect, whatever its ignore count, and is not deleted.
///
/// # Errors
/// What the attributes of the breakpoints raise; not what conditions raise.
pub(super) fn effective<'py>(
    breakpoints: &Bound<'py, PyAny>,
    frame: &Bound<'py, PyFrame>,
) -> PyResult<Effective<'py>> {
    let py = frame.py();
    for breakpoint in breakpoints.try_iter()? {
        let breakpoint = breakpoint?;
        if !breakpoint.getattr(intern!(py, "enabled"))?.is_truthy()? || !is_for(&breakpoint, frame)?
        {
            continue;
        }
        let hits = breakpoint.getattr(intern!(py, "hits"))?.add(1)?;
        breakpoint.setattr(intern!(py, "hits"), hits)?;
        let condition = breakpoint.getattr(intern!(py, "cond"))?;
        if condition.is_truthy()? {
            match holds(&condition, frame) {
                Ok(false) => continue,
                Ok(true) => {}
                Err(error) if ends_debugging(&error, py) => return Err(error),
                Err(_) => {
                    if !logs(&breakpoint, frame)? {
                        return Ok(Some((breakpoint, false)));
                    }
                    continue;
                }
            }
        }
        let ignore = breakpoint.getattr(intern!(py, "ignore"))?;
        if ignore.gt(0)? {
            breakpoint.setattr(intern!(py, "ignore"), ignore.sub(1)?)?;
            continue;
        }
        if !logs(&breakpoint, frame)? {
            return Ok(Some((breakpoint, true)));
        }
    }
    Ok(None)
}

/// Whether an exception is `bdb.BdbQuit`, of whichever module: the debugger has been left in the middle of a condition.
fn ends_debugging(error: &PyErr, py: Python<'_>) -> bool {
    let name = error.get_type(py).name();
    name.is_ok_and(|name| name == "BdbQuit")
}

/// The text that a breakpoint logs in place of stopping: its attribute `log`, which the standard library's do not have.
pub(super) fn log_of(breakpoint: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
    let log = breakpoint.getattr_opt(intern!(breakpoint.py(), "log"))?;
    Ok(log.and_then(|log| log.extract().ok()))
}

/// Whether a breakpoint logs in place of stopping; what it has to say has been printed.
fn logs(breakpoint: &Bound<'_, PyAny>, frame: &Bound<'_, PyFrame>) -> PyResult<bool> {
    let py = frame.py();
    let (Some(log), Some(session)) = (log_of(breakpoint)?, super::session::current(py)) else {
        return Ok(false);
    };
    let text = crate::breakpoint::message(&log, frame)?;
    super::session::say(session.owner.bind(py), &text)?;
    Ok(true)
}

/// Whether a breakpoint is meant for the place where `frame` is: its line, or if it has been set by the name of a function the first line
/// that is executed in that (`bdb.checkfuncname`).
fn is_for(breakpoint: &Bound<'_, PyAny>, frame: &Bound<'_, PyFrame>) -> PyResult<bool> {
    let py = frame.py();
    let function = breakpoint.getattr(intern!(py, "funcname"))?;
    let line = line_of(frame);
    if !function.is_truthy()? {
        return breakpoint.getattr(intern!(py, "line"))?.eq(line);
    }
    let name = code_of(frame).getattr(intern!(py, "co_name"))?;
    if !name.eq(function)? {
        return Ok(false);
    }
    let attribute = intern!(py, "func_first_executable_line");
    if !breakpoint.getattr(attribute)?.is_truthy()? {
        // Frames that have it in their bytecode may have come there.
        super::compiled::tell_counts(py)?;
    }
    let first = breakpoint.getattr(attribute)?;
    if first.is_truthy()? {
        return first.eq(line);
    }
    breakpoint.setattr(attribute, line)?;
    Ok(true)
}

/// Whether a condition, source text or code, is true in `frame`.
fn holds(condition: &Bound<'_, PyAny>, frame: &Bound<'_, PyFrame>) -> PyResult<bool> {
    let py = frame.py();
    let builtins = modules::builtin(py, "builtins")?;
    let code = match condition.extract::<&str>() {
        Ok(text) => compiled(&builtins, text)?,
        Err(_) => condition.clone(),
    };
    let globals = frame.getattr(intern!(py, "f_globals"))?;
    let locals = frame.getattr(intern!(py, "f_locals"))?;
    builtins
        .getattr(intern!(py, "eval"))?
        .call1((code, globals, locals))?
        .is_truthy()
}

/// The code of a condition.
fn compiled<'py>(builtins: &Bound<'py, PyAny>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    let py = builtins.py();
    let known = CONDITIONS.with(py, |conditions| {
        let code = conditions.get_or_insert_default().get(text)?;
        Some(code.clone_ref(py))
    });
    if let Some(known) = known {
        return Ok(known.into_bound(py));
    }
    // As `eval` does with a text.
    let stripped = text.trim_start_matches([' ', '\t']);
    let code = builtins
        .getattr(intern!(py, "compile"))?
        .call1((stripped, "<string>", "eval"))?;
    let kept = code.clone().unbind();
    let dropped = CONDITIONS.with(py, |conditions| {
        let conditions = conditions.get_or_insert_default();
        let full = conditions.len() >= MOST_CONDITIONS;
        let dropped = full.then(|| std::mem::take(conditions));
        conditions.insert(text.to_owned(), kept);
        dropped
    });
    drop(dropped);
    Ok(code)
}

/// The lines of one file that have breakpoints.
pub(super) struct Lines {
    /// The file's name as breakpoints have it.
    file: String,
    lines: FxHashSet<u32>,
}

/// Where breakpoints are.
#[derive(Default)]
pub(super) struct Table {
    files: FxHashMap<String, Arc<Lines>>,
    /// By the address of `co_filename`, which is kept alive.
    names: FxHashMap<usize, (Py<PyString>, Option<Arc<Lines>>)>,
}

impl Table {
    /// What `breaks` says, an attribute of `bdb.Bdb`: {file: [line, ...]}.
    ///
    /// # Errors
    /// TypeError: it does not.
    pub(super) fn read(breaks: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mut files = FxHashMap::default();
        for (file, lines) in breaks.cast::<PyDict>()?.iter() {
            let file: String = file.extract()?;
            let mut set = FxHashSet::default();
            for line in lines.try_iter()? {
                set.insert(line?.extract::<u32>()?);
            }
            let lines = Arc::new(Lines {
                file: file.clone(),
                lines: set,
            });
            files.insert(file, lines);
        }
        Ok(Self {
            files,
            names: FxHashMap::default(),
        })
    }

    /// What is known of the file of `code`, if it has been asked for before.
    pub(super) fn known(&self, code: &Bound<'_, PyCode>) -> Option<Option<Arc<Lines>>> {
        let name = filename(code).ok()?;
        let entry = self.names.get(&(name.as_ptr() as usize))?;
        Some(entry.1.clone())
    }

    /// Remembers which file that of `code` is: `canonic` as `Bdb.canonic` says.
    pub(super) fn learn(&mut self, name: Bound<'_, PyString>, canonic: &str) -> Option<Arc<Lines>> {
        let lines = self.files.get(canonic).cloned();
        let entry = (name.as_ptr() as usize, lines.clone());
        self.names.insert(entry.0, (name.unbind(), entry.1));
        lines
    }
}

/// `co_filename`.
pub(super) fn filename<'py>(code: &Bound<'py, PyCode>) -> PyResult<Bound<'py, PyString>> {
    let name = code.getattr(intern!(code.py(), "co_filename"))?;
    Ok(name.cast_into::<PyString>()?)
}

impl Lines {
    /// Whether `code` may stop at one of its lines.
    ///
    /// # Errors
    /// MemoryError.
    pub(super) fn any_in(&self, code: &Bound<'_, PyCode>) -> PyResult<bool> {
        let py = code.py();
        if self.lines.contains(&first_line(code)?) {
            return Ok(true);
        }
        for range in code.call_method0(intern!(py, "co_lines"))?.try_iter()? {
            let line: Option<i64> = range?.get_item(2)?.extract()?;
            let line = line.and_then(|line| u32::try_from(line).ok());
            if line.is_some_and(|line| self.lines.contains(&line)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The breakpoints that may be in effect at `line` of `code`: those of that line, or those by function name, which have the
    /// function's first line and are for the first line that is executed in it. `placed` is `Breakpoint.bplist`.
    ///
    /// # Errors
    /// What the attributes of the breakpoints raise.
    pub(super) fn any_at<'py>(
        &self,
        code: &Bound<'py, PyCode>,
        line: u32,
        placed: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyList>>> {
        let on_line = self.lines.contains(&line);
        let at = if on_line { line } else { first_line(code)? };
        if !self.lines.contains(&at) {
            return Ok(None);
        }
        let found = placed.get_item((&self.file, at));
        let Ok(found) = found.and_then(|found| Ok(found.cast_into::<PyList>()?)) else {
            return Ok(None);
        };
        if on_line {
            return Ok(Some(found));
        }
        let py = code.py();
        for breakpoint in found.try_iter()? {
            let breakpoint = breakpoint?;
            if !breakpoint.getattr(intern!(py, "funcname"))?.is_truthy()? {
                continue;
            }
            let first = breakpoint.getattr(intern!(py, "func_first_executable_line"))?;
            if !first.is_truthy()? || first.eq(line)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

fn first_line(code: &Bound<'_, PyCode>) -> PyResult<u32> {
    let line: i64 = code
        .getattr(intern!(code.py(), "co_firstlineno"))?
        .extract()?;
    Ok(u32::try_from(line).unwrap_or(0))
}

/// The line that `frame` is at, 0 if it has none.
pub(super) fn line_of(frame: &Bound<'_, PyFrame>) -> u32 {
    // SAFETY: a live frame object; nothing is run.
    let line = unsafe { pyo3::ffi::PyFrame_GetLineNumber(frame.as_ptr().cast()) };
    u32::try_from(line).unwrap_or(0)
}

/// The code that `frame` runs.
pub(super) fn code_of<'py>(frame: &Bound<'py, PyFrame>) -> Bound<'py, PyCode> {
    crate::function::code_of_frame(frame)
}

/// Whether code is a generator's, a coroutine's or an asynchronous generator's.
pub(super) fn suspends(py: Python<'_>, code: &Bound<'_, PyCode>) -> PyResult<bool> {
    /// `CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR` (`Include/cpython/code.h`).
    const FLAGS: u32 = 0x20 | 0x80 | 0x200;
    let flags: u32 = code.getattr(intern!(py, "co_flags"))?.extract()?;
    Ok(flags & FLAGS != 0)
}
