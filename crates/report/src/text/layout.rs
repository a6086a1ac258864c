//! What goes into the columns of an instruction's row, and how wide they are.

use debugop_bytecode::argument::Argument;
use debugop_value::{escaped, head, width};

use crate::code::{CodeInfo, InstructionInfo};

/// Columns of an instruction's name, at most; longer names take from the argument's columns.
const WIDEST_INSTRUCTION: usize = 20;

/// Columns of an instruction's argument, at most.
const WIDEST_ARGUMENT: usize = 24;

/// Columns of a file's name, at most.
const WIDEST_FILE: usize = 40;

/// Column widths that stay the same for all of a code object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub(super) offset: usize,
    pub(super) instruction: usize,
    pub(super) argument: usize,
}

impl Layout {
    pub(super) fn of(code: &CodeInfo, columns: usize) -> Self {
        let instructions = code.instructions();
        let widest =
            |of: &dyn Fn(&InstructionInfo) -> usize| instructions.iter().map(of).max().unwrap_or(0);
        let offset = instructions.last().map_or(0, |last| last.offset);
        Layout {
            offset: offset.to_string().len().max(4),
            instruction: widest(&|info| info.op.name().len())
                .min(WIDEST_INSTRUCTION.min(columns / 4)),
            argument: widest(&|info| width(&argument(info)))
                .min(WIDEST_ARGUMENT)
                .min(columns / 5),
        }
    }
}

/// An instruction's argument for people.
pub(super) fn argument(info: &InstructionInfo) -> String {
    match (info.argument, info.arg) {
        // `dis` shows these opargs as bare numbers before 3.14.
        (Argument::Is(not), _) => (if not { "is not" } else { "is" }).into(),
        (Argument::Contains(not), _) => (if not { "not in" } else { "in" }).into(),
        (_, None) => String::new(),
        (_, Some(arg)) if info.argrepr.is_empty() => arg.to_string(),
        _ => info.argrepr.to_string(),
    }
}

pub(super) fn fitting(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        text.into()
    } else {
        format!("{}…", head(text, columns.saturating_sub(1)))
    }
}

/// A file's path from `directory`, if it is below that.
pub(super) fn below<'a>(directory: Option<&str>, path: &'a str) -> &'a str {
    directory
        .and_then(|directory| path.strip_prefix(directory)?.strip_prefix('/'))
        .unwrap_or(path)
}

/// A file's name, its beginning cut where it is long: `…/json/decoder.py`.
pub(super) fn shortened(path: &str) -> String {
    let path = escaped(path);
    if width(&path) <= WIDEST_FILE {
        return path.into_owned();
    }
    let fits = |at: &usize| width(&path[*at..]) < WIDEST_FILE;
    let directory = path.match_indices('/').map(|(at, _)| at).find(fits);
    let anywhere = || path.char_indices().map(|(at, _)| at).find(fits);
    let start = directory.or_else(anywhere).unwrap_or(0);
    format!("…{}", &path[start..])
}

#[cfg(test)]
mod tests {
    use super::below;

    #[test]
    fn only_files_below_the_directory_are_named_from_it() {
        assert_eq!(below(Some("/home/me"), "/home/me/src/app.py"), "src/app.py");
        assert_eq!(
            below(Some("/home/me"), "/home/mean/app.py"),
            "/home/mean/app.py"
        );
        assert_eq!(below(Some("/home/me"), "<string>"), "<string>");
        assert_eq!(below(None, "/home/me/app.py"), "/home/me/app.py");
    }
}
