//! The index beside a recording: what a reader has found out by replaying it, so that it need not do so again.
//!
//! What is in it only the reader knows; here it is bytes that belong to a recording.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::compression::{self, Compressor, decompress};
use super::format::Fields;
use super::{ChunkKind, Compression, Ending, Error, Reader, os};

/// The version of what is in the index and of how it is found out. Others are made anew.
const VERSION: u16 = 5;
const MAGIC: [u8; 8] = *b"\x89dbgindx";
const HEADER: usize = 64;
/// The largest index, in bytes, stored or not.
const MAX_INDEX: u64 = 1 << 30;

/// The contents of the chunks that hold an index in a recording.
pub(super) fn chunks(index: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let version = VERSION.to_le_bytes();
    let most = super::MAX_CONTENTS - version.len();
    index
        .chunks(most)
        .map(move |part| [&version, part].concat())
}

/// Where the index of a recording is: beside it, `.index` appended to its name.
#[must_use]
pub fn index_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".index");
    name.into()
}

impl Reader {
    /// The index in the recording or beside it; `None` if there is none, if it is damaged, or if it is not of this recording.
    #[must_use]
    pub fn index(&self) -> Option<Vec<u8>> {
        if !self.is_complete() {
            return None;
        }
        self.index_inside().or_else(|| self.index_beside())
    }

    /// The index that a packed recording has in it.
    #[must_use]
    pub fn index_inside(&self) -> Option<Vec<u8>> {
        let mut index: Option<Vec<u8>> = None;
        for contents in self.replayed() {
            let contents = contents.ok()?;
            let part = contents.strip_prefix(&VERSION.to_le_bytes())?;
            let index = index.get_or_insert_default();
            index.extend_from_slice(part);
            if index.len() as u64 > MAX_INDEX {
                return None;
            }
        }
        index
    }

    fn index_beside(&self) -> Option<Vec<u8>> {
        let file = File::open(index_path(self.path())).ok()?;
        let length = file.metadata().ok()?.len();
        let mut header = [0; HEADER];
        if !os::read_at(&file, &mut header, 0).ok()? {
            return None;
        }
        let [expected, found] =
            [&self.index_header(0, 0, 0), &header].map(|header| header[..36].to_owned());
        if expected != found || crc32c::crc32c(&header[..60]).to_le_bytes() != header[60..] {
            return None;
        }
        let mut fields = Fields(&header[36..]);
        let (raw, stored, checksum) = (fields.u64(), fields.u64(), fields.u32());
        if raw > MAX_INDEX || stored > MAX_INDEX || length != stored + HEADER as u64 {
            return None;
        }
        let mut contents = vec![0; usize::try_from(stored).ok()?];
        let whole = os::read_at(&file, &mut contents, HEADER as u64).ok()?;
        if !whole || crc32c::crc32c(&contents) != checksum {
            return None;
        }
        let compression = match raw == stored {
            true => Compression::None,
            false => Compression::Zstd,
        };
        decompress(compression, contents, usize::try_from(raw).ok()?).ok()
    }

    /// Keeps an index beside the recording, if that is complete. It is there whole or not at all.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn keep_index(&self, contents: &[u8]) -> Result<(), Error> {
        if !self.is_complete() {
            return Ok(());
        }
        let mut compressor =
            Compressor::new(compression::RECORDING).map_err(Error::io("begin to compress"))?;
        let mut stored = Vec::new();
        compressor.compress(ChunkKind::Replayed, contents, false, &mut stored);
        if contents.len().max(stored.len()) as u64 > MAX_INDEX {
            return Err(Error::TooLarge("an index"));
        }
        let checksum = crc32c::crc32c(&stored);
        let mut whole = self
            .index_header(contents.len() as u64, stored.len() as u64, checksum)
            .to_vec();
        whole.extend(stored);
        let path = index_path(self.path());
        // Others may be about to do the same.
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}", std::process::id()));
        let new = PathBuf::from(name);
        let written = os::create_new(&new).and_then(|file| {
            os::write_all_at(&file, &whole, 0)?;
            std::fs::rename(&new, &path)
        });
        if written.is_err() {
            // It is of no use; that it cannot be removed is not worth a second error.
            let _ = std::fs::remove_file(&new);
        }
        written.map_err(Error::io("write the index"))
    }

    /// Whether nothing can be added to it any more.
    fn is_complete(&self) -> bool {
        self.ending() == Ending::Finished
    }

    /// The first 36 bytes say which recording it belongs to.
    fn index_header(&self, raw: u64, stored: u64, checksum: u32) -> [u8; HEADER] {
        let mut identity = 0;
        let mut chunks: u32 = 0;
        for info in (0..).map_while(|index| self.stream_info(index)) {
            for number in [info.sequence, info.raw, info.time] {
                identity = crc32c::crc32c_append(identity, &number.to_le_bytes());
            }
            chunks += 1;
        }
        let mut header = Vec::with_capacity(HEADER);
        header.extend(MAGIC);
        header.extend(VERSION.to_le_bytes());
        header.extend([0; 2]);
        header.extend(self.uuid().0);
        header.extend(chunks.to_le_bytes());
        header.extend(identity.to_le_bytes());
        header.extend(raw.to_le_bytes());
        header.extend(stored.to_le_bytes());
        header.extend(checksum.to_le_bytes());
        header.extend([0; 4]);
        let checksum = crc32c::crc32c(&header);
        header.extend(checksum.to_le_bytes());
        header.try_into().expect("fields of a fixed size")
    }
}
