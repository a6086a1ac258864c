//! `--children`: the Pythons that a traced process starts.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use debugop_capture::spawn::{self, Spawn};
use debugop_cli::RunOptions;
use pyo3::prelude::*;

use super::Run;

/// Puts the command line of `debugop run` in place of those of this same interpreter.
struct Children {
    run: Py<Run>,
    options: Arc<RunOptions>,
    /// Where the package `debugop` is.
    directory: OsString,
    /// The executable of this process, without symbolic links. That of a virtual environment is the same.
    interpreter: Option<PathBuf>,
}

/// Begins to trace them; once in a process.
pub(super) fn follow(py: Python<'_>, run: Py<Run>, directory: OsString) -> PyResult<()> {
    let options = Arc::clone(&run.get().options);
    let interpreter = std::env::current_exe()
        .and_then(|path| path.canonicalize())
        .ok();
    let children = Children {
        run,
        options,
        directory,
        interpreter,
    };
    spawn::watch(py, Box::new(children))
}

impl Spawn for Children {
    fn is_ours(&self, executables: &[OsString], by_name: bool) -> bool {
        let found = match executables {
            [name] if by_name && !name.as_encoded_bytes().contains(&b'/') => in_path(name),
            candidates => candidates.iter().find_map(|path| real(Path::new(path))),
        };
        found.is_some() && found == self.interpreter
    }

    fn command(&self, command: &[OsString], replaces: bool) -> Option<Vec<OsString>> {
        let directory = std::env::current_dir().unwrap_or_default();
        let options = self.options.child_options(&directory, replaces);
        debugop_cli::under_debugop(command, &self.directory, "run", &options)
    }

    fn ends(&self, py: Python<'_>) {
        // Nobody is left who could be told of a failure.
        let _ = self.run.get().finish(py);
    }
}

pub(crate) fn real(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok().filter(|path| path.is_file())
}

/// The file that `posix_spawnp` executes.
pub(crate) fn in_path(name: &OsString) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).find_map(|directory| real(&directory.join(name)))
}
