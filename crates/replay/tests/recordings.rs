//! Recordings in files: any step can be gone to, in any order.

#[path = "../../bytecode/tests/common/example.rs"]
#[allow(dead_code, reason = "shared with the tests of another crate")]
mod example;
#[allow(dead_code, reason = "shared with other tests")]
mod world;

use std::path::Path;
use std::sync::Arc;

use debugop_bytecode::Version;
use debugop_recording::file::{Header, Interpreter, Next, Options, Summary, Writer};
use debugop_replay::{Codes, Recording, Step};
use example::Example;
use world::World;

fn write(path: &Path, version: Version, codes: &Codes, chunks: &[Vec<u8>]) {
    let name = version.to_string();
    let (major, minor) = name.split_once('.').expect("two numbers");
    let header = Header {
        interpreter: Interpreter {
            version: [
                major.parse().expect("a number"),
                minor.parse().expect("a number"),
                0,
            ],
            ..Interpreter::default()
        },
        ..Header::default()
    };
    let longest = chunks.iter().map(Vec::len).max().unwrap_or(0);
    let options = Options {
        slot_size: (longest + 100).max(1 << 20),
        ..Options::default()
    };
    let mut writer = Writer::create(path, &header, &options).expect("created");
    for code in codes.iter() {
        writer.add_code(code.data()).expect("added");
    }
    for chunk in chunks {
        while writer.try_next(0).expect("no failure") == Next::Full {
            writer.waiter().wait();
        }
        let slot = writer.slot().expect("there is one");
        slot.bytes_mut()[..chunk.len()].copy_from_slice(chunk);
        slot.commit(chunk.len());
    }
    writer.finish(&Summary::default()).expect("finished");
}

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
