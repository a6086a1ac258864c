//! The report made to be read.
//!
//! A frame is a box: it opens with the function's name and place, shows each source line before the instructions that
//! belong to it, and closes with what the frame returns, yields or raises. Frames that it calls stand inside it.
//!
//! ```text
//! ┌ lol  lol.py:1  def lol(x):
//! │       0  RESUME            0
//! │ 2  for i in range(x):
//! │       2  LOAD_GLOBAL       range + NULL
//! │      12  LOAD_FAST         x             <class range> | NULL
//! │      14  CALL              1             <class range> | NULL | 3
//! └ lol returns 2
//! ```

mod layout;
mod lines;
mod row;
mod stack;
mod style;

use std::io::{self, BufWriter, Write};

use debugop_bytecode::Op;
use debugop_replay::{Loss, Written};
use rustc_hash::FxHashMap;

use crate::Report;
use crate::code::InstructionInfo;
use crate::sources::Sources;
use crate::step::{FrameEvent, Step};
use crate::story::Story;
use crate::summary::Summary;
use crate::thread::{ThreadChange, ThreadEvent};
use layout::Layout;
use row::Row;
use style::Palette;

/// The narrowest report; there is nothing to read in less.
const NARROWEST: usize = 40;

/// Frames that are remembered. Beyond this number suspended generators are forgotten, most of which are never resumed,
/// and if that does not help, all frames; the heading of one that goes on says "continues".
const MOST_FRAMES: usize = 1 << 16;

/// How a text report looks.
#[derive(Debug, Clone, Copy)]
pub struct TextOptions {
    /// Columns: those of the terminal, or 100 for a file. At least 40 are used.
    pub width: usize,
    /// Whether it is coloured with ANSI escape sequences.
    pub color: bool,
    /// Whether every step is handed on at once, so that the report and the program's own output appear in the order
    /// in which they happen.
    pub flush_each_step: bool,
}

/// Writes the report made to be read.
#[derive(Debug)]
pub struct TextReport<W: Write> {
    out: BufWriter<W>,
    options: TextOptions,
    palette: Palette,
    sources: Sources,
    /// Files below this directory are named from it.
    directory: Option<String>,
    layouts: FxHashMap<u32, Layout>,
    frames: FxHashMap<u64, Frame>,
    threads: FxHashMap<u64, Thread>,
    story: Story,
    /// How many threads there have been.
    threads_seen: usize,
    /// Names of threads that have not had a step yet.
    names: FxHashMap<u64, String>,
    /// The thread that the last line was about.
    thread: Option<u64>,
}

/// A frame that is not over.
#[derive(Debug, Clone, Copy)]
struct Frame {
    /// The line of the last instruction.
    line: Option<u32>,
    offset: u32,
    op: Op,
    suspended: bool,
}

impl Frame {
    /// A frame that has come to an instruction.
    fn at(info: &InstructionInfo) -> Self {
        Frame {
            line: info.line(),
            offset: info.offset,
            op: info.op,
            suspended: false,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Thread {
    /// Counts the threads of the report, from 1.
    number: usize,
    /// The frame whose box the last line was in, if that box is open.
    frame: Option<u64>,
}

/// Why a frame's box opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opening {
    Entered,
    Resumed,
    /// Resumed by an exception that is thrown in.
    Thrown,
    /// Its first step in this report is somewhere in the middle.
    Continued,
}

impl<W: Write + Send> TextReport<W> {
    /// Writes to `out`, which is buffered here.
    pub fn new(out: W, options: TextOptions, sources: Sources) -> Self {
        let palette = if options.color {
            Palette::coloured()
        } else {
            Palette::default()
        };
        TextReport {
            out: BufWriter::with_capacity(1 << 16, out),
            options: TextOptions {
                width: options.width.max(NARROWEST),
                ..options
            },
            palette,
            sources,
            directory: None,
            layouts: FxHashMap::default(),
            frames: FxHashMap::default(),
            threads: FxHashMap::default(),
            story: Story::default(),
            threads_seen: 0,
            names: FxHashMap::default(),
            thread: None,
        }
    }

    /// Names files below `directory`, an absolute path, from there: `src/app.py`.
    #[must_use]
    pub fn relative_to(mut self, directory: String) -> Self {
        self.directory = Some(directory);
        self
    }

    fn show(&mut self, step: &Step<'_>) -> io::Result<()> {
        let Some(info) = step.info() else {
            let message = "a step names an instruction that its code object does not have";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        };
        let event = step.frame_event();
        let told = self.story.step(step);
        let mut thread = self.switch_thread(step)?;
        let known = self.frames.get(&step.frame).copied();
        let opening = opening(known, &thread, step, event);
        if let Some(opening) = opening {
            let line = match opening {
                Opening::Thrown => info.line().or(known.and_then(|frame| frame.line)),
                _ => info.line(),
            };
            self.open(step, line, opening)?;
        }
        let before = known.unwrap_or_else(|| Frame::at(info));
        self.exceptions(step, info, &told)?;
        if let Some(FrameEvent::Unwind(exception)) = event {
            self.close_raising(step, exception)?;
        } else {
            let back = opening.is_none() && thread.frame != Some(step.frame);
            // A jump back is a new round of a loop, except the one that waits in a delegation.
            let round = info.offset <= before.offset && before.op != Op::JumpBackwardNoInterrupt;
            let headed = match opening {
                None => back || round || info.line() != before.line,
                // The box's own heading shows this line.
                Some(Opening::Entered) => false,
                Some(_) => true,
            };
            if let Some(line) = info.line().filter(|_| headed) {
                self.heading(step, line, back, &told)?;
            }
            self.instruction(step, info)?;
        }
        thread.frame = None;
        match event {
            Some(FrameEvent::Unwind(_)) => _ = self.frames.remove(&step.frame),
            Some(FrameEvent::Return(value)) => {
                self.close(step, "returns", value)?;
                self.frames.remove(&step.frame);
            }
            Some(FrameEvent::Yield(value)) => {
                self.close(step, "yields", value)?;
                let suspended = true;
                self.remember(
                    step.frame,
                    Frame {
                        suspended,
                        ..Frame::at(info)
                    },
                );
            }
            _ => {
                self.remember(step.frame, Frame::at(info));
                thread.frame = Some(step.frame);
            }
        }
        self.threads.insert(step.thread, thread);
        Ok(())
    }

    fn remember(&mut self, id: u64, frame: Frame) {
        if self.frames.len() >= MOST_FRAMES && !self.frames.contains_key(&id) {
            self.frames.retain(|_, frame| !frame.suspended);
            if self.frames.len() >= MOST_FRAMES {
                self.frames.clear();
            }
        }
        self.frames.insert(id, frame);
    }

    /// Names the thread when there are several and another one goes on.
    fn switch_thread(&mut self, step: &Step<'_>) -> io::Result<Thread> {
        if self.thread.is_none() {
            self.legend()?;
        }
        let known = self.threads.get(&step.thread).copied();
        let thread = known.unwrap_or_else(|| {
            self.threads_seen += 1;
            Thread {
                number: self.threads_seen,
                frame: None,
            }
        });
        let name = self.names.remove(&step.thread);
        let other = known.is_none() || self.thread != Some(step.thread);
        if other && self.threads_seen > 1 {
            let quiet = self.palette.quiet;
            let mut row = Row::new(self.options.width);
            row.put(quiet, "═══ ")
                .put(self.palette.function, &format!("thread {}", thread.number));
            if known.is_none() {
                if let Some(name) = name {
                    row.space(1).put(self.palette.function, &name);
                }
                row.put(quiet, &format!(" (ident {})", step.thread));
            }
            self.write(row)?;
        }
        self.thread = Some(step.thread);
        Ok(thread)
    }
}

impl<W: Write + Send> Report for TextReport<W> {
    fn step(&mut self, step: &Step<'_>) -> io::Result<()> {
        self.show(step)?;
        if self.options.flush_each_step {
            self.out.flush()?;
        }
        Ok(())
    }

    fn thread(&mut self, event: &ThreadEvent<'_>) -> io::Result<()> {
        match event.change {
            ThreadChange::Start { name, .. } => {
                let name = name.map(|name| (event.thread, name.to_owned()));
                self.names.extend(name);
            }
            ThreadChange::End => {
                if let Some(thread) = self.threads.remove(&event.thread) {
                    let mut row = Row::new(self.options.width);
                    let ended = format!("═══ thread {} ended", thread.number);
                    row.put(self.palette.quiet, &ended);
                    self.write(row)?;
                }
            }
        }
        Ok(())
    }

    fn lost(&mut self, loss: &Loss) -> io::Result<()> {
        if loss.what.has_steps() {
            // What the frames have done meanwhile is not known.
            self.story = Story::default();
            self.frames.clear();
            for thread in self.threads.values_mut() {
                thread.frame = None;
            }
        }
        let mut row = Row::new(self.options.width);
        row.put(self.palette.quiet, "╌╌╌ ").put(
            self.palette.exception,
            &format!("step {}: {}", loss.step, loss.what),
        );
        self.write(row)
    }

    fn written(&mut self, written: &Written) -> io::Result<()> {
        let mut row = Row::new(self.options.width);
        let quiet = self.palette.quiet;
        let name = written.name();
        row.put(quiet, "▸ ").put(quiet, name).put(quiet, " ");
        let room = self.options.width.saturating_sub(name.len() + 3);
        row.put(self.palette.source, &written.text().short(room).to_string());
        self.write(row)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(mut self: Box<Self>, summary: &Summary) -> io::Result<()> {
        if self.thread.is_some() {
            self.write(Row::new(self.options.width))?;
        }
        let mut row = Row::new(self.options.width);
        row.put(self.palette.quiet, &summary.to_string());
        self.write(row)?;
        self.out.flush()
    }
}

/// Whether the step begins a new box.
fn opening(
    known: Option<Frame>,
    thread: &Thread,
    step: &Step<'_>,
    event: Option<FrameEvent<'_>>,
) -> Option<Opening> {
    match (event, known) {
        (Some(FrameEvent::Enter), _) => Some(Opening::Entered),
        // The box is still open when a delegation suspended and resumed the frame without a step in between.
        (Some(FrameEvent::Resume), Some(_)) if thread.frame == Some(step.frame) => None,
        (Some(FrameEvent::Resume), _) => Some(Opening::Resumed),
        (_, Some(frame)) if frame.suspended => Some(Opening::Thrown),
        (_, Some(_)) => None,
        (_, None) => Some(Opening::Continued),
    }
}
