//! Any bytes as a table: a typed error, or entries that survive writing and reading.

#![no_main]

use debugop_bytecode::{exception_table, location_table};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (i32, &[u8])| {
    let (first_line, bytes) = input;
    if let Ok(entries) = exception_table::parse(bytes) {
        let written = exception_table::write(&entries);
        assert_eq!(
            exception_table::parse(&written).expect("just written"),
            entries
        );
    }
    if let Ok(entries) = location_table::parse(bytes, first_line) {
        let written = location_table::write(&entries, first_line);
        let again = location_table::parse(&written, first_line).expect("just written");
        let lines = |entries: &[location_table::LocationEntry]| -> Vec<_> {
            entries
                .iter()
                .map(|entry| (entry.units, entry.location.line))
                .collect()
        };
        assert_eq!(lines(&again), lines(&entries));
    }
});
