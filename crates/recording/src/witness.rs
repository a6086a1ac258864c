//! What a run looked like to somebody who looked at every slot before every step: the other account that shows whether a
//! recording is exact. Written beside a recording by `debugop selfcheck --record`, for nothing else.

use std::io::{self, BufRead, BufReader, Read, Write};

/// A value in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Seen {
    /// No object.
    Null,
    /// A value that is recorded by value: its [digest](crate::digest::Digest), begun as [`Seen::start`].
    Value(u64),
    /// An object.
    Object {
        /// Its id in the recording.
        id: u64,
        /// Its [`Kind`](crate::stream::Kind).
        kind: u8,
        /// The digest of its contents.
        contents: u64,
    },
    /// A word of the interpreter's own.
    Opaque,
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Step {
    /// The system's number of the thread.
    pub thread: u64,
    /// The number of the code object in the recording.
    pub code: u32,
    /// Index of the instruction.
    pub at: u32,
    /// localsplus, then the value stack.
    pub slots: Vec<Seen>,
}

/// Where steps are [written](Step::write): compressed, because there are some 150 bytes of each.
pub struct Writer<W: Write>(zstd::Encoder<'static, W>);

impl<W: Write> Writer<W> {
    /// Writes to `to`.
    ///
    /// # Errors
    ///
    /// What the compressor says.
    pub fn new(to: W) -> io::Result<Self> {
        zstd::Encoder::new(to, 1).map(Self)
    }

    /// Writes what is still to be written. Without it some last steps are missing, and [`Step::read`] ends in an `UnexpectedEof`.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn finish(self) -> io::Result<()> {
        self.0.finish()?.flush()
    }
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// What a [`Writer`] has written, for [`Step::read`].
///
/// # Errors
///
/// What the decompressor says.
pub fn reader(from: impl Read) -> io::Result<impl BufRead> {
    zstd::Decoder::new(from).map(BufReader::new)
}

impl Seen {
    /// What the digest of a value begins with.
    #[must_use]
    pub fn start() -> crate::digest::Digest {
        crate::digest::Digest::new(crate::stream::Kind::Opaque)
    }
}

impl Step {
    /// Appends it to `to`.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        to.write_all(&self.thread.to_le_bytes())?;
        to.write_all(&self.code.to_le_bytes())?;
        to.write_all(&self.at.to_le_bytes())?;
        let count = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        to.write_all(&count.to_le_bytes())?;
        for slot in &self.slots {
            match *slot {
                Seen::Null => to.write_all(&[0])?,
                Seen::Opaque => to.write_all(&[1])?,
                Seen::Value(digest) => {
                    to.write_all(&[2])?;
                    to.write_all(&digest.to_le_bytes())?;
                }
                Seen::Object { id, kind, contents } => {
                    to.write_all(&[3, kind])?;
                    to.write_all(&id.to_le_bytes())?;
                    to.write_all(&contents.to_le_bytes())?;
                }
            }
        }
        Ok(())
    }

    /// Reads the next one in its place; `false` at the end.
    ///
    /// # Errors
    ///
    /// What the system says, and what is no step.
    pub fn read(&mut self, from: &mut impl BufRead) -> io::Result<bool> {
        if from.fill_buf()?.is_empty() {
            return Ok(false);
        }
        let mut word = [0; 8];
        let mut half = [0; 4];
        from.read_exact(&mut word)?;
        self.thread = u64::from_le_bytes(word);
        from.read_exact(&mut half)?;
        self.code = u32::from_le_bytes(half);
        from.read_exact(&mut half)?;
        self.at = u32::from_le_bytes(half);
        from.read_exact(&mut half)?;
        self.slots.clear();
        for _ in 0..u32::from_le_bytes(half) {
            let mut tag = [0];
            from.read_exact(&mut tag)?;
            let slot = match tag[0] {
                0 => Seen::Null,
                1 => Seen::Opaque,
                2 => {
                    from.read_exact(&mut word)?;
                    Seen::Value(u64::from_le_bytes(word))
                }
                3 => {
                    from.read_exact(&mut tag)?;
                    from.read_exact(&mut word)?;
                    let id = u64::from_le_bytes(word);
                    from.read_exact(&mut word)?;
                    Seen::Object {
                        id,
                        kind: tag[0],
                        contents: u64::from_le_bytes(word),
                    }
                }
                _ => return Err(io::ErrorKind::InvalidData.into()),
            };
            self.slots.push(slot);
        }
        Ok(true)
    }
}
