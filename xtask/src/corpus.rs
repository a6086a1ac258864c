//! `cargo xtask corpus`: every code object of an interpreter's standard library, for `crates/bytecode/tests/corpus.rs`.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, IsTerminal, Write, stdout};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::interpreters::{self, Interpreter};

/// Processes that compile and disassemble at the same time.
const WORKERS: usize = 2;

const DUMP: &str = include_str!("corpus/dump.py");
const ARGUMENTS: &str = include_str!("corpus/arguments.py");
const COUNTS: &str = include_str!("corpus/counts.c");

/// Dump the code objects of the standard libraries, tests included, and run the corpus tests over them.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only this version, such as 3.14.
    #[arg(long, value_parser = interpreters::parse_minor)]
    version: Option<u8>,
    /// Dump only, run no tests.
    #[arg(long)]
    no_test: bool,
}

/// `3.14.json`: what a dump is made of. Read by the corpus tests too.
#[derive(Serialize, Deserialize)]
pub(crate) struct Summary {
    /// `sys.version`, and what the dump was written with.
    key: String,
    version: String,
    /// The dump, in parts.
    parts: Vec<String>,
    files: usize,
    /// Files that do not compile, with the error.
    failed: Vec<(String, String)>,
    codes: usize,
    instructions: usize,
}

/// A line that `dump.py` prints; the last one has everything.
#[derive(Deserialize)]
struct Progress {
    done: usize,
    of: usize,
    failed: Option<Vec<(String, String)>>,
    #[serde(default)]
    codes: usize,
    #[serde(default)]
    instructions: usize,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let directory = directory()?;
    for interpreter in interpreters::find_all(options.version)? {
        let summary = prepare(&directory, &interpreter)?;
        println!(
            "3.{}: {} files, {} do not compile, {} code objects, {} instructions",
            interpreter.minor,
            summary.files,
            summary.failed.len(),
            summary.codes,
            summary.instructions
        );
        if !directory
            .join(format!("3.{}.counts", interpreter.minor))
            .exists()
        {
            println!("    no headers with opcode metadata: operand counts are not compared");
        }
        for (file, error) in &summary.failed {
            println!("    not compiled: {file}: {error}");
        }
    }
    if options.no_test {
        return Ok(());
    }
    let mut test = Command::new(env!("CARGO"));
    test.args([
        "test",
        "--release",
        "--package",
        "debugop-bytecode",
        "--test",
        "corpus",
        "--",
    ]);
    test.args(["--nocapture", "--test-threads", "2"]);
    if let Some(minor) = options.version {
        test.arg(format!("v3_{minor}"));
    }
    let status = test
        .env("DEBUGOP_CORPUS", &directory)
        .status()
        .context("cannot run cargo test")?;
    ensure!(status.success(), "the corpus tests failed");
    Ok(())
}

/// Where dumps are kept: `corpus` in cargo's target directory.
pub(crate) fn directory() -> Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.map_or_else(|| crate::workspace().map(|root| root.join("target")), Ok)?;
    let directory = std::path::absolute(target.join("corpus"))?;
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    Ok(directory)
}

/// Makes sure that the dump of one interpreter is there and current.
pub(crate) fn prepare(directory: &Path, interpreter: &Interpreter) -> Result<Summary> {
    let name = format!("3.{}", interpreter.minor);
    let version = interpreter
        .run("import sys; print(sys.version)")?
        .trim()
        .to_owned();
    let mut hasher = DefaultHasher::new();
    DUMP.hash(&mut hasher);
    let key = format!("{version}, dumped by {:016x}", hasher.finish());
    let summary_path = directory.join(format!("{name}.json"));
    let known = fs::read(&summary_path).ok();
    let known: Option<Summary> = known.and_then(|text| serde_json::from_slice(&text).ok());
    let summary = match known {
        Some(summary) if summary.key == key => summary,
        _ => {
            // Without its summary a half-written dump is no dump.
            if summary_path.exists() {
                fs::remove_file(&summary_path)?;
            }
            let summary = dump(directory, interpreter, &name, version, key)?;
            fs::write(&summary_path, serde_json::to_vec_pretty(&summary)?)?;
            summary
        }
    };
    fs::write(
        directory.join(format!("{name}.arguments.json")),
        interpreter.run(ARGUMENTS)?,
    )?;
    if let Some(counts) = counts(directory, interpreter)? {
        fs::write(directory.join(format!("{name}.counts")), counts)?;
    }
    Ok(summary)
}

fn dump(
    directory: &Path,
    interpreter: &Interpreter,
    name: &str,
    version: String,
    key: String,
) -> Result<Summary> {
    let parts: Vec<String> = (0..WORKERS)
        .map(|worker| format!("{name}.{worker}.bin"))
        .collect();
    let (sender, receiver) = mpsc::channel();
    let mut children: Vec<Child> = Vec::new();
    for (worker, part) in parts.iter().enumerate() {
        let mut child = Command::new(&interpreter.path)
            .args(["-I", "-c", DUMP])
            .arg(directory.join(part))
            .args([worker.to_string(), WORKERS.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", interpreter.path.display()))?;
        let output = child.stdout.take().context("the dump's output is piped")?;
        let sender = sender.clone();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send((worker, line)).is_err() {
                    return;
                }
            }
        });
        children.push(child);
    }
    drop(sender);

    let mut last: Vec<Option<Progress>> = (0..WORKERS).map(|_| None).collect();
    for (worker, line) in receiver {
        last[worker] =
            Some(serde_json::from_str(&line).context("dump.py printed something unexpected")?);
        show_progress(name, last.iter().flatten())?;
    }
    for mut child in children {
        let status = child.wait()?;
        ensure!(status.success(), "the dump of {name} failed: {status}");
    }
    let mut summary = Summary {
        key,
        version,
        parts,
        files: 0,
        failed: Vec::new(),
        codes: 0,
        instructions: 0,
    };
    for progress in last {
        let Some(Progress {
            of,
            failed: Some(failed),
            codes,
            instructions,
            ..
        }) = progress
        else {
            bail!("the dump of {name} ended early");
        };
        summary.files += of;
        summary.failed.extend(failed);
        summary.codes += codes;
        summary.instructions += instructions;
    }
    Ok(summary)
}

fn show_progress<'a>(name: &str, workers: impl Iterator<Item = &'a Progress>) -> Result<()> {
    let (done, of) = workers.fold((0, 0), |(done, of), worker| {
        (done + worker.done, of + worker.of)
    });
    let mut out = stdout();
    if out.is_terminal() {
        write!(out, "\r{name}: {done} of {of} files ")?;
        if done == of {
            write!(out, "\r\x1b[K")?;
        }
        out.flush()?;
    }
    Ok(())
}

/// What the interpreter's headers say about operand counts; `None` without headers or before 3.13.
fn counts(directory: &Path, interpreter: &Interpreter) -> Result<Option<Vec<u8>>> {
    let include = interpreter.run("import sysconfig; print(sysconfig.get_path('include'))")?;
    let include = Path::new(include.trim());
    if !include.join("internal/pycore_opcode_metadata.h").is_file() {
        return Ok(None);
    }
    let source = directory.join("counts.c");
    let program = directory.join(format!("counts-3.{}", interpreter.minor));
    fs::write(&source, COUNTS)?;
    let compiled = Command::new("cc")
        .arg("-w")
        .arg("-I")
        .arg(include)
        .arg("-I")
        .arg(include.join("internal"))
        .arg(&source)
        .arg("-o")
        .arg(&program)
        .output()
        .context("cannot run cc")?;
    ensure!(
        compiled.status.success(),
        "cc: {}",
        String::from_utf8_lossy(&compiled.stderr)
    );
    let output = Command::new(&program).output()?;
    ensure!(
        output.status.success(),
        "{} failed: {}",
        program.display(),
        output.status
    );
    Ok(Some(output.stdout))
}
