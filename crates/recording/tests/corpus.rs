//! The committed corpus of the fuzz targets, without the fuzzer.

mod common;

use std::path::Path;

use debugop_recording::file::CodeRecord;

/// The contents of every file of a target's corpus.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let files = std::fs::read_dir(&directory).expect("committed");
    let contents: Vec<Vec<u8>> = files
        .map(|file| std::fs::read(file.expect("listed").path()).expect("readable"))
        .collect();
    assert!(contents.len() > 20, "{target}: {}", contents.len());
    contents
}

#[test]
fn streams() {
    for bytes in corpus("stream") {
        common::check_any(&bytes, &[0, 1, 2, 3, 1, 1, 0, 1]);
    }
}

#[test]
fn code_objects() {
    for bytes in corpus("code") {
        if let Ok(code) = CodeRecord::read(&bytes) {
            assert_eq!(CodeRecord::read(&code.write()), Ok(code));
        }
    }
}
