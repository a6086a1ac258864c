//! What is known about one code object before it runs.

use crate::cfg::{self, Block};
use crate::depth;
use crate::error::{Error, Table};
use crate::exception_table::{self, ExceptionEntry};
use crate::instruction::{Decoded, Instruction, MAX_CODE, MAX_STACK};
use crate::location_table::{Location, LocationEntry};
use crate::locations::Locations;
use crate::opcode::{JumpKind, Op, OpcodeInfo};
use crate::starts::Starts;
use crate::version::Version;

/// The parts of a code object that hold its instructions.
#[derive(Clone, Copy, Debug)]
pub struct CodeView<'a> {
    /// The interpreter the code object belongs to.
    pub version: Version,
    /// `co_code`.
    pub code: &'a [u8],
    /// `co_exceptiontable`.
    pub exception_table: &'a [u8],
    /// `co_linetable`.
    pub location_table: &'a [u8],
    /// `co_firstlineno`.
    pub first_line: i32,
    /// `co_stacksize`.
    pub stack_size: u32,
}

/// Index of an instruction in its code object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstrIdx(pub u32);

impl InstrIdx {
    #[inline]
    pub(crate) fn usize(self) -> usize {
        self.0 as usize
    }
}

/// No instruction, no depth.
pub(crate) const NONE: u32 = u32::MAX;

/// Facts about one instruction, as bits.
pub(crate) mod flag {
    pub(crate) const JUMP_TARGET: u8 = 1;
    pub(crate) const HANDLER: u8 = 2;
    pub(crate) const HANDLER_ONLY: u8 = 4;
    /// Some jump other than `JUMP_BACKWARD_NO_INTERRUPT` lands on it.
    pub(crate) const INTERRUPTIBLE_TARGET: u8 = 8;
    /// Places at it and right after it are out of the ordinary.
    pub(crate) const NEIGHBOUR: u8 = 16;
}

/// Instructions, tables, control flow and stack depths of one code object.
#[derive(Clone, Debug)]
pub struct Analysis {
    pub(crate) version: Version,
    pub(crate) instructions: Vec<Instruction>,
    pub(crate) starts: Starts,
    /// Instructions whose argument names another one, with that one's index, in order.
    pub(crate) references: Vec<(u32, u32)>,
    pub(crate) entries: Vec<ExceptionEntry>,
    /// Whether writing the entries gives the same bytes.
    pub(crate) canonical_entries: bool,
    pub(crate) locations: Locations,
    pub(crate) depths: Vec<u32>,
    pub(crate) flags: Vec<u8>,
    /// The first `RESUME` that completes the frame.
    pub(crate) entry: Option<u32>,
}

impl Analysis {
    /// Analyses a code object. Linear in its size.
    ///
    /// # Errors
    /// Every variant of [`Error`] that speaks of bytecode, tables or stack depth.
    pub fn new(view: &CodeView<'_>) -> Result<Self, Error> {
        let version = view.version;
        check_bounds(view)?;
        let mut decoded = Decoded::new(version, view.code)?;
        let (entries, canonical_entries) = exception_table::read(view.exception_table)?;
        let units = decoded.starts.units();
        let locations = Locations::new(view.location_table, view.first_line, units as usize)?;
        decoded.resolve(version)?;
        let mut analysis = Self {
            version,
            flags: decoded.flags,
            depths: Vec::new(),
            references: decoded.references,
            entry: None,
            instructions: decoded.instructions,
            starts: decoded.starts,
            entries,
            canonical_entries,
            locations,
        };
        analysis.mark_targets();
        analysis.find_entry();
        analysis.check_entries()?;
        depth::compute(&mut analysis, view.stack_size)?;
        Ok(analysis)
    }

    fn mark_targets(&mut self) {
        let facts = self.version.facts();
        for &(from, to) in &self.references {
            let opcode = self.instructions[from as usize].opcode;
            let facts = &facts[usize::from(opcode.0)];
            let flags = &mut self.flags[to as usize];
            if facts.jumps() {
                *flags |= flag::JUMP_TARGET;
            }
            if facts.op != Op::JumpBackwardNoInterrupt {
                *flags |= flag::INTERRUPTIBLE_TARGET;
            }
        }
    }

    fn find_entry(&mut self) {
        let facts = self.version.facts();
        let entry = self
            .flags
            .iter()
            .zip(&self.instructions)
            .position(|(flags, instruction)| {
                let op = || facts[usize::from(instruction.opcode.0)].op;
                flags & flag::NEIGHBOUR != 0 && is_entry(self.version, op(), instruction.arg)
            });
        self.entry = entry.map(|index| index as u32);
    }

    fn check_entries(&mut self) -> Result<(), Error> {
        let length = self.starts.units() * 2;
        let mut free = 0;
        for entry in &self.entries {
            let &ExceptionEntry {
                start, end, target, ..
            } = entry;
            let is_start = |offset: u32| self.starts.at_byte(i64::from(offset));
            if is_start(start).is_none() || (end != length && is_start(end).is_none()) {
                return Err(Error::ExceptionRange { start, end });
            }
            if start < free {
                return Err(Error::ExceptionOrder { start });
            }
            free = end;
            let handler = is_start(target).ok_or(Error::HandlerTarget { target })?;
            self.flags[handler as usize] |= flag::HANDLER;
        }
        Ok(())
    }

    /// The instruction set.
    pub fn version(&self) -> Version {
        self.version
    }

    /// All instructions, in the order of their offsets.
    pub fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// One instruction.
    ///
    /// # Panics
    /// When the index is not of this code object.
    pub fn get(&self, index: InstrIdx) -> &Instruction {
        &self.instructions[index.usize()]
    }

    /// What is known of an instruction's opcode. Decoding has made sure that it is defined.
    #[inline]
    pub(crate) fn info(&self, index: u32) -> Option<&'static OpcodeInfo> {
        self.instructions
            .get(index as usize)?
            .opcode
            .info(self.version)
    }

    /// The instruction's name, or `None` past the last one.
    #[inline]
    pub(crate) fn op(&self, index: u32) -> Option<Op> {
        Some(self.info(index)?.op)
    }

    /// The instruction whose opcode unit is at this byte offset.
    pub fn at_offset(&self, offset: u32) -> Option<InstrIdx> {
        let index = self.starts.covering(offset / 2)?;
        (self.instructions[index as usize].offset == offset).then_some(InstrIdx(index))
    }

    /// The instruction whose first unit, prefix or not, is at this byte offset.
    pub fn at_start(&self, offset: u32) -> Option<InstrIdx> {
        self.starts.at_byte(i64::from(offset)).map(InstrIdx)
    }

    /// What does the work of the instruction: where a `PRECALL` has been specialised, it does that of the `CALL` behind it, which is left out
    /// (`PRECALL_BUILTIN_FAST_WITH_KEYWORDS` and others, `Python/ceval.c`, 3.11); not specialised, it can neither call nor raise.
    pub fn calling(&self, index: InstrIdx) -> InstrIdx {
        let behind = index.0 + 1;
        match (self.op(index.0), self.op(behind)) {
            (Some(Op::Precall), Some(_)) => InstrIdx(behind),
            _ => index,
        }
    }

    /// The instruction an instruction's jump lands on.
    pub fn target(&self, index: InstrIdx) -> Option<InstrIdx> {
        if self.info(index.0)?.jump == JumpKind::None {
            return None;
        }
        let found = self
            .references
            .binary_search_by_key(&index.0, |reference| reference.0)
            .ok()?;
        Some(InstrIdx(self.references[found].1))
    }

    /// Values on the stack before the instruction executes; `None` when nothing leads to it.
    pub fn depth(&self, index: InstrIdx) -> Option<u32> {
        self.depths
            .get(index.usize())
            .copied()
            .filter(|&depth| depth != NONE)
    }

    /// Whether neither an instruction nor the one before it asks for anything special of the place between them, which is
    /// behind the first `RESUME`.
    #[inline]
    pub(crate) fn is_plain(&self, index: u32) -> bool {
        let Some(before) = index.checked_sub(1) else {
            return false;
        };
        self.entry.is_some_and(|entry| entry <= before)
            && (before as usize + 1 < self.flags.len())
            && (self.flags[before as usize] | self.flags[before as usize + 1]) & flag::NEIGHBOUR
                == 0
    }

    /// Whether some jump lands on it.
    pub fn is_jump_target(&self, index: InstrIdx) -> bool {
        self.has(index, flag::JUMP_TARGET)
    }

    /// Whether the exception table names it as a handler.
    pub fn is_handler(&self, index: InstrIdx) -> bool {
        self.has(index, flag::HANDLER)
    }

    /// Whether it is reached, and only after an exception was caught.
    pub fn handler_only(&self, index: InstrIdx) -> bool {
        self.has(index, flag::HANDLER_ONLY)
    }

    pub(crate) fn has(&self, index: InstrIdx, bit: u8) -> bool {
        self.flags
            .get(index.usize())
            .is_some_and(|flags| flags & bit != 0)
    }

    /// The exception table.
    pub fn exception_entries(&self) -> &[ExceptionEntry] {
        &self.entries
    }

    /// The exception-table entry that covers an instruction.
    pub fn exception_entry(&self, index: InstrIdx) -> Option<&ExceptionEntry> {
        let start = self.instructions.get(index.usize())?.start;
        let after = self.entries.partition_point(|entry| entry.start <= start);
        self.entries[..after]
            .iter()
            .rev()
            .find(|entry| start < entry.end)
    }

    /// The location table's entries, as written.
    pub fn location_entries(&self) -> impl Iterator<Item = LocationEntry> {
        self.locations.entries()
    }

    /// The source position of an instruction's opcode unit.
    ///
    /// # Panics
    /// When the index is not of this code object.
    pub fn location(&self, index: InstrIdx) -> Location {
        self.locations
            .at(self.instructions[index.usize()].offset / 2)
    }

    /// The first `RESUME`, where the frame is complete and execution begins to be visible.
    pub fn first_resume(&self) -> Option<InstrIdx> {
        self.entry.map(InstrIdx)
    }

    /// The control-flow graph: basic blocks in the order of their offsets. Computed anew on each call.
    pub fn blocks(&self) -> Vec<Block> {
        cfg::blocks(self)
    }
}

/// Refuses tables and stacks that no compiler makes, before memory is taken for them.
fn check_bounds(view: &CodeView<'_>) -> Result<(), Error> {
    for (table, bytes) in [
        (Table::Exception, view.exception_table),
        (Table::Location, view.location_table),
    ] {
        if bytes.len() > MAX_CODE {
            return Err(Error::TableTooLong {
                table,
                length: bytes.len(),
                most: MAX_CODE,
            });
        }
    }
    if view.stack_size > MAX_STACK {
        return Err(Error::StackTooLarge {
            stack_size: view.stack_size,
            most: MAX_STACK,
        });
    }
    Ok(())
}

/// Whether a frame is complete from this instruction on, if it is the first of its kind.
///
/// Since 3.15 a generator expression calls `iter()` before it makes its generator, after a `RESUME` of its own
/// (`RESUME_AT_GEN_EXPR_START` in `pycore_opcode_utils.h`); its frame stays incomplete meanwhile, as tracebacks and
/// `sys._getframe` show.
fn is_entry(version: Version, op: Op, arg: u32) -> bool {
    const LOCATION_MASK: u32 = 7;
    const AT_GEN_EXPR_START: u32 = 4;
    op == Op::Resume && !(version >= Version::V3_15 && arg & LOCATION_MASK == AT_GEN_EXPR_START)
}
