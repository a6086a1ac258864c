//! Any bytes as a chunk of the stream: a typed error, or records that can be written and read again.

#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;

use libfuzzer_sys::fuzz_target;

/// Sites with 0, 1, 2 and 3 captures, so that any small number is a site.
const CAPTURES: [u32; 8] = [0, 1, 2, 3, 1, 1, 0, 1];

fuzz_target!(|bytes: &[u8]| common::check_any(bytes, &CAPTURES));
