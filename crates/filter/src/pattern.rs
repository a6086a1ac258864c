//! Glob patterns over code.

use std::fmt;
use std::str::FromStr;

use globset::{Glob, GlobMatcher};

use crate::CodeNames;

/// A shell-style pattern (`*`, `?`, `[a-z]`, `{a,b}`) that names code.
///
/// With a `/`, or ending in `.py`, it is matched against the file name, whole or from any directory on; otherwise against
/// the module (`json.*`), the qualified name (`Parser.feed`), and both joined by a dot (`json.decoder.JSONDecoder.*`). A pattern
/// that names a module also names what is inside: `json` matches `json.decoder`. `*` matches dots and slashes too.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    of_file: bool,
    whole: GlobMatcher,
    inside: GlobMatcher,
}

/// A pattern that is not a valid glob.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("bad pattern {pattern:?}: {reason}")]
pub struct PatternError {
    pattern: String,
    reason: String,
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let compile = |glob: &str| {
            Glob::new(glob).map(|glob| glob.compile_matcher()).map_err(|error| PatternError {
                pattern: text.to_owned(),
                reason: error.kind().to_string(),
            })
        };
        if text.is_empty() {
            return Err(PatternError { pattern: String::new(), reason: "it is empty".to_owned() });
        }
        let of_file = text.contains('/') || text.ends_with(".py");
        let inside = if of_file { format!("*/{text}") } else { format!("{text}.*") };
        Ok(Self { text: text.to_owned(), of_file, whole: compile(text)?, inside: compile(&inside)? })
    }
}

impl Pattern {
    /// Whether the pattern names the code.
    #[must_use]
    pub fn matches(&self, code: CodeNames<'_>) -> bool {
        if self.of_file {
            return self.matches_text(code.file);
        }
        self.matches_text(code.module)
            || self.matches_text(code.qualname)
            || self.matches_text(&format!("{}.{}", code.module, code.qualname))
    }

    /// Whether the pattern matches `text` itself or, for a file pattern, its tail.
    #[must_use]
    pub fn matches_text(&self, text: &str) -> bool {
        self.whole.is_match(text) || self.inside.is_match(text)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, module: &str, qualname: &str, file: &str) -> bool {
        Pattern::from_str(pattern).expect("a valid pattern").matches(CodeNames { module, qualname, file })
    }

    #[test]
    fn names_modules_functions_and_files() {
        let decode = |pattern| matches(pattern, "json.decoder", "JSONDecoder.decode", "/usr/lib/json/decoder.py");
        assert!(decode("json"));
        assert!(decode("json.*"));
        assert!(decode("JSONDecoder.decode"));
        assert!(decode("JSONDecoder"), "a class names its methods");
        assert!(decode("json.decoder.JSONDecoder.*"));
        assert!(decode("*.decode"));
        assert!(decode("decoder.py"));
        assert!(decode("json/*.py"));
        assert!(decode("/usr/lib/*"));
        assert!(!decode("js"));
        assert!(!decode("decode"), "a bare name is a whole name");
        assert!(!decode("coder.py"));
    }

    #[test]
    fn a_bad_glob_says_why() {
        let error = Pattern::from_str("a[").expect_err("an open class");
        assert!(error.to_string().starts_with("bad pattern \"a[\": "), "{error}");
        assert!(Pattern::from_str("").is_err());
    }
}
