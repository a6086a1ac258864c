//! Where CPython tells debuggers of a line: the places for code that has to run when a line event would come.
//!
//! Whether an instruction starts a line depends on the instruction that was executed before it. A trace function is told of a line when
//! it differs from that instruction's, and of a loop that jumps back within one line (`maybe_call_line_trace` in `Python/ceval.c`, 3.11;
//! `_Py_call_instrumentation_line` in `Python/instrumentation.c` and `sys_trace_jump_func` in `Python/legacy_tracing.c`,
//! 3.12+). So each way to an instruction is looked at.

use smallvec::SmallVec;

use crate::analysis::{Analysis, InstrIdx};
use crate::insert::Place;
use crate::opcode::{Flow, JumpKind, Op};
use crate::sites::forbidden;
use crate::version::Version;

/// A place where a line event comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineStart {
    /// As in `co_lines`.
    pub line: i32,
    /// The instruction that starts the line.
    pub at: InstrIdx,
    /// Only for those who jump to it: [`Branches::skips_fall_through`](crate::Branches::skips_fall_through).
    pub skips_fall_through: bool,
}

/// What [`line_starts`] finds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineStarts {
    /// In the order of their instructions.
    pub starts: Vec<LineStart>,
    /// Lines and instructions where it depends on the way, in a manner that no insertion can tell, or where nothing may be inserted.
    pub unsettled: Vec<(i32, InstrIdx)>,
}

/// How an instruction is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// From the instruction before it.
    Falls,
    /// By a jump.
    Jumps,
    /// By an exception.
    Raises,
}

/// The places where line events come.
pub fn line_starts(analysis: &Analysis) -> LineStarts {
    let lines = Lines::new(analysis);
    let ways = lines.ways();
    let mut found = LineStarts::default();
    for (index, ways) in (0u32..).zip(&ways) {
        let at = InstrIdx(index);
        let Some(line) = lines.line(index) else {
            continue;
        };
        if !lines.can_start(index) {
            continue;
        }
        let all = |wanted: bool, falls: bool| {
            ways.iter()
                .filter(|(way, _)| (*way == Way::Falls) == falls)
                .all(|&(_, fires)| fires == wanted)
        };
        if all(false, true) && all(false, false) {
            continue;
        }
        let skips_fall_through = !all(true, true);
        let settled = all(true, false) && (!skips_fall_through || all(false, true));
        if settled && forbidden(analysis, Place::Before(at)).is_none() {
            found.starts.push(LineStart {
                line,
                at,
                skips_fall_through,
            });
        } else {
            found.unsettled.push((line, at));
        }
    }
    found
}

struct Lines<'a> {
    analysis: &'a Analysis,
    /// Of each instruction.
    lines: Vec<Option<i32>>,
    /// From 3.12 on: instructions whose line is not that of the one before them in the code (`initialize_lines`).
    differs: Vec<bool>,
}

/// For each instruction, the ways to it and whether a line event comes on them.
type Ways = Vec<SmallVec<[(Way, bool); 2]>>;

impl<'a> Lines<'a> {
    fn new(analysis: &'a Analysis) -> Self {
        let count = analysis.instructions.len() as u32;
        let lines: Vec<_> = (0..count)
            .map(|index| analysis.location(InstrIdx(index)).line)
            .collect();
        let mut current = None;
        let mut differs = vec![false; lines.len()];
        for index in 0..count {
            let line = lines[index as usize];
            let before_first = analysis.entry.is_none_or(|entry| index < entry);
            if before_first || is_never_a_start(analysis, index) {
                continue;
            }
            differs[index as usize] = line != current;
            current = line;
        }
        Self {
            analysis,
            lines,
            differs,
        }
    }

    fn line(&self, index: u32) -> Option<i32> {
        self.lines.get(index as usize).copied().flatten()
    }

    fn op(&self, index: u32) -> Option<Op> {
        self.analysis.op(index)
    }

    /// Whether a line event may come at the instruction at all.
    fn can_start(&self, index: u32) -> bool {
        let analysis = self.analysis;
        if analysis.entry.is_none_or(|entry| index <= entry)
            || analysis.depth(InstrIdx(index)).is_none()
        {
            return false;
        }
        if analysis.version == Version::V3_11 {
            return self.op(index) != Some(Op::Resume);
        }
        !is_never_a_start(analysis, index)
            && (self.differs[index as usize] || self.is_target(index))
    }

    fn is_target(&self, index: u32) -> bool {
        let index = InstrIdx(index);
        self.analysis.is_jump_target(index) || self.analysis.is_handler(index)
    }

    /// Whether a line event comes when `to` is executed after `from`.
    fn fires(&self, from: u32, to: u32) -> bool {
        let line = self.line(to);
        if line.is_none() {
            return false;
        }
        if self.line(from) != line {
            return true;
        }
        if self.op(from) == Some(Op::Resume)
            && (self.analysis.version >= Version::V3_12 || self.analysis.entry == Some(from))
        {
            return true;
        }
        self.jumps_back(from, to)
    }

    /// A jump back within one line is a line event.
    fn jumps_back(&self, from: u32, to: u32) -> bool {
        let jump = self.analysis.info(from).map(|info| info.jump);
        if jump != Some(JumpKind::Backward)
            || self.analysis.target(InstrIdx(from)) != Some(InstrIdx(to))
        {
            return false;
        }
        if self.analysis.version == Version::V3_11 {
            self.op(to) != Some(Op::Send)
        } else {
            self.op(from) != Some(Op::JumpBackwardNoInterrupt)
        }
    }

    /// Whether the instruction may have run Python's code in a frame of the same evaluation loop, to which it depends on what is called and
    /// how it is specialised. 3.12 then takes its last inline cache for what was executed before the next instruction (`DISPATCH_INLINED`
    /// stores `next_instr - 1` in `prev_instr`), and caches have no line (`initialize_lines`): wherever a line may start, one does.
    fn may_have_run_a_frame(&self, index: u32) -> bool {
        self.analysis.version == Version::V3_12
            && matches!(
                self.op(index),
                Some(
                    Op::Call
                        | Op::CallFunctionEx
                        | Op::BinarySubscr
                        | Op::LoadAttr
                        | Op::ForIter
                        | Op::Send
                )
            )
    }

    /// All ways to all instructions.
    fn ways(&self) -> Ways {
        let analysis = self.analysis;
        let count = analysis.instructions.len() as u32;
        let mut ways: Ways = vec![SmallVec::new(); count as usize];
        let mut note = |from: u32, to: u32, way: Way| {
            let Some(ways) = ways.get_mut(to as usize) else {
                return;
            };
            let fires = self.fires(from, to);
            let may_fire = self.may_have_run_a_frame(from) && self.line(to).is_some();
            for fires in [Some(fires), may_fire.then_some(true)]
                .into_iter()
                .flatten()
            {
                if !ways.contains(&(way, fires)) {
                    ways.push((way, fires));
                }
            }
        };
        let reached = |index: &u32| analysis.depth(InstrIdx(*index)).is_some();
        for from in (0..count).filter(reached) {
            let index = InstrIdx(from);
            let Some(info) = analysis.info(from) else {
                continue;
            };
            if matches!(info.flow, Flow::Next | Flow::Conditional | Flow::Yield) {
                note(from, from + 1, Way::Falls);
            }
            if let Some(target) = analysis.target(index) {
                note(from, target.0, Way::Jumps);
                // The interpreter goes on behind the end of the loop at once.
                if info.op == Op::ForIter && self.op(target.0) == Some(Op::EndFor) {
                    let after = target.0 + 1;
                    note(from, after, Way::Jumps);
                    if analysis.version == Version::V3_13 {
                        note(from, after + 1, Way::Jumps);
                    }
                }
                if info.op == Op::Send && self.op(target.0) == Some(Op::EndSend) {
                    note(from, target.0 + 1, Way::Jumps);
                }
            }
            let handler = analysis
                .exception_entry(index)
                .and_then(|entry| analysis.at_start(entry.target));
            if let Some(handler) = handler
                && may_raise(info.op)
            {
                note(from, handler.0, Way::Raises);
                if info.op == Op::Reraise && analysis.instructions[from as usize].arg > 0 {
                    // It puts the place back where the exception was raised first.
                    for raiser in self.raisers() {
                        note(raiser, handler.0, Way::Raises);
                    }
                }
            }
        }
        ways
    }

    /// What may have raised an exception whose place is remembered on the stack.
    fn raisers(&self) -> impl Iterator<Item = u32> {
        let analysis = self.analysis;
        let entries = analysis.entries.iter().filter(|entry| entry.lasti);
        entries.flat_map(|entry| {
            let start = analysis.at_start(entry.start).map_or(0, |index| index.0);
            let end = analysis.at_start(entry.end);
            let end = end.map_or(analysis.instructions.len() as u32, |index| index.0);
            (start..end).filter(|&index| {
                analysis.op(index).is_some_and(may_raise)
                    && analysis.depth(InstrIdx(index)).is_some()
            })
        })
    }
}

/// What `initialize_lines` passes over.
fn is_never_a_start(analysis: &Analysis, index: u32) -> bool {
    match analysis.op(index) {
        Some(Op::EndAsyncFor | Op::EndFor | Op::EndSend | Op::Resume) => true,
        Some(Op::PopIter) => analysis.version >= Version::V3_15,
        _ => false,
    }
}

/// Whether an exception can come from an instruction. What is not known to be unable to is able.
fn may_raise(op: Op) -> bool {
    !matches!(
        op,
        Op::Nop
            | Op::PopTop
            | Op::PushNull
            | Op::Copy
            | Op::Swap
            | Op::LoadConst
            | Op::LoadSmallInt
            | Op::LoadFast
            | Op::LoadFastBorrow
            | Op::StoreFast
            | Op::StoreFastStoreFast
            | Op::StoreFastLoadFast
            | Op::PushExcInfo
            | Op::PopExcept
            | Op::JumpForward
            | Op::JumpBackwardNoInterrupt
            | Op::NotTaken
            | Op::ReturnValue
            | Op::ReturnConst
            | Op::ReturnGenerator
            | Op::MakeCell
            | Op::CopyFreeVars
    )
}
