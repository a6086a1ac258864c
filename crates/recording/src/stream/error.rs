//! What can be wrong with a stream.

/// The bytes are not a stream: what is wrong, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset} of the chunk: {kind}")]
pub struct Error {
    /// Offset in the chunk's uncompressed contents, in bytes, of what is wrong.
    pub offset: usize,
    /// What it is.
    pub kind: ErrorKind,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The chunk ends inside a record.
    #[error("the chunk ends inside a record")]
    Truncated,
    /// A number of more than 64 bits, or more than its place allows.
    #[error("a number is out of range")]
    Number,
    /// No value and no prefix begins with this byte.
    #[error("0x{0:02x} begins neither a value nor a prefix")]
    Tag(u8),
    /// A prefix where a value must be, or the other way round.
    #[error("0x{0:02x} cannot stand here")]
    Misplaced(u8),
    /// A length that is larger than what is left of the chunk.
    #[error("a length of {0} is more than what is left")]
    Length(u64),
    /// The site is neither named nor predicted.
    #[error("the site is neither named nor predicted")]
    NoSite,
    /// No int is expected at this capture.
    #[error("no int is expected here")]
    NoInt,
    /// There is no such site.
    #[error("there is no site {0}")]
    UnknownSite(u64),
    /// No object with this id has been defined in this chunk.
    #[error("object {0} is not defined")]
    UnknownObject(u64),
    /// The contents of the object cannot be changed so in one place.
    #[error("object {0} has no part that could change so")]
    NoPart(u64),
    /// The slot of the recent objects is empty.
    #[error("no object is in slot {0} of the recent objects")]
    EmptySlot(u8),
    /// Type numbers of a chunk are given in order.
    #[error("type {0} is not defined")]
    UnknownType(u64),
    /// A kind of contents that this version does not know.
    #[error("no kind of object has the number {0}")]
    UnknownKind(u8),
    /// No such thread is known in this chunk.
    #[error("thread {0} is not known")]
    UnknownThread(u64),
    /// A thread is introduced that is known already.
    #[error("thread {0} is known already")]
    KnownThread(u64),
    /// No thread has been introduced.
    #[error("no thread has been introduced")]
    NoThread,
    /// More frames end than are there.
    #[error("{0} frames end where there are only {1}")]
    Pop(u64, usize),
    /// The same prefix, or two that exclude each other, in one record.
    #[error("the prefix 0x{0:02x} cannot stand with those before it")]
    Twice(u8),
    /// An object's contents define that object.
    #[error("object {0} is defined inside itself")]
    DefinedInside(u64),
    /// Definitions lie too deep inside each other.
    #[error("definitions lie more than {max} deep", max = super::MAX_DEPTH)]
    Deep,
    /// Ids and frame numbers are used up.
    #[error("a counter overflows")]
    Counter,
}
