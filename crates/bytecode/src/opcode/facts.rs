//! What loops over whole code objects ask of an opcode: eight bytes each, so that an instruction set stays in the cache.

use super::{ArgKind, Flow, JumpKind, Op, OpcodeInfo};
use crate::version::Version;

/// The part of an [`OpcodeInfo`] that is needed for every instruction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    /// Meaningless for what is not defined.
    pub(crate) op: Op,
    pub(crate) caches: u8,
    pub(crate) flow: Flow,
    /// In which direction the argument names another instruction, be it by a jump or not.
    pub(crate) reference: JumpKind,
    /// The stack effects' bases.
    next: i8,
    jump: i8,
    bits: u8,
}

const DEFINED: u8 = 1;
const PREFIX: u8 = 2;
const JUMP: u8 = 4;
const BY_ARG: u8 = 8;
const NEIGHBOUR: u8 = 16;

impl Facts {
    const UNDEFINED: Self = Self {
        op: Op::Nop,
        caches: 0,
        flow: Flow::Next,
        reference: JumpKind::None,
        next: 0,
        jump: 0,
        bits: 0,
    };

    const fn of(info: &OpcodeInfo) -> Self {
        let mut bits = DEFINED;
        if matches!(info.op, Op::ExtendedArg) {
            bits |= PREFIX;
        }
        if !matches!(info.jump, JumpKind::None) {
            bits |= JUMP;
        }
        let (next, jump) = (info.effect.next, info.effect.jump);
        if !next.terms.is_empty() || !jump.terms.is_empty() {
            bits |= BY_ARG;
        }
        if is_neighbour(info.op) {
            bits |= NEIGHBOUR;
        }
        assert!(next.base as i8 as i32 == next.base && jump.base as i8 as i32 == jump.base);
        Self {
            op: info.op,
            caches: info.caches,
            flow: info.flow,
            reference: match info.arg {
                ArgKind::JumpOrigin => JumpKind::Backward,
                _ => info.jump,
            },
            next: next.base as i8,
            jump: jump.base as i8,
            bits,
        }
    }

    #[inline]
    pub(crate) fn is_defined(&self) -> bool {
        self.bits & DEFINED != 0
    }

    /// Whether it is `EXTENDED_ARG`.
    #[inline]
    pub(crate) fn is_prefix(&self) -> bool {
        self.bits & PREFIX != 0
    }

    #[inline]
    pub(crate) fn jumps(&self) -> bool {
        self.bits & JUMP != 0
    }

    /// Whether places at it and right after it are out of the ordinary.
    #[inline]
    pub(crate) fn is_neighbour(&self) -> bool {
        self.bits & NEIGHBOUR != 0
    }

    /// The stack effects of going on and of jumping; `None` where they depend on the argument.
    #[inline]
    pub(crate) fn effects(&self) -> Option<(i32, i32)> {
        (self.bits & BY_ARG == 0).then_some((i32::from(self.next), i32::from(self.jump)))
    }
}

/// The opcodes that [`forbidden`](crate::forbidden), [`sites`](crate::sites()) and [`insert`](crate::insert()) treat specially,
/// or whose successors they do.
const fn is_neighbour(op: Op) -> bool {
    matches!(
        op,
        Op::EndAsyncFor
            | Op::EndFor
            | Op::JumpBackwardNoInterrupt
            | Op::KwNames
            | Op::LoadSpecial
            | Op::NotTaken
            | Op::Precall
            | Op::Resume
            | Op::Send
    )
}

pub(super) const fn by_number(opcodes: &[OpcodeInfo]) -> [Facts; 256] {
    let mut facts = [Facts::UNDEFINED; 256];
    let mut i = 0;
    while i < opcodes.len() {
        facts[opcodes[i].opcode.0 as usize] = Facts::of(&opcodes[i]);
        i += 1;
    }
    facts
}

impl Version {
    /// Facts by opcode number.
    #[inline]
    pub(crate) fn facts(self) -> &'static [Facts; 256] {
        &self.table().facts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::opcode::Opcode;

    #[test]
    fn facts_are_those_of_the_table() {
        for version in Version::ALL {
            for number in 0..=255 {
                let facts = version.facts()[usize::from(number)];
                let Some(info) = Opcode(number).info(version) else {
                    assert!(!facts.is_defined());
                    continue;
                };
                assert!(facts.is_defined());
                assert_eq!(
                    (facts.op, facts.caches, facts.flow),
                    (info.op, info.caches, info.flow)
                );
                assert_eq!(facts.jumps(), info.jump != JumpKind::None);
                assert_eq!(facts.is_prefix(), info.op == Op::ExtendedArg);
                for arg in [0, 1, 2, 3, 77] {
                    let effects = (info.effect.next.of(arg), info.effect.jump.of(arg));
                    assert_eq!(facts.effects().unwrap_or(effects), effects);
                }
            }
        }
    }
}
