//! What each version's compiler wrote for a handful of functions (`examples/functions.py`).

use debugop_bytecode::{CodeView, Version};

/// A function, compiled.
#[derive(Clone, Debug)]
pub(crate) struct Example {
    pub(crate) version: Version,
    pub(crate) name: &'static str,
    pub(crate) first_line: i32,
    pub(crate) stack_size: u32,
    /// `co_code`, `co_exceptiontable`, `co_linetable`.
    pub(crate) parts: [Vec<u8>; 3],
}

impl Example {
    pub(crate) fn view(&self) -> CodeView<'_> {
        let [code, exception_table, location_table] = &self.parts;
        let (first_line, stack_size) = (self.first_line, self.stack_size);
        CodeView {
            version: self.version,
            code,
            exception_table,
            location_table,
            first_line,
            stack_size,
        }
    }
}

/// All of them, in every version.
pub(crate) fn examples() -> Vec<Example> {
    let files = [
        include_str!("../examples/3.11.txt"),
        include_str!("../examples/3.12.txt"),
        include_str!("../examples/3.13.txt"),
        include_str!("../examples/3.14.txt"),
        include_str!("../examples/3.15.txt"),
    ];
    let mut examples = Vec::new();
    for (version, file) in Version::ALL.into_iter().zip(files) {
        let lines: Vec<_> = file.lines().collect();
        for lines in lines.chunks_exact(5) {
            let (first_line, stack_size) = lines[1].split_once(' ').expect("two numbers");
            examples.push(Example {
                version,
                name: lines[0],
                first_line: first_line.parse().expect("a number"),
                stack_size: stack_size.parse().expect("a number"),
                parts: [hex(lines[2]), hex(lines[3]), hex(lines[4])],
            });
        }
    }
    examples
}

fn hex(digits: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hex digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}
