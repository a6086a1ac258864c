//! The recording file: what a run leaves on disk. No Python.
//!
//! [`stream`] is the sequence of records that the recorder writes and replay reads; [`file`] is the file that holds it.
//! `docs/recording-format.md` describes every byte.

mod cursor;
pub mod digest;
pub mod file;
pub mod packed;
pub mod stream;
pub mod witness;
