//! How far the making of an index has come.

use std::path::{Path, PathBuf};

use debugop_replay::{OpenError, Progress, Recording};

/// Opens a recording; `progress` is told how far the making of its index has come, if that takes long.
pub(crate) fn open(path: &Path, progress: fn(&Path, Progress)) -> Result<Recording, OpenError> {
    let name: PathBuf = path.to_owned();
    let recording = Recording::open(path)?;
    Ok(recording.with_progress(move |done| progress(&name, done)))
}
