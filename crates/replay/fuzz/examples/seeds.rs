//! Inputs for the target, made of recordings: `seeds DIRECTORY RECORDING...`; of each the first chunks, as far as they are
//! short. `cargo run --example seeds -- DIRECTORY RECORDING...`

use debugop_recording::file::{Compression, Reader};

#[path = "../input.rs"]
mod input;

/// The fuzzer's longest input, in bytes.
const LONGEST: usize = 8192;

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    let directory = std::path::PathBuf::from(arguments.next().expect("a directory"));
    for path in arguments {
        let reader = Reader::open(path.as_ref()).expect("a recording");
        let mut codes = Vec::new();
        for code in reader.codes().expect("intact") {
            let code = code.write();
            let mut length = code.len();
            while length >= 0x80 {
                codes.push(length as u8 | 0x80);
                length >>= 7;
            }
            codes.push(length as u8);
            codes.extend(code);
        }
        let chunks = (0..reader.stream_len().min(3)).map(|index| reader.stream(index));
        let mut chunks: Vec<Vec<u8>> = chunks
            .map(|chunk| {
                let chunk = chunk.expect("intact");
                // So the target knows it for a packed one.
                let begin: &[u8] = match chunk.info.compression {
                    Compression::PackedFour => b"\xff\xff",
                    Compression::PackedFive => b"\xff\xfe",
                    Compression::Packed => b"\xff\xfd",
                    _ => b"",
                };
                [begin, &chunk.contents].concat()
            })
            .collect();
        let [_, minor, _] = reader.header().interpreter.version;
        let mut left = LONGEST - codes.len().min(LONGEST);
        for chunk in &mut chunks {
            chunk.truncate(left);
            left -= chunk.len();
        }
        let input = input::Input {
            minor: u8::try_from(minor).expect("small"),
            codes: &codes,
            chunks: chunks.iter().map(Vec::as_slice).collect(),
        };
        let Some(bytes) = input.write() else { continue };
        let name = std::path::Path::new(&path).file_stem().expect("a name");
        std::fs::write(directory.join(name), bytes).expect("written");
    }
}
