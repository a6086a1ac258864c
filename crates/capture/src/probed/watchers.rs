//! Who watches a code object.

use std::rc::Rc;
use std::sync::Arc;

use pyo3::Python;

use super::ProbedCode;
use crate::tracer::{Hook, Tracer};

impl ProbedCode {
    /// Whether anybody watches.
    #[inline]
    pub(crate) fn is_watched(&self, py: Python<'_>) -> bool {
        self.hooks.with(py, |hooks| hooks.is_some())
    }

    /// Adds or replaces the hooks.
    pub(crate) fn set_hooks(&self, py: Python<'_>, hooks: Vec<Hook>) {
        if !hooks.is_empty() {
            self.voice(py);
        }
        let native = if let [only] = &*hooks {
            only.native_only()
        } else {
            None
        };
        let counter = native.as_ref().and_then(|tracer| tracer.counter());
        self.counter
            .set(py, counter.map_or(std::ptr::null(), std::ptr::from_ref));
        let old = (
            self.native.replace(py, native),
            self.hooks
                .replace(py, (!hooks.is_empty()).then(|| Rc::from(hooks))),
        );
        // Dropped when both are in place: the last reference to a tracer may run a destructor of the program's.
        drop(old);
    }

    /// The hooks now in place.
    pub(crate) fn hooks(&self, py: Python<'_>) -> Vec<Hook> {
        self.hooks
            .cloned(py)
            .map(|hooks| hooks.to_vec())
            .unwrap_or_default()
    }

    /// Whether any tracer watches it.
    pub(crate) fn has_watchers(&self, py: Python<'_>) -> bool {
        self.watchers.with(py, |watchers| !watchers.is_empty())
    }

    /// Who has hooks here.
    pub(crate) fn tracers(&self, py: Python<'_>) -> Vec<Arc<Tracer>> {
        self.hooks(py).iter().map(Hook::tracer).collect()
    }

    /// Whether `tracer` watches it.
    #[inline]
    pub(crate) fn is_watched_by(&self, py: Python<'_>, tracer: &Tracer) -> bool {
        let serial = tracer.serial();
        self.watchers
            .with(py, |watchers| watchers.contains(&serial))
    }

    /// `tracer` watches it from now on; false if it did already.
    pub(crate) fn add_watcher(&self, py: Python<'_>, tracer: &Tracer) -> bool {
        let new = !self.is_watched_by(py, tracer);
        if new {
            let serial = tracer.serial();
            self.watchers.with(py, |watchers| watchers.push(serial));
        }
        new
    }

    /// `tracer` watches it no longer; false if it did not.
    pub(crate) fn remove_watcher(&self, py: Python<'_>, tracer: &Tracer) -> bool {
        let watched = self.is_watched_by(py, tracer);
        let serial = tracer.serial();
        self.watchers
            .with(py, |watchers| watchers.retain(|other| *other != serial));
        watched
    }
}
