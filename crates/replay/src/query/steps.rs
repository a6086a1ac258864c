//! The steps of a function, of a kind of instruction, of a line, of a thread, of a time.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use debugop_bytecode::InstrIdx;
use debugop_recording::stream::ThreadNumber;
use rustc_hash::FxHashSet;

use crate::code::Code;
use crate::machine::{Step, Watch};
use crate::recording::{OpenError, Recording};

use super::search;

/// Which steps are wanted: those of which everything holds that is given.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of functions with this qualified name, or with this name at its end.
    pub function: Option<String>,
    /// Instructions with this name, as `dis` has it.
    pub opcode: Option<String>,
    /// Instructions of a line: path as recorded, or the end of it, and line.
    pub line: Option<(String, i32)>,
    /// Of this thread.
    pub thread: Option<ThreadNumber>,
    /// In this time: nanoseconds since the recording began, as far as times were noted.
    pub time: Option<Range<u64>>,
}

/// Shows the steps that a filter lets pass, from step `from` on, up to and without `to`, until `visit` breaks.
///
/// # Errors
/// [`OpenError`].
pub fn steps<B>(
    recording: &Arc<Recording>,
    filter: &Filter,
    from: u64,
    to: u64,
    mut visit: impl FnMut(&Step) -> ControlFlow<B>,
) -> Result<Option<B>, OpenError> {
    let index = recording.index()?;
    let wanted: Vec<(u32, Vec<InstrIdx>)> = wanted(recording, filter);
    for chunk in search::chunks_between(index, from, to) {
        if filter
            .thread
            .is_some_and(|thread| !index.threads(chunk).contains(&thread.0))
        {
            continue;
        }
        // A time is noted now and then, so one noted in a chunk may be in effect in the next.
        let time = |chunk: usize| recording.reader().stream_info(chunk).map(|info| info.time);
        if let Some(wanted) = &filter.time
            && (time(chunk).is_some_and(|begins| begins >= wanted.end)
                || time(chunk + 1).is_some_and(|ends| ends < wanted.start))
        {
            continue;
        }
        let mut watch = Watch::default();
        for (code, at) in &wanted {
            watch.add(*code, at.iter().copied());
        }
        if !search::may_have(index, chunk, &watch) {
            continue;
        }
        let found = search::steps_in_chunk(recording, chunk, watch, from, to, |step, state| {
            let is_thread = filter.thread.is_none_or(|thread| thread == step.thread);
            let time = filter.time.as_ref();
            match is_thread && time.is_none_or(|time| time.contains(&state.time())) {
                true => visit(step),
                false => ControlFlow::Continue(()),
            }
        })?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The instructions that a filter lets pass, by code object.
fn wanted(recording: &Recording, filter: &Filter) -> Vec<(u32, Vec<InstrIdx>)> {
    let all = |code: &Code| 0..code.analysis().instructions().len() as u32;
    let passes = |code: &Code, at: InstrIdx| {
        let named = filter.opcode.as_ref().is_none_or(|name| {
            let instruction = code.analysis().get(at);
            instruction.opcode.name(code.version()) == name
        });
        let line = filter.line.as_ref();
        named && line.is_none_or(|(_, line)| code.line(at) == Some(*line))
    };
    let numbers = |codes: &mut dyn Iterator<Item = &Arc<Code>>| -> FxHashSet<u32> {
        codes.map(|code| code.data().number).collect()
    };
    let name = filter.function.as_ref();
    let of_function = name.map(|name| numbers(&mut recording.functions(name)));
    let line = filter.line.as_ref();
    let of_file = line.map(|(file, _)| numbers(&mut recording.code_of_file(file)));
    let among = |set: &Option<FxHashSet<u32>>, code: &Code| {
        set.as_ref()
            .is_none_or(|set| set.contains(&code.data().number))
    };
    let codes = recording.codes().iter();
    let codes = codes.filter(|code| among(&of_function, code) && among(&of_file, code));
    codes
        .map(|code| {
            let at = all(code).map(InstrIdx).filter(|at| passes(code, *at));
            (code.data().number, at.collect())
        })
        .collect()
}
