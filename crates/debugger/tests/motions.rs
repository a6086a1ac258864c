//! Every motion, forwards and backwards, ends where looking at all steps one by one says; going there and back is going nowhere.

#[path = "../../bytecode/tests/common/example.rs"]
#[allow(dead_code, reason = "shared with the tests of another crate")]
mod example;
#[path = "../../replay/tests/files/mod.rs"]
#[allow(dead_code, reason = "shared with the tests of another crate")]
mod files;
#[path = "../../replay/tests/world/mod.rs"]
#[allow(dead_code, reason = "shared with the tests of another crate")]
mod world;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use debugop_bytecode::{InstrIdx, Op, Version};
use debugop_debugger::{Breaks, Event, Motion, Search, Stop};
use debugop_replay::{Code, Recording, Step};
use example::Example;
use proptest::prelude::*;
use proptest::sample::Index;
use world::World;

const MOTIONS: [Motion; 5] = [
    Motion::Instruction,
    Motion::InstructionOver,
    Motion::Line,
    Motion::LineOver,
    Motion::Out,
];

/// A recording of a world made by chance.
fn recording(
    directory: &tempfile::TempDir,
    version: Version,
    seed: u64,
    switches: u64,
) -> Arc<Recording> {
    let examples = example::examples();
    let of = examples.iter().filter(|example| example.version == version);
    let views: Vec<_> = of.map(Example::view).collect();
    let codes = world::codes(&views);
    let mut world = World::new(Arc::clone(&codes), seed, 500, false);
    world.raises = 60;
    world.calls = 20;
    world.switches = switches;
    let world = world.run(3000);
    let path = directory.path().join(format!("{version}-{seed}.debugop"));
    files::write(&path, version, &codes, &world.chunks);
    Arc::new(Recording::open(&path).expect("a recording"))
}

/// A step, and what there is to know of it.
struct Row {
    step: Step,
    event: Event,
    returns: bool,
    /// The frames of its thread below its own.
    below: HashSet<u64>,
    /// Frames that an exception has left right before.
    left: HashSet<u64>,
}

fn operation(code: &Code, at: InstrIdx) -> (Op, u32) {
    let instruction = code.analysis().get(at);
    let info = instruction.opcode.info(code.version()).expect("defined");
    (info.op, instruction.arg)
}

fn begins(code: &Code, at: InstrIdx) -> bool {
    matches!(operation(code, at), (Op::Resume, arg) if arg & 3 == 0)
}

fn returns(code: &Code, at: InstrIdx) -> bool {
    matches!(operation(code, at).0, Op::ReturnValue | Op::ReturnConst)
}

fn event(code: &Code, before: Option<InstrIdx>, at: InstrIdx) -> Event {
    let comes = before.is_some_and(|before| {
        at < before || code.line(before) != code.line(at) || begins(code, before)
    });
    match operation(code, at).0 {
        _ if begins(code, at) => Event::Call,
        _ if code.line(at).is_some() && comes => Event::Line,
        Op::ReturnValue | Op::ReturnConst => Event::Return,
        Op::YieldValue => Event::Yield,
        _ => Event::Instruction,
    }
}

fn rows(recording: &Arc<Recording>) -> Vec<Row> {
    let mut cursor = recording.cursor();
    let mut rows = Vec::new();
    let mut last: HashMap<u64, InstrIdx> = HashMap::new();
    while let Some(step) = cursor.next().expect("it fits") {
        let left = cursor.unwound().iter();
        let left = left.map(|unwound| unwound.frame.0).collect();
        let thread = cursor.state().and_then(|state| state.thread());
        let frames = thread.expect("one runs").1.frames();
        let (own, below) = frames.split_last().expect("it has a frame");
        let before = last.insert(step.frame.0, step.at);
        rows.push(Row {
            step,
            event: event(own.code(), before, step.at),
            returns: returns(own.code(), step.at),
            below: below.iter().map(|frame| frame.number().0).collect(),
            left,
        });
    }
    rows
}

/// Where a motion ends, by looking at every step.
fn expected(
    recording: &Recording,
    rows: &[Row],
    origin: usize,
    motion: Motion,
    backwards: bool,
) -> Option<u64> {
    let from = &rows[origin];
    let own = from.step.frame;
    let code = recording.codes().get(from.step.code).expect("known");
    let suspends = code.data().flags & (0x20 | 0x80 | 0x200) != 0;
    let mut over = match backwards {
        true => begins(code, from.step.at),
        false => from.returns || !suspends,
    };
    let later: Vec<&Row> = match backwards {
        true => rows[..origin].iter().rev().collect(),
        false => rows[origin + 1..].iter().collect(),
    };
    // A way backwards looks at what has left a frame when it comes to the step before.
    for row in later {
        if !backwards {
            over |= row.left.contains(&own.0);
        }
        if row.step.thread != from.step.thread {
            continue;
        }
        let is_own = row.step.frame == own;
        let is_below = from.below.contains(&row.step.frame.0);
        let returned = over && is_below;
        let comes = row.event == Event::Line || (backwards && row.event == Event::Call);
        let reached = match (motion, backwards) {
            (Motion::Instruction, _) => true,
            (Motion::InstructionOver, _) => is_own || returned,
            (Motion::Line, true) => comes,
            (Motion::Line, false) => row.event != Event::Instruction,
            (Motion::LineOver, true) => comes && (is_own || returned),
            (Motion::LineOver, false) => {
                (comes && (is_own || returned)) || (is_own && row.event == Event::Return)
            }
            (Motion::Out, true) => is_below,
            (Motion::Out, false) => (is_own && row.returns) || (returned && comes),
            _ => unreachable!(),
        };
        if reached {
            return Some(row.step.number);
        }
        if is_own && !backwards && row.returns {
            over = true;
        }
        if is_own && backwards && row.event == Event::Call {
            over = true;
        }
    }
    None
}

fn find(
    recording: &Arc<Recording>,
    step: u64,
    motion: Motion,
    backwards: bool,
    breaks: Breaks,
) -> Option<Stop> {
    let cursor = recording.cursor();
    let mut search = Search::new(cursor, step, motion, backwards, breaks).expect("it is there");
    search.find(&mut || false).expect("it fits")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, ..ProptestConfig::default() })]

    #[test]
    fn motions_end_where_every_step_says(
        version in prop::sample::select(Version::ALL.to_vec()),
        seed: u64,
        switches in prop::sample::select(vec![4, 40, u64::MAX]),
        places: [Index; 12],
    ) {
        let directory = tempfile::tempdir().expect("a directory");
        let recording = recording(&directory, version, seed, switches);
        let rows = rows(&recording);
        for place in places {
            let origin = place.index(rows.len());
            for motion in MOTIONS {
                for backwards in [false, true] {
                    let found = find(&recording, origin as u64, motion, backwards, Breaks::default());
                    prop_assert_eq!(
                        found.map(|stop| stop.step),
                        expected(&recording, &rows, origin, motion, backwards),
                        "{:?} {} from {}", motion, if backwards { "back" } else { "on" }, origin
                    );
                }
            }
        }
    }

    #[test]
    fn there_and_back_is_nowhere(
        version in prop::sample::select(Version::ALL.to_vec()),
        seed: u64,
        places: [Index; 12],
    ) {
        let directory = tempfile::tempdir().expect("a directory");
        let recording = recording(&directory, version, seed, 40);
        let length = recording.len().expect("it fits");
        for place in places {
            let step = place.index(length as usize) as u64;
            let go = |step, backwards| {
                let stop = find(&recording, step, Motion::Instruction, backwards, Breaks::default());
                stop.map(|stop| stop.step)
            };
            if let Some(next) = go(step, false) {
                prop_assert_eq!(go(next, true), Some(step));
            }
            if let Some(before) = go(step, true) {
                prop_assert_eq!(go(before, false), Some(step));
            }
        }
    }

    #[test]
    fn breakpoints_are_met_in_both_directions(
        version in prop::sample::select(Version::ALL.to_vec()),
        seed: u64,
        place: Index,
        from: Index,
    ) {
        let directory = tempfile::tempdir().expect("a directory");
        let recording = recording(&directory, version, seed, 40);
        let rows = rows(&recording);
        let wanted = &rows[place.index(rows.len())].step;
        let code = recording.codes().get(wanted.code).expect("known");
        let offset = code.offset(wanted.at).expect("it is an instruction");
        let breaks = || {
            let mut breaks = Breaks::default();
            assert!(breaks.instruction(&recording, wanted.code, offset));
            breaks
        };
        let origin = from.index(rows.len());
        let is_hit = |row: &&Row| row.step.code == wanted.code && row.step.at == wanted.at;
        let on = rows[origin + 1..].iter().find(is_hit).map(|row| row.step.number);
        let back = rows[..origin].iter().rev().find(is_hit).map(|row| row.step.number);
        let found = |backwards| {
            let stop = find(&recording, origin as u64, Motion::Breaks, backwards, breaks());
            stop.map(|stop| (stop.step, stop.breakpoint))
        };
        prop_assert_eq!(found(false), on.map(|step| (step, true)));
        prop_assert_eq!(found(true), back.map(|step| (step, true)));
    }
}
