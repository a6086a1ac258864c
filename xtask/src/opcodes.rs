//! `cargo xtask opcodes`: writes `crates/bytecode/src/opcode/` from the interpreters themselves.

mod classify;
mod corrections;
mod render;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::interpreters;

/// Write the opcode tables of every CPython that is found.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Write nothing; fail when the committed tables differ from what the interpreters say.
    #[arg(long)]
    check: bool,
}

/// What `facts.py` prints.
#[derive(Deserialize)]
struct Facts {
    version: String,
    minor: u8,
    opcodes: Vec<Opcode>,
    compare_ops: Vec<String>,
    binary_ops: Vec<String>,
    intrinsics_1: Vec<String>,
    intrinsics_2: Vec<String>,
    special_methods: Vec<String>,
    common_constants: Vec<String>,
}

#[derive(Deserialize)]
struct Opcode {
    name: String,
    number: u8,
    caches: u8,
    has_arg: bool,
    /// The lists of `dis` that contain it: `hasconst`, `hasjrel` …
    groups: BTreeSet<String>,
    /// Not jumping, jumping.
    effects: [Effect; 2],
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
struct Effect {
    base: i32,
    terms: Vec<Term>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
enum Term {
    Equals { value: u32, scale: i32 },
    Bits { shift: u8, mask: u32, scale: i32 },
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let directory = crate::workspace()?.join("crates/bytecode/src/opcode");
    let mut names = BTreeSet::new();
    let mut stale = Vec::new();
    let mut missing = 0;
    for minor in interpreters::MINORS {
        let path = directory.join(format!("v3_{minor}.rs"));
        let Some(interpreter) = interpreters::find(minor) else {
            println!("3.{minor}: no interpreter found; its table is kept as it is");
            names.extend(committed_names(&path)?);
            missing += 1;
            continue;
        };
        let mut facts: Facts =
            serde_json::from_str(&interpreter.run(include_str!("opcodes/facts.py"))?)
                .context("facts.py printed something unexpected")?;
        names.extend(
            facts
                .opcodes
                .iter()
                .map(|opcode| render::camel_case(&opcode.name)),
        );
        update(
            &path,
            &render::version(&mut facts)?,
            options.check,
            &mut stale,
        )?;
        println!("{}: {} opcodes", facts.version, facts.opcodes.len());
    }
    let names = names.into_iter().collect::<Vec<_>>();
    update(
        &directory.join("op.rs"),
        &render::names(&names),
        options.check,
        &mut stale,
    )?;
    if !stale.is_empty() {
        bail!(
            "not what the interpreters say: {}; run `cargo xtask opcodes`",
            stale.join(", ")
        );
    }
    if options.check {
        println!(
            "the tables are current{}",
            if missing == 0 {
                ""
            } else {
                " as far as could be checked"
            }
        );
    }
    Ok(())
}

/// Writes `text`, or in a check notes the file where it differs in more than the patch release named.
fn update(path: &Path, text: &str, check: bool, stale: &mut Vec<String>) -> Result<()> {
    if !check {
        return fs::write(path, text).with_context(|| format!("cannot write {}", path.display()));
    }
    let committed = fs::read_to_string(path).unwrap_or_default();
    let facts = |text: &str| -> Vec<String> {
        text.lines()
            .filter(|line| !line.starts_with("// Written by"))
            .map(str::to_owned)
            .collect()
    };
    if facts(&committed) != facts(text) {
        stale.push(path.display().to_string());
    }
    Ok(())
}

/// The names in a committed table: second column of its rows.
fn committed_names(path: &Path) -> Result<Vec<String>> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let row = |line: &str| {
        let mut words = line.split_whitespace();
        let number = words.next()?.parse::<u8>();
        number.ok().and_then(|_| words.next()).map(str::to_owned)
    };
    Ok(text.lines().filter_map(row).collect())
}
