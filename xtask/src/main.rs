//! Maintenance tasks of the debugop workspace: `cargo xtask <task>`.

#![allow(
    clippy::print_stdout,
    reason = "tasks report to the person who runs them"
)]

mod bench;
mod corpus;
mod interpreters;
mod opcodes;

use std::path::Path;

use anyhow::{Context, Result};
use clap::Parser;

/// Maintenance tasks of the debugop workspace.
#[derive(Parser)]
#[command(name = "cargo xtask")]
enum Task {
    BenchBytecode(bench::Options),
    Corpus(corpus::Options),
    Opcodes(opcodes::Options),
}

fn main() -> Result<()> {
    match Task::parse() {
        Task::BenchBytecode(options) => bench::run(&options),
        Task::Corpus(options) => corpus::run(&options),
        Task::Opcodes(options) => opcodes::run(&options),
    }
}

/// The root of the workspace.
fn workspace() -> Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask stands in the workspace")
}
