//! What has happened in a recording, one event after the other, in Python.

use std::collections::VecDeque;
use std::sync::Arc;

use debugop_bytecode::InstrIdx;
use debugop_replay::{OpenError, Recording as Core, Written};
use debugop_report::replayed::{Described, PlayError, Player, Shown};
use debugop_report::{FrameEvent, Step, Story, ThreadChange, ThreadEvent};
use debugop_value::Value as Data;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::event::Told;
use crate::past::located;
use crate::replay::refused;
use crate::value::Value;

/// So many events are derived at once, while other threads may run.
const BATCH: usize = 256;

/// One event.
enum Event {
    Happened(Happened),
    Thread {
        step: u64,
        thread: u64,
        /// Whether it begins; and its name, if that is known.
        begins: bool,
        name: Option<String>,
    },
    Written(Written),
}

impl Event {
    fn of_thread(event: &ThreadEvent<'_>) -> Self {
        let name = match event.change {
            ThreadChange::Start { name, .. } => Some(name.map(str::to_owned)),
            ThreadChange::End => None,
        };
        Self::Thread {
            step: event.step,
            thread: event.thread,
            begins: name.is_some(),
            name: name.flatten(),
        }
    }

    fn dict<'py>(self, py: Python<'py>, core: &Core) -> PyResult<Bound<'py, PyDict>> {
        match self {
            Self::Happened(happened) => happened.dict(py, core),
            Self::Thread {
                step,
                thread,
                begins,
                name,
            } => {
                let dict = PyDict::new(py);
                dict.set_item("step", step)?;
                dict.set_item("event", if begins { "thread_start" } else { "thread_end" })?;
                dict.set_item("thread", thread)?;
                if begins {
                    dict.set_item("name", name)?;
                }
                Ok(dict)
            }
            Self::Written(written) => {
                let dict = PyDict::new(py);
                dict.set_item("step", written.step)?;
                dict.set_item("event", "output")?;
                dict.set_item("frame", written.frame.map(|frame| frame.0))?;
                dict.set_item("stream", written.name())?;
                dict.set_item("text", String::from_utf8_lossy(&written.bytes))?;
                Ok(dict)
            }
        }
    }
}

/// What has happened in a frame, and where.
struct Happened {
    step: u64,
    thread: u64,
    frame: u64,
    code: u32,
    at: InstrIdx,
    what: What,
}

enum What {
    /// A frame was entered, left or gone on with; and with which value or exception.
    Frame(&'static str, Option<Data>, bool),
    Told(Box<Told>),
}

impl Happened {
    fn new(step: &Step<'_>, at: Option<InstrIdx>, what: What) -> Self {
        Self {
            step: step.number,
            thread: step.thread,
            frame: step.frame,
            code: step.code.id,
            at: at.unwrap_or(step.instruction),
            what,
        }
    }

    fn of_frame(step: &Step<'_>) -> Option<Self> {
        let event = step.frame_event()?;
        let (value, is_exception) = match event {
            FrameEvent::Return(value) | FrameEvent::Yield(value) => (value, false),
            FrameEvent::Handle(exception) => (Some(exception), true),
            FrameEvent::Unwind(exception) => (exception, true),
            // It is entered or gone on with.
            _ => (None, false),
        };
        let what = What::Frame(event.kind().name(), value.cloned(), is_exception);
        Some(Self::new(step, None, what))
    }

    fn dict<'py>(self, py: Python<'py>, core: &Core) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        dict.set_item("step", self.step)?;
        let (kind, told) = match self.what {
            What::Frame(kind, value, is_exception) => {
                let name = match is_exception {
                    true => "exception",
                    false => "value",
                };
                (kind, vec![(name, value)])
            }
            What::Told(told) => {
                told.places(&dict, core.codes().get(self.code).map(|code| &**code))?;
                (told.kind(), told.values())
            }
        };
        dict.set_item("event", kind)?;
        located(&dict, core, self.code, self.at)?;
        dict.set_item("frame", self.frame)?;
        dict.set_item("thread", self.thread)?;
        for (name, data) in told {
            if let Some(data) = data {
                dict.set_item(name, Value::from(data))?;
            }
        }
        Ok(dict)
    }
}

/// Derives events as the recording is gone through.
struct Source {
    player: Player,
    described: Described,
    story: Story,
}

impl Source {
    fn new(core: &Arc<Core>) -> Result<Self, OpenError> {
        Ok(Self {
            player: Player::new(core, 0)?.with_doubts(true),
            described: Described::default(),
            story: Story::default(),
        })
    }

    /// Adds the next events, as many as there are or a [`BATCH`]. Whether there may be more.
    fn fill(&mut self, ready: &mut VecDeque<Event>) -> Result<bool, OpenError> {
        let story = &mut self.story;
        let mut found = Vec::new();
        loop {
            let more = self.player.next(
                &mut self.described,
                u64::MAX,
                &mut |_, _| true,
                &mut |shown| {
                    match shown {
                        Shown::Step(step) => {
                            let told = story.step(step).into_iter();
                            found.extend(told.map(|one| {
                                let at = one.instruction;
                                let what = What::Told(Box::new(one.into()));
                                Event::Happened(Happened::new(step, at, what))
                            }));
                            found.extend(Happened::of_frame(step).map(Event::Happened));
                        }
                        Shown::Thread(event) => found.push(Event::of_thread(event)),
                        Shown::Written(written) => found.push(Event::Written(written.clone())),
                        Shown::Lost(_) => {}
                    }
                    Ok(())
                },
            );
            let more = match more {
                Ok(more) => more,
                Err(PlayError::Recording(error)) => return Err(error),
                Err(PlayError::Output(_)) => false,
            };
            ready.extend(found.drain(..));
            if !more || ready.len() >= BATCH {
                return Ok(more);
            }
        }
    }
}

/// The events of a recording: iterating goes through them, `reversed()` back.
#[pyclass(frozen, module = "debugop")]
pub(crate) struct ReplayEvents {
    core: Arc<Core>,
}

impl ReplayEvents {
    pub(crate) fn new(core: &Arc<Core>) -> Self {
        let core = Arc::clone(core);
        Self { core }
    }
}

#[pymethods]
impl ReplayEvents {
    fn __iter__(&self, py: Python<'_>) -> PyResult<ReplayEventIterator> {
        let source = py.detach(|| Source::new(&self.core));
        Ok(ReplayEventIterator {
            core: Arc::clone(&self.core),
            source: Some(source.map_err(|error| refused(&error))?),
            ready: VecDeque::new(),
            backwards: false,
        })
    }

    /// What has happened is told by what was before, so everything is gone through once, and the events are kept.
    fn __reversed__(&self, py: Python<'_>) -> PyResult<ReplayEventIterator> {
        let all = py.detach(|| {
            let (mut source, mut all) = (Source::new(&self.core)?, VecDeque::new());
            let mut batch = VecDeque::new();
            while source.fill(&mut batch)? {
                all.append(&mut batch);
            }
            all.append(&mut batch);
            Ok(all)
        });
        Ok(ReplayEventIterator {
            core: Arc::clone(&self.core),
            source: None,
            ready: all.map_err(|error: OpenError| refused(&error))?,
            backwards: true,
        })
    }
}

/// Goes through events.
#[pyclass(module = "debugop")]
pub(crate) struct ReplayEventIterator {
    core: Arc<Core>,
    /// Where more come from; `None`: there are no more.
    source: Option<Source>,
    ready: VecDeque<Event>,
    backwards: bool,
}

#[pymethods]
impl ReplayEventIterator {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        if self.ready.is_empty()
            && let Some(mut source) = self.source.take()
        {
            let ready = &mut self.ready;
            let more = py.detach(|| source.fill(ready).map(|more| more.then_some(source)));
            self.source = more.map_err(|error| refused(&error))?;
        }
        let event = match self.backwards {
            false => self.ready.pop_front(),
            true => self.ready.pop_back(),
        };
        event.map(|event| event.dict(py, &self.core)).transpose()
    }
}
