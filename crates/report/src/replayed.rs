//! A recording as a stream of steps: what a live run would have reported.

use std::io;
use std::sync::Arc;

use debugop_bytecode::Op;
use debugop_recording::stream::ThreadNumber;
use debugop_replay::{
    Code, Cursor, Loss, OpenError, Recording, State, Unwound, Value as Replayed, Written,
};
use debugop_value::Value;
use rustc_hash::FxHashMap;

use crate::code::{CodeInfo, CodeNames};
use crate::step::{Event, Step};
use crate::thread::{ThreadChange, ThreadEvent};

/// How deep containers in containers are shown.
const DEPTH: u32 = 3;

/// Why a recording could not be shown to its end.
#[derive(Debug)]
pub enum PlayError {
    /// The recording.
    Recording(OpenError),
    /// What it was shown to.
    Output(io::Error),
}

impl From<OpenError> for PlayError {
    fn from(error: OpenError) -> Self {
        Self::Recording(error)
    }
}

/// Describes the code objects of a recording, each once.
#[derive(Debug, Default)]
pub struct Described {
    infos: FxHashMap<u32, Arc<CodeInfo>>,
}

impl Described {
    /// The description of a code object.
    pub fn of(&mut self, code: &Code) -> Arc<CodeInfo> {
        let number = code.data().number;
        let info = self.infos.entry(number);
        Arc::clone(info.or_insert_with(|| Arc::new(describe(code))))
    }
}

fn describe(code: &Code) -> CodeInfo {
    let data = code.data();
    let text = |wtf8: &[u8]| String::from_utf8_lossy(wtf8).into_owned();
    let names = CodeNames {
        name: text(&data.name),
        qualname: text(&data.qualname),
        filename: text(&data.filename),
        first_line: data.first_line,
        module: None,
        consts: code.constants(),
        names: data.names.iter().map(|name| text(name)).collect(),
        localsplus: data.locals.iter().map(|local| text(&local.name)).collect(),
    };
    CodeInfo::new(data.number, names, code.analysis())
}

/// What is shown of a recording.
#[derive(Debug)]
pub enum Shown<'a> {
    /// A step, or an exception that leaves a frame.
    Step(&'a Step<'a>),
    /// Something that is missing before the next one.
    Lost(&'a Loss),
    /// A thread begins with the next step, or has ended.
    Thread(&'a ThreadEvent<'a>),
    /// Something that the program has written in the step before.
    Written(&'a Written),
}

/// Which steps are shown.
pub type Wanted<'a> = &'a mut dyn FnMut(&debugop_replay::Step, &State) -> bool;

/// Shows the steps from where the player is up to and without `to` that are `wanted`, and the exceptions that leave frames of which a step was
/// shown, and what is missing between them. `show` gets each; steps are numbered from 0 as in the recording.
///
/// # Errors
/// [`PlayError`].
pub fn play(
    player: &mut Player,
    described: &mut Described,
    to: u64,
    wanted: Wanted<'_>,
    show: &mut dyn FnMut(Shown<'_>) -> io::Result<()>,
) -> Result<(), PlayError> {
    while player.next(described, to, wanted, show)? {}
    Ok(())
}

/// Goes through the steps of a recording, one at a time, as [`play`] does.
#[derive(Debug)]
pub struct Player {
    cursor: Cursor,
    /// The one that comes next.
    step: Option<debugop_replay::Step>,
    /// Frames of which a step was shown.
    shown: rustc_hash::FxHashSet<u64>,
    /// Whether what may have changed unseen is marked: [`Value::Uncertain`].
    doubts: bool,
    /// The first step that may be shown.
    from: u64,
    /// What was written in steps that come still.
    written: Vec<Written>,
    /// Threads that have begun, and not ended.
    threads: rustc_hash::FxHashSet<u32>,
}

impl Player {
    /// From a step on.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn new(recording: &Arc<Recording>, from: u64) -> Result<Self, OpenError> {
        let mut cursor = recording.cursor();
        let step = if from == 0 {
            cursor.next()?
        } else if from < recording.len()? {
            Some(cursor.seek(from)?)
        } else {
            None
        };
        Ok(Self {
            cursor,
            step,
            shown: rustc_hash::FxHashSet::default(),
            doubts: false,
            from,
            written: Vec::new(),
            threads: rustc_hash::FxHashSet::default(),
        })
    }

    /// From now on values are marked whose contents may have changed since they were looked at: [`Value::Uncertain`].
    #[must_use]
    pub fn with_doubts(self, doubts: bool) -> Self {
        Self { doubts, ..self }
    }

    /// Shows what comes with the next step, if that is before `to`. Whether there may be more.
    ///
    /// # Errors
    /// [`PlayError`].
    pub fn next(
        &mut self,
        described: &mut Described,
        to: u64,
        wanted: Wanted<'_>,
        show: &mut dyn FnMut(Shown<'_>) -> io::Result<()>,
    ) -> Result<bool, PlayError> {
        let cursor = &mut self.cursor;
        let (Some(at), Some(state)) = (self.step, cursor.state()) else {
            return Ok(false);
        };
        let number = at.number;
        let (from, written) = (self.from, &mut self.written);
        written.extend_from_slice(cursor.written());
        let mut screen = Screen {
            recording: cursor.recording(),
            described,
            shown: &mut self.shown,
            doubts: self.doubts,
            show,
        };
        screen.written(written, from, number)?;
        for unwound in cursor.unwound() {
            screen.unwound(unwound, number, state)?;
        }
        if number >= to {
            return Ok(false);
        }
        screen.lost(cursor.lost())?;
        screen.ended(cursor.ended(), &mut self.threads, number, state)?;
        if wanted(&at, state) {
            if self.threads.insert(at.thread.0) {
                screen.begins(at.thread, number, state)?;
            }
            screen.step(&at, state)?;
            screen.written(written, from, number + 1)?;
        }
        written.retain(|one| one.step != Some(number));
        self.step = cursor.next()?;
        if self.step.is_some() {
            return Ok(true);
        }
        if let Some(state) = cursor.state() {
            let mut screen = Screen {
                recording: cursor.recording(),
                described,
                shown: &mut self.shown,
                doubts: self.doubts,
                show,
            };
            written.extend_from_slice(cursor.written());
            screen.written(written, from, u64::MAX)?;
            for unwound in cursor.unwound() {
                screen.unwound(unwound, number + 1, state)?;
            }
            screen.lost(cursor.lost())?;
        }
        Ok(false)
    }
}

struct Screen<'a, 'b> {
    recording: &'a Recording,
    described: &'a mut Described,
    shown: &'a mut rustc_hash::FxHashSet<u64>,
    doubts: bool,
    show: &'b mut dyn FnMut(Shown<'_>) -> io::Result<()>,
}

impl Screen<'_, '_> {
    fn thread(state: &State, number: ThreadNumber) -> u64 {
        let mut threads = state.threads();
        let found = threads.find(|(known, _)| *known == number);
        found.map_or(u64::from(number.0), |(_, thread)| thread.native())
    }

    fn begins(&mut self, thread: ThreadNumber, step: u64, state: &State) -> Result<(), PlayError> {
        let mut threads = state.threads();
        let found = threads.find(|(known, _)| *known == thread);
        let name = found.map(|(_, thread)| String::from_utf8_lossy(thread.name()).into_owned());
        let name = name.filter(|name| !name.is_empty());
        let change = ThreadChange::Start {
            ident: None,
            name: name.as_deref(),
        };
        let thread = Self::thread(state, thread);
        let event = ThreadEvent {
            thread,
            step,
            change,
        };
        (self.show)(Shown::Thread(&event)).map_err(PlayError::Output)
    }

    /// Shows that threads have ended of which a step was shown.
    fn ended(
        &mut self,
        ended: &[ThreadNumber],
        begun: &mut rustc_hash::FxHashSet<u32>,
        step: u64,
        state: &State,
    ) -> Result<(), PlayError> {
        for &number in ended {
            if begun.remove(&number.0) {
                let (thread, change) = (Self::thread(state, number), ThreadChange::End);
                let event = ThreadEvent {
                    thread,
                    step,
                    change,
                };
                (self.show)(Shown::Thread(&event)).map_err(PlayError::Output)?;
            }
        }
        Ok(())
    }

    fn value(&self, state: &State, value: Replayed) -> Value {
        let codes = self.recording.codes();
        match self.doubts {
            true => state.describe(codes, value, DEPTH),
            false => state.describe_as_seen(codes, value, DEPTH),
        }
    }

    /// Shows what was written before a step, by frames of which a step was shown, or by nobody knows whom.
    fn written(
        &mut self,
        written: &mut Vec<Written>,
        from: u64,
        before: u64,
    ) -> Result<(), PlayError> {
        let comes = |one: &mut Written| one.step.is_none_or(|step| step < before);
        let mut ready: Vec<Written> = written.extract_if(.., comes).collect();
        ready.retain(|one| match (one.step, one.frame) {
            (Some(step), Some(frame)) => step >= from && self.shown.contains(&frame.0),
            _ => true,
        });
        for one in &Written::joined(ready) {
            (self.show)(Shown::Written(one)).map_err(PlayError::Output)?;
        }
        Ok(())
    }

    fn lost(&mut self, lost: &[Loss]) -> Result<(), PlayError> {
        for loss in lost {
            (self.show)(Shown::Lost(loss)).map_err(PlayError::Output)?;
        }
        Ok(())
    }

    fn step(&mut self, step: &debugop_replay::Step, state: &State) -> Result<(), PlayError> {
        let Some((_, thread)) = state.thread() else {
            return Ok(());
        };
        let Some(frame) = thread.frames().last() else {
            return Ok(());
        };
        let stack: Vec<Value> = frame
            .stack()
            .map(|value| self.value(state, value))
            .collect();
        let info = self.described.of(frame.code());
        let is_handler = info
            .instruction(step.at)
            .is_some_and(|info| info.is_handler && info.op == Op::PushExcInfo);
        let exception = match stack.last() {
            Some(top @ Value::Exception(_)) if is_handler => Some(top),
            _ => None,
        };
        self.shown.insert(step.frame.0);
        (self.show)(Shown::Step(&Step {
            number: step.number,
            thread: Self::thread(state, step.thread),
            frame: step.frame.0,
            depth: u32::try_from(thread.below())
                .unwrap_or(u32::MAX)
                .saturating_add(u32::try_from(thread.frames().len() - 1).unwrap_or(u32::MAX)),
            code: &info,
            instruction: step.at,
            event: Event::Instruction,
            stack: &stack,
            exception,
        }))
        .map_err(PlayError::Output)
    }

    fn unwound(&mut self, unwound: &Unwound, number: u64, state: &State) -> Result<(), PlayError> {
        if !self.shown.remove(&unwound.frame.0) {
            return Ok(());
        }
        let Some(code) = self.recording.codes().get(unwound.code) else {
            return Ok(());
        };
        let info = self.described.of(code);
        let exception = match unwound.exception {
            Replayed::Null => None,
            value => Some(self.value(state, value)),
        };
        (self.show)(Shown::Step(&Step {
            number,
            thread: Self::thread(state, unwound.thread),
            frame: unwound.frame.0,
            depth: u32::try_from(unwound.depth).unwrap_or(u32::MAX),
            code: &info,
            instruction: unwound.at,
            event: Event::Unwind,
            stack: &[],
            exception: exception.as_ref(),
        }))
        .map_err(PlayError::Output)
    }
}
