//! Any bytes as a code object: a typed error, or an insertion that keeps every promise.

#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;

use arbitrary::Arbitrary;
use debugop_bytecode::{CodeView, Location, LocationEntry, Version, location_table};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    minor: u8,
    first_line: i32,
    stack_size: u8,
    constant: u32,
    /// `None`: a table that covers the code, so that more of it is accepted.
    location_table: Option<&'a [u8]>,
    exception_table: &'a [u8],
    code: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    let version = Version::ALL[usize::from(input.minor) % Version::ALL.len()];
    let entry = LocationEntry {
        units: 1,
        location: Location {
            line: Some(1),
            end_line: Some(1),
            column: None,
            end_column: None,
        },
    };
    let covering = location_table::write(&vec![entry; input.code.len() / 2], input.first_line);
    let view = CodeView {
        version,
        code: input.code,
        exception_table: input.exception_table,
        location_table: input.location_table.unwrap_or(&covering),
        first_line: input.first_line,
        stack_size: u32::from(input.stack_size),
    };
    let _ = common::oracle::check(&view, input.constant);
});
