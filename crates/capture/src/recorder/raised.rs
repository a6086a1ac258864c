//! Which instruction of a frame raised the exception that has arrived at a handler.

use debugop_bytecode::{InstrIdx, Op, SiteKind};
use debugop_recording::stream::Progress;
use pyo3::{Python, ffi};

use super::Left;
use super::planned::PlannedSite;
use super::threads::Shadow;
use crate::frame::Frame;
use crate::layout::objects::{BaseException, Traceback};
use crate::layout::slot::Content;
use crate::layout::{FrameObject, VERSION};

/// Where a frame was when something was raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Raise {
    /// The unit of the original.
    pub(super) unit: u32,
    /// [`Progress::Executing`]: it raised. Otherwise what told of it has, and it has not begun.
    pub(super) progress: Progress,
    /// Whether the frame has not told of itself yet: it is in the `RESUME` with which it starts.
    pub(super) starts: bool,
}

impl Raise {
    /// A unit raised.
    fn by(unit: u32) -> Self {
        Self {
            unit,
            progress: Progress::Executing,
            starts: false,
        }
    }

    /// What is at byte `offset` of the copy raised.
    pub(super) fn at(site: &PlannedSite, offset: u32) -> Option<Self> {
        let code = site.code();
        let unit = code.unit(offset)?;
        let analysis = code.probed().analysis();
        let first = analysis.first_resume();
        let starts = first.is_some_and(|first| analysis.get(first).offset == unit * 2);
        let unit = thrown(site, unit).unwrap_or(unit);
        Some(Self {
            starts,
            ..Self::by(unit)
        })
    }

    /// The unit in the middle of which the frame was.
    pub(super) fn inside(self) -> Option<u32> {
        (self.progress == Progress::Executing).then_some(self.unit)
    }
}

/// What of the original raised. `None` if no exception has arrived, or if it cannot be known.
pub(super) fn unit(
    _py: Python<'_>,
    site: &PlannedSite,
    frame: Frame<'_>,
    shadow: Option<&Shadow>,
) -> Option<Raise> {
    unit_of(site, frame, shadow, exception(site, frame)?)
}

/// The same of an exception that is leaving a frame which another engine reports.
#[cold]
pub(super) fn left(
    site: &PlannedSite,
    frame: Frame<'_>,
    shadow: Option<&Shadow>,
    left: Left,
) -> Raise {
    unit_of(site, frame, shadow, left.exception).unwrap_or(Raise::by(left.unit))
}

fn unit_of(
    site: &PlannedSite,
    frame: Frame<'_>,
    shadow: Option<&Shadow>,
    exception: *mut ffi::PyObject,
) -> Option<Raise> {
    // What raises again adds nothing to the traceback; a site stands right before it.
    if let Some(shadow) = shadow
        && shadow.reraises != PlannedSite::NO_UNIT
        && [0, exception as usize].contains(&shadow.exception)
    {
        return Some(Raise::by(shadow.reraises));
    }
    // SAFETY: a live object, whose class says that it is an exception; tracebacks are made by the interpreter only, and entries of this
    // frame name its frame object.
    unsafe {
        let class = ffi::Py_TYPE(exception);
        if (*class).tp_flags & ffi::Py_TPFLAGS_BASE_EXC_SUBCLASS == 0 {
            return None;
        }
        let entry = (*exception.cast::<BaseException>())
            .traceback
            .cast::<Traceback>();
        if entry.is_null() || ffi::Py_TYPE(entry.cast()) != &raw mut ffi::PyTraceBack_Type {
            return None;
        }
        let object = (*entry).tb_frame.cast::<FrameObject>();
        if object.is_null() || (*object).f_frame as usize != frame.address() {
            return None;
        }
        let raise = Raise::at(site, u32::try_from((*entry).tb_lasti).ok()?)?;
        let begins_again = shadow.is_some_and(|shadow| shadow.told == Shadow::AGAIN);
        Some(match begins_again {
            true => Raise {
                progress: Progress::Arrived,
                starts: false,
                ..raise
            },
            false => raise,
        })
    }
}

/// The unit of the `YIELD_VALUE` before the `RESUME` at `unit`, if an exception that is thrown into the frame there gets to the site.
///
/// From 3.13 on a suspended frame points to its `RESUME`, and so does the traceback; but the handler is that of the unit before
/// (`Python/ceval.c`, `exception_unwind`). Where the two have the same handler, what `RESUME` itself raises (a signal handler) counts as thrown, too.
fn thrown(site: &PlannedSite, unit: u32) -> Option<u32> {
    let analysis = site.code().probed().analysis();
    let resume = analysis.at_offset(unit * 2)?;
    if analysis.get(resume).opcode.info(VERSION)?.op != Op::Resume {
        return None;
    }
    let suspended = InstrIdx(resume.0.checked_sub(1)?);
    let instruction = analysis.get(suspended);
    if instruction.opcode.info(VERSION)?.op != Op::YieldValue {
        return None;
    }
    let handler = analysis
        .exception_entry(suspended)
        .and_then(|entry| analysis.at_start(entry.target));
    let here = (site.kind != SiteKind::Unwind).then_some(site.next);
    (handler == here).then_some(instruction.offset / 2)
}

/// What has arrived at a handler's site, if that is an object.
pub(super) fn exception(site: &PlannedSite, frame: Frame<'_>) -> Option<*mut ffi::PyObject> {
    let locals = site.code().locals();
    let slot = match site.kind {
        // `[lasti, exception]`.
        SiteKind::Unwind => locals + 1,
        _ => locals + site.depth.checked_sub(1)?,
    };
    // SAFETY: the plan is that of the code that the frame runs, and the depth that at the site.
    match unsafe { frame.local(slot) } {
        Content::Object(exception) => Some(exception),
        _ => None,
    }
}

/// What is raised again behind a site, by its address; 0 if it is not on top of the stack.
#[cold]
pub(super) fn on_top(site: &PlannedSite, frame: Frame<'_>) -> usize {
    let analysis = site.code().probed().analysis();
    let op = analysis.get(site.next).opcode.info(VERSION);
    match op.map(|info| info.op) {
        Some(Op::RaiseVarargs) | None => 0,
        _ => exception(site, frame).map_or(0, |exception| exception as usize),
    }
}

/// Whether a frame whose unit `unit` raises was suspended there: the exception has been thrown into it.
pub(super) fn is_suspension(site: &PlannedSite, unit: u32) -> bool {
    let analysis = site.code().probed().analysis();
    let Some(at) = analysis.at_offset(unit * 2) else {
        return false;
    };
    let instruction = analysis.get(at);
    match instruction.opcode.info(VERSION).map(|info| info.op) {
        Some(Op::YieldValue) => true,
        Some(Op::Resume) => instruction.arg & 3 != 0,
        _ => false,
    }
}
