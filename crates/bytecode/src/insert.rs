//! Inserting instruction sequences with every jump, table and depth kept right.

use std::fmt;
use std::ops::Range;

use crate::analysis::{Analysis, CodeView, InstrIdx};
use crate::error::Error;
use crate::exception_table::{self, ExceptionEntry};
use crate::instruction::{needed_prefixes, push};
use crate::layout::Layout;
use crate::location_table::{Location, Writer};
use crate::offset_map::OffsetMap;
use crate::opcode::{Flow, JumpKind, Op, Opcode};
use crate::sites::{forbidden, reads_unit_before};
use crate::version::Version;

/// A gap between instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// Jumps to the instruction, handlers and exception ranges that begin or end with it name the first inserted unit.
    Before(InstrIdx),
    /// Only reached by falling through from the instruction, and inside its exception range.
    After(InstrIdx),
}

impl Place {
    /// Position in insertion order: after an instruction comes just before before-the-next.
    fn order(self) -> u64 {
        match self {
            Self::Before(index) => u64::from(index.0) * 2,
            Self::After(index) => u64::from(index.0) * 2 + 1,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Before(index) => write!(f, "before instruction {}", index.0),
            Self::After(index) => write!(f, "after instruction {}", index.0),
        }
    }
}

/// What to insert where.
#[derive(Clone, Copy, Debug)]
pub struct Insertion<'a> {
    /// The gap.
    pub place: Place,
    /// Straight-line code that leaves the stack as it finds it; prefixes and caches are added.
    pub sequence: &'a [(Opcode, u32)],
}

/// A handler for exceptions that would leave the frame: it runs `sequence` with `[lasti, exception]` on the stack and raises the
/// exception on, from where it was raised. It covers everything after the first `RESUME` that no handler of the code object's
/// own covers.
///
/// Tracebacks, trace functions and profilers see no difference. `sys.monitoring` does: `EXCEPTION_HANDLED` and `RERAISE` come
/// before `PY_UNWIND`.
#[derive(Clone, Copy, Debug)]
pub struct Unwind<'a> {
    /// As [`Insertion::sequence`].
    pub sequence: &'a [(Opcode, u32)],
}

/// Code with insertions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inserted {
    /// New `co_code`.
    pub code: Vec<u8>,
    /// New `co_exceptiontable`.
    pub exception_table: Vec<u8>,
    /// New `co_linetable`.
    pub location_table: Vec<u8>,
    /// New `co_stacksize`.
    pub stack_size: u32,
    /// Between original and new offsets.
    pub map: OffsetMap,
    /// New byte offset of the first unit of each insertion, in order.
    pub insertions: Vec<u32>,
    /// New byte offset of the appended exception handler.
    pub unwind: Option<u32>,
    pub(crate) version: Version,
    pub(crate) first_line: i32,
    pub(crate) original: Original,
}

/// What the new code and tables do not tell about the original ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Original {
    pub(crate) stack_size: u32,
    /// Length of `co_code` in bytes.
    pub(crate) length: u32,
    /// Instructions that got prefixes, and how many, in order.
    pub(crate) grown: Vec<(u32, u8)>,
    /// Code units of each location entry: an insertion splits entries.
    pub(crate) location_units: Vec<u8>,
    /// Tables written in a way CPython's assembler does not choose; the canonical writer would not restore them.
    pub(crate) location_table: Option<Vec<u8>>,
    pub(crate) exception_table: Option<Vec<u8>>,
}

/// Inserts sequences, which must come in instruction order, at most one a place.
///
/// Inserted units have the location of the instruction they stand before ([`Place::After`]: after), so line events and
/// tracebacks stay as they are. Before `END_ASYNC_FOR`, which starts no line from 3.12 on, they have none.
///
/// # Errors
/// [`Error::Forbidden`], [`Error::InsertionOrder`], [`Error::Sequence`], [`Error::UnbalancedSequence`], [`Error::JumpTooFar`].
pub fn insert(
    view: &CodeView<'_>,
    analysis: &Analysis,
    insertions: &[Insertion<'_>],
    unwind: Option<Unwind<'_>>,
) -> Result<Inserted, Error> {
    let stack_size = stack_size(view, analysis, insertions, unwind)?;
    let layout = Layout::new(analysis, insertions)?;
    let (mut code, starts) = emit(analysis, insertions, &layout)?;
    let body = code.len() as u32;
    let unwind = unwind.map(|unwind| {
        push_sequence(&mut code, analysis.version, unwind.sequence);
        if let Some(reraise) = Op::Reraise.opcode(analysis.version) {
            push(&mut code, analysis.version, reraise, 1, 0, 0);
        }
        body
    });
    let handler_units = (code.len() as u32 - body) / 2;
    Ok(Inserted {
        exception_table: exceptions(analysis, &layout, unwind),
        location_table: locations(analysis, insertions, &layout, handler_units),
        stack_size,
        insertions: starts,
        unwind,
        version: analysis.version,
        first_line: view.first_line,
        original: Original {
            stack_size: view.stack_size,
            length: view.code.len() as u32,
            grown: layout.grown(analysis),
            location_units: analysis
                .locations
                .entries()
                .map(|entry| entry.units)
                .collect(),
            location_table: (!analysis.locations.is_canonical())
                .then(|| analysis.locations.table().to_vec()),
            exception_table: (exception_table::write(&analysis.entries) != view.exception_table)
                .then(|| view.exception_table.to_vec()),
        },
        map: layout.into_map(analysis, body),
        code,
    })
}

/// Checks places and sequences; the depth of the stack with all of them.
fn stack_size(
    view: &CodeView<'_>,
    analysis: &Analysis,
    insertions: &[Insertion<'_>],
    unwind: Option<Unwind<'_>>,
) -> Result<u32, Error> {
    let mut stack_size = view.stack_size;
    let mut earliest = 0;
    for insertion in insertions {
        let place = insertion.place;
        if place.order() < earliest {
            return Err(Error::InsertionOrder { place });
        }
        earliest = place.order() + 1;
        if let Some(reason) = forbidden(analysis, place) {
            return Err(Error::Forbidden { place, reason });
        }
        let depth = depth_at(analysis, place);
        stack_size =
            stack_size.max(depth.saturating_add(height(analysis.version, insertion.sequence)?));
    }
    if let Some(unwind) = unwind {
        stack_size = stack_size.max(2 + height(analysis.version, unwind.sequence)?);
    }
    Ok(stack_size)
}

/// Only asked about places that are allowed, thus reachable.
fn depth_at(analysis: &Analysis, place: Place) -> u32 {
    let (Place::Before(index) | Place::After(index)) = place;
    let depth = analysis.depths[index.usize()];
    match place {
        Place::Before(_) => depth,
        Place::After(_) => {
            let arg = analysis.instructions[index.usize()].arg;
            let effect = analysis
                .info(index.0)
                .map_or(0, |info| info.effect.next.of(arg));
            depth.saturating_add_signed(effect)
        }
    }
}

/// The most values a sequence has on the stack.
fn height(version: Version, sequence: &[(Opcode, u32)]) -> Result<u32, Error> {
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
    }
    if depth != 0 {
        return Err(Error::UnbalancedSequence { change: depth });
    }
    Ok(u32::try_from(height).unwrap_or(u32::MAX))
}

/// Units a checked sequence takes.
pub(crate) fn sequence_units(version: Version, sequence: &[(Opcode, u32)]) -> u32 {
    sequence
        .iter()
        .map(|&(opcode, arg)| {
            needed_prefixes(arg)
                + 1
                + opcode
                    .info(version)
                    .map_or(0, |info| u32::from(info.caches))
        })
        .sum()
}

fn push_sequence(code: &mut Vec<u8>, version: Version, sequence: &[(Opcode, u32)]) {
    for &(opcode, arg) in sequence {
        let caches = opcode.info(version).map_or(0, |info| info.caches);
        push(code, version, opcode, arg, needed_prefixes(arg), caches);
    }
}

/// Repeats the unit before an instruction that the interpreter expects there, and jumps over it.
fn push_decoy(
    code: &mut Vec<u8>,
    analysis: &Analysis,
    layout: &Layout,
    index: u32,
) -> Result<(), Error> {
    let before = InstrIdx(index - 1);
    let unit = analysis.instructions[before.usize()];
    let arg = match analysis.target(before) {
        Some(target) => layout.decoy_distance(analysis, index, target.0)?,
        None => unit.arg as u8,
    };
    if let Some(jump) = Op::JumpForward.opcode(analysis.version) {
        push(code, analysis.version, jump, 1, 0, 0);
    }
    push(code, analysis.version, unit.opcode, u32::from(arg), 0, 0);
    Ok(())
}

/// The new code, and where each insertion starts in it.
fn emit(
    analysis: &Analysis,
    insertions: &[Insertion<'_>],
    layout: &Layout,
) -> Result<(Vec<u8>, Vec<u32>), Error> {
    let version = analysis.version;
    let mut code = Vec::with_capacity(layout.length() as usize * 2 + 16);
    let mut starts = Vec::with_capacity(insertions.len());
    let mut rest = insertions.iter().peekable();
    let mut references = analysis.references.iter().peekable();
    for (index, instruction) in (0u32..).zip(&analysis.instructions) {
        let here = Place::Before(InstrIdx(index)).order();
        while let Some(insertion) = rest.next_if(|insertion| insertion.place.order() <= here) {
            starts.push(code.len() as u32);
            push_sequence(&mut code, version, insertion.sequence);
            if insertion.place.order() == here && reads_unit_before(analysis, index) {
                push_decoy(&mut code, analysis, layout, index)?;
            }
        }
        let arg = match references.next_if(|reference| reference.0 == index) {
            Some(&(_, to)) => layout.distance(analysis, index, to).unwrap_or(0),
            None => instruction.arg,
        };
        let prefixes = u32::from(layout.prefixes[index as usize]);
        push(
            &mut code,
            version,
            instruction.opcode,
            arg,
            prefixes,
            instruction.caches,
        );
    }
    for insertion in rest {
        starts.push(code.len() as u32);
        push_sequence(&mut code, version, insertion.sequence);
    }
    Ok((code, starts))
}

/// The original ranges, moved; and between them, from the end of the first `RESUME` on, the ranges of the unwinding handler.
fn exceptions(analysis: &Analysis, layout: &Layout, unwind: Option<u32>) -> Vec<u8> {
    let moved = analysis.entries.iter().map(|entry| ExceptionEntry {
        start: layout.landing(analysis, entry.start),
        end: layout.landing(analysis, entry.end),
        target: layout.landing(analysis, entry.target),
        ..*entry
    });
    let (Some(target), Some(resume)) = (unwind, analysis.entry) else {
        return exception_table::write(&moved.collect::<Vec<_>>());
    };
    let gap = |start, end| ExceptionEntry {
        start,
        end,
        target,
        depth: 0,
        lasti: true,
    };
    let mut entries = Vec::with_capacity(analysis.entries.len() * 2 + 1);
    let mut covered = layout.end(analysis, resume) * 2;
    for entry in moved {
        if covered < entry.start {
            entries.push(gap(covered, entry.start));
        }
        covered = covered.max(entry.end);
        entries.push(entry);
    }
    if covered < target {
        entries.push(gap(covered, target));
    }
    exception_table::write(&entries)
}

fn locations(
    analysis: &Analysis,
    insertions: &[Insertion<'_>],
    layout: &Layout,
    handler_units: u32,
) -> Vec<u8> {
    let mut writer = Writer::new(
        analysis.locations.first_line(),
        analysis.locations.table().len() * 3,
    );
    let mut blanks = insertions
        .iter()
        .filter_map(|insertion| blank(analysis, layout, insertion.place))
        .peekable();
    let mut unit = 0;
    let mut start = 0;
    for entry in analysis.locations.entries() {
        unit += u32::from(entry.units);
        let end = layout.unit(analysis, unit);
        while let Some(blank) = blanks.next_if(|blank| blank.start < end) {
            writer.push_run(blank.start - start, &entry.location);
            writer.push_run(blank.end - blank.start, &Location::default());
            start = blank.end;
        }
        writer.push_run(end - start, &entry.location);
        start = end;
    }
    writer.push_run(handler_units, &Location::default());
    writer.finish()
}

/// The units of an insertion that must not have a location: from 3.12 on, `END_ASYNC_FOR` never starts a line
/// (`initialize_lines` in `Python/instrumentation.c`), but what stands before it would.
fn blank(analysis: &Analysis, layout: &Layout, place: Place) -> Option<Range<u32>> {
    let Place::Before(index) = place else {
        return None;
    };
    let blank = analysis.version >= Version::V3_12 && analysis.op(index.0) == Some(Op::EndAsyncFor);
    blank.then(|| layout.inserted_before(index.0))
}
