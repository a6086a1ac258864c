//! What a session stops at besides lines: instructions, and exceptions where they are raised.
//!
//! The session's owner is asked once for each code object which of its instructions it wants to hear of. While the session
//! runs (3.12+) these have INSTRUCTION events and every other instruction has answered DISABLE; while it steps, frames of such code
//! have opcode events.

use std::sync::Arc;

use pyo3::types::{PyAnyMethods, PyCode, PyFrame};
use pyo3::{Bound, Py, PyAny, PyResult, Python, intern};
use rustc_hash::{FxHashMap, FxHashSet};

use super::sentinels::{self, Sentinel};
use super::session::{self, Session};
use super::trampoline;
use crate::frame::Frame;
use crate::gil::release;
use crate::registry;

/// Byte offsets in the original code, of instructions or their prefixes.
#[derive(Default)]
pub(super) struct Offsets {
    /// Of which the owner wants to hear each time.
    pub(super) always: FxHashSet<u32>,
    /// Of which it wants to hear if a place of [`sentinels`] has changed.
    pub(super) changed: FxHashSet<u32>,
    /// The same, while the session steps. While it runs, CPython tells of changes.
    stepping: FxHashSet<u32>,
}

impl Offsets {
    /// Whether there are any while the session runs.
    #[cfg(Py_3_12)]
    pub(super) fn any_running(&self) -> bool {
        !self.always.is_empty() || !self.changed.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.always.is_empty() && self.changed.is_empty() && self.stepping.is_empty()
    }
}

type Known = Option<Arc<Offsets>>;

/// Code objects, originals, and their instructions.
#[cfg(not(Py_3_12))]
type Placed = Vec<(Py<PyCode>, Arc<Offsets>)>;

/// For how many code objects the answer is kept.
const MOST_KNOWN: usize = 20_000;

/// What is wanted.
#[derive(Default)]
pub(super) struct Places {
    /// Called with a code object; answers with three sets of offsets of its instructions, as in [`Offsets`], or None.
    instructions: Option<Py<PyAny>>,
    /// Whether it wants to hear of exceptions.
    pub(super) exceptions: bool,
    /// The only code objects that have such instructions; `None`: that is not known.
    #[cfg_attr(
        Py_3_12,
        expect(dead_code, reason = "CPython tells of instructions there")
    )]
    codes: Option<Vec<Py<PyCode>>>,
    /// By the address of the code object, which is kept alive.
    known: FxHashMap<usize, (Py<PyCode>, Known)>,
}

/// What the owner of a session wants to hear of from now on: of the instructions that `instructions(code)` answers with, and of
/// exceptions. `codes`: the only code objects that have such instructions, if that is known. `watched` has the places that are looked at without asking it, each as [`Sentinel::new`] takes it.
///
/// # Errors
/// As for [`session::start`]; `TypeError`: that is no such place; `RuntimeError`: CPython tells nobody else of changed dictionaries.
pub fn set_places(
    owner: &Bound<'_, PyAny>,
    instructions: Option<Bound<'_, PyAny>>,
    exceptions: bool,
    watched: &Bound<'_, PyAny>,
    codes: Option<Vec<Bound<'_, PyCode>>>,
) -> PyResult<()> {
    let py = owner.py();
    let watched = watched.try_iter()?.map(|one| Sentinel::new(&one?));
    sentinels::set(py, watched.collect::<PyResult<_>>()?)?;
    let instructions = instructions.map(Bound::unbind);
    let codes: Option<Vec<Py<PyCode>>> =
        codes.map(|codes| codes.into_iter().map(Bound::unbind).collect());
    session::set_places(owner, || Places {
        codes: codes
            .as_ref()
            .map(|codes| codes.iter().map(|one| one.clone_ref(py)).collect()),
        instructions: instructions.as_ref().map(|one| one.clone_ref(py)),
        exceptions,
        known: FxHashMap::default(),
    })
}

impl Places {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.instructions.is_none() && !self.exceptions
    }
}

impl Session {
    /// Whether it wants to hear of anything but lines.
    pub(super) fn has_places(&self, py: Python<'_>) -> bool {
        self.places.with(py, |places| !places.is_empty())
    }

    /// Whether it wants to hear of exceptions.
    pub(super) fn hears_exceptions(&self, py: Python<'_>) -> bool {
        self.places.with(py, |places| places.exceptions)
    }

    /// The instructions of `code`, an original or a copy, that it wants to hear of.
    pub(super) fn offsets(&self, code: &Bound<'_, PyCode>) -> PyResult<Known> {
        let py = code.py();
        let Some(ask) = self.places.with(py, |places| {
            places.instructions.as_ref().map(|ask| ask.clone_ref(py))
        }) else {
            return Ok(None);
        };
        let code = registry::of_copy(code)
            .map_or_else(|| code.clone(), |entry| entry.original(py).clone());
        let address = code.as_ptr() as usize;
        let known = self.places.with(py, |places| {
            places.known.get(&address).map(|one| one.1.clone())
        });
        if let Some(known) = known {
            return Ok(known);
        }
        let answer = ask.bind(py).call1((&code,))?;
        let offsets = if answer.is_none() {
            None
        } else {
            let set = |index: usize| -> PyResult<FxHashSet<u32>> {
                let all = answer.get_item(index)?;
                all.try_iter()?.map(|one| one?.extract::<u32>()).collect()
            };
            let offsets = Offsets {
                always: set(0)?,
                changed: set(1)?,
                stepping: set(2)?,
            };
            (!offsets.is_empty()).then(|| Arc::new(offsets))
        };
        let kept = (code.unbind(), offsets.clone());
        let dropped = self.places.with(py, |places| {
            let full = places.known.len() >= MOST_KNOWN;
            let dropped = full.then(|| std::mem::take(&mut places.known));
            places.known.insert(address, kept);
            dropped
        });
        release(dropped);
        Ok(offsets)
    }

    /// The code objects, originals, with instructions that it wants to hear of each time, and where those are; `None`: it wants to hear of others too.
    #[cfg(not(Py_3_12))]
    pub(super) fn known_places(&self, py: Python<'_>) -> PyResult<Option<Placed>> {
        let codes = self.places.with(py, |places| {
            if places.exceptions {
                return None;
            }
            if places.instructions.is_none() {
                return Some(Vec::new());
            }
            let codes = places.codes.as_ref()?;
            Some(codes.iter().map(|one| one.clone_ref(py)).collect())
        });
        let Some(codes): Option<Vec<Py<PyCode>>> = codes else {
            return Ok(None);
        };
        let mut found = Placed::new();
        for code in codes {
            if found.iter().any(|(one, _)| one.is(&code)) {
                continue;
            }
            if let Some(offsets) = self.offsets(code.bind(py))? {
                if !offsets.changed.is_empty() || !offsets.stepping.is_empty() {
                    return Ok(None);
                }
                found.push((code, offsets));
            }
        }
        Ok(Some(found))
    }

    /// Whether it wants to hear of the instruction that the running frame is at, while it steps.
    pub(super) fn is_place(&self, py: Python<'_>) -> PyResult<bool> {
        let Some((offsets, offset)) = self.here(py)? else {
            return Ok(false);
        };
        let looks = offsets.changed.contains(&offset) || offsets.stepping.contains(&offset);
        let changed = looks && sentinels::changed(py);
        Ok(changed || offsets.always.contains(&offset))
    }

    /// Whether it may want to hear of the instruction that the running frame is at, while it runs.
    #[cfg(Py_3_12)]
    pub(super) fn may_be_place(&self, py: Python<'_>) -> PyResult<bool> {
        let here = self.here(py)?.is_some_and(|(offsets, offset)| {
            offsets.always.contains(&offset) || offsets.changed.contains(&offset)
        });
        Ok(here || sentinels::is_told(py))
    }

    /// What it wants to hear of in the code that runs, and where that is.
    fn here(&self, py: Python<'_>) -> PyResult<Option<(Arc<Offsets>, u32)>> {
        let Some(frame) = Frame::current(py) else {
            return Ok(None);
        };
        let code = frame.code(py);
        let Some(offsets) = self.offsets(&code)? else {
            return Ok(None);
        };
        let offset = original_offset(&code, frame.instruction_offset());
        Ok(offset.map(|offset| (offsets, offset)))
    }

    /// Asks the owner whether it stops at the instruction that `frame` is at.
    pub(super) fn stops_at_place(&self, frame: &Bound<'_, PyFrame>) -> PyResult<bool> {
        let py = frame.py();
        let owner = self.owner.bind(py);
        trampoline::with_locals(frame, || {
            owner
                .call_method1(intern!(py, "_reached_place"), (frame,))?
                .is_truthy()
        })
    }

    /// Asks the owner whether it stops where `exception` has come to `frame`.
    pub(super) fn stops_at_exception(
        &self,
        frame: &Bound<'_, PyFrame>,
        exception: &Bound<'_, PyAny>,
        traceback: Option<Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        let py = frame.py();
        let owner = self.owner.bind(py);
        trampoline::with_locals(frame, || {
            owner
                .call_method1(
                    intern!(py, "_reached_exception"),
                    (frame, exception, traceback),
                )?
                .is_truthy()
        })
    }

    /// Tells the owner of the instruction that it has just said that it stops at.
    pub(super) fn stop_at_place(self: &Arc<Self>, frame: &Bound<'_, PyFrame>) -> PyResult<()> {
        self.hand_over(frame.py(), frame, || {
            self.before_instruction(frame, || self.tell(frame))
        })
    }

    /// Tells the owner of the exception that it has just said that it stops at.
    pub(super) fn stop_at_exception(self: &Arc<Self>, frame: &Bound<'_, PyFrame>) -> PyResult<()> {
        self.hand_over(frame.py(), frame, || self.tell(frame))
    }

    fn tell(&self, frame: &Bound<'_, PyFrame>) -> PyResult<()> {
        let owner = self.owner.bind(frame.py());
        trampoline::with_locals(frame, || {
            owner.call_method1(intern!(frame.py(), "_at_place"), (frame,))
        })
        .map(drop)
    }

    /// Gives `frame` the events that it needs while the session steps, which go by its own trace function.
    pub(super) fn prepare(&self, frame: &Bound<'_, PyFrame>) -> PyResult<()> {
        let py = frame.py();
        let opcodes = self.offsets(&super::breakpoint::code_of(frame))?.is_some();
        if !opcodes && !self.hears_exceptions(py) {
            return Ok(());
        }
        if !trampoline::has_local(frame) {
            frame.setattr(intern!(py, "f_trace"), &self.dispatch)?;
        }
        if opcodes {
            frame.setattr(intern!(py, "f_trace_opcodes"), true)?;
        }
        Ok(())
    }

    /// The same for every frame of this thread.
    pub(super) fn prepare_all(&self, py: Python<'_>) -> PyResult<()> {
        let mut frame = Frame::current(py);
        while let Some(one) = frame {
            if let Some(object) = one.object(py) {
                self.prepare(&object)?;
            }
            frame = one.previous();
        }
        Ok(())
    }
}

/// The offset in the original of the instruction at `offset` of `code`; `None`: it has been inserted.
pub(super) fn original_offset(code: &Bound<'_, PyCode>, offset: Option<u32>) -> Option<u32> {
    match registry::of_copy(code) {
        Some(entry) => entry.original_unit(offset?),
        None => offset,
    }
}
