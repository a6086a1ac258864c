//! Where two recordings of one program part.

use std::sync::Arc;

use debugop_value as data;

use crate::cursor::Cursor;
use crate::machine::Step;
use crate::recording::{OpenError, Recording};

/// How deep containers in containers are compared.
const DEPTH: u32 = 1;

/// In what two recordings differ.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// One of them is over: the first, the second.
    Ended(bool, bool),
    /// They execute different instructions.
    Instruction,
    /// A slot of the value stack, 0 being the bottom, holds different values.
    Stack(u32, data::Value, data::Value),
    /// A local variable does.
    Local(String, data::Value, data::Value),
}

/// The first difference.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The number of the step, in both.
    pub step: u64,
    /// What the first recording does there.
    pub left: Option<Step>,
    /// What the second does.
    pub right: Option<Step>,
    /// In what they differ.
    pub part: Part,
}

/// The first step at which two recordings part. Identities are not compared.
///
/// # Errors
/// [`OpenError`].
pub fn diff(
    left: &Arc<Recording>,
    right: &Arc<Recording>,
) -> Result<Option<Difference>, OpenError> {
    let (mut one, mut other) = (left.cursor(), right.cursor());
    let mut number = 0;
    loop {
        let (step, against) = (one.next()?, other.next()?);
        let part = match (step, against) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => parts(&one, &other),
            (step, against) => Some(Part::Ended(step.is_none(), against.is_none())),
        };
        if let Some(part) = part {
            return Ok(Some(Difference {
                step: number,
                left: step,
                right: against,
                part,
            }));
        }
        number += 1;
    }
}

fn parts(one: &Cursor, other: &Cursor) -> Option<Part> {
    let (left, right) = (one.state()?, other.state()?);
    let (frame, against) = (left.frame()?, right.frame()?);
    let (code, expected) = (frame.code().data(), against.code().data());
    let same = frame.at() == against.at()
        && code.qualname == expected.qualname
        && code.filename == expected.filename
        && code.code == expected.code;
    if !same {
        return Some(Part::Instruction);
    }
    let codes = (one.recording().codes(), other.recording().codes());
    let differ = |value, with| {
        let value = left.describe_as_seen(codes.0, value, DEPTH);
        let with = right.describe_as_seen(codes.1, with, DEPTH);
        (!same_value(&value, &with)).then_some((value, with))
    };
    for (index, (value, with)) in (0..).zip(frame.stack().zip(against.stack())) {
        if let Some((value, with)) = differ(value, with) {
            return Some(Part::Stack(index, value, with));
        }
    }
    for (slot, (value, with)) in (0..).zip(frame.locals().zip(against.locals())) {
        if let Some((value, with)) = differ(value, with) {
            let name = frame.code().local_name(slot).unwrap_or_default();
            return Some(Part::Local(name, value, with));
        }
    }
    None
}

/// Compared as text: what is printed of them has no identity in it.
fn same_value(left: &data::Value, right: &data::Value) -> bool {
    left == right || left.short(400).to_string() == right.short(400).to_string()
}
