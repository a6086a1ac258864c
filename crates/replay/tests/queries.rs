//! Questions that are answered by way of the index are answered as by looking at every step.

#[path = "../../bytecode/tests/common/example.rs"]
#[allow(dead_code, reason = "shared with the tests of another crate")]
mod example;
#[allow(dead_code, reason = "shared with other tests")]
mod files;
#[allow(dead_code, reason = "shared with other tests")]
mod world;

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

use debugop_bytecode::{InstrIdx, Op, Version};
use debugop_recording::file::index_path;
use debugop_replay::{Code, Mention, Recording, Step, Value, Watch, query};
use example::Example;
use proptest::prelude::*;
use proptest::sample::Index;
use world::World;

/// A recording of a world made by chance, in chunks of so many records.
fn recording(
    directory: &tempfile::TempDir,
    version: Version,
    seed: u64,
    chunk: u64,
    switches: u64,
) -> Arc<Recording> {
    let examples = example::examples();
    let of = examples.iter().filter(|example| example.version == version);
    let views: Vec<_> = of.map(Example::view).collect();
    let codes = world::codes(&views);
    let mut world = World::new(Arc::clone(&codes), seed, chunk, false);
    world.raises = 60;
    world.calls = 20;
    world.switches = switches;
    let world = world.run(4000);
    assert!(world.chunks.len() > 3, "{} chunks", world.chunks.len());
    let path = directory.path().join(format!("{version}-{seed}.debugop"));
    files::write(&path, version, &codes, &world.chunks);
    Arc::new(Recording::open(&path).expect("a recording"))
}

fn op(code: &Code, at: InstrIdx) -> Op {
    let instruction = code.analysis().get(at);
    instruction.opcode.info(code.version()).expect("defined").op
}

/// What every step tells, looked at one by one.
#[derive(Default)]
struct Plain {
    /// By line, the steps that came to it.
    hits: HashMap<Option<i32>, Vec<u64>>,
    /// Of each frame its steps.
    frames: HashMap<u64, Vec<Step>>,
    /// Of each exception: where it was raised, its handlers, how many frames it left.
    exceptions: Vec<(Value, Option<u64>, Vec<u64>, u64)>,
    steps: Vec<Step>,
}

impl Plain {
    fn of(recording: &Arc<Recording>) -> Self {
        let mut plain = Self::default();
        let mut cursor = recording.cursor();
        loop {
            let step = cursor.next().expect("it fits");
            let mut arrived: Vec<_> = cursor
                .unwound()
                .iter()
                .map(|unwound| (unwound.exception, unwound.frame.0, None))
                .collect();
            let code =
                step.map(|step| Arc::clone(recording.codes().get(step.code).expect("known")));
            if let (Some(step), Some(code)) = (step, &code)
                && op(code, step.at) == Op::PushExcInfo
            {
                let frame = cursor.state().and_then(|state| state.frame());
                let value = frame.and_then(|frame| frame.stack().last()).expect("one");
                arrived.push((value, step.frame.0, Some(step.number)));
            }
            for (value, frame, handler) in arrived {
                let known = plain.exceptions.iter().position(|known| known.0 == value);
                let known = known.unwrap_or_else(|| {
                    let before = plain.frames.get(&frame).and_then(|steps| steps.last());
                    let before = before.map(|before| before.number);
                    plain.exceptions.push((value, before, Vec::new(), 0));
                    plain.exceptions.len() - 1
                });
                match handler {
                    Some(step) => plain.exceptions[known].2.push(step),
                    None => plain.exceptions[known].3 += 1,
                }
            }
            let (Some(step), Some(code)) = (step, code) else {
                return plain;
            };
            let steps = plain.frames.entry(step.frame.0).or_default();
            let comes = steps.last().is_none_or(|before| {
                code.line(before.at) != code.line(step.at) || step.at < before.at
            });
            if comes {
                let hits = plain.hits.entry(code.line(step.at)).or_default();
                hits.push(step.number);
            }
            steps.push(step);
            plain.steps.push(step);
        }
    }
}

fn check(recording: &Arc<Recording>) {
    let plain = Plain::of(recording);
    let count = plain.steps.len() as u64;
    assert_eq!(recording.len().expect("it fits"), count);
    check_positions(recording, &plain.steps);
    check_before(recording, &plain);
    let lines: BTreeSet<Option<i32>> = plain.hits.keys().copied().collect();
    let firsts = recording.firsts().expect("it fits");
    let middle = [firsts[1], firsts[1] + 1, firsts[2] - 1, count / 2];
    for line in lines.into_iter().flatten() {
        let expected = &plain.hits[&Some(line)];
        let found = query::hits(recording, "", line, 0, u64::MAX).expect("it fits");
        let found: Vec<u64> = found.iter().map(|step| step.number).collect();
        assert_eq!(&found, expected, "line {line}");
        let total = query::hit_count(recording, "", line).expect("it fits");
        assert_eq!(total, expected.len() as u64, "line {line}");
        for from in middle {
            let found = query::hits(recording, "", line, from, from + 100).expect("it fits");
            let found: Vec<u64> = found.iter().map(|step| step.number).collect();
            let within = |step: &&u64| (from..from + 100).contains(*step);
            let expected: Vec<u64> = expected.iter().filter(within).copied().collect();
            assert_eq!(found, expected, "line {line} from {from}");
            let last = query::last_hit(recording, &[("", line)], from).expect("it fits");
            let before = plain.hits[&Some(line)].iter().rev();
            let before = before.copied().find(|step| *step < from);
            assert_eq!(
                last.map(|step| step.number),
                before,
                "line {line} before {from}"
            );
        }
    }
    let found = query::exceptions(recording, 0, u64::MAX).expect("it fits");
    let found: Vec<_> = found
        .iter()
        .map(|one| (one.step, one.handlers.clone(), one.unwound))
        .collect();
    let expected: Vec<_> = plain
        .exceptions
        .iter()
        .map(|(_, step, handlers, unwound)| (*step, handlers.clone(), *unwound))
        .collect();
    assert_eq!(found, expected, "exceptions");
    let index = recording.index().expect("it fits");
    for (chunk, range) in firsts.windows(2).enumerate() {
        let steps = &plain.steps[range[0] as usize..range[1] as usize];
        let mut executed: HashMap<(u32, u32), u64> = HashMap::new();
        for step in steps {
            *executed.entry((step.code, step.at.0)).or_default() += 1;
            assert!(index.has_frame(chunk, step.frame), "{step:?}");
        }
        let mut found = HashMap::new();
        for code in index.codes(chunk) {
            for (at, count) in index.executed(chunk, code).expect("listed").steps() {
                found.insert((code, at.0), count);
            }
        }
        assert_eq!(found, executed, "chunk {chunk}");
        let threads: BTreeSet<u32> = steps.iter().map(|step| step.thread.0).collect();
        let listed: BTreeSet<u32> = index.threads(chunk).into_iter().collect();
        assert_eq!(threads, listed, "chunk {chunk}");
    }
    check_steps(recording, &plain);
    check_writes(recording, &plain);
}

/// The steps of some opcodes and of each thread.
fn check_steps(recording: &Arc<Recording>, plain: &Plain) {
    let code = |step: &Step| recording.codes().get(step.code).expect("known");
    let found = |filter: &query::Filter| {
        let mut found = Vec::new();
        query::steps(recording, filter, 0, u64::MAX, |step| {
            found.push(*step);
            ControlFlow::<()>::Continue(())
        })
        .expect("it fits");
        found
    };
    let opcode = |step: &Step| {
        let code = code(step);
        code.analysis().get(step.at).opcode.name(code.version())
    };
    let opcodes: BTreeSet<&str> = plain.steps.iter().map(opcode).collect();
    for name in opcodes.into_iter().step_by(16) {
        let filter = query::Filter {
            opcode: Some(name.to_owned()),
            ..query::Filter::default()
        };
        let expected = plain.steps.iter().filter(|step| opcode(step) == name);
        let expected: Vec<Step> = expected.copied().collect();
        assert_eq!(found(&filter), expected, "{name}");
    }
    let threads: BTreeSet<u32> = plain.steps.iter().map(|step| step.thread.0).collect();
    for thread in threads {
        let filter = query::Filter {
            thread: Some(debugop_recording::stream::ThreadNumber(thread)),
            ..query::Filter::default()
        };
        let expected = plain.steps.iter().filter(|step| step.thread.0 == thread);
        let expected: Vec<Step> = expected.copied().collect();
        assert_eq!(found(&filter), expected, "thread {thread}");
    }
}

/// Steps without values are the steps with them, in both directions, from anywhere on.
fn check_positions(recording: &Arc<Recording>, steps: &[Step]) {
    let count = steps.len();
    let firsts = recording.firsts().expect("it fits");
    for from in [0, firsts[1] as usize, count / 2, count + 5] {
        let mut positions = recording.positions(from as u64).expect("it fits");
        let next = || positions.next().expect("it fits");
        let found: Vec<Step> = std::iter::from_fn(next).collect();
        assert_eq!(found, steps[from.min(count)..], "from {from}");
        let mut backwards = recording.backwards(from as u64).expect("it fits");
        let next = || backwards.next().expect("it fits");
        let mut found: Vec<Step> = std::iter::from_fn(next).collect();
        found.reverse();
        assert_eq!(found, steps[..from.min(count)], "before {from}");
    }
}

/// Before the first step of each chunk one can stand, too. On the way there the states of chunks become known, from which what is asked later is answered.
fn check_before(recording: &Arc<Recording>, plain: &Plain) {
    let firsts = recording.firsts().expect("it fits");
    let mut cursor = recording.cursor();
    for range in firsts.windows(2).filter(|range| range[0] < range[1]) {
        let first = range[0];
        let mut plainly = recording.cursor();
        if let Some(before) = first.checked_sub(1) {
            plainly.seek(before).expect("it is there");
        }
        let expected = plainly.next().expect("it fits");
        assert_eq!(expected, Some(plain.steps[first as usize]));
        let mut watch = Watch::default();
        for code in recording.codes().iter() {
            let all = 0..code.analysis().instructions().len() as u32;
            watch.add(code.data().number, all.map(InstrIdx));
        }
        cursor.seek_before(first).expect("it fits");
        let found = cursor.next_watched(&mut watch, u64::MAX);
        assert_eq!(found.expect("it fits"), expected, "from {first} on");
        assert_eq!(cursor.unwound(), plainly.unwound(), "before {first}");
        cursor.seek(range[1] - 1).expect("it is there");
        cursor.seek_before(range[1] - 1).expect("it is there");
    }
    assert!(cursor.seek_before(plain.steps.len() as u64).is_err());
}

/// The writes of local variables: each place that the steps of the frame show.
fn check_writes(recording: &Arc<Recording>, plain: &Plain) {
    let index = recording.index().expect("it fits");
    assert_eq!(
        index.mentions(0, debugop_recording::stream::ObjectId(1 << 60)),
        Mention::No
    );
    let mut frames: Vec<_> = plain.frames.iter().collect();
    frames.sort_by_key(|(_, steps)| std::cmp::Reverse(steps.len()));
    for (_, steps) in frames.into_iter().take(20) {
        let code = recording.codes().get(steps[0].code).expect("known");
        for slot in 0..code.locals().slots.min(4) {
            let place = query::Place::Local(steps[0].frame, slot);
            let stores = |step: &&Step| {
                let instruction = code.analysis().get(step.at);
                let (opcode, arg) = (instruction.opcode, instruction.arg);
                let effect = debugop_bytecode::effect(code.version(), opcode, arg, false);
                effect.is_some_and(|effect| effect.writes.iter().any(|write| write.0 == slot))
            };
            let expected: Vec<u64> = steps
                .iter()
                .filter(stores)
                .map(|step| step.number)
                .collect();
            let found = query::writes(recording, &place, 0, u64::MAX).expect("it fits");
            let bound = found
                .iter()
                .filter(|write| write.how != query::How::Argument);
            let bound: Vec<u64> = bound.map(|write| write.step).collect();
            assert_eq!(bound, expected, "{place}");
            for before in [steps[steps.len() / 2].number, u64::MAX] {
                let last = query::last_write(recording, &place, before).expect("it fits");
                let of_all = found.iter().rev().find(|write| write.step < before);
                assert_eq!(last.as_ref(), of_all, "{place} before {before}");
            }
        }
    }
}

#[test]
fn as_by_looking_at_every_step() {
    let directory = tempfile::tempdir().expect("a directory");
    for version in Version::ALL {
        for seed in [4711, 815] {
            let one = recording(&directory, version, seed, 100, u64::MAX);
            check(&one);
            check(&recording(&directory, version, seed + 1, 70, 20));
        }
    }
}

#[test]
fn an_index_that_is_not_of_the_recording_is_made_anew() {
    let directory = tempfile::tempdir().expect("a directory");
    let one = recording(&directory, Version::V3_13, 5, 100, u64::MAX);
    let other = recording(&directory, Version::V3_13, 8, 100, u64::MAX);
    let (count, others) = (one.len().expect("it fits"), other.len().expect("it fits"));
    let path = |recording: &Recording| recording.reader().path().to_owned();
    let again = |recording: &Recording| Recording::open(&path(recording)).expect("a recording");
    assert_eq!(
        again(&one).reader().index().as_deref(),
        Some(one.index().expect("kept").bytes())
    );
    std::fs::copy(index_path(&path(&other)), index_path(&path(&one))).expect("copied");
    assert_eq!(again(&one).reader().index(), None, "another recording's");
    assert_eq!(again(&one).len().expect("it fits"), count);
    assert_ne!(count, others);
    let whole = std::fs::read(index_path(&path(&one))).expect("kept");
    for at in (0..whole.len()).step_by(7) {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        std::fs::write(index_path(&path(&one)), &damaged).expect("written");
        assert_eq!(
            again(&one).reader().index(),
            None,
            "byte {at} is another one"
        );
        std::fs::write(index_path(&path(&one)), &whole[..at]).expect("written");
        assert_eq!(again(&one).reader().index(), None, "cut off at {at}");
    }
    assert_eq!(again(&one).len().expect("it fits"), count);
}

/// Steps without values are the steps with them as far as both can be gone through.
fn go_without_values(recording: &Arc<Recording>) {
    let mut cursor = recording.cursor();
    let mut positions = recording.positions(0).expect("not asked for the index");
    while let (Ok(with), Ok(without)) = (cursor.next(), positions.next()) {
        assert_eq!(with, without);
        if with.is_none() {
            break;
        }
    }
    if let Ok(mut backwards) = recording.backwards(u64::MAX) {
        while matches!(backwards.next(), Ok(Some(_))) {}
    }
}

/// Asks everything; what it says does not matter.
fn ask(recording: &Arc<Recording>) {
    go_without_values(recording);
    let Ok(count) = recording.len() else { return };
    let _ = query::hits(recording, "", 3, 0, u64::MAX);
    let _ = query::hit_count(recording, "", 3);
    let _ = query::last_hit(recording, &[("", 2), ("", 5)], count / 2);
    let _ = query::calls(recording, "");
    let _ = query::exceptions(recording, 0, u64::MAX);
    let filter = query::Filter {
        opcode: Some("LOAD_CONST".to_owned()),
        time: Some(0..5),
        ..query::Filter::default()
    };
    let _ = query::steps(recording, &filter, 0, u64::MAX, |_| {
        ControlFlow::<()>::Continue(())
    });
    let mut cursor = recording.cursor();
    for step in [0, count / 3, count.saturating_sub(1)] {
        let Ok(at) = cursor.seek(step) else { continue };
        for slot in 0..3 {
            let place = query::Place::Local(at.frame, slot);
            let _ = query::writes(recording, &place, 0, u64::MAX);
            let _ = query::last_write(recording, &place, step);
            let _ = query::origins(recording, step, at.frame, query::Slot::Local(slot), 3);
            let _ = query::origins(recording, step, at.frame, query::Slot::Stack(slot), 3);
        }
        for id in [1, 7, u64::MAX] {
            let place = query::Place::Cell(debugop_recording::stream::ObjectId(id));
            let _ = query::writes(recording, &place, 0, u64::MAX);
        }
    }
}

/// Bytes with others in some places, and an end somewhere.
fn damaged(bytes: &[u8], changes: &[(Index, u8)], cut: Option<Index>) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (at, byte) in changes {
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
    }
    if let Some(cut) = cut {
        bytes.truncate(cut.index(bytes.len() + 1));
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn damaged_recordings_and_indices_are_errors_or_answers(
        version in prop::sample::select(&Version::ALL[..]),
        seed in 1..u64::MAX,
        which in any::<Index>(),
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 1..6),
        cut in any::<Option<Index>>(),
        index_too in any::<bool>(),
    ) {
        let directory = tempfile::tempdir().expect("a directory");
        let examples = example::examples();
        let of = examples.iter().filter(|example| example.version == version);
        let views: Vec<_> = of.map(Example::view).collect();
        let codes = world::codes(&views);
        let mut world = World::new(Arc::clone(&codes), seed, 60, false);
        world.switches = 30;
        let mut chunks = world.run(800).chunks;
        let path = directory.path().join("damaged.debugop");
        if index_too {
            files::write(&path, version, &codes, &chunks);
            let whole = Recording::open(&path).expect("a recording");
            let bytes = whole.index().expect("it fits").bytes().to_vec();
            let bytes = damaged(&bytes, &changes, cut);
            whole.reader().keep_index(&bytes).expect("kept");
        } else {
            let which = which.index(chunks.len());
            chunks[which] = damaged(&chunks[which], &changes, cut);
            files::write(&path, version, &codes, &chunks);
        }
        if let Ok(recording) = Recording::open(&path) {
            ask(&Arc::new(recording));
        }
    }
}
