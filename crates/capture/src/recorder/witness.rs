//! Somebody who looks at every slot before every step of what is recorded, and writes it down beside the recording: what
//! replay is compared with.

use std::fs::File;
use std::io::{self, BufWriter};
use std::sync::{Arc, Mutex};

use debugop_recording::stream::Kind;
use debugop_recording::witness::{Seen, Step, Writer};
use pyo3::{PyResult, Python, ffi};

use super::pen::{Pen, is_by_value};
use super::with_pen;
use crate::event::{Event, EventKind};
use crate::frame::{LiveFrame, SlotValue};
use crate::layout::slot::Content;
use crate::tracer::{Handler, Tracer};

/// The handler of a tracer that watches what is recorded.
pub struct Witness {
    /// The file, and the step in the making; `None` after an error.
    to: Mutex<Option<(Writer<BufWriter<File>>, Step)>>,
}

impl Witness {
    /// Writes to `file`.
    ///
    /// # Errors
    /// What the compressor says.
    pub fn new(file: File) -> io::Result<Arc<Self>> {
        let writer = Writer::new(BufWriter::new(file))?;
        Ok(Arc::new(Self {
            to: Mutex::new(Some((writer, Step::default()))),
        }))
    }

    /// Ends; whether everything has been written.
    pub fn finish(&self) -> bool {
        let taken = self.to.lock().ok().and_then(|mut to| to.take());
        taken.is_some_and(|(file, _)| file.finish().is_ok())
    }
}

impl Handler for Arc<Witness> {
    fn runs_python(&self) -> bool {
        false
    }

    fn reads_locals(&self) -> bool {
        true
    }

    fn step<'py>(
        &self,
        py: Python<'py>,
        _: &Arc<Tracer>,
        event: &Event<'_, 'py>,
        _: Option<LiveFrame>,
    ) -> PyResult<()> {
        if event.kind != EventKind::Instruction || crate::fork::is_unnoticed() {
            return Ok(());
        }
        let Some(code) = event.code.planned().filter(|code| code.is_recorded()) else {
            return Ok(());
        };
        let Ok(mut to) = self.to.lock() else {
            return Ok(());
        };
        let Some((file, step)) = &mut *to else {
            return Ok(());
        };
        step.thread = event.frame.native_thread();
        step.code = code.number.get();
        step.at = event.instruction.0;
        step.slots.clear();
        let written = with_pen(py, |pen| {
            for local in 0..code.locals() {
                // SAFETY: a local of the code that the frame runs.
                let seen = match unsafe { event.frame.local(local) } {
                    Content::Object(object) => pen.see(py, object),
                    Content::Null => Seen::Null,
                    #[cfg(Py_3_14)]
                    Content::Tagged(value) => Seen::Value(Seen::start().int(value as i64).value()),
                    #[cfg(Py_3_14)]
                    Content::Opaque => Seen::Opaque,
                };
                step.slots.push(seen);
            }
            for slot in 0..event.stack_len() {
                let seen = match event.stack(py, slot) {
                    Some(SlotValue::Object(object)) => pen.see(py, object.as_ptr()),
                    Some(SlotValue::Tagged(value)) => {
                        Seen::Value(Seen::start().int(value as i64).value())
                    }
                    Some(SlotValue::Opaque) => Seen::Opaque,
                    Some(SlotValue::Null) | None => Seen::Null,
                };
                step.slots.push(seen);
            }
            step.write(file)
        });
        if matches!(written, Some(Err(_))) {
            *to = None;
        }
        Ok(())
    }
}

impl Pen {
    /// A live object.
    fn see(&mut self, py: Python<'_>, object: *mut ffi::PyObject) -> Seen {
        if is_by_value(object) {
            // SAFETY: a live object.
            return Seen::Value(unsafe { self.word(py, Seen::start(), object) }.value());
        }
        let id = self.id_of(py, object);
        let number = self.type_number(py, object);
        let kind = self.types.get(number).kind;
        let mut parts = Vec::new();
        self.each_part(object, number, kind, |part| {
            if !is_by_value(part) {
                parts.push(part);
            }
        });
        for part in parts {
            self.id_of(py, part);
        }
        if kind == Kind::Tuple {
            self.remember_tuple(py, object);
        }
        Seen::Object {
            id,
            kind: kind as u8,
            contents: self.digest(py, object, number, kind),
        }
    }
}
