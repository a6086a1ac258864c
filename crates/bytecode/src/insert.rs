//! Inserting instruction sequences with every jump, table and depth kept right.
//!
//! CPython's own tests run the same with a harmless sequence at every site, but for what looks at bytecode itself. What a
//! program can see, if it looks:
//!
//! - `co_code`, the tables, `f_lasti`; `sys.monitoring`'s offsets and its `INSTRUCTION` events of inserted units;
//! - a `JUMP` event where the unit before an instruction had to be repeated ([`Forbidden::UnitBefore`]);
//! - `EXCEPTION_HANDLED` and `RERAISE` events of an [`Unwind`] handler;
//! - from 3.13 on, a trace function may see `StopIteration` when a `for` over a generator ends (observed). Only `END_FOR` after a
//!   specialised `FOR_ITER` reports it (gh-116090), and what `INSTRUMENTED_LINE` stands for is not specialised: it pauses the
//!   counter in the cache (`Python/bytecodes.c`). The line event of a loop's head is now at the insertion before `FOR_ITER`.

use std::borrow::Borrow;
use std::fmt;

use crate::analysis::{Analysis, CodeView, InstrIdx};
use crate::detour::{self, Around, Detour, Placed};
use crate::error::Error;
use crate::exception_table::{self, ExceptionEntry};
use crate::fragment::{self, Branches};
use crate::instruction::{Instruction, needed_prefixes, put};
use crate::layout::{Layout, depth_at};
use crate::location_table::{Location, Writer};
use crate::offset_map::OffsetMap;
use crate::opcode::{Op, Opcode};
use crate::sequence::{Sequences, Shapes};
#[cfg(doc)]
use crate::sites::Forbidden;
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
    pub(crate) fn order(self) -> u64 {
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
    /// Code that leaves the stack as it finds it; prefixes and caches are added.
    pub sequence: &'a [(Opcode, u32)],
    /// Is added to the argument of the first instruction of `sequence` (32 bits at most), so that insertions which differ in nothing
    /// else can share one. 0 for a fragment.
    pub first: u32,
    /// Where the sequence is a [`Fragment`](crate::Fragment)'s; `None`: it is straight-line code.
    pub branches: Option<Branches<'a>>,
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
    /// New byte offset behind the last unit of each [`Fragment`](crate::Fragment), in order.
    pub ends: Vec<u32>,
    /// New byte offset of the appended exception handler.
    pub unwind: Option<u32>,
    /// New byte offset of the first unit of each detour, in order.
    pub detours: Vec<u32>,
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

/// Inserts sequences, which must come in instruction order, at most one a place. They are gone through twice.
///
/// Inserted units have the location of the instruction they stand before ([`Place::After`]: after), so line events and
/// tracebacks stay as they are. Before `END_ASYNC_FOR`, which starts no line from 3.12 on, they have none; nor has a [`Fragment`](crate::Fragment) before
/// an instruction, so that the line begins behind it, nor what stands right behind the first `RESUME`.
///
/// # Errors
/// [`Error::Forbidden`], [`Error::InsertionOrder`], [`Error::Sequence`], [`Error::UnbalancedSequence`], [`Error::FragmentJump`], [`Error::JumpTooFar`].
pub fn insert<'a, I>(
    view: &CodeView<'_>,
    analysis: &Analysis,
    insertions: I,
    unwind: Option<Unwind<'_>>,
) -> Result<Inserted, Error>
where
    I: IntoIterator<IntoIter: Clone, Item: Borrow<Insertion<'a>>>,
{
    insert_with_detours(view, analysis, insertions, unwind, &[])
}

/// The same, with detours of some of the insertions, in their order.
///
/// # Errors
/// As for [`insert()`].
pub fn insert_with_detours<'a, I>(
    view: &CodeView<'_>,
    analysis: &Analysis,
    insertions: I,
    unwind: Option<Unwind<'_>>,
    detours: &[Detour<'_>],
) -> Result<Inserted, Error>
where
    I: IntoIterator<IntoIter: Clone, Item: Borrow<Insertion<'a>>>,
{
    let insertions = insertions.into_iter();
    let layout = Layout::new(analysis, insertions.clone())?;
    let mut stack_size = view.stack_size.max(layout.depth);
    let body = layout.length();
    let mut handler_units = 0;
    if let Some(unwind) = unwind {
        let (height, units) = Shapes::new(analysis.version).measure(unwind.sequence, 0)?;
        stack_size = stack_size.max(height.saturating_add(2));
        handler_units = units + 1;
    }
    let (detours, depth) = place_detours(analysis, insertions.clone(), &layout, detours, {
        body + handler_units
    })?;
    stack_size = stack_size.max(depth);
    let length = detours.last().map_or(body + handler_units, |last| last.end);
    let mut code = vec![0; length as usize * 2];
    let (units, _) = code.as_chunks_mut::<2>();
    put_instructions(units, analysis, &layout);
    let (insertions_at, ends) = put_insertions(units, analysis, insertions.clone(), &layout)?;
    if let Some(unwind) = unwind {
        let mut sequences = Sequences::new(analysis.version);
        let end = sequences.put(units, body as usize, unwind.sequence, 0);
        if let Some(reraise) = Op::Reraise.opcode(analysis.version) {
            put(units, end, analysis.version, reraise, 1, 0);
        }
    }
    for detour in &detours {
        detour.put(units, analysis.version);
    }
    let body = body * 2;
    let unwind = unwind.map(|_| body);
    let handled = match layout.has_fragments {
        true => handled(analysis, insertions, &layout),
        false => Vec::new(),
    };
    let (table, is_plain) = exceptions(analysis, &layout, handled, unwind, &detours);
    let (location_table, location_units) = locations(analysis, &layout, handler_units, &detours);
    Ok(Inserted {
        exception_table: table,
        location_table,
        stack_size,
        insertions: insertions_at,
        ends,
        unwind,
        detours: detours.iter().map(Placed::offset).collect(),
        version: analysis.version,
        first_line: view.first_line,
        original: Original {
            stack_size: view.stack_size,
            length: view.code.len() as u32,
            grown: layout.grown(analysis),
            location_units,
            location_table: (!analysis.locations.is_canonical())
                .then(|| analysis.locations.table().to_vec()),
            exception_table: (!analysis.canonical_entries || !is_plain)
                .then(|| view.exception_table.to_vec()),
        },
        map: layout.into_map(body),
        code,
    })
}

/// Writes the original instructions to zeroed units.
fn put_instructions(units: &mut [[u8; 2]], analysis: &Analysis, layout: &Layout) {
    let version = analysis.version;
    for (instruction, &at) in analysis.instructions.iter().zip(layout.opcodes()) {
        let &Instruction { opcode, arg, .. } = instruction;
        let prefixes = instruction.prefixes();
        put(units, at as usize, version, opcode, arg, prefixes);
    }
    for (&(from, _), reference) in analysis.references.iter().zip(layout.settled()) {
        let instruction = &analysis.instructions[from as usize];
        let at = layout.opcode(from) as usize;
        let prefixes = instruction.prefixes() + u32::from(reference.grown);
        let opcode = instruction.opcode;
        put(units, at, version, opcode, reference.value, prefixes);
    }
}

/// Writes what is inserted to zeroed units; returns the byte offsets where each begins, and where fragments end.
fn put_insertions<'a>(
    units: &mut [[u8; 2]],
    analysis: &Analysis,
    insertions: impl Iterator<Item: Borrow<Insertion<'a>>>,
    layout: &Layout,
) -> Result<(Vec<u32>, Vec<u32>), Error> {
    let mut starts = Vec::with_capacity(layout.insertions as usize);
    let mut ends = Vec::new();
    let mut sequences = Sequences::new(analysis.version);
    for insertion in insertions {
        let &Insertion {
            place,
            sequence,
            first,
            branches,
        } = insertion.borrow();
        let at = match place {
            Place::Before(index) => layout.lands(index.0),
            Place::After(index) => layout.end(analysis, index.0),
        };
        starts.push(at * 2);
        if branches.is_some()
            && let Some(skip) = layout.skip(place)
        {
            put_skip(units, analysis.version, at, skip);
        }
        let end = sequences.put(units, at as usize, sequence, first);
        if branches.is_some() {
            ends.push(end as u32 * 2);
        }
    }
    for &index in layout.decoys() {
        put_decoy(units, analysis, layout, index)?;
    }
    Ok((starts, ends))
}

/// Writes the jump over an insertion, which begins at `at` and has so many units.
fn put_skip(units: &mut [[u8; 2]], version: Version, at: u32, skip: u32) {
    if let Some(jump) = Op::JumpForward.opcode(version) {
        let prefixes = needed_prefixes(skip);
        put(units, at as usize - 1, version, jump, skip, prefixes);
    }
}

/// Repeats the unit before an instruction that the interpreter expects there, and jumps over it.
fn put_decoy(
    units: &mut [[u8; 2]],
    analysis: &Analysis,
    layout: &Layout,
    index: u32,
) -> Result<(), Error> {
    let at = layout.decoy(analysis, index) as usize;
    let before = InstrIdx(index - 1);
    let unit = analysis.instructions[before.usize()];
    let arg = match analysis.target(before) {
        Some(target) => layout.decoy_distance(analysis, index, target.0)?,
        None => unit.arg as u8,
    };
    if let Some(jump) = Op::JumpForward.opcode(analysis.version) {
        put(units, at, analysis.version, jump, 1, 0);
    }
    let arg = u32::from(arg);
    put(units, at + 1, analysis.version, unit.opcode, arg, 0);
    Ok(())
}

/// The ranges that insertions protect themselves, in order.
fn handled<'a>(
    analysis: &Analysis,
    insertions: impl Iterator<Item: Borrow<Insertion<'a>>>,
    layout: &Layout,
) -> Vec<ExceptionEntry> {
    let mut entries = Vec::new();
    for insertion in insertions {
        let insertion = insertion.borrow();
        let Some(branches) = insertion.branches else {
            continue;
        };
        let at = match insertion.place {
            Place::Before(index) => layout.lands(index.0),
            Place::After(index) => layout.end(analysis, index.0),
        };
        let depth = depth_at(analysis, insertion.place);
        let moved = |unit: u32| (at + unit) * 2;
        entries.extend(branches.protected.iter().map(|one| ExceptionEntry {
            start: moved(one.start),
            end: moved(one.end),
            target: moved(one.target),
            depth,
            lasti: false,
        }));
    }
    entries
}

/// The original ranges, moved, with what insertions protect themselves cut out of them and put in between; and where there is none,
/// from the end of the first `RESUME` on, the ranges of the unwinding handler. Says whether nothing was put in between.
fn exceptions(
    analysis: &Analysis,
    layout: &Layout,
    handled: Vec<ExceptionEntry>,
    unwind: Option<u32>,
    detours: &[Placed<'_>],
) -> (Vec<u8>, bool) {
    let moved = analysis.entries.iter().map(|entry| ExceptionEntry {
        start: layout.landing(analysis, entry.start),
        end: layout.landing(analysis, entry.end),
        target: layout.landing(analysis, entry.target),
        ..*entry
    });
    let is_plain = handled.is_empty();
    let mut table = Vec::with_capacity(analysis.entries.len() * 12 + 8);
    let unwound = unwind.zip(analysis.entry);
    let mut covered = unwound.map_or(0, |(_, resume)| layout.end(analysis, resume) * 2);
    let mut handled = handled.into_iter().peekable();
    let mut push = |entry: ExceptionEntry| {
        if let Some((target, _)) = unwound
            && covered < entry.start
        {
            let gap = gap(covered, entry.start, target);
            exception_table::push(&mut table, &gap);
        }
        covered = covered.max(entry.end);
        exception_table::push(&mut table, &entry);
    };
    for mut entry in moved {
        let mut cut = false;
        while let Some(own) = handled.next_if(|own| own.start < entry.end) {
            if entry.start < own.start {
                push(ExceptionEntry {
                    end: own.start,
                    ..entry
                });
            }
            push(own);
            cut |= entry.start < own.end;
            entry.start = entry.start.max(own.end);
        }
        // Whole, or what is left of it.
        if !cut || entry.start < entry.end {
            push(entry);
        }
    }
    handled.for_each(&mut push);
    if let Some((target, _)) = unwound
        && covered < target
    {
        exception_table::push(&mut table, &gap(covered, target, target));
    }
    for detour in detours {
        if let Some(entry) = detour.handled(analysis, |to| layout.landing(analysis, to)) {
            exception_table::push(&mut table, &entry);
        }
    }
    (table, is_plain)
}

/// Finds room for detours from unit `start` on, and the deepest stack that they need.
fn place_detours<'a, 'd>(
    analysis: &Analysis,
    insertions: impl Iterator<Item: Borrow<Insertion<'a>>>,
    layout: &Layout,
    detours: &[Detour<'d>],
    start: u32,
) -> Result<(Vec<Placed<'d>>, u32), Error> {
    let mut wanted = detours.iter().peekable();
    let mut around = Vec::with_capacity(detours.len());
    for (number, insertion) in insertions.enumerate() {
        if wanted.peek().is_none() {
            break;
        }
        let &Insertion {
            place,
            sequence,
            first,
            ref branches,
        } = insertion.borrow();
        while wanted.next_if(|one| one.insertion == number).is_some() {
            let at = match place {
                Place::Before(index) => layout.lands(index.0),
                Place::After(index) => layout.end(analysis, index.0),
            };
            let (_, units) = match branches {
                None => Shapes::new(analysis.version).measure(sequence, first)?,
                Some(branches) => fragment::measure(analysis.version, sequence, branches)?,
            };
            around.push(Around {
                place,
                back: at + units,
                // As the fragment itself: the line begins behind it.
                has_line: branches.is_none(),
            });
        }
    }
    let depth = |place| depth_at(analysis, place);
    detour::place(analysis.version, detours, &around, depth, start)
}

/// A range of the unwinding handler.
fn gap(start: u32, end: u32, target: u32) -> ExceptionEntry {
    ExceptionEntry {
        start,
        end,
        target,
        depth: 0,
        lasti: true,
    }
}

/// The new table, and the code units of the original one's entries. What is appended for exceptions has no location, and detours have
/// those of their insertions: for who is told of lines, one begins anew behind code without a line.
fn locations(
    analysis: &Analysis,
    layout: &Layout,
    handler_units: u32,
    detours: &[Placed<'_>],
) -> (Vec<u8>, Vec<u8>) {
    let table = analysis.locations.table();
    let mut writer = Writer::new(analysis.locations.first_line(), table.len() * 2);
    let mut original = Vec::with_capacity(table.len() / 2);
    let mut blanks = layout.blanks(analysis).peekable();
    let mut units = NewUnits {
        analysis,
        layout,
        index: 0,
    };
    let mut reader = analysis.locations.reader();
    let (mut unit, mut start) = (0, 0);
    // The table has been read before, so none is an error.
    while let Some(entry) = reader
        .next_short()
        .or_else(|| reader.next_other().ok().flatten())
    {
        original.push(entry.units);
        unit += u32::from(entry.units);
        let end = units.after(unit);
        while let Some(blank) = blanks.next_if(|blank| blank.start < end) {
            writer.push_raw(blank.start - start, entry, &reader);
            writer.push_run(blank.end - blank.start, &Location::default());
            start = blank.end;
        }
        writer.push_raw(end - start, entry, &reader);
        start = end;
    }
    writer.push_run(handler_units, &Location::default());
    for detour in detours {
        writer.push_run(detour.units(), &detour.location(analysis));
    }
    (writer.finish(), original)
}

/// New positions of original code units, asked for in order.
struct NewUnits<'a> {
    analysis: &'a Analysis,
    layout: &'a Layout,
    /// The instruction of the unit asked for last.
    index: usize,
}

impl NewUnits<'_> {
    /// Where an original unit, or the end of all, is now.
    fn after(&mut self, unit: u32) -> u32 {
        let instructions = &self.analysis.instructions;
        while let Some(instruction) = instructions.get(self.index) {
            if unit * 2 < instruction.end() {
                let within = unit - instruction.start / 2;
                return self.layout.unit(self.analysis, self.index as u32, within);
            }
            self.index += 1;
        }
        self.layout.length()
    }
}
