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

/// The argument of a sequence's first instruction, when `more` is added to it.
#[inline]
fn first_arg(sequence: &[(Opcode, u32)], more: u32) -> u32 {
    sequence
        .first()
        .map_or(0, |first| first.1.saturating_add(more))
}

/// Checks sequences; remembers the last, since a code object's insertions usually differ in arguments only.
#[derive(Debug)]
pub(crate) struct Shapes<'a> {
    version: Version,
    last: Shape,
    /// The very sequence that was measured last, if the outcome holds for it with any first argument.
    same: Option<&'a [(Opcode, u32)]>,
    /// Units that it takes, without prefixes of the first instruction.
    units: u32,
}

impl<'a> Shapes<'a> {
    pub(crate) fn new(version: Version) -> Self {
        Self {
            version,
            last: Shape::empty(),
            same: None,
            units: 0,
        }
    }

    /// The most values a sequence has on the stack, and the code units it takes, prefixes and caches included. `first` is added to
    /// the argument of its first instruction.
    ///
    /// # Errors
    /// [`Error::Sequence`], [`Error::UnbalancedSequence`].
    #[inline]
    pub(crate) fn measure(
        &mut self,
        sequence: &'a [(Opcode, u32)],
        first: u32,
    ) -> Result<(u32, u32), Error> {
        if !self.same.is_some_and(|same| std::ptr::eq(same, sequence)) {
            self.look_at(sequence, first)?;
        }
        let prefixes = needed_prefixes(first_arg(sequence, first));
        Ok((self.last.height, self.units + prefixes))
    }

    fn look_at(&mut self, sequence: &'a [(Opcode, u32)], first: u32) -> Result<(), Error> {
        let opcodes = sequence.iter().map(|one| &one.0);
        let known = self.last.for_any_args && opcodes.eq(&self.last.opcodes);
        if !known {
            self.last = examine(self.version, sequence, first)?;
        }
        let others = sequence.iter().skip(1);
        self.units = self.last.units + others.map(|one| needed_prefixes(one.1)).sum::<u32>();
        self.same = self.last.for_any_args.then_some(sequence);
        Ok(())
    }
}

/// Writes sequences that were measured; remembers the last.
#[derive(Debug)]
pub(crate) struct Sequences<'a> {
    version: Version,
    same: Option<&'a [(Opcode, u32)]>,
    /// What follows the unit of its first opcode.
    rest: SmallVec<[[u8; 2]; 8]>,
}

impl<'a> Sequences<'a> {
    pub(crate) fn new(version: Version) -> Self {
        Self {
            version,
            same: None,
            rest: SmallVec::new(),
        }
    }

    /// Writes a sequence to zeroed units, from `at` on; returns the unit after it. `first` is added to the argument of its first
    /// instruction.
    #[inline]
    pub(crate) fn put(
        &mut self,
        units: &mut [[u8; 2]],
        at: usize,
        sequence: &'a [(Opcode, u32)],
        first: u32,
    ) -> usize {
        let Some(&(opcode, _)) = sequence.first() else {
            return at;
        };
        if !self.same.is_some_and(|same| std::ptr::eq(same, sequence)) {
            self.encode(sequence);
        }
        let arg = first_arg(sequence, first);
        let prefixes = needed_prefixes(arg);
        let at = at + prefixes as usize;
        put(units, at, self.version, opcode, arg, prefixes);
        let end = at + 1 + self.rest.len();
        match (&mut units[at + 1..end], self.rest.as_slice()) {
            // As a probe has it: not worth a call of `memcpy`.
            ([one, two], &[first, second]) => (*one, *two) = (first, second),
            (units, rest) => units.copy_from_slice(rest),
        }
        end
    }

    fn encode(&mut self, sequence: &'a [(Opcode, u32)]) {
        let facts = self.version.facts();
        self.rest.clear();
        for (number, &(opcode, arg)) in sequence.iter().enumerate() {
            if number > 0 {
                let prefixes = needed_prefixes(arg) as usize;
                let at = self.rest.len() + prefixes;
                self.rest.resize(at + 1, [0; 2]);
                put(
                    &mut self.rest,
                    at,
                    self.version,
                    opcode,
                    arg,
                    prefixes as u32,
                );
            }
            let caches = usize::from(facts[usize::from(opcode.0)].caches);
            self.rest.resize(self.rest.len() + caches, [0; 2]);
        }
        self.same = Some(sequence);
    }
}

/// `first` is added to the argument of the first instruction.
fn examine(version: Version, sequence: &[(Opcode, u32)], first: u32) -> Result<Shape, Error> {
    let mut shape = Shape {
        opcodes: SmallVec::new(),
        height: 0,
        units: 0,
        for_any_args: true,
    };
    let mut depth = 0i64;
    let mut height = 0;
    for (number, &(opcode, arg)) in sequence.iter().enumerate() {
        let arg = match number {
            0 => first_arg(sequence, first),
            _ => arg,
        };
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
        let measured = Shapes::new(version).measure(&sequence, 0)?;
        let mut units = vec![[0; 2]; measured.1 as usize];
        let end = Sequences::new(version).put(&mut units, 0, &sequence, 0);
        assert_eq!(end, units.len());
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
        let (two, one) = (tuple(2), tuple(1));
        let mut shapes = Shapes::new(version);
        assert_eq!(shapes.measure(&two, 0), Ok((2, 4)));
        assert_eq!(
            shapes.measure(&one, 0),
            Err(Error::UnbalancedSequence { change: 1 })
        );
    }

    #[test]
    fn a_shared_sequence_is_as_good_as_one_of_its_own() {
        let version = Version::V3_13;
        let opcode = |op: Op| op.opcode(version).unwrap_or(Opcode::CACHE);
        // The others have a prefix and caches.
        let sequence = |constant| {
            [
                (opcode(Op::LoadConst), constant),
                (opcode(Op::LoadConst), 300),
                (opcode(Op::BinaryOp), 0),
                (opcode(Op::PopTop), 0),
            ]
        };
        let shared = sequence(5);
        let (mut shapes, mut sequences) = (Shapes::new(version), Sequences::new(version));
        for first in [0, 1, 250, 251, 65_530, 65_531, 1 << 24, 250] {
            let own = sequence(5 + first);
            let measured = Shapes::new(version).measure(&own, 0);
            assert_eq!(shapes.measure(&shared, first), measured);
            let mut expected = vec![[0; 2]; 12];
            let end = Sequences::new(version).put(&mut expected, 1, &own, 0);
            let mut written = vec![[0; 2]; 12];
            assert_eq!(sequences.put(&mut written, 1, &shared, first), end);
            assert_eq!(written, expected);
        }
    }
}
