//! What may be written into a slot of the value stack while a program runs.
//!
//! The interpreter trusts what the compiler arranged: `FOR_ITER` calls `tp_iternext` of whatever it
//! finds, `LIST_APPEND` takes its container for a list. So before a debugger replaces a value, the slot is
//! followed along the control flow to every instruction that will look at it.

use rustc_hash::FxHashSet;

use super::{Accepts, Fate, Group, Operands, operands};
use crate::analysis::{Analysis, InstrIdx};
use crate::opcode::{ArgKind, Flow, Op, OpcodeInfo};
use crate::version::Version;

/// What may replace the value in a slot without harm to the interpreter.
///
/// Whoever writes must hold to two more rules that depend on the value found there at run time:
/// where the slot holds NULL, only [`Policy::Any`] and [`Policy::AnyOrNull`] allow a write; and a value that is a cell
/// (`types.CellType`) or a tagged integer stays. NULL may be written only where NULL is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Any object.
    Any,
    /// Any object. The slot is one that may hold NULL: the "self or NULL" of a call. An object put in
    /// the place of NULL becomes the first argument.
    AnyOrNull,
    /// An instance of `BaseException` that has a traceback: 3.11's `WITH_EXCEPT_START` passes on what
    /// `PyException_GetTraceback` returns without a look, and NULL there is a crash.
    Exception(Reason),
    /// An object whose type has `tp_iternext`.
    Iterator(Reason),
    /// An object of exactly the type of the one that is there.
    SameType(Reason),
    /// Nothing.
    Fixed(Reason),
}

/// Why not every object may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// This instruction takes the slot for what its role says, without a check.
    Operand {
        /// The instruction.
        by: InstrIdx,
        /// What the slot is to it, as in [`Group::role`](super::Group::role).
        role: &'static str,
    },
    /// This instruction puts the value back where a cell belongs (inlined comprehensions).
    Cell {
        /// The instruction.
        by: InstrIdx,
    },
    /// The slot lives on through more instructions than are followed.
    TooFar,
    /// The stack is not that deep, or the instruction is never reached.
    NotOnStack,
}

/// The number of (instruction, slot) pairs that are followed for one answer.
const BOUND: usize = 20_000;

/// What may be written into stack slot `slot` (0 = bottom) just before the instruction `at` executes.
pub fn write_policy(analysis: &Analysis, at: InstrIdx, slot: u32) -> Policy {
    if analysis.depth(at).is_none_or(|depth| slot >= depth) {
        return Policy::Fixed(Reason::NotOnStack);
    }
    let mut walk = Walk {
        analysis,
        seen: FxHashSet::default(),
        pending: Vec::new(),
        policy: None,
    };
    walk.reach(Place {
        at,
        slot,
        part: false,
    });
    while let Some(place) = walk.pending.pop() {
        if walk.seen.len() > BOUND {
            return Policy::Fixed(Reason::TooFar);
        }
        walk.follow(place);
        if let Some(fixed @ Policy::Fixed(_)) = walk.policy {
            return fixed;
        }
    }
    walk.policy.unwrap_or(Policy::Any)
}

/// A value at one point of the program: the value written, or (`part`) a container that it was put into.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Place {
    at: InstrIdx,
    slot: u32,
    part: bool,
}

struct Walk<'a> {
    analysis: &'a Analysis,
    seen: FxHashSet<Place>,
    pending: Vec<Place>,
    /// The strictest demand met so far.
    policy: Option<Policy>,
}

impl Walk<'_> {
    fn reach(&mut self, place: Place) {
        let lives = self
            .analysis
            .depth(place.at)
            .is_some_and(|depth| place.slot < depth);
        if lives && self.seen.insert(place) {
            self.pending.push(place);
        }
    }

    fn follow(&mut self, place: Place) {
        let version = self.analysis.version();
        let instruction = *self.analysis.get(place.at);
        let (Some(info), Some(depth)) = (
            instruction.opcode.info(version),
            self.analysis.depth(place.at),
        ) else {
            return;
        };
        let Some(operands) = operands(version, info.opcode, instruction.arg) else {
            return;
        };
        self.follow_exception(place);

        let base = u64::from(depth).saturating_sub(operands.pops());
        let Some(input) = u64::from(place.slot).checked_sub(base) else {
            self.next(info, place, place);
            self.jump(info, place, place);
            return;
        };
        if let Some(group) = operands.input(input) {
            let group = *group;
            self.consume(info, instruction.arg, place, &group);
            if group.accepts == Accepts::Element {
                self.next(
                    info,
                    place,
                    Place {
                        slot: base as u32,
                        part: true,
                        ..place
                    },
                );
            }
            for output in outputs(&operands, &group, input) {
                let moved = Place {
                    slot: (base + output) as u32,
                    ..place
                };
                self.next(info, place, moved);
                // 3.11's SEND that jumps replaces the receiver by the result.
                if !(version == Version::V3_11 && info.op == Op::Send) {
                    self.jump(info, place, moved);
                }
            }
            if matches!(info.op, Op::JumpIfFalseOrPop | Op::JumpIfTrueOrPop) {
                self.jump(info, place, place);
            }
        }
    }

    fn follow_exception(&mut self, place: Place) {
        if let Some(entry) = self.analysis.exception_entry(place.at)
            && place.slot < entry.depth
            && let Some(handler) = self.analysis.at_start(entry.target)
        {
            self.reach(Place {
                at: handler,
                ..place
            });
        }
    }

    fn next(&mut self, info: &OpcodeInfo, from: Place, to: Place) {
        if matches!(info.flow, Flow::Next | Flow::Conditional | Flow::Yield) {
            self.reach(Place {
                at: InstrIdx(from.at.0 + 1),
                ..to
            });
        }
    }

    fn jump(&mut self, info: &OpcodeInfo, from: Place, to: Place) {
        if matches!(info.flow, Flow::Jump | Flow::Conditional)
            && let Some(target) = self.analysis.target(from.at)
        {
            self.reach(Place { at: target, ..to });
        }
    }

    /// Notes what an instruction demands of the slot.
    fn consume(&mut self, info: &OpcodeInfo, oparg: u32, place: Place, group: &Group) {
        let reason = Reason::Operand {
            by: place.at,
            role: group.role,
        };
        let demand = match group.accepts {
            Accepts::Structure => Policy::Fixed(reason),
            _ if place.part => return,
            Accepts::Any | Accepts::AnyOrNull if self.is_comprehension_argument(info.op, place) => {
                Policy::Iterator(Reason::Operand {
                    by: place.at,
                    role: "iterator",
                })
            }
            Accepts::Any if group.fate != Fate::Consumed => return,
            Accepts::Any | Accepts::Element if self.stores_cell(info.op, oparg, group) => {
                Policy::Fixed(Reason::Cell { by: place.at })
            }
            Accepts::Any | Accepts::Element => Policy::Any,
            Accepts::AnyOrNull => Policy::AnyOrNull,
            Accepts::Exception => Policy::Exception(reason),
            Accepts::Iterator => Policy::Iterator(reason),
            Accepts::SameType => Policy::SameType(reason),
            Accepts::Fixed => Policy::Fixed(reason),
        };
        self.policy = Some(self.policy.map_or(demand, |known| known.and(demand)));
    }

    /// Whether the slot is the iterator that a comprehension or generator expression is called with (3.11 to
    /// 3.14): its code runs `FOR_ITER` on it without a `GET_ITER`.
    fn is_comprehension_argument(&self, op: Op, place: Place) -> bool {
        let analysis = self.analysis;
        let back = match op {
            Op::Precall => 1,
            Op::Call if analysis.version() == Version::V3_11 => 2,
            Op::Call => 1,
            _ => return false,
        };
        let is_top = analysis
            .depth(place.at)
            .is_some_and(|depth| depth == place.slot + 1);
        let before = place.at.0.checked_sub(back).map(InstrIdx);
        let before = before.and_then(|before| analysis.get(before).opcode.info(analysis.version()));
        is_top && before.is_some_and(|info| info.op == Op::GetIter)
    }

    /// Whether the slot goes into a local that holds a cell. An inlined comprehension saves such a local on
    /// the stack and puts it back with `STORE_FAST`; whoever reads it later takes it for a cell.
    fn stores_cell(&self, op: Op, oparg: u32, group: &Group) -> bool {
        let local = match op {
            Op::StoreFast => oparg,
            Op::StoreFastLoadFast => oparg >> 4,
            Op::StoreFastStoreFast if group.role == "first value" => oparg >> 4,
            Op::StoreFastStoreFast => oparg & 15,
            _ => return false,
        };
        self.analysis.instructions().iter().any(|instruction| {
            instruction.arg == local
                && instruction
                    .opcode
                    .info(self.analysis.version())
                    .is_some_and(|info| info.arg == ArgKind::Free)
        })
    }
}

impl Policy {
    /// The stricter of two, or what satisfies both.
    fn and(self, other: Policy) -> Policy {
        match (self, other) {
            (Policy::Exception(reason), Policy::Iterator(_))
            | (Policy::Iterator(reason), Policy::Exception(_)) => Policy::SameType(reason),
            _ if other.strictness() > self.strictness() => other,
            _ => self,
        }
    }

    fn strictness(self) -> u8 {
        match self {
            Policy::AnyOrNull => 0,
            Policy::Any => 1,
            Policy::Exception(_) | Policy::Iterator(_) => 2,
            Policy::SameType(_) => 3,
            Policy::Fixed(_) => 4,
        }
    }
}

/// The output positions of the `input`-th input slot, which is in `group`.
fn outputs(operands: &Operands, group: &Group, input: u64) -> impl Iterator<Item = u64> {
    let top = operands.pushes.saturating_sub(1);
    let (first, second) = match group.fate {
        Fate::Consumed => (None, None),
        Fate::Stays => (Some(input), None),
        Fate::Copied => (Some(input), Some(top)),
        Fate::Bottom => (Some(0), None),
        Fate::Top => (Some(top), None),
    };
    first.into_iter().chain(second)
}

#[cfg(test)]
mod tests {
    use super::{Policy, Reason, write_policy};
    use crate::analysis::{Analysis, CodeView, InstrIdx};
    use crate::exception_table::{self, ExceptionEntry};
    use crate::opcode::Op::{self, *};
    use crate::version::Version::{self, V3_11, V3_12, V3_13, V3_14, V3_15};

    /// Assembles small opargs and analyses the result. Handlers are (start, end, target, depth), as indices of
    /// instructions, and push lasti.
    fn analyse(
        version: Version,
        code: &[(Op, u8)],
        handlers: &[(usize, usize, usize, u32)],
    ) -> Analysis {
        let mut bytes = Vec::new();
        let mut starts = Vec::new();
        for &(op, arg) in code {
            starts.push(bytes.len() as u32);
            let opcode = op.opcode(version).expect("the version has it");
            bytes.extend([opcode.0, arg]);
            let caches = opcode.info(version).expect("it is defined").caches;
            bytes.resize(bytes.len() + 2 * usize::from(caches), 0);
        }
        starts.push(bytes.len() as u32);
        let entries: Vec<_> = handlers
            .iter()
            .map(|&(start, end, target, depth)| ExceptionEntry {
                start: starts[start],
                end: starts[end],
                target: starts[target],
                depth,
                lasti: true,
            })
            .collect();
        let locations: Vec<u8> = bytes
            .chunks(16)
            .map(|units| 0xf8 | (units.len() / 2 - 1) as u8)
            .collect();
        let view = CodeView {
            version,
            code: &bytes,
            exception_table: &exception_table::write(&entries),
            location_table: &locations,
            first_line: 1,
            stack_size: 20,
        };
        Analysis::new(&view).expect("it is valid")
    }

    fn operand(by: u32, role: &'static str) -> Reason {
        Reason::Operand {
            by: InstrIdx(by),
            role,
        }
    }

    #[test]
    fn operands_of_operators_are_free() {
        let code = [
            (Resume, 0),
            (LoadFast, 0),
            (LoadFast, 1),
            (BinaryOp, 0),
            (ReturnValue, 0),
        ];
        for version in Version::ALL {
            let analysis = analyse(version, &code, &[]);
            assert_eq!(write_policy(&analysis, InstrIdx(3), 0), Policy::Any);
            assert_eq!(write_policy(&analysis, InstrIdx(3), 1), Policy::Any);
            assert_eq!(
                write_policy(&analysis, InstrIdx(3), 2),
                Policy::Fixed(Reason::NotOnStack)
            );
        }
    }

    #[test]
    fn an_iterator_must_stay_one_and_a_list_a_list() {
        // [x for x in y]
        let code = [
            (Resume, 0),
            (LoadFast, 0),
            (GetIter, 0),
            (BuildList, 0),
            (Swap, 2),
            (ForIter, 3),
            (ListAppend, 2),
            (JumpBackward, 5),
            (EndFor, 0),
            (PopTop, 0),
            (ReturnValue, 0),
        ];
        let analysis = analyse(V3_13, &code, &[]);
        // Before SWAP: [iterator, list]; after it: [list, iterator].
        assert_eq!(
            write_policy(&analysis, InstrIdx(4), 0),
            Policy::Iterator(operand(5, "iterator"))
        );
        assert_eq!(
            write_policy(&analysis, InstrIdx(4), 1),
            Policy::SameType(operand(6, "list"))
        );
        assert_eq!(
            write_policy(&analysis, InstrIdx(5), 0),
            Policy::SameType(operand(6, "list"))
        );
        assert_eq!(
            write_policy(&analysis, InstrIdx(5), 1),
            Policy::Iterator(operand(5, "iterator"))
        );
        // The item, just before it is appended.
        assert_eq!(write_policy(&analysis, InstrIdx(6), 2), Policy::Any);
        // The iterable is still anything.
        assert_eq!(write_policy(&analysis, InstrIdx(2), 0), Policy::Any);
    }

    #[test]
    fn the_iterator_a_comprehension_is_called_with_stays_one() {
        let head = [
            (Resume, 0),
            (LoadConst, 0),
            (MakeFunction, 0),
            (LoadFast, 0),
            (GetIter, 0),
        ];
        let mut code = head.to_vec();
        code.extend([(Call, 0), (ReturnValue, 0)]);
        let analysis = analyse(V3_13, &code, &[]);
        assert_eq!(write_policy(&analysis, InstrIdx(4), 1), Policy::Any);
        assert_eq!(
            write_policy(&analysis, InstrIdx(5), 1),
            Policy::Iterator(operand(5, "iterator"))
        );
        assert_eq!(write_policy(&analysis, InstrIdx(5), 0), Policy::Any);
        let mut code = head.to_vec();
        code.extend([(Precall, 0), (Call, 0), (ReturnValue, 0)]);
        let analysis = analyse(V3_11, &code, &[]);
        assert_eq!(
            write_policy(&analysis, InstrIdx(5), 1),
            Policy::Iterator(operand(5, "iterator"))
        );
        assert_eq!(
            write_policy(&analysis, InstrIdx(6), 1),
            Policy::Iterator(operand(6, "iterator"))
        );
    }

    #[test]
    fn the_self_or_null_of_a_call_takes_anything() {
        let code = [
            (Resume, 0),
            (LoadGlobal, 1),
            (LoadFast, 0),
            (Call, 1),
            (ReturnValue, 0),
        ];
        for version in [V3_13, V3_14, V3_15] {
            let analysis = analyse(version, &code, &[]);
            let policy = |slot| write_policy(&analysis, InstrIdx(3), slot);
            assert_eq!(
                [policy(0), policy(1), policy(2)],
                [Policy::Any, Policy::AnyOrNull, Policy::Any]
            );
        }
        let analysis = analyse(V3_12, &code, &[]);
        assert_eq!(write_policy(&analysis, InstrIdx(3), 0), Policy::AnyOrNull);
        assert_eq!(write_policy(&analysis, InstrIdx(3), 1), Policy::Any);
    }

    #[test]
    fn cells_on_their_way_into_a_closure_stay() {
        let code = [
            (MakeCell, 0),
            (Resume, 0),
            (LoadFast, 0),
            (BuildTuple, 1),
            (LoadConst, 0),
            (MakeFunction, 0),
            (SetFunctionAttribute, 8),
            (ReturnValue, 0),
        ];
        let analysis = analyse(V3_13, &code, &[]);
        assert_eq!(
            write_policy(&analysis, InstrIdx(3), 0),
            Policy::Fixed(operand(6, "closure"))
        );
        assert_eq!(
            write_policy(&analysis, InstrIdx(4), 0),
            Policy::Fixed(operand(6, "closure"))
        );
        assert_eq!(
            write_policy(&analysis, InstrIdx(5), 1),
            Policy::Fixed(operand(5, "code"))
        );
        assert_eq!(write_policy(&analysis, InstrIdx(7), 0), Policy::Any);
        // The same tuple, merely returned.
        let analysis = analyse(V3_13, &[code[1], code[2], code[3], code[7]], &[]);
        assert_eq!(write_policy(&analysis, InstrIdx(2), 0), Policy::Any);
    }

    #[test]
    fn a_cell_saved_by_an_inlined_comprehension_stays() {
        let code = [
            (Resume, 0),
            (LoadFastAndClear, 0),
            (MakeCell, 0),
            (Nop, 0),
            (StoreFast, 0),
            (LoadConst, 0),
            (ReturnValue, 0),
        ];
        let analysis = analyse(V3_12, &code, &[]);
        let fixed = Policy::Fixed(Reason::Cell { by: InstrIdx(4) });
        assert_eq!(write_policy(&analysis, InstrIdx(3), 0), fixed);
        let mut plain = code;
        plain[2] = (Nop, 0);
        assert_eq!(
            write_policy(&analyse(V3_12, &plain, &[]), InstrIdx(3), 0),
            Policy::Any
        );
    }

    #[test]
    fn handlers_see_what_was_on_the_stack() {
        let code = [
            (Resume, 0),
            (LoadFast, 0),
            (GetIter, 0),
            (Nop, 0), // covered, the iterator stays on the stack
            (PopTop, 0),
            (LoadConst, 0),
            (ReturnValue, 0),
            (PushExcInfo, 0), // [iterator, lasti, exception]
            (PopTop, 0),
            (PopExcept, 0),
            (PopTop, 0),
            (ForIter, 1),
            (ReturnValue, 0),
            (LoadConst, 0),
            (ReturnValue, 0),
        ];
        let analysis = analyse(V3_11, &code, &[(3, 4, 7, 1)]);
        assert_eq!(
            write_policy(&analysis, InstrIdx(3), 0),
            Policy::Iterator(operand(11, "iterator"))
        );
        assert_eq!(write_policy(&analysis, InstrIdx(4), 0), Policy::Any);
        assert_eq!(
            write_policy(&analysis, InstrIdx(7), 2),
            Policy::Exception(operand(7, "exception"))
        );
        assert_eq!(
            write_policy(&analysis, InstrIdx(8), 2),
            Policy::Exception(operand(9, "previous exception"))
        );
        assert_eq!(write_policy(&analysis, InstrIdx(8), 3), Policy::Any);
    }

    #[test]
    fn lasti_is_not_an_ordinary_value() {
        let code = [
            (Resume, 0),
            (Nop, 0),
            (LoadConst, 0),
            (ReturnValue, 0),
            (Copy, 2),
            (PopTop, 0),
            (Reraise, 1),
        ];
        let analysis = analyse(V3_14, &code, &[(1, 2, 4, 0)]);
        assert_eq!(
            write_policy(&analysis, InstrIdx(4), 0),
            Policy::Fixed(operand(6, "lasti"))
        );
        assert_eq!(
            write_policy(&analysis, InstrIdx(4), 1),
            Policy::Exception(operand(6, "exception"))
        );
        assert_eq!(write_policy(&analysis, InstrIdx(5), 2), Policy::Any);
    }

    #[test]
    fn a_value_that_stays_on_the_stack_when_a_jump_is_taken_is_followed() {
        // x or <iterate>
        let code = [
            (Resume, 0),
            (LoadFast, 0),
            (JumpIfTrueOrPop, 1),
            (LoadFast, 1),
            (ForIter, 1),
            (ReturnValue, 0),
            (LoadConst, 0),
            (ReturnValue, 0),
        ];
        let analysis = analyse(V3_11, &code, &[]);
        assert_eq!(
            write_policy(&analysis, InstrIdx(2), 0),
            Policy::Iterator(operand(4, "iterator"))
        );
    }
}
