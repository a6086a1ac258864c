//! Rebuilds frames, stacks, locals and objects at any step of a recording. No Python, no unsafe.
//!
//! A recording says which sites of the probe plans fired, and the values there ([`debugop_recording::stream`]). Between two sites of a frame
//! there is one way ([`debugop_bytecode::plan`]); what the instructions on it do to the frame's slots is compiled once ([`segment`])
//! and executed for each record ([`Machine`]). A *step* is one executed original instruction; the machine stops before each.
//!
//! Recordings are data: whatever is in them, the result is a typed error or a state, in memory bounded by the chunk.

mod chunk;
mod code;
mod compute;
mod cursor;
mod describe;
mod error;
mod index;
mod kept;
mod loss;
mod machine;
mod moment;
pub mod packed;
mod positions;
mod progress;
pub mod query;
mod recording;
pub mod segment;
mod state;
mod value;
pub mod witness;
mod written;

pub use chunk::Chunk;
pub use code::{Code, Codes, Sort, locals};
pub use cursor::Cursor;
pub use error::{Error, ErrorKind};
pub use index::{Executed, Index, Mention};
pub use loss::{Loss, Lost};
pub use machine::{Machine, Step, Unwound, Watch};
pub use moment::Moment;
pub use positions::{Backwards, Positions};
pub use progress::{Doing, Progress, Tell, Teller};
pub use recording::{OpenError, Present, Recording};
pub use state::{Frame, Object, State, Thread};
pub use value::Value;
pub use written::Written;
