//! How far the making of an index has come, on stderr.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use debugop_replay::Progress;

/// Whether anything has been said, where it is not written over.
static SAID: AtomicBool = AtomicBool::new(false);

/// On a terminal a line that is written over and at last removed; elsewhere one line, once.
pub(crate) fn tell(path: &Path, progress: Progress) {
    let Progress { done, chunks, .. } = progress;
    let mut stderr = std::io::stderr().lock();
    // Nobody may be there to read it.
    let _ = if !stderr.is_terminal() {
        if SAID.swap(true, Ordering::Relaxed) {
            return;
        }
        writeln!(
            stderr,
            "debugop: {} is replayed once, for the index",
            path.display()
        )
    } else if done < chunks {
        let percent = done * 100 / chunks.max(1);
        let path = path.display();
        write!(
            stderr,
            "\rdebugop: {path} is replayed once, for the index: {percent} %"
        )
    } else {
        write!(stderr, "\r\x1b[K")
    };
    let _ = stderr.flush();
}
