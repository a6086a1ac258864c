//! What is written is read; what is read, whatever it is, is an error or can be written.

mod common;

use common::{Chunk, chunk};
use debugop_recording::stream::{
    Decoder, Error, ErrorKind, Keyframe, Numbers, Record, Transcript, Value,
};
use proptest::prelude::*;

/// Reads a chunk to its end.
fn read(bytes: &[u8], captures: &[u32]) -> Result<(Keyframe, Vec<Record>), Error> {
    let (mut decoder, keyframe) = Decoder::new(bytes, captures)?;
    let mut records = Vec::new();
    let mut record = Record::default();
    while decoder.next(&mut record)? {
        records.push(record.clone());
    }
    Ok((keyframe, records))
}

/// Without the offset, which is not the writer's.
fn content(records: &[Record]) -> Vec<Record> {
    let without = |record: &Record| Record {
        offset: 0,
        ..record.clone()
    };
    records.iter().map(without).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_written_is_read(chunk in chunk()) {
        let Chunk { captures, keyframe, records, big_ints, complexes } = &chunk;
        let numbers = Numbers { big_ints, complexes };
        let mut transcript = Transcript::new(captures, keyframe, numbers);
        let mut ends = vec![transcript.bytes().len()];
        for record in records {
            transcript.record(record, numbers);
            ends.push(transcript.bytes().len());
        }
        let bytes = transcript.into_bytes();
        let (found_keyframe, found) = read(&bytes, captures).expect("well-formed");
        prop_assert_eq!(&found_keyframe, keyframe);
        prop_assert_eq!(&content(&found), records);

        // What was committed before a crash is a prefix that ends where a record ends: it reads as those records.
        for (count, &end) in ends.iter().enumerate() {
            let (_, found) = read(&bytes[..end], captures).expect("whole records");
            prop_assert_eq!(content(&found), &records[..count]);
        }
    }

    #[test]
    fn damage_is_an_error_or_other_records(
        chunk in chunk(),
        place in any::<prop::sample::Index>(),
        mask in 1u8..,
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = chunk.bytes();
        let place = place.index(bytes.len());
        bytes[place] ^= mask;
        if let Err(error) = read(&bytes, &chunk.captures) {
            prop_assert!(error.offset <= bytes.len());
        }
        bytes[place] ^= mask;
        bytes.truncate(cut.index(bytes.len()));
        if let Err(error) = read(&bytes, &chunk.captures) {
            prop_assert!(error.offset <= bytes.len());
        }
    }

    #[test]
    fn any_bytes_are_an_error_or_records_that_can_be_written(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        captures in prop::collection::vec(0u32..4, 1..8),
    ) {
        common::check_any(&bytes, &captures);
    }
}

#[track_caller]
fn check_error(records: &[u8], expected: ErrorKind) {
    // Site 0 captures nothing, site 1 one value.
    let keyframe = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let bytes = [&keyframe[..], records].concat();
    let error = read(&bytes, &[0, 1]).expect_err("refused");
    assert_eq!(error.kind, expected, "{error}");
}

#[test]
fn errors_name_what_is_wrong() {
    use debugop_recording::stream::tag;
    check_error(&[tag::HIT], ErrorKind::NoSite);
    check_error(&[tag::SITE, 2], ErrorKind::UnknownSite(2));
    check_error(&[tag::SITE, 0], ErrorKind::Truncated);
    check_error(&[tag::SITE, 0, tag::NONE], ErrorKind::Misplaced(tag::NONE));
    check_error(&[tag::SITE, 1, tag::HIT], ErrorKind::Misplaced(tag::HIT));
    check_error(&[tag::SITE, 1, 0x80], ErrorKind::EmptySlot(0));
    check_error(&[tag::SITE, 1, tag::REF, 0], ErrorKind::UnknownObject(0));
    check_error(&[tag::SITE, 1, tag::DEF, 1], ErrorKind::UnknownType(1));
    check_error(
        &[tag::SITE, 1, tag::DEF, 0, 0, 99],
        ErrorKind::UnknownKind(99),
    );
    check_error(&[tag::SITE, 1, 0x5f], ErrorKind::Tag(0x5f));
    check_error(&[tag::SITE, 1, tag::END], ErrorKind::Tag(0));
    check_error(&[0x7f], ErrorKind::Tag(0x7f));
    check_error(&[tag::POP_1], ErrorKind::Pop(1, 0));
    check_error(&[tag::THREAD, 3], ErrorKind::UnknownThread(3));
    check_error(&[tag::SITE, 0, tag::SITE, 0], ErrorKind::Twice(tag::SITE));
    check_error(
        &[tag::OUTPUT, 1, 0xff, 0xff, 0xff, 0xff, 0x0f],
        ErrorKind::Length(u64::from(u32::MAX)),
    );
    check_error(
        &[
            tag::TIME,
            0xff,
            0xff,
            0xff,
            0xff,
            0xff,
            0xff,
            0xff,
            0xff,
            0xff,
            2,
        ],
        ErrorKind::Number,
    );
}

#[test]
fn a_definition_may_lie_as_deep_as_is_promised() {
    use debugop_recording::stream::{MAX_DEPTH, tag};
    let nested = |depth: usize| {
        let mut bytes = vec![0, 0, 0, 1, 0, 0, 0, 0, 0, 0, tag::SITE, 1];
        // The type's definition: number 0, a list, no name.
        bytes.extend([tag::DEF, 0, 0, 4, 0, 1, 1]);
        for _ in 1..depth {
            bytes.extend([tag::DEF, 0, 1, 1]);
        }
        bytes.push(tag::NONE);
        read(&bytes, &[0, 1])
    };
    let (_, records) = nested(MAX_DEPTH).expect("deep enough");
    assert_eq!(records[0].objects.len(), MAX_DEPTH);
    assert!(matches!(records[0].values[..], [Value::Object(_)]));
    assert_eq!(
        nested(MAX_DEPTH + 1).expect_err("too deep").kind,
        ErrorKind::Deep
    );
}
