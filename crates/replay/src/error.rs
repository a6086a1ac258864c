//! What can be wrong with a recording, beyond what its reader refuses.

use debugop_bytecode::plan::PlanError;
use debugop_recording::stream;

/// A record that does not fit, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("chunk {chunk}, byte {offset}: {kind}")]
pub struct Error {
    /// Index of the chunk among those of the stream.
    pub chunk: u64,
    /// Where the record begins in the chunk's uncompressed contents, in bytes.
    pub offset: usize,
    /// What is wrong.
    pub kind: ErrorKind,
}

/// What does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The bytes are not a stream.
    #[error("{0}")]
    Stream(stream::Error),
    /// A value that was left out of a packed chunk as computed, and is not.
    #[error("a value that is left out cannot be computed")]
    Computed,
    /// A code object that nobody has written.
    #[error("there is no code object {0}")]
    Code(u32),
    /// A code object whose bytecode cannot be read.
    #[error("code object {0}: {1}")]
    Bytecode(u32, debugop_bytecode::Error),
    /// A code object that has no plan, so it cannot have been recorded.
    #[error("code object {0}: {1}")]
    Plan(u32, PlanError),
    /// Plans have changed since it was recorded.
    #[error("code object {0} was recorded by plans of version {1}, which are not known here")]
    PlanVersion(u32, u16),
    /// The plan is not the one by which it was recorded.
    #[error("code object {0} was recorded by another plan")]
    Captures(u32),
    /// Sites of two code objects overlap, or are too many.
    #[error("code object {0} claims sites that another one has")]
    Sites(u32),
    /// A site of another code object than the frame's.
    #[error("site {0} is not one of the code object of the frame on top")]
    ForeignSite(u32),
    /// No frame is known on which a site can fire.
    #[error("site {0} fires and no frame is known")]
    NoFrame(u32),
    /// A site, an instruction or the frame's end is not reached from where the frame is.
    #[error("{to} of code object {code} is not reached from {from}")]
    NoWay {
        /// Number of the code object.
        code: u32,
        /// Where the frame is.
        from: crate::segment::From,
        /// What happens next.
        to: crate::segment::To,
    },
    /// A code unit at which there is no instruction.
    #[error("code object {0} has no instruction at unit {1}")]
    Unit(u32, u32),
    /// An exception is handled, and its instruction is covered by another handler, or by none.
    #[error("an exception raised at instruction {0} is not handled at this site")]
    Handler(u32),
    /// A frame is looked at in the middle of an instruction where nothing is pending, or something else.
    #[error("a frame is looked at where its plan says nothing of it")]
    NothingPending,
    /// A frame that is not suspended goes on.
    #[error("frame {0} goes on and is not suspended")]
    Reenter(u64),
    /// Frames with more slots than a recording may have alive at once.
    #[error("the frames have more than {0} slots")]
    TooManySlots(usize),
    /// The index does not say what is in the recording.
    #[error("the index does not fit the recording")]
    Index,
    /// There is no such step.
    #[error("there is no step {0}")]
    NoStep(u64),
}
