//! What is raised for files that are no recordings, or none that can be read.

use debugop_recording::file;
use debugop_replay::OpenError;
use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

create_exception!(
    debugop,
    RecordingError,
    PyValueError,
    "A file is no recording that can be read. `offset` is where in the file, in bytes, or None; if `chunk` is not None but the number of a chunk of its stream, \
     in the uncompressed contents of that."
);
create_exception!(
    debugop,
    NotARecording,
    RecordingError,
    "The file does not begin as recordings do."
);
create_exception!(
    debugop,
    WrongVersion,
    RecordingError,
    "The file has been written by a newer debugop, or under a Python that is not known here."
);
create_exception!(
    debugop,
    DamagedRecording,
    RecordingError,
    "The file is not as it was written."
);
create_exception!(
    debugop,
    IncompleteRecording,
    DamagedRecording,
    "The file ends too early, and the tail that was beside it is gone."
);

/// The exception for an error that is not the system's.
pub(crate) fn recording_error(error: &OpenError) -> PyErr {
    let text = error.to_string();
    let made = match error {
        OpenError::File(file::Error::NotARecording { .. }) => NotARecording::new_err(text),
        OpenError::File(file::Error::Version { .. }) | OpenError::Version(..) => {
            WrongVersion::new_err(text)
        }
        OpenError::File(file::Error::Damaged {
            damage: file::Damage::Truncated,
            ..
        }) => IncompleteRecording::new_err(text),
        OpenError::File(file::Error::Damaged { .. })
        | OpenError::Code(_)
        | OpenError::Replay(_) => DamagedRecording::new_err(text),
        _ => RecordingError::new_err(text),
    };
    let (offset, chunk) = match error {
        OpenError::File(error) => (error.offset(), None),
        OpenError::Replay(error) => (Some(error.offset as u64), Some(error.chunk)),
        _ => (None, None),
    };
    let told = Python::attach(|py| {
        made.value(py).setattr("offset", offset)?;
        made.value(py).setattr("chunk", chunk)
    });
    match told {
        Ok(()) => made,
        Err(error) => error,
    }
}
