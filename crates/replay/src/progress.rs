//! Tells how far something has come that goes through a whole recording.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What takes long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// The index is made.
    Index,
    /// It is packed.
    Pack,
}

/// How far it has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// What.
    pub doing: Doing,
    /// So many chunks are done.
    pub done: usize,
    /// Of so many.
    pub chunks: usize,
    /// Since it began.
    pub elapsed: Duration,
}

impl Progress {
    /// How long it will take still, if it goes on so.
    pub fn left(&self) -> Duration {
        let left = self.chunks.saturating_sub(self.done);
        let each = self.elapsed.as_secs_f64() / self.done.max(1) as f64;
        Duration::from_secs_f64(each * left as f64)
    }
}

/// Is told how far it has come.
pub type Tell<'a> = dyn Fn(Progress) + Send + Sync + 'a;

/// After so long it is told how far it has come,
const SILENT: Duration = Duration::from_secs(2);
/// and then each time that so much has passed.
const PAUSE: Duration = Duration::from_millis(500);

/// Tells how far something has come, if it takes long: several threads do it.
pub struct Teller<'a> {
    tell: Option<&'a Tell<'a>>,
    doing: Doing,
    chunks: usize,
    began: Instant,
    /// How many chunks are done, and when it is to be told again.
    state: Mutex<(usize, Duration)>,
}

impl std::fmt::Debug for Teller<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Teller")
            .field("doing", &self.doing)
            .finish_non_exhaustive()
    }
}

impl<'a> Teller<'a> {
    /// It begins now, with so many chunks.
    pub fn new(tell: Option<&'a Tell<'a>>, doing: Doing, chunks: usize) -> Self {
        Teller {
            tell,
            doing,
            chunks,
            began: Instant::now(),
            state: Mutex::new((0, SILENT)),
        }
    }

    /// Another chunk is done.
    pub fn done(&self) {
        let Some(tell) = self.tell else { return };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 += 1;
        let (done, elapsed) = (state.0, self.began.elapsed());
        let told = state.1 > SILENT;
        if elapsed >= state.1 || (told && done == self.chunks) {
            state.1 = elapsed + PAUSE;
            tell(Progress {
                doing: self.doing,
                done,
                chunks: self.chunks,
                elapsed,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_by_what_has_been_done() {
        let progress = |done| Progress {
            doing: Doing::Pack,
            done,
            chunks: 40,
            elapsed: Duration::from_secs(3),
        };
        assert_eq!(progress(10).left(), Duration::from_secs(9));
        assert_eq!(progress(40).left(), Duration::ZERO);
        assert_eq!(progress(0).left(), Duration::from_secs(120));
    }

    #[test]
    fn what_is_short_is_not_told() {
        let tell = |progress| panic!("{progress:?}");
        let teller = Teller::new(Some(&tell), Doing::Index, 3);
        (0..3).for_each(|_| teller.done());
    }

    #[test]
    fn what_takes_long_is_told_and_that_it_has_ended() {
        let told = Mutex::new(Vec::new());
        let tell = |progress: Progress| told.lock().expect("one thread").push(progress.done);
        let began = Instant::now().checked_sub(SILENT);
        let teller = Teller {
            began: began.expect("the clock has run for so long"),
            ..Teller::new(Some(&tell), Doing::Index, 3)
        };
        (0..3).for_each(|_| teller.done());
        assert_eq!(told.into_inner().expect("one thread"), [1, 3]);
    }
}
