//! `cargo xtask bench-bytecode`: probes inserted everywhere, beside the PyPI library `bytecode` on the same code.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::corpus;
use crate::interpreters::{self, Interpreter};

/// Time insertion before every instruction, beside the PyPI library `bytecode`, on one core.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only this version, such as 3.14.
    #[arg(long, value_parser = interpreters::parse_minor)]
    version: Option<u8>,
    /// Take at least this many instructions of the standard library.
    #[arg(long, default_value_t = 60_000)]
    instructions: u64,
}

/// What `peer.py` prints.
#[derive(Deserialize)]
struct Peer {
    version: String,
    files: Vec<String>,
    #[serde(flatten)]
    figures: Figures,
    /// Code objects it cannot do, with the error.
    failed: BTreeMap<String, String>,
}

/// What both sides measure.
#[derive(Deserialize)]
struct Figures {
    codes: u64,
    instructions: u64,
    seconds: f64,
}

impl Figures {
    fn rate(&self) -> f64 {
        self.instructions as f64 / self.seconds
    }

    fn nanoseconds(&self) -> f64 {
        1e9 * self.seconds / self.instructions as f64
    }
}

/// What is measured of one phase.
#[derive(Deserialize)]
struct Phase {
    phase: String,
    #[serde(flatten)]
    figures: Figures,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let speed = build()?;
    let packages = install_peer()?;
    let directory = corpus::directory()?;
    println!(
        "insertion before every instruction, one core, best of several rounds: original instructions per second of CPU time\n"
    );
    println!(
        "{:<8}{:>14}{:>14}{:>16}{:>18}{:>8}",
        "CPython", "code objects", "instructions", "debugop", "bytecode (PyPI)", "ratio"
    );
    let interpreters = interpreters::find_all(options.version)?;
    for interpreter in &interpreters {
        corpus::prepare(&directory, interpreter)?;
        let peer = measure_peer(interpreter, &packages, options.instructions)?;
        let version = format!("3.{}", interpreter.minor);
        let ours: Vec<Figures> = measure(&speed, &directory, "corpus", &version, &peer.files)?;
        let [ours] = &ours[..] else {
            anyhow::bail!("one result expected")
        };
        ensure!(
            (ours.codes, ours.instructions) == (peer.figures.codes, peer.figures.instructions),
            "{version}: the two sides did not see the same code"
        );
        println!(
            "{version:<8}{:>14}{:>14}{:>16.0}{:>18.0}{:>7.0}×",
            ours.codes,
            ours.instructions,
            ours.rate(),
            peer.figures.rate(),
            ours.rate() / peer.figures.rate(),
        );
        for (name, error) in &peer.failed {
            println!("    bytecode {} failed on {name}: {error}", peer.version);
        }
    }
    print_phases(&speed, &directory, &interpreters)?;
    print_linearity(&speed, &directory, &interpreters)
}

/// Where the time goes, over the whole standard library.
fn print_phases(speed: &Path, directory: &Path, interpreters: &[Interpreter]) -> Result<()> {
    println!("\nthe whole standard library (debugop): nanoseconds an original instruction\n");
    for (row, interpreter) in interpreters.iter().enumerate() {
        let version = format!("3.{}", interpreter.minor);
        let phases: Vec<Phase> = measure(speed, directory, "phases", &version, &[])?;
        if row == 0 {
            let names: String = phases
                .iter()
                .map(|phase| format!("{:>12}", phase.phase))
                .collect();
            println!("{:<8}{:>14}{names}", "CPython", "instructions");
        }
        let times: String = phases
            .iter()
            .map(|phase| format!("{:>12.1}", phase.figures.nanoseconds()))
            .collect();
        let instructions = phases.first().map_or(0, |phase| phase.figures.instructions);
        println!("{version:<8}{instructions:>14}{times}");
    }
    Ok(())
}

/// More than is ever freed at once, in bytes.
const KEEP: &str = "100000000000";

/// The sizes of code objects that are compared, each ten times the one before.
const SIZES: [&str; 4] = ["1000", "10000", "100000", "1000000"];
/// Ten times the code may take so many times the time.
const LINEAR: f64 = 11.0;

fn print_linearity(speed: &Path, directory: &Path, interpreters: &[Interpreter]) -> Result<()> {
    println!(
        "\ncode objects of growing size, a million instructions in all, freed memory kept (debugop)\n"
    );
    println!(
        "{:<8}{:>14}{:>14}{:>14}{:>16}{:>14}",
        "CPython", "code objects", "instructions", "CPU seconds", "per second", "10x the code"
    );
    let mut worst = 0.0_f64;
    let sizes = SIZES.map(str::to_owned);
    for interpreter in interpreters {
        let version = format!("3.{}", interpreter.minor);
        let mut before: Option<Figures> = None;
        for figures in measure::<Figures>(speed, directory, "linear", &version, &sizes)? {
            let growth = before.map(|before| 10.0 * figures.nanoseconds() / before.nanoseconds());
            worst = worst.max(growth.unwrap_or(0.0));
            println!(
                "{version:<8}{:>14}{:>14}{:>14.6}{:>16.0}{:>14}",
                figures.codes,
                figures.instructions,
                figures.seconds,
                figures.rate(),
                growth.map_or(String::new(), |growth| format!("{growth:.1}x"))
            );
            before = Some(figures);
        }
    }
    let verdict = if worst <= LINEAR {
        "linear"
    } else {
        "NOT linear"
    };
    println!("\n{verdict}: 10x the code takes at most {worst:.1}x the time ({LINEAR}x allowed)");
    Ok(())
}

/// Builds `examples/speed.rs` and returns the program.
fn build() -> Result<PathBuf> {
    let output = Command::new(env!("CARGO"))
        .args([
            "build",
            "--release",
            "--package",
            "debugop-bytecode",
            "--example",
            "speed",
        ])
        .args(["--message-format", "json-render-diagnostics"])
        .output()
        .context("cannot run cargo build")?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let messages = String::from_utf8(output.stdout)?;
    let executable = messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    executable.context("cargo built no program")
}

fn measure<T: DeserializeOwned>(
    speed: &Path,
    directory: &Path,
    mode: &str,
    version: &str,
    arguments: &[String],
) -> Result<Vec<T>> {
    let output = Command::new(speed)
        .args([mode, version])
        .args(arguments)
        .env("DEBUGOP_CORPUS", directory)
        // glibc gives large blocks back when they are freed, and the next round pays for fresh pages: as much again as for
        // everything else, but only where code objects are large. Kept, all sizes are alike. Other C libraries ignore this.
        .envs(["MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"].map(|name| (name, KEEP)))
        .output()
        .with_context(|| format!("cannot run {}", speed.display()))?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let lines = String::from_utf8(output.stdout)?;
    lines
        .lines()
        .map(|line| Ok(serde_json::from_str(line)?))
        .collect()
}

/// Runs `peer.py` with the library that [`install_peer`] has put in `packages`.
fn measure_peer(interpreter: &Interpreter, packages: &Path, instructions: u64) -> Result<Peer> {
    let mut peer = Command::new(&interpreter.path);
    peer.args([
        "-c",
        include_str!("bench/peer.py"),
        &instructions.to_string(),
    ]);
    peer.env("PYTHONPATH", packages);
    serde_json::from_str(&command(&mut peer)?).context("peer.py printed something unexpected")
}

/// Installs the library, which is pure Python, into a directory of its own. The oldest interpreter that has pip
/// does it: what an old version needs besides does not harm a new one.
fn install_peer() -> Result<PathBuf> {
    let packages = corpus::directory()?.join("../bench-packages");
    if packages.join("bytecode").is_dir() {
        return Ok(packages);
    }
    let interpreters = interpreters::find_all(None)?;
    let has_pip = |interpreter: &&Interpreter| interpreter.run("import pip").is_ok();
    let installer = interpreters
        .iter()
        .find(has_pip)
        .context("no interpreter has pip")?;
    let mut pip = Command::new(&installer.path);
    pip.args(["-m", "pip", "install", "--quiet", "--target"])
        .arg(&packages)
        .arg("bytecode");
    command(&mut pip)?;
    Ok(packages)
}

fn command(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}
