//! `debugop.Event`: what has happened before a step, as data.

use std::fmt::Write as _;
use std::sync::Arc;

use debugop_bytecode::InstrIdx;
use debugop_capture::ProbedCode;
use debugop_replay::Code;
use debugop_report::{CodeInfo, Happening, Step, Story};
use debugop_value::Value as Data;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::instruction::Instruction;
use crate::run::{Codes, code_info};
use crate::value::Value;

/// One event.
#[derive(Clone)]
pub(crate) struct Told {
    kind: &'static str,
    instruction: Option<InstrIdx>,
    handler: Option<InstrIdx>,
    from_frame: Option<u64>,
    exception: Option<Data>,
    replaced: Option<Data>,
    callable: Option<Data>,
    result: Option<Data>,
}

impl Told {
    pub(crate) fn kind(&self) -> &'static str {
        self.kind
    }

    /// The values that it is about, by name.
    pub(crate) fn values(self) -> Vec<(&'static str, Option<Data>)> {
        vec![
            ("exception", self.exception),
            ("replaced", self.replaced),
            ("callable", self.callable),
            ("result", self.result),
        ]
    }

    /// Puts down where else something is that it is about: the `handler`, by its offset in `code`, and the frame that an exception came `from`.
    pub(crate) fn places(&self, dict: &Bound<'_, PyDict>, code: Option<&Code>) -> PyResult<()> {
        if let (Some(handler), Some(code)) = (self.handler, code) {
            dict.set_item("handler", code.offset(handler))?;
        }
        if let Some(frame) = self.from_frame {
            dict.set_item("from", frame)?;
        }
        Ok(())
    }
}

impl From<Happening<'_>> for Told {
    fn from(happening: Happening<'_>) -> Self {
        let what = &happening.what;
        let told = Self {
            kind: what.name(),
            instruction: happening.instruction,
            handler: what.handler(),
            from_frame: what.from(),
            exception: what.exception().cloned(),
            replaced: what.replaced().cloned(),
            callable: None,
            result: what.result().cloned(),
        };
        Self {
            callable: happening.what.into_callable(),
            ..told
        }
    }
}

/// Derives events from steps as they come.
#[derive(Default)]
pub(crate) struct Telling {
    story: Story,
    codes: Codes,
}

impl Telling {
    /// The description of `code`, made at its first step.
    pub(crate) fn code(&mut self, py: Python<'_>, code: &Arc<ProbedCode>) -> Arc<CodeInfo> {
        code_info(py, &mut self.codes, code)
    }

    /// What has happened before `step`.
    pub(crate) fn step(&mut self, step: &Step<'_>) -> Vec<Told> {
        self.story.step(step).into_iter().map(Told::from).collect()
    }
}

/// Something that has happened before a step of a traced program: an exception was raised or caught, or something that is no Python
/// function was called or has returned.
#[pyclass(frozen, name = "Event", module = "debugop")]
pub(crate) struct EventRecord {
    code: Arc<ProbedCode>,
    told: Told,
}

impl EventRecord {
    pub(crate) fn new(code: &Arc<ProbedCode>, told: &Told) -> Self {
        Self {
            code: Arc::clone(code),
            told: told.clone(),
        }
    }

    fn described(&self, index: Option<InstrIdx>) -> Option<Instruction> {
        index.map(|index| Instruction::new(Arc::clone(&self.code), index))
    }
}

#[pymethods]
impl EventRecord {
    /// What has happened, by the names of `event` in docs/jsonl.md: `"raise"`, `"catch"`, `"c_call"`, …
    #[getter]
    fn kind(&self) -> &'static str {
        self.told.kind
    }

    /// The instruction that raised, called or swallowed; None if the step of the frame before is not known.
    #[getter]
    fn instruction(&self) -> Option<Instruction> {
        self.described(self.told.instruction)
    }

    /// Of `"catch"`: the instruction where the exception has arrived.
    #[getter]
    fn handler(&self) -> Option<Instruction> {
        self.described(self.told.handler)
    }

    /// Of `"propagate"` and `"swallow"`: the `Record.frame` that the exception left.
    #[getter(from_frame)]
    fn origin(&self) -> Option<u64> {
        self.told.from_frame
    }

    /// The exception that it is about, if it is about one.
    #[getter]
    fn exception(&self) -> Option<Value> {
        self.told.exception.clone().map(Value::from)
    }

    /// Of `"replace"`: the exception that was being handled.
    #[getter]
    fn replaced(&self) -> Option<Value> {
        self.told.replaced.clone().map(Value::from)
    }

    /// Of calls: what is or was called.
    #[getter]
    fn callable(&self) -> Option<Value> {
        self.told.callable.clone().map(Value::from)
    }

    /// Of `"c_return"` and `"unfollowed_return"`: what was returned.
    #[getter]
    fn result(&self) -> Option<Value> {
        self.told.result.clone().map(Value::from)
    }

    fn __repr__(&self) -> String {
        let mut text = format!("<debugop.Event {}", self.told.kind);
        let values = [
            ("", &self.told.callable),
            ("→ ", &self.told.result),
            ("", &self.told.exception),
            ("for ", &self.told.replaced),
        ];
        for (before, value) in values {
            if let Some(value) = value {
                // Writing to a String cannot fail.
                let _ = write!(text, " {before}{}", value.short(40));
            }
        }
        text.push('>');
        text
    }
}
