//! Steps per second, over a recording made by chance: `cargo bench -p debugop-replay`.

#![allow(clippy::print_stdout, reason = "a benchmark that reports figures")]

#[path = "../../bytecode/tests/common/example.rs"]
#[allow(dead_code, reason = "shared with the tests of another crate")]
mod example;
#[path = "../tests/world/mod.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod world;

use std::sync::Arc;
use std::time::{Duration, Instant};

use debugop_bytecode::Version;
use debugop_replay::{Chunk, Machine, query};

/// Time by the clock, and of the processor.
type Times = Vec<[Duration; 2]>;

/// Processor time of this thread so far, where the system tells it (`Documentation/scheduler/sched-stats.rst` of Linux).
fn processor() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = told.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}

fn timed<T>(times: &mut Times, question: impl FnOnce() -> T) -> T {
    let (started, before) = (Instant::now(), processor());
    let answer = question();
    times.push([started.elapsed(), processor() - before]);
    answer
}

/// The middle, the 99th of a hundred and the longest of some times.
fn spread(times: &Times) -> String {
    let of = |which: usize| {
        let mut times: Vec<_> = times.iter().map(|times| times[which]).collect();
        times.sort();
        let at = |place: usize| times.get(place).copied().unwrap_or_default();
        let count = times.len();
        format!(
            "{:?}, p99 {:?}, at most {:?}",
            at(count / 2),
            at(count * 99 / 100),
            at(count.saturating_sub(1))
        )
    };
    format!("{} (processor {}; {})", of(0), of(1), times.len())
}

/// The first attributes and items of the objects in local variables.
fn places_inside(recording: &Arc<debugop_replay::Recording>, end: u64) -> Vec<query::Place> {
    use debugop_recording::stream::Contents;
    let mut cursor = recording.cursor();
    cursor.seek(end).expect("it fits");
    let state = cursor.state().expect("a step");
    let frames = state.threads().flat_map(|(_, thread)| thread.frames());
    let values = frames.flat_map(|frame| frame.locals().chain(frame.stack()));
    let mut places = Vec::new();
    for value in values {
        let debugop_replay::Value::Object(id) = value else {
            continue;
        };
        match state.object(id).and_then(|object| object.contents) {
            Some(Contents::Items(_)) => {
                places.push(query::Place::Item(id, debugop_value::Value::Int(0)));
            }
            Some(Contents::Pairs(pairs)) => {
                for &(key, _) in pairs.pairs.iter().take(4) {
                    let key = state.describe(recording.codes(), key.into(), 0);
                    if let debugop_value::Value::Str(text) = &key {
                        let name = text.as_str().unwrap_or_default().to_owned();
                        places.push(query::Place::Attribute(id, name));
                    }
                    places.push(query::Place::Item(id, key));
                }
            }
            _ => {}
        }
    }
    places
}

/// How long a recording takes to answer: hits of each line, and of each local variable that is there in the end its last binding and its origin.
fn ask(recording: &Arc<debugop_replay::Recording>, steps: u64) {
    use debugop_replay::query::{Place, Slot};
    let (mut counts, mut lasts, mut writes, mut origins) = (vec![], vec![], vec![], vec![]);
    for code in recording.codes().iter() {
        let all = 0..code.analysis().instructions().len() as u32;
        let mut lines: Vec<_> = all
            .filter_map(|at| code.line(debugop_bytecode::InstrIdx(at)))
            .collect();
        lines.sort_unstable();
        lines.dedup();
        let file = code.filename();
        for line in lines {
            timed(&mut counts, || {
                query::hit_count(recording, &file, line).expect("it fits");
            });
            timed(&mut lasts, || {
                query::last_hit(recording, &[(&file, line)], steps).expect("it fits");
            });
        }
    }
    let mut cursor = recording.cursor();
    for end in [steps - 1, steps / 2, steps / 3] {
        cursor.seek(end).expect("it fits");
        let frames = cursor.moment().expect("a step").frames().to_vec();
        for frame in frames {
            for slot in 0..frame.code().locals().slots {
                let place = Place::Local(frame.number(), slot);
                timed(&mut writes, || {
                    query::last_write(recording, &place, end).expect("it fits");
                });
                timed(&mut origins, || {
                    query::origin(recording, end, frame.number(), Slot::Local(slot))
                        .expect("it fits");
                });
            }
        }
    }
    let mut inside = vec![];
    let late = steps / 6 * 5;
    for place in places_inside(recording, late) {
        timed(&mut inside, || {
            query::last_write(recording, &place, late).expect("it fits");
        });
    }
    println!("last write of an attribute or item: {}", spread(&inside));
    println!("hits counted: {}", spread(&counts));
    println!("last hit of a line: {}", spread(&lasts));
    println!("last write of a local: {}", spread(&writes));
    println!("a hop of an origin: {}", spread(&origins));
}

/// Of a recording, one thing alone, for a profiler: `DEBUGOP_ONLY=decode`, `skip`, `step`, `positions` or `backwards`.
fn only(path: &std::path::Path, what: &str) {
    let recording = Arc::new(debugop_replay::Recording::open(path).expect("a recording"));
    if matches!(what, "positions" | "backwards") {
        println!("{what}: {} steps", go(&recording, what == "backwards"));
        return;
    }
    let mut machine: Option<Machine> = None;
    for index in 0..recording.reader().stream_len() {
        let chunk = recording.chunk(index).expect("a chunk");
        if what == "decode" {
            continue;
        }
        let machine = match &mut machine {
            Some(machine) => {
                let number = machine.position();
                machine.enter(chunk, number).expect("fits");
                machine
            }
            None => {
                let codes = Arc::clone(recording.codes());
                machine.insert(Machine::new(codes, chunk, 0).expect("fits"))
            }
        };
        match what {
            "skip" => while machine.skip_record().expect("fits").is_some() {},
            _ => while machine.next().expect("fits").is_some() {},
        }
    }
    println!(
        "{what}: {:?} steps",
        machine.map(|machine| machine.position())
    );
}

/// Goes through all steps without values; how many.
fn go(recording: &Arc<debugop_replay::Recording>, backwards: bool) -> u64 {
    let mut count = 0;
    let mut look = |step: debugop_replay::Step| count += u64::from(step.number < u64::MAX);
    if backwards {
        let mut steps = recording.backwards(u64::MAX).expect("it fits");
        while let Some(step) = steps.next().expect("it fits") {
            look(step);
        }
    } else {
        let mut steps = recording.positions(0).expect("it fits");
        while let Some(step) = steps.next().expect("it fits") {
            look(step);
        }
    }
    count
}

/// Of a recording, named by `DEBUGOP_RECORDING`.
fn real(path: &std::path::Path) {
    let started = Instant::now();
    let recording = Arc::new(debugop_replay::Recording::open(path).expect("a recording"));
    let opening = started.elapsed();
    let started = Instant::now();
    let steps = recording.len().expect("it fits");
    let counting = started.elapsed();
    let started = Instant::now();
    let again = debugop_replay::Recording::open(path).expect("a recording");
    assert_eq!(again.len().expect("it fits"), steps);
    let opening_again = started.elapsed();
    let mut stepping = Times::new();
    let mut cursor = recording.cursor();
    timed(&mut stepping, || {
        while cursor.next().expect("it fits").is_some() {}
    });
    let rate = |elapsed: Duration| steps as f64 / elapsed.as_secs_f64() / 1e6;
    for backwards in [false, true] {
        let mut going = Times::new();
        timed(&mut going, || assert_eq!(go(&recording, backwards), steps));
        let direction = if backwards { "backwards" } else { "forwards" };
        println!(
            "{direction} without values: million steps a second: {:.1}, of processor time, without decoding, {:.1}",
            rate(going[0][0]),
            rate(going[0][1]),
        );
    }
    let mut seeks = Times::new();
    for turn in 0..200u64 {
        let step = turn * 7_919_777_777 % steps;
        timed(&mut seeks, || cursor.seek(step).expect("it fits"));
    }
    ask(&recording, steps);
    let size = recording.reader().size().expect("a file");
    println!("seeks: {}", spread(&seeks));
    println!(
        "{steps} steps, {:.3} bytes a step; opened in {opening:?}, counted in {counting:?}, opened again in {opening_again:?}; million steps a second: {:.1}, of processor time, without decoding, {:.1}",
        size as f64 / steps as f64,
        rate(stepping[0][0]),
        rate(stepping[0][1]),
    );
}

fn main() {
    if let Some(path) = std::env::var_os("DEBUGOP_RECORDING") {
        let path = std::path::Path::new(&path);
        return match std::env::var("DEBUGOP_ONLY") {
            Ok(what) => only(path, &what),
            Err(_) => real(path),
        };
    }
    let examples = example::examples();
    let steps = 5_000_000;
    for version in Version::ALL {
        let of = examples.iter().filter(|example| example.version == version);
        let views: Vec<_> = of.map(example::Example::view).collect();
        let codes = world::codes(&views);
        let mut world = world::World::new(Arc::clone(&codes), 42, 200_000, false);
        world.raises = 1000;
        world.calls = 30;
        world.switches = u64::MAX;
        let world = world.run(steps);
        let bytes: usize = world.chunks.iter().map(Vec::len).sum();
        let started = Instant::now();
        let chunks: Vec<_> = (0..)
            .zip(&world.chunks)
            .map(|(index, bytes)| {
                Arc::new(Chunk::decode(index, bytes, codes.captures()).expect("a chunk"))
            })
            .collect();
        let decoding = started.elapsed();
        let mut number = 0;
        let started = Instant::now();
        let mut machine: Option<Machine> = None;
        for chunk in &chunks {
            let machine = match &mut machine {
                Some(machine) => {
                    machine.enter(Arc::clone(chunk), number).expect("fits");
                    machine
                }
                None => machine.insert(
                    Machine::new(Arc::clone(&codes), Arc::clone(chunk), number).expect("fits"),
                ),
            };
            while machine.next().expect("fits").is_some() {}
            number = machine.position();
        }
        let stepping = started.elapsed();
        let mut skipped = 0;
        let started = Instant::now();
        for chunk in &chunks {
            if let Some(machine) = &mut machine {
                machine.enter(Arc::clone(chunk), skipped).expect("fits");
                while let Some(next) = machine.skip_record().expect("fits") {
                    skipped = next;
                }
            }
        }
        let skipping = started.elapsed();
        assert_eq!(number, skipped);
        let rate = |elapsed: Duration| number as f64 / elapsed.as_secs_f64() / 1e6;
        println!(
            "{version}: {number} steps, {:.2} bytes a step, {} chunks; million steps a second: decoding {:.1}, each step {:.1}, record by record {:.1}",
            bytes as f64 / number as f64,
            chunks.len(),
            rate(decoding),
            rate(stepping),
            rate(skipping),
        );
    }
}
