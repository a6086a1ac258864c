//! Compares a recording, replayed, with what somebody saw who looked at every slot before every step of the same run
//! ([`debugop_recording::witness`]).

use std::collections::{HashMap, VecDeque};
use std::fmt::Write;
use std::io::{self, BufRead};
use std::sync::Arc;

use debugop_bytecode::{InstrIdx, Op, Version};
use debugop_recording::digest::{self, Digest};
use debugop_recording::file::{Constant, Reader};
use debugop_recording::stream::{BigInt, FrameNumber, Kind};
use debugop_recording::witness::{self, Seen};

use crate::segment::From;
use crate::state::is_immutable;
use crate::{Chunk, Codes, Frame, Machine, State, Value};

/// What the comparison has found.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// Steps that were compared.
    pub steps: u64,
    /// Slots that were compared.
    pub slots: u64,
    /// Slots whose values the recording does not know, and says so.
    pub unknown: u64,
    /// Objects whose contents it does not know, and says so.
    pub bare: u64,
    /// Objects whose contents it is not certain of, and says so.
    pub uncertain: u64,
    /// How many of those are right.
    pub uncertain_right: u64,
    /// Objects that can change whose contents it is certain of.
    pub certain: u64,
    /// Slots and objects that differ.
    pub differences: u64,
    /// The first of them, in words.
    pub told: Vec<String>,
}

/// As many differences are told.
const TOLD: usize = 20;

/// A slot, rebuilt.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rebuilt {
    Null,
    Value(u64),
    Object {
        id: u64,
        kind: Option<Kind>,
        contents: Option<u64>,
        certain: bool,
    },
    Constant(u32, u32),
    Unknown,
}

struct Snapshot {
    number: u64,
    frame: Option<FrameNumber>,
    /// How many frames its thread has.
    depth: u64,
    code: u32,
    at: u32,
    slots: Vec<Rebuilt>,
}

/// What went wrong before anything could be compared.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Replays the whole recording, every slot of every step; returns the number of steps.
///
/// # Errors
/// What cannot be read or replayed.
pub fn replay(recording: &Reader) -> Result<u64, Failure> {
    let mut replay = Replay::new(recording)?;
    let mut steps = 0;
    while replay.advance() {
        steps += 1;
        replay.queues.clear();
    }
    match replay.failure {
        Some(failure) => Err(failure.into()),
        None => Ok(steps),
    }
}

/// Compares the recording with the trace.
///
/// # Errors
/// What cannot be read or replayed.
pub fn compare(recording: &Reader, trace: &mut impl BufRead) -> Result<Comparison, Failure> {
    let mut replay = Replay::new(recording)?;
    let mut found = Comparison::default();
    let mut constants = HashMap::new();
    let mut step = witness::Step::default();
    while has_next(&mut step, trace)? {
        while let Some((step, rebuilt)) = replay.next_of_early(step.thread) {
            found.steps += 1;
            found.compare(&step, &rebuilt, &replay.codes, &mut constants);
        }
        if replay.is_early(&step) {
            replay.early.push(step.clone());
            continue;
        }
        if replay.is_jumped_over(&step) {
            continue;
        }
        let Some(rebuilt) = replay.next_as_told(&step) else {
            found.differences += 1;
            let why = replay.failure.take();
            let why = why.unwrap_or_else(|| "the recording ends".to_owned());
            found.tell(format!(
                "step {} of the trace (code {}, instruction {}): {why}",
                found.steps, step.code, step.at
            ));
            return Ok(found);
        };
        if (rebuilt.code, rebuilt.at) != (step.code, step.at) {
            found.differences += 1;
            let name = |number| replay.name(number);
            found.tell(format!(
                "step {}: {} instruction {} in the recording, {} instruction {} in the trace",
                rebuilt.number,
                name(rebuilt.code),
                rebuilt.at,
                name(step.code),
                step.at
            ));
            return Ok(found);
        }
        found.steps += 1;
        found.compare(&step, &rebuilt, &replay.codes, &mut constants);
    }
    if let Some(failure) = replay.failure.take() {
        found.differences += 1;
        found.tell(failure);
    }
    let late = std::mem::take(&mut replay.late);
    replay.untold.extend(late.into_values().flatten());
    // Each may be one of which nobody was told, or which was not executed, because what was told of the line behind it, or of itself, has raised.
    if replay.untold.len() + replay.early.len() > replay.refusals {
        found.differences += (replay.untold.len() + replay.early.len()) as u64;
        for step in &replay.early {
            found.tell(format!(
                "a SEND of {} that is in the trace only",
                replay.name(step.code)
            ));
        }
        for step in &replay.untold {
            found.tell(format!(
                "step {}: a NOT_TAKEN of {} that is not in the trace",
                step.number,
                replay.name(step.code)
            ));
        }
    }
    Ok(found)
}

/// Reads the next step. A process that was killed may have left half a step at the end.
fn has_next(step: &mut witness::Step, trace: &mut impl BufRead) -> io::Result<bool> {
    match step.read(trace) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read,
    }
}

fn version(major: u32, minor: u32) -> Option<Version> {
    match (major, minor) {
        (3, 11) => Some(Version::V3_11),
        (3, 12) => Some(Version::V3_12),
        (3, 13) => Some(Version::V3_13),
        (3, 14) => Some(Version::V3_14),
        (3, 15) => Some(Version::V3_15),
        _ => None,
    }
}

struct Replay<'a> {
    recording: &'a Reader,
    codes: Arc<Codes>,
    machine: Option<Machine>,
    /// The chunk after that of the machine.
    chunk: usize,
    /// Steps of each thread, by the system's number, that the trace has not come to.
    queues: HashMap<u64, VecDeque<Snapshot>>,
    /// Steps of `NOT_TAKEN`s that the trace has not come to, while it has come to later ones, by thread.
    late: HashMap<u64, Vec<Snapshot>>,
    /// Those of which it never has told: the frame has gone on.
    untold: Vec<Snapshot>,
    /// Frames that something has had go on behind a `NOT_TAKEN`.
    moved: Vec<FrameNumber>,
    /// `SEND`s of the trace that the recording has not come to, while it has come to others.
    early: Vec<witness::Step>,
    /// The trace's last step of each thread: its code and instruction.
    previous: HashMap<u64, (u32, u32)>,
    /// How often the recording says that what is told of an instruction, or of where it leads to, has raised so that no probe told of it.
    refusals: usize,
    failure: Option<String>,
}

impl<'a> Replay<'a> {
    fn new(recording: &'a Reader) -> Result<Self, Failure> {
        let [major, minor, _] = recording.header().interpreter.version;
        let version = version(major, minor).ok_or("recorded by an unknown interpreter")?;
        let mut codes = Codes::default();
        for code in recording.codes()? {
            codes.add(code, version)?;
        }
        Ok(Self {
            recording,
            codes: Arc::new(codes),
            machine: None,
            chunk: 0,
            queues: HashMap::new(),
            late: HashMap::new(),
            untold: Vec::new(),
            moved: Vec::new(),
            early: Vec::new(),
            previous: HashMap::new(),
            refusals: 0,
            failure: None,
        })
    }

    fn name(&self, code: u32) -> String {
        let code = self.codes.get(code);
        code.map_or_else(String::new, |code| text(&code.data().qualname))
    }

    /// The next step of a thread.
    fn next_of(&mut self, thread: u64) -> Option<Snapshot> {
        loop {
            if let Some(step) = self.queues.get_mut(&thread).and_then(VecDeque::pop_front) {
                return Some(step);
            }
            if !self.advance() {
                return None;
            }
        }
    }

    /// The step of the recording that a step of the trace is to be compared with: the thread's next one.
    ///
    /// No probe stands before a `NOT_TAKEN` (3.14 and later): the one behind it tells of both. If a line begins there, the program's trace function is told of
    /// that before the probe fires, and whoever looks sees the steps of the trace function first. The recording has the `NOT_TAKEN` where it is executed. If the trace
    /// function raises, the probe does not fire.
    fn next_as_told(&mut self, step: &witness::Step) -> Option<Snapshot> {
        let is_it = |one: &Snapshot| (one.code, one.at) == (step.code, step.at);
        if self.is_late(step) {
            return self.late.get_mut(&step.thread)?.pop();
        }
        let next = self.next_of(step.thread)?;
        if let Some(late) = self.late.get_mut(&step.thread) {
            let has_gone_on = |one: &mut Snapshot| one.depth >= next.depth;
            self.untold.extend(late.extract_if(.., has_gone_on));
        }
        if is_it(&next) || !self.is_not_taken(&next) {
            return Some(next);
        }
        // What comes then is none of that frame's.
        let behind = self.next_of(step.thread)?;
        let late = self.late.entry(step.thread).or_default();
        if behind.code != next.code {
            late.push(next);
            return Some(behind);
        }
        // What is told of the line behind it is not recorded, and has had the frame go on elsewhere.
        if is_it(&behind) {
            self.untold.push(next);
            return Some(behind);
        }
        Some(next)
    }

    /// Whether the step is a `NOT_TAKEN` that the recording has had already.
    fn is_late(&self, step: &witness::Step) -> bool {
        let last = self.late.get(&step.thread).and_then(|late| late.last());
        last.is_some_and(|one| (one.code, one.at) == (step.code, step.at))
    }

    /// Whether the trace tells of a step that was not executed.
    ///
    /// A frame that is made to go on at the line behind a `NOT_TAKEN` comes to the probe that tells of both.
    fn is_jumped_over(&mut self, step: &witness::Step) -> bool {
        if self.op(step.code, step.at) != Some(Op::NotTaken) || self.is_late(step) {
            return false;
        }
        let behind = (step.code, step.at + 1);
        let Some(next) = self.peek(step.thread) else {
            return false;
        };
        let frame = next.frame.filter(|_| (next.code, next.at) == behind);
        let moved = frame.and_then(|frame| self.moved.iter().position(|&one| one == frame));
        moved.map(|at| self.moved.swap_remove(at)).is_some()
    }

    /// Whether the trace tells of a step before the recording does.
    ///
    /// Up to 3.12 no probe may stand before a `SEND` that a loop goes back to: the one before the jump tells of both. What is told of the `SEND` runs between the two,
    /// and whoever looks sees its steps behind those of both. The recording has the `SEND` where it is executed.
    fn is_early(&mut self, step: &witness::Step) -> bool {
        let previous = self
            .previous
            .insert(step.thread, (step.code, step.at))
            .filter(|previous| previous.0 == step.code);
        let comes_from_jump = previous.is_some_and(|(code, at)| {
            self.op(code, at) == Some(Op::JumpBackwardNoInterrupt)
                && self.op(code, step.at) == Some(Op::Send)
        });
        comes_from_jump
            && self
                .peek(step.thread)
                .is_some_and(|next| next.code != step.code)
    }

    /// The next step of a thread, if the trace has told of it early.
    fn next_of_early(&mut self, thread: u64) -> Option<(witness::Step, Snapshot)> {
        if self.early.is_empty() {
            return None;
        }
        let next = self.peek(thread)?;
        let place = (thread, next.code, next.at);
        let is_it = |one: &witness::Step| (one.thread, one.code, one.at) == place;
        let found = self.early.iter().rposition(is_it)?;
        Some((self.early.remove(found), self.next_of(thread)?))
    }

    fn peek(&mut self, thread: u64) -> Option<&Snapshot> {
        let next = self.next_of(thread)?;
        let queue = self.queues.entry(thread).or_default();
        queue.push_front(next);
        queue.front()
    }

    fn op(&self, code: u32, at: u32) -> Option<Op> {
        let analysis = self.codes.get(code)?.analysis();
        let instruction = analysis.instructions().get(at as usize)?;
        Some(instruction.opcode.info(analysis.version())?.op)
    }

    fn is_not_taken(&self, step: &Snapshot) -> bool {
        self.op(step.code, step.at) == Some(Op::NotTaken)
    }

    fn advance(&mut self) -> bool {
        loop {
            let number = match &mut self.machine {
                None => 0,
                Some(machine) => match machine.next() {
                    Ok(Some(step)) => {
                        let native = machine
                            .state()
                            .thread()
                            .map_or(0, |thread| thread.1.native());
                        let snapshot = snapshot(machine.state(), step.number, step.code, step.at.0);
                        self.queues.entry(native).or_default().push_back(snapshot);
                        return true;
                    }
                    Ok(None) => machine.position(),
                    Err(error) => {
                        self.failure = Some(error.to_string());
                        return false;
                    }
                },
            };
            match self.enter(number) {
                Ok(true) => {}
                Ok(false) => return false,
                Err(error) => {
                    self.failure = Some(error.to_string());
                    return false;
                }
            }
        }
    }

    fn enter(&mut self, first: u64) -> Result<bool, Failure> {
        if self.chunk >= self.recording.stream_len() {
            return Ok(false);
        }
        let stored = self.recording.stream(self.chunk)?;
        let mut chunk = Chunk::read(&self.codes, self.chunk as u64, &stored)?;
        if self.chunk + 1 < self.recording.stream_len() {
            let next = self.recording.stream(self.chunk + 1)?;
            chunk = chunk.before(&self.codes, &next)?;
        }
        self.refusals += chunk.refusals(&self.codes);
        self.chunk += 1;
        match &mut self.machine {
            Some(machine) => machine.enter(Arc::new(chunk), first)?,
            None => {
                let machine = Machine::new(Arc::clone(&self.codes), Arc::new(chunk), first)?;
                self.machine = Some(machine);
            }
        }
        // What is assigned to `frame.f_lineno` begins a chunk.
        let machine = self.machine.as_ref();
        let moved = machine.into_iter().flat_map(Machine::frames);
        let moved = moved
            .filter(|frame| follows_not_taken(frame))
            .map(Frame::number);
        self.moved = moved.collect();
        Ok(true)
    }
}

/// Whether the frame is about to execute what stands behind a `NOT_TAKEN`, and the probe there has not fired.
fn follows_not_taken(frame: &Frame) -> bool {
    let From::Before(at) = frame.from else {
        return false;
    };
    let analysis = frame.code().analysis();
    let before =
        at.0.checked_sub(1)
            .map(|before| analysis.get(InstrIdx(before)).opcode);
    let info = before.and_then(|opcode| opcode.info(analysis.version()));
    info.is_some_and(|info| info.op == Op::NotTaken)
}

fn snapshot(state: &State, number: u64, code: u32, at: u32) -> Snapshot {
    let slots = state.frame().map_or_else(Vec::new, |frame| {
        frame
            .locals()
            .chain(frame.stack())
            .map(|value| rebuild(state, value))
            .collect()
    });
    Snapshot {
        number,
        frame: state.frame().map(Frame::number),
        depth: state.thread().map_or(0, |(_, thread)| {
            thread.below() + thread.frames().len() as u64
        }),
        code,
        at,
        slots,
    }
}

fn rebuild(state: &State, value: Value) -> Rebuilt {
    use debugop_recording::stream;
    let chunk = state.chunk();
    let by_value = match value {
        Value::Null => return Rebuilt::Null,
        Value::Unknown(_) | Value::Pending | Value::Redacted => return Rebuilt::Unknown,
        Value::Constant(code, index) => return Rebuilt::Constant(code, index),
        Value::Object(id) => {
            let Some(object) = state.object(id) else {
                return Rebuilt::Object {
                    id: id.0,
                    kind: None,
                    contents: None,
                    certain: false,
                };
            };
            let kind = object.class.kind;
            let contents = match object.cell {
                Some(value) => rebuild_in(state, Digest::new(kind), value).map(Digest::value),
                None => object.contents.and_then(|contents| {
                    digest::of_contents(kind, contents, chunk.big_ints(), chunk.complexes())
                }),
            };
            return Rebuilt::Object {
                id: id.0,
                kind: Some(kind),
                contents,
                certain: object.certain,
            };
        }
        Value::None => stream::Value::None,
        Value::Bool(bool) => stream::Value::Bool(bool),
        Value::Ellipsis => stream::Value::Ellipsis,
        Value::NotImplemented => stream::Value::NotImplemented,
        Value::Int(int) => stream::Value::Int(int),
        Value::BigInt(index) => stream::Value::BigInt(index),
        Value::Float(bits) => stream::Value::Float(bits),
        Value::Complex(index) => stream::Value::Complex(index),
        Value::Tagged(int) => stream::Value::Tagged(int),
    };
    let digest = Seen::start().of(by_value, chunk.big_ints(), chunk.complexes());
    digest.map_or(Rebuilt::Unknown, |digest| Rebuilt::Value(digest.value()))
}

/// What a cell holds, in a digest; `None` where that is not known by value or identity.
fn rebuild_in(state: &State, start: Digest, value: Value) -> Option<Digest> {
    use debugop_recording::stream;
    let chunk = state.chunk();
    let value = match value {
        Value::Null => stream::Value::Null,
        Value::None => stream::Value::None,
        Value::Bool(bool) => stream::Value::Bool(bool),
        Value::Ellipsis => stream::Value::Ellipsis,
        Value::NotImplemented => stream::Value::NotImplemented,
        Value::Int(int) => stream::Value::Int(int),
        Value::BigInt(index) => stream::Value::BigInt(index),
        Value::Float(bits) => stream::Value::Float(bits),
        Value::Complex(index) => stream::Value::Complex(index),
        Value::Object(id) => stream::Value::Object(id),
        _ => return None,
    };
    start.of(value, chunk.big_ints(), chunk.complexes())
}

impl Comparison {
    fn tell(&mut self, what: String) {
        if self.told.len() < TOLD {
            self.told.push(what);
        }
    }

    fn compare(
        &mut self,
        step: &witness::Step,
        rebuilt: &Snapshot,
        codes: &Codes,
        constants: &mut HashMap<(u32, u32), u64>,
    ) {
        let code = codes.get(step.code);
        let count = step.slots.len().max(rebuilt.slots.len());
        for slot in 0..count {
            let seen = step.slots.get(slot).copied();
            let made = rebuilt.slots.get(slot).copied();
            self.slots += 1;
            let same = match (seen, made) {
                (Some(seen), Some(made)) => self.same(seen, made, codes, constants),
                _ => false,
            };
            if same {
                continue;
            }
            self.differences += 1;
            let mut text = format!("step {} ", rebuilt.number);
            if let Some(code) = code {
                let instruction = code.analysis().get(InstrIdx(step.at));
                let data = code.data();
                let name = instruction.opcode.name(code.analysis().version());
                let qualname = self::text(&data.qualname);
                let _ = write!(text, "{qualname} {} {name}: ", instruction.offset);
                let _ = match data.locals.get(slot) {
                    Some(local) => write!(text, "local {}", self::text(&local.name)),
                    None => write!(text, "stack {}", slot - data.locals.len()),
                };
            }
            let _ = write!(text, ": seen {seen:?}, rebuilt {made:?}");
            self.tell(text);
        }
    }

    fn same(
        &mut self,
        seen: Seen,
        made: Rebuilt,
        codes: &Codes,
        constants: &mut HashMap<(u32, u32), u64>,
    ) -> bool {
        match (seen, made) {
            (_, Rebuilt::Unknown) => {
                self.unknown += 1;
                true
            }
            (Seen::Null, Rebuilt::Null) => true,
            (Seen::Value(seen), Rebuilt::Value(made)) => seen == made,
            (
                Seen::Object { id, kind, contents },
                Rebuilt::Object {
                    id: made,
                    kind: made_kind,
                    contents: made_contents,
                    certain,
                },
            ) => {
                if id != made || made_kind.is_some_and(|made| made as u8 != kind) {
                    return false;
                }
                match made_contents {
                    None => {
                        self.bare += 1;
                        true
                    }
                    Some(made) if certain => {
                        self.certain +=
                            u64::from(made_kind.is_some_and(|kind| !is_immutable(kind)));
                        made == contents
                    }
                    Some(made) => {
                        self.uncertain += 1;
                        self.uncertain_right += u64::from(made == contents);
                        true
                    }
                }
            }
            (seen, Rebuilt::Constant(code, index)) => {
                let Some(code_object) = codes.get(code) else {
                    return false;
                };
                let Some(constant) = code_object.data().constants.get(index as usize) else {
                    return false;
                };
                match seen {
                    Seen::Value(seen) => constant_value(constant) == Some(seen),
                    Seen::Object { id, kind, contents } => {
                        let known = constants.entry((code, index)).or_insert(id);
                        let object = constant_object(constant);
                        let digest = object.and_then(|(_, digest)| digest);
                        // All identities are new after the program has taken the allocator's hook out for a while, and only then.
                        let is_it = id == *known || id > *known && digest.is_some();
                        *known = id.max(*known);
                        is_it
                            && object.is_none_or(|(of, _)| of as u8 == kind)
                            && digest.is_none_or(|digest| digest == contents)
                    }
                    _ => false,
                }
            }
            _ => false,
        }
    }
}

fn text(wtf8: &[u8]) -> String {
    String::from_utf8_lossy(wtf8).into_owned()
}

fn constant_value(constant: &Constant) -> Option<u64> {
    use debugop_recording::stream;
    let start = Seen::start();
    let simple = |value| start.of(value, &[], &[]);
    let digest = match constant {
        Constant::None => simple(stream::Value::None),
        Constant::Bool(bool) => simple(stream::Value::Bool(*bool)),
        Constant::Ellipsis => simple(stream::Value::Ellipsis),
        Constant::Int(int) => simple(stream::Value::Int(*int)),
        Constant::Float(bits) => simple(stream::Value::Float(*bits)),
        Constant::Complex(real, imaginary) => Some(start.complex(*real, *imaginary)),
        Constant::BigInt(negative, magnitude) => {
            let made = BigInt::Exact {
                negative: *negative,
                magnitude: magnitude.clone().into(),
            };
            start.of(stream::Value::BigInt(0), &[made], &[])
        }
        _ => None,
    };
    digest.map(Digest::value)
}

/// Kind and digest of a constant that has an identity; no digest where its items are objects.
fn constant_object(constant: &Constant) -> Option<(Kind, Option<u64>)> {
    /// As many code points and bytes are recorded by default.
    const HEAD: usize = 256;
    Some(match constant {
        Constant::Str(text) => {
            let mut starts = (0..text.len()).filter(|&at| text[at] & 0xc0 != 0x80);
            let length = starts.clone().count() as u64;
            let end = starts.nth(HEAD).unwrap_or(text.len());
            let digest = Digest::new(Kind::Str).bytes(&text[..end]).and(length);
            (Kind::Str, Some(digest.value()))
        }
        Constant::Bytes(bytes) => {
            let head = &bytes[..bytes.len().min(HEAD)];
            let digest = Digest::new(Kind::Bytes).bytes(head).and(bytes.len() as u64);
            (Kind::Bytes, Some(digest.value()))
        }
        Constant::Tuple(_) => (Kind::Tuple, None),
        Constant::FrozenSet(_) => (Kind::FrozenSet, None),
        Constant::Slice(_) => (Kind::Slice, None),
        Constant::Code(..) => (Kind::Code, None),
        _ => return None,
    })
}
