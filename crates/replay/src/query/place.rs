//! Places that values are kept in, and how they are named.

use std::fmt;
use std::sync::Arc;

use debugop_recording::stream::{FrameNumber, ObjectId};
use debugop_value as data;

use crate::code::Codes;
use crate::recording::{OpenError, Recording};
use crate::state::{Frame, State};
use crate::value::Value;

use super::{How, last_write};

/// A place that a value can be kept in.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    /// A local variable of a frame: index into localsplus.
    Local(FrameNumber, u32),
    /// What a cell holds.
    Cell(ObjectId),
    /// A global variable of the modules whose file has this path; in code of a module itself, and of classes, also its names.
    Global(String, String),
    /// An attribute of an object.
    Attribute(ObjectId, String),
    /// An item of an object: its key.
    Item(ObjectId, data::Value),
}

/// Why a name stands for no place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// It is not written as places are.
    #[error(
        "{0:?} is not a place: write NAME, PLACE.ATTRIBUTE or PLACE[KEY], where KEY is an integer or a quoted string"
    )]
    Syntax(String),
    /// Its value has no attributes or items that are recorded.
    #[error("{0} is {1}, in which nothing is recorded")]
    NoObject(String, String),
    /// There is no such variable, attribute or item, as far as it is recorded.
    #[error("nothing is known of {0} at this step: it is not there, or not recorded")]
    NotRecorded(String),
    /// What should be the place in the value stack is no number.
    #[error("{0:?}: write stack[0] for the top of the value stack")]
    StackSyntax(String),
    /// The value stack has no such slot.
    #[error("the value stack holds {0} values here")]
    NotOnStack(usize),
    /// The recording cannot be read.
    #[error(transparent)]
    Unreadable(#[from] OpenError),
}

impl Place {
    /// The place that a text names, as seen from a frame just before a step: `x`, `self.total`, `rows[0].name`. What a global variable is
    /// stands where it was bound last.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub fn find(
        recording: &Arc<Recording>,
        text: &str,
        frame: &Frame,
        state: &State,
        step: u64,
    ) -> Result<Self, PlaceError> {
        let name = match Self::parse(text, frame, state, recording.codes()) {
            Err(PlaceError::NotRecorded(name)) if !name.contains(['.', '[']) => name,
            place => return place,
        };
        let global = Self::Global(frame.code().filename(), name.clone());
        let bound = last_write(recording, &global, step)?;
        let Some(write) = bound.filter(|write| write.how == How::Bound) else {
            return Err(PlaceError::NotRecorded(name));
        };
        let mut cursor = recording.cursor();
        cursor.seek(write.step)?;
        let there = cursor.state().and_then(State::frame);
        match there.and_then(|frame| frame.stack().last()) {
            Some(Value::Object(object)) => {
                let rest = &text[name.len()..];
                Self::parse_within(object, text, rest, state, recording.codes())
            }
            _ => Err(PlaceError::NotRecorded(name)),
        }
    }

    /// The place that a text names, as far as the state tells.
    fn parse(text: &str, frame: &Frame, state: &State, codes: &Codes) -> Result<Self, PlaceError> {
        let syntax = || PlaceError::Syntax(text.to_owned());
        let end = text.find(['.', '[']).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        if name.is_empty()
            || name.starts_with(|first: char| first.is_ascii_digit())
            || !name
                .chars()
                .all(|letter| letter.is_alphanumeric() || letter == '_')
        {
            return Err(syntax());
        }
        let place = Self::variable(name, frame, state);
        place.parse_rest(text, rest, state, codes)
    }

    /// The place that the rest of a text names, `.total` or `[0].name`, in the object that its beginning stands for.
    ///
    /// # Errors
    /// [`PlaceError`].
    fn parse_within(
        object: ObjectId,
        text: &str,
        rest: &str,
        state: &State,
        codes: &Codes,
    ) -> Result<Self, PlaceError> {
        let (place, rest) = Self::part(object, rest, text)?;
        place.parse_rest(text, rest, state, codes)
    }

    fn parse_rest(
        self,
        text: &str,
        mut rest: &str,
        state: &State,
        codes: &Codes,
    ) -> Result<Self, PlaceError> {
        let mut place = self;
        while !rest.is_empty() {
            let so_far = || text[..text.len() - rest.len()].to_owned();
            let value = place.value(state);
            let value = value.ok_or_else(|| PlaceError::NotRecorded(so_far()))?;
            let Value::Object(object) = value else {
                let shown = state.describe(codes, value, 0).short(40).to_string();
                return Err(PlaceError::NoObject(so_far(), shown));
            };
            (place, rest) = Self::part(object, rest, text)?;
        }
        Ok(place)
    }

    /// The attribute or item that `rest` begins with, and what is left.
    fn part<'a>(
        object: ObjectId,
        rest: &'a str,
        text: &str,
    ) -> Result<(Self, &'a str), PlaceError> {
        let syntax = || PlaceError::Syntax(text.to_owned());
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let (attribute, left) = after.split_at(end);
            if attribute.is_empty() {
                return Err(syntax());
            }
            return Ok((Self::Attribute(object, attribute.to_owned()), left));
        }
        let after = rest.strip_prefix('[').ok_or_else(syntax)?;
        let end = after.find(']').ok_or_else(syntax)?;
        let key = key(after[..end].trim()).ok_or_else(syntax)?;
        Ok((Self::Item(object, key), &after[end + 1..]))
    }

    fn variable(name: &str, frame: &Frame, state: &State) -> Self {
        let code = frame.code();
        let count = code.locals().slots;
        let slot = (0..count).find(|&slot| code.local_name(slot).as_deref() == Some(name));
        match slot {
            Some(slot) => match frame.get(slot) {
                Value::Object(id) if code.holds_cell(slot) && is_cell(state, id) => Self::Cell(id),
                _ => Self::Local(frame.number(), slot),
            },
            None => Self::Global(code.filename(), name.to_owned()),
        }
    }

    /// What is there now, as far as that can be read off the state. Globals are known only where they are used.
    pub fn value(&self, state: &State) -> Option<Value> {
        match self {
            Self::Local(frame, slot) => Some(super::frame_of(state, *frame)?.get(*slot)),
            Self::Cell(id) => state.object(*id)?.cell,
            Self::Global(..) => None,
            Self::Attribute(id, name) => state.attribute(*id, name),
            Self::Item(id, key) => state.item(*id, key),
        }
    }
}

fn is_cell(state: &State, id: ObjectId) -> bool {
    state
        .object(id)
        .is_some_and(|object| object.class.kind == debugop_recording::stream::Kind::Cell)
}

/// A key that is written as a literal.
fn key(text: &str) -> Option<data::Value> {
    if let Ok(int) = text.parse() {
        return Some(data::Value::Int(int));
    }
    let quote = text.chars().next().filter(|quote| "'\"".contains(*quote))?;
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    (!inner.contains(['\\', quote])).then(|| data::Value::str(inner))
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(frame, slot) => write!(f, "local {slot} of frame {}", frame.0),
            Self::Cell(id) => write!(f, "cell #{}", id.0),
            Self::Global(file, name) => write!(f, "global {name} of {file}"),
            Self::Attribute(id, name) => write!(f, "#{}.{name}", id.0),
            Self::Item(id, key) => write!(f, "#{}[{}]", id.0, key.short(40)),
        }
    }
}
