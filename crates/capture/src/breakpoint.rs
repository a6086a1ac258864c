//! Breakpoints that are part of the bytecode: nothing is slower but the lines where they stand.
//!
//! A breakpoint's condition is compiled into the function at its line ([`condition`], [`weave`]) and runs there as ordinary code, in the
//! function's own scope; Rust is entered when it holds ([`site`]). A code object has either all of its breakpoints in it or none: where
//! one cannot be told by inserted code ([`reasons`]), line events have to.
//!
//! What runs is a copy, which the program is not shown, as with probes ([`crate::whole`]). Frames that run the original already go on
//! with it; whoever sets breakpoints has line events for those. Where a tracer watches a function, its probed copy runs and breakpoints
//! wait until it stops.

mod condition;
mod evaluate;
mod inside;
#[cfg(not(Py_3_12))]
pub(crate) mod nested;
mod site;
mod weave;

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

#[cfg(not(Py_3_12))]
use pyo3::Py;
use pyo3::types::{PyAnyMethods, PyCode, PyFrame, PyFunction, PyString};
use pyo3::{Bound, PyResult, Python};
use rustc_hash::FxHashMap;

use crate::code_object;
use crate::extra;
use crate::frame::Frame;
use crate::function;
use crate::gil::GilCell;
use crate::registry;
use crate::thread;
use crate::value::string;
use crate::whole;
use condition::Expression;
pub use inside::failed;
use weave::{Outcome, Woven};

/// Makes what gives up the GIL once.
///
/// # Errors
/// `MemoryError`.
pub(crate) fn prepare(py: Python<'_>) -> PyResult<()> {
    site::prepare(py)
}

/// Who is told when a breakpoint is reached.
pub trait Listener: Send + Sync {
    /// Execution has come to the breakpoint, its condition holds (or has raised: `raised`), and its ignore count is used up.
    ///
    /// # Errors
    /// An exception is raised in the program, at the line.
    fn stop<'py>(
        &self,
        py: Python<'py>,
        breakpoint: &Arc<Breakpoint>,
        frame: &Bound<'py, PyFrame>,
        raised: bool,
    ) -> PyResult<()>;

    /// A log point has something to say.
    ///
    /// # Errors
    /// As for [`stop`](Self::stop).
    fn log(&self, py: Python<'_>, breakpoint: &Arc<Breakpoint>, text: &str) -> PyResult<()>;
}

/// What a breakpoint is to be.
pub struct Wanted<'a> {
    /// As in `co_filename`; made absolute as `bdb.Bdb.canonic` does.
    pub file: &'a str,
    /// Line of the file.
    pub line: u32,
    /// Only in functions of this name, as `bdb.checkfuncname` has it: at this line, or, where that is a function's first one, at the first line
    /// that is executed in it.
    pub function: Option<&'a str>,
    /// The line where it has turned out to be in these.
    pub line_in_function: Option<u32>,
    /// With a function: the lines of the file that have breakpoints. There `bdb` looks at those and not at this one, but at its own line.
    pub hidden_at: &'a [u32],
    /// An expression; `None`: always.
    pub condition: Option<&'a str>,
    /// How many times it is passed over, its condition holding.
    pub ignore: u64,
    /// A text with expressions in braces, as in an f-string, that is logged in place of stopping.
    pub log: Option<&'a str>,
    /// Its condition is such that line events have to tell of it, so code with this line is left as it is.
    pub by_events: bool,
    /// The thread that stops, by the address of its state; `None`: all of them.
    pub thread: Option<usize>,
    /// Who is told.
    pub listener: Arc<dyn Listener>,
}

/// A breakpoint, in force while it is among those that [`set`] was given last.
pub struct Breakpoint {
    file: Box<str>,
    line: u32,
    function: Option<Box<str>>,
    /// Where it is in that function, as soon as that is known; 0: it is not.
    place: GilCell<u32>,
    /// As [`Wanted::line_in_function`].
    given: Option<u32>,
    /// As [`Wanted::hidden_at`].
    hidden_at: Box<[u32]>,
    /// There are two functions that it is for, and it would be at different lines of them: which of them is called first decides.
    disputed: GilCell<bool>,
    condition: Option<Expression>,
    log: Option<Expression>,
    by_events: bool,
    /// It is at instructions and not at a line: the code object, an original, and offsets in it.
    #[cfg(not(Py_3_12))]
    at: Option<(Py<PyCode>, Vec<u32>)>,
    thread: Option<usize>,
    ignore: GilCell<u64>,
    /// How often it was reached.
    hits: GilCell<u64>,
    listener: Arc<dyn Listener>,
}

impl Breakpoint {
    /// Compiles what `wanted` says.
    ///
    /// # Errors
    /// `SyntaxError`: the condition, or an expression of the log message, is none; `yield` and `await` cannot stand there.
    pub fn new(py: Python<'_>, wanted: Wanted<'_>) -> PyResult<Arc<Self>> {
        let condition = wanted.condition.map(|text| Expression::new(py, text));
        let log = wanted.log.map(|text| Expression::new(py, &template(text)));
        Ok(Arc::new(Self {
            file: canonic(wanted.file).into(),
            line: wanted.line,
            function: wanted.function.map(Box::from),
            place: GilCell::new(wanted.line_in_function.unwrap_or_default()),
            given: wanted.line_in_function,
            hidden_at: wanted.hidden_at.into(),
            disputed: GilCell::default(),
            condition: condition.transpose()?,
            log: log.transpose()?,
            by_events: wanted.by_events,
            #[cfg(not(Py_3_12))]
            at: None,
            thread: wanted.thread,
            ignore: GilCell::new(wanted.ignore),
            hits: GilCell::default(),
            listener: wanted.listener,
        }))
    }

    /// One that stops always, in one thread, before the instructions of `code`, an original, that are at `offsets`.
    #[cfg(not(Py_3_12))]
    pub(crate) fn at(
        code: &Bound<'_, PyCode>,
        offsets: Vec<u32>,
        thread: usize,
        listener: Arc<dyn Listener>,
    ) -> Arc<Self> {
        Arc::new(Self {
            file: canonic(&string(&code_object::filename(code))).into(),
            line: 0,
            function: None,
            place: GilCell::default(),
            given: None,
            hidden_at: Box::default(),
            disputed: GilCell::default(),
            condition: None,
            log: None,
            by_events: false,
            at: Some((code.clone().unbind(), offsets)),
            thread: Some(thread),
            ignore: GilCell::default(),
            hits: GilCell::default(),
            listener,
        })
    }

    /// The offsets in `code`, an original, of the instructions that it is at.
    #[cfg(not(Py_3_12))]
    fn offsets_in(&self, code: &Bound<'_, PyCode>) -> &[u32] {
        match &self.at {
            Some((own, offsets)) if own.is(code) => offsets,
            _ => &[],
        }
    }

    /// Whether it may be for `entry`.
    fn may_be_in(&self, _py: Python<'_>, entry: &crate::probed::ProbedCode) -> bool {
        #[cfg(not(Py_3_12))]
        if !self.offsets_in(entry.original(_py)).is_empty() {
            return true;
        }
        entry.has_line(self.line)
    }

    /// The file, made absolute.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line.
    #[must_use]
    pub fn line(&self) -> u32 {
        self.line
    }

    /// The name of the functions that it is in.
    #[must_use]
    pub fn function(&self) -> Option<&str> {
        self.function.as_deref()
    }

    /// The line where it is, in a function that is given by its name; `None`: that has not turned out.
    pub fn line_in_function(&self, py: Python<'_>) -> Option<u32> {
        Some(self.place.get(py)).filter(|line| *line != 0)
    }

    /// As [`Wanted::hidden_at`].
    #[must_use]
    pub fn hidden_at(&self) -> &[u32] {
        &self.hidden_at
    }

    /// Whether it is in a function whose first line that is executed depends on more than the function, so that line events have to tell.
    #[must_use]
    pub fn is_disputed(&self, py: Python<'_>) -> bool {
        self.disputed.get(py)
    }

    /// Whether it is looked at where code whose first line is `first_line` comes to `line`, if it is by that function's name.
    fn is_looked_at(&self, first_line: u32, line: u32) -> bool {
        self.line == line || (self.line == first_line && !self.hidden_at.contains(&line))
    }

    /// Whether it is at `line` of `code`, an original; `None`: that has not turned out.
    #[cfg(Py_3_12)]
    fn is_at(&self, code: &Bound<'_, PyCode>, line: u32) -> Option<bool> {
        let Some(function) = &self.function else {
            return Some(self.line == line);
        };
        let first_line = code_object::head(code).co_firstlineno.unsigned_abs();
        if string(&code_object::name(code)) != **function || !self.is_looked_at(first_line, line) {
            return Some(false);
        }
        let place = self.line_in_function(code.py())?;
        Some(place == line)
    }

    /// The condition as it was written.
    #[must_use]
    pub fn condition(&self) -> Option<&str> {
        self.condition.as_ref().map(|condition| &*condition.text)
    }

    /// Whether line events tell of it.
    #[must_use]
    pub fn is_by_events(&self) -> bool {
        self.by_events
    }

    /// How often it was reached.
    pub fn hits(&self, py: Python<'_>) -> u64 {
        self.hits.get(py)
    }

    /// How many times more it is passed over.
    pub fn ignore(&self, py: Python<'_>) -> u64 {
        self.ignore.get(py)
    }

    /// Sets how many times more it is passed over.
    pub fn set_ignore(&self, py: Python<'_>, ignore: u64) {
        self.ignore.set(py, ignore);
    }

    /// Whether the running thread is one that stops here, and does not evaluate a condition already.
    #[inline]
    fn counts(&self, py: Python<'_>, armed: &GilCell<bool>) -> bool {
        if !armed.get(py) {
            return false;
        }
        let paused = PAUSED.get(py);
        if paused != 0 || self.thread.is_some() {
            return self.counts_here(py, paused);
        }
        !inside::is(py)
    }

    /// The same, where it depends on which thread that is: on 3.11 always.
    #[cfg_attr(Py_3_12, inline(never))]
    #[cfg_attr(not(Py_3_12), inline(always))]
    fn counts_here(&self, py: Python<'_>, paused: usize) -> bool {
        let thread = thread::address(py);
        thread != paused && self.thread.is_none_or(|one| one == thread) && !inside::is(py)
    }

    /// The running frame has come here. Says whether the condition is to be evaluated.
    #[inline]
    fn arrives(&self, py: Python<'_>, armed: &GilCell<bool>) -> bool {
        let counts = self.counts(py, armed);
        if counts {
            self.hits.set(py, self.hits.get(py) + 1);
        }
        counts
    }

    /// The running frame has come here. Says whether there is nothing to do but to count.
    #[inline]
    fn passes(&self, py: Python<'_>, armed: &GilCell<bool>) -> bool {
        if !self.counts(py, armed) {
            return true;
        }
        if self.condition.is_some() || self.ignore.get(py) == 0 {
            return false;
        }
        self.hits.set(py, self.hits.get(py) + 1);
        self.ignore.set(py, self.ignore.get(py) - 1);
        true
    }

    /// The running frame has come here, and nothing has been evaluated. Says whether it has stopped.
    fn reached(self: &Arc<Self>, py: Python<'_>, armed: &GilCell<bool>) -> PyResult<bool> {
        if !self.arrives(py, armed) {
            return Ok(false);
        }
        if self.condition.is_some() {
            self.evaluate(py)
        } else {
            self.stop(py, false)
        }
    }

    /// The condition holds, or has `raised`. Says whether it has stopped: then breakpoints after it on the same line are passed over.
    fn stop(self: &Arc<Self>, py: Python<'_>, raised: bool) -> PyResult<bool> {
        if let Some(failure) = inside::take_failure(py).filter(|_| raised) {
            return Err(failure);
        }
        let ignore = self.ignore.get(py);
        if !raised && ignore > 0 {
            self.ignore.set(py, ignore - 1);
            return Ok(false);
        }
        let Some(frame) = Frame::current(py).and_then(|frame| frame.object(py)) else {
            return Ok(false);
        };
        inside::during(py, || match &self.log {
            None => {
                self.listener.stop(py, self, &frame, raised)?;
                Ok(true)
            }
            Some(log) => {
                self.listener.log(py, self, &formatted(log, &frame))?;
                Ok(false)
            }
        })
    }

    /// Evaluates the condition as `bdb` does. Says whether it has stopped.
    fn evaluate(self: &Arc<Self>, py: Python<'_>) -> PyResult<bool> {
        let Some(condition) = &self.condition else {
            return self.stop(py, false);
        };
        let Some(frame) = Frame::current(py).and_then(|frame| frame.object(py)) else {
            return Ok(false);
        };
        let code = condition.code.bind(py);
        let holds = inside::during(py, || evaluate::evaluate(code, &frame)?.is_truthy());
        match holds {
            Ok(false) => Ok(false),
            Ok(true) => self.stop(py, false),
            Err(_) => self.stop(py, true),
        }
    }
}

/// A log message as the source of an f-string.
fn template(text: &str) -> String {
    let quote = ["\"\"\"", "'''", "\"", "'"]
        .into_iter()
        .find(|quote| !text.contains(quote) && !text.ends_with(&quote[..1]))
        .unwrap_or("\"\"\"");
    format!("f{quote}{text}{quote}")
}

/// `bdb.Bdb.canonic`: absolute, but for what stands in angle brackets.
fn canonic(file: &str) -> String {
    if file.starts_with('<') && file.ends_with('>') {
        return file.to_owned();
    }
    let Ok(absolute) = std::path::absolute(Path::new(file)) else {
        return file.to_owned();
    };
    let mut normal = PathBuf::new();
    for component in absolute.components() {
        match component {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal.to_string_lossy().into_owned()
}

/// All that is in force.
#[derive(Default)]
struct State {
    /// By file.
    wanted: FxHashMap<Box<str>, Arc<[Arc<Breakpoint>]>>,
    /// What `co_filename` is called there.
    files: FxHashMap<String, String>,
    /// By the address of the original, which the copy keeps alive.
    woven: FxHashMap<usize, Woven>,
    /// Why code objects have been left as they are: name, file, reason.
    refused: Vec<String>,
    /// Nothing is evaluated.
    paused: bool,
    /// 3.11: copies that are in force no more, and may still make functions.
    #[cfg(not(Py_3_12))]
    stale: Vec<Woven>,
}

static STATE: GilCell<Option<State>> = GilCell::new(None);

/// See [`pause_thread`].
static PAUSED: GilCell<usize> = GilCell::new(0);

/// Counts the changes: code that no breakpoint was for in an earlier generation may have one now. 0: there are none.
static GENERATION: GilCell<u64> = GilCell::new(0);

fn state<R>(py: Python<'_>, f: impl FnOnce(&mut State) -> R) -> R {
    STATE.with(py, |state| f(state.get_or_insert_with(State::default)))
}

/// Whether functions that are made have to be looked at.
pub(crate) fn sees_functions(py: Python<'_>) -> bool {
    #[cfg(not(Py_3_12))]
    if nested::are_kept(py) {
        return true;
    }
    any(py)
}

/// Whether there are any.
pub(crate) fn any(py: Python<'_>) -> bool {
    STATE.with(py, |state| {
        state.as_ref().is_some_and(|state| !state.wanted.is_empty())
    })
}

/// Puts `breakpoints` in force, in place of all that were: into every function there is, and into those that will be made. Breakpoints
/// that are the same objects as before stay where they are.
///
/// # Errors
/// CPython refuses to tell of new functions; `MemoryError`.
pub fn set(py: Python<'_>, breakpoints: &[Arc<Breakpoint>]) -> PyResult<()> {
    let mut wanted: FxHashMap<Box<str>, Vec<Arc<Breakpoint>>> = FxHashMap::default();
    for one in breakpoints {
        wanted
            .entry(one.file.clone())
            .or_default()
            .push(Arc::clone(one));
    }
    let wanted = wanted.into_iter().map(|(file, all)| (file, Arc::from(all)));
    let wanted: FxHashMap<_, Arc<[_]>> = wanted.collect();
    let old = state(py, |state| {
        state.refused.clear();
        state.files.clear();
        std::mem::replace(&mut state.wanted, wanted)
    });
    GENERATION.set(py, GENERATION.get(py) + 1);
    if any(py) {
        whole::see_functions(py)?;
    }
    let retired = retire(py);
    let mut outcome = Ok(());
    for function in function::all(py) {
        let done = update(&function);
        outcome = outcome.and(done);
    }
    #[cfg(not(Py_3_12))]
    {
        let done = nested::renew(py, retired);
        outcome = outcome.and(done);
        drop(old);
    }
    #[cfg(Py_3_12)]
    drop((old, retired));
    #[cfg(not(Py_3_12))]
    if nested::are_kept(py) {
        return outcome;
    }
    if !any(py) {
        whole::see_functions_no_more(py);
        whole::hide_nothing(py);
    }
    outcome
}

/// Takes out of force what is not what is wanted now. Frames that run it evaluate nothing any more.
fn retire(py: Python<'_>) -> Vec<Woven> {
    let woven = state(py, |state| std::mem::take(&mut state.woven));
    let (mut kept, mut retired) = (FxHashMap::default(), Vec::new());
    for (address, one) in woven {
        let wanted = wanted(one.entry.original(py));
        let lines = |all: &[Arc<Breakpoint>]| -> Vec<*const Breakpoint> {
            all.iter().map(Arc::as_ptr).collect()
        };
        let (mut before, mut now) = (
            lines(&one.breakpoints),
            lines(wanted.as_deref().unwrap_or_default()),
        );
        // The file's others are for other code, unless there is one more now.
        before.sort_unstable();
        now.retain(|one| before.binary_search(one).is_ok());
        now.sort_unstable();
        let more = wanted.iter().flat_map(|all| all.iter()).any(|new| {
            !one.breakpoints.iter().any(|old| Arc::ptr_eq(old, new))
                && new.may_be_in(py, &one.entry)
        });
        if before == now && !more {
            kept.insert(address, one);
        } else {
            one.armed.set(py, false);
            one.entry.retire(py);
            retired.push(one);
        }
    }
    state(py, |state| state.woven = kept);
    retired
}

/// The breakpoints of the file of `code`.
fn wanted(code: &Bound<'_, PyCode>) -> Option<Arc<[Arc<Breakpoint>]>> {
    let py = code.py();
    let file = string(&code_object::filename(code));
    let known = state(py, |state| state.files.get(&file).cloned());
    let absolute = known.unwrap_or_else(|| {
        let absolute = canonic(&file);
        state(py, |state| state.files.insert(file, absolute.clone()));
        absolute
    });
    state(py, |state| state.wanted.get(absolute.as_str()).cloned())
}

/// The copy of `code`, an original, that has its breakpoints; `None`: it has none, or they cannot be put into it.
///
/// # Errors
/// `MemoryError`.
pub(crate) fn replacement<'py>(code: &Bound<'py, PyCode>) -> PyResult<Option<Bound<'py, PyCode>>> {
    if !any(code.py()) {
        return Ok(None);
    }
    replacement_with(code, false)
}

/// The same for code that is about to run and that no other code has made: on 3.11 what makes functions gets a copy anyway, while a debugger
/// may still set breakpoints ([`nested::keep`]).
///
/// # Errors
/// As for [`replacement`].
pub(crate) fn replacement_of_root<'py>(
    code: &Bound<'py, PyCode>,
) -> PyResult<Option<Bound<'py, PyCode>>> {
    #[cfg(not(Py_3_12))]
    if nested::are_kept(code.py()) {
        return replacement_with(code, true);
    }
    replacement(code)
}

fn replacement_with<'py>(
    code: &Bound<'py, PyCode>,
    anyway: bool,
) -> PyResult<Option<Bound<'py, PyCode>>> {
    let py = code.py();
    if let Some(copy) = copy(code) {
        return Ok(Some(copy));
    }
    let generation = GENERATION.get(py);
    if !anyway && extra::peek(code, |extra| extra.unbroken.get(py) == generation) == Some(true) {
        return Ok(None);
    }
    let outcome = match wanted(code) {
        None if anyway => weave::weave(code, &[])?,
        None => Outcome::NotConcerned,
        Some(wanted) => weave::weave(code, &wanted)?,
    };
    let leave = || extra::with(code, |extra| extra.unbroken.set(py, generation));
    match outcome {
        Outcome::NotConcerned => leave()?,
        Outcome::Refused(reason) => {
            note(code, &reason);
            leave()?;
            #[cfg(not(Py_3_12))]
            crate::debug::fall_back(py)?;
        }
        Outcome::Woven(woven) => {
            if let Some(reason) = &woven.refusal {
                note(code, reason);
                #[cfg(not(Py_3_12))]
                crate::debug::fall_back(py)?;
            }
            registry::adopt_woven(&woven.entry, woven.copy.bind(py))?;
            let copy = woven.copy.clone_ref(py).into_bound(py);
            woven.armed.set(py, !state(py, |state| state.paused));
            let address = code.as_ptr() as usize;
            let old = state(py, |state| state.woven.insert(address, woven));
            drop(old);
            return Ok(Some(copy));
        }
    }
    Ok(None)
}

/// The copy of `code`, an original, that has its breakpoints, if there is one already.
pub(crate) fn copy<'py>(code: &Bound<'py, PyCode>) -> Option<Bound<'py, PyCode>> {
    let py = code.py();
    let address = code.as_ptr() as usize;
    let copy = STATE.with(py, |state| {
        let woven = state.as_ref()?.woven.get(&address)?;
        Some(woven.copy.clone_ref(py))
    });
    copy.map(|copy| copy.into_bound(py))
}

/// Remembers why breakpoints are not in `code`.
fn note(code: &Bound<'_, PyCode>, reason: &str) {
    let py = code.py();
    let name = string(&code_object::qualname(code));
    let file = string(&code_object::filename(code));
    let reason = format!("{name} in {file}: {reason}");
    state(py, |state| state.refused.push(reason));
}

/// A line event has come to `line` of `code`, which does not have its breakpoints in it. Says whether one has stopped; `None`: that is for
/// others to decide.
///
/// # Errors
/// What listeners raise.
#[cfg(Py_3_12)]
pub(crate) fn reached_by_event(code: &Bound<'_, PyCode>, line: u32) -> PyResult<Option<bool>> {
    static ARMED: GilCell<bool> = GilCell::new(true);
    let py = code.py();
    let shown = registry::of_copy(code).map(|entry| entry.original(py).clone());
    let original = shown.as_ref().unwrap_or(code);
    let all = wanted(original);
    let mut here = Vec::new();
    for one in all.iter().flat_map(|all| all.iter()) {
        match one.is_at(original, line) {
            Some(true) if !one.by_events => here.push(one),
            Some(false) => {}
            _ => return Ok(None),
        }
    }
    if here.is_empty() {
        return Ok(None);
    }
    for one in here {
        if one.reached(py, &ARMED)? {
            return Ok(Some(true));
        }
    }
    Ok(Some(false))
}

/// What a log point has to say in `frame`: an f-string's text, or the exception that comes of it.
///
/// # Errors
/// `SyntaxError`: it is none.
pub fn message(template: &str, frame: &Bound<'_, PyFrame>) -> PyResult<String> {
    let expression = Expression::new(frame.py(), &self::template(template))?;
    Ok(formatted(&expression, frame))
}

fn formatted(expression: &Expression, frame: &Bound<'_, PyFrame>) -> String {
    let value = evaluate::evaluate(expression.code.bind(frame.py()), frame);
    match value.and_then(|value| Ok(value.cast_into::<PyString>()?)) {
        Ok(text) => string(&text),
        Err(error) => format!("<{error}>"),
    }
}

/// Gives `function` the copy that it is to run now, or its original.
fn update(function: &Bound<'_, PyFunction>) -> PyResult<()> {
    let code = function::code(function);
    let entry = registry::of_copy(&code);
    let original = match &entry {
        // A tracer's.
        Some(entry) if !entry.is_woven() => return Ok(()),
        Some(entry) => entry.original(code.py()).clone(),
        None => code.clone(),
    };
    let wanted = replacement(&original)?.unwrap_or(original);
    if wanted.is(&code) {
        return Ok(());
    }
    function::set_code(function, &wanted)
}

/// Whether `code`, be it an original or a copy, has every breakpoint that is for it in it, so that line events need not tell of them.
pub fn is_complete(code: &Bound<'_, PyCode>) -> bool {
    let py = code.py();
    registry::of_copy(code).is_some_and(|entry| {
        let address = entry.original(py).as_ptr() as usize;
        state(py, |state| {
            let woven = state.woven.get(&address);
            woven.is_some_and(|woven| woven.refusal.is_none() && woven.copy.is(code))
        })
    })
}

/// Stops evaluating, or goes on: while a debugger steps, it looks at breakpoints itself.
pub fn pause(py: Python<'_>, paused: bool) {
    state(py, |state| {
        state.paused = paused;
        for woven in state.woven.values() {
            woven.armed.set(py, !paused);
        }
    });
}

/// In one thread nothing is evaluated, by the address of its state, because a debugger looks at breakpoints there itself; 0: in none.
pub fn pause_thread(py: Python<'_>, thread: usize) {
    PAUSED.set(py, thread);
}

/// The code objects that have been left as they are although there are breakpoints for them, each with the reason.
pub fn reasons(py: Python<'_>) -> Vec<String> {
    state(py, |state| state.refused.clone())
}
