//! How a chunk's contents are stored.

use super::planes::Planes;
use super::{ChunkKind, Damage};
use crate::packed::Coding;

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
    /// Of a chunk of the stream: records without what replay computes ([`packed`](crate::packed)), as [`Coding::Four`] has them. Its contents are handed out as they are stored.
    PackedFour = 3,
    /// The same, as [`Coding::Five`] has them.
    PackedFive = 4,
    /// Floats apart from the rest, in four parts, each a Zstandard frame or as it is.
    Planes = 5,
    /// As [`Compression::PackedFour`], as [`Coding::Six`] has them: what is written.
    Packed = 6,
}

impl Compression {
    pub(super) fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Compression::None,
            1 => Compression::Lz4,
            2 => Compression::Zstd,
            3 => Compression::PackedFour,
            4 => Compression::PackedFive,
            5 => Compression::Planes,
            6 => Compression::Packed,
            _ => return None,
        })
    }

    /// Of packed contents, how.
    #[must_use]
    pub fn coding(self) -> Option<Coding> {
        match self {
            Compression::PackedFour => Some(Coding::Four),
            Compression::PackedFive => Some(Coding::Five),
            Compression::Packed => Some(Coding::Six),
            _ => None,
        }
    }
}

/// Zstandard's level while recording. Of 1.1 to 6.3 MB of stream, recordings of recursion, a sieve, a sort by hand and a mixture, level 1
/// leaves 0.003, 0.55, 0.17 and 0.58 at 150 MB/s and more; LZ4 leaves 0.009, 0.84, 0.31 and 0.71 at 560 MB/s and more. Level 2 leaves 0.96 of
/// what level 1 does (geometric mean of ten programs), level 3 0.95, of two of them more.
pub(super) const RECORDING: i32 = 2;

/// The level for keeping: 0.4 to 0.8 of what recording leaves, at 2 MB/s and less. All chunks in one frame leave 3 % less of a mixture and more of
/// a sort, so there is no dictionary.
pub(super) const KEEPING: i32 = 19;

/// Contents with a float in so many bytes, or more of them, are taken apart: of the ten programs that leaves 0.65 (float), 0.78 (nbody), 0.93
/// (raytrace) and 0.95 (spectral_norm) of the four that compute with floats.
const BYTES_A_FLOAT: usize = 64;

/// The lengths before the parts.
const LENGTHS: usize = 5 * size_of::<u32>();

/// Compresses while a recorder waits for the memory.
pub(super) struct Compressor {
    zstd: zstd::bulk::Compressor<'static>,
    planes: Planes,
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Compressor")
    }
}

impl Compressor {
    /// With this level of Zstandard.
    pub(super) fn new(level: i32) -> std::io::Result<Self> {
        Ok(Compressor {
            zstd: zstd::bulk::Compressor::new(level)?,
            planes: Planes::default(),
        })
    }

    /// Compresses contents into `out`, which is emptied first: with Zstandard, or `in_a_hurry` with LZ4, a stream with many floats in planes; as they are where that
    /// is shorter.
    pub(super) fn compress(
        &mut self,
        kind: ChunkKind,
        contents: &[u8],
        in_a_hurry: bool,
        out: &mut Vec<u8>,
    ) -> Compression {
        out.clear();
        let compression = if kind == ChunkKind::Stream && self.has_floats(contents) {
            self.compress_planes(out)
        } else if in_a_hurry {
            lz4(contents, out)
        } else {
            append(&mut self.zstd, contents, out).map(|()| Compression::Zstd)
        };
        match compression {
            Some(compression) if out.len() < contents.len() => compression,
            _ => {
                out.clear();
                out.extend_from_slice(contents);
                Compression::None
            }
        }
    }

    /// Takes contents apart, and says whether that pays.
    fn has_floats(&mut self, contents: &[u8]) -> bool {
        self.planes.split(contents);
        self.planes.floats() * BYTES_A_FLOAT > contents.len()
    }

    fn compress_planes(&mut self, out: &mut Vec<u8>) -> Option<Compression> {
        let Planes {
            rest,
            highest,
            next,
            low,
        } = &self.planes;
        let floats = u32::try_from(highest.len()).ok()?;
        out.extend(floats.to_le_bytes());
        out.resize(LENGTHS, 0);
        for (part, bytes) in [rest, highest, next, low].into_iter().enumerate() {
            let at = out.len();
            append(&mut self.zstd, bytes, out)?;
            if out.len() - at >= bytes.len() {
                out.truncate(at);
                out.extend_from_slice(bytes);
            }
            let length = u32::try_from(out.len() - at).ok()?;
            let place = (part + 1) * size_of::<u32>();
            out[place..place + size_of::<u32>()].copy_from_slice(&length.to_le_bytes());
        }
        Some(Compression::Planes)
    }
}

/// Appends a frame.
fn append(
    zstd: &mut zstd::bulk::Compressor<'static>,
    contents: &[u8],
    out: &mut Vec<u8>,
) -> Option<()> {
    let at = out.len();
    out.resize(at + zstd::zstd_safe::compress_bound(contents.len()), 0);
    let length = zstd.compress_to_buffer(contents, &mut out[at..]).ok()?;
    out.truncate(at + length);
    Some(())
}

fn lz4(contents: &[u8], out: &mut Vec<u8>) -> Option<Compression> {
    out.resize(lz4_flex::block::get_maximum_output_size(contents.len()), 0);
    let length = lz4_flex::block::compress_into(contents, out).ok()?;
    out.truncate(length);
    Some(Compression::Lz4)
}

/// Contents of `raw` bytes, which is at most [`MAX_CONTENTS`](super::MAX_CONTENTS).
pub(super) fn decompress(
    compression: Compression,
    stored: Vec<u8>,
    raw: usize,
) -> Result<Vec<u8>, Damage> {
    let contents = match compression {
        Compression::Packed | Compression::PackedFive | Compression::PackedFour => {
            return Ok(stored);
        }
        Compression::None => Some(stored),
        Compression::Lz4 => {
            let mut contents = vec![0; raw];
            let length = lz4_flex::block::decompress_into(&stored, &mut contents).ok();
            (length == Some(raw)).then_some(contents)
        }
        Compression::Zstd => frame(&stored, raw),
        Compression::Planes => join(&stored, raw),
    };
    contents
        .filter(|contents| contents.len() == raw)
        .ok_or(Damage::Decompression)
}

/// A frame with contents of `raw` bytes.
fn frame(stored: &[u8], raw: usize) -> Option<Vec<u8>> {
    let mut contents = vec![0; raw];
    let length = zstd::bulk::decompress_to_buffer(stored, &mut contents).ok()?;
    (length == raw).then_some(contents)
}

/// The contents of [`Compression::Planes`].
fn join(stored: &[u8], raw: usize) -> Option<Vec<u8>> {
    let (lengths, mut stored) = stored.split_first_chunk::<LENGTHS>()?;
    let mut lengths = lengths
        .as_chunks()
        .0
        .iter()
        .map(|&length| u32::from_le_bytes(length) as usize);
    let floats = lengths.next()?;
    let rest = raw.checked_sub(floats.checked_mul(size_of::<f64>())?)?;
    let mut part = |raw: usize| {
        let (part, others) = stored.split_at_checked(lengths.next()?)?;
        stored = others;
        match part.len() == raw {
            true => Some(part.to_vec()),
            false => frame(part, raw),
        }
    };
    let planes = Planes {
        rest: part(rest)?,
        highest: part(floats)?,
        next: part(floats)?,
        low: part(floats.checked_mul(size_of::<f64>() - 2)?)?,
    };
    stored.is_empty().then(|| planes.join())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compressed(contents: &[u8], in_a_hurry: bool) -> (Compression, Vec<u8>) {
        let mut out = vec![7; 9];
        let mut compressor = Compressor::new(RECORDING).expect("there is memory");
        (
            compressor.compress(ChunkKind::Stream, contents, in_a_hurry, &mut out),
            out,
        )
    }

    fn floats() -> Vec<u8> {
        let float = |n: u32| {
            let mut bytes = vec![crate::stream::tag::FLOAT];
            bytes.extend(f64::from(n).sqrt().to_le_bytes());
            bytes
        };
        let mut contents: Vec<u8> = (0..2000).flat_map(float).collect();
        contents.extend([crate::stream::tag::FLOAT; 5]);
        contents
    }

    #[test]
    fn what_is_stored_comes_back() {
        let text = b"again and again ".repeat(100);
        for (contents, in_a_hurry, expected) in [
            (&text[..], false, Compression::Zstd),
            (&text, true, Compression::Lz4),
            (&floats(), false, Compression::Planes),
            (&floats(), true, Compression::Planes),
            (b"", false, Compression::None),
            (b"short", true, Compression::None),
        ] {
            let (compression, stored) = compressed(contents, in_a_hurry);
            assert_eq!(compression, expected);
            let read = decompress(compression, stored, contents.len());
            assert!(read.is_ok_and(|read| read == contents));
        }
    }

    /// Square roots share sign, exponent and what is between them; 52 bits each are left.
    #[test]
    fn floats_take_little_more_than_their_mantissas() {
        let (_, stored) = compressed(&floats(), false);
        assert!(stored.len() < 2000 * 7, "{}", stored.len());
    }

    #[test]
    fn damage_is_an_error() {
        let contents = floats();
        let (compression, stored) = compressed(&contents, false);
        for at in (0..LENGTHS).chain([LENGTHS + 2, stored.len() - 1]) {
            let mut damaged = stored.clone();
            damaged[at] ^= 0x41;
            if at < stored.len() - 1 {
                assert!(decompress(compression, damaged, contents.len()).is_err());
            }
            let short = stored[..at].to_vec();
            assert!(decompress(compression, short, contents.len()).is_err());
        }
        for raw in [0, contents.len() - 1, contents.len() + 8] {
            assert!(decompress(compression, stored.clone(), raw).is_err());
        }
    }
}
