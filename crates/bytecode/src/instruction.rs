//! Instructions: code units with their `EXTENDED_ARG` prefixes and inline caches folded in.

use crate::analysis::flag;
use crate::error::Error;
use crate::opcode::{ArgKind, JumpKind, Op, Opcode, OpcodeInfo};
use crate::starts::Starts;
use crate::version::Version;

/// The longest `co_code` and the longest tables that are read, in bytes: four times a million instructions' code. What is
/// kept of a code object takes about ten times its bytes.
pub const MAX_CODE: usize = 1 << 24;

/// The longest code that insertions may lead to, in bytes. Offsets stay within 32 bits with every prefix that they may need.
pub const MAX_GROWN: usize = 1 << 28;

/// The largest `co_stacksize` that is taken for meant, in slots.
pub const MAX_STACK: u32 = 1 << 20;

/// One instruction. Offsets are byte offsets in `co_code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Of the first `EXTENDED_ARG` prefix; equal to `offset` without prefixes. Jumps land here.
    pub start: u32,
    /// Of the unit that holds the opcode, as in `dis.Instruction.offset`.
    pub offset: u32,
    /// The argument with its prefixes applied. Raw: a jump's is a distance in code units.
    pub arg: u32,
    /// Of the instruction itself, never `EXTENDED_ARG` or `CACHE`.
    pub opcode: Opcode,
    /// Inline cache entries that follow, in code units.
    pub caches: u8,
}

impl Instruction {
    /// Byte offset after the inline caches, where the next instruction starts.
    #[inline]
    pub fn end(&self) -> u32 {
        self.offset + 2 + 2 * u32::from(self.caches)
    }

    /// Number of `EXTENDED_ARG` prefixes, 0 to 3.
    #[inline]
    pub fn prefixes(&self) -> u32 {
        (self.offset - self.start) / 2
    }

    /// Where a jump lands: the [`start`](Self::start) of the target instruction. `None` for an instruction that does not jump,
    /// and for a distance that leaves the 32-bit range.
    pub fn jump_target(&self, version: Version) -> Option<u32> {
        let target = distance_end(self, self.opcode.info(version)?.jump)?;
        u32::try_from(target).ok()
    }
}

/// The byte offset a jump of the given kind names, or `None` for other instructions.
pub(crate) fn distance_end(instruction: &Instruction, jump: JumpKind) -> Option<i64> {
    let bytes = i64::from(instruction.arg) * 2;
    match jump {
        JumpKind::None => None,
        JumpKind::Forward => Some(i64::from(instruction.end()) + bytes),
        JumpKind::Backward => Some(i64::from(instruction.end()) - bytes),
    }
}

/// The byte offset an instruction's argument refers to, jump or not: `END_ASYNC_FOR` (3.14+) names the instruction that
/// it ends.
pub(crate) fn reference(instruction: &Instruction, info: &OpcodeInfo) -> Option<i64> {
    match info.arg {
        ArgKind::JumpOrigin => distance_end(instruction, JumpKind::Backward),
        _ => distance_end(instruction, info.jump),
    }
}

/// Decodes `co_code`, strictly: what is accepted is rebuilt bit by bit by [`assemble`], and every jump lands on the start of
/// an instruction.
///
/// # Errors
/// [`Error::OddLength`], [`Error::TooLong`], [`Error::UndefinedOpcode`], [`Error::Cache`], [`Error::DanglingPrefix`],
/// [`Error::TooManyPrefixes`], [`Error::JumpTarget`].
pub fn decode(version: Version, code: &[u8]) -> Result<Vec<Instruction>, Error> {
    let mut decoded = Decoded::new(version, code)?;
    decoded.resolve(version)?;
    Ok(decoded.instructions)
}

/// The instructions of a code object, and what is seen on the way to them.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) instructions: Vec<Instruction>,
    /// Of each instruction; only [`flag::NEIGHBOUR`] is known so far.
    pub(crate) flags: Vec<u8>,
    pub(crate) starts: Starts,
    /// Pairs of indices: instructions whose argument names another one, in order, and that one.
    pub(crate) references: Vec<(u32, u32)>,
}

impl Decoded {
    /// Decodes everything; what arguments refer to is [resolved](Self::resolve) afterwards.
    pub(crate) fn new(version: Version, code: &[u8]) -> Result<Self, Error> {
        let (units, rest) = code.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(Error::OddLength { length: code.len() });
        }
        if code.len() > MAX_CODE {
            return Err(Error::TooLong {
                length: code.len(),
                most: MAX_CODE,
            });
        }
        let facts = version.facts();
        let mut instructions = Vec::with_capacity(units.len());
        let mut flags = Vec::with_capacity(units.len());
        let mut starts = Starts::new(units.len() as u32);
        let mut references = Vec::with_capacity(units.len() / 16);
        let mut start = 0;
        while let Some(&[opcode, low]) = units.get(start) {
            let mut unit = start;
            let mut arg = u32::from(low);
            let mut opcode = Opcode(opcode);
            let mut known = &facts[usize::from(opcode.0)];
            if known.is_prefix() {
                (unit, opcode, arg) = prefixed(units, start, opcode)?;
                known = &facts[usize::from(opcode.0)];
            }
            let offset = unit as u32 * 2;
            if !known.is_defined() {
                return Err(Error::UndefinedOpcode {
                    offset,
                    opcode: opcode.0,
                    version,
                });
            }
            let end = unit + 1 + usize::from(known.caches);
            if !has_caches(units, unit + 1, known.caches) {
                return Err(Error::Cache {
                    offset,
                    expected: known.caches,
                });
            }
            if known.reference != JumpKind::None {
                references.push((instructions.len() as u32, 0));
            }
            flags.push(if known.is_neighbour() {
                flag::NEIGHBOUR
            } else {
                0
            });
            starts.push(start as u32, instructions.len() as u32);
            instructions.push(Instruction {
                start: start as u32 * 2,
                offset,
                arg,
                opcode,
                caches: known.caches,
            });
            start = end;
        }
        instructions.shrink_to_fit();
        flags.shrink_to_fit();
        Ok(Self {
            starts,
            instructions,
            flags,
            references,
        })
    }

    /// Finds what the arguments refer to.
    ///
    /// # Errors
    /// [`Error::JumpTarget`].
    pub(crate) fn resolve(&mut self, version: Version) -> Result<(), Error> {
        let facts = version.facts();
        for (from, to) in &mut self.references {
            let instruction = &self.instructions[*from as usize];
            let kind = facts[usize::from(instruction.opcode.0)].reference;
            if let Some(target) = distance_end(instruction, kind) {
                *to = self.starts.at_byte(target).ok_or(Error::JumpTarget {
                    offset: instruction.offset,
                    target,
                })?;
            }
        }
        Ok(())
    }
}

/// Whether so many zeroed units stand at `at`.
#[inline]
fn has_caches(units: &[[u8; 2]], at: usize, count: u8) -> bool {
    /// As many as are looked at together.
    const WINDOW: usize = 8;
    let from = units.get(at..).unwrap_or_default();
    if usize::from(count) <= WINDOW
        && let Some(window) = from.first_chunk::<WINDOW>()
    {
        // Without a loop, whose length the processor would have to guess.
        let window = u128::from_le_bytes(*window.as_flattened().first_chunk().unwrap_or(&[0; 16]));
        let beyond = u128::MAX.checked_shl(16 * u32::from(count)).unwrap_or(0);
        return window & !beyond == 0;
    }
    from.get(..usize::from(count))
        .is_some_and(|caches| caches.iter().all(|cache| *cache == [0, 0]))
}

/// The unit, the opcode and the argument of the instruction whose `EXTENDED_ARG` prefixes start at a unit.
#[cold]
fn prefixed(
    units: &[[u8; 2]],
    start: usize,
    extended: Opcode,
) -> Result<(usize, Opcode, u32), Error> {
    let offset = start as u32 * 2;
    let mut arg = 0;
    for (unit, &[opcode, low]) in units.iter().enumerate().skip(start) {
        arg = arg << 8 | u32::from(low);
        if opcode != extended.0 {
            return Ok((unit, Opcode(opcode), arg));
        }
        if unit - start == 3 {
            return Err(Error::TooManyPrefixes { offset });
        }
    }
    Err(Error::DanglingPrefix { offset })
}

/// Writes instructions one after the other with exactly their [`prefixes`](Instruction::prefixes), caches zeroed.
/// Offsets are not consulted otherwise.
pub fn assemble(version: Version, instructions: &[Instruction]) -> Vec<u8> {
    let mut code = Vec::with_capacity(instructions.len() * 6);
    for instruction in instructions {
        push(
            &mut code,
            version,
            instruction.opcode,
            instruction.arg,
            instruction.prefixes(),
            instruction.caches,
        );
    }
    code
}

/// Appends one instruction.
#[inline]
pub(crate) fn push(
    code: &mut Vec<u8>,
    version: Version,
    opcode: Opcode,
    arg: u32,
    prefixes: u32,
    caches: u8,
) {
    if prefixes > 0 {
        let extended = extended_arg(version);
        for shift in (1..=prefixes).rev() {
            code.extend([extended.0, (arg >> (8 * shift)) as u8]);
        }
    }
    code.extend_from_slice(&[opcode.0, arg as u8]);
    for _ in 0..caches {
        code.extend_from_slice(&[0, 0]);
    }
}

/// Writes one instruction, whose opcode comes to stand at unit `at`, without its caches.
#[inline]
pub(crate) fn put(
    units: &mut [[u8; 2]],
    at: usize,
    version: Version,
    opcode: Opcode,
    arg: u32,
    prefixes: u32,
) {
    if prefixes > 0 {
        let extended = extended_arg(version);
        for number in 1..=prefixes {
            units[at - number as usize] = [extended.0, (arg >> (8 * number)) as u8];
        }
    }
    units[at] = [opcode.0, arg as u8];
}

/// `EXTENDED_ARG`, which every version has.
fn extended_arg(version: Version) -> Opcode {
    Op::ExtendedArg.opcode(version).unwrap_or(Opcode::CACHE)
}

/// Prefixes an argument needs.
#[inline]
pub(crate) fn needed_prefixes(arg: u32) -> u32 {
    (arg | 1).ilog2() / 8
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test panics")]
mod tests {
    use super::*;

    /// `lambda x: x if x else None` on 3.11.
    const CONDITIONAL: &[u8] = b"\x97\x00|\x00r\x02|\x00S\x00d\x00S\x00";

    #[test]
    fn decoding_and_assembling_is_the_identity() {
        let instructions = decode(Version::V3_11, CONDITIONAL).unwrap();
        let names: Vec<_> = instructions
            .iter()
            .map(|i| i.opcode.name(Version::V3_11))
            .collect();
        assert_eq!(
            names,
            [
                "RESUME",
                "LOAD_FAST",
                "POP_JUMP_FORWARD_IF_FALSE",
                "LOAD_FAST",
                "RETURN_VALUE",
                "LOAD_CONST",
                "RETURN_VALUE"
            ]
        );
        assert_eq!(instructions[2].jump_target(Version::V3_11), Some(10));
        assert_eq!(instructions[1].jump_target(Version::V3_11), None);
        assert_eq!(assemble(Version::V3_11, &instructions), CONDITIONAL);
    }

    #[test]
    fn prefixes_belong_to_their_instruction() {
        let code = [0x90, 0x01, 0x90, 0x02, 0x64, 0x03];
        let [instruction] = decode(Version::V3_12, &code).unwrap()[..] else {
            panic!("one instruction")
        };
        assert_eq!(
            (instruction.start, instruction.offset, instruction.end()),
            (0, 4, 6)
        );
        assert_eq!(instruction.arg, 0x01_0203);
        assert_eq!(assemble(Version::V3_12, &[instruction]), code);
    }

    #[test]
    fn damaged_code_is_a_typed_error() {
        let error = |code: &[u8]| decode(Version::V3_11, code).unwrap_err();
        assert_eq!(error(&[0x97]), Error::OddLength { length: 1 });
        assert_eq!(
            error(&[0x97, 0, 0xff, 0]),
            Error::UndefinedOpcode {
                offset: 2,
                opcode: 0xff,
                version: Version::V3_11
            }
        );
        assert_eq!(
            error(&[0x97, 0, 0x90, 1]),
            Error::DanglingPrefix { offset: 2 }
        );
        assert_eq!(
            error(&[0x90, 1, 0x90, 1, 0x90, 1, 0x90, 1, 0x64, 0]),
            Error::TooManyPrefixes { offset: 0 }
        );
        assert_eq!(
            error(&[0x7a, 0]),
            Error::Cache {
                offset: 0,
                expected: 1
            }
        );
        assert_eq!(
            error(&[0x6e, 1, 0x97, 0]),
            Error::JumpTarget {
                offset: 0,
                target: 4
            }
        );
        assert_eq!(
            error(&[0x8c, 2, 0x97, 0]),
            Error::JumpTarget {
                offset: 0,
                target: -2
            }
        );
    }
}
