//! Where a report goes.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::path::Path;

use rustix::io::{Errno, fcntl_dupfd_cloexec};

/// The report's file descriptor is at least this, where the limit on open files allows: the program gets the numbers that
/// it gets without us, and its own `close` loops and redirections of descriptor 2 do not reach the report.
const LEAST_DESCRIPTOR: RawFd = 500;

/// An open output.
pub(super) struct Output {
    /// Unbuffered.
    pub(super) writer: Box<dyn Write + Send>,
    /// Whether a person is looking at it.
    pub(super) is_terminal: bool,
}

/// Opens `path`, which is emptied, or standard error for `None`. `program` is the script that is going to be run.
///
/// # Errors
/// What the operating system says; the script itself is refused as an output.
pub(super) fn open(path: Option<&Path>, program: Option<&Path>) -> io::Result<Output> {
    let descriptor = match path {
        Some(path) => {
            let same =
                |script: &Path| Some(path.canonicalize().ok()? == script.canonicalize().ok()?);
            if program.and_then(same) == Some(true) {
                return Err(io::Error::other("it is the program itself"));
            }
            out_of_the_way(File::create(path)?)?
        }
        None => match out_of_the_way(io::stderr()) {
            // Whoever closes standard error wants to see nothing.
            Err(error) if error.raw_os_error() == Some(Errno::BADF.raw_os_error()) => {
                return Ok(Output {
                    writer: Box::new(io::sink()),
                    is_terminal: false,
                });
            }
            descriptor => descriptor?,
        },
    };
    let file = File::from(descriptor);
    let is_terminal = path.is_none() && file.is_terminal();
    Ok(Output {
        writer: Box::new(file),
        is_terminal,
    })
}

/// What else there is to say while the program runs: on the standard error that the process started with, wherever the program's
/// own goes meanwhile.
pub(crate) struct Notes(Option<File>);

impl Notes {
    /// To standard error, or nowhere if it is closed.
    pub(crate) fn open() -> Self {
        Self(out_of_the_way(io::stderr()).ok().map(File::from))
    }

    /// A code object is not traced.
    pub(super) fn left_out(&self, what: &str) {
        self.say(&format!("not traced: {what}"));
    }

    /// One line. That nobody reads it is no reason to fail.
    pub(crate) fn say(&self, text: &str) {
        if let Some(file) = &self.0 {
            let mut line = format!("debugop: {text}").replace(['\n', '\r'], " ");
            line.push('\n');
            // In one piece, so that threads' lines do not mix.
            (&*file).write_all(line.as_bytes()).unwrap_or_default();
        }
    }
}

fn out_of_the_way(file: impl AsFd) -> io::Result<OwnedFd> {
    let duplicate = |least| fcntl_dupfd_cloexec(&file, least);
    // EINVAL: the limit is lower.
    duplicate(LEAST_DESCRIPTOR)
        .or_else(|error| {
            if error == Errno::INVAL {
                duplicate(3)
            } else {
                Err(error)
            }
        })
        .map_err(Into::into)
}
