//! When a source line was reached.

use std::ops::ControlFlow;
use std::sync::Arc;

use debugop_bytecode::InstrIdx;

use crate::index::{Executed, Index};
use crate::machine::{Step, Watch};
use crate::recording::{OpenError, Recording};
use crate::state::{State, Stepped};

use super::search;

/// The steps at which execution comes to a source line: the first instruction of it that a frame executes after one of another line, or
/// after a jump backwards. `file` is the path as recorded, or the end of it.
///
/// # Errors
/// [`OpenError`].
pub fn hits(
    recording: &Arc<Recording>,
    file: &str,
    line: i32,
    from: u64,
    to: u64,
) -> Result<Vec<Step>, OpenError> {
    let lines = of_line(recording, file, line);
    let mut hits = Vec::new();
    for chunk in search::chunks_between(recording.index()?, from, to) {
        let watch = watch(recording.index()?, chunk, &lines);
        if watch.is_empty() {
            continue;
        }
        search::steps_in_chunk::<()>(recording, chunk, watch, from, to, |step, state| {
            if comes(step, state) {
                hits.push(*step);
            }
            ControlFlow::Continue(())
        })?;
    }
    Ok(hits)
}

/// How often execution has come to a source line, as [`hits`] has it: from the index, nothing is replayed.
///
/// # Errors
/// [`OpenError`].
pub fn hit_count(recording: &Arc<Recording>, file: &str, line: i32) -> Result<u64, OpenError> {
    let index = recording.index()?;
    let mut count: u64 = 0;
    for (code, wanted) in of_line(recording, file, line) {
        for chunk in 0..index.len() {
            let executed = index.executed(chunk, code);
            let arrivals = executed.into_iter().flat_map(Executed::arrivals);
            for (at, times) in arrivals {
                if wanted.binary_search(&at).is_ok() {
                    count = count.saturating_add(times);
                }
            }
        }
    }
    Ok(count)
}

/// The last step before another at which execution came to one of these lines: file, as for [`hits`], and line.
///
/// # Errors
/// [`OpenError`].
pub fn last_hit(
    recording: &Arc<Recording>,
    lines: &[(&str, i32)],
    before: u64,
) -> Result<Option<Step>, OpenError> {
    let lines = lines
        .iter()
        .flat_map(|(file, line)| of_line(recording, file, *line));
    let lines: Vec<_> = lines.collect();
    for chunk in search::chunks_before(recording.index()?, before) {
        let watch = watch(recording.index()?, chunk, &lines);
        if watch.is_empty() {
            continue;
        }
        let last = search::last_in_chunk(recording, chunk, watch, before, false, |step, state| {
            comes(step, state).then_some(*step)
        })?;
        if last.is_some() {
            return Ok(last);
        }
    }
    Ok(None)
}

/// Instructions by code object, in order.
type Lines = Vec<(u32, Vec<InstrIdx>)>;

/// The instructions of a line.
fn of_line(recording: &Recording, file: &str, line: i32) -> Lines {
    let codes = recording.code_of_file(file);
    let codes = codes.map(|code| (code.data().number, code.of_line(line).collect::<Vec<_>>()));
    codes.filter(|(_, at)| !at.is_empty()).collect()
}

/// Those of these instructions with which execution has come to a line in a chunk.
fn watch(index: &Index, chunk: usize, lines: &Lines) -> Watch {
    let mut watch = Watch::default();
    for (code, wanted) in lines {
        let executed = index.executed(chunk, *code);
        let arrivals = executed.into_iter().flat_map(Executed::arrivals);
        let arrivals = arrivals.map(|(at, _)| at);
        watch.add(
            *code,
            arrivals.filter(|at| wanted.binary_search(at).is_ok()),
        );
    }
    watch
}

/// Whether execution comes to a line with a step.
pub(super) fn comes(step: &Step, state: &State) -> bool {
    state.frame().is_some_and(|frame| match frame.previous {
        Stepped::At(before) => frame.code().comes_to_line(before, step.at),
        Stepped::Never | Stepped::Unknown => true,
    })
}
