//! Which threads have begun and ended.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Threads that have ended, in that order, and that nobody has asked for yet.
static ENDED: Mutex<Vec<u64>> = Mutex::new(Vec::new());

/// Whether there are any, so that the lock is not taken at each step.
static SOME_ENDED: AtomicBool = AtomicBool::new(false);

/// A thread. Dropped when the operating system's thread ends, long after its last frame, without the GIL.
struct Presence {
    id: Cell<u64>,
    /// Whether it has reported a step.
    reported: Cell<bool>,
}

impl Drop for Presence {
    fn drop(&mut self) {
        if self.reported.get() {
            // A push cannot leave the vector damaged.
            let mut ended = ENDED.lock().unwrap_or_else(PoisonError::into_inner);
            ended.push(self.id.get());
            SOME_ENDED.store(true, Ordering::Release);
        }
    }
}

thread_local! {
    static PRESENCE: Presence = Presence {
        id: Cell::new(native_thread()),
        reported: Cell::new(false),
    };
}

/// What `threading.get_native_id` returns in this thread, which from now on tells of its end.
pub(super) fn present() -> u64 {
    let known = PRESENCE.try_with(|presence| {
        presence.reported.set(true);
        presence.id.get()
    });
    // The thread's own destructors run, and one of them has called Python.
    known.unwrap_or_else(|_| native_thread())
}

/// The name that `threading` gives the main thread when it is imported, if `thread` is that: the process's first.
pub(super) fn main_name(thread: u64) -> Option<String> {
    (thread == u64::from(std::process::id())).then(|| "MainThread".to_owned())
}

/// The calling thread has another number, and has reported nothing: it is that of a forked child.
pub(super) fn forget_thread() {
    // Where the thread's own destructors run there is nothing to forget.
    let _ = PRESENCE.try_with(|presence| {
        presence.id.set(native_thread());
        presence.reported.set(false);
    });
}

fn native_thread() -> u64 {
    u64::from(
        rustix::thread::gettid()
            .as_raw_nonzero()
            .get()
            .unsigned_abs(),
    )
}

/// The threads that have ended since this was last asked.
pub(super) fn ended() -> Vec<u64> {
    if !SOME_ENDED.load(Ordering::Acquire) {
        return Vec::new();
    }
    let mut ended = ENDED.lock().unwrap_or_else(PoisonError::into_inner);
    SOME_ENDED.store(false, Ordering::Release);
    std::mem::take(&mut *ended)
}
