//! A way as operations on the slots of its frame.

use debugop_bytecode::plan::pending_before;
use debugop_bytecode::{Class, InstrIdx, Op as Name, Output, Place, Version, effect, nature};
use rustc_hash::{FxHashMap, FxHashSet};

use super::unseen::{Unseen, unseen};
use super::way::{delegation, find};
use super::{Drop, From, Op, Operand, Part, Segment, SegmentStep, Source, Store, Storing, To};
use crate::code::Code;
use crate::compute::{Binary, Calculation};
use crate::index::of_name;

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
    /// Those that replay can compute.
    computed: FxHashMap<Symbol, Calculation>,
}

enum RawOp {
    Known(Op),
    Made(u32, Symbol),
    /// The same where it has been made before.
    Kept(u32, Symbol),
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
pub(super) fn compile(code: &Code, from: From, done: Option<InstrIdx>, to: To) -> Option<Segment> {
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
        computed: FxHashMap::default(),
    };
    let mut steps: Vec<SegmentStep> = Vec::new();
    let mut begin = 0;
    let mut opaque = None;
    let mut opaque_end = 0;
    let mut touching = None;
    let mut stores: Vec<(RawOperand, RawPart)> = Vec::new();
    let mut storing: Vec<Storing> = Vec::new();
    let mut drops: Vec<Drop> = Vec::new();
    for (number, &(at, jumped)) in way.iter().enumerate() {
        if number + 1 == skip && done.is_some() {
            compiler.forget_known();
        }
        if number >= skip {
            stores.extend(compiler.store(at));
            storing.extend(compiler.storing(at));
        }
        let is_last = number + 1 == way.len();
        let after = compiler.ops.len() as u32;
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
            let unseen = match nature.class {
                Class::Opaque => Unseen::Anything,
                // Nobody looks at what it has changed if that is gone by the next record.
                _ if nature.touches.count > 0 => Unseen::Anything,
                Class::Quiet | Class::Raises => unseen(code, at),
            };
            if unseen == Unseen::Anything {
                opaque = opaque.or(Some(steps.len() as u32));
            }
            if let Unseen::Drops(slots) = &unseen
                && opaque.is_none()
            {
                drops.extend(slots.iter().map(|&slot| Drop { after, slot }));
            }
            if unseen != Unseen::Nothing {
                opaque_end = steps.len() as u32;
            }
            if nature.touches.count > 0
                && touching.is_none()
                && !compiler.changes_numbers(at, from, number)
            {
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
        let planned = code.sites().get(site as usize);
        let captures = planned.iter().flat_map(|planned| &planned.captures);
        compiler.captures(captures.copied());
        next = code
            .sites()
            .get(site as usize)
            .map(|site| match site.place {
                Place::Before(at) => at,
                Place::After(at) => InstrIdx(at.0 + 1),
            });
    }
    if let To::At(_) | To::Before(_) | To::In(_) | To::Told(_) = to {
        compiler.later(to);
    }
    let stores = stores.iter().map(|store| compiler.known_store(*store));
    let stores = stores.collect();
    let Compiler {
        ops,
        known,
        computed,
        ..
    } = compiler;
    let ops = ops.into_iter().map(|op| match op {
        RawOp::Known(op) => op,
        RawOp::Made(slot, symbol) => {
            let source = known.get(&symbol).copied().unwrap_or(Source::Pending);
            match (computed.get(&symbol), source) {
                (Some(&calculation), Source::Pending | Source::Later(_)) => {
                    Op::Compute(slot, calculation, source)
                }
                _ => Op::Set(slot, source),
            }
        }
        RawOp::Kept(slot, symbol) => match known.get(&symbol) {
            None | Some(Source::Later(_)) if computed.contains_key(&symbol) => {
                Op::Set(slot, Source::Slot(slot))
            }
            source => Op::Set(slot, source.copied().unwrap_or(Source::Pending)),
        },
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
        storing: storing.into(),
        drops: drops.into(),
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
            .map(|(&slot, &symbol)| RawOp::Kept(slot, symbol))
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

    /// Where what an instruction stores is, and into what.
    fn storing(&self, at: InstrIdx) -> Option<Storing> {
        let analysis = self.code.analysis();
        let instruction = analysis.get(at);
        let top = self.base.checked_add(analysis.depth(at)?)?;
        let (object, value) = match instruction.opcode.info(self.version)?.op {
            Name::StoreDeref => (instruction.arg, top.checked_sub(1)?),
            Name::StoreAttr => (top.checked_sub(1)?, top.checked_sub(2)?),
            Name::StoreSubscr => (top.checked_sub(2)?, top.checked_sub(3)?),
            _ => return None,
        };
        Some(Storing {
            after: self.ops.len() as u32,
            object,
            value,
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
                    Source::Common(common) => return RawOperand::Known(Operand::Common(common)),
                    _ => return RawOperand::Known(Operand::Unknown),
                },
                RawOp::Made(to, symbol) | RawOp::Kept(to, symbol) if to == slot => {
                    return RawOperand::Made(symbol);
                }
                RawOp::Known(Op::Swap(one, other)) if slot == one => slot = other,
                RawOp::Known(Op::Swap(one, other)) if slot == other => slot = one,
                RawOp::Known(Op::Unbind(first)) if slot == first || slot == first + 1 => {
                    return RawOperand::Known(Operand::Unknown);
                }
                RawOp::Known(_) | RawOp::Made(..) | RawOp::Kept(..) => {}
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

    /// What replay can compute of an instruction.
    fn calculation(&self, op: Name, arg: u32) -> Option<Calculation> {
        if !self.code.computes() {
            return None;
        }
        match op {
            Name::BinaryOp => {
                let symbol = self.version.binary_ops().get(arg as usize)?;
                let operator = Binary::of(symbol)?;
                (operator != Binary::Power).then_some(Calculation::Binary(operator))
            }
            Name::UnaryNegative => Some(Calculation::Negative),
            _ => None,
        }
    }

    /// Whether an instruction that may change an object is known to change none, because it calculates with numbers: those that may have a site right before them.
    fn changes_numbers(&self, at: InstrIdx, from: From, number: usize) -> bool {
        let instruction = self.code.analysis().get(at);
        let info = instruction.opcode.info(self.version);
        if !self.code.computes() || info.map(|info| info.op) != Some(Name::BinaryOp) {
            return false;
        }
        match from {
            From::Site(site) | From::Fired(site) => {
                let planned = self.code.sites().get(site as usize);
                number > 0 || planned.is_some_and(|planned| planned.touches.is_empty())
            }
            _ => number > 0,
        }
    }

    fn instruction(&mut self, at: InstrIdx, jumped: bool) -> Option<()> {
        let analysis = self.code.analysis();
        let instruction = analysis.get(at);
        let (opcode, arg) = (instruction.opcode, instruction.arg);
        let effect = self.code.plan().effect(self.version, opcode, arg, jumped)?;
        let op = opcode.info(self.version)?.op;
        let calculation = self.calculation(op, arg);
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
            let symbol = self.set(slot, output, top, &before, calculation)?;
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
        calculation: Option<Calculation>,
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
            Output::Common(common) => (Source::Common(common), None),
            Output::Null => (Source::Null, None),
            Output::Bool | Output::Produced => {
                self.next += 1;
                if let Some(calculation) = calculation {
                    self.computed.insert(self.next, calculation);
                }
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
            && (self.version.jumps_on_bools() || self.bools.contains(&symbol))
        {
            self.known.insert(symbol, Source::Bool(jumps_if == jumped));
        }
    }

    /// The way ends where everything may be described: what has been made and is still in a slot there.
    fn later(&mut self, to: To) {
        for (&slot, symbol) in &self.symbols {
            // What the instruction that is being executed writes may have been written.
            let is_written = || match to {
                To::In(at) => {
                    let instruction = self.code.analysis().get(at);
                    let effect = effect(self.version, instruction.opcode, instruction.arg, false);
                    effect.is_none_or(|effect| effect.writes.iter().any(|write| write.0 == slot))
                }
                _ => false,
            };
            if !self.known.contains_key(symbol) && !is_written() {
                self.known.insert(*symbol, Source::Later(slot));
            }
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
