//! Finds the CPython interpreters of this machine, one per supported minor version.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The supported minor versions of CPython 3.
pub(crate) const MINORS: [u8; 5] = [11, 12, 13, 14, 15];

/// A usable CPython interpreter.
#[derive(Debug)]
pub(crate) struct Interpreter {
    /// Its executable.
    pub(crate) path: PathBuf,
    /// The `14` of `3.14.2`.
    pub(crate) minor: u8,
}

impl Interpreter {
    /// Runs a script given as text, isolated from the user's environment, and returns what it printed.
    pub(crate) fn run(&self, script: &str) -> Result<String> {
        let output = Command::new(&self.path)
            .args(["-I", "-c", script])
            .output()
            .with_context(|| format!("cannot run {}", self.path.display()))?;
        if !output.status.success() {
            bail!(
                "{} failed: {}",
                self.path.display(),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        String::from_utf8(output.stdout).with_context(|| {
            format!(
                "{} printed something that is not UTF-8",
                self.path.display()
            )
        })
    }
}

/// The first working GIL build of CPython 3.`minor` on PATH, under pyenv, or under `~/.local/share/cpython`.
pub(crate) fn find(minor: u8) -> Option<Interpreter> {
    candidates(minor)
        .into_iter()
        .find(|path| is_cpython(path, minor))
        .map(|path| Interpreter { path, minor })
}

/// All that are there, oldest first. Prints which versions are missing.
pub(crate) fn find_all(only: Option<u8>) -> Result<Vec<Interpreter>> {
    let mut found = Vec::new();
    for minor in MINORS {
        if only.is_some_and(|only| only != minor) {
            continue;
        }
        match find(minor) {
            Some(interpreter) => found.push(interpreter),
            None => println!("3.{minor}: no interpreter found"),
        }
    }
    if found.is_empty() {
        bail!("no CPython 3.11-3.15 found on PATH, under pyenv or under ~/.local/share/cpython");
    }
    Ok(found)
}

/// Parses `3.14` into 14.
pub(crate) fn parse_minor(text: &str) -> Result<u8, String> {
    let minor = text.strip_prefix("3.").and_then(|minor| minor.parse().ok());
    minor
        .filter(|minor| MINORS.contains(minor))
        .ok_or_else(|| format!("{text} is not one of 3.11 … 3.15"))
}

fn candidates(minor: u8) -> Vec<PathBuf> {
    let name = format!("python3.{minor}");
    let mut paths: Vec<PathBuf> = env::split_paths(&env::var_os("PATH").unwrap_or_default())
        .map(|directory| directory.join(&name))
        .collect();
    if let Some(home) = env::home_dir() {
        let pyenv = env::var_os("PYENV_ROOT").map_or_else(|| home.join(".pyenv"), PathBuf::from);
        let mut versions: Vec<PathBuf> = std::fs::read_dir(pyenv.join("versions"))
            .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
            .unwrap_or_default();
        versions.sort();
        paths.extend(
            versions
                .into_iter()
                .rev()
                .map(|version| version.join("bin").join(&name)),
        );
        paths.push(
            home.join(format!(".local/share/cpython/3.{minor}/bin"))
                .join(&name),
        );
    }
    paths.retain(|path| path.is_file());
    paths
}

fn is_cpython(path: &Path, minor: u8) -> bool {
    let probe = "import sys, sysconfig; print(sys.implementation.name, sys.version_info[1], \
                 sysconfig.get_config_var('Py_GIL_DISABLED') or 0)";
    let output = Command::new(path).args(["-I", "-c", probe]).output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == format!("cpython {minor} 0").as_bytes())
}
