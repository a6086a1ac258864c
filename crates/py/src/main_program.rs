//! The main program of a run or a recording.

use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;
use std::sync::Mutex;

use debugop_capture::toplevel;
use debugop_cli::{Program, Target};
use pyo3::prelude::*;
use pyo3::types::{PyCode, PyDict, PyTuple};

/// What is run: its kind ("script" | "module" | "command" | "stdin"), its name or text, and its own arguments.
pub(crate) type Described = (&'static str, OsString, Vec<OsString>);

pub(crate) fn described(program: &Program) -> Described {
    let (kind, text) = match &program.target {
        Target::Script(path) => ("script", path.clone().into_os_string()),
        Target::Module(name) => ("module", name.into()),
        Target::Command(code) => ("command", code.into()),
        _ => ("stdin", "-".into()),
    };
    (kind, text, program.args.clone())
}

/// The `exec` of a launcher's namespace, such as runpy's, with another in its place until the main program begins.
#[derive(Default)]
pub(crate) struct ReplacedExec {
    namespace: Mutex<Option<Py<PyDict>>>,
}

impl ReplacedExec {
    /// Calls `function` as if nothing had called it, with `exec` as a name in its globals. Returns the exception that came out, if one did.
    pub(crate) fn call(
        &self,
        exec: Bound<'_, PyAny>,
        function: &Bound<'_, PyAny>,
        args: &Bound<'_, PyTuple>,
    ) -> PyResult<Option<PyErr>> {
        let namespace = function.getattr("__globals__")?.cast_into::<PyDict>()?;
        namespace.set_item("exec", exec)?;
        if let Ok(mut replaced) = self.namespace.lock() {
            *replaced = Some(namespace.unbind());
        }
        let outcome = toplevel::call(function, args);
        self.put_back(function.py())?;
        Ok(outcome.err())
    }

    /// Gives the namespace its own back: this is the main program, or there was none.
    pub(crate) fn put_back(&self, py: Python<'_>) -> PyResult<()> {
        let replaced = self.namespace.lock().ok().and_then(|mut one| one.take());
        match replaced {
            Some(namespace) => namespace.bind(py).del_item("exec"),
            None => Ok(()),
        }
    }
}

/// Runs code in `globals` as if nothing had called it. Returns None, or the exception that the program raised.
#[pyfunction]
pub(crate) fn run_code(
    py: Python<'_>,
    code: &Bound<'_, PyCode>,
    globals: &Bound<'_, PyDict>,
) -> Option<PyErr> {
    toplevel::run(py, code, globals).err()
}

/// Reads, compiles and runs a source file by the interpreter's own way for scripts, untraced, in `globals`.
#[pyfunction]
#[expect(
    clippy::needless_pass_by_value,
    reason = "PyO3 hands over what it extracts"
)]
pub(crate) fn run_file(
    py: Python<'_>,
    path: OsString,
    filename: OsString,
    globals: &Bound<'_, PyDict>,
) -> PyResult<()> {
    toplevel::run_file(
        py,
        &CString::new(path.as_bytes())?,
        &CString::new(filename.as_bytes())?,
        globals,
    )
}

/// Prints an uncaught exception as the interpreter does for a main program.
#[pyfunction]
pub(crate) fn report_uncaught(py: Python<'_>, error: Bound<'_, PyAny>) {
    toplevel::report_uncaught(py, PyErr::from_value(error));
}
