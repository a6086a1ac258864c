//! Putting breakpoints into a copy of a code object.

use std::sync::Arc;

use debugop_bytecode::fragment::{Branches, Builder, Fragment};
use debugop_bytecode::{
    Analysis, CodeView, Detour, Error, Insertion, InstrIdx, LineStart, LineStarts, Op, Place,
    line_starts,
};
use pyo3::types::{PyCode, PyTuple};
use pyo3::{Bound, Py, PyResult, Python};

use super::Breakpoint;
use super::condition::{Moved, Scope, known, translate};
use super::site::{self, Kind};
use crate::code_object::{self, CodeFields, parts, with_parts_and_names};
use crate::gil::GilCell;
use crate::layout::VERSION;
use crate::probed::{self, Fragments, MAX_SIZE, ProbedCode};
use crate::value::string;

/// A code object with breakpoints in it.
pub(super) struct Woven {
    /// The original, its analysis and the way between the two.
    pub(super) entry: Arc<ProbedCode>,
    pub(super) copy: Py<PyCode>,
    /// Whether anything in the copy is evaluated.
    pub(super) armed: Arc<GilCell<bool>>,
    /// What is in it, in the order in which they were asked for.
    pub(super) breakpoints: Vec<Arc<Breakpoint>>,
    /// 3.11: the code that is nested in it, originals, by their places among its constants.
    #[cfg_attr(Py_3_12, expect(dead_code, reason = "CPython tells of new functions"))]
    pub(super) nested: Vec<(usize, Py<PyCode>)>,
    /// Why its own breakpoints are not in it.
    pub(super) refusal: Option<String>,
}

/// What became of a code object.
pub(super) enum Outcome {
    /// No line event of its is for any of the breakpoints.
    NotConcerned,
    /// It has been left as it is, for this reason.
    Refused(String),
    Woven(Woven),
}

/// A copy of `original` with those of `wanted` that are for its lines.
///
/// # Errors
/// `MemoryError`.
pub(super) fn weave<'py>(
    original: &Bound<'py, PyCode>,
    wanted: &[Arc<Breakpoint>],
) -> PyResult<Outcome> {
    let py = original.py();
    let fields = CodeFields::read(original)?;
    let view = fields.view();
    if view.code.len() > MAX_SIZE {
        return Ok(Outcome::Refused("its bytecode is too long".to_owned()));
    }
    let analysis = match Analysis::new(&view) {
        Ok(analysis) => analysis,
        Err(error) => return Ok(Outcome::Refused(error.to_string())),
    };
    let mut scope = Scope::new(original, &analysis)?;
    let nested = nest(&mut scope)?;
    let armed = Arc::new(GilCell::new(true));
    let mut breakpoints: Vec<Arc<Breakpoint>> = Vec::new();
    let mut fragments: Vec<(LineStart, Fragment)> = Vec::new();
    let (places, mut refusal) = match places(original, &view, &analysis, wanted) {
        Ok(places) => (places, None),
        Err(refusal) => (Vec::new(), Some(refusal)),
    };
    for (start, here) in places {
        match line(py, &here, &mut scope, &armed)? {
            Ok(fragment) => fragments.push((start, fragment)),
            Err(error) => {
                refusal = Some(error.to_string());
                fragments.clear();
                break;
            }
        }
        for one in here {
            if !breakpoints.iter().any(|known| Arc::ptr_eq(known, &one)) {
                breakpoints.push(one);
            }
        }
    }
    #[cfg(not(Py_3_12))]
    if refusal.is_none()
        && let Err(reason) = at_instructions(
            original,
            &analysis,
            wanted,
            (&mut scope, &armed),
            (&mut fragments, &mut breakpoints),
        )?
    {
        refusal = Some(reason.to_owned());
        fragments.clear();
    }
    if fragments.is_empty() && nested.is_empty() {
        return Ok(refusal.map_or(Outcome::NotConcerned, Outcome::Refused));
    }
    let insertions = fragments.iter().map(|(start, fragment)| Insertion {
        place: Place::Before(start.at),
        sequence: &fragment.sequence,
        first: 0,
        // What is at an instruction and not at a line starts none and ends none.
        branches: (start.line != AT_INSTRUCTION).then_some(Branches {
            protected: &fragment.protected,
            skips_fall_through: start.skips_fall_through,
        }),
    });
    // Where frames that run on when the breakpoints are gone leave the copy.
    let leaving = (0..).zip(fragments.iter().map(|(start, _)| start.at));
    let leaving: Vec<(usize, InstrIdx)> = leaving
        .filter(|(_, at)| debugop_bytecode::is_in_loop(&analysis, *at))
        .collect();
    let sequences: Vec<_> = (scope.constants.len()..)
        .take(leaving.len())
        .map(probed::detour)
        .collect();
    let detours: Vec<_> = leaving
        .iter()
        .zip(&sequences)
        .map(|(&(insertion, _), sequence)| Detour {
            insertion,
            sequence,
        })
        .collect();
    let inserted =
        match debugop_bytecode::insert_with_detours(&view, &analysis, insertions, None, &detours) {
            Ok(inserted) => inserted,
            Err(error) => return Ok(Outcome::Refused(error.to_string())),
        };
    let standing = Fragments::of(&inserted, leaving);
    let (parts, map) = parts(inserted);
    let entry = ProbedCode::woven(original, analysis, map, standing);
    scope.constants.extend(entry.leaving_sites(py)?);
    let (constants, names) = (
        PyTuple::new(py, scope.constants)?,
        PyTuple::new(py, scope.names)?,
    );
    let copy = with_parts_and_names(original, &parts, &constants, Some(&names))?;
    entry.is_woven_into(&copy);
    Ok(Outcome::Woven(Woven {
        entry,
        copy: copy.unbind(),
        armed,
        breakpoints,
        nested,
        refusal,
    }))
}

/// Stands for the line of what is at an instruction.
const AT_INSTRUCTION: i32 = i32::MIN;

/// A line start, and the breakpoints that are for it.
type Start = (LineStart, Vec<Arc<Breakpoint>>);

/// The line starts that `wanted` is for, each with those that are for it; or why they cannot be put there.
fn places(
    original: &Bound<'_, PyCode>,
    view: &CodeView<'_>,
    analysis: &Analysis,
    wanted: &[Arc<Breakpoint>],
) -> Result<Vec<Start>, String> {
    let py = original.py();
    let is_at = |line: i32| move |one: &&Arc<Breakpoint>| i64::from(one.line) == i64::from(line);
    let mut lines = analysis
        .location_entries()
        .filter_map(|entry| entry.location.line);
    let name = string(&code_object::name(original));
    let is_named = |one: &Breakpoint| one.function.as_deref().is_none_or(|own| own == name);
    let by_events = wanted.iter().filter(|one| one.by_events && is_named(one));
    let mut by_events = by_events.peekable();
    if by_events.peek().is_some()
        && let Some(line) = std::iter::once(view.first_line)
            .chain(&mut lines)
            .find(|line| by_events.clone().any(|one| is_at(*line)(&one)))
    {
        return Err(format!(
            "line events have to tell of the breakpoint in line {line}"
        ));
    }
    let found = line_starts(analysis);
    // There `bdb` looks at other breakpoints.
    let is_hidden = |one: &Breakpoint, target: i32| {
        i64::from(target) != i64::from(one.line) && one.hidden_at.contains(&target.unsigned_abs())
    };
    // Which line each is at here.
    let mut targets = Vec::with_capacity(wanted.len());
    for one in wanted {
        let Ok(line) = i32::try_from(one.line) else {
            continue;
        };
        let target = match &one.function {
            None => Some(line),
            Some(_) if !is_named(one) => None,
            Some(_) if one.given.is_some() => {
                let first_line = view.first_line.unsigned_abs();
                let given = one
                    .given
                    .filter(|given| one.is_looked_at(first_line, *given));
                given.and_then(|given| i32::try_from(given).ok())
            }
            Some(_) => match line_in_function(&found, analysis, view.first_line, line) {
                Ok(target) if target.is_none_or(|target| !is_hidden(one, target)) => target,
                _ => {
                    return Err(format!(
                        "line events have to tell where in the function of line {line} it is"
                    ));
                }
            },
        };
        if let (Some(target), Some(_)) = (target, &one.function)
            && let Some(place) = one.line_in_function(py)
            && i64::from(place) != i64::from(target)
        {
            one.disputed.set(py, true);
            return Err(format!(
                "the function of line {line} that is called first decides where it is"
            ));
        }
        if let Some(target) = target {
            targets.push((target, one));
        }
    }
    let mut unsettled = found.unsettled.iter().map(|(line, _)| *line);
    if let Some(line) = unsettled.find(|line| targets.iter().any(|(target, _)| target == line)) {
        return Err(format!(
            "whether line {line} begins depends on where control comes from"
        ));
    }
    let here = |start: LineStart| {
        let here = targets.iter().filter(|(line, _)| *line == start.line);
        let here: Vec<_> = here.map(|(_, one)| Arc::clone(one)).collect();
        for one in here.iter().filter(|one| one.function.is_some()) {
            one.place
                .set(py, u32::try_from(start.line).unwrap_or_default());
        }
        (!here.is_empty()).then_some((start, here))
    };
    Ok(found.starts.into_iter().filter_map(here).collect())
}

/// The line at which a breakpoint on `line` is in a function with the name that it has (`bdb.checkfuncname`): the first one that is reached
/// of those that may be meant. `Ok(None)`: it is not for this function; `Err`: that depends on what is executed.
fn line_in_function(
    found: &LineStarts,
    analysis: &Analysis,
    first_line: i32,
    line: i32,
) -> Result<Option<i32>, ()> {
    let settled = found.starts.iter().map(|start| (start.at, start.line));
    let unsettled = found.unsettled.iter().map(|(line, at)| (*at, *line));
    let mut all: Vec<_> = settled.chain(unsettled).collect();
    all.sort_unstable();
    // Nothing is jumped over before it.
    let resume = analysis
        .instructions()
        .iter()
        .position(|one| Some(one.opcode) == Op::Resume.opcode(VERSION));
    let entry = all
        .iter()
        .find(|(at, _)| resume.is_some_and(|resume| at.0 as usize > resume))
        .map(|(_, line)| *line);
    let has = all.iter().any(|(_, one)| *one == line);
    match (has, line == first_line) {
        (false, false) => Ok(None),
        (true, false) => Ok(Some(line)),
        (has, true) if !has || entry == Some(line) => Ok(entry),
        _ => Err(()),
    }
}

/// Adds what is at instructions of `original` and not at lines of it; or says why that cannot be.
#[cfg(not(Py_3_12))]
fn at_instructions<'py>(
    original: &Bound<'py, PyCode>,
    analysis: &Analysis,
    wanted: &[Arc<Breakpoint>],
    (scope, armed): (&mut Scope<'py>, &Arc<GilCell<bool>>),
    (fragments, breakpoints): (&mut Vec<(LineStart, Fragment)>, &mut Vec<Arc<Breakpoint>>),
) -> PyResult<Result<(), &'static str>> {
    for one in wanted {
        let offsets = one.offsets_in(original);
        if offsets.is_empty() {
            continue;
        }
        let site = scope.constant(site::new(original.py(), one, armed, Kind::Reached)?);
        for offset in offsets {
            let at = analysis.at_offset(*offset);
            let Some(at) = at.or_else(|| analysis.at_start(*offset)) else {
                return Ok(Err("an instruction that is wanted is none"));
            };
            // Which of the two is told first depends on what the other one says.
            if fragments.iter().any(|(start, _)| start.at == at) {
                return Ok(Err("two things stop at one instruction"));
            }
            let mut builder = Builder::new(VERSION);
            let build = invert(&mut builder, site)
                .and_then(|()| builder.op(Op::PopTop, 0))
                .and_then(|()| builder.finish());
            let Ok(fragment) = build else {
                return Ok(Err(
                    "nothing can be put before an instruction that is wanted",
                ));
            };
            let start = LineStart {
                line: AT_INSTRUCTION,
                at,
                skips_fall_through: false,
            };
            fragments.push((start, fragment));
        }
        breakpoints.push(Arc::clone(one));
    }
    fragments.sort_by_key(|(start, _)| start.at);
    Ok(Ok(()))
}

/// 3.11 does not tell of new functions, so those that woven code makes get their copies from its constants.
#[cfg(not(Py_3_12))]
fn nest(scope: &mut Scope<'_>) -> PyResult<Vec<(usize, Py<PyCode>)>> {
    let mut nested = Vec::new();
    for (index, constant) in scope.constants.iter_mut().enumerate() {
        let Ok(code) = constant.cast_exact::<PyCode>().cloned() else {
            continue;
        };
        if let Some(copy) = super::replacement(&code)? {
            *constant = copy.into_any();
        }
        nested.push((index, code.unbind()));
    }
    Ok(nested)
}

/// 3.12+ tells of every function that is made.
#[cfg(Py_3_12)]
#[expect(clippy::unnecessary_wraps, reason = "as on 3.11")]
fn nest(_scope: &mut Scope<'_>) -> PyResult<Vec<(usize, Py<PyCode>)>> {
    Ok(Vec::new())
}

/// What stands at the start of a line: each breakpoint in turn; where one stops, those after it are passed over, as `bdb.effective`
/// does.
fn line<'py>(
    py: Python<'py>,
    here: &[Arc<Breakpoint>],
    scope: &mut Scope<'py>,
    armed: &Arc<GilCell<bool>>,
) -> PyResult<Result<Fragment, Error>> {
    let mut pieces = Vec::new();
    for breakpoint in here {
        let moved = match &breakpoint.condition {
            None => None,
            Some(condition) => translate(py, condition, scope)?.ok(),
        };
        let mut site =
            |kind| -> PyResult<u32> { Ok(scope.constant(site::new(py, breakpoint, armed, kind)?)) };
        pieces.push(match moved {
            None => Piece::Native(site(Kind::Reached)?),
            Some(moved) => {
                let arrives = if moved.calls {
                    Kind::Enters
                } else {
                    Kind::Arrives
                };
                let sites = Sites {
                    arrives: site(arrives)?,
                    leaves: site(Kind::Leaves)?,
                    holds: site(Kind::Holds)?,
                    raised: site(Kind::Raised)?,
                    unbound: site(Kind::Unbound)?,
                };
                Piece::Inline(moved, sites)
            }
        });
    }
    let build = || {
        let mut builder = Builder::new(VERSION);
        let end = builder.end();
        for piece in &pieces {
            match piece {
                Piece::Native(site) => ask(&mut builder, *site, true, end)?,
                Piece::Inline(moved, sites) => sites.write(moved, &mut builder)?,
            }
        }
        builder.finish()
    };
    Ok(build())
}

/// One breakpoint of a line.
enum Piece {
    /// All is done at this constant.
    Native(u32),
    /// The condition is in the bytecode.
    Inline(Moved, Sites),
}

/// The constants that a condition in the bytecode needs.
struct Sites {
    arrives: u32,
    leaves: u32,
    holds: u32,
    raised: u32,
    unbound: u32,
}

impl Sites {
    fn write(&self, moved: &Moved, builder: &mut Builder) -> Result<(), Error> {
        let end = builder.end();
        let (next, raised, unbound) = (builder.label(), builder.label(), builder.label());
        ask(builder, self.arrives, false, next)?;
        let start = builder.here();
        let looked = moved.write(builder)?;
        // What a value's `__bool__` raises counts as raised by the condition.
        let negated = if moved.is_bool {
            false
        } else {
            to_bool_or_negation(builder, moved.calls)?
        };
        if !moved.calls {
            jump_if(builder, negated, next)?;
        }
        let after = builder.here();
        builder.protect(start, looked, unbound);
        builder.protect(looked, after, raised);
        if moved.calls {
            invert(builder, self.leaves)?;
            builder.op(Op::PopTop, 0)?;
            jump_if(builder, negated, next)?;
        }
        ask(builder, self.holds, true, end)?;
        builder.jump(Op::JumpForward, next)?;
        for (handler, site) in [(raised, self.raised), (unbound, self.unbound)] {
            builder.bind(handler);
            builder.op(Op::PopTop, 0)?;
            if moved.calls {
                invert(builder, self.leaves)?;
                builder.op(Op::PopTop, 0)?;
            }
            ask(builder, site, true, end)?;
            builder.jump(Op::JumpForward, next)?;
        }
        builder.bind(next);
        Ok(())
    }
}

/// `LOAD_CONST site; UNARY_INVERT`.
fn invert(builder: &mut Builder, site: u32) -> Result<(), Error> {
    builder.op(Op::LoadConst, site)?;
    builder.op(Op::UnaryInvert, 0)
}

/// Jumps if the site's answer is `wanted`.
fn ask(
    builder: &mut Builder,
    site: u32,
    wanted: bool,
    to: debugop_bytecode::fragment::Label,
) -> Result<(), Error> {
    if site::JUMPED_ON {
        builder.op(Op::LoadConst, site)?;
    } else {
        invert(builder, site)?;
    }
    jump_if(builder, wanted, to)
}

/// Makes a bool of the value where the jump does not (3.13+), or where something comes between the value and the jump; says whether it is the
/// negation.
fn to_bool_or_negation(builder: &mut Builder, something_between: bool) -> Result<bool, Error> {
    match Op::ToBool.opcode(VERSION) {
        Some(to_bool) => {
            builder.opcode(to_bool, 0);
            Ok(false)
        }
        None if something_between => {
            builder.op(Op::UnaryNot, 0)?;
            Ok(true)
        }
        None => Ok(false),
    }
}

/// Pops a value and jumps if it is true, or false.
fn jump_if(
    builder: &mut Builder,
    wanted: bool,
    to: debugop_bytecode::fragment::Label,
) -> Result<(), Error> {
    let [forward, plain] = if wanted {
        [Op::PopJumpForwardIfTrue, Op::PopJumpIfTrue]
    } else {
        [Op::PopJumpForwardIfFalse, Op::PopJumpIfFalse]
    };
    let op = if forward.opcode(VERSION).is_some() {
        forward
    } else {
        plain
    };
    builder.jump_opcode(known(op), to);
    if let Some(not_taken) = Op::NotTaken.opcode(VERSION) {
        builder.opcode(not_taken, 0);
    }
    Ok(())
}
