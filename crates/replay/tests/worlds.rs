//! Replay rebuilds what worlds made by chance have been through.

#[path = "../../bytecode/tests/common/mod.rs"]
#[allow(dead_code, reason = "shared with the tests of another crate")]
mod common;
mod world;

use std::sync::Arc;

use common::example::examples;
use common::function::{Function, statements};
use debugop_bytecode::{CodeView, Version};
use debugop_recording::stream;
use debugop_replay::{Chunk, Codes, Machine, State, Value};
use proptest::prelude::*;
use world::{Seen, World, codes};

fn seen(state: &State) -> Vec<Seen> {
    let (_, thread) = state.thread().expect("one runs");
    let frames = thread.frames().iter();
    frames
        .map(|frame| {
            (
                frame.number().0,
                frame.code().data().number,
                frame.at().0,
                frame.locals().map(back).collect(),
                frame.stack().map(back).collect(),
            )
        })
        .collect()
}

fn back(value: Value) -> stream::Value {
    match value {
        Value::Null => stream::Value::Null,
        Value::Bool(bool) => stream::Value::Bool(bool),
        Value::Int(int) => stream::Value::Int(int),
        Value::Tagged(int) => stream::Value::Tagged(int),
        Value::Float(bits) => stream::Value::Float(bits),
        // As the world writes constants.
        Value::Constant(_, index) => stream::Value::Float(index.into()),
        other => panic!("{other:?}"),
    }
}

fn check(views: &[CodeView<'_>], seed: u64, chunk: u64, steps: u64) {
    let codes = codes(views);
    let world = World::new(Arc::clone(&codes), seed, chunk, true).run(steps);
    let mut expected = world.steps.iter();
    let mut number = 0;
    let mut counted = 0;
    for (index, bytes) in (0..).zip(&world.chunks) {
        let chunk = decode(&codes, index, bytes);
        let mut machine = Machine::new(Arc::clone(&codes), Arc::clone(&chunk), number)
            .unwrap_or_else(|error| panic!("{error}"));
        loop {
            let step = machine
                .next()
                .unwrap_or_else(|error| panic!("step {number}: {error}"));
            let Some(step) = step else { break };
            let expected = expected.next().expect("there was such a step");
            assert_eq!(step.number, number);
            let found = seen(machine.state());
            if found != *expected {
                panic!("step {number}:\n  replay {found:?}\n  it was {expected:?}");
            }
            number += 1;
        }
        let mut machine = Machine::new(Arc::clone(&codes), chunk, counted).expect("as before");
        while let Some(next) = machine.skip_record().expect("as before") {
            counted = next;
        }
        assert_eq!(counted, number, "steps counted record by record");
    }
    assert_eq!(expected.count(), 0, "steps are missing after {number}");
}

fn decode(codes: &Codes, index: u64, bytes: &[u8]) -> Arc<Chunk> {
    Arc::new(Chunk::decode(index, bytes, codes.captures()).expect("a chunk"))
}

#[test]
fn what_compilers_write() {
    let examples = examples();
    for version in Version::ALL {
        let of = examples.iter().filter(|example| example.version == version);
        let views: Vec<_> = of.map(common::example::Example::view).collect();
        for seed in 1..20 {
            check(&views, seed * 77_777, 1 + seed * seed, 3000);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_the_grammar_makes(
        version in prop::sample::select(&Version::ALL[..]),
        functions in prop::collection::vec(statements(), 1..4),
        seed in any::<u64>(),
        chunk in 1u64..300,
    ) {
        let functions: Vec<_> = functions
            .iter()
            .map(|statements| Function::new(version, statements))
            .collect();
        let views: Vec<_> = functions.iter().map(Function::view).collect();
        check(&views, seed, chunk, 1500);
    }
}
