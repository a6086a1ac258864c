//! What loops over whole code objects ask of an opcode: sixteen bytes each, so that an instruction set stays in the cache.

use super::{ArgKind, Flow, JumpKind, Op, OpcodeInfo, Term};
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
    /// The only term of the effect of going on, a [`Term::Bits`].
    shift: u8,
    scale: i8,
    mask: u32,
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
        shift: 0,
        scale: 0,
        mask: 0,
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
        let (mut shift, mut scale, mut mask) = (0, 0, 0);
        match *next.terms {
            [] if jump.terms.is_empty() => {}
            [
                Term::Bits {
                    shift: one,
                    mask: two,
                    scale: three @ -128..128,
                },
            ] if matches!(info.jump, JumpKind::None) => {
                (shift, mask, scale) = (one, two, three as i8);
            }
            _ => bits |= BY_ARG,
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
            shift,
            scale,
            mask,
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

    /// The stack effects of going on and, if it [jumps](Self::jumps), of jumping; `None` where that is not simple.
    #[inline]
    pub(crate) fn effects(&self, arg: u32) -> Option<(i64, i64)> {
        if self.bits & BY_ARG != 0 {
            return None;
        }
        let field = i64::from((arg >> self.shift) & self.mask);
        Some((
            i64::from(self.next) + field * i64::from(self.scale),
            i64::from(self.jump),
        ))
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
                for arg in [0, 1, 2, 3, 77, 0x1_0203] {
                    let (next, jump) = (info.effect.next.of(arg), info.effect.jump.of(arg));
                    let effects = facts.effects(arg);
                    let [simple_next, simple_jump] =
                        effects.map_or([None; 2], |effects| [Some(effects.0), Some(effects.1)]);
                    assert_eq!(simple_next.unwrap_or(next.into()), next.into());
                    if facts.jumps() {
                        assert_eq!(simple_jump.unwrap_or(jump.into()), jump.into());
                    }
                }
            }
        }
    }
}
