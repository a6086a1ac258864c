//! Sequences to insert: what is checked of them, and how they are written.

use smallvec::SmallVec;

use crate::error::Error;
use crate::instruction::{needed_prefixes, put};
use crate::opcode::{Flow, JumpKind, Op, Opcode};
use crate::version::Version;

/// What is known of a sequence from its opcodes.
#[derive(Clone, Debug)]
struct Shape {
    opcodes: SmallVec<[Opcode; 8]>,
    /// The most values on the stack, above those it found there.
    height: u32,
    /// Units without prefixes.
    units: u32,
    /// Whether all this holds for any arguments.
    for_any_args: bool,
}

impl Shape {
    /// Of the sequence that does nothing.
    fn empty() -> Self {
        Self {
            opcodes: SmallVec::new(),
            height: 0,
            units: 0,
            for_any_args: true,
        }
    }
}

/// Checks sequences; remembers the last, since a code object's insertions usually differ in arguments only.
#[derive(Debug)]
pub(crate) struct Shapes {
    version: Version,
    last: Shape,
}

impl Shapes {
    pub(crate) fn new(version: Version) -> Self {
        Self {
            version,
            last: Shape::empty(),
        }
    }

    /// The most values a sequence has on the stack, and the code units it takes, prefixes and caches included.
    ///
    /// # Errors
    /// [`Error::Sequence`], [`Error::UnbalancedSequence`].
    #[inline]
    pub(crate) fn measure(&mut self, sequence: &[(Opcode, u32)]) -> Result<(u32, u32), Error> {
        let mut known = self.last.for_any_args && self.last.opcodes.len() == sequence.len();
        let mut prefixes = 0;
        for (&last, &(opcode, arg)) in self.last.opcodes.iter().zip(sequence) {
            known &= last == opcode;
            prefixes += needed_prefixes(arg);
        }
        if !known {
            self.last = examine(self.version, sequence)?;
            prefixes = sequence.iter().map(|&(_, arg)| needed_prefixes(arg)).sum();
        }
        Ok((self.last.height, self.last.units + prefixes))
    }
}

/// Writes a sequence that was measured to zeroed units, from `at` on; returns the unit after it.
#[inline]
pub(crate) fn put_sequence(
    units: &mut [[u8; 2]],
    mut at: usize,
    version: Version,
    sequence: &[(Opcode, u32)],
) -> usize {
    let facts = version.facts();
    for &(opcode, arg) in sequence {
        at += needed_prefixes(arg) as usize;
        put(units, at, version, opcode, arg, needed_prefixes(arg));
        at += 1 + usize::from(facts[usize::from(opcode.0)].caches);
    }
    at
}

fn examine(version: Version, sequence: &[(Opcode, u32)]) -> Result<Shape, Error> {
    let mut shape = Shape {
        opcodes: SmallVec::new(),
        height: 0,
        units: 0,
        for_any_args: true,
    };
    let mut depth = 0i64;
    let mut height = 0;
    for &(opcode, arg) in sequence {
        let info = opcode
            .info(version)
            .filter(|info| {
                info.flow == Flow::Next && info.jump == JumpKind::None && info.op != Op::ExtendedArg
            })
            .ok_or(Error::Sequence {
                opcode: opcode.0,
                version,
            })?;
        depth += i64::from(info.effect.next.of(arg));
        if depth < 0 {
            return Err(Error::UnbalancedSequence { change: depth });
        }
        height = height.max(depth);
        shape.opcodes.push(opcode);
        shape.units += 1 + u32::from(info.caches);
        shape.for_any_args &= info.effect.next.terms.is_empty();
    }
    if depth != 0 {
        return Err(Error::UnbalancedSequence { change: depth });
    }
    shape.height = u32::try_from(height).unwrap_or(u32::MAX);
    Ok(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sequence: &[(Op, u32)]) -> Result<(u32, u32), Error> {
        let version = Version::V3_13;
        let opcode = |op: Op| op.opcode(version).unwrap_or(Opcode::CACHE);
        let sequence: Vec<_> = sequence
            .iter()
            .map(|&(op, arg)| (opcode(op), arg))
            .collect();
        let measured = Shapes::new(version).measure(&sequence)?;
        let mut units = vec![[0; 2]; measured.1 as usize];
        assert_eq!(put_sequence(&mut units, 0, version, &sequence), units.len());
        Ok(measured)
    }

    #[test]
    fn sequences_are_straight_and_balanced() {
        let probe = |constant| {
            check(&[
                (Op::LoadConst, constant),
                (Op::UnaryInvert, 0),
                (Op::PopTop, 0),
            ])
        };
        assert_eq!(probe(255), Ok((1, 3)));
        assert_eq!(probe(256), Ok((1, 4)));
        assert_eq!(check(&[]), Ok((0, 0)));
        assert_eq!(
            check(&[(Op::LoadConst, 0)]),
            Err(Error::UnbalancedSequence { change: 1 })
        );
        assert_eq!(
            check(&[(Op::PopTop, 0)]),
            Err(Error::UnbalancedSequence { change: -1 })
        );
        for op in [Op::JumpForward, Op::ReturnConst, Op::ExtendedArg] {
            assert!(
                matches!(check(&[(op, 0)]), Err(Error::Sequence { .. })),
                "{op:?}"
            );
        }
    }

    #[test]
    fn what_depends_on_arguments_is_examined_anew() {
        let version = Version::V3_13;
        let opcode = |op: Op| op.opcode(version).unwrap_or(Opcode::CACHE);
        let tuple = |items| {
            [
                (opcode(Op::LoadConst), 0),
                (opcode(Op::LoadConst), 1),
                (opcode(Op::BuildTuple), items),
                (opcode(Op::PopTop), 0),
            ]
        };
        let mut shapes = Shapes::new(version);
        assert_eq!(shapes.measure(&tuple(2)), Ok((2, 4)));
        assert_eq!(
            shapes.measure(&tuple(1)),
            Err(Error::UnbalancedSequence { change: 1 })
        );
    }
}
