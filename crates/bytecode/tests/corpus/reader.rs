//! Reads what `cargo xtask corpus` writes.
//!
//! A dump is a sequence of files: `name length, number of code objects, blob length: u32`, the name, and a zlib blob.
//! The blob is a sequence of code objects: `first line: i32; stack size, instructions, length of co_code, of
//! co_exceptiontable, of co_linetable, of the name: u32`, those four, and nine columns of `i32` with one
//! item per instruction that `dis` lists (EXTENDED_ARG included): offset, opcode, oparg, jump target, whether it is a
//! jump or handler target, line, end line, column, end column; −1 for none. All little-endian.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use debugop_bytecode::{CodeView, Version};
use flate2::read::ZlibDecoder;

/// One version's dump.
pub(crate) struct Corpus {
    pub(crate) version: Version,
    /// `sys.version` of the interpreter.
    pub(crate) interpreter: String,
    directory: PathBuf,
    parts: Vec<String>,
}

#[derive(serde::Deserialize)]
struct Summary {
    version: String,
    parts: Vec<String>,
}

/// A code object and what `dis` says about it.
pub(crate) struct Code<'a> {
    /// File and qualified name.
    pub(crate) name: String,
    pub(crate) view: CodeView<'a>,
    pub(crate) dis: Vec<Listed>,
}

/// One line of `dis`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listed {
    pub(crate) offset: i32,
    pub(crate) opcode: i32,
    pub(crate) arg: i32,
    pub(crate) target: i32,
    pub(crate) label: i32,
    /// Line, end line, column, end column.
    pub(crate) positions: [i32; 4],
}

impl Corpus {
    /// The dump of a version; `None` when there is none.
    pub(crate) fn open(version: Version) -> Option<Corpus> {
        let directory = std::env::var_os("DEBUGOP_CORPUS").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/corpus"),
            PathBuf::from,
        );
        let summary = fs::read(directory.join(format!("{version}.json"))).ok()?;
        let summary: Summary = serde_json::from_slice(&summary).expect("the summary is valid");
        Some(Corpus {
            version,
            interpreter: summary.version,
            directory,
            parts: summary.parts,
        })
    }

    /// Another file of the same dump; `None` when it is not there.
    pub(crate) fn extra(&self, suffix: &str) -> Option<Vec<u8>> {
        fs::read(self.directory.join(format!("{}.{suffix}", self.version))).ok()
    }

    /// Calls `visit` with every code object of the files that `keep` wants.
    pub(crate) fn for_each(&self, keep: impl Fn(&str) -> bool, mut visit: impl FnMut(&Code<'_>)) {
        for part in &self.parts {
            let dump = fs::read(self.directory.join(part)).expect("the dump has all its parts");
            let mut dump = Bytes(&dump);
            while !dump.0.is_empty() {
                let [name, codes, blob] = dump.numbers();
                let file = String::from_utf8_lossy(dump.take(name as usize)).into_owned();
                let blob = dump.take(blob as usize);
                if !keep(&file) {
                    continue;
                }
                let mut records = Vec::new();
                ZlibDecoder::new(blob)
                    .read_to_end(&mut records)
                    .expect("zlib");
                let mut records = Bytes(&records);
                for _ in 0..codes {
                    visit(&records.code(self.version, &file));
                }
                assert!(records.0.is_empty(), "{file}: the records end early");
            }
        }
    }
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(length);
        self.0 = rest;
        head
    }

    fn numbers<const N: usize>(&mut self) -> [u32; N] {
        std::array::from_fn(|_| u32::from_le_bytes(self.take(4).try_into().expect("four bytes")))
    }

    fn code(&mut self, version: Version, file: &str) -> Code<'a> {
        let [
            first_line,
            stack_size,
            count,
            code,
            exceptions,
            locations,
            name,
        ] = self.numbers();
        let [code, exception_table, location_table, name] =
            [code, exceptions, locations, name].map(|length| self.take(length as usize));
        let columns: [&[u8]; 9] = std::array::from_fn(|_| self.take(count as usize * 4));
        let item = |column: usize, row: usize| {
            let bytes = &columns[column][row * 4..row * 4 + 4];
            i32::from_le_bytes(bytes.try_into().expect("four bytes"))
        };
        let dis = (0..count as usize)
            .map(|row| Listed {
                offset: item(0, row),
                opcode: item(1, row),
                arg: item(2, row),
                target: item(3, row),
                label: item(4, row),
                positions: std::array::from_fn(|i| item(5 + i, row)),
            })
            .collect();
        Code {
            name: format!("{file}: {}", String::from_utf8_lossy(name)),
            view: CodeView {
                version,
                code,
                exception_table,
                location_table,
                first_line: first_line as i32,
                stack_size,
            },
            dis,
        }
    }
}
