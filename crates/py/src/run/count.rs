//! The handler that only counts: `--format none`.

use std::sync::{Arc, Mutex};

use debugop_bytecode::{Op, Opcode};
use debugop_capture::{
    Event, EventKind, GilCell, Handler, LiveFrame, ProbedCode, Tracer as Core, VERSION, fork,
};
use debugop_report::Summary;
use pyo3::prelude::*;
use rustc_hash::FxHashSet;

use super::output::Notes;

/// Counts steps, frames, functions and threads.
pub(super) struct Counts {
    resume: Option<Opcode>,
    steps: GilCell<u64>,
    frames: GilCell<u64>,
    /// Code and thread of the last step.
    last: GilCell<(usize, u64)>,
    places: Mutex<(FxHashSet<usize>, FxHashSet<u64>)>,
}

impl Counts {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            resume: Op::Resume.opcode(VERSION),
            steps: GilCell::new(0),
            frames: GilCell::new(0),
            last: GilCell::new((0, 0)),
            places: Mutex::default(),
        })
    }

    /// The totals so far.
    pub(super) fn summary(&self, py: Python<'_>) -> Summary {
        let (functions, threads) = self
            .places
            .lock()
            .map_or((0, 0), |places| (places.0.len(), places.1.len()));
        Summary {
            steps: self.steps.get(py),
            frames: self.frames.get(py),
            functions: functions as u64,
            threads: threads as u64,
            ..Summary::default()
        }
    }

    /// Counts from nothing.
    pub(super) fn restart(&self, py: Python<'_>) {
        self.steps.set(py, 0);
        self.frames.set(py, 0);
        self.last.set(py, (0, 0));
        if let Ok(mut places) = self.places.lock() {
            *places = <_>::default();
        }
    }

    #[cold]
    fn visit(&self, py: Python<'_>, place: (usize, u64)) {
        self.last.set(py, place);
        if let Ok(mut places) = self.places.lock() {
            places.0.insert(place.0);
            places.1.insert(place.1);
        }
    }
}

/// Feeds [`Counts`].
pub(super) struct Counting {
    pub(super) counts: Arc<Counts>,
    pub(super) notes: Notes,
}

impl Handler for Counting {
    fn runs_python(&self) -> bool {
        false
    }

    fn left_out(&self, _: Python<'_>, what: &str) {
        self.notes.left_out(what);
    }

    fn step<'py>(
        &self,
        py: Python<'py>,
        _: &Arc<Core>,
        event: &Event<'_, 'py>,
        _: Option<LiveFrame>,
    ) -> PyResult<()> {
        if fork::is_unnoticed() {
            return Ok(());
        }
        let counts = &*self.counts;
        if event.kind == EventKind::Instruction {
            counts.steps.set(py, counts.steps.get(py) + 1);
            let instruction = event.instruction();
            // The low two bits of RESUME's argument are 0 where a frame starts (documentation of `dis`).
            if Some(instruction.opcode) == counts.resume && instruction.arg & 3 == 0 {
                counts.frames.set(py, counts.frames.get(py) + 1);
            }
        }
        // The tracer keeps what it watches until it is stopped, so that an address names one code object.
        let code: *const ProbedCode = Arc::as_ptr(event.code);
        let place = (code as usize, event.frame.thread_ident());
        if counts.last.get(py) != place {
            counts.visit(py, place);
        }
        Ok(())
    }
}
