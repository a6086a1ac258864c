//! The record stream: which sites of the probe plans fired, in the order of the GIL, and the values captured there.
//!
//! A stream is cut into chunks that are each readable alone: a chunk begins with a *keyframe* (every recorded frame of
//! every thread), and defines every object and type before it refers to it. Only code objects are defined outside.
//!
//! ```text
//! chunk    := keyframe record*
//! record   := prefix* body
//! body     := value{captures of the site}, or HIT if the site captures nothing
//! ```
//!
//! The last record of a chunk may lack its body: prefixes only, for what happened after the last site. Which bytes mean
//! what stands in [`tag`]; [`Encoder`] writes them without allocating, [`Decoder`] reads them, whatever they are. Both
//! mirror a [`Predictor`], the [`RecentObjects`] and the [`Strides`].

pub mod tag;

mod contents;
mod decoder;
mod encoder;
mod error;
mod predictor;
mod recent;
mod record;
mod short;
mod strides;
mod transcript;

pub use contents::{Arguments, Change, Contents, Definition, Items, Kind, MAX_PARTS, Pairs, Type};
pub use decoder::Decoder;
pub use encoder::{Encoder, RESERVE};
pub use error::{Error, ErrorKind};
pub use predictor::{Last, Predictor};
pub use recent::RecentObjects;
pub use record::{
    BigInt, Caller, Frame, FrameNumber, Keyframe, ObjectId, Output, Prefix, Progress, Reason,
    Record, SiteNumber, Thread, ThreadNumber, Value, WrittenBy,
};
pub(crate) use record::{raised_at, raised_number};
pub use short::{Little, Reenter, SHORT, Short};
pub use strides::Strides;
pub use transcript::{Numbers, Transcript};

/// How deep definitions may lie inside each other's contents: a `DEF` inside the contents of a `DEF` is at depth 1.
pub const MAX_DEPTH: usize = 16;
