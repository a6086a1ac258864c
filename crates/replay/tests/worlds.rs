//! Replay rebuilds what worlds made by chance have been through.

#[path = "../../bytecode/tests/common/mod.rs"]
mod common;
mod world;

use std::collections::VecDeque;
use std::sync::Arc;

use common::example::examples;
use common::function::{Function, statements};
use debugop_bytecode::plan::LAST_LOOKING_AT_COMMON_VERSION;
use debugop_bytecode::{CodeView, PLAN_VERSION, Version};
use debugop_recording::packed::Coding;
use debugop_recording::stream;
use debugop_replay::{Chunk, Codes, Machine, State, Value, packed};
use proptest::prelude::*;
use world::{Seen, World, codes, codes_of};

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
        Value::None => stream::Value::None,
        Value::Bool(bool) => stream::Value::Bool(bool),
        Value::Int(int) => stream::Value::Int(int),
        Value::Tagged(int) => stream::Value::Tagged(int),
        Value::Float(bits) => stream::Value::Float(bits),
        // As the world writes constants.
        Value::Constant(_, index) => stream::Value::Float(index.into()),
        other => panic!("{other:?}"),
    }
}

fn check(views: &[CodeView<'_>], seed: u64, chunk: u64, steps: u64, switches: u64) {
    check_replay(&codes(views), seed, chunk, steps, switches);
}

/// What a machine shows of a chunk at each step.
fn shown(codes: &Arc<Codes>, chunk: Chunk, first: u64) -> Vec<Vec<Seen>> {
    let mut machine = Machine::new(Arc::clone(codes), Arc::new(chunk), first).expect("as before");
    let mut shown = Vec::new();
    while machine.next().expect("as before").is_some() {
        shown.push(seen(machine.state()));
    }
    shown
}

/// A packed chunk says what it said before.
fn check_packed(codes: &Arc<Codes>, bytes: &[u8]) {
    let chunk = Chunk::decode(0, bytes, codes.captures()).expect("a chunk");
    let expected = shown(codes, chunk, 0);
    for coding in [Coding::Four, Coding::Five, Coding::Six] {
        let packed = packed::pack_as(coding, codes, bytes).expect("it is packed");
        let again = packed::unpack(coding, codes, 0, &packed, bytes.len());
        assert_eq!(shown(codes, again.expect("it is unpacked"), 0), expected);
    }
}

fn check_replay(codes: &Arc<Codes>, seed: u64, chunk: u64, steps: u64, switches: u64) {
    let mut world = World::new(Arc::clone(codes), seed, chunk, true);
    world.switches = switches;
    let world = world.run(steps);
    // The order is that of the records, so only each thread's own is the same.
    let mut expected: Vec<VecDeque<&Vec<Seen>>> = vec![VecDeque::new(); 3];
    for (thread, seen) in &world.steps {
        expected[*thread as usize].push_back(seen);
    }
    let mut number = 0;
    let mut counted = 0;
    for (index, bytes) in world.chunks.iter().enumerate() {
        // One in eight: it takes as long as everything else.
        if (seed ^ index as u64).is_multiple_of(8) {
            check_packed(codes, bytes);
        }
        let mut chunk = Chunk::decode(index as u64, bytes, codes.captures()).expect("a chunk");
        if let Some(next) = world.chunks.get(index + 1) {
            chunk = chunk.followed_by(next).expect("a chunk");
        }
        let chunk = Arc::new(chunk);
        let mut machine = Machine::new(Arc::clone(codes), Arc::clone(&chunk), number)
            .unwrap_or_else(|error| panic!("{error}"));
        loop {
            let step = machine
                .next()
                .unwrap_or_else(|error| panic!("step {number}: {error}"));
            let Some(step) = step else { break };
            assert_eq!(step.number, number);
            let expected = expected[step.thread.0 as usize].pop_front();
            let found = seen(machine.state());
            let expected = expected.expect("there was such a step");
            if found != *expected {
                panic!("step {number}:\n  replay {found:?}\n  it was {expected:?}");
            }
            number += 1;
        }
        let mut machine = Machine::new(Arc::clone(codes), chunk, counted).expect("as before");
        while let Some(next) = machine.skip_record().expect("as before") {
            counted = next;
        }
        assert_eq!(counted, number, "steps counted record by record");
    }
    let missing: usize = expected.iter().map(VecDeque::len).sum();
    if switches == u64::MAX {
        assert_eq!(missing, 0, "steps are missing after {number}");
    }
}

#[test]
fn what_compilers_write() {
    let examples = examples();
    for version in Version::ALL {
        let of = examples.iter().filter(|example| example.version == version);
        let views: Vec<_> = of.map(common::example::Example::view).collect();
        for seed in 1..20 {
            let switches = if seed % 2 == 0 { 20 } else { u64::MAX };
            check(&views, seed * 77_777, 1 + seed * seed, 3000, switches);
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
        switches in prop::sample::select(vec![5, 50, u64::MAX]),
    ) {
        let functions: Vec<_> = functions
            .iter()
            .map(|statements| Function::new(version, statements))
            .collect();
        let views: Vec<_> = functions.iter().map(Function::view).collect();
        check(&views, seed, chunk, 1500, switches);
    }
}

/// Recordings of all versions of plans are read.
#[test]
fn what_earlier_plans_have_recorded() {
    for version in Version::ALL {
        let examples = examples();
        let of = examples.iter().filter(|example| example.version == version);
        let views: Vec<_> = of.map(common::example::Example::view).collect();
        for plans in 1..PLAN_VERSION {
            check_replay(&codes_of(&views, plans), 12_345, 50, 3000, 20);
        }
    }
}

/// What has been packed is read by the predictions that it has been packed with: where these bytes change, files that there are can no longer be read, and
/// the format gets a new version (docs/recording-format.md, "Packed chunks").
#[test]
fn what_is_packed_is_packed_alike_for_ever() {
    let digest = |bytes: &[u8]| {
        // FNV-1a.
        let add = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        bytes.iter().fold(0xcbf2_9ce4_8422_2325, add)
    };
    let examples = examples();
    let found = |coding| {
        Version::ALL.map(|version| {
            let of = examples.iter().filter(|example| example.version == version);
            let views: Vec<_> = of.map(common::example::Example::view).collect();
            let codes = codes_of(&views, LAST_LOOKING_AT_COMMON_VERSION);
            let world = World::new(Arc::clone(&codes), 4711, 500, true).run(3000);
            let packed = world
                .chunks
                .iter()
                .map(|bytes| packed::pack_as(coding, &codes, bytes));
            let packed: Vec<_> = packed.map(|packed| packed.expect("it is packed")).collect();
            digest(&packed.concat())
        })
    };
    let of_four = [
        0x96fa_b644_0fde_7dcd,
        0xa467_6ae6_4903_0cfa,
        0x9f34_5630_833f_82bd,
        0x3b9b_3c76_7672_8e61,
        0xc840_7f44_4006_19e5,
    ];
    assert_eq!(found(Coding::Four), of_four);
    let of_five = [
        0xd200_71e5_f641_c9df,
        0xb9c8_69b0_c728_fca9,
        0xfb3d_a51f_9b40_b53f,
        0x77c4_3f2e_cd66_0413,
        0x7527_3262_5e41_2e5a,
    ];
    assert_eq!(found(Coding::Five), of_five);
    let of_six = [
        0x6d7d_fce8_b962_e6cc,
        0x8c19_6447_5cca_642a,
        0x1500_ef9c_d492_0618,
        0x244c_3939_b4bf_db2c,
        0x97ad_979e_a8fb_db07,
    ];
    let found = found(Coding::Six);
    assert_eq!(found, of_six, "found {found:#x?}");
}

/// Replays a chunk that may be anything, to its end or to what does not fit; returns the number of steps.
fn replay_anything(codes: &Arc<Codes>, bytes: &[u8], following: Option<&[u8]>) -> u64 {
    // As a packed chunk it is an error, or says something.
    for coding in [Coding::Four, Coding::Five, Coding::Six] {
        let _ = packed::unpack(coding, codes, 0, bytes, bytes.len());
    }
    if let Some(mut packed) = packed::pack(codes, bytes) {
        for index in [3, 20] {
            if let Some(byte) = packed.get_mut(index) {
                *byte ^= 0x55;
            }
            let _ = packed::unpack(Coding::Six, codes, 0, &packed, bytes.len());
        }
    }
    let Ok((mut chunk, _)) = Chunk::decode_lossy(0, bytes, codes.captures()) else {
        return 0;
    };
    if let Some(following) = following {
        match chunk.followed_by(following) {
            Ok(followed) => chunk = followed,
            Err(_) => return 0,
        }
    }
    let Ok(mut machine) = Machine::new(Arc::clone(codes), Arc::new(chunk), 0) else {
        return 0;
    };
    while let Ok(Some(_)) = machine.next() {
        let state = machine.state();
        for frame in state.threads().flat_map(|(_, thread)| thread.frames()) {
            let _: Vec<Value> = frame.locals().chain(frame.stack()).collect();
        }
    }
    machine.position()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn damaged_chunks_are_errors(
        version in prop::sample::select(&Version::ALL[..]),
        seed in any::<u64>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<Option<prop::sample::Index>>(),
        swapped in any::<bool>(),
    ) {
        let examples = examples();
        let of = examples.iter().filter(|example| example.version == version);
        let views: Vec<_> = of.map(common::example::Example::view).collect();
        let codes = codes(&views);
        let world = World::new(Arc::clone(&codes), seed, 60, false).run(400);
        for (index, chunk) in world.chunks.iter().enumerate() {
            let mut bytes = chunk.clone();
            for (at, byte) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            let next = world.chunks.get(index + 1);
            let following = next.filter(|_| swapped).unwrap_or(chunk);
            replay_anything(&codes, &bytes, Some(following));
            replay_anything(&codes, &bytes, None);
        }
    }
}
