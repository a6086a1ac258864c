//! Recordings in files: any step can be gone to, in any order.

#[path = "../../bytecode/tests/common/example.rs"]
#[allow(dead_code, reason = "shared with the tests of another crate")]
mod example;
mod files;
#[allow(dead_code, reason = "shared with other tests")]
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use debugop_bytecode::Version;
use debugop_recording::file::{Packing, pack};
use debugop_replay::{Chunk, Codes, Lost, Machine, Recording, Step, packed};
use example::Example;
use files::write;
use world::World;

/// What a cursor shows of a step.
fn shown(step: Step, cursor: &debugop_replay::Cursor) -> String {
    let thread = cursor
        .state()
        .and_then(|state| state.thread())
        .expect("one runs")
        .1;
    let frames = thread.frames().iter().map(|frame| {
        let (locals, stack): (Vec<_>, Vec<_>) = (frame.locals().collect(), frame.stack().collect());
        format!("{} {:?} {locals:?} {stack:?}", frame.number().0, frame.at())
    });
    format!("{step:?} {}", frames.collect::<Vec<_>>().join("\n"))
}

#[test]
fn forwards_backwards_and_anywhere() {
    let examples = example::examples();
    for version in Version::ALL {
        let of = examples.iter().filter(|example| example.version == version);
        let views: Vec<_> = of.map(Example::view).collect();
        let codes = world::codes(&views);
        let mut world = World::new(Arc::clone(&codes), 4711, 700, false);
        world.raises = 100;
        world.switches = u64::MAX;
        let world = world.run(20_000);
        assert!(world.chunks.len() > 2);
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("run.debugop");
        write(&path, version, &codes, &world.chunks);

        let recording = Arc::new(Recording::open(&path).expect("a recording"));
        let count = recording.len().expect("it fits");
        assert_eq!(count, world.count);
        let mut cursor = recording.cursor();
        let mut all = Vec::new();
        while let Some(step) = cursor.next().expect("it fits") {
            assert_eq!(step.number, all.len() as u64);
            all.push(shown(step, &cursor));
        }
        assert_eq!(all.len() as u64, world.count);
        for number in (0..all.len() - 1).rev() {
            let step = cursor.previous().expect("it fits").expect("there is one");
            assert_eq!(shown(step, &cursor), all[number], "going back");
        }
        assert_eq!(cursor.previous().expect("it fits"), None);
        let mut other = recording.cursor();
        for turn in 0..400 {
            let number = turn * 7919 % all.len();
            let step = other.seek(number as u64).expect("there is such a step");
            assert_eq!(shown(step, &other), all[number], "going there");
            for near in 1..(turn % 4).min(number) {
                let step = other.previous().expect("it fits").expect("there is one");
                assert_eq!(shown(step, &other), all[number - near], "and back a little");
            }
        }
        assert!(other.seek(world.count).is_err());
    }
}

/// The steps of a chunk up to what does not fit, and whether there is something; `None` if it cannot be decoded.
fn followed(codes: &Arc<Codes>, chunk: &[u8]) -> Option<(Vec<Step>, bool)> {
    let chunk = Chunk::decode(0, chunk, codes.captures()).ok()?;
    let mut machine = Machine::new(Arc::clone(codes), Arc::new(chunk), 0).ok()?;
    let mut steps = Vec::new();
    loop {
        match machine.next() {
            Ok(Some(step)) => steps.push(step),
            Ok(None) => return Some((steps, false)),
            Err(_) => return Some((steps, true)),
        }
    }
}

/// A chunk with one byte changed so that it can be decoded and not followed to its end, and how many steps come before what does not fit.
fn unfollowable(codes: &Arc<Codes>, chunk: &[u8]) -> (Vec<u8>, u64) {
    let mut changed = chunk.to_vec();
    for at in chunk.len() / 2..chunk.len() {
        for flips in 1..8 {
            changed[at] = chunk[at] ^ flips;
            let (steps, _) = followed(codes, chunk).expect("it fits");
            let Some((seen, fails)) = followed(codes, &changed) else {
                continue;
            };
            if fails && steps.starts_with(&seen) {
                return (changed, seen.len() as u64);
            }
        }
        changed[at] = chunk[at];
    }
    panic!("no change of one byte does it");
}

#[test]
fn a_chunk_that_cannot_be_followed_is_a_gap() {
    let examples = example::examples();
    for version in Version::ALL {
        let of = examples.iter().filter(|example| example.version == version);
        let views: Vec<_> = of.map(Example::view).collect();
        let codes = world::codes(&views);
        let mut world = World::new(Arc::clone(&codes), 99, 500, false).run(8_000);
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("whole.debugop");
        write(&path, version, &codes, &world.chunks);
        let whole = Arc::new(Recording::open(&path).expect("a recording"));
        let places = |recording: &Arc<Recording>| {
            let mut all = Vec::new();
            let mut positions = recording.positions(0).expect("it fits");
            while let Some(step) = positions.next().expect("it fits") {
                all.push((step.thread, step.frame, step.code, step.at));
            }
            all
        };
        let mut expected = places(&whole);
        let firsts = whole.firsts().expect("it fits").to_vec();
        let broken = world.chunks.len() / 2;
        let (changed, before) = unfollowable(&codes, &world.chunks[broken]);
        world.chunks[broken] = changed;
        let gap = firsts[broken] + before;
        expected.drain(gap as usize..firsts[broken + 1] as usize);

        let path = directory.path().join("gap.debugop");
        write(&path, version, &codes, &world.chunks);
        let recording = Arc::new(Recording::open(&path).expect("a recording"));
        assert_eq!(places(&recording), expected);
        assert_eq!(recording.len().expect("it fits"), expected.len() as u64);
        let mut cursor = recording.cursor();
        let mut all = Vec::new();
        while let Some(step) = cursor.next().expect("it fits") {
            let lost = cursor.lost().iter().any(|loss| loss.step == gap);
            assert_eq!(lost, step.number == gap, "{step:?}");
            all.push(shown(step, &cursor));
        }
        assert_eq!(all.len(), expected.len());
        for number in (0..all.len() - 1).rev() {
            let step = cursor.previous().expect("it fits").expect("there is one");
            assert_eq!(shown(step, &cursor), all[number], "going back");
        }
        for turn in 0..100 {
            let number = turn * 7919 % all.len();
            let step = cursor.seek(number as u64).expect("there is such a step");
            assert_eq!(shown(step, &cursor), all[number], "going there");
        }
        let mut backwards = recording.backwards(u64::MAX).expect("it fits");
        let mut left = expected.len();
        while let Some(step) = backwards.next().expect("it fits") {
            left -= 1;
            let place = (step.thread, step.frame, step.code, step.at);
            assert_eq!(place, expected[left]);
        }
        assert_eq!(left, 0);
        let losses = recording.losses().expect("it fits");
        assert!(
            losses.iter().any(|loss| loss.step == gap
                && matches!(loss.what, Lost::Unfollowed { chunk, .. } if chunk == broken as u64)),
            "{losses:?}"
        );
        let (last, first) = (expected.len() as u64 - 1, gap.saturating_sub(1));
        assert_eq!(recording.known_from(last).expect("it fits"), gap);
        assert_eq!(recording.known_from(first).expect("it fits"), 0);
    }
}

/// A chunk is unpacked only up to the step that somebody goes to, and the rest of it when it is needed.
#[test]
fn anywhere_in_a_packed_one() {
    let examples = example::examples();
    for version in Version::ALL {
        let of = examples.iter().filter(|example| example.version == version);
        let views: Vec<_> = of.map(Example::view).collect();
        let codes = world::codes(&views);
        let mut world = World::new(Arc::clone(&codes), 815, 700, false);
        world.raises = 100;
        world.switches = u64::MAX;
        let world = world.run(3_000);
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("run.debugop");
        write(&path, version, &codes, &world.chunks);
        let recording = Arc::new(Recording::open(&path).expect("a recording"));
        let index = recording.index().expect("it fits").bytes();
        let mut cursor = recording.cursor();
        let mut all = Vec::new();
        while let Some(step) = cursor.next().expect("it fits") {
            all.push(shown(step, &cursor));
        }
        let packed_path = directory.path().join("packed.debugop");
        let done = AtomicUsize::new(0);
        let packing = Packing {
            packs: &|contents| {
                let packed = packed::pack(recording.codes(), contents);
                assert!(packed.is_some(), "a chunk that is not packed");
                packed
            },
            done: &|| {
                done.fetch_add(1, Ordering::Relaxed);
            },
        };
        pack(&path, &packed_path, Some(index), &packing).expect("it can be packed");
        assert_eq!(done.into_inner(), world.chunks.len());

        for turn in 0..40 {
            // With nothing kept of it.
            let packed = Arc::new(Recording::open(&packed_path).expect("a recording"));
            let mut cursor = packed.cursor();
            let number = turn * 7919 % all.len();
            let step = cursor.seek(number as u64).expect("there is such a step");
            assert_eq!(shown(step, &cursor), all[number], "going there");
            for near in 1..(turn % 4).min(number) {
                let step = cursor.previous().expect("it fits").expect("there is one");
                assert_eq!(
                    shown(step, &cursor),
                    all[number - near],
                    "and back a little"
                );
            }
            let far = (number + turn * turn / 2).min(all.len() - 1);
            if turn % 3 == 0 {
                let step = cursor.seek(far as u64).expect("there is such a step");
                assert_eq!(shown(step, &cursor), all[far], "and elsewhere");
            }
            let mut at = cursor.step().expect("it is at one").number as usize;
            while at < far {
                let step = cursor.next().expect("it fits").expect("there is one");
                at += 1;
                assert_eq!(shown(step, &cursor), all[at], "and on");
            }
            while at > number.saturating_sub(turn) {
                let step = cursor.previous().expect("it fits").expect("there is one");
                at -= 1;
                assert_eq!(shown(step, &cursor), all[at], "and back");
            }
        }
    }
}
