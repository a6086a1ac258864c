//! What is known of the global variables that a frame's code names.

use std::sync::Arc;

use debugop_bytecode::{InstrIdx, Op};
use debugop_value as data;

use crate::code::Code;
use crate::recording::{OpenError, Recording};
use crate::state::State;
use crate::value::Value;

use super::{How, Place, instruction, last_write};

/// How deep containers in containers are shown.
const DEPTH: u32 = 3;

/// The global variables that a code object names, by name, as they are just before a step, whose state this is: those that were bound last in the recording. What has not been
/// looked at since is shown as it was when it was bound.
///
/// # Errors
/// [`OpenError`].
pub fn globals(
    recording: &Arc<Recording>,
    code: &Code,
    step: u64,
    state: &State,
) -> Result<Vec<(String, data::Value)>, OpenError> {
    let mut known = Vec::new();
    for name in named(code) {
        let place = Place::Global(code.filename(), name.clone());
        let Some(write) = last_write(recording, &place, step)? else {
            continue;
        };
        let (How::Bound, Some(bound)) = (write.how, write.value) else {
            continue;
        };
        let mut cursor = recording.cursor();
        cursor.seek(write.step)?;
        let there = cursor.state().and_then(State::frame);
        let value = match there.and_then(|frame| frame.stack().last()) {
            Some(Value::Object(id))
                if state.object(id).is_some_and(|one| one.contents.is_some()) =>
            {
                state.describe(recording.codes(), Value::Object(id), DEPTH)
            }
            _ => bound,
        };
        known.push((name, value));
    }
    Ok(known)
}

/// The names of global variables in a code object, in the order of its instructions.
fn named(code: &Code) -> Vec<String> {
    let is_module = &*code.data().name == b"<module>";
    let mut names = Vec::new();
    for at in (0..code.analysis().instructions().len() as u32).map(InstrIdx) {
        let index = match instruction(code, at) {
            // The lowest bit tells whether NULL is pushed too (`dis`, "LOAD_GLOBAL").
            Some((Op::LoadGlobal, _, arg)) => arg >> 1,
            Some((Op::StoreGlobal | Op::DeleteGlobal, _, arg)) => arg,
            Some((Op::LoadName | Op::StoreName | Op::DeleteName, _, arg)) if is_module => arg,
            _ => continue,
        };
        let name = code.data().names.get(index as usize);
        let name = name.map(|name| String::from_utf8_lossy(name).into_owned());
        names.extend(name.filter(|name| !names.contains(name)));
    }
    names
}
