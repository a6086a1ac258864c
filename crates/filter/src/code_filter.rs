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
    /// Of what would be followed only functions that one of these names, if there are any.
    pub functions: Vec<Pattern>,
    /// What library code is.
    pub libraries: Libraries,
}

impl CodeFilter {
    /// Whether the code is followed. `home` tells the file of the module that the code runs in: empty if that has none, `None` if
    /// there is no such module.
    #[must_use]
    pub fn allows(&self, code: CodeNames<'_>, home: impl FnOnce() -> Option<String>) -> bool {
        let named = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(code));
        !is_below(code.file, &self.libraries.own)
            && self.names(code)
            && !named(&self.exclude)
            && (self.all || named(&self.include) || !self.is_library(code, home))
    }

    /// Whether `functions` let the code through.
    #[must_use]
    pub fn names(&self, code: CodeNames<'_>) -> bool {
        let mut functions = self.functions.iter();
        self.functions.is_empty() || functions.any(|pattern| pattern.matches_function(code))
    }

    /// Whether it is library code: not what runs as the main program, wherever it is. `exec` of a bare string is it where it runs in a library's module, or in a namespace that names
    /// itself after no module, as that of `collections.namedtuple` does.
    fn is_library(&self, code: CodeNames<'_>, home: impl FnOnce() -> Option<String>) -> bool {
        if code.module == "__main__" {
            return false;
        }
        if code.file == "<string>" {
            return home().is_none_or(|file| self.libraries.contain(&file));
        }
        self.libraries.contain(code.file)
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

    /// `app` is a module of the user's, `json` one of the library.
    fn allows(filter: &CodeFilter, code: CodeNames<'_>) -> bool {
        filter.allows(code, || match code.module {
            "app" => Some("/home/me/app.py".to_owned()),
            "json" => Some("/usr/lib/python3/json/__init__.py".to_owned()),
            _ => None,
        })
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
        assert!(allows(&filter, own) && !allows(&filter, library) && !allows(&filter, frozen));
        for (module, own) in [
            ("app", true),
            ("__main__", true),
            ("json", false),
            ("namedtuple_Point", false),
        ] {
            assert_eq!(allows(&filter, code(module, "<string>")), own, "{module}");
        }
        filter.include = vec![pattern("json")];
        assert!(allows(&filter, own) && allows(&filter, library) && !allows(&filter, frozen));
        filter.exclude = vec![pattern("json.f"), pattern("me/")];
        assert!(!allows(&filter, own) && !allows(&filter, library));
        filter.all = true;
        assert!(!allows(
            &filter,
            code("debugop._launch", "/opt/debugop/_launch.py")
        ));
        assert!(!allows(&filter, own) && !allows(&filter, library) && allows(&filter, frozen));
    }

    #[test]
    fn only_named_functions_of_what_is_followed() {
        let pattern = |text: &str| text.parse::<Pattern>().expect("a valid pattern");
        let own = code("app", "/home/me/app.py");
        for (name, follows) in [("f", true), ("app", true), ("g", false), ("json.f", false)] {
            let functions = vec![pattern(name)];
            let filter = CodeFilter {
                functions,
                ..CodeFilter::default()
            };
            assert_eq!(allows(&filter, own), follows, "{name}");
        }
    }
}
