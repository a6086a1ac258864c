//! `--include`, `--exclude`, `--all`: which code a command follows.

use std::ffi::OsString;

use clap::{Args, Error};
use debugop_filter::{CodeFilter, Libraries, Pattern};

use crate::run::patterns;

/// Which code a command follows, complete and checked.
#[derive(Clone, Debug)]
pub struct Filters {
    /// Follow what one of these matches, also if it would not be followed by default.
    pub include: Vec<Pattern>,
    /// Do not follow what one of these matches; wins over `include`.
    pub exclude: Vec<Pattern>,
    /// Follow everything, library code too.
    pub all: bool,
}

impl Filters {
    /// As a filter that knows which code is the user's own.
    #[must_use]
    pub fn with(&self, libraries: Libraries) -> CodeFilter {
        CodeFilter {
            all: self.all,
            include: self.include.clone(),
            exclude: self.exclude.clone(),
            functions: Vec::new(),
            libraries,
        }
    }

    /// As the options that say the same.
    pub(crate) fn options(&self) -> Vec<OsString> {
        let mut options = Vec::new();
        for (name, patterns) in [("--include", &self.include), ("--exclude", &self.exclude)] {
            for pattern in patterns {
                options.extend([name.into(), pattern.as_str().into()]);
            }
        }
        if self.all {
            options.push("--all".into());
        }
        options
    }
}

#[derive(Debug, Args)]
pub(crate) struct FilterArguments {
    /// Follow also what matches; may be repeated
    ///
    /// By default debugop follows your own code: not the standard library, not site-packages. A PATTERN without `/`
    /// is matched against module and qualified name, and covers everything below (`json` covers `json.decoder.JSONDecoder.decode`);
    /// one with `/` is matched against the file's path (`src/**/*.py`). Wildcards are * ? [a-z] and, in paths, **.
    #[arg(long, value_name = "PATTERN")]
    include: Vec<String>,

    /// Do not follow what matches; wins over --include; may be repeated
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,

    /// Follow everything: the standard library and installed packages too
    #[arg(long, short)]
    all: bool,
}

/// `-f`: which functions a command is about.
#[derive(Debug, Args)]
pub(crate) struct FunctionArguments {
    /// Only functions that match; may be repeated
    ///
    /// NAME is a function's name (`parse`), qualified name (`Parser.parse`) or full name (`pkg.mod.Parser.parse`),
    /// and may contain the wildcards * ? and [a-z].
    #[arg(long = "function", short = 'f', value_name = "NAME")]
    functions: Vec<String>,
}

impl FunctionArguments {
    pub(crate) fn into_patterns(self) -> Result<Vec<Pattern>, Error> {
        patterns("--function", &self.functions)
    }
}

impl FilterArguments {
    pub(crate) fn into_filters(self) -> Result<Filters, Error> {
        Ok(Filters {
            include: patterns("--include", &self.include)?,
            exclude: patterns("--exclude", &self.exclude)?,
            all: self.all,
        })
    }
}
