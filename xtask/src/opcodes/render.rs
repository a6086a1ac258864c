//! Writes the facts as Rust.

use std::fmt::Write as _;

use anyhow::Result;

use super::{Effect, Facts, Term, classify, corrections};

/// `v3_XX.rs`. See `table!` in `opcode/table.rs` for the columns.
pub(super) fn version(facts: &mut Facts) -> Result<String> {
    classify::check_assumptions(facts)?;
    let notes = corrections::apply(facts)?;

    let mut text = format!(
        "// Written by `cargo xtask opcodes` from CPython {}; not to be edited.\n\n",
        facts.version
    );
    writeln!(
        text,
        "//! The instruction set of CPython 3.{}.\n",
        facts.minor
    )?;
    for note in notes {
        writeln!(text, "// {note}.")?;
    }
    text += "crate::opcode::table::table! {\n    opcodes {\n";
    for opcode in &facts.opcodes {
        let [next, jump] = &opcode.effects;
        writeln!(
            text,
            "        {:<3} {:<29} {:>2} {:<18} {:<8} {:<11}: {}, {};",
            opcode.number,
            camel_case(&opcode.name),
            opcode.caches,
            classify::arg_kind(facts.minor, opcode)?,
            classify::jump_kind(opcode),
            classify::flow(opcode)?,
            effect(next),
            effect(jump),
        )?;
    }
    text += "    }\n";
    for (name, values) in [
        ("binary_ops", &facts.binary_ops),
        ("intrinsics_1", &facts.intrinsics_1),
        ("intrinsics_2", &facts.intrinsics_2),
        ("special_methods", &facts.special_methods),
        ("common_constants", &facts.common_constants),
    ] {
        write!(text, "    {name} {{")?;
        for value in values {
            write!(text, "\n        {value:?},")?;
        }
        text += if values.is_empty() {
            "}\n"
        } else {
            "\n    }\n"
        };
    }
    text += "}\n";
    Ok(text)
}

/// `op.rs`: every name that any version has.
pub(super) fn names(names: &[String]) -> String {
    let mut text = String::from(
        "// Written by `cargo xtask opcodes`; not to be edited.\n\n\
         //! The names of all instructions of all versions.\n\n\
         /// An instruction by name: means the same in every version that has it.\n\
         #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]\n\
         #[non_exhaustive]\n\
         #[repr(u8)]\n\
         #[allow(missing_docs, reason = \"documented by CPython's dis\")]\n\
         pub enum Op {\n",
    );
    for name in names {
        text += &format!("    {name},\n");
    }
    text += "}\n\nimpl Op {\n    /// All of them.\n    #[rustfmt::skip]\n    pub const ALL: &'static [Op] = &[\n";
    for name in names {
        text += &format!("        Op::{name},\n");
    }
    text += "    ];\n\n    /// Its name as in `dis.opname`.\n    pub const fn name(self) -> &'static str {\n        match self {\n";
    for name in names {
        text += &format!("            Op::{name} => \"{}\",\n", upper_case(name));
    }
    text += "        }\n    }\n}\n";
    text
}

fn effect(effect: &Effect) -> String {
    let mut text = effect.base.to_string();
    for term in &effect.terms {
        text += &match term {
            Term::Equals { value, scale } => format!(" [== {value} * {scale}]"),
            Term::Bits { shift, mask, scale } => format!(" [{shift} {mask:#x} * {scale}]"),
        };
    }
    text
}

/// `LOAD_FAST` → `LoadFast`.
pub(super) fn camel_case(name: &str) -> String {
    let word = |word: &str| word[..1].to_owned() + &word[1..].to_lowercase();
    name.split('_').map(word).collect()
}

/// `LoadFast` → `LOAD_FAST`. Digits are words of their own: `CallIntrinsic1` → `CALL_INTRINSIC_1`.
fn upper_case(name: &str) -> String {
    let mut text = String::new();
    for (i, letter) in name.char_indices() {
        if i > 0 && !letter.is_lowercase() {
            text.push('_');
        }
        text.push(letter.to_ascii_uppercase());
    }
    text
}
