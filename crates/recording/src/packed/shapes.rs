//! Prefixes as most records have them: frames end, one starts or goes on.

use super::coder::Coder;
use super::model::mix;
use super::prefixes::number_of;
use super::records::{Codec, Key, body};
use crate::stream::{Caller, Error, ErrorKind, FrameNumber, Prefix, Record};

/// What has come before a record's site: its key and its prefixes, as a hash.
#[derive(Clone, Copy)]
pub(super) struct Come {
    pub(super) key: Key,
    pub(super) path: u32,
}

/// Prefixes as most records have them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Shape {
    /// So many frames have ended; 0: no POP.
    pops: u32,
    call: Call,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Call {
    #[default]
    None,
    /// A new frame.
    Starts(Caller),
    /// The frame that the one on top has called last.
    GoesOn(Caller),
}

impl Shape {
    /// Of these prefixes, as far as it can be said.
    pub(super) fn of(prefixes: &[Prefix]) -> Self {
        let mut shape = Shape::default();
        for prefix in prefixes {
            match *prefix {
                Prefix::Pop(count) => shape.pops = count,
                Prefix::Enter(_, caller) => shape.call = Call::Starts(caller),
                Prefix::Reenter(_, caller) => shape.call = Call::GoesOn(caller),
                _ => {}
            }
        }
        shape
    }
}

/// Shapes that are remembered.
pub(super) const SHAPES: usize = 1 << 14;

impl<C: Coder> Codec<'_, C> {
    pub(super) fn shape_of(&self, key: Key) -> usize {
        Self::more(key) % SHAPES
    }

    /// Whether a record has a site and exactly these prefixes.
    pub(super) fn is_usual(&self, record: &Record, shape: Shape) -> bool {
        let mut prefixes = record.prefixes.iter();
        let pops = shape.pops > 0;
        let is_pop = |prefix: Option<&Prefix>| matches!(prefix, Some(&Prefix::Pop(count)) if count == shape.pops);
        record.site.is_some()
            && self.current == Some(record.thread)
            && shape.pops as usize <= self.stack.len()
            && (!pops || is_pop(prefixes.next()))
            && match (shape.call, prefixes.next()) {
                (Call::None, None) => true,
                (Call::Starts(caller), Some(&Prefix::Enter(_, said))) => caller == said,
                (Call::GoesOn(caller), Some(&Prefix::Reenter(frame, said))) => {
                    let depth = self.stack.len() - shape.pops as usize;
                    caller == said && frame.0 == self.child_of(depth)
                }
                _ => false,
            }
            && prefixes.next().is_none()
    }

    /// Makes these prefixes.
    pub(super) fn usual(&mut self, shape: Shape, out: &mut Record) -> Result<Come, Error> {
        let mut path = body::SITE;
        if shape.pops > 0 {
            let depth = self.stack.len();
            let left = depth.checked_sub(shape.pops as usize);
            let too_many = ErrorKind::Pop(shape.pops.into(), depth).at(self.offset);
            self.stack.truncate(left.ok_or(too_many)?);
            let pop = Prefix::Pop(shape.pops);
            path = mix(path, number_of(&pop));
            out.prefixes.push(pop);
        }
        let key = self.key_of(shape.pops > 0);
        let call = match shape.call {
            Call::None => None,
            Call::Starts(caller) => Some(Prefix::Enter(self.starts()?, caller)),
            Call::GoesOn(caller) => {
                let frame = FrameNumber(self.child_of(self.stack.len()));
                Some(Prefix::Reenter(frame, caller))
            }
        };
        if let Some(prefix) = call {
            path = mix(path, number_of(&prefix));
            if let Prefix::Enter(frame, _) | Prefix::Reenter(frame, _) = prefix {
                self.call(frame);
            }
            out.prefixes.push(prefix);
        }
        Ok(Come { key, path })
    }
}
