//! Inserting a probe at every site: from the bytes of a code object to the bytes of the new one.
//!
//! Throughput is original instructions per second. Small code objects stay in the processor's caches from one round to the next
//! and large ones do not; `cargo xtask bench-bytecode` compares sizes with the same memory in use.

#![allow(missing_docs, reason = "criterion's macros make public functions")]

#[path = "../tests/common/mod.rs"]
mod common;

use common::function::{Function, Statement};
use common::oracle::probe;
use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use debugop_bytecode::{Analysis, Inserted, Insertion, Unwind, Version, insert, sites};
use std::hint::black_box;
use std::time::Duration;

/// About `count` instructions of mixed code in loops, branches, handlers and calls.
fn function(version: Version, count: usize) -> Function {
    let assign = |arg| Statement::Assign { arg, padding: 0 };
    let body = vec![
        Statement::Add,
        Statement::If(vec![assign(1), Statement::Call], vec![Statement::Add]),
        Statement::For(vec![assign(300), Statement::Add, Statement::Call], false),
        Statement::Try(
            vec![Statement::Call, Statement::While(vec![Statement::Add])],
            vec![assign(2)],
        ),
    ];
    let once = Function::new(version, &body);
    let instructions = debugop_bytecode::decode(version, &once.code)
        .expect("valid")
        .len();
    // Bounded blocks: one jump over a million instructions is not what code objects look like.
    let times = count / instructions + 1;
    let statements: Vec<_> = body
        .iter()
        .cycle()
        .take(body.len() * times)
        .cloned()
        .collect();
    Function::new(version, &statements)
}

fn everywhere(function: &Function) -> Inserted {
    let view = function.view();
    let analysis = Analysis::new(&view).expect("valid");
    let sequence = probe(view.version, 300);
    let insertions: Vec<_> = sites(&analysis)
        .sites
        .iter()
        .map(|site| Insertion {
            place: site.place,
            sequence: &sequence,
            first: 0,
            branches: None,
        })
        .collect();
    insert(
        &view,
        &analysis,
        &insertions,
        Some(Unwind {
            sequence: &sequence,
        }),
    )
    .expect("allowed")
}

fn insertion(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("insert everywhere");
    group
        .sampling_mode(SamplingMode::Flat)
        .sample_size(10)
        .measurement_time(Duration::from_secs(2));
    for version in Version::ALL {
        for count in [1_000, 10_000, 100_000, 1_000_000] {
            let function = function(version, count);
            let instructions = debugop_bytecode::decode(version, &function.code)
                .expect("valid")
                .len();
            group.throughput(Throughput::Elements(instructions as u64));
            group.bench_with_input(
                BenchmarkId::new(version.to_string(), count),
                &function,
                |bencher, function| {
                    bencher.iter(|| black_box(everywhere(function)));
                },
            );
        }
    }
    group.finish();
}

criterion_group!(benches, insertion);
criterion_main!(benches);
