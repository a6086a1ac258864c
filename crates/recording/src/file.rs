//! The file: chunks behind a header, and beside it, while it is written, the *tail*: a shared mapping that holds what is
//! not in the file yet, so that a process that is killed loses nothing that it has committed.
//!
//! A [`Writer`] gives the recorder memory to write into, [`Slot`]s of the tail. A slot that is full goes to the writer's
//! own thread, which compresses it and appends it to the file as a chunk. A [`Reader`] reads file and tail, also
//! while they are written; [`recover`] takes every intact chunk of a damaged file into a new one, [`pack`] makes a file smaller.

mod code;
mod compression;
mod error;
mod format;
mod header;
mod index;
mod os;
mod pack;
mod planes;
mod reader;
mod recover;
mod relatives;
mod tail;
mod writer;

pub use code::{CodeRecord, Constant, Local, LocalKind};
pub use compression::Compression;
pub use error::{Damage, Error};
pub use format::{ChunkKind, FORMAT_VERSION, MAX_CONTENTS, UNKNOWN_STEP, Uuid};
pub use header::{Header, Interpreter, Parent, Source, Summary};
pub use index::index_path;
pub use pack::{Packed, Packing, pack};
pub use reader::{ChunkInfo, Ending, Reader, StreamChunk};
pub use recover::{Recovered, recover};
pub use relatives::{Child, Relatives};
pub use tail::Slot;
pub use writer::{Finished, Next, Options, Waiter, Writer, tail_path};
