//! Putting breakpoints into a copy of a code object.

use std::sync::Arc;

use debugop_bytecode::fragment::{Branches, Builder, Fragment};
use debugop_bytecode::{Analysis, Insertion, LineStart, Op, Place, line_starts};
use pyo3::types::{PyCode, PyList};
use pyo3::{Bound, Py, PyResult, Python};

use super::Breakpoint;
use super::condition::{Moved, Scope, known, translate};
use super::site::{self, Kind};
use crate::code_object::{CodeFields, parts, with_parts_and_names};
use crate::layout::VERSION;
use crate::probed::{MAX_SIZE, ProbedCode};

/// A code object with breakpoints in it.
pub(super) struct Woven {
    /// The original, its analysis and the way between the two.
    pub(super) entry: Arc<ProbedCode>,
    pub(super) copy: Py<PyCode>,
    /// What every line of the copy asks first: empty, nothing is evaluated.
    pub(super) armed: Py<PyList>,
    /// What is in it, in the order in which they were asked for.
    pub(super) breakpoints: Vec<Arc<Breakpoint>>,
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
    let found = line_starts(&analysis);
    let is_at = |line: i32| move |one: &&Arc<Breakpoint>| i64::from(one.line) == i64::from(line);
    let unsettled = found.unsettled.iter();
    if let Some((line, _)) = unsettled
        .clone()
        .find(|(line, _)| wanted.iter().any(|one| is_at(*line)(&one)))
    {
        return Ok(Outcome::Refused(format!(
            "whether line {line} begins depends on where control comes from"
        )));
    }
    let mut scope = Scope::new(original, &analysis)?;
    let armed = PyList::new(py, [true])?;
    let guard = scope.constant(armed.clone().into_any());
    let mut breakpoints: Vec<Arc<Breakpoint>> = Vec::new();
    let mut fragments: Vec<(LineStart, Fragment)> = Vec::new();
    for start in found.starts {
        let here: Vec<_> = wanted.iter().filter(is_at(start.line)).cloned().collect();
        if here.is_empty() {
            continue;
        }
        match line(py, &here, &mut scope, guard)? {
            Ok(fragment) => fragments.push((start, fragment)),
            Err(error) => return Ok(Outcome::Refused(error.to_string())),
        }
        for one in here {
            if !breakpoints.iter().any(|known| Arc::ptr_eq(known, &one)) {
                breakpoints.push(one);
            }
        }
    }
    if fragments.is_empty() {
        return Ok(Outcome::NotConcerned);
    }
    let insertions = fragments.iter().map(|(start, fragment)| Insertion {
        place: Place::Before(start.at),
        sequence: &fragment.sequence,
        branches: Some(Branches {
            protected: &fragment.protected,
            skips_fall_through: start.skips_fall_through,
        }),
    });
    let (parts, map) = match debugop_bytecode::insert(&view, &analysis, insertions, None) {
        Ok(inserted) => parts(inserted),
        Err(error) => return Ok(Outcome::Refused(error.to_string())),
    };
    let copy = with_parts_and_names(original, &parts, scope.constants, Some(scope.names))?;
    let entry = ProbedCode::woven(original, analysis, map, &copy)?;
    Ok(Outcome::Woven(Woven {
        entry,
        copy: copy.unbind(),
        armed: armed.unbind(),
        breakpoints,
    }))
}

/// What stands at the start of a line: first whether anything is armed, then each breakpoint in turn; where one stops, those after it
/// are passed over, as `bdb.effective` does.
fn line<'py>(
    py: Python<'py>,
    here: &[Arc<Breakpoint>],
    scope: &mut Scope<'py>,
    guard: u32,
) -> PyResult<Result<Fragment, debugop_bytecode::Error>> {
    let mut pieces = Vec::new();
    for breakpoint in here {
        let moved = match &breakpoint.condition {
            None => None,
            Some(condition) => translate(py, condition, scope)?.ok(),
        };
        let mut site =
            |kind| -> PyResult<u32> { Ok(scope.constant(site::new(py, breakpoint, kind)?)) };
        let calls = moved.as_ref().is_some_and(|moved| moved.calls);
        let sites = Sites {
            holds: site(if moved.is_none() && breakpoint.condition.is_some() {
                Kind::Evaluate
            } else {
                Kind::Holds
            })?,
            raised: site(if calls {
                Kind::RaisedInside
            } else {
                Kind::Raised
            })?,
            evaluate: site(if calls {
                Kind::EvaluateInside
            } else {
                Kind::Evaluate
            })?,
            enter: site(Kind::Enter)?,
            leave: site(Kind::Leave)?,
        };
        pieces.push((moved, sites));
    }
    let build = || {
        let mut builder = Builder::new(VERSION);
        let end = builder.end();
        builder.op(Op::LoadConst, guard)?;
        to_bool(&mut builder)?;
        jump_if(&mut builder, false, end)?;
        for (moved, sites) in &pieces {
            sites.write(moved.as_ref(), &mut builder)?;
        }
        builder.finish()
    };
    Ok(build())
}

/// The constants that one breakpoint needs.
struct Sites {
    holds: u32,
    raised: u32,
    evaluate: u32,
    enter: u32,
    leave: u32,
}

impl Sites {
    fn write(
        &self,
        moved: Option<&Moved>,
        builder: &mut Builder,
    ) -> Result<(), debugop_bytecode::Error> {
        let end = builder.end();
        let Some(moved) = moved else {
            invert(builder, self.holds)?;
            return jump_if(builder, true, end);
        };
        let (next, raised, unbound) = (builder.label(), builder.label(), builder.label());
        if moved.calls {
            invert(builder, self.enter)?;
            jump_if(builder, false, next)?;
        }
        let start = builder.here();
        let looked = moved.write(builder)?;
        // What a value's `__bool__` raises counts as raised by the condition.
        let negated = to_bool_or_negation(builder, moved.calls)?;
        if moved.calls {
            let after = builder.here();
            builder.protect(start, looked, unbound);
            builder.protect(looked, after, raised);
            invert(builder, self.leave)?;
            builder.op(Op::PopTop, 0)?;
            jump_if(builder, negated, next)?;
        } else {
            jump_if(builder, negated, next)?;
            let after = builder.here();
            builder.protect(start, looked, unbound);
            builder.protect(looked, after, raised);
        }
        invert(builder, self.holds)?;
        jump_if(builder, true, end)?;
        builder.jump(Op::JumpForward, next)?;
        for (handler, site) in [(raised, self.raised), (unbound, self.evaluate)] {
            builder.bind(handler);
            builder.op(Op::PopTop, 0)?;
            invert(builder, site)?;
            jump_if(builder, true, end)?;
            builder.jump(Op::JumpForward, next)?;
        }
        builder.bind(next);
        Ok(())
    }
}

/// `LOAD_CONST site; UNARY_INVERT`.
fn invert(builder: &mut Builder, site: u32) -> Result<(), debugop_bytecode::Error> {
    builder.op(Op::LoadConst, site)?;
    builder.op(Op::UnaryInvert, 0)
}

/// Before 3.13 jumps look at any value themselves.
fn to_bool(builder: &mut Builder) -> Result<(), debugop_bytecode::Error> {
    match Op::ToBool.opcode(VERSION) {
        Some(to_bool) => {
            builder.opcode(to_bool, 0);
            Ok(())
        }
        None => Ok(()),
    }
}

/// Makes a bool of the value where the jump does not, or where something comes between the value and the jump; says whether it is the
/// negation.
fn to_bool_or_negation(
    builder: &mut Builder,
    something_between: bool,
) -> Result<bool, debugop_bytecode::Error> {
    if something_between && Op::ToBool.opcode(VERSION).is_none() {
        builder.op(Op::UnaryNot, 0)?;
        return Ok(true);
    }
    to_bool(builder)?;
    Ok(false)
}

/// Pops a value and jumps if it is true, or false.
fn jump_if(
    builder: &mut Builder,
    wanted: bool,
    to: debugop_bytecode::fragment::Label,
) -> Result<(), debugop_bytecode::Error> {
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
