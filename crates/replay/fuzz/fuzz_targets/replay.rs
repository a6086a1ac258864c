//! Any code objects and chunks as a recording: opened, gone through forwards and backwards, and asked everything. A typed error or an answer.

#![no_main]

use std::ops::ControlFlow;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use debugop_debugger::{Breaks, Motion, Search};
use debugop_recording::file::{FORMAT_VERSION, Reader};
use debugop_recording::stream::ObjectId;
use debugop_replay::{Recording, query};
use libfuzzer_sys::fuzz_target;

#[path = "../input.rs"]
mod input;
use input::Input;

/// Steps that are looked at one by one, in each direction.
const STEPS: u64 = 2000;

fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

/// A file whose checksums are right.
fn file(input: &Input<'_>) -> Vec<u8> {
    let mut file = b"\x89debugop".to_vec();
    file.extend(FORMAT_VERSION.to_le_bytes());
    file.extend([0; 2]);
    file.extend([7; 16]);
    file.extend([0; 8]);
    let mut file = sealed(file);
    let mut index = Vec::new();
    let mut add = |kind: u8, sequence: u64, contents: &[u8], index: Option<&mut Vec<u8>>| {
        // A chunk of the stream that begins so is a packed one.
        let (compression, contents) = match contents {
            [0xff, 0xff, contents @ ..] if kind == 3 => (3, contents),
            [0xff, 0xfe, contents @ ..] if kind == 3 => (4, contents),
            [0xff, 0xfd, contents @ ..] if kind == 3 => (6, contents),
            contents => (0, contents),
        };
        let length = (contents.len() as u32).to_le_bytes();
        let mut bytes = b"\xf3chunk\r\n".to_vec();
        bytes.extend([kind, compression, 0, 0]);
        bytes.extend(length);
        bytes.extend(length);
        bytes.extend([0; 4]);
        bytes.extend(sequence.to_le_bytes());
        bytes.extend(u64::MAX.to_le_bytes());
        bytes.extend(0u64.to_le_bytes());
        bytes.extend(crc32c::crc32c(contents).to_le_bytes());
        let bytes = sealed(bytes);
        if let Some(index) = index {
            index.extend(&bytes[8..10]);
            index.extend([0; 2]);
            index.extend(&bytes[48..52]);
            index.extend((file.len() as u64).to_le_bytes());
            index.extend(&bytes[12..20]);
            index.extend(&bytes[24..48]);
        }
        let at = file.len() as u64;
        file.extend(bytes);
        file.extend(contents);
        at
    };
    let header = format!("{{\"interpreter\":{{\"version\":[3,{},0]}}}}", input.minor);
    add(1, 0, header.as_bytes(), Some(&mut index));
    add(2, 0, input.codes, Some(&mut index));
    for (number, chunk) in (0..).zip(&input.chunks) {
        add(3, number, chunk, Some(&mut index));
    }
    let at = add(6, 0, &index, None);
    add(7, 0, &at.to_le_bytes(), None);
    file
}

fn go_through(recording: &Arc<Recording>) {
    let mut cursor = recording.cursor();
    let mut count = 0;
    while count < STEPS && matches!(cursor.next(), Ok(Some(_))) {
        count += 1;
        if count % 16 == 0
            && let Some(moment) = cursor.moment()
        {
            for frame in moment.frames() {
                for value in frame.locals().chain(frame.stack()) {
                    let _ = moment.state().describe(recording.codes(), value, 2);
                }
            }
        }
    }
    while count > 0 && matches!(cursor.previous(), Ok(Some(_))) {
        count -= 1;
    }
}

/// Without values, the steps are the same, as far as both can be gone through.
fn go_without_values(recording: &Arc<Recording>) {
    let mut cursor = recording.cursor();
    let Ok(mut positions) = recording.positions(0) else {
        return;
    };
    for _ in 0..STEPS {
        match (cursor.next(), positions.next()) {
            (Ok(with), Ok(without)) => {
                assert_eq!(with, without);
                if with.is_none() {
                    break;
                }
            }
            _ => break,
        }
    }
    let Ok(mut backwards) = recording.backwards(u64::MAX) else {
        return;
    };
    let mut count = 0;
    while count < STEPS && matches!(backwards.next(), Ok(Some(_))) {
        count += 1;
    }
}

fn ask(recording: &Arc<Recording>) {
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
        for slot in 0..2 {
            let place = query::Place::Local(at.frame, slot);
            let _ = query::last_write(recording, &place, step);
            let _ = query::origins(recording, step, at.frame, query::Slot::Local(slot), 3);
            let _ = query::origins(recording, step, at.frame, query::Slot::Stack(slot), 3);
        }
        for id in [1, 3, u64::MAX] {
            let places = [
                query::Place::Cell(ObjectId(id)),
                query::Place::Attribute(ObjectId(id), "x".to_owned()),
                query::Place::Item(ObjectId(id), debugop_value::Value::Int(0)),
            ];
            for place in &places {
                let _ = query::writes(recording, place, 0, u64::MAX);
                let _ = query::last_write(recording, place, step);
            }
        }
        for (motion, backwards) in [
            (Motion::LineOver, true),
            (Motion::Out, true),
            (Motion::Out, false),
            (Motion::Breaks, true),
        ] {
            let mut breaks = Breaks::default();
            breaks.instruction(recording, at.code, 4);
            if motion == Motion::Breaks {
                breaks.exceptions();
            }
            let cursor = recording.cursor();
            if let Ok(mut search) = Search::new(cursor, step, motion, backwards, breaks) {
                for _ in 0..3 {
                    if !matches!(search.find(&mut || false), Ok(Some(_))) {
                        break;
                    }
                }
            }
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some(input) = Input::read(bytes) else {
        return;
    };
    let bytes = file(&input);
    let memory = rustix::fs::memfd_create("fuzz", rustix::fs::MemfdFlags::CLOEXEC).expect("memory");
    let memory = std::fs::File::from(memory);
    std::os::unix::fs::FileExt::write_all_at(&memory, &bytes, 0).expect("memory");
    let name = format!("/proc/self/fd/{}", memory.as_raw_fd());
    let reader = Reader::open(name.as_ref()).expect("its checksums are right");
    if let Ok(recording) = Recording::new(reader) {
        let recording = Arc::new(recording);
        go_through(&recording);
        go_without_values(&recording);
        ask(&recording);
    }
});
