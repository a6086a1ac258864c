//! Which code is followed.

use crate::{CodeNames, Pattern};

/// Where code that is not the user's own lives.
#[derive(Clone, Debug, Default)]
pub struct Libraries {
    /// Directories of the standard library and of installed packages, each ending in a separator.
    pub directories: Vec<String>,
    /// Directories of debugop itself, whose code is never followed, each ending in a separator.
    pub own: Vec<String>,
}

impl Libraries {
    /// Whether `file` (a `co_filename`) is library code: below one of the directories, or frozen into the interpreter.
    #[must_use]
    pub fn contain(&self, file: &str) -> bool {
        file.starts_with("<frozen ") || is_below(file, &self.directories)
    }
}

fn is_below(file: &str, directories: &[String]) -> bool {
    directories
        .iter()
        .any(|directory| file.starts_with(directory.as_str()))
}

/// Decides which code is followed: by default the user's own.
///
/// An exclude pattern always wins. Otherwise code that an include pattern names is followed, library code too, and besides
/// everything that is not library code, or everything at all with `all`; debugop's own code never is.
#[derive(Clone, Debug, Default)]
pub struct CodeFilter {
    /// Follow library code too.
    pub all: bool,
    /// Also what one of these names.
    pub include: Vec<Pattern>,
    /// Never what one of these names.
    pub exclude: Vec<Pattern>,
    /// What library code is.
    pub libraries: Libraries,
}

impl CodeFilter {
    /// Whether the code is followed.
    #[must_use]
    pub fn allows(&self, code: CodeNames<'_>) -> bool {
        let named = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(code));
        !is_below(code.file, &self.libraries.own)
            && !named(&self.exclude)
            && (self.all || !self.libraries.contain(code.file) || named(&self.include))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code<'a>(module: &'a str, file: &'a str) -> CodeNames<'a> {
        CodeNames {
            module,
            qualname: "f",
            file,
        }
    }

    #[test]
    fn own_code_by_default_and_patterns_override() {
        let pattern = |text: &str| text.parse::<Pattern>().expect("a valid pattern");
        let mut filter = CodeFilter {
            libraries: Libraries {
                directories: vec!["/usr/lib/python3/".to_owned()],
                own: vec!["/opt/debugop/".to_owned()],
            },
            ..CodeFilter::default()
        };
        let own = code("app", "/home/me/app.py");
        let library = code("json", "/usr/lib/python3/json/__init__.py");
        let frozen = code("importlib._bootstrap", "<frozen importlib._bootstrap>");
        assert!(filter.allows(own) && !filter.allows(library) && !filter.allows(frozen));
        filter.include = vec![pattern("json")];
        assert!(filter.allows(own) && filter.allows(library) && !filter.allows(frozen));
        filter.exclude = vec![pattern("json.f"), pattern("me/")];
        assert!(!filter.allows(own) && !filter.allows(library));
        filter.all = true;
        assert!(!filter.allows(code("debugop._launch", "/opt/debugop/_launch.py")));
        assert!(!filter.allows(own) && !filter.allows(library) && filter.allows(frozen));
    }
}
