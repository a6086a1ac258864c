//! Recordings in files.

use std::path::Path;

use debugop_bytecode::Version;
use debugop_recording::file::{Header, Interpreter, Next, Options, Summary, Writer};
use debugop_replay::Codes;

/// Writes these chunks of a stream, and the code objects that they are of, as a recording.
pub(crate) fn write(path: &Path, version: Version, codes: &Codes, chunks: &[Vec<u8>]) {
    let name = version.to_string();
    let (major, minor) = name.split_once('.').expect("two numbers");
    let header = Header {
        interpreter: Interpreter {
            version: [
                major.parse().expect("a number"),
                minor.parse().expect("a number"),
                0,
            ],
            ..Interpreter::default()
        },
        ..Header::default()
    };
    let longest = chunks.iter().map(Vec::len).max().unwrap_or(0);
    let options = Options {
        slot_size: (longest + 100).max(1 << 20),
        ..Options::default()
    };
    let mut writer = Writer::create(path, &header, &options).expect("created");
    for code in codes.iter() {
        writer.add_code(code.data()).expect("added");
    }
    for chunk in chunks {
        while writer.try_next(0).expect("no failure") == Next::Full {
            writer.waiter().wait();
        }
        let slot = writer.slot().expect("there is one");
        slot.bytes_mut()[..chunk.len()].copy_from_slice(chunk);
        slot.commit(chunk.len());
    }
    writer.finish(&Summary::default()).expect("finished");
}
