//! How fast code objects are analysed and probes inserted everywhere. Run by `cargo xtask bench-bytecode`.
//!
//! `speed corpus VERSION FILE…`: the code objects of these files of the dump; `speed phases VERSION`: every code object of
//! the dump, each step of probing for itself; `speed linear VERSION SIZE…`: code objects of so many instructions each, as
//! many as have [`TOTAL`] together, so that only the size differs. Prints one JSON object per line. Times are the best of
//! several rounds, CPU times but for `phases`, whose clock has to be cheap.

#![allow(clippy::print_stdout, reason = "prints its results")]

#[path = "../tests/corpus/reader.rs"]
#[allow(dead_code, reason = "shared with the corpus tests")]
mod reader;

use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use debugop_bytecode::location_table::{self, Location, LocationEntry};
use debugop_bytecode::opcode::{Op, Opcode};
use debugop_bytecode::{
    Analysis, CodeView, Inserted, Insertion, Sites, Unwind, Version, callable_depth, insert, sites,
};
use reader::Corpus;

const ROUNDS: usize = 7;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, version, files @ ..] = &arguments[..] else {
        return Err("usage: speed corpus|linear VERSION FILE…".into());
    };
    let minor = version
        .strip_prefix("3.")
        .ok_or("the version is like 3.14")?
        .parse()?;
    let version = Version::from_minor(minor).ok_or("the version is unknown")?;
    match mode.as_str() {
        "corpus" => corpus(version, files),
        "phases" => phases(version),
        "linear" => linear(version, files),
        _ => Err(format!("unknown mode {mode}").into()),
    }
}

/// A code object that owns its parts.
struct Owned {
    code: Vec<u8>,
    exceptions: Vec<u8>,
    locations: Vec<u8>,
    first_line: i32,
    stack_size: u32,
}

impl Owned {
    fn view(&self, version: Version) -> CodeView<'_> {
        CodeView {
            version,
            code: &self.code,
            exception_table: &self.exceptions,
            location_table: &self.locations,
            first_line: self.first_line,
            stack_size: self.stack_size,
        }
    }
}

fn corpus(version: Version, files: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let codes = codes(version, |file| files.iter().any(|wanted| wanted == file))?;
    let mut instructions = 0;
    let best = best_of_rounds(|| {
        instructions = 0;
        for code in &codes {
            instructions += insert_everywhere(&code.view(version))?;
        }
        Ok(())
    })?;
    println!(
        "{{\"codes\": {}, \"instructions\": {instructions}, \"seconds\": {}}}",
        codes.len(),
        best.as_secs_f64()
    );
    Ok(())
}

/// The code objects of some of the dump's files.
fn codes(
    version: Version,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<Owned>, Box<dyn std::error::Error>> {
    let corpus = Corpus::open(version).ok_or("there is no dump")?;
    let mut codes = Vec::new();
    corpus.for_each(wanted, |code| {
        codes.push(Owned {
            code: code.view.code.to_vec(),
            exceptions: code.view.exception_table.to_vec(),
            locations: code.view.location_table.to_vec(),
            first_line: code.view.first_line,
            stack_size: code.view.stack_size,
        });
    });
    Ok(codes)
}

/// What is done to a code object that gets probes, in this order.
const PHASES: [&str; 5] = ["analysis", "sites", "insertion", "callables", "freeing"];

fn phases(version: Version) -> Result<(), Box<dyn std::error::Error>> {
    let codes = codes(version, |_| true)?;
    // Of each code object for itself: something else runs in some part of every round.
    let mut best = vec![[Duration::MAX; PHASES.len()]; codes.len()];
    let mut instructions = 0;
    for _ in 0..ROUNDS {
        instructions = 0;
        for (code, best) in codes.iter().zip(&mut best) {
            let view = code.view(version);
            let mut lap = Instant::now();
            let mut phase = best.iter_mut();
            let mut end_phase = || {
                let now = Instant::now();
                if let Some(best) = phase.next() {
                    *best = (*best).min(now - std::mem::replace(&mut lap, now));
                }
            };
            let analysis = Analysis::new(&view)?;
            end_phase();
            let sites = sites(&analysis);
            end_phase();
            let inserted = everywhere(&view, &analysis, &sites)?;
            end_phase();
            let callables: Vec<_> = analysis
                .instructions()
                .iter()
                .map(|instruction| callable_depth(version, instruction))
                .collect();
            end_phase();
            instructions += analysis.instructions().len();
            std::hint::black_box((inserted, callables, sites, analysis));
            end_phase();
        }
    }
    for (number, phase) in PHASES.iter().enumerate() {
        let best: Duration = best.iter().map(|best| best[number]).sum();
        println!(
            "{{\"phase\": \"{phase}\", \"codes\": {}, \"instructions\": {instructions}, \"seconds\": {}}}",
            codes.len(),
            best.as_secs_f64()
        );
    }
    Ok(())
}

/// Instructions of all code objects of one size together.
const TOTAL: usize = 1_000_000;

fn linear(version: Version, sizes: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    for size in sizes {
        let size: usize = size.parse()?;
        let codes = (0..TOTAL / size)
            .map(|seed| synthetic(version, size, seed))
            .collect::<Result<Vec<_>, _>>()?;
        let mut instructions = 0;
        // What comes out is kept, as by a program all of whose code gets probes: every size needs the same memory.
        let best = best_of_rounds(|| {
            instructions = 0;
            let mut kept = Vec::with_capacity(codes.len());
            for code in &codes {
                let view = code.view(version);
                let analysis = Analysis::new(&view)?;
                let inserted = everywhere(&view, &analysis, &sites(&analysis))?;
                instructions += analysis.instructions().len();
                kept.push((analysis, inserted));
            }
            Ok(kept)
        })?;
        println!(
            "{{\"codes\": {}, \"instructions\": {instructions}, \"seconds\": {}}}",
            codes.len(),
            best.as_secs_f64()
        );
    }
    Ok(())
}

/// Freeing what a round returns is not measured.
fn best_of_rounds<T>(
    mut round: impl FnMut() -> Result<T, Box<dyn std::error::Error>>,
) -> Result<Duration, Box<dyn std::error::Error>> {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let started = ProcessTime::now();
        let kept = round()?;
        best = best.min(started.elapsed());
        drop(kept);
    }
    Ok(best)
}

/// Decodes, analyses, plans the sites, inserts and assembles; returns the number of original instructions.
fn insert_everywhere(view: &CodeView<'_>) -> Result<u64, Box<dyn std::error::Error>> {
    let analysis = Analysis::new(view)?;
    let sites = sites(&analysis);
    std::hint::black_box(everywhere(view, &analysis, &sites)?);
    Ok(analysis.instructions().len() as u64)
}

/// Inserts the same probe at every site.
fn everywhere(
    view: &CodeView<'_>,
    analysis: &Analysis,
    sites: &Sites,
) -> Result<Inserted, Box<dyn std::error::Error>> {
    let opcode = |op: Op| op.opcode(view.version).ok_or("every version has it");
    let sequence = [
        (opcode(Op::LoadConst)?, 0),
        (opcode(Op::UnaryInvert)?, 0),
        (opcode(Op::PopTop)?, 0),
    ];
    let insertions = sites.sites.iter().map(|site| Insertion {
        place: site.place,
        sequence: &sequence,
        first: 0,
        branches: None,
    });
    let unwind = Unwind {
        sequence: &sequence,
    };
    Ok(insert(view, analysis, insertions, Some(unwind))?)
}

/// A function body of about `size` instructions: branches of different lengths, most of which need an EXTENDED_ARG once
/// probes stand in them. Their order depends on the seed.
fn synthetic(
    version: Version,
    size: usize,
    seed: usize,
) -> Result<Owned, Box<dyn std::error::Error>> {
    let opcode = |op: Op| op.opcode(version).ok_or("every version has it");
    let branch = if version == Version::V3_11 {
        Op::PopJumpForwardIfNone
    } else {
        Op::PopJumpIfNone
    };
    let [resume, load, binary, pop, branch] = [
        opcode(Op::Resume)?,
        opcode(Op::LoadConst)?,
        opcode(Op::BinaryOp)?,
        opcode(Op::PopTop)?,
        opcode(branch)?,
    ];
    let mut code = Vec::new();
    emit(version, &mut code, resume, 0);
    let mut count = 1;
    while count + 70 < size {
        let statements = 5 + (count + seed) % 13;
        let mut body = Vec::new();
        for _ in 0..statements {
            for (opcode, arg) in [(load, 1), (load, 2), (binary, 0), (pop, 0)] {
                emit(version, &mut body, opcode, arg);
            }
        }
        emit(version, &mut code, load, 0);
        emit(version, &mut code, branch, (body.len() / 2) as u8);
        code.extend(body);
        count += 2 + statements * 4;
    }
    emit(version, &mut code, load, 0);
    emit(version, &mut code, opcode(Op::ReturnValue)?, 0);
    let units = code.len() / 2;
    let entry = |start: usize| LocationEntry {
        units: (units - start).min(8) as u8,
        location: Location {
            line: Some(1 + (start / 64) as i32),
            end_line: Some(1 + (start / 64) as i32),
            column: Some(4),
            end_column: Some(12),
        },
    };
    let entries: Vec<_> = (0..units).step_by(8).map(entry).collect();
    Ok(Owned {
        code,
        exceptions: Vec::new(),
        locations: location_table::write(&entries, 1),
        first_line: 1,
        stack_size: 4,
    })
}

fn emit(version: Version, code: &mut Vec<u8>, opcode: Opcode, arg: u8) {
    let caches = opcode.info(version).map_or(0, |info| info.caches);
    code.extend([opcode.0, arg]);
    code.resize(code.len() + 2 * usize::from(caches), 0);
}
