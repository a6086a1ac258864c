//! The handler that feeds a report.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use debugop_bytecode::Op;
use debugop_capture::activation::{Activation, Activations};
use debugop_capture::collector::Pause;
use debugop_capture::value::{Limits, capture, capture_slot};
use debugop_capture::{
    Event, EventKind, Handler, LiveFrame, ProbedCode, Tracer as Core, fork, thread_name,
};
use debugop_report::{
    CodeInfo, CodeNames, Counter, FrameEvent, Report, Step, ThreadChange, ThreadEvent,
};
use debugop_value::Value;
use pyo3::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use super::threads;

use super::output::Notes;

/// What was reported is handed to the operating system at the latest with the first step after this time.
const FLUSH_AFTER: Duration = Duration::from_millis(100);

/// What a report handler does under its lock. Nothing in here runs Python: values are captured before the lock is taken.
#[derive(Default)]
pub(super) struct Sink {
    /// `None` before the program starts, after the end and after a failure.
    pub(super) report: Option<Box<dyn Report>>,
    pub(super) counter: Counter,
    /// What went wrong with the output.
    pub(super) failure: Option<io::Error>,
    activations: Activations,
    codes: Codes,
    /// The threads that have reported and not ended.
    threads: FxHashSet<u64>,
    flushed: Option<Instant>,
}

impl Sink {
    /// Does something with the report. A closed pipe or a full disk ends the report, not the program.
    fn attempt(&mut self, action: impl FnOnce(&mut dyn Report) -> io::Result<()>) {
        let Some(report) = &mut self.report else {
            return;
        };
        if let Err(error) = action(&mut **report) {
            self.failure = Some(error);
            self.report = None;
        }
    }

    /// Tells of threads that have ended; `step` is the number of the step that comes next.
    pub(super) fn end_threads(&mut self, step: u64) {
        for thread in threads::ended() {
            if self.threads.remove(&thread) {
                let change = ThreadChange::End;
                self.attempt(|report| {
                    report.thread(&ThreadEvent {
                        thread,
                        step,
                        change,
                    })
                });
            }
        }
    }

    /// Hands what was reported so far to the operating system.
    pub(super) fn flush(&mut self, now: Instant) {
        self.attempt(|report| report.flush());
        self.flushed = Some(now);
    }

    /// Flushes in time: whatever ends the process, at most the steps of the last 100 ms are lost, and none if it ends or
    /// waits in a call (`os._exit`, `os.abort`, `os.execv`, `time.sleep`, a library that crashes).
    fn flush_if_due(&mut self, is_last: bool) {
        let now = Instant::now();
        let flushed = *self.flushed.get_or_insert(now);
        if is_last || now.duration_since(flushed) >= FLUSH_AFTER {
            self.flush(now);
        }
    }
}

/// Feeds a report.
pub(super) struct Reporter {
    sink: Arc<Mutex<Sink>>,
    notes: Notes,
    limits: Limits,
}

impl Reporter {
    pub(super) fn new(sink: Arc<Mutex<Sink>>) -> Self {
        Self {
            sink,
            notes: Notes::open(),
            limits: Limits::default(),
        }
    }
}

/// Whether code that is not traced may run next, for as long as it likes.
fn leaves_traced_code(
    py: Python<'_>,
    tracer: &Core,
    event: &Event<'_, '_>,
    step: &Step<'_>,
) -> bool {
    match step.info().map(|info| info.op) {
        Some(Op::Call | Op::CallKw | Op::CallFunctionEx | Op::ImportName)
            if event.kind == EventKind::Instruction =>
        {
            true
        }
        _ => match step.frame_event() {
            Some(FrameEvent::Return(_) | FrameEvent::Yield(_) | FrameEvent::Unwind(_)) => !event
                .frame
                .previous()
                .is_some_and(|caller| tracer.watches(py, caller)),
            _ => false,
        },
    }
}

impl Handler for Reporter {
    fn runs_python(&self) -> bool {
        false
    }

    fn left_out(&self, _: Python<'_>, what: &str) {
        self.notes.left_out(what);
    }

    fn step<'py>(
        &self,
        py: Python<'py>,
        tracer: &Arc<Core>,
        event: &Event<'_, 'py>,
        _: Option<LiveFrame>,
    ) -> PyResult<()> {
        if fork::is_unnoticed() {
            return Ok(());
        }
        let _pause = Pause::new(py);
        let stack: Vec<Value> = (0..event.stack_len())
            .map(|index| {
                event
                    .stack(py, index)
                    .map_or(Value::Null, |slot| capture_slot(&slot, &self.limits))
            })
            .collect();
        let exception = event
            .exception(py)
            .map(|exception| capture(&exception, &self.limits));
        // The lock is only ever held for work that neither runs Python nor waits for the GIL; a poisoned one means that a
        // report panicked, and then there is nothing left to report to.
        let Ok(mut sink) = self.sink.lock() else {
            return Ok(());
        };
        let sink = &mut *sink;
        if sink.report.is_none() {
            return Ok(());
        }
        let number = tracer.steps(py);
        let thread = threads::present();
        sink.end_threads(number);
        if sink.threads.insert(thread) {
            let ident = event.frame.thread_ident();
            let name = thread_name(py, ident).or_else(|| threads::main_name(thread));
            let change = ThreadChange::Start {
                ident: Some(ident),
                name: name.as_deref(),
            };
            sink.attempt(|report| {
                report.thread(&ThreadEvent {
                    thread,
                    step: number,
                    change,
                })
            });
        }
        let Activation { id: frame, depth } = sink.activations.of(py, tracer, event);
        let code = code_info(py, &mut sink.codes, event.code);
        let step = Step {
            number,
            thread,
            frame,
            depth,
            code: &code,
            instruction: event.instruction,
            event: match event.kind {
                EventKind::Unwind => debugop_report::Event::Unwind,
                _ => debugop_report::Event::Instruction,
            },
            stack: &stack,
            exception: exception.as_ref(),
        };
        sink.counter.step(&step);
        let is_last = !tracer.is_running(py) || leaves_traced_code(py, tracer, event, &step);
        sink.attempt(|report| report.step(&step));
        sink.flush_if_due(is_last);
        Ok(())
    }
}

/// Descriptions of code objects, by address. Each entry keeps its code alive.
pub(crate) type Codes = FxHashMap<usize, (Arc<ProbedCode>, Arc<CodeInfo>)>;

/// The description of `code`, made at its first step.
pub(crate) fn code_info(
    py: Python<'_>,
    known: &mut Codes,
    code: &Arc<ProbedCode>,
) -> Arc<CodeInfo> {
    let next = known.len() as u32;
    // The entry keeps the code alive, so that its address names no other for as long as it stands here.
    let make = || (Arc::clone(code), Arc::new(describe(py, next, code)));
    let entry = known.entry(Arc::as_ptr(code) as usize).or_insert_with(make);
    Arc::clone(&entry.1)
}

/// The description of `code` for reports, as number `id`.
pub(crate) fn describe(py: Python<'_>, id: u32, code: &ProbedCode) -> CodeInfo {
    let original = code.original(py);
    let text = |attribute: &str| debugop_capture::code_text(original, attribute);
    let texts = |attribute: &str| debugop_capture::code_texts(original, attribute);
    let names = CodeNames {
        name: text("co_name"),
        qualname: code.names().qualname.to_owned(),
        filename: code.names().file.to_owned(),
        first_line: original
            .getattr("co_firstlineno")
            .and_then(|line| line.extract())
            .unwrap_or(0),
        module: Some(code.names().module.to_owned()).filter(|module| !module.is_empty()),
        consts: debugop_capture::code_constants(original, &Limits::default()),
        names: texts("co_names"),
        localsplus: debugop_capture::localsplus_names(original),
    };
    CodeInfo::new(id, names, code.analysis())
}
