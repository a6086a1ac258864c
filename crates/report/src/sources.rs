//! Lines of source files.

use std::fs;
use std::io::Read;
use std::path::PathBuf;

use encoding_rs::Encoding;
use rustc_hash::FxHashMap;

/// Larger files are not read.
const LARGEST: u64 = 64 << 20;

/// Reads and remembers source files, decoded as Python decodes them.
///
/// What cannot be read is as if it had no lines. Bytes that are not valid in the file's encoding are shown as U+FFFD.
#[derive(Debug, Default)]
pub struct Sources {
    base: PathBuf,
    files: FxHashMap<Box<str>, Source>,
}

#[derive(Debug, Default)]
struct Source {
    text: String,
    /// Where each line starts and ends, without its line ending.
    lines: Vec<(usize, usize)>,
}

impl Sources {
    /// An empty cache. Relative names are looked up in the directory that is current now, because the program may
    /// change it.
    pub fn new() -> Self {
        Sources {
            base: std::env::current_dir().unwrap_or_default(),
            files: FxHashMap::default(),
        }
    }

    /// Gives the text for a `co_filename` that is no file, such as `<string>`.
    pub fn register(&mut self, filename: &str, text: impl Into<String>) {
        self.files.insert(filename.into(), Source::new(text.into()));
    }

    /// A line, counted from 1, without its line ending.
    pub fn line(&mut self, filename: &str, number: u32) -> Option<&str> {
        if !self.files.contains_key(filename) {
            let source = self.read(filename).map(|bytes| Source::new(decode(&bytes)));
            self.files
                .insert(filename.into(), source.unwrap_or_default());
        }
        let source = self.files.get(filename)?;
        let &(start, end) = source.lines.get(number.checked_sub(1)? as usize)?;
        source.text.get(start..end)
    }

    fn read(&self, filename: &str) -> Option<Vec<u8>> {
        let path = self.base.join(filename);
        // Opening a pipe would wait for its other end.
        let metadata = fs::metadata(&path).ok()?;
        if !metadata.is_file() || metadata.len() > LARGEST {
            return None;
        }
        let mut bytes = Vec::new();
        let file = fs::File::open(path).ok()?;
        file.take(LARGEST).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }
}

impl Source {
    /// Lines end in `\n`, `\r\n` or `\r`, as the tokenizer has it.
    fn new(text: String) -> Self {
        let bytes = text.as_bytes();
        let mut lines = Vec::new();
        let mut start = 0;
        let mut at = 0;
        while at < bytes.len() {
            let ending = match bytes[at] {
                b'\r' if bytes.get(at + 1) == Some(&b'\n') => 2,
                b'\r' | b'\n' => 1,
                _ => 0,
            };
            if ending > 0 {
                lines.push((start, at));
                start = at + ending;
            }
            at += ending.max(1);
        }
        if start < bytes.len() {
            lines.push((start, bytes.len()));
        }
        Source { text, lines }
    }
}

/// Decodes a file as PEP 263 says: a byte order mark, else a declaration in the first two lines, else UTF-8.
fn decode(bytes: &[u8]) -> String {
    if let Some(rest) = bytes.strip_prefix(b"\xef\xbb\xbf") {
        return String::from_utf8_lossy(rest).into_owned();
    }
    match declared_encoding(bytes) {
        Some(Declared::Latin1) => encoding_rs::mem::decode_latin1(bytes).into_owned(),
        Some(Declared::Other(encoding)) => {
            encoding.decode_without_bom_handling(bytes).0.into_owned()
        }
        None => String::from_utf8_lossy(bytes).into_owned(),
    }
}

enum Declared {
    /// Not the web's latin-1, which is windows-1252.
    Latin1,
    Other(&'static Encoding),
}

/// The encoding that a comment in the first two lines declares; the second counts only if the first is blank or a
/// comment.
fn declared_encoding(bytes: &[u8]) -> Option<Declared> {
    for line in bytes.split(|&byte| byte == b'\n').take(2) {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        if line[0] != b'#' {
            return None;
        }
        if let Some(name) = coding(line) {
            let name = name.to_ascii_lowercase().replace('_', "-");
            if matches!(&*name, "latin-1" | "iso-8859-1" | "iso-latin-1")
                || name.starts_with("latin-1-")
            {
                return Some(Declared::Latin1);
            }
            let encoding = Encoding::for_label(name.as_bytes())
                .or_else(|| Encoding::for_label(name.replace('-', "_").as_bytes()));
            return encoding.map(Declared::Other);
        }
    }
    None
}

/// The name after `coding:` or `coding=` in a comment.
fn coding(comment: &[u8]) -> Option<String> {
    let text: String = comment.iter().map(|&byte| char::from(byte)).collect();
    let after = text
        .match_indices("coding")
        .find_map(|(at, word)| text[at + word.len()..].strip_prefix([':', '=']))?;
    let name: String = after
        .trim_start_matches([' ', '\t'])
        .chars()
        .take_while(|&c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        .collect();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line_of(bytes: &[u8], number: u32) -> Option<String> {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("a.py");
        fs::write(&path, bytes).expect("written");
        let mut sources = Sources::new();
        sources
            .line(path.to_str().expect("UTF-8"), number)
            .map(str::to_owned)
    }

    #[test]
    fn lines_are_counted_from_one() {
        let text = b"a\nb\r\nc\rd";
        let lines: Vec<_> = (0..6).map(|number| line_of(text, number)).collect();
        let expected = [None, Some("a"), Some("b"), Some("c"), Some("d"), None];
        assert_eq!(lines, expected.map(|line| line.map(str::to_owned)));
    }

    #[test]
    fn files_are_decoded_as_python_decodes_them() {
        let first = |bytes: &[u8]| line_of(bytes, 2).expect("a second line");
        assert_eq!(first("\n'é'".as_bytes()), "'é'");
        assert_eq!(first("\u{feff}# coding: latin-1\n'é'".as_bytes()), "'é'");
        assert_eq!(first(b"# -*- coding: latin-1 -*-\n'\xe9\x80'"), "'é\u{80}'");
        assert_eq!(first(b"# vim: set fileencoding=cp1252 :\n'\x80'"), "'€'");
        assert_eq!(first(b"# coding: euc_jp\n'\xa4\xa2'"), "'あ'");
        assert_eq!(first(b"\n'\xff'"), "'\u{fffd}'");
        // Too late, or not in a comment: no declaration.
        assert_eq!(first(b"x = 'coding: latin-1'\n'\xe9'"), "'\u{fffd}'");
    }

    #[test]
    fn what_is_no_file_has_no_lines() {
        let mut sources = Sources::new();
        assert_eq!(sources.line("<string>", 1), None);
        assert_eq!(sources.line("/dev/null", 1), None);
        assert_eq!(sources.line("no/such/file.py", 1), None);
        sources.register("<command>", "print(1)");
        assert_eq!(sources.line("<command>", 1), Some("print(1)"));
    }
}
