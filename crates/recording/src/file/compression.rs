//! How a chunk's contents are stored.

use super::Damage;

/// How a chunk's contents are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Compression {
    /// As they are.
    None = 0,
    /// An LZ4 block.
    Lz4 = 1,
    /// A Zstandard frame.
    Zstd = 2,
    /// A Zstandard frame with the file's dictionary.
    ZstdDictionary = 3,
}

impl Compression {
    pub(super) fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Compression::None,
            1 => Compression::Lz4,
            2 => Compression::Zstd,
            3 => Compression::ZstdDictionary,
            _ => return None,
        })
    }
}

/// Compresses contents with LZ4 into `out`, which is emptied first; as they are where that is shorter.
pub(super) fn fast(contents: &[u8], out: &mut Vec<u8>) -> Compression {
    out.resize(lz4_flex::block::get_maximum_output_size(contents.len()), 0);
    match lz4_flex::block::compress_into(contents, out) {
        Ok(length) if length < contents.len() => {
            out.truncate(length);
            Compression::Lz4
        }
        _ => {
            out.clear();
            out.extend_from_slice(contents);
            Compression::None
        }
    }
}

/// Contents of `raw` bytes, which is at most [`MAX_CONTENTS`](super::MAX_CONTENTS).
pub(super) fn decompress(
    compression: Compression,
    stored: Vec<u8>,
    raw: usize,
    dictionary: &[u8],
) -> Result<Vec<u8>, Damage> {
    if compression == Compression::None {
        return match stored.len() == raw {
            true => Ok(stored),
            false => Err(Damage::Decompression),
        };
    }
    let mut contents = vec![0; raw];
    let length = match compression {
        Compression::None => Some(raw),
        Compression::Lz4 => lz4_flex::block::decompress_into(&stored, &mut contents).ok(),
        Compression::Zstd => zstd::bulk::decompress_to_buffer(&stored, &mut contents).ok(),
        Compression::ZstdDictionary => zstd::bulk::Decompressor::with_dictionary(dictionary)
            .and_then(|mut decompressor| decompressor.decompress_to_buffer(&stored, &mut contents))
            .ok(),
    };
    match length == Some(raw) {
        true => Ok(contents),
        false => Err(Damage::Decompression),
    }
}
