//! When it is time to say what time it is: behind what may have waited.
//!
//! A program waits in C code only, and what has run meanwhile is looked for at the next record: where that goes the general way, and behind a call of C code
//! about which nothing is known. Asking there must cost next to nothing, so the processor's own counter is asked whether a while has passed, and the system only then.

use std::time::{Duration, Instant};

use debugop_recording::stream::Encoder;

use super::Recorder;

/// So many nanoseconds pass before the time is said anew.
const WHILE: u64 = 1_000_000;

/// As many of [`ticks`] are less than that: processors count one to a few a nanosecond.
const TICKS: u64 = 1 << 19;

/// What time it is.
pub(super) struct Clock {
    began: Instant,
    /// The processor's count when the system was asked last.
    asked: u64,
}

impl Clock {
    pub(super) fn start() -> Self {
        let began = Instant::now();
        Self {
            began,
            asked: ticks(began),
        }
    }

    /// Nanoseconds since it was started.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Whether a while may have passed since the last time that it had. A counter that went back, as on another processor, says so, too.
    #[inline(always)]
    fn is_due(&self) -> bool {
        ticks(self.began).wrapping_sub(self.asked) > TICKS
    }

    /// The time, if a while has passed since `last`.
    #[cold]
    #[inline(never)]
    fn ask(&mut self, last: u64) -> Option<u64> {
        self.asked = ticks(self.began);
        let now = self.now();
        (now.saturating_sub(last) >= WHILE).then_some(now)
    }
}

impl Recorder {
    /// Says the time before the next record if a while has passed, where there is an encoder.
    #[inline(always)]
    pub(super) fn say_time(&mut self, to: &mut Encoder<'_>) {
        if self.clock.is_due()
            && let Some(now) = self.clock.ask(self.time)
        {
            to.time(now - self.time);
            self.time = now;
        }
    }

    /// The same where there is none. There is room for a short record.
    #[inline(always)]
    pub(super) fn note_time(&mut self) {
        if self.clock.is_due() {
            self.note_time_now();
        }
    }

    #[cold]
    #[inline(never)]
    fn note_time_now(&mut self) {
        if let Some(now) = self.clock.ask(self.time) {
            let mut to = Encoder::new(self.store.bytes(), self.at);
            to.time(now - self.time);
            if !to.overflowed() {
                self.time = now;
                self.at = to.at();
            }
        }
    }
}

/// A number that grows by about one to five a nanosecond.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn ticks(_began: Instant) -> u64 {
    // SAFETY: every x86-64 has the instruction, and systems let programs use it.
    unsafe { std::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn ticks(began: Instant) -> u64 {
    // The system's clock is read without a system call.
    began.elapsed().as_nanos() as u64
}
