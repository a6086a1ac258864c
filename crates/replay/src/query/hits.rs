//! When a source line was reached.

use std::ops::ControlFlow;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::machine::Step;
use crate::recording::{OpenError, Recording};

use super::walk;

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
    let has_line = |code: &crate::Code| {
        let instructions = 0..code.analysis().instructions().len() as u32;
        instructions
            .map(debugop_bytecode::InstrIdx)
            .any(|at| code.line(at) == Some(line))
    };
    let codes = recording.code_of_file(file).filter(|code| has_line(code));
    let codes: FxHashSet<u32> = codes.map(|code| code.data().number).collect();
    if codes.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    let mut last = FxHashMap::default();
    walk::<()>(recording, from, to, |step, state| {
        if codes.contains(&step.code)
            && let Some(frame) = state.frame()
        {
            let here = frame.code().line(step.at);
            let before = last.insert(step.frame, (here, step.at));
            let comes = before.is_none_or(|(line, at)| line != here || step.at < at);
            if here == Some(line) && comes {
                found.push(*step);
            }
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}
