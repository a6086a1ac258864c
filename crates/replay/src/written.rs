//! What the program has written, and in which step.

use debugop_recording::stream::{FrameNumber, ThreadNumber};
use debugop_value::{Bytes, Value};

use crate::recording::{OpenError, Recording};

/// Something that the program has written to stdout or stderr.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The step in which it was written; `None` if that is not known: nothing recorded has written it, or it was recorded before version 7 of the format.
    pub step: Option<u64>,
    /// So many steps were known when it was written: without a step, it was written between the one with this number and the one before it, or in that.
    pub known: u64,
    /// The thread that wrote it, if the step is known.
    pub thread: Option<ThreadNumber>,
    /// The frame that wrote it, likewise.
    pub frame: Option<FrameNumber>,
    /// 1: stdout, 2: stderr.
    pub stream: u8,
    /// As it was written.
    pub bytes: Box<[u8]>,
    /// Which of the chunk's prefixes it is: they are in the order in which things were written.
    pub(crate) prefix: usize,
}

impl Written {
    /// Those that one step, or nobody knows which, has written one after the other to one stream become one.
    #[must_use]
    pub fn joined(all: Vec<Self>) -> Vec<Self> {
        let mut joined: Vec<Self> = Vec::with_capacity(all.len());
        for one in all {
            match joined.last_mut() {
                Some(last)
                    if (last.step, last.frame, last.stream)
                        == (one.step, one.frame, one.stream)
                        && (one.step.is_some() || one.known == last.known) =>
                {
                    last.bytes = [&*last.bytes, &*one.bytes].concat().into();
                }
                _ => joined.push(one),
            }
        }
        joined
    }

    /// `stdout` or `stderr`.
    pub fn name(&self) -> &'static str {
        match self.stream {
            2 => "stderr",
            _ => "stdout",
        }
    }

    /// What was written: a `str` if it is one in UTF-8, otherwise `bytes`.
    pub fn text(&self) -> Value {
        match std::str::from_utf8(&self.bytes) {
            Ok(text) => Value::str(text),
            Err(_) => Value::Bytes(Bytes {
                head: self.bytes.clone(),
                length: self.bytes.len() as u64,
            }),
        }
    }
}

impl Recording {
    /// What the program has written while a chunk was recorded, in order; empty for most.
    ///
    /// # Errors
    /// As [`Recording::chunk`] and [`Recording::index`].
    pub fn written_in(&self, chunk: usize) -> Result<Vec<Written>, OpenError> {
        let decoded = self.chunk(chunk)?;
        if !decoded.has_output() {
            return Ok(Vec::new());
        }
        let first = self.firsts()?.get(chunk).copied().unwrap_or(0);
        let mut machine = self.machine(decoded, first, Vec::new())?;
        machine.without_values();
        let mut found = Vec::new();
        loop {
            let goes_on = machine.skip_record()?.is_some();
            found.extend_from_slice(machine.written());
            if !goes_on {
                break;
            }
        }
        found.sort_by_key(|written| written.prefix);
        Ok(Written::joined(found))
    }
}
