//! `--children`: the Pythons that a traced or recorded process starts.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use debugop_capture::spawn::{self, Spawn};
use pyo3::prelude::*;

/// What a process does that its child processes are to do as well.
pub(crate) trait Followed: Send + Sync + 'static {
    /// The command of debugop that it carries out.
    const COMMAND: &str;

    /// Whether child processes are to do anything now.
    fn follows(&self) -> bool {
        true
    }

    /// The options for a Python that this process starts, or, if it `replaces` it, becomes. `directory` is the working directory.
    fn child_options(&self, directory: &Path, replaces: bool) -> Vec<OsString>;

    /// Ends it: this process ends by `os._exit`, with this status.
    fn end(&self, py: Python<'_>, status: Option<i32>);
}

/// Puts the command line of `debugop` in place of those of this same interpreter.
struct Children<F> {
    followed: F,
    /// Where the package `debugop` is.
    directory: OsString,
    /// The executable of this process, without symbolic links. That of a virtual environment is the same.
    interpreter: Option<PathBuf>,
    /// The name of the variable by which Pythons that something else starts follow.
    variable: Option<OsString>,
    /// The working directory when this process has begun to follow them.
    began: PathBuf,
}

/// The command and the options of a Python that this process starts by way of something else: words in lines, in which `%` is `%p` and a line's end `%n`.
/// `directory` is where this process has begun.
pub(crate) fn variable_of<F: Followed>(followed: &F, directory: &Path) -> OsString {
    let mut value = F::COMMAND.as_bytes().to_vec();
    for word in followed.child_options(directory, false) {
        value.push(b'\n');
        for byte in word.into_vec() {
            match byte {
                b'%' => value.extend(b"%p"),
                b'\n' => value.extend(b"%n"),
                byte => value.push(byte),
            }
        }
    }
    OsString::from_vec(value)
}

/// Begins to follow them; once in a process.
pub(crate) fn follow(
    py: Python<'_>,
    followed: impl Followed,
    directory: OsString,
    variable: Option<OsString>,
) -> PyResult<()> {
    let interpreter = std::env::current_exe()
        .and_then(|path| path.canonicalize())
        .ok();
    let children = Children {
        followed,
        directory,
        interpreter,
        variable,
        began: std::env::current_dir().unwrap_or_default(),
    };
    spawn::watch(py, Box::new(children))
}

impl<F: Followed> Spawn for Children<F> {
    fn is_ours(&self, executables: &[OsString], by_name: bool) -> bool {
        if !self.followed.follows() {
            return false;
        }
        let found = match executables {
            [name] if by_name && !name.as_encoded_bytes().contains(&b'/') => in_path(name),
            candidates => candidates.iter().find_map(|path| real(Path::new(path))),
        };
        found.is_some() && found == self.interpreter
    }

    fn command(&self, command: &[OsString], replaces: bool) -> Option<Vec<OsString>> {
        let directory = std::env::current_dir().unwrap_or_default();
        let options = self.followed.child_options(&directory, replaces);
        debugop_cli::under_debugop(command, &self.directory, F::COMMAND, &options)
    }

    fn variable(&self) -> Option<OsString> {
        let mut variable = self.variable.clone()?;
        variable.push("=");
        variable.push(variable_of(&self.followed, &self.began));
        Some(variable)
    }

    fn ends(&self, py: Python<'_>, status: Option<i32>) {
        self.followed.end(py, status);
    }
}

fn real(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok().filter(|path| path.is_file())
}

/// The file that `posix_spawnp` executes.
fn in_path(name: &OsString) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).find_map(|directory| real(&directory.join(name)))
}
