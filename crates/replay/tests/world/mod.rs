//! A world in which functions run by the meaning of their instructions, with chance in the place of objects: it keeps every step in
//! full and writes, site by site as the plans say, the recording from which replay has to rebuild the same.

mod codes;
mod telling;

use std::sync::Arc;

use debugop_bytecode::plan::numeric::Numeric;
use debugop_bytecode::{Class, Common, Flow, InstrIdx, Op, Output, Place, Version, nature};
use debugop_recording::stream::{
    Caller, FrameNumber, Numbers, Prefix, Thread, ThreadNumber, Transcript, Value,
};
use debugop_replay::{Code, Codes};

pub(crate) use codes::codes;
#[allow(
    unused_imports,
    reason = "only some of the tests of this world ask for a version"
)]
pub(crate) use codes::codes_of;
use telling::keyframe;

/// A frame as it is seen at a step: number, code, instruction, localsplus, value stack.
pub(crate) type Seen = (u64, u32, u32, Vec<Value>, Vec<Value>);

/// Chance, the same for the same seed.
#[derive(Clone)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.next().is_multiple_of(many)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

struct Activation {
    number: u64,
    code: u32,
    object: Arc<Code>,
    at: InstrIdx,
    /// In the middle of `at`.
    executing: bool,
    /// What is pending there has been told.
    told: bool,
    /// Number of chunks before the one in which it was suspended.
    chunk: usize,
    locals: Vec<Value>,
    stack: Vec<Value>,
}

/// What an instruction comes to.
enum Outcome {
    Next,
    Jump,
    Raise,
    Call,
    Leave,
}

/// A thread that does not run.
#[derive(Default)]
struct Idle {
    number: u32,
    frames: Vec<Activation>,
    popped: u32,
    /// Number of chunks before the one in which it was introduced.
    introduced: Option<usize>,
}

pub(crate) struct World {
    thread: u32,
    introduced: Option<usize>,
    others: Vec<Idle>,
    codes: Arc<Codes>,
    chance: Chance,
    frames: Vec<Activation>,
    suspended: Vec<Activation>,
    next_frame: u64,
    next_value: i64,
    /// How long a chunk is, in records.
    chunk_records: u64,
    next_chunk: u64,
    transcript: Transcript,
    records: u64,
    prefixes: Vec<Prefix>,
    popped: u32,
    /// Of each code object, what is left of its plan while numbers are calculated with.
    numeric: Vec<Numeric>,
    pub(crate) chunks: Vec<Vec<u8>>,
    /// Of each step the thread and its frames.
    pub(crate) steps: Vec<(u32, Vec<Seen>)>,
    /// Whether steps are kept.
    keep: bool,
    pub(crate) count: u64,
    /// One in so many instructions that can raise does.
    pub(crate) raises: u64,
    /// One in so many instructions that can call does.
    pub(crate) calls: u64,
    /// One in so many instructions that run anything lets another thread run.
    pub(crate) switches: u64,
}

impl World {
    pub(crate) fn new(codes: Arc<Codes>, seed: u64, chunk_records: u64, keep: bool) -> Self {
        let transcript = Transcript::new(
            codes.captures(),
            &keyframe(0, 0, vec![(0, Vec::new())]),
            Numbers::default(),
        );
        let numeric = codes.iter().map(|code| {
            let version = code.data().plan_version;
            Numeric::of_version(code.analysis(), &code.locals(), code.plan(), &[], version)
        });
        World {
            numeric: numeric.collect(),
            thread: 0,
            introduced: Some(0),
            others: (1..3)
                .map(|number| Idle {
                    number,
                    ..Idle::default()
                })
                .collect(),
            codes,
            chance: Chance(seed | 1),
            frames: Vec::new(),
            suspended: Vec::new(),
            next_frame: 0,
            next_value: 0,
            chunk_records,
            next_chunk: chunk_records,
            transcript,
            records: 0,
            prefixes: Vec::new(),
            popped: 0,
            chunks: Vec::new(),
            steps: Vec::new(),
            keep,
            count: 0,
            raises: 40,
            calls: 6,
            switches: 20,
        }
    }

    /// Runs so many steps, then ends.
    pub(crate) fn run(mut self, steps: u64) -> Self {
        while self.count < steps {
            if self.frames.is_empty() {
                self.call(0);
            }
            self.instruction();
        }
        // What no record follows would not be known.
        let records = self.records;
        while self.records == records {
            if self.frames.is_empty() {
                self.call(0);
            }
            self.instruction();
        }
        // What has ended since the last site. Of the other threads the last steps are not known. Nothing may follow it in its chunk.
        if self.popped > 0 {
            self.next_chunk = u64::MAX;
            self.record(None, Vec::new());
        }
        let bytes = self.transcript.bytes().to_vec();
        self.chunks.push(bytes);
        self
    }

    fn value(&mut self) -> Value {
        self.next_value += 1;
        Value::Int(self.next_value)
    }

    fn call(&mut self, code: u32) {
        let object = Arc::clone(self.codes.get(code).expect("there is one"));
        let Some(at) = object.analysis().first_resume() else {
            return;
        };
        self.tell();
        let caller = match self.frames.last() {
            Some(caller) => Caller::Unit(caller.unit()),
            None => Caller::Foreign(None),
        };
        let slots = object.locals().slots;
        let locals = (0..slots).map(|_| self.value()).collect();
        let depth = object.analysis().depth(at).unwrap_or(0);
        let stack = (0..depth).map(|_| self.value()).collect();
        let number = self.next_frame;
        self.next_frame += 1;
        self.frames.push(Activation {
            number,
            code,
            object,
            at,
            executing: false,
            told: false,
            chunk: 0,
            locals,
            stack,
        });
        self.before_push();
        self.prefixes
            .push(Prefix::Enter(FrameNumber(number), caller));
    }

    /// Another thread runs.
    fn switch(&mut self) {
        assert!(self.prefixes.is_empty());
        let Some(index) = self.others.len().checked_sub(1) else {
            return;
        };
        let index = self.chance.below(index + 1);
        let other = &mut self.others[index];
        std::mem::swap(&mut self.thread, &mut other.number);
        std::mem::swap(&mut self.frames, &mut other.frames);
        std::mem::swap(&mut self.popped, &mut other.popped);
        std::mem::swap(&mut self.introduced, &mut other.introduced);
        if self.frames.is_empty() {
            self.call(0);
        }
    }

    fn introduce(&mut self) {
        if self.introduced != Some(self.chunks.len()) {
            self.introduced = Some(self.chunks.len());
            let thread = Thread {
                number: ThreadNumber(self.thread),
                native: u64::from(self.thread) + 1,
                name: Box::default(),
                below: 0,
                frames: Vec::new(),
            };
            self.prefixes.insert(0, Prefix::Thread(Box::new(thread)));
        }
    }

    fn before_push(&mut self) {
        if self.popped > 0 {
            self.prefixes.push(Prefix::Pop(self.popped));
            self.popped = 0;
        }
    }

    fn resume(&mut self, index: usize, throw: bool) {
        self.tell();
        let caller = match self.frames.last() {
            Some(caller) => Caller::Unit(caller.unit()),
            None => Caller::Foreign(None),
        };
        let mut frame = self.suspended.swap_remove(index);
        self.before_push();
        if frame.chunk == self.chunks.len() {
            self.prefixes
                .push(Prefix::Reenter(FrameNumber(frame.number), caller));
        } else {
            // The chunk does not know it.
            if let Caller::Unit(unit) = caller {
                self.prefixes.push(Prefix::Inside(unit));
            }
            self.prefixes.push(Prefix::Attach(Box::new(frame.frame())));
        }
        frame.executing = false;
        let yielded = frame.at;
        self.frames.push(frame);
        if throw {
            // As `gen_send_ex` has it (`Objects/genobject.c`).
            let frame = self.frames.last_mut().expect("pushed");
            if let Some(top) = frame.stack.last_mut() {
                *top = Value::None;
            }
            self.raise();
            return;
        }
        let sent = self.value();
        let frame = self.frames.last_mut().expect("pushed");
        frame.stack.pop();
        frame.stack.push(sent);
        self.arrive(InstrIdx(yielded.0 + 1), true);
    }

    /// The instruction of the top frame that comes next is executed.
    fn instruction(&mut self) {
        let frame = self.frames.last_mut().expect("one runs");
        let at = frame.at;
        let version = frame.object.version();
        let instruction = *frame.object.analysis().get(at);
        let is_new = !frame.executing;
        let depth = frame.object.analysis().depth(at);
        assert_eq!(depth, Some(frame.stack.len() as u32), "{instruction:?}");
        frame.executing = true;
        if frame.object.is_step(at) && is_new {
            self.count += 1;
            if self.keep {
                let seen = self.frames.iter().map(Activation::seen).collect();
                self.steps.push((self.thread, seen));
            }
        }
        let nature = nature(version, instruction.opcode, instruction.arg).expect("defined");
        let calculated = self.calculated();
        if calculated == Some(None) {
            return self.raise();
        }
        if is_new
            && calculated.is_none()
            && nature.class == Class::Opaque
            && self.chance.one_in(self.switches)
        {
            self.switch();
            return;
        }
        match self.outcome(version, instruction.opcode, instruction.arg) {
            Outcome::Raise => self.raise(),
            Outcome::Leave => self.leave(),
            Outcome::Call => {
                let suspended = self.suspended.len();
                if suspended > 0 && self.chance.one_in(2) {
                    let index = self.chance.below(suspended);
                    let throw = self.chance.one_in(5);
                    self.resume(index, throw);
                } else {
                    let code = self.chance.below(self.codes.iter().count()) as u32;
                    let before = self.frames.len();
                    self.call(code);
                    if self.frames.len() == before {
                        self.finish(false);
                    }
                }
            }
            Outcome::Next => self.finish(false),
            Outcome::Jump => self.finish(true),
        }
    }

    fn outcome(&mut self, version: Version, opcode: debugop_bytecode::Opcode, arg: u32) -> Outcome {
        let info = opcode.info(version).expect("defined");
        let nature = nature(version, opcode, arg).expect("defined");
        let frame = self.frames.last().expect("one runs");
        let unbound = || frame.locals.get(arg as usize) == Some(&Value::Null);
        match info.flow {
            Flow::Return | Flow::Yield => return Outcome::Leave,
            Flow::Raise => return Outcome::Raise,
            _ => {}
        }
        let top = frame.stack.last().copied();
        let told = match (nature.jumps_if, top) {
            (Some(jumps_if), Some(Value::Bool(top))) => Some(jumps_if == top),
            _ => None,
        };
        let bound = matches!(info.op, Op::LoadFast | Op::DeleteFast);
        if bound && nature.class == Class::Raises && unbound() {
            return Outcome::Raise;
        }
        let class = if told.is_some() || bound {
            Class::Quiet
        } else {
            nature.class
        };
        if class >= Class::Raises && self.chance.one_in(self.raises) {
            return Outcome::Raise;
        }
        let calculates = self.calculated().is_some();
        if class == Class::Opaque
            && !calculates
            && self.frames.len() < 12
            && self.chance.one_in(self.calls)
        {
            return Outcome::Call;
        }
        match info.flow {
            Flow::Jump => Outcome::Jump,
            Flow::Conditional => match told {
                Some(true) => Outcome::Jump,
                Some(false) => Outcome::Next,
                // Loops go round a few times.
                None if self.chance.one_in(4) => Outcome::Jump,
                None => Outcome::Next,
            },
            _ => Outcome::Next,
        }
    }

    /// The instruction has done what it does.
    fn finish(&mut self, jump: bool) {
        let made: Vec<Value> = (0..300).map(|_| self.value()).collect();
        let coin = self.chance.one_in(2);
        let calculated = self.calculated().flatten();
        let frame = self.frames.last_mut().expect("one runs");
        let version = frame.object.version();
        let at = frame.at;
        let instruction = *frame.object.analysis().get(at);
        let (opcode, arg) = (instruction.opcode, instruction.arg);
        // Whatever the plan does not know may be anything.
        let effect = frame
            .object
            .plan()
            .effect(version, opcode, arg, jump)
            .expect("defined");
        let below = |below: u32| frame.stack[frame.stack.len() - below as usize];
        let mut made = made.into_iter();
        let mut value = |output: Output| match output {
            Output::Below(at) => below(at),
            Output::Local(local) => frame.locals[local as usize],
            Output::Constant(index) => Value::Float(index.into()),
            Output::SmallInt(int) => Value::Int(int.into()),
            Output::Common(Common::None) => Value::None,
            Output::Common(Common::Bool(bool)) => Value::Bool(bool),
            Output::Common(Common::MinusOne) => Value::Int(-1),
            Output::Null => Value::Null,
            Output::Next(at) => match below(at) {
                Value::Tagged(index) => Value::Tagged(index + 1),
                other => other,
            },
            Output::Bool => Value::Bool(coin),
            Output::Produced => calculated.unwrap_or_else(|| made.next().expect("enough")),
        };
        let pushes: Vec<Value> = effect.pushes.iter().map(|&output| value(output)).collect();
        let writes: Vec<(u32, Value)> = effect
            .writes
            .iter()
            .map(|&(local, output)| (local, value(output)))
            .collect();
        let left = frame.stack.len() - effect.pops as usize;
        frame.stack.truncate(left);
        for (local, value) in writes {
            frame.locals[local as usize] = value;
        }
        if effect.swap > 1 {
            let depth = frame.stack.len();
            frame.stack.swap(depth - 1, depth - effect.swap as usize);
        }
        frame.stack.extend(pushes);
        let to = match jump {
            true => frame.object.analysis().target(at).expect("a jump"),
            false => InstrIdx(at.0 + 1),
        };
        self.arrive(to, !jump);
    }

    /// The top frame comes to an instruction; sites on the way fire.
    fn arrive(&mut self, to: InstrIdx, fell: bool) {
        let frame = self.frames.last_mut().expect("one runs");
        frame.at = to;
        frame.executing = false;
        frame.told = false;
        let plan = frame.object.plan();
        let after = fell
            .then(|| plan.at(Place::After(InstrIdx(to.0 - 1))))
            .flatten();
        let before = plan.at(Place::Before(to));
        for site in [after, before].into_iter().flatten() {
            self.fire(site, None);
        }
    }

    /// What the top frame's instruction calculates, if that is something with numbers; `Some(None)` if it raises.
    fn calculated(&self) -> Option<Option<Value>> {
        let frame = self.frames.last().expect("one runs");
        let version = frame.object.version();
        let instruction = frame.object.analysis().get(frame.at);
        let op = instruction.opcode.info(version).expect("defined").op;
        let int = |below: usize| match frame.stack[frame.stack.len() - below] {
            Value::Int(int) => Some(i128::from(int)),
            _ => None,
        };
        let found = match op {
            Op::UnaryNegative => Some(-int(1)?),
            Op::BinaryOp => {
                let (one, other) = (int(2)?, int(1)?);
                let symbol = version.binary_ops()[instruction.arg as usize];
                match symbol.trim_end_matches('=') {
                    "+" => Some(one + other),
                    "-" => Some(one - other),
                    "*" => one.checked_mul(other),
                    "//" | "%" if other == 0 => None,
                    "//" => Some((one - (one % other + other) % other) / other),
                    "%" => Some((one % other + other) % other),
                    "&" => Some(one & other),
                    "|" => Some(one | other),
                    "^" => Some(one ^ other),
                    ">>" => u32::try_from(other).ok().map(|by| one >> by.min(100)),
                    "/" => None,
                    _ => return None,
                }
            }
            _ => return None,
        };
        // What is larger than the world's values is not made.
        let found = found.and_then(|found| i64::try_from(found).ok());
        Some(found.map(Value::Int))
    }

    fn leave(&mut self) {
        let mut frame = self.frames.pop().expect("one runs");
        frame.chunk = self.chunks.len();
        self.popped += 1;
        let version = frame.object.version();
        let info = frame.object.analysis().get(frame.at).opcode.info(version);
        let yields = info.is_some_and(|info| info.flow == Flow::Yield);
        if yields && self.suspended.len() < 5 {
            self.suspended.push(frame);
        }
        if !self.frames.is_empty() {
            self.finish_call();
        }
    }

    /// The instruction that called is over.
    fn finish_call(&mut self) {
        let frame = self.frames.last().expect("it called");
        let version = frame.object.version();
        let info = frame.object.analysis().get(frame.at).opcode.info(version);
        let conditional = info.is_some_and(|info| info.flow == Flow::Conditional);
        let jump = match info.map(|info| info.flow) {
            Some(Flow::Jump) => true,
            _ => conditional && self.chance.one_in(2),
        };
        self.finish(jump);
    }

    /// The instruction of the top frame raises.
    fn raise(&mut self) {
        self.tell();
        let exception = self.value();
        let frame = self.frames.last_mut().expect("one runs");
        let (at, unit) = (frame.at, frame.unit());
        let entry = frame.object.analysis().exception_entry(at).copied();
        if let Some(entry) = entry {
            frame.stack.truncate(entry.depth as usize);
            if entry.lasti {
                frame.stack.push(match frame.object.version() {
                    Version::V3_14 | Version::V3_15 => Value::Tagged(unit.into()),
                    _ => Value::Int(unit.into()),
                });
            }
            frame.stack.push(exception);
            let handler = frame.object.analysis().at_start(entry.target);
            let handler = handler.expect("an instruction");
            frame.at = handler;
            frame.executing = false;
            frame.told = false;
            let site = frame.object.plan().at(Place::Before(handler));
            self.fire(site.expect("handlers have sites"), Some(unit));
            return;
        }
        frame.stack = vec![Value::Int(unit.into()), exception];
        let unwind = frame.object.plan().sites.len() as u32 - 1;
        self.fire(unwind, Some(unit));
        self.frames.pop();
        self.popped += 1;
        if self.frames.is_empty() {
            return;
        }
        if self.chance.one_in(3) {
            self.finish_call();
        } else {
            self.raise();
        }
    }
}

impl Activation {
    fn unit(&self) -> u32 {
        self.object.analysis().get(self.at).offset / 2
    }

    fn seen(&self) -> Seen {
        let (locals, stack) = (self.locals.clone(), self.stack.clone());
        (self.number, self.code, self.at.0, locals, stack)
    }
}
