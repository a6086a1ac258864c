//! How far something that takes long has come, on stderr.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use debugop_replay::{Doing, Progress};

/// Whether anything has been said of it, where it is not written over.
static SAID: [AtomicBool; 2] = [AtomicBool::new(false), AtomicBool::new(false)];

/// On a terminal a line that is written over and at last removed; elsewhere one line, once.
pub(crate) fn tell(path: &Path, progress: Progress) {
    let Progress {
        doing,
        done,
        chunks,
        ..
    } = progress;
    let path = path.display();
    let (said, what) = match doing {
        Doing::Index => (&SAID[0], "is replayed once, for the index"),
        Doing::Pack => (&SAID[1], "is packed"),
    };
    let left = shown(progress.left());
    let mut stderr = std::io::stderr().lock();
    // Nobody may be there to read it.
    let _ = if !stderr.is_terminal() {
        if said.swap(true, Ordering::Relaxed) {
            return;
        }
        writeln!(stderr, "debugop: {path} {what}: about {left} left")
    } else if done < chunks {
        let percent = done * 100 / chunks.max(1);
        write!(
            stderr,
            "\rdebugop: {path} {what}: {percent} %, about {left} left\x1b[K"
        )
    } else {
        write!(stderr, "\r\x1b[K")
    };
    let _ = stderr.flush();
}

/// A time that is estimated.
fn shown(time: Duration) -> String {
    let seconds = time.as_secs_f64().ceil() as u64;
    match seconds {
        0..100 => format!("{seconds} s"),
        100..6000 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_up() {
        for (milliseconds, expected) in [
            (0, "0 s"),
            (1_001, "2 s"),
            (99_500, "2 min"),
            (300_000, "5 min"),
            (7_201_000, "3 h"),
        ] {
            assert_eq!(shown(Duration::from_millis(milliseconds)), expected);
        }
    }
}
