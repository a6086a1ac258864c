//! The format is what docs/recording-format.md says: bytes written by hand from it, and a file of each version.

use std::path::Path;

use debugop_recording::file::{Ending, Reader};
use debugop_recording::stream::{
    BigInt, Caller, Contents, Decoder, Definition, ErrorKind, Frame, FrameNumber, Items, Keyframe,
    Kind, Numbers, ObjectId, Output, Prefix, Progress, Reason, Record, SiteNumber, Thread,
    ThreadNumber, Transcript, Value,
};

/// Captures of the sites 0 to 3.
const CAPTURES: [u32; 4] = [0, 1, 2, 13];

#[rustfmt::skip]
const CHUNK: &[u8] = &[
    // The keyframe: time 300, newest object 5, next frame 2, one thread, the current one is 0.
    0xac, 0x02, 5, 2, 1, 0,
    // Thread 0, native 7, "M", nothing below, one frame.
    0, 7, 1, b'M', 0, 1,
    // Frame 1 of code object 3, executing unit 4, two slots: NULL and object 6: a list of length 2, of which 1 is shown.
    1, 3, 9, 2, 0x41,
    0x4e, 0, 40, 4, 4, b'l', b'i', b's', b't', 2, 1, 0x01,
    // Site 1 captures 63.
    0x61, 1, 0x40,
    // Site 1 again, not predicted yet; captures the list, which is in slot 6 of the recent objects.
    0x61, 1, 0x86,
    // Site 1, as predicted; the list by REF, and before it changed: now three items, two shown.
    0x6d, 0x86, 3, 2, 0x42, 0x44, 0x4d, 0,
    // A new frame, called by unit 8, at site 0, which captures nothing.
    0x67, 8, 0x61, 0, 0x60,
    // It ends; the caller goes on at site 3: thirteen values.
    0x65, 0x61, 3,
    0x43, 0x45, 0x46, 0x47, 0x7f, 0x4c, 0x04,
    0x48, 1, 2, 0xff, 0x01,
    0x49, 0, 0x90, 0x4e, 1, 2, 3, 4, 5, 6, 7, 0x80,
    0x4a, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f,
    0x4b, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0,
    0x52, 1, 0x53,
    // Object 300, a str of 9 code points of which two bytes are shown, and object 301, bare, of the same type.
    0x4f, 0xac, 0x02, 1, 41, 1, 3, b's', b't', b'r', 9, 2, b'a', b'b',
    0x50, 1,
    // Thread 1 is new, native 8, "T", nothing below; a frame that nobody has called; at site 0.
    0x63, 1, 8, 1, b'T', 0, 0x68, 0, 0x61, 0, 0x60,
    // The time, an output, something lost, thread 1 has ended, and back on thread 0 an exception raised at unit 5, at site 0.
    0x62, 0, 0x6e, 50, 0x6f, 2, 1, b'!', 0x70, 3, 0x64, 1, 0x6b, 5, 0x61, 0, 0x60,
    // Both of its frames end... one is all that there is; a generator, frame 0, goes on, called by who knows; at site 0.
    0x66, 1, 0x6a, 0, 6, 0x61, 0, 0x60,
    // At the end prefixes only: it is suspended again.
    0x65,
];

/// A keyframe without threads; thread 0 is new, a frame starts at site 1, which captures a list, `[0]`, defined as object 1.
#[rustfmt::skip]
const LIST: &[u8] = &[
    0, 0, 0, 0, 0,
    0x63, 0, 7, 0, 0, 0x68, 0, 0x61, 1, 0x4e, 0, 40, 4, 4, b'l', b'i', b's', b't', 1, 1, 0x01,
];

/// The contents that the updates of the list have, or that one of them is refused.
fn updated(updates: &[&[u8]]) -> Result<Vec<(u64, Vec<Value>)>, ErrorKind> {
    let mut bytes = LIST.to_vec();
    for update in updates {
        bytes.extend_from_slice(&[0x72, 0x81]);
        bytes.extend_from_slice(update);
        bytes.extend_from_slice(&[0x61, 1, 0x81]);
    }
    let (mut decoder, _) = Decoder::new(&bytes, &CAPTURES).expect("a keyframe");
    let (mut record, mut found) = (Record::default(), Vec::new());
    while decoder.next(&mut record).map_err(|error| error.kind)? {
        for object in record.objects.iter().filter(|object| object.update) {
            match &object.contents {
                Some(Contents::Items(items)) => found.push((items.length, items.items.to_vec())),
                other => panic!("{other:?}"),
            }
        }
    }
    Ok(found)
}

#[test]
fn an_object_changes_in_one_place() {
    let int = Value::Int;
    // Item 0 is another one; one has come before the first, one behind the last; only the length is another one.
    let updates: [&[u8]; 4] = [&[1, 1, 0x02], &[2, 2, 0x03], &[6, 3, 0x04], &[0, 9]];
    let expected = vec![
        (1, vec![int(1)]),
        (2, vec![int(2), int(1)]),
        (3, vec![int(2), int(1), int(3)]),
        (9, vec![int(2), int(1), int(3)]),
    ];
    assert_eq!(updated(&updates), Ok(expected));
}

#[test]
fn an_object_does_not_change_where_it_has_no_place() {
    for update in [&[3, 1, 0x02][..], &[4 + 2, 2, 0x03], &[0xff, 0x7f, 2, 0x03]] {
        assert_eq!(updated(&[update]), Err(ErrorKind::NoPart(1)), "{update:?}");
    }
    let insert: &[u8] = &[2, 2, 0x03];
    assert!(updated(&[insert; 63]).is_ok());
    assert_eq!(
        updated(&[insert; 64]),
        Err(ErrorKind::NoPart(1)),
        "more than 64"
    );
}

#[test]
fn bytes_written_by_hand_are_read() {
    let (mut decoder, keyframe) = Decoder::new(CHUNK, &CAPTURES).expect("a keyframe");
    let list = keyframe.objects[0].class.clone();
    assert_eq!(
        (list.number, list.kind, &*list.name),
        (40, Kind::List, &b"list"[..])
    );
    let list_of = |length, items: &[Value], update| Definition {
        id: ObjectId(6),
        class: list.clone(),
        contents: Some(Contents::Items(Items {
            length,
            items: items.into(),
        })),
        update,
        doubtful: false,
    };
    let frame = Frame {
        number: FrameNumber(1),
        code: 3,
        unit: 4,
        progress: Progress::Executing,
        slots: [Value::Null, Value::Object(ObjectId(6))].into(),
    };
    assert_eq!(
        keyframe,
        Keyframe {
            time: 300,
            newest: ObjectId(5),
            next_frame: FrameNumber(2),
            threads: vec![Thread {
                number: ThreadNumber(0),
                native: 7,
                name: (*b"M").into(),
                below: 0,
                frames: vec![frame],
            }],
            current: ThreadNumber(0),
            objects: vec![list_of(2, &[Value::Int(0)], false)],
        }
    );

    let mut records = Vec::new();
    let mut record = Record::default();
    while decoder.next(&mut record).expect("well-formed") {
        record.offset = 0;
        records.push(record.clone());
    }
    let record = |site: u32, frame: u64| Record {
        site: Some(SiteNumber(site)),
        frame: Some(FrameNumber(frame)),
        ..Record::default()
    };
    let [
        first,
        second,
        third,
        called,
        back,
        new,
        raised,
        resumed,
        last,
    ] = &records[..]
    else {
        panic!("{records:?}");
    };
    assert_eq!(
        first,
        &Record {
            values: vec![Value::Int(63)],
            ..record(1, 1)
        }
    );
    let reference = Value::Object(ObjectId(6));
    assert_eq!(
        second,
        &Record {
            values: vec![reference],
            ..record(1, 1)
        }
    );
    let changed = list_of(3, &[Value::None, Value::Bool(true)], true);
    assert_eq!(
        third,
        &Record {
            values: vec![reference],
            objects: vec![changed],
            ..record(1, 1)
        }
    );
    let enter = Prefix::Enter(FrameNumber(2), Caller::Unit(8));
    assert_eq!(
        called,
        &Record {
            prefixes: vec![enter],
            ..record(0, 2)
        }
    );

    assert_eq!(back.prefixes, [Prefix::Pop(1)]);
    assert_eq!(
        (back.site, back.frame),
        (Some(SiteNumber(3)), Some(FrameNumber(1)))
    );
    assert_eq!(
        back.values,
        [
            Value::Bool(false),
            Value::Ellipsis,
            Value::NotImplemented,
            Value::Int(-64),
            Value::Tagged(2),
            Value::BigInt(0),
            Value::BigInt(1),
            Value::Float(1.5f64.to_bits()),
            Value::Complex(0),
            Value::Unknown(Reason::LIMIT),
            Value::Redacted,
            Value::Object(ObjectId(300)),
            Value::Object(ObjectId(301)),
        ]
    );
    let text = &back.objects[0];
    assert_eq!(
        (text.id, text.class.kind, text.update),
        (ObjectId(300), Kind::Str, false)
    );
    let head = Contents::Bytes {
        length: 9,
        head: (*b"ab").into(),
    };
    assert_eq!(text.contents, Some(head));

    let thread = Thread {
        number: ThreadNumber(1),
        native: 8,
        name: (*b"T").into(),
        below: 0,
        frames: Vec::new(),
    };
    assert_eq!(new.prefixes[0], Prefix::Thread(Box::new(thread)));
    assert_eq!(
        new.prefixes[1],
        Prefix::Enter(FrameNumber(3), Caller::Foreign(None))
    );
    assert_eq!(
        (new.thread, new.frame),
        (ThreadNumber(1), Some(FrameNumber(3)))
    );
    let output = Output {
        stream: 2,
        bytes: (*b"!").into(),
        by: None,
    };
    let prefixes = vec![
        Prefix::Time(350),
        Prefix::Output(Box::new(output)),
        Prefix::Lost(Reason::TOO_LARGE),
        Prefix::ThreadEnd(ThreadNumber(1)),
        Prefix::Raised(5, Progress::Executing),
    ];
    assert_eq!(
        raised,
        &Record {
            prefixes,
            ..record(0, 1)
        }
    );
    let prefixes = vec![
        Prefix::Pop(1),
        Prefix::Reenter(FrameNumber(0), Caller::Foreign(Some(5))),
    ];
    assert_eq!(
        resumed,
        &Record {
            prefixes,
            ..record(0, 0)
        }
    );
    assert_eq!(
        (last.site, &last.prefixes[..]),
        (None, &[Prefix::Pop(1)][..])
    );
    assert_eq!(
        decoder.big_ints(),
        [
            BigInt::Exact {
                negative: true,
                magnitude: [0xff, 1].into()
            },
            BigInt::Huge {
                negative: false,
                bits: 10_000,
                leading: 0x8007_0605_0403_0201
            },
        ]
    );
    assert_eq!(decoder.complexes(), [[1, 2]]);

    // And it is what is written, where there are not two ways to say the same.
    let mut transcript = Transcript::new(&CAPTURES, &keyframe, Numbers::of(&decoder));
    for record in &records {
        transcript.record(record, Numbers::of(&decoder));
    }
    let (_, again) = Decoder::new(transcript.bytes(), &CAPTURES).expect("just written");
    assert_eq!(again, keyframe);
}

#[test]
fn what_tells_of_an_instruction_may_have_raised() {
    let places: [(&[u8], _); 4] = [
        (&[5], Some(Progress::Executing)),
        (&[0x8a, 0x80, 0x80, 0x80, 0x20], Some(Progress::Arrived)),
        (&[0x8b, 0x80, 0x80, 0x80, 0x20], Some(Progress::Told)),
        (&[0x8a, 0x80, 0x80, 0x80, 0x10], None),
    ];
    for (place, expected) in places {
        let mut bytes = vec![0, 0, 0, 0, 0, 0x63, 0, 7, 0, 0, 0x68, 0, 0x6b];
        bytes.extend_from_slice(place);
        bytes.extend_from_slice(&[0x61, 0, 0x60]);
        let (mut decoder, keyframe) = Decoder::new(&bytes, &CAPTURES).expect("a keyframe");
        let mut record = Record::default();
        let read = decoder.next(&mut record);
        let Some(progress) = expected else {
            assert_eq!(read.map_err(|error| error.kind), Err(ErrorKind::Number));
            continue;
        };
        assert_eq!(read, Ok(true));
        assert_eq!(record.prefixes.last(), Some(&Prefix::Raised(5, progress)));
        let mut transcript = Transcript::new(&CAPTURES, &keyframe, Numbers::of(&decoder));
        transcript.record(&record, Numbers::of(&decoder));
        assert_eq!(transcript.bytes(), bytes);
    }
}

/// What stands in the table of first bytes in the documentation.
#[test]
fn the_documentation_names_the_tags() {
    use debugop_recording::stream::tag;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/recording-format.md");
    let text = std::fs::read_to_string(path).expect("readable");
    let named = [
        (tag::REF, "REF"),
        (tag::DEF, "DEF"),
        (tag::DEF_AT, "DEF_AT"),
        (tag::HIT, "HIT"),
        (tag::SITE, "SITE"),
        (tag::THREAD, "THREAD"),
        (tag::THREAD_NEW, "THREAD_NEW"),
        (tag::THREAD_END, "THREAD_END"),
        (tag::POP_1, "POP_1"),
        (tag::POP, "POP"),
        (tag::ENTER, "ENTER"),
        (tag::ENTER_FOREIGN, "ENTER_FOREIGN"),
        (tag::REENTER, "REENTER"),
        (tag::REENTER_FOREIGN, "REENTER_FOREIGN"),
        (tag::RAISED, "RAISED"),
        (tag::ATTACH, "ATTACH"),
        (tag::INSIDE, "INSIDE"),
        (tag::UPDATE, "UPDATE"),
        (tag::TIME, "TIME"),
        (tag::OUTPUT, "OUTPUT"),
        (tag::LOST, "LOST"),
        (tag::PENDING, "PENDING"),
    ];
    for (tag, name) in named {
        let row = format!("| `{tag:02x}` | {name}");
        assert!(text.contains(&row), "{row}");
    }
    for &kind in Kind::ALL {
        let row = format!("{} {kind:?}", kind as u8).to_lowercase();
        assert!(text.to_lowercase().contains(&row), "{row}");
    }
}

/// A recording as version 1 has written it: three stream chunks, two code objects, a source file.
#[test]
fn a_file_of_version_1_is_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/version1.debugop");
    let reader = Reader::open(&path).expect("readable");
    assert_eq!(reader.ending(), Ending::Finished);
    assert_eq!(reader.header().command, ["python", "a b.py"]);
    assert_eq!(reader.summary().expect("finished").duration, 5);
    let codes = reader.codes().expect("intact");
    assert_eq!(codes.len(), 2);
    assert_eq!(codes[1].qualname, b"C.f");
    assert_eq!(codes[1].constants.len(), 14);
    assert_eq!(reader.sources().expect("intact")[0].text, b"print(1)\n");
    assert_eq!(reader.stream_len(), 3);
    for index in 0..3 {
        let chunk = reader.stream(index).expect("intact");
        assert_eq!(chunk.info.time, 1000 * index as u64);
        assert_eq!(chunk.contents[..8], (index as u64).to_le_bytes());
    }
}
