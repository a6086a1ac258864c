//! What can be wrong with a code object or with what is asked of it.

use crate::insert::Place;
use crate::sites::Forbidden;
use crate::version::Version;

/// Which of a code object's tables an [`Error`] speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// `co_exceptiontable`.
    Exception,
    /// `co_linetable`.
    Location,
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Exception => "exception table",
            Self::Location => "location table",
        })
    }
}

/// Why bytes are not a code object of the given version, or why an insertion is refused.
///
/// Offsets are byte offsets in `co_code`, positions are byte positions in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `co_code` consists of two-byte units.
    #[error("the bytecode has an odd length of {length} bytes")]
    OddLength {
        /// Length in bytes.
        length: usize,
    },
    /// The bytecode, or what it would grow to, is too large to be worth probing.
    #[error("the bytecode has, or would have, {length} bytes; at most {most} are supported")]
    TooLong {
        /// Length in bytes.
        length: usize,
        /// [`MAX_CODE`](crate::instruction::MAX_CODE) or [`MAX_GROWN`](crate::instruction::MAX_GROWN).
        most: usize,
    },
    /// No compiler writes such a table.
    #[error("the {table} has {length} bytes; at most {most} are supported")]
    TableTooLong {
        /// Which table.
        table: Table,
        /// Length in bytes.
        length: usize,
        /// [`MAX_CODE`](crate::instruction::MAX_CODE).
        most: usize,
    },
    /// No compiler asks for such a stack.
    #[error("co_stacksize is {stack_size}; at most {most} is supported")]
    StackTooLarge {
        /// As declared.
        stack_size: u32,
        /// [`MAX_STACK`](crate::instruction::MAX_STACK).
        most: u32,
    },
    /// A code object executes at least one instruction.
    #[error("the bytecode is empty")]
    Empty,
    /// The opcode means nothing in this version, or is one that never stands in `co_code` (specialised, instrumented).
    #[error("opcode {opcode} at offset {offset} is not defined in Python {version}")]
    UndefinedOpcode {
        /// Of the unit.
        offset: u32,
        /// The undefined number.
        opcode: u8,
        /// The instruction set it was looked up in.
        version: Version,
    },
    /// An instruction's inline caches must follow it, zeroed as `co_code` has them.
    #[error("the instruction at offset {offset} lacks {expected} zeroed inline caches after it")]
    Cache {
        /// Of the instruction.
        offset: u32,
        /// Cache units the instruction has.
        expected: u8,
    },
    /// `EXTENDED_ARG` must be followed by an instruction.
    #[error("the EXTENDED_ARG at offset {offset} has no instruction after it")]
    DanglingPrefix {
        /// Of the first prefix.
        offset: u32,
    },
    /// An argument has 32 bits, thus three prefixes.
    #[error("the instruction at offset {offset} has more than three EXTENDED_ARG prefixes")]
    TooManyPrefixes {
        /// Of the first prefix.
        offset: u32,
    },
    /// A jump leaves the code object or lands inside an instruction.
    #[error("the jump at offset {offset} lands at byte {target}, where no instruction starts")]
    JumpTarget {
        /// Of the jump.
        offset: u32,
        /// Where it would land.
        target: i64,
    },
    /// The code runs past its last instruction.
    #[error("the last instruction, at offset {offset}, continues past the end of the bytecode")]
    FallsOffEnd {
        /// Of the last instruction.
        offset: u32,
    },
    /// A table ends within an entry.
    #[error("the {table} ends within an entry, at byte {position}")]
    TableTruncated {
        /// Which table.
        table: Table,
        /// Where the missing byte would be.
        position: usize,
    },
    /// A varint is longer than any that CPython writes, or has a stray first-byte mark.
    #[error("the {table} has a malformed variable-length integer at byte {position}")]
    Varint {
        /// Which table.
        table: Table,
        /// Of the integer's first byte.
        position: usize,
    },
    /// Bit 7 marks the first byte of an entry; here it is missing.
    #[error("the {table} has no entry start at byte {position}")]
    EntryStart {
        /// Which table.
        table: Table,
        /// Of the byte.
        position: usize,
    },
    /// The ends of an exception range are no instruction starts, or the range ends before it starts.
    #[error("the exception table's range {start}..{end} does not cover whole instructions")]
    ExceptionRange {
        /// Byte offset of the first covered instruction.
        start: u32,
        /// Byte offset after the last covered instruction.
        end: u32,
    },
    /// CPython's lookup needs ranges that are sorted and do not overlap.
    #[error("the exception table's range at {start} begins before the previous one ends")]
    ExceptionOrder {
        /// Byte offset where the late range starts.
        start: u32,
    },
    /// A handler must be the start of an instruction.
    #[error("the exception table names a handler at byte {target}, where no instruction starts")]
    HandlerTarget {
        /// Byte offset named by the table.
        target: u32,
    },
    /// The location table must cover the bytecode exactly.
    #[error("the location table covers {covered} code units, the bytecode has {units}")]
    LocationLength {
        /// Units covered by the table, as far as it was read.
        covered: u64,
        /// Units in the bytecode.
        units: u64,
    },
    /// An instruction takes more values than the stack holds.
    #[error(
        "the instruction at offset {offset} pops below the bottom of a stack of {depth} values"
    )]
    StackUnderflow {
        /// Of the instruction.
        offset: u32,
        /// Values on the stack before it.
        depth: u32,
    },
    /// The stack is deeper than `co_stacksize`.
    #[error(
        "the stack would hold {depth} values at offset {offset}, but co_stacksize is {stack_size}"
    )]
    StackOverflow {
        /// Of the instruction.
        offset: u32,
        /// Values on the stack before or after it.
        depth: u32,
        /// As declared.
        stack_size: u32,
    },
    /// Two ways lead to an instruction with stacks of different depth.
    #[error(
        "the instruction at offset {offset} is reached with {first} and with {second} values on the stack"
    )]
    StackMismatch {
        /// Of the instruction.
        offset: u32,
        /// Depth found first.
        first: u32,
        /// Depth found later.
        second: u32,
    },
    /// Nothing may be inserted there.
    #[error("nothing may be inserted {place}: {reason}")]
    Forbidden {
        /// Where insertion was asked for.
        place: Place,
        /// Why it would break the program.
        reason: Forbidden,
    },
    /// The place names an instruction the code object does not have.
    #[error("there is no instruction {index}; the code object has {count}")]
    NoSuchInstruction {
        /// Index asked for.
        index: u32,
        /// Number of instructions.
        count: u32,
    },
    /// Insertions come in instruction order, one a place.
    #[error("the insertion {place} is not in instruction order or is there twice")]
    InsertionOrder {
        /// The late or repeated one.
        place: Place,
    },
    /// What is inserted must be straight-line code known to this version, with inline caches left out.
    #[error("opcode {opcode} may not be part of an inserted sequence in Python {version}")]
    Sequence {
        /// The offending opcode's number.
        opcode: u8,
        /// The instruction set it was looked up in.
        version: Version,
    },
    /// A sequence must leave the stack as it found it and may not read below it.
    #[error(
        "an inserted sequence changes the stack depth by {change} or reads below its own values"
    )]
    UnbalancedSequence {
        /// Values left on the stack (or taken from it) at the end.
        change: i64,
    },
    /// A fragment's jump goes backwards or out of it, or to a label that stands nowhere.
    #[error("a jump of the sequence to insert goes backwards or out of it")]
    FragmentJump,
    /// A jump grew past what its argument can hold.
    #[error("the jump at offset {offset} cannot reach its target any more")]
    JumpTooFar {
        /// In the original bytecode.
        offset: u32,
    },
}
