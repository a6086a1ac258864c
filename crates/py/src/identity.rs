//! `debugop._core.Identities`: what the tests ask about the identities of objects.

use std::num::NonZeroU64;
use std::time::Instant;

use debugop_capture::identity::{Birth, Entry, Identities, NO_INDEX};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyList;

/// Gives numbers to objects and follows their lives, as the recorder does. One at a time.
#[pyclass(name = "Identities", module = "debugop._core")]
pub(crate) struct PyIdentities {
    identities: Option<Identities>,
    newest: u64,
}

impl PyIdentities {
    fn get(&self) -> PyResult<&Identities> {
        let gone = || PyRuntimeError::new_err("uninstalled");
        self.identities.as_ref().ok_or_else(gone)
    }
}

#[pymethods]
impl PyIdentities {
    #[new]
    #[pyo3(signature = (limit = 1 << 20))]
    fn new(py: Python<'_>, limit: usize) -> PyResult<Self> {
        Ok(Self {
            identities: Some(Identities::install(py, limit)?),
            newest: 0,
        })
    }

    /// The object's number, and whether it is `"known"`, `"new"`, or `"perhaps"` new.
    fn see(&mut self, object: &Bound<'_, PyAny>) -> PyResult<(u64, &'static str)> {
        let (py, object) = (object.py(), object.as_borrowed());
        let identities = self.get()?;
        if let Some(entry) = identities.lookup(py, object) {
            return Ok((entry.id.get(), "known"));
        }
        let id = NonZeroU64::MIN.saturating_add(self.newest);
        let entry = Entry {
            id,
            epoch: 0,
            index: u32::try_from(self.newest).unwrap_or(NO_INDEX),
        };
        let birth = match identities.insert(py, object, entry) {
            Birth::New => "new",
            Birth::Perhaps => "perhaps",
        };
        self.newest = id.get();
        Ok((id.get(), birth))
    }

    /// The object's number, if it has one.
    fn known(&self, object: &Bound<'_, PyAny>) -> PyResult<Option<u64>> {
        let entry = self.get()?.lookup(object.py(), object.as_borrowed());
        Ok(entry.map(|entry| entry.id.get()))
    }

    /// Forgets the object, as if it had died.
    fn forget(&self, object: &Bound<'_, PyAny>) -> PyResult<()> {
        self.get()?.forget(object.py(), object.as_borrowed());
        Ok(())
    }

    /// The numbers of those that have died or been forgotten since this was last called.
    fn dead(&self, py: Python<'_>) -> PyResult<Vec<u64>> {
        let mut dead = Vec::new();
        self.get()?
            .each_dead(py, |index| dead.push(u64::from(index) + 1));
        Ok(dead)
    }

    /// How many objects have numbers, have been forgotten for want of room, and how often all were lost.
    fn counts(&self, py: Python<'_>) -> PyResult<(usize, u64, u64)> {
        let identities = self.get()?;
        Ok((
            identities.len(py),
            identities.evicted(py),
            identities.lost(py),
        ))
    }

    /// Nanoseconds that it takes to look one of `objects` up, over `rounds` rounds.
    fn time(&self, objects: &Bound<'_, PyList>, rounds: usize) -> PyResult<f64> {
        let (py, identities) = (objects.py(), self.get()?);
        let objects: Vec<_> = objects.iter().collect();
        let start = Instant::now();
        let mut known = 0_u64;
        for _ in 0..rounds {
            for object in &objects {
                known += u64::from(identities.lookup(py, object.as_borrowed()).is_some());
            }
        }
        let spent = start.elapsed().as_secs_f64();
        if known == 0 {
            return Err(PyRuntimeError::new_err("none of the objects is known"));
        }
        #[expect(clippy::cast_precision_loss, reason = "a measurement")]
        Ok(spent * 1e9 / (rounds * objects.len()) as f64)
    }

    /// Takes the hooks out of the interpreter.
    fn uninstall(&mut self, py: Python<'_>) {
        if let Some(identities) = self.identities.take() {
            identities.uninstall(py);
        }
    }
}
