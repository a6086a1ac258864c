//! What may be written into a slot of the value stack while a program runs.
//!
//! The interpreter trusts what the compiler arranged: `FOR_ITER` calls `tp_iternext` of whatever it
//! finds, `LIST_APPEND` takes its container for a list. So before a debugger replaces a value, the slot is
//! followed along the control flow to every instruction that will look at it.

use rustc_hash::FxHashSet;

use super::hidden::{self, Callee, Variable};
use super::{Accepts, Fate, Group, Operands, operands};
use crate::analysis::{Analysis, InstrIdx};
use crate::opcode::{Flow, Op, OpcodeInfo};
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
        variables: FxHashSet::default(),
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
    variables: FxHashSet<Variable>,
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
        let is_free = matches!(
            group.accepts,
            Accepts::Any | Accepts::AnyOrNull | Accepts::Element
        );
        let demand = match group.accepts {
            Accepts::Structure => Policy::Fixed(reason),
            _ if place.part => return,
            _ if is_free && matches!(info.op, Op::Call | Op::Precall) => {
                match hidden::callee(self.analysis, place.at, info.op) {
                    Callee::Comprehension if self.is_top(place) => {
                        Policy::Iterator(Reason::Operand {
                            by: place.at,
                            role: "iterator",
                        })
                    }
                    Callee::TypeParameters if group.role != "callable" => {
                        Policy::SameType(Reason::Operand {
                            by: place.at,
                            role: "defaults",
                        })
                    }
                    _ if group.accepts == Accepts::AnyOrNull => Policy::AnyOrNull,
                    _ => Policy::Any,
                }
            }
            Accepts::Any if group.fate != Fate::Consumed => return,
            Accepts::Any | Accepts::Element => match hidden::stored(info.op, oparg, group.role) {
                // An inlined comprehension saves a cell on the stack and puts it back with STORE_FAST; whoever
                // reads the variable later takes it for a cell.
                Some(Variable::Local(local)) if hidden::is_cell(self.analysis, local) => {
                    Policy::Fixed(Reason::Cell { by: place.at })
                }
                Some(variable) => {
                    self.follow_variable(variable);
                    Policy::Any
                }
                None => Policy::Any,
            },
            Accepts::AnyOrNull => Policy::AnyOrNull,
            Accepts::Exception => Policy::Exception(reason),
            Accepts::Iterator => Policy::Iterator(reason),
            Accepts::SameType => Policy::SameType(reason),
            Accepts::Fixed => Policy::Fixed(reason),
        };
        self.policy = Some(self.policy.map_or(demand, |known| known.and(demand)));
    }

    fn is_top(&self, place: Place) -> bool {
        self.analysis
            .depth(place.at)
            .is_some_and(|depth| depth == place.slot + 1)
    }

    /// Goes on at every instruction that loads a variable.
    fn follow_variable(&mut self, variable: Variable) {
        if !self.variables.insert(variable) {
            return;
        }
        for (load, slot) in hidden::loads(self.analysis, variable) {
            self.reach(Place {
                at: InstrIdx(load.0 + 1),
                slot,
                part: false,
            });
        }
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
mod tests;
