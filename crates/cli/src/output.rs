//! Where a process writes what it has to report or record, and where its children do.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// What stands in the name of a file for the number of the process that writes it.
const PID: &str = "{pid}";

/// A file to write, and those of child processes.
#[derive(Clone, Debug)]
pub struct Output {
    /// As it was given.
    pub path: PathBuf,
    /// Whether child processes write, too, each a file of its own.
    pub children: bool,
}

impl Output {
    /// Where the process with the number `pid` writes.
    #[must_use]
    pub fn of(&self, pid: u32) -> PathBuf {
        if self.children {
            expanded(&self.path, pid)
        } else {
            self.path.clone()
        }
    }

    /// The same for a child that this process has forked, for which `of` would be its parent's.
    #[must_use]
    pub fn of_child(&self, pid: u32) -> PathBuf {
        expanded(&template(&self.path), pid)
    }

    /// `-o FILE` for a Python that this process starts, or, if it `replaces` it, becomes. `directory` is the working directory.
    #[must_use]
    pub fn child_option(&self, directory: &Path, replaces: bool) -> [OsString; 2] {
        let mut path = directory.join(template(&self.path)).into_os_string();
        if replaces {
            // It has the number of what ends here.
            path.push(".exec");
        }
        ["-o".into(), path]
    }
}

/// `path`, with a place for the number of the process if it has none.
fn template(path: &Path) -> PathBuf {
    let has_place = path
        .as_os_str()
        .as_encoded_bytes()
        .windows(PID.len())
        .any(|part| part == PID.as_bytes());
    let mut template = path.as_os_str().to_owned();
    if !has_place {
        template.push(".");
        template.push(PID);
    }
    template.into()
}

/// `path` with the number in place of `{pid}`, wherever that stands.
fn expanded(path: &Path, pid: u32) -> PathBuf {
    let (mut rest, mut made) = (path.as_os_str().as_bytes(), Vec::new());
    while let Some(at) = rest
        .windows(PID.len())
        .position(|part| part == PID.as_bytes())
    {
        made.extend_from_slice(&rest[..at]);
        made.extend_from_slice(pid.to_string().as_bytes());
        rest = &rest[at + PID.len()..];
    }
    made.extend_from_slice(rest);
    OsString::from_vec(made).into()
}
