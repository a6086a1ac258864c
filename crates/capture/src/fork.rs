//! Whether this process has just been forked.
//!
//! What `os.register_at_fork` has registered runs one after the other, and `threading`'s comes before ours: until ours has run, the
//! child must not write into the report of its parent.

use std::ffi::c_int;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

static FORKED: AtomicBool = AtomicBool::new(false);
static WATCH: Once = Once::new();

type Handler = unsafe extern "C" fn();

unsafe extern "C" {
    fn pthread_atfork(
        prepare: Option<Handler>,
        parent: Option<Handler>,
        child: Option<Handler>,
    ) -> c_int;
}

unsafe extern "C" fn in_child() {
    FORKED.store(true, Ordering::Relaxed);
    crate::recorder::forked();
}

/// Begins to notice forks.
pub fn watch() {
    WATCH.call_once(|| {
        // SAFETY: the handler only stores an atomic and a pointer, and lives as long as the process: extension modules are not unloaded.
        let failed = unsafe { pthread_atfork(None, None, Some(in_child)) };
        // ENOMEM: forks are then noticed when our callback runs, as if nothing had been registered before it.
        debug_assert_eq!(failed, 0);
    });
}

/// Whether a fork has made this process since [`acknowledge`].
#[inline]
#[must_use]
pub fn is_unnoticed() -> bool {
    FORKED.load(Ordering::Relaxed)
}

/// The fork has been noticed.
pub fn acknowledge() {
    FORKED.store(false, Ordering::Relaxed);
}
