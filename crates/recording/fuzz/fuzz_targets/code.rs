//! Any bytes as a code object: a typed error, or one that survives writing and reading.

#![no_main]

use debugop_recording::file::CodeRecord;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| match CodeRecord::read(bytes) {
    Ok(code) => assert_eq!(CodeRecord::read(&code.write()), Ok(code)),
    Err(error) => assert!(error.offset <= bytes.len()),
});
