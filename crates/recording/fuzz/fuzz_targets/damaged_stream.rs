//! A well-formed chunk, some bytes of which have been changed or taken out.

#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    changes: Vec<(u16, u8)>,
    cut: Option<u16>,
    choices: Vec<u64>,
}

fuzz_target!(|input: Input| {
    let chunk = common::Chunk::from_choices(&input.choices);
    let mut bytes = chunk.bytes();
    for (place, mask) in input.changes.into_iter().take(8) {
        let place = usize::from(place) % bytes.len();
        bytes[place] ^= mask;
    }
    if let Some(cut) = input.cut {
        bytes.truncate(usize::from(cut));
    }
    common::check_any(&bytes, &chunk.captures);
});
