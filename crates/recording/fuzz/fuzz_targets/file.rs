//! Any chunks, in any order, with checksums that are right, as a file and its tail: a typed error inside it, or contents.

#![no_main]

use std::os::fd::AsRawFd;
use std::path::PathBuf;

use arbitrary::Arbitrary;
use debugop_recording::file::{Error, FORMAT_VERSION, Reader, recover};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Chunk<'a> {
    kind: u8,
    compression: u8,
    raw: Option<u32>,
    stored: Option<u32>,
    sequence: u8,
    first_step: u64,
    time: u64,
    contents: &'a [u8],
    /// A checksum that is wrong.
    damaged: bool,
}

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    version: u8,
    chunks: Vec<Chunk<'a>>,
    /// Appended as an index and an end that fit the chunks.
    finished: bool,
    /// XORed somewhere.
    changes: Vec<(u16, u8)>,
    rest: &'a [u8],
}

fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

fn chunk(chunk: &Chunk<'_>, kind: u8) -> Vec<u8> {
    let length = chunk.contents.len() as u32;
    let mut bytes = b"\xf3chunk\r\n".to_vec();
    bytes.extend([kind, chunk.compression % 7, 0, 0]);
    bytes.extend(chunk.stored.unwrap_or(length).to_le_bytes());
    bytes.extend(chunk.raw.unwrap_or(length).to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(u64::from(chunk.sequence).to_le_bytes());
    bytes.extend(chunk.first_step.to_le_bytes());
    bytes.extend(chunk.time.to_le_bytes());
    let checksum = crc32c::crc32c(chunk.contents) ^ u32::from(chunk.damaged);
    bytes.extend(checksum.to_le_bytes());
    let mut bytes = sealed(bytes);
    bytes.extend(chunk.contents);
    bytes
}

fn plain(kind: u8, contents: &[u8]) -> Vec<u8> {
    let plain = Chunk {
        kind,
        compression: 0,
        raw: None,
        stored: None,
        sequence: 0,
        first_step: u64::MAX,
        time: 0,
        contents,
        damaged: false,
    };
    chunk(&plain, kind)
}

fn file(input: &Input<'_>) -> Vec<u8> {
    let mut file = b"\x89debugop".to_vec();
    // One version too many.
    file.extend((1 + u16::from(input.version) % (FORMAT_VERSION + 1)).to_le_bytes());
    file.extend([0; 2]);
    file.extend([7; 16]);
    file.extend([0; 8]);
    let mut file = sealed(file);
    let mut index = Vec::new();
    let header = plain(1, b"{}");
    let mut add = |file: &mut Vec<u8>, bytes: &[u8]| {
        // What the index says of a chunk, from the chunk's header.
        index.extend(&bytes[8..10]);
        index.extend([0; 2]);
        index.extend(&bytes[48..52]);
        index.extend((file.len() as u64).to_le_bytes());
        index.extend(&bytes[12..20]);
        index.extend(&bytes[24..48]);
        file.extend(bytes);
    };
    add(&mut file, &header);
    for part in input.chunks.iter().take(20) {
        let kind = [1, 2, 3, 4, 5, 6, 7, 128, 99, 200, part.kind][usize::from(part.kind) % 11];
        add(&mut file, &chunk(part, kind));
    }
    if input.finished {
        let at = (file.len() as u64).to_le_bytes();
        file.extend(plain(6, &index));
        file.extend(plain(7, &at));
    }
    for (place, mask) in input.changes.iter().take(4) {
        let place = usize::from(*place) % file.len();
        file[place] ^= mask;
    }
    file.extend(input.rest);
    file
}

/// A file in memory and its name; nobody can have a tail beside it.
fn in_memory(bytes: &[u8]) -> (std::fs::File, PathBuf) {
    let file = rustix::fs::memfd_create("fuzz", rustix::fs::MemfdFlags::CLOEXEC).expect("memory");
    let file = std::fs::File::from(file);
    std::os::unix::fs::FileExt::write_all_at(&file, bytes, 0).expect("memory");
    let name = format!("/proc/self/fd/{}", file.as_raw_fd()).into();
    (file, name)
}

fn read_all(path: &std::path::Path, size: usize) {
    let inside = |error: &Error| match error {
        Error::Damaged { offset, .. } => assert!(*offset <= size as u64, "{error}"),
        Error::Io { .. } => panic!("{error}"),
        _ => {}
    };
    match Reader::open(path) {
        Ok(reader) => {
            let _ = reader.codes().inspect_err(inside);
            let _ = reader.sources().inspect_err(inside);
            for index in 0..reader.stream_len() {
                let _ = reader.stream(index).inspect_err(inside);
            }
        }
        Err(error) => inside(&error),
    }
}

fuzz_target!(|input: Input<'_>| {
    let bytes = file(&input);
    let (_file, path) = in_memory(&bytes);
    read_all(&path, bytes.len());
    // Recovery writes a file; it is in memory too where /dev/shm is.
    if input.chunks.len() % 4 == 0 {
        let to = PathBuf::from(format!("/dev/shm/debugop-fuzz-{}", std::process::id()));
        if recover(&path, &to).is_ok() {
            Reader::open(&to).expect("what was recovered is intact");
        }
        let _ = std::fs::remove_file(&to);
    }
});
