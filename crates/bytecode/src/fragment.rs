//! Pieces of code to insert that branch: labels, and exception handlers of their own.
//!
//! A fragment is entered at its first instruction and left by going past its last one, with the stack as it found it. Jumps go forward
//! and stay inside; [`Builder::end`] names the place behind it.

use crate::error::Error;
use crate::instruction::needed_prefixes;
use crate::opcode::{Flow, JumpKind, Op, Opcode};
use crate::version::Version;

/// Instructions whose exceptions a fragment handles itself. Counted in code units from the fragment's first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protected {
    /// The first one.
    pub start: u32,
    /// Past the last one.
    pub end: u32,
    /// The handler: entered with the exception on top of the stack that the fragment found.
    pub target: u32,
}

/// What makes an [`Insertion`](crate::Insertion) more than straight-line code.
#[derive(Clone, Copy, Debug, Default)]
pub struct Branches<'a> {
    /// In the order of their starts; they do not overlap.
    pub protected: &'a [Protected],
    /// Only jumps and handlers enter it: what falls through from the instruction before jumps over it. For [`Place::Before`](crate::Place)
    /// only.
    pub skips_fall_through: bool,
}

/// Instructions with the distances of their jumps filled in, and what they protect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fragment {
    /// As [`Insertion::sequence`](crate::Insertion::sequence).
    pub sequence: Vec<(Opcode, u32)>,
    /// As [`Branches::protected`].
    pub protected: Vec<Protected>,
}

/// A place in a fragment that is being built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label(usize);

#[derive(Clone, Copy, Debug)]
enum Arg {
    Plain(u32),
    To(Label),
}

/// Builds fragments.
#[derive(Clone, Debug)]
pub struct Builder {
    version: Version,
    items: Vec<(Opcode, Arg)>,
    /// The item that each label stands before.
    labels: Vec<Option<usize>>,
    protected: Vec<[Label; 3]>,
}

impl Builder {
    /// An empty fragment.
    pub fn new(version: Version) -> Self {
        Self {
            version,
            items: Vec::new(),
            labels: vec![None],
            protected: Vec::new(),
        }
    }

    /// The place behind the fragment.
    pub fn end(&self) -> Label {
        Label(0)
    }

    /// A label that stands nowhere yet.
    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// Puts `label` before what comes next.
    pub fn bind(&mut self, label: Label) {
        self.labels[label.0] = Some(self.items.len());
    }

    /// A new label before what comes next.
    pub fn here(&mut self) -> Label {
        let label = self.label();
        self.bind(label);
        label
    }

    /// Appends an instruction.
    pub fn opcode(&mut self, opcode: Opcode, arg: u32) {
        self.items.push((opcode, Arg::Plain(arg)));
    }

    /// Appends an instruction by its name.
    ///
    /// # Errors
    /// [`Error::Sequence`]: this version has none of that name.
    pub fn op(&mut self, op: Op, arg: u32) -> Result<(), Error> {
        self.opcode(known(self.version, op)?, arg);
        Ok(())
    }

    /// Appends a jump.
    pub fn jump_opcode(&mut self, opcode: Opcode, to: Label) {
        self.items.push((opcode, Arg::To(to)));
    }

    /// Appends a jump by its name.
    ///
    /// # Errors
    /// As for [`op`](Self::op).
    pub fn jump(&mut self, op: Op, to: Label) -> Result<(), Error> {
        self.jump_opcode(known(self.version, op)?, to);
        Ok(())
    }

    /// Exceptions raised between `start` and `end` are handled at `target`. To be called in the order of the starts.
    pub fn protect(&mut self, start: Label, end: Label, target: Label) {
        self.protected.push([start, end, target]);
    }

    /// Measures everything.
    ///
    /// # Errors
    /// [`Error::FragmentJump`]: a label stands nowhere, or before the jump to it.
    pub fn finish(mut self) -> Result<Fragment, Error> {
        self.labels[0] = Some(self.items.len());
        let facts = self.version.facts();
        let mut args: Vec<u32> = self
            .items
            .iter()
            .map(|item| if let Arg::Plain(arg) = item.1 { arg } else { 0 })
            .collect();
        // Arguments grow until nothing does; a jump has at most three prefixes.
        loop {
            let starts = self.starts(&args);
            let mut settled = true;
            for (index, &(opcode, arg)) in self.items.iter().enumerate() {
                let Arg::To(label) = arg else { continue };
                let caches = u32::from(facts[usize::from(opcode.0)].caches);
                let end = starts[index] + needed_prefixes(args[index]) + 1 + caches;
                let target = self.at(label)?;
                let distance = starts[target].checked_sub(end).ok_or(Error::FragmentJump)?;
                if distance != args[index] {
                    // Never shorter, so that it comes to an end.
                    settled &= needed_prefixes(distance) <= needed_prefixes(args[index]);
                    args[index] = distance;
                }
            }
            if settled {
                break;
            }
        }
        let starts = self.starts(&args);
        let place = |label| self.at(label).map(|item| starts[item]);
        let protected = self
            .protected
            .iter()
            .map(|&[start, end, target]| {
                Ok(Protected {
                    start: place(start)?,
                    end: place(end)?,
                    target: place(target)?,
                })
            })
            .collect::<Result<_, Error>>()?;
        let opcodes = self.items.iter().map(|item| item.0);
        Ok(Fragment {
            sequence: opcodes.zip(args).collect(),
            protected,
        })
    }

    fn at(&self, label: Label) -> Result<usize, Error> {
        self.labels[label.0].ok_or(Error::FragmentJump)
    }

    /// The first unit of each item, and of what is behind.
    fn starts(&self, args: &[u32]) -> Vec<u32> {
        let opcodes = self.items.iter().map(|item| item.0);
        starts(self.version, opcodes.zip(args.iter().copied()))
    }
}

fn known(version: Version, op: Op) -> Result<Opcode, Error> {
    op.opcode(version)
        .ok_or(Error::Sequence { opcode: 0, version })
}

fn starts(version: Version, sequence: impl Iterator<Item = (Opcode, u32)>) -> Vec<u32> {
    let facts = version.facts();
    let mut starts = vec![0];
    let mut unit = 0;
    for (opcode, arg) in sequence {
        unit += needed_prefixes(arg) + 1 + u32::from(facts[usize::from(opcode.0)].caches);
        starts.push(unit);
    }
    starts
}

/// The most values that a fragment has on the stack above those it found there, and its code units.
///
/// # Errors
/// [`Error::Sequence`]: an instruction leaves the frame or suspends it; [`Error::FragmentJump`]: one jumps backwards or out;
/// [`Error::UnbalancedSequence`]: two ways to one place, or to the end, leave different depths.
pub(crate) fn measure(
    version: Version,
    sequence: &[(Opcode, u32)],
    branches: &Branches<'_>,
) -> Result<(u32, u32), Error> {
    let starts = starts(version, sequence.iter().copied());
    let index = |unit: u32| starts.binary_search(&unit).map_err(|_| Error::FragmentJump);
    let mut depths: Vec<Option<i64>> = vec![None; sequence.len() + 1];
    let mut height = 0;
    let mut reach = |depths: &mut Vec<Option<i64>>, at: usize, depth: i64| match depths[at] {
        _ if depth < 0 => Err(Error::UnbalancedSequence { change: depth }),
        Some(known) if known != depth => Err(Error::UnbalancedSequence {
            change: depth - known,
        }),
        _ => {
            height = height.max(depth);
            depths[at] = Some(depth);
            Ok(())
        }
    };
    reach(&mut depths, 0, 0)?;
    // Everything goes forward, so one pass sees each instruction after all that lead to it.
    for (at, &(opcode, arg)) in sequence.iter().enumerate() {
        let Some(depth) = depths[at] else { continue };
        let refused = Error::Sequence {
            opcode: opcode.0,
            version,
        };
        let info = opcode
            .info(version)
            .filter(|info| info.op != Op::ExtendedArg);
        let info = info.ok_or(refused)?;
        for one in branches.protected {
            if (one.start..one.end).contains(&starts[at]) {
                let target = index(one.target)?;
                if target <= at {
                    return Err(Error::FragmentJump);
                }
                reach(&mut depths, target, 1)?;
            }
        }
        if info.jump == JumpKind::Forward {
            let target = index(starts[at + 1].saturating_add(arg))?;
            reach(
                &mut depths,
                target,
                depth + i64::from(info.effect.jump.of(arg)),
            )?;
        } else if info.jump == JumpKind::Backward {
            return Err(Error::FragmentJump);
        }
        match info.flow {
            Flow::Next | Flow::Conditional => {
                reach(
                    &mut depths,
                    at + 1,
                    depth + i64::from(info.effect.next.of(arg)),
                )?;
            }
            Flow::Jump => {}
            Flow::Return | Flow::Yield | Flow::Raise => return Err(refused),
        }
    }
    if let Some(change @ 1..) = depths[sequence.len()] {
        return Err(Error::UnbalancedSequence { change });
    }
    for one in branches.protected {
        index(one.start)?;
        index(one.end)?;
    }
    let units = starts.last().copied().unwrap_or(0);
    Ok((u32::try_from(height).unwrap_or(u32::MAX), units))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test panics")]
mod tests {
    use super::*;

    /// `if constant 1 (or raises): UNARY_INVERT constant 2`, `padding` instructions long.
    fn conditional(version: Version, padding: u32) -> Fragment {
        let mut builder = Builder::new(version);
        let (end, handler) = (builder.end(), builder.label());
        let start = builder.here();
        builder.op(Op::LoadConst, 1).unwrap();
        for _ in 0..padding {
            builder.op(Op::Nop, 0).unwrap();
        }
        let false_jump = match version {
            Version::V3_11 => Op::PopJumpForwardIfFalse,
            _ => Op::PopJumpIfFalse,
        };
        builder.jump(false_jump, end).unwrap();
        let after = builder.here();
        builder.op(Op::LoadConst, 2).unwrap();
        builder.op(Op::PopTop, 0).unwrap();
        builder.jump(Op::JumpForward, end).unwrap();
        builder.bind(handler);
        for _ in 0..padding {
            builder.op(Op::Nop, 0).unwrap();
        }
        builder.op(Op::PopTop, 0).unwrap();
        builder.protect(start, after, handler);
        builder.finish().unwrap()
    }

    #[test]
    fn labels_become_distances_however_far() {
        for version in Version::ALL {
            for padding in [0, 1, 250, 252, 254, 255, 256, 70_000] {
                let fragment = conditional(version, padding);
                let branches = Branches {
                    protected: &fragment.protected,
                    ..Branches::default()
                };
                let (height, units) = measure(version, &fragment.sequence, &branches).unwrap();
                assert_eq!(height, 1, "{version} {padding}");
                let starts = starts(version, fragment.sequence.iter().copied());
                assert_eq!(starts.last(), Some(&units));
                let protected = fragment.protected[0];
                assert_eq!(protected.start, 0);
                assert!(protected.end < protected.target && protected.target < units);
            }
        }
    }

    #[test]
    fn what_leaves_or_loses_count_is_refused() {
        let version = Version::V3_13;
        let check = |items: &[(Op, u32)]| {
            let sequence: Vec<_> = items
                .iter()
                .map(|&(op, arg)| (op.opcode(version).unwrap(), arg))
                .collect();
            measure(version, &sequence, &Branches::default())
        };
        assert!(matches!(
            check(&[(Op::LoadConst, 0), (Op::ReturnValue, 0)]),
            Err(Error::Sequence { .. })
        ));
        assert_eq!(
            check(&[(Op::JumpForward, 1)]),
            Err(Error::FragmentJump),
            "out of the fragment"
        );
        assert_eq!(check(&[(Op::JumpBackward, 2)]), Err(Error::FragmentJump));
        assert_eq!(
            check(&[(Op::LoadConst, 0), (Op::JumpForward, 0)]),
            Err(Error::UnbalancedSequence { change: 1 })
        );
        assert_eq!(
            check(&[
                (Op::LoadConst, 0),
                (Op::PopJumpIfFalse, 1),
                (Op::LoadConst, 0),
                (Op::Nop, 0)
            ]),
            Err(Error::UnbalancedSequence { change: 1 })
        );
    }

    #[test]
    fn a_label_must_stand_ahead() {
        let mut builder = Builder::new(Version::V3_13);
        let nowhere = builder.label();
        builder.jump(Op::JumpForward, nowhere).unwrap();
        assert_eq!(builder.finish(), Err(Error::FragmentJump));
        let mut builder = Builder::new(Version::V3_13);
        let behind = builder.here();
        builder.op(Op::Nop, 0).unwrap();
        builder.jump(Op::JumpForward, behind).unwrap();
        assert_eq!(builder.finish(), Err(Error::FragmentJump));
    }
}
