//! Which code a filter means.

use globset::{Glob, GlobBuilder, GlobMatcher};

/// A glob over functions, or over files when it contains a `/`.
///
/// A pattern over functions covers a module, class or function and everything below it: `json` covers
/// `json.decoder` and `json.decoder.JSONDecoder.decode`; `*` also matches dots. A pattern over files is matched against
/// the end of the path unless it starts with `/`; there `*` stops at `/` and `**` does not, and a pattern that
/// ends in `/` covers everything in that directory.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    matcher: GlobMatcher,
    over_files: bool,
}

/// Why a text is not a pattern.
#[derive(Debug, Clone, thiserror::Error)]
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
    /// Parses a pattern: `*`, `?`, `[a-z]` and `{a,b}` are wildcards, `\` makes the next character ordinary.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        let over_files = text.contains('/');
        let mut glob = text.to_owned();
        if over_files {
            if !glob.starts_with('/') {
                let relative = glob.trim_start_matches("./");
                glob = format!("**/{relative}");
            }
            if glob.ends_with('/') {
                glob.push_str("**");
            }
        }
        let compiled: Glob = GlobBuilder::new(&glob)
            .literal_separator(over_files)
            .backslash_escape(true)
            .build()
            .map_err(|error| PatternError::Glob {
                pattern: text.to_owned(),
                reason: error.kind().to_string(),
            })?;
        Ok(Pattern {
            text: text.to_owned(),
            matcher: compiled.compile_matcher(),
            over_files,
        })
    }

    /// The pattern as given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether this pattern means the code object with these names: the module's `__name__` where it is known,
    /// `co_qualname`, and the absolute path of its file.
    pub fn matches(&self, module: Option<&str>, qualname: &str, path: &str) -> bool {
        if self.over_files {
            return self.matcher.is_match(path);
        }
        let full = match module {
            Some(module) => format!("{module}.{qualname}"),
            None => qualname.to_owned(),
        };
        dotted_prefixes(&full).any(|prefix| self.matcher.is_match(prefix))
    }

    /// Whether this pattern names the function itself: by `__name__`, `__qualname__`, or any name that
    /// [`Pattern::matches`] takes.
    pub fn matches_function(&self, module: Option<&str>, qualname: &str, path: &str) -> bool {
        let name = qualname.rsplit('.').next().unwrap_or(qualname);
        let by_name =
            !self.over_files && (self.matcher.is_match(name) || self.matcher.is_match(qualname));
        by_name || self.matches(module, qualname, path)
    }
}

/// `a.b.c` as `a`, `a.b`, `a.b.c`.
fn dotted_prefixes(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('.')
        .map(|(at, _)| &name[..at])
        .chain(std::iter::once(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, module: &str, qualname: &str, path: &str) -> bool {
        Pattern::new(pattern)
            .expect("valid pattern")
            .matches(Some(module), qualname, path)
    }

    #[test]
    fn a_name_covers_what_is_below_it() {
        let decode = |pattern| {
            matches(
                pattern,
                "json.decoder",
                "JSONDecoder.decode",
                "/lib/json/decoder.py",
            )
        };
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
        let file = |pattern| matches(pattern, "pkg.mod", "f", "/home/me/project/src/pkg/mod.py");
        assert!(file("src/**/*.py"));
        assert!(file("./src/pkg/mod.py"));
        assert!(file("pkg/"));
        assert!(file("/home/**/mod.py"));
        assert!(!file("src/*.py"));
        assert!(!file("/src/pkg/mod.py"));
    }

    #[test]
    fn a_function_is_also_known_by_its_own_name() {
        let function = |pattern: &str| {
            Pattern::new(pattern)
                .expect("valid pattern")
                .matches_function(Some("pkg"), "outer.<locals>.inner", "/x.py")
        };
        assert!(function("inner"));
        assert!(function("outer.<locals>.inner"));
        assert!(function("pkg.outer"));
        assert!(function("in*"));
        assert!(!function("outer.inner"));
    }

    #[test]
    fn a_bad_glob_says_what_is_wrong() {
        let error = |text| Pattern::new(text).expect_err("invalid").to_string();
        insta::assert_snapshot!(error("json.[a-"), @"the pattern `json.[a-` is not a valid glob: unclosed character class; missing ']'");
        insta::assert_snapshot!(error("a{b"), @"the pattern `a{b` is not a valid glob: unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)");
        insta::assert_snapshot!(error(""), @"a pattern must not be empty");
    }
}
