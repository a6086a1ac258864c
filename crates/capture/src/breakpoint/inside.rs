//! Whether this thread evaluates a condition, or has stopped: breakpoints that it reaches meanwhile are passed over, as under `bdb`,
//! where tracing pauses.

use std::cell::Cell;

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

pub(super) fn is() -> bool {
    INSIDE.get()
}

/// False if it is already.
pub(super) fn enter() -> bool {
    !INSIDE.replace(true)
}

pub(super) fn leave() {
    INSIDE.set(false);
}

/// Runs `f` inside.
pub(super) fn during<R>(f: impl FnOnce() -> R) -> R {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            leave();
        }
    }
    enter();
    let _leave = Leave;
    f()
}
