//! Glob patterns over code.

use std::fmt;
use std::str::FromStr;

use globset::{GlobBuilder, GlobMatcher};

use crate::CodeNames;

/// A glob over functions, or over files when it contains a `/`.
///
/// A pattern over functions covers a module, class or function and everything below it: `json` covers `json.decoder` and
/// `json.decoder.JSONDecoder.decode`; `*` also matches dots. A pattern over files is matched against the end of the
/// path unless it starts with `/`; there `*` stops at `/` and `**` does not, and a pattern that ends in `/` covers
/// everything in that directory. `?`, `[a-z]` and `{a,b}` are wildcards too, and `\` makes the next character ordinary.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    matcher: GlobMatcher,
    over_files: bool,
}

/// Why a text is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// Nothing would match.
    #[error("a pattern must not be empty")]
    Empty,
    /// The glob is malformed.
    #[error("the pattern `{pattern}` is not a valid glob: {reason}")]
    Glob {
        /// The pattern as given.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Pattern {
    /// Parses a pattern over functions, or over files when it contains a `/`.
    ///
    /// # Errors
    /// An empty text, or a glob that is not well formed.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        if text.contains('/') {
            return Self::over_files(text);
        }
        let matcher = compile(text, text, false)?;
        Ok(Self {
            text: text.to_owned(),
            matcher,
            over_files: false,
        })
    }

    /// Parses a pattern over files, also when it is a bare name such as `parser.py`.
    ///
    /// # Errors
    /// As [`Pattern::new`].
    pub fn over_files(text: &str) -> Result<Self, PatternError> {
        let anywhere = if text.starts_with('/') { "" } else { "**/" };
        let relative = text.strip_prefix("./").unwrap_or(text);
        let inside = if text.ends_with('/') { "**" } else { "" };
        let matcher = compile(text, &format!("{anywhere}{relative}{inside}"), true)?;
        Ok(Self {
            text: text.to_owned(),
            matcher,
            over_files: true,
        })
    }

    /// The pattern as given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the pattern covers the code, by its module and qualified name or by its file.
    #[must_use]
    pub fn matches(&self, code: CodeNames<'_>) -> bool {
        if self.over_files {
            return self.matcher.is_match(code.file);
        }
        if code.module.is_empty() {
            return self.covers(code.qualname);
        }
        self.covers(&format!("{}.{}", code.module, code.qualname))
    }

    /// Whether the pattern names the function itself: by `__name__`, `__qualname__`, or any name that
    /// [`Pattern::matches`] takes.
    #[must_use]
    pub fn matches_function(&self, code: CodeNames<'_>) -> bool {
        let name = code.qualname.rsplit('.').next().unwrap_or(code.qualname);
        let by_name = !self.over_files && (self.is(name) || self.is(code.qualname));
        by_name || self.matches(code)
    }

    /// Whether the pattern names `dotted` or what it is in: `json` covers `json.decoder`.
    #[must_use]
    pub fn covers(&self, dotted: &str) -> bool {
        let outer = dotted.match_indices('.').map(|(at, _)| &dotted[..at]);
        outer
            .chain(std::iter::once(dotted))
            .any(|name| self.is(name))
    }

    /// Whether the pattern matches the whole of `text`.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        self.matcher.is_match(text)
    }
}

/// Compiles `glob`, which was made from the pattern `text`.
fn compile(text: &str, glob: &str, over_files: bool) -> Result<GlobMatcher, PatternError> {
    if text.is_empty() {
        return Err(PatternError::Empty);
    }
    let built = GlobBuilder::new(glob)
        .literal_separator(over_files)
        .backslash_escape(true)
        .build();
    let built = built.map_err(|error| PatternError::Glob {
        pattern: text.to_owned(),
        reason: error.kind().to_string(),
    })?;
    Ok(built.compile_matcher())
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        Self::new(text)
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
        (&self.text, self.over_files) == (&other.text, other.over_files)
    }
}

impl Eq for Pattern {}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        text.parse().expect("a valid pattern")
    }

    #[test]
    fn a_name_covers_what_is_below_it() {
        let names = CodeNames {
            module: "json.decoder",
            qualname: "JSONDecoder.decode",
            file: "/lib/json/decoder.py",
        };
        let decode = |text| pattern(text).matches(names);
        assert!(decode("json"));
        assert!(decode("json.decoder"));
        assert!(decode("json.decoder.JSONDecoder"));
        assert!(decode("json.decoder.JSONDecoder.decode"));
        assert!(decode("json.*.decode"));
        assert!(decode("*.decode"));
        assert!(!decode("jso"));
        assert!(!decode("decode"));
        assert!(!decode("json.encoder"));
    }

    #[test]
    fn a_slash_means_files() {
        let names = CodeNames {
            module: "pkg.mod",
            qualname: "f",
            file: "/home/me/project/src/pkg/mod.py",
        };
        let file = |text| pattern(text).matches(names);
        assert!(file("src/**/*.py"));
        assert!(file("./src/pkg/mod.py"));
        assert!(file("pkg/"));
        assert!(file("/home/**/mod.py"));
        assert!(!file("src/*.py"));
        assert!(!file("/src/pkg/mod.py"));
        let bare = |text| {
            Pattern::over_files(text)
                .expect("a valid pattern")
                .matches(names)
        };
        assert!(bare("mod.py") && bare("*.py") && !bare("od.py"));
    }

    #[test]
    fn a_function_is_also_known_by_its_own_name() {
        let names = CodeNames {
            module: "pkg",
            qualname: "outer.<locals>.inner",
            file: "/x.py",
        };
        let function = |text| pattern(text).matches_function(names);
        assert!(function("inner"));
        assert!(function("outer.<locals>.inner"));
        assert!(function("pkg.outer"));
        assert!(function("in*"));
        assert!(!function("outer.inner"));
    }

    #[test]
    fn code_of_no_module_is_known_by_its_qualified_name() {
        let names = CodeNames {
            module: "",
            qualname: "C.f",
            file: "<string>",
        };
        assert!(pattern("C").matches(names) && !pattern("f").matches(names));
    }

    #[test]
    fn a_bad_glob_says_what_is_wrong() {
        let error = |text| Pattern::new(text).expect_err("invalid").to_string();
        assert_eq!(
            error("json.[a-"),
            "the pattern `json.[a-` is not a valid glob: unclosed character class; missing ']'"
        );
        assert_eq!(error(""), "a pattern must not be empty");
        assert_eq!(
            Pattern::over_files("").expect_err("invalid"),
            PatternError::Empty
        );
    }
}
