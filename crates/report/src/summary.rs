//! What a run amounts to.

use std::fmt;
use std::time::Duration;

use debugop_value::counted;
use rustc_hash::FxHashSet;

use crate::step::{Event, FrameEvent, Step};

/// Totals of a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Instructions executed.
    pub steps: u64,
    /// Frames entered; one that was running already does not count.
    pub frames: u64,
    /// Different code objects.
    pub functions: u64,
    /// Threads.
    pub threads: u64,
    /// How long the program ran, where that is known.
    pub elapsed: Option<Duration>,
    /// Whether the stream ended because a limit of steps was reached.
    pub limit_reached: bool,
}

/// One line without its end: `37 instructions, 1 frame, 1 function`.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.steps, "instruction"),
            (self.frames, "frame"),
            (self.functions, "function"),
            (self.threads, "thread"),
        ];
        // That there is one thread is not worth saying.
        let shown = if self.threads > 1 { 4 } else { 3 };
        let counts = counts[..shown].iter();
        let counts: Vec<String> = counts
            .map(|&(number, what)| counted(number, what))
            .collect();
        f.write_str(&counts.join(", "))?;
        if let Some(elapsed) = self.elapsed {
            write!(f, ", {:.3} s", elapsed.as_secs_f64())?;
        }
        if self.limit_reached {
            f.write_str(" (stopped at the limit)")?;
        }
        Ok(())
    }
}

/// Counts what a [`Summary`] tells, for sources of steps that do not know it themselves.
#[derive(Debug, Default)]
pub struct Counter {
    steps: u64,
    frames: u64,
    functions: FxHashSet<u32>,
    threads: FxHashSet<u64>,
    last: Option<(u64, u32)>,
}

impl Counter {
    /// Counts one step.
    pub fn step(&mut self, step: &Step<'_>) {
        if step.event == Event::Instruction {
            self.steps += 1;
        }
        if step.frame_event() == Some(FrameEvent::Enter) {
            self.frames += 1;
        }
        let place = (step.thread, step.code.id);
        if self.last != Some(place) {
            self.last = Some(place);
            self.threads.insert(step.thread);
            self.functions.insert(step.code.id);
        }
    }

    /// The totals so far.
    pub fn summary(&self) -> Summary {
        Summary {
            steps: self.steps,
            frames: self.frames,
            functions: self.functions.len() as u64,
            threads: self.threads.len() as u64,
            elapsed: None,
            limit_reached: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_tells_what_a_run_amounts_to() {
        let summary = Summary {
            steps: 1_234_567,
            frames: 1,
            functions: 2,
            threads: 1,
            elapsed: None,
            limit_reached: false,
        };
        assert_eq!(
            summary.to_string(),
            "1,234,567 instructions, 1 frame, 2 functions"
        );
        let summary = Summary {
            threads: 3,
            elapsed: Some(Duration::from_micros(1_250_400)),
            limit_reached: true,
            ..summary
        };
        assert_eq!(
            summary.to_string(),
            "1,234,567 instructions, 1 frame, 2 functions, 3 threads, 1.250 s (stopped at the limit)"
        );
    }
}
