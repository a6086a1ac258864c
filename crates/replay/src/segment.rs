//! The one way from where a frame is to what it does next, compiled.

use std::fmt;

use debugop_bytecode::plan::pending_before;
use debugop_bytecode::{Class, Flow, InstrIdx, Op as Name, Output, Place, Version, effect, nature};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::code::Code;
use crate::index::of_name;

/// Where a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum From {
    /// Before the `RESUME` with which it starts.
    Start,
    /// Just behind a site: index in the plan.
    Site(u32),
    /// Where this site fires, which is just happening: index in the plan.
    Fired(u32),
    /// About to execute this instruction.
    At(InstrIdx),
    /// About to execute this instruction; the site before it has not fired.
    Before(InstrIdx),
    /// In the middle of this instruction.
    In(InstrIdx),
    /// In the middle of this instruction, with everything as it was before it, and known.
    Pending(InstrIdx),
}

/// What a frame does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum To {
    /// A site fires: index in the plan.
    Site(u32),
    /// It is in the middle of this instruction.
    In(InstrIdx),
    /// It is in the middle of this instruction, and the record tells what is pending there.
    Pending(InstrIdx),
    /// It is about to execute this instruction; sites before it have fired.
    At(InstrIdx),
    /// It is about to execute this instruction; the site before it has not fired.
    Before(InstrIdx),
    /// It ends or is suspended.
    Exit,
}

impl fmt::Display for From {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            From::Start => f.write_str("its start"),
            From::Site(site) | From::Fired(site) => write!(f, "site {site}"),
            From::At(at) | From::Before(at) => write!(f, "before instruction {}", at.0),
            From::In(at) | From::Pending(at) => write!(f, "instruction {}", at.0),
        }
    }
}

impl fmt::Display for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            To::Site(site) => write!(f, "site {site}"),
            To::In(at) | To::Pending(at) => write!(f, "instruction {}", at.0),
            To::At(at) | To::Before(at) => write!(f, "before instruction {}", at.0),
            To::Exit => f.write_str("an exit"),
        }
    }
}

/// What is put into a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// What is in another slot.
    Slot(u32),
    /// The tagged index in another slot plus one, or its `NULL`.
    Next(u32),
    /// A constant of the code object.
    Constant(u32),
    /// An `int`.
    Int(u32),
    /// Nothing.
    Null,
    /// A bool.
    Bool(bool),
    /// A value of the record with which the way ends.
    Capture(u32),
    /// What only a later record will tell.
    Pending,
}

/// One change of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// A slot gets a value.
    Set(u32, Source),
    /// Two slots are exchanged.
    Swap(u32, u32),
    /// The cell in the slot gets a value (`STORE_DEREF`).
    SetCell(u32, Source),
    /// If there is nothing in this slot and a bound method in the next one, they get its function and its `self` (3.11's `PRECALL`).
    Unbind(u32),
}

/// A step of a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentStep {
    /// The instruction.
    pub at: InstrIdx,
    /// It is done when the operations up to this one are.
    pub end: u32,
}

/// A compiled way.
#[derive(Debug, Default)]
pub struct Segment {
    /// What is done, in this order.
    pub ops: Box<[Op]>,
    /// So many operations come before the first step.
    pub begin: u32,
    /// The steps. What comes after the last one's end happens with the last record's arrival.
    pub steps: Box<[SegmentStep]>,
    /// The last instruction executed, step or not.
    pub last: Option<InstrIdx>,
    /// Where the site stands with which it ends: before this instruction.
    pub next: Option<InstrIdx>,
    /// How many of its steps there are through the one that changes objects in slots, if one does.
    pub touching: Option<u32>,
    /// Whether an instruction may have run code that changes objects.
    pub opaque: bool,
    /// How many of its steps there are through the last one that may, before the record that ends the way looks at objects.
    pub opaque_end: u32,
    /// The number of the code object.
    pub code: u32,
    /// The attributes, items and cells that it binds or deletes.
    pub stores: Box<[Store]>,
}

/// What an instruction of a way takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// What is in this slot before the way.
    Slot(u32),
    /// A constant of the code object.
    Constant(u32),
    /// An `int`.
    Int(u32),
    /// A value of the record with which the way ends.
    Capture(u32),
    /// That cannot be told from the way.
    Unknown,
}

/// What of an object is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What the cell holds.
    Cell,
    /// An attribute: the hash of its name.
    Attribute(u64),
    /// An item.
    Item(Operand),
}

/// A binding or deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Store {
    /// The object or cell.
    pub object: Operand,
    /// What of it.
    pub part: Part,
}

/// Key of a compiled way: from where, up to which instruction it has been executed, where to.
type Key = (From, Option<InstrIdx>, To);

/// Names a compiled way until [`Segments::forget`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentId(u32);

impl SegmentId {
    #[inline]
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }

    pub(crate) fn from_index(index: usize) -> Self {
        Self(index as u32)
    }
}

/// The ways compiled so far.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    all: Vec<Segment>,
    by_code: Vec<OfCode>,
    /// Operations and steps in `all`.
    size: usize,
    generation: u32,
}

/// The ways of one code object.
#[derive(Debug, Default)]
struct OfCode {
    compiled: FxHashMap<Key, SegmentId>,
    /// From each site the way that was gone last.
    recent: Vec<Option<(Option<InstrIdx>, To, SegmentId)>>,
}

/// All compiled ways are forgotten beyond this many operations and steps.
const MOST: usize = 1 << 22;

impl Segments {
    /// Whether it has become too much: then [`Segments::forget`] should be called. Until then identities stay valid.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.size > MOST
    }

    pub(crate) fn forget(&mut self) {
        *self = Self {
            generation: self.generation.wrapping_add(1),
            ..Self::default()
        };
    }

    /// Changes when everything is forgotten.
    #[inline]
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    #[inline]
    pub(crate) fn get(&self, id: SegmentId) -> &Segment {
        &self.all[id.0 as usize]
    }

    /// The way from `from`, of which everything through `done` has been executed already, to `to`. `None` if there is no such way.
    #[inline]
    pub(crate) fn find(
        &mut self,
        code: &Code,
        from: From,
        done: Option<InstrIdx>,
        to: To,
    ) -> Option<SegmentId> {
        if let From::Site(site) = from
            && let Some(of_code) = self.by_code.get(code.data().number as usize)
            && let Some(Some((known_done, known_to, id))) = of_code.recent.get(site as usize)
            && (*known_done, *known_to) == (done, to)
        {
            return Some(*id);
        }
        self.find_slowly(code, from, done, to)
    }

    /// The way between two sites, if it was the last that was gone from the first.
    #[inline]
    pub(crate) fn recent(&self, code: u32, from: u32, to: u32) -> Option<SegmentId> {
        let of_code = self.by_code.get(code as usize)?;
        match of_code.recent.get(from as usize)? {
            Some((None, To::Site(site), id)) if *site == to => Some(*id),
            _ => None,
        }
    }

    fn find_slowly(
        &mut self,
        code: &Code,
        from: From,
        done: Option<InstrIdx>,
        to: To,
    ) -> Option<SegmentId> {
        let number = code.data().number as usize;
        if self.by_code.len() <= number {
            self.by_code.resize_with(number + 1, OfCode::default);
        }
        let of_code = &mut self.by_code[number];
        let key = (from, done, to);
        let id = match of_code.compiled.get(&key) {
            Some(&id) => id,
            None => {
                let segment = compile(code, from, done, to)?;
                self.size += segment.ops.len() + segment.steps.len() + 16;
                let id = SegmentId(self.all.len() as u32);
                self.all.push(segment);
                of_code.compiled.insert(key, id);
                id
            }
        };
        if let From::Site(site) = from {
            let site = site as usize;
            if of_code.recent.len() <= site {
                of_code.recent.resize(site + 1, None);
            }
            of_code.recent[site] = Some((done, to, id));
        }
        Some(id)
    }
}

/// An executed instruction, and whether it jumped.
type Executed = (InstrIdx, bool);

/// Goes the ways from `from` until `to` is met. The instructions executed, in order; with [`To::In`] the last one is that.
fn find(code: &Code, from: From, to: To) -> Option<Vec<Executed>> {
    let analysis = code.analysis();
    let count = analysis.instructions().len() as u32;
    // Index of the way's instruction before it, and whether that jumped.
    let mut came: FxHashMap<u32, Option<Executed>> = FxHashMap::default();
    let mut pending: Vec<(InstrIdx, Option<Executed>)> = Vec::new();
    let back = |came: &FxHashMap<u32, Option<Executed>>, last: Option<Executed>| {
        let mut way: Vec<Executed> = Vec::new();
        let mut next = last;
        while let Some(executed) = next {
            way.push(executed);
            next = came.get(&executed.0.0).copied().flatten();
        }
        way.reverse();
        way
    };
    // Where control has come to; whether that ends the search, with the way.
    let arrive = |at: InstrIdx, by: Option<Executed>| -> Result<Option<InstrIdx>, ()> {
        let fell = by.filter(|by| !by.1).map(|by| by.0);
        let behind = fell.and_then(|from| code.site_after(from));
        match behind.or_else(|| code.site_before(at)) {
            _ if behind.is_none() && (To::At(at) == to || To::Before(at) == to) => Err(()),
            Some(site) if To::Site(site) == to => Err(()),
            Some(_) => Ok(None),
            None => Ok((at.0 < count).then_some(at)),
        }
    };
    match from {
        From::Start => pending.push((analysis.first_resume()?, None)),
        From::At(at) if to == To::At(at) => return Some(Vec::new()),
        From::Before(at) if to == To::Before(at) => return Some(Vec::new()),
        From::Before(at) => match code.site_before(at) {
            Some(site) if to == To::Site(site) => return Some(Vec::new()),
            Some(_) => return None,
            None if to == To::At(at) => return Some(Vec::new()),
            None => pending.push((at, None)),
        },
        From::Site(site) if to == To::At(standing(code, site)?) => return Some(Vec::new()),
        From::At(at) => pending.push((at, None)),
        From::Site(site) | From::Fired(site) => match code.plan().sites.get(site as usize)?.place {
            Place::Before(at) => pending.push((at, None)),
            Place::After(at) => {
                let at = InstrIdx(at.0 + 1);
                match code.site_before(at) {
                    _ if To::Before(at) == to => return Some(Vec::new()),
                    Some(site) if To::Site(site) == to => return Some(Vec::new()),
                    Some(_) => return None,
                    None => pending.push((at, None)),
                }
            }
        },
        From::In(at) | From::Pending(at) if to == To::In(at) || to == To::Pending(at) => {
            return Some(Vec::new());
        }
        // It is ending, or being suspended, or a trace function is told of that.
        From::In(at) if to == To::Exit && matches!(flow(code, at), Flow::Return | Flow::Yield) => {
            return Some(vec![(at, false)]);
        }
        From::In(at) | From::Pending(at) => {
            came.insert(at.0, None);
            let ended = delegation(code, at).map(|(_, end)| (end, (at, true)));
            for (next, by) in successors(code, at).chain(ended) {
                match arrive(next, Some(by)) {
                    Err(()) => return Some(vec![by]),
                    Ok(Some(next)) => pending.push((next, Some(by))),
                    Ok(None) => {}
                }
            }
        }
    }
    while let Some((at, by)) = pending.pop() {
        if at.0 >= count || came.contains_key(&at.0) {
            continue;
        }
        came.insert(at.0, by);
        let leaves = matches!(flow(code, at), Flow::Return | Flow::Yield);
        if to == To::In(at) || to == To::Pending(at) || to == To::Exit && leaves {
            return Some(back(&came, Some((at, false))));
        }
        if leaves {
            continue;
        }
        for (next, by) in successors(code, at) {
            match arrive(next, Some(by)) {
                Err(()) => return Some(back(&came, Some(by))),
                Ok(Some(next)) => pending.push((next, Some(by))),
                Ok(None) => {}
            }
        }
    }
    None
}

pub(crate) fn flow(code: &Code, at: InstrIdx) -> Flow {
    let analysis = code.analysis();
    let instruction = analysis.instructions().get(at.0 as usize);
    let info = instruction.and_then(|instruction| instruction.opcode.info(analysis.version()));
    info.map_or(Flow::Raise, |info| info.flow)
}

/// Where control goes from an instruction, exceptions aside.
fn successors(code: &Code, at: InstrIdx) -> impl Iterator<Item = (InstrIdx, Executed)> {
    let flow = flow(code, at);
    let next = matches!(flow, Flow::Next | Flow::Conditional | Flow::Yield)
        .then_some((InstrIdx(at.0 + 1), (at, false)));
    let jump = code
        .analysis()
        .target(at)
        .map(|target| (target, (at, true)));
    [next, jump].into_iter().flatten()
}

/// Of the `YIELD_VALUE` of a `yield from` or `await`: the `SEND` before it, and where it jumps to.
///
/// What the frame delegates to may end while something is thrown into it. On 3.11 the frame goes on where `SEND` jumps to, without it, its
/// `YIELD_VALUE` or its `RESUME` (`_gen_throw`, `Objects/genobject.c`); later versions have `CLEANUP_THROW` for that.
fn delegation(code: &Code, yielding: InstrIdx) -> Option<(InstrIdx, InstrIdx)> {
    if code.version() != Version::V3_11 || flow(code, yielding) != Flow::Yield {
        return None;
    }
    let send = InstrIdx(yielding.0.checked_sub(1)?);
    let analysis = code.analysis();
    let info = analysis.get(send).opcode.info(analysis.version())?;
    (info.op == Name::Send).then_some((send, analysis.target(send)?))
}

/// The instruction that a site stands before.
pub(crate) fn standing(code: &Code, site: u32) -> Option<InstrIdx> {
    Some(match code.plan().sites.get(site as usize)?.place {
        Place::Before(at) => at,
        Place::After(at) => InstrIdx(at.0 + 1),
    })
}

/// A value that is not known yet where it is made.
type Symbol = u32;

struct Compiler<'a> {
    code: &'a Code,
    version: Version,
    /// Length of localsplus.
    base: u32,
    ops: Vec<RawOp>,
    /// Slots that hold values not known yet.
    symbols: FxHashMap<u32, Symbol>,
    next: Symbol,
    /// Those of them that are bools.
    bools: FxHashSet<Symbol>,
    /// What they turned out to be.
    known: FxHashMap<Symbol, Source>,
}

enum RawOp {
    Known(Op),
    Made(u32, Symbol),
}

#[derive(Clone, Copy)]
enum RawOperand {
    Known(Operand),
    Made(Symbol),
}

#[derive(Clone, Copy)]
enum RawPart {
    Cell,
    Attribute(u64),
    Item(RawOperand),
}

/// Compiles a way.
fn compile(code: &Code, from: From, done: Option<InstrIdx>, to: To) -> Option<Segment> {
    if let Some(done) = done
        && to == To::In(done)
    {
        return Some(Segment {
            last: Some(done),
            code: code.data().number,
            ..Segment::default()
        });
    }
    let way = find(code, from, to)?;
    // What the frame is in the middle of has been a step already.
    let skip = match (done, from) {
        (Some(done), _) => way.iter().position(|executed| executed.0 == done)? + 1,
        (None, From::In(_) | From::Pending(_)) => way.len().min(1),
        (None, _) => 0,
    };
    let version = code.analysis().version();
    let mut compiler = Compiler {
        code,
        version,
        base: code.locals().slots,
        ops: Vec::new(),
        symbols: FxHashMap::default(),
        next: 0,
        bools: FxHashSet::default(),
        known: FxHashMap::default(),
    };
    let mut steps: Vec<SegmentStep> = Vec::new();
    let mut begin = 0;
    let mut opaque = false;
    let mut opaque_end = 0;
    let mut touching = None;
    let mut stores: Vec<(RawOperand, RawPart)> = Vec::new();
    for (number, &(at, jumped)) in way.iter().enumerate() {
        if number + 1 == skip && done.is_some() {
            compiler.forget_known();
        }
        if number >= skip {
            stores.extend(compiler.store(at));
        }
        let is_last = number + 1 == way.len();
        if !is_last || matches!(to, To::Site(_) | To::At(_) | To::Before(_)) {
            match delegation(code, at).filter(|_| jumped) {
                Some((send, _)) => compiler.instruction(send, true)?,
                None => compiler.instruction(at, jumped)?,
            }
            if number == 0 && done.is_none() && matches!(from, From::In(_)) {
                compiler.leave_out_stores();
            }
        }
        let end = compiler.ops.len() as u32;
        match steps.last_mut() {
            _ if number < skip => begin = end,
            _ if code.is_step(at) => steps.push(SegmentStep { at, end }),
            Some(step) => step.end = end,
            None => begin = end,
        }
        if number >= skip {
            let instruction = code.analysis().get(at);
            let nature = nature(version, instruction.opcode, instruction.arg)?;
            opaque |= nature.class == Class::Opaque;
            if nature.class == Class::Opaque {
                opaque_end = steps.len() as u32;
            }
            if nature.touches.count > 0 && touching.is_none() {
                touching = Some(steps.len() as u32);
            }
        }
    }
    let mut next = None;
    if let To::At(at) | To::Before(at) = to {
        next = Some(at);
    }
    if let To::Pending(at) = to {
        let locals = code.locals();
        let pending = code.plan().pending(at).iter();
        let before = |&slot: &u32| pending_before(code.analysis(), &locals, at, slot);
        compiler.captures(pending.map(before));
    }
    if let To::Site(site) = to {
        let planned = code.plan().sites.get(site as usize);
        let captures = planned.iter().flat_map(|planned| &planned.captures);
        compiler.captures(captures.copied());
        next = code
            .plan()
            .sites
            .get(site as usize)
            .map(|site| match site.place {
                Place::Before(at) => at,
                Place::After(at) => InstrIdx(at.0 + 1),
            });
    }
    let stores = stores.iter().map(|store| compiler.known_store(*store));
    let stores = stores.collect();
    let Compiler { ops, known, .. } = compiler;
    let ops = ops.into_iter().map(|op| match op {
        RawOp::Known(op) => op,
        RawOp::Made(slot, symbol) => {
            Op::Set(slot, known.get(&symbol).copied().unwrap_or(Source::Pending))
        }
    });
    Some(Segment {
        ops: ops.collect(),
        begin,
        steps: steps.into(),
        last: way.last().map(|executed| executed.0),
        next,
        touching,
        opaque,
        opaque_end,
        code: code.data().number,
        stores,
    })
}

/// The `CALL` that a part of a call belongs to (3.11, 3.12).
pub(crate) fn call_of(code: &Code, mut at: InstrIdx) -> InstrIdx {
    let analysis = code.analysis();
    let op = |at: InstrIdx| {
        let instruction = analysis.instructions().get(at.0 as usize)?;
        Some(instruction.opcode.info(analysis.version())?.op)
    };
    while matches!(op(at), Some(Name::KwNames | Name::Precall)) && op(InstrIdx(at.0 + 1)).is_some()
    {
        at = InstrIdx(at.0 + 1);
    }
    at
}

impl Compiler<'_> {
    /// Everything so far has been executed, but for the values that were not known.
    fn forget_known(&mut self) {
        let symbols = self.symbols.iter();
        self.ops = symbols
            .map(|(&slot, &symbol)| RawOp::Made(slot, symbol))
            .collect();
    }

    /// What an instruction binds or deletes.
    fn store(&self, at: InstrIdx) -> Option<(RawOperand, RawPart)> {
        let analysis = self.code.analysis();
        let instruction = analysis.get(at);
        let arg = instruction.arg;
        let top = self.base.checked_add(analysis.depth(at)?)?;
        let below = |depth| top.checked_sub(depth).map(|slot| self.operand(slot));
        Some(match instruction.opcode.info(self.version)?.op {
            Name::StoreDeref | Name::DeleteDeref => (self.operand(arg), RawPart::Cell),
            Name::StoreAttr | Name::DeleteAttr => {
                (below(1)?, RawPart::Attribute(of_name(self.code, arg)?))
            }
            Name::StoreSubscr | Name::DeleteSubscr => (below(2)?, RawPart::Item(below(1)?)),
            _ => return None,
        })
    }

    /// What is in a slot after what has been compiled so far.
    fn operand(&self, mut slot: u32) -> RawOperand {
        for op in self.ops.iter().rev() {
            match *op {
                RawOp::Known(Op::Set(to, source)) if to == slot => match source {
                    Source::Slot(from) => slot = from,
                    Source::Constant(index) => return RawOperand::Known(Operand::Constant(index)),
                    Source::Int(int) => return RawOperand::Known(Operand::Int(int)),
                    _ => return RawOperand::Known(Operand::Unknown),
                },
                RawOp::Made(to, symbol) if to == slot => return RawOperand::Made(symbol),
                RawOp::Known(Op::Swap(one, other)) if slot == one => slot = other,
                RawOp::Known(Op::Swap(one, other)) if slot == other => slot = one,
                RawOp::Known(Op::Unbind(first)) if slot == first || slot == first + 1 => {
                    return RawOperand::Known(Operand::Unknown);
                }
                RawOp::Known(_) | RawOp::Made(..) => {}
            }
        }
        RawOperand::Known(Operand::Slot(slot))
    }

    fn known_store(&self, (object, part): (RawOperand, RawPart)) -> Store {
        Store {
            object: self.known_operand(object),
            part: match part {
                RawPart::Cell => Part::Cell,
                RawPart::Attribute(hash) => Part::Attribute(hash),
                RawPart::Item(operand) => Part::Item(self.known_operand(operand)),
            },
        }
    }

    fn known_operand(&self, operand: RawOperand) -> Operand {
        match operand {
            RawOperand::Known(operand) => operand,
            RawOperand::Made(symbol) => match self.known.get(&symbol) {
                Some(Source::Capture(index)) => Operand::Capture(*index),
                Some(Source::Bool(bool)) => Operand::Int((*bool).into()),
                _ => Operand::Unknown,
            },
        }
    }

    /// The first instruction was in progress when the frame was written down: what it stores has been stored, since the old value's end was what ran
    /// code (`SETLOCAL`, `Python/ceval_macros.h`), and what it took from the stack is not known any more.
    fn leave_out_stores(&mut self) {
        let base = self.base;
        let mut stored: Vec<(u32, u32)> = Vec::new();
        self.ops.retain(|op| match *op {
            RawOp::Known(Op::Set(to, Source::Slot(of))) if to < base && of >= base => {
                stored.push((of, to));
                false
            }
            RawOp::Known(Op::SetCell(_, Source::Slot(of))) => of < base,
            _ => true,
        });
        // What an instruction stores and loads again (`STORE_FAST_LOAD_FAST`) is in the local variable.
        for op in &mut self.ops {
            if let RawOp::Known(Op::Set(_, Source::Slot(of))) = op
                && let Some(&(_, local)) = stored.iter().find(|stored| stored.0 == *of)
            {
                *of = local;
            }
        }
    }

    fn instruction(&mut self, at: InstrIdx, jumped: bool) -> Option<()> {
        let analysis = self.code.analysis();
        let instruction = analysis.get(at);
        let (opcode, arg) = (instruction.opcode, instruction.arg);
        let effect = effect(self.version, opcode, arg, jumped)?;
        let op = opcode.info(self.version)?.op;
        let top = self.base.checked_add(analysis.depth(at)?)?;
        self.told(at, jumped, top);
        let left = top
            .checked_sub(effect.pops)
            .filter(|&left| left >= self.base)?;
        if matches!(op, Name::StoreDeref | Name::DeleteDeref) {
            let value = match op {
                Name::StoreDeref => Source::Slot(top.checked_sub(1)?),
                _ => Source::Null,
            };
            self.ops.push(RawOp::Known(Op::SetCell(arg, value)));
        }
        if op == Name::Precall {
            let callable = top.checked_sub(arg.checked_add(2)?)?;
            self.ops.push(RawOp::Known(Op::Unbind(callable)));
        }
        // Outputs are of the slots as they were: what would be overwritten is read first.
        let reads_written = effect.pushes.iter().any(|output| {
            matches!(output, Output::Local(local) if effect.writes.iter().any(|write| write.0 == *local))
        });
        let before = self.symbols.clone();
        let writes: Vec<(u32, Output)> = effect.writes.iter().copied().collect();
        let pushes: Vec<(u32, Output)> = (left..).zip(effect.pushes.iter().copied()).collect();
        let pushes = pushes.into_iter().rev();
        let all: Vec<(u32, Output)> = if reads_written {
            pushes.chain(writes).collect()
        } else {
            writes.into_iter().chain(pushes).collect()
        };
        self.symbols
            .retain(|&slot, _| slot < self.base || slot < left);
        for (slot, output) in all {
            let symbol = self.set(slot, output, top, &before)?;
            match symbol {
                Some(symbol) => self.symbols.insert(slot, symbol),
                None => self.symbols.remove(&slot),
            };
        }
        if effect.swap > 1 {
            let (one, other) = (top.checked_sub(1)?, top.checked_sub(effect.swap)?);
            self.ops.push(RawOp::Known(Op::Swap(one, other)));
            for (slot, from) in [(one, other), (other, one)] {
                match before.get(&from) {
                    Some(&symbol) => self.symbols.insert(slot, symbol),
                    None => self.symbols.remove(&slot),
                };
            }
        }
        Some(())
    }

    /// Emits what puts an output into a slot; the symbol that is there afterwards.
    fn set(
        &mut self,
        slot: u32,
        output: Output,
        top: u32,
        before: &FxHashMap<u32, Symbol>,
    ) -> Option<Option<Symbol>> {
        let (source, symbol) = match output {
            Output::Below(below) => {
                let from = top.checked_sub(below)?;
                (Source::Slot(from), before.get(&from).copied())
            }
            Output::Next(below) => {
                let from = top.checked_sub(below)?;
                (Source::Next(from), before.get(&from).copied())
            }
            Output::Local(local) => (Source::Slot(local), before.get(&local).copied()),
            Output::Constant(index) => (Source::Constant(index), None),
            Output::SmallInt(int) => (Source::Int(int), None),
            Output::Null => (Source::Null, None),
            Output::Bool | Output::Produced => {
                self.next += 1;
                if output == Output::Bool {
                    self.bools.insert(self.next);
                }
                self.ops.push(RawOp::Made(slot, self.next));
                return Some(Some(self.next));
            }
        };
        self.ops.push(RawOp::Known(Op::Set(slot, source)));
        Some(symbol)
    }

    /// The direction of a jump tells its condition, if that is a bool: up to 3.12 it may be anything.
    fn told(&mut self, at: InstrIdx, jumped: bool, top: u32) {
        let instruction = self.code.analysis().get(at);
        let nature = nature(self.version, instruction.opcode, instruction.arg);
        let Some(jumps_if) = nature.and_then(|nature| nature.jumps_if) else {
            return;
        };
        let symbol = top.checked_sub(1).and_then(|slot| self.symbols.get(&slot));
        if let Some(&symbol) = symbol
            && (self.version >= Version::V3_13 || self.bools.contains(&symbol))
        {
            self.known.insert(symbol, Source::Bool(jumps_if == jumped));
        }
    }

    /// The way ends where these slots are looked at, whose values tell what has been made.
    fn captures(&mut self, slots: impl Iterator<Item = u32> + Clone) {
        let mut resolved: FxHashSet<u32> = FxHashSet::default();
        for (index, slot) in (0..).zip(slots.clone()) {
            if let Some(&symbol) = self.symbols.get(&slot)
                && !self.known.contains_key(&symbol)
            {
                self.known.insert(symbol, Source::Capture(index));
                resolved.insert(slot);
            }
        }
        for (index, slot) in (0..).zip(slots) {
            if !resolved.contains(&slot) {
                let op = Op::Set(slot, Source::Capture(index));
                self.ops.push(RawOp::Known(op));
            }
        }
    }
}
