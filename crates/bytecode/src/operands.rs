//! What instructions take from the value stack and leave on it, slot by slot.
//!
//! The counts follow `_PyOpcode_num_popped` and `_PyOpcode_num_pushed` (`pycore_opcode_metadata.h`, 3.13+): an
//! instruction that only looks at a slot below the top "pops" everything from there up and pushes it
//! back. Tests compare them with those functions wherever an interpreter's headers have them, and with the computed depths over
//! every instruction of each standard library (`tests/corpus.rs`). What a slot is for, what it accepts and where it goes is a
//! reading of `Python/ceval.c` (3.11) and `Python/bytecodes.c` (3.12+) that no test proves instruction by instruction.

mod hidden;
mod policy;
mod shapes;

pub use policy::{Policy, Reason, write_policy};

use smallvec::SmallVec;

use crate::opcode::Opcode;
use crate::version::Version;

/// The slots one instruction takes and leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operands {
    /// The slots taken, bottom first, in groups of equal meaning. Empty groups are left out.
    pub inputs: SmallVec<[Group; 6]>,
    /// Number of slots left in their place when the instruction continues with the next one.
    pub pushes: u64,
}

/// Adjacent slots with one meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// What the slots are to the instruction: `callable`, `args`, `container` … `unused` for what lies between.
    pub role: &'static str,
    /// Number of slots.
    pub count: u64,
    /// What the instruction expects there.
    pub accepts: Accepts,
    /// Where the slots go.
    pub fate: Fate,
}

/// What an instruction can be given in a slot without harm to the interpreter.
///
/// "Without harm" allows exceptions: an operand that fails a check raises `TypeError` or `SystemError`.
/// It forbids what CPython itself only asserts, because a release build would go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Accepts {
    /// Any object.
    Any,
    /// Any object; NULL has a meaning too (`self_or_null`).
    AnyOrNull,
    /// Any object, which becomes part of the object at the instruction's first output slot.
    Element,
    /// An object with the exact type the compiler puts there: its layout is read without a check.
    SameType,
    /// An object whose type has `tp_iternext`.
    Iterator,
    /// An instance of `BaseException`.
    Exception,
    /// Exactly what the compiler put there.
    Fixed,
    /// Exactly what the compiler put there, down to its elements (a closure's cells, a call's keyword names).
    Structure,
}

/// Where an input slot goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// Nowhere: it is consumed.
    Consumed,
    /// It stays in its place.
    Stays,
    /// It stays, and a copy becomes the top of the stack.
    Copied,
    /// It becomes the lowest output.
    Bottom,
    /// It becomes the top of the stack.
    Top,
}

impl Operands {
    /// Number of slots taken.
    pub fn pops(&self) -> u64 {
        self.inputs.iter().map(|group| group.count).sum()
    }

    /// The group that the `index`-th input slot (from the bottom) belongs to.
    pub fn input(&self, mut index: u64) -> Option<&Group> {
        for group in &self.inputs {
            if index < group.count {
                return Some(group);
            }
            index -= group.count;
        }
        None
    }
}

/// The slots that `opcode` with this oparg takes and leaves, or `None` for an undefined opcode.
///
/// For a jump, `pushes` is what it leaves when it does not jump.
///
/// ```
/// use debugop_bytecode::opcode::Opcode;
/// use debugop_bytecode::operands::operands;
/// use debugop_bytecode::version::Version;
///
/// let call = Opcode::by_name(Version::V3_13, "CALL").expect("3.13 has CALL");
/// let call = operands(Version::V3_13, call, 2).expect("it is defined");
/// let roles: Vec<_> = call.inputs.iter().map(|group| (group.role, group.count)).collect();
/// assert_eq!(roles, [("callable", 1), ("self_or_null", 1), ("args", 2)]);
/// assert_eq!(call.pushes, 1);
/// ```
pub fn operands(version: Version, opcode: Opcode, oparg: u32) -> Option<Operands> {
    let info = opcode.info(version)?;
    let shape = shapes::shape(version, info.op, oparg);
    let inputs: SmallVec<[Group; 6]> = shape
        .inputs
        .iter()
        .map(|input| Group {
            role: input.role,
            count: input.count.of(oparg),
            accepts: input.accepts,
            fate: input.fate,
        })
        .filter(|group| group.count > 0)
        .collect();
    let staying: u64 = inputs
        .iter()
        .filter(|group| group.fate != Fate::Consumed)
        .map(|group| group.count)
        .sum();
    Some(Operands {
        inputs,
        pushes: staying + shape.new.of(oparg),
    })
}

#[cfg(test)]
mod tests {
    use super::{Accepts, Fate, operands};
    use crate::opcode::{Flow, Op, OpcodeInfo};
    use crate::version::Version;

    /// Opargs that the compiler may emit. Others make some shapes meaningless.
    fn opargs(op: Op) -> Vec<u32> {
        match op {
            Op::BuildSlice => vec![2, 3],
            Op::Swap => (2..40).collect(),
            Op::Copy
            | Op::ListAppend
            | Op::SetAdd
            | Op::MapAdd
            | Op::ListExtend
            | Op::SetUpdate
            | Op::DictUpdate
            | Op::DictMerge => (1..40).collect(),
            Op::RaiseVarargs => (0..3).collect(),
            Op::MakeFunction | Op::SetFunctionAttribute => (0..16).collect(),
            _ => (0..40).chain([255, 256, 511, 0x0102, 0xffff]).collect(),
        }
    }

    fn net(version: Version, info: &OpcodeInfo, oparg: u32) -> i64 {
        let operands = operands(version, info.opcode, oparg).expect("defined");
        operands.pushes as i64 - operands.pops() as i64
    }

    #[test]
    fn pushes_less_pops_is_the_stack_effect() {
        for version in Version::ALL {
            for info in version.opcodes() {
                if info.flow == Flow::Return {
                    continue; // What is "left" on the stack of a frame that is over is nobody's business.
                }
                for oparg in opargs(info.op) {
                    let expected = i64::from(info.effect.next.of(oparg));
                    assert_eq!(
                        net(version, info, oparg),
                        expected,
                        "{version} {:?} {oparg}",
                        info.op
                    );
                }
            }
        }
    }

    #[test]
    fn moved_slots_are_single() {
        for version in Version::ALL {
            for info in version.opcodes() {
                for oparg in opargs(info.op) {
                    let operands = operands(version, info.opcode, oparg).expect("defined");
                    for group in &operands.inputs {
                        if matches!(group.fate, Fate::Top | Fate::Bottom | Fate::Copied) {
                            assert_eq!(group.count, 1, "{version} {:?}", info.op);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_container_below_the_top_stays() {
        let append = Op::ListAppend.opcode(Version::V3_12).expect("exists");
        let append = operands(Version::V3_12, append, 3).expect("defined");
        let groups: Vec<_> = append
            .inputs
            .iter()
            .map(|g| (g.role, g.count, g.accepts, g.fate))
            .collect();
        assert_eq!(
            groups,
            [
                ("list", 1, Accepts::SameType, Fate::Stays),
                ("unused", 2, Accepts::Any, Fate::Stays),
                ("value", 1, Accepts::Element, Fate::Consumed),
            ]
        );
        assert_eq!(append.input(2).map(|group| group.role), Some("unused"));
        assert_eq!(append.input(3).map(|group| group.role), Some("value"));
        assert_eq!(append.input(4), None);
    }

    #[test]
    fn absurd_opargs_are_only_large() {
        for version in Version::ALL {
            for info in version.opcodes() {
                for oparg in [0, 1, u32::MAX - 1, u32::MAX] {
                    operands(version, info.opcode, oparg).expect("defined");
                }
            }
        }
    }
}
