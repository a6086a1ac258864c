//! The recording file: what a run leaves on disk. No Python.
//!
//! [`stream`] is the sequence of records that the recorder writes and replay reads. `docs/recording-format.md` describes
//! every byte.

pub mod stream;
