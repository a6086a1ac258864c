//! Files are written, read, damaged, cut, recovered, packed.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use debugop_recording::file::{
    CodeRecord, Constant, Damage, Ending, Error, Header, Local, LocalKind, MAX_CONTENTS, Next,
    Options, Packing, Reader, Source, Summary, Writer, pack, recover, tail_path,
};

/// A directory of its own for a test, removed when it ends.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("debugop-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary directory");
        Directory(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn header() -> Header {
    Header {
        debugop: "0.1.0".into(),
        command: vec!["python".into(), "a b.py".into()],
        pid: 7,
        ..Header::default()
    }
}

fn code(number: u32) -> CodeRecord {
    CodeRecord {
        number,
        site_base: number * 3,
        captures: vec![1, 0, 2],
        plan_version: 1,
        name: b"f".to_vec(),
        qualname: b"C.f".to_vec(),
        filename: b"a.py".to_vec(),
        first_line: -3,
        flags: 3,
        argument_count: 1,
        positional_only_count: 0,
        keyword_only_count: 2,
        stack_size: 4,
        code: vec![151, 0, 100, 0],
        exception_table: vec![1],
        location_table: vec![2, 3],
        names: vec![b"print".to_vec()],
        locals: vec![Local {
            name: b"x".to_vec(),
            kind: LocalKind(0x20),
        }],
        constants: vec![
            Constant::None,
            Constant::Bool(true),
            Constant::Ellipsis,
            Constant::Int(-1),
            Constant::BigInt(true, vec![0; 9]),
            Constant::Float(f64::NAN.to_bits()),
            Constant::Complex(1, 2),
            Constant::Str(b"\xed\xb2\x80".to_vec()),
            Constant::Bytes(vec![255]),
            Constant::Tuple(vec![Constant::Int(1), Constant::Tuple(Vec::new())]),
            Constant::FrozenSet(vec![Constant::Bool(false)]),
            Constant::Slice(Box::new([Constant::None, Constant::Int(2), Constant::None])),
            Constant::Code(b"C.f.<lambda>".to_vec(), Some(0)),
            Constant::Other(b"object".to_vec()),
        ],
        source_hash: Some(9),
    }
}

/// What chunk `number` holds in these tests; compresses well or badly, by turns.
fn contents(number: u64, length: usize) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut contents: Vec<u8> = (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8 & if number.is_multiple_of(2) { 255 } else { 3 }
        })
        .collect();
    contents[..8].copy_from_slice(&number.to_le_bytes());
    contents
}

fn add_chunk(writer: &mut Writer, number: u64, length: usize) {
    while writer.try_next(number * 1000).expect("no failure") == Next::Full {
        writer.waiter().wait();
    }
    let slot = writer.slot().expect("just made");
    slot.bytes_mut()[..length].copy_from_slice(&contents(number, length));
    slot.commit(length);
}

/// Small slots, so that there is much to do.
fn options() -> Options {
    Options {
        slots: 4,
        slot_size: 4096,
        ring: None,
    }
}

fn source() -> Source {
    Source {
        filename: b"a.py".to_vec(),
        text: b"print(1)\n".to_vec(),
    }
}

/// A recording with two code objects, a source file and `chunks` chunks.
fn begin(path: &Path, chunks: u64, length: usize) -> Writer {
    let mut writer = Writer::create(path, &header(), &options()).expect("created");
    writer.add_code(&code(0)).expect("added");
    for number in 0..chunks {
        add_chunk(&mut writer, number, length);
        if number == 1 {
            writer.add_code(&code(1)).expect("added");
            writer.add_source(&source()).expect("added");
        }
    }
    writer
}

/// A whole file in memory.
fn small(directory: &Directory) -> Vec<u8> {
    let path = directory.file("whole");
    let writer = begin(&path, 3, 40);
    let summary = Summary {
        duration: 5,
        ..Summary::default()
    };
    writer.finish(&summary).expect("finished");
    std::fs::read(&path).expect("there")
}

/// Opens and reads everything.
fn read_all(path: &Path) -> Result<Reader, Error> {
    let reader = Reader::open(path)?;
    reader.codes()?;
    reader.sources()?;
    for index in 0..reader.stream_len() {
        reader.stream(index)?;
    }
    Ok(reader)
}

#[track_caller]
fn check_stream(reader: &Reader, numbers: std::ops::Range<u64>, length: usize) {
    assert_eq!(reader.stream_len() as u64, numbers.end - numbers.start);
    for (index, number) in numbers.enumerate() {
        let chunk = reader.stream(index).expect("intact");
        assert_eq!(chunk.info.sequence, number);
        assert_eq!(chunk.info.time, number * 1000);
        assert!(chunk.contents == contents(number, length), "chunk {number}");
    }
}

#[test]
fn what_is_written_is_read() {
    let directory = Directory::new("written");
    let path = directory.file("a.debugop");
    let writer = begin(&path, 50, 4000);
    let uuid = writer.uuid();
    let finished = writer.finish(&Summary::default()).expect("finished");
    assert_eq!(finished.chunks, 50);
    assert_eq!(finished.stream_bytes, 50 * 4000);
    assert!(!tail_path(&path).exists());

    let reader = read_all(&path).expect("intact");
    assert_eq!(reader.uuid(), uuid);
    assert_eq!(reader.ending(), Ending::Finished);
    assert_eq!(reader.header(), &header());
    assert_eq!(reader.summary(), Some(&Summary::default()));
    assert_eq!(reader.codes().expect("intact"), [code(0), code(1)]);
    assert_eq!(reader.sources().expect("intact"), [source()]);
    assert_eq!(reader.size().expect("there"), finished.size);
    check_stream(&reader, 0..50, 4000);
    assert!(matches!(reader.stream(50), Err(Error::NoChunk(50))));
}

#[test]
fn a_recording_is_read_while_it_is_written() {
    let directory = Directory::new("live");
    let path = directory.file("a.debugop");
    let mut writer = begin(&path, 1, 100);
    for number in 1..200 {
        let reader = read_all(&path).expect("intact");
        assert_eq!(reader.ending(), Ending::Writing);
        check_stream(&reader, 0..number, 100);
        assert!(!reader.codes().expect("intact").is_empty());
        add_chunk(&mut writer, number, 100);
    }
    // A part of a chunk, too.
    writer.slot().expect("there").commit(10);
    let reader = read_all(&path).expect("intact");
    assert_eq!(reader.stream(199).expect("intact").contents.len(), 10);
}

#[test]
fn many_read_at_once_while_it_is_written() {
    let directory = Directory::new("many");
    let path = directory.file("a.debugop");
    let mut writer = begin(&path, 1, 4000);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut seen = 0;
                while seen < 500 {
                    let reader = read_all(&path).expect("intact");
                    assert!(reader.stream_len() >= seen, "nothing that was there goes");
                    seen = reader.stream_len();
                    check_stream(&reader, 0..seen as u64, 4000);
                }
            });
        }
        for number in 1..500 {
            add_chunk(&mut writer, number, 4000);
        }
    });
}

#[test]
fn a_large_code_object_has_a_chunk_of_its_own() {
    let directory = Directory::new("large");
    let path = directory.file("a.debugop");
    let mut writer = begin(&path, 1, 100);
    let large = CodeRecord {
        number: 1,
        code: contents(0, 100_000),
        ..code(1)
    };
    writer.add_code(&large).expect("added");
    writer.add_code(&code(2)).expect("added");
    drop(writer);
    let reader = read_all(&path).expect("intact");
    assert_eq!(reader.codes().expect("intact"), [code(0), large, code(2)]);
}

#[test]
fn a_ring_keeps_the_newest_chunks() {
    let directory = Directory::new("ring");
    let path = directory.file("a.debugop");
    let ring = Options {
        ring: Some(50_000),
        ..options()
    };
    let mut writer = Writer::create(&path, &header(), &ring).expect("created");
    writer.add_code(&code(0)).expect("added");
    for number in 0..1000 {
        add_chunk(&mut writer, number, 4000);
        let size = std::fs::metadata(&path).expect("there").len();
        assert!(size < 100_000, "{size}");
        if number % 100 == 50 {
            let reader = read_all(&path).expect("intact");
            let first = reader.stream(0).expect("intact").info.sequence;
            check_stream(&reader, first..number + 1, 4000);
            assert_eq!(reader.codes().expect("intact"), [code(0)]);
        }
    }
    let finished = writer.finish(&Summary::default()).expect("finished");
    assert_eq!(finished.stream_bytes, 4_000_000);
    let reader = read_all(&path).expect("intact");
    check_stream(&reader, 1000 - finished.chunks..1000, 4000);
    let kept: u64 = reader.chunks().map(|chunk| chunk.stored).sum();
    assert!((50_000 - 4096..80_000).contains(&kept), "{kept}");
}

#[test]
fn a_writer_that_pauses_goes_on() {
    let directory = Directory::new("paused");
    let path = directory.file("a.debugop");
    let mut writer = begin(&path, 3, 4000);
    for number in 3..40 {
        writer.pause();
        if number % 2 == 0 {
            writer.pause();
        }
        add_chunk(&mut writer, number, 4000);
    }
    writer.pause();
    check_stream(&read_all(&path).expect("intact"), 0..40, 4000);
    let finished = writer.finish(&Summary::default()).expect("finished");
    assert_eq!(finished.chunks, 40);
    check_stream(&read_all(&path).expect("intact"), 0..40, 4000);
}

#[test]
fn a_writer_that_is_forgotten_touches_nothing() {
    let directory = Directory::new("forgotten");
    let path = directory.file("a.debugop");
    begin(&path, 3, 100).forget();
    let reader = read_all(&path).expect("intact");
    check_stream(&reader, 0..3, 100);
}

#[test]
fn a_file_that_is_replaced_is_let_go() {
    let directory = Directory::new("replaced");
    let path = directory.file("a.debugop");
    let mut old = begin(&path, 1, 100);
    let reader = read_all(&path).expect("intact");
    let new = begin(&path, 2, 200);
    add_chunk(&mut old, 1, 100);
    check_stream(&reader, 0..1, 100);
    new.finish(&Summary::default()).expect("finished");
    check_stream(&read_all(&path).expect("intact"), 0..2, 200);
}

#[test]
fn a_directory_that_has_gone_is_an_error_at_the_end() {
    let directory = Directory::new("gone");
    let path = directory.file("a.debugop");
    let mut writer = begin(&path, 1, 100);
    std::fs::remove_dir_all(&directory.0).expect("removed");
    for number in 1..20 {
        add_chunk(&mut writer, number, 100);
    }
    let error = writer.finish(&Summary::default()).expect_err("no file");
    assert!(matches!(error, Error::Io { .. }), "{error}");
}

#[test]
fn a_tail_of_another_recording_is_not_taken() {
    let directory = Directory::new("another");
    let (path, other) = (directory.file("a"), directory.file("b"));
    begin(&path, 2, 100).forget();
    begin(&other, 2, 100).forget();
    std::fs::rename(tail_path(&other), tail_path(&path)).expect("renamed");
    assert!(matches!(
        Reader::open(&path),
        Err(Error::Damaged {
            damage: Damage::Truncated,
            ..
        })
    ));
}

/// How many chunks of code, sources and stream a whole file of `small` has.
const SMALL_CHUNKS: u64 = 6;

#[test]
fn a_file_that_is_cut_is_an_error_and_gives_what_is_whole() {
    let directory = Directory::new("cut");
    let whole = small(&directory);
    let (path, to) = (directory.file("cut"), directory.file("recovered"));
    let mut most = 0;
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).expect("written");
        match read_all(&path) {
            Err(Error::Damaged { offset, .. }) => assert!(offset <= length as u64),
            Err(Error::NotARecording { .. }) => assert!(length < 8),
            other => panic!("cut to {length} bytes: {other:?}"),
        }
        match recover(&path, &to) {
            Ok(recovered) => {
                let reader = read_all(&to).expect("intact");
                assert!(reader.summary().expect("finished").recovered);
                assert_eq!(reader.chunks().count() as u64, recovered.chunks);
                assert!(recovered.chunks >= most, "more bytes, not less chunks");
                most = recovered.chunks;
                check_stream(&reader, 0..recovered.stream_chunks, 40);
            }
            Err(Error::NotARecording { .. } | Error::Damaged { .. }) => assert_eq!(most, 0),
            Err(error) => panic!("cut to {length} bytes: {error}"),
        }
    }
    assert_eq!(most, SMALL_CHUNKS, "all of them");
}

/// What a recording says of its end is kept, and so are the gaps of one that has been recovered before.
#[test]
fn what_is_recovered_keeps_its_summary_and_gaps() {
    let directory = Directory::new("summary");
    let (path, to) = (directory.file("a.debugop"), directory.file("b.debugop"));
    let summary = Summary {
        duration: 5,
        records: Some(7),
        gaps: vec![2],
        ..Summary::default()
    };
    begin(&path, 4, 4000).finish(&summary).expect("finished");
    recover(&path, &to).expect("intact");
    let recovered = Summary {
        recovered: true,
        ..summary
    };
    assert_eq!(read_all(&to).expect("intact").summary(), Some(&recovered));
}

#[test]
fn a_flipped_bit_is_an_error_and_costs_one_chunk() {
    let directory = Directory::new("flipped");
    let whole = small(&directory);
    let (path, to) = (directory.file("flipped"), directory.file("recovered"));
    for bit in 0..8 * whole.len() {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, &damaged).expect("written");
        match read_all(&path) {
            Err(Error::Damaged { offset, .. }) => assert!(offset < whole.len() as u64),
            Err(Error::NotARecording { .. } | Error::Version { .. }) => assert!(bit < 80),
            other => panic!("bit {bit}: {other:?}"),
        }
        // Each byte is enough for this, which takes longer.
        if bit % 8 != (bit / 8) % 8 {
            continue;
        }
        match recover(&path, &to) {
            Ok(recovered) => {
                assert!(
                    recovered.chunks >= SMALL_CHUNKS - 1,
                    "bit {bit}: {recovered:?}"
                );
                assert_eq!(recovered.damage.len(), 1, "bit {bit}: {recovered:?}");
                let reader = read_all(&to).expect("intact");
                let gaps = &reader.summary().expect("finished").gaps;
                assert_eq!(
                    gaps.len(),
                    usize::from(
                        recovered.stream_chunks == 2 && {
                            let first = reader.stream(0).expect("intact");
                            let second = reader.stream(1).expect("intact");
                            second.info.time - first.info.time != 1000
                        }
                    )
                );
            }
            Err(Error::NotARecording { .. } | Error::Version { .. }) => assert!(bit < 80),
            Err(error) => panic!("bit {bit}: {error}"),
        }
    }
}

/// The offsets of the chunks in a file.
fn chunk_offsets(bytes: &[u8]) -> Vec<usize> {
    let marker = b"\xf3chunk\r\n";
    (0..bytes.len())
        .filter(|&at| bytes[at..].starts_with(marker))
        .collect()
}

/// Lets a chunk header have its checksum again.
fn seal(bytes: &mut [u8], chunk: usize) {
    let checksum = crc32c::crc32c(&bytes[chunk..chunk + 52]);
    bytes[chunk + 52..chunk + 56].copy_from_slice(&checksum.to_le_bytes());
}

#[test]
fn of_headers_with_other_numbers_the_first_is_recovered() {
    let directory = Directory::new("headers");
    let whole = small(&directory);
    let (path, to) = (directory.file("headers"), directory.file("recovered"));
    let offsets = chunk_offsets(&whole);
    let (first, second) = (offsets[0], offsets[1]);
    let mut numbered = whole.clone();
    numbered[first + 24] = 5;
    seal(&mut numbered, first);
    let mut twice = numbered.clone();
    twice.splice(second..second, whole[first..second].iter().copied());
    for bytes in [numbered, twice] {
        std::fs::write(&path, &bytes).expect("written");
        let recovered = recover(&path, &to).expect("recovered");
        assert!(recovered.damage.is_empty());
        assert_eq!(recovered.chunks, SMALL_CHUNKS);
        let (found, plain) = (read_all(&to).expect("intact"), directory.file("plain"));
        std::fs::write(&plain, &whole).expect("written");
        assert_eq!(found.header(), read_all(&plain).expect("intact").header());
    }
}

#[test]
fn chunks_in_another_order_are_an_error_and_put_in_order() {
    let directory = Directory::new("reordered");
    let whole = small(&directory);
    let offsets = chunk_offsets(&whole);
    let path = directory.file("reordered");
    let (first, second, third) = (offsets[2], offsets[3], offsets[4]);
    // Header, code, stream 0, …: what follows differs in kind, so look for two neighbours that are both of the stream.
    let kinds: Vec<u8> = offsets.iter().map(|&at| whole[at + 8]).collect();
    let pair = kinds
        .windows(2)
        .position(|pair| pair == [3, 3])
        .expect("two neighbours of the stream");
    let (a, b) = (offsets[pair], offsets[pair + 1]);
    let c = offsets[pair + 2];
    assert!(first < second && second < third);
    let reordered = [&whole[..a], &whole[b..c], &whole[a..b], &whole[c..]].concat();
    std::fs::write(&path, reordered).expect("written");
    let error = read_all(&path).expect_err("refused");
    assert!(
        matches!(error, Error::Damaged { offset, .. } if offset == a as u64),
        "{error}"
    );
    let to = directory.file("recovered");
    recover(&path, &to).expect("recovered");
    check_stream(&read_all(&to).expect("intact"), 0..3, 40);

    // The same without an index.
    let end = offsets[offsets.len() - 2];
    let without = [&whole[..a], &whole[b..c], &whole[a..b], &whole[c..end]].concat();
    std::fs::write(&path, without).expect("written");
    let error = read_all(&path).expect_err("refused");
    assert!(
        matches!(
            error,
            Error::Damaged {
                damage: Damage::Sequence { .. },
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn lies_with_the_right_checksum_are_errors() {
    let directory = Directory::new("lies");
    let whole = small(&directory);
    let offsets = chunk_offsets(&whole);
    let path = directory.file("lie");
    let index = offsets[offsets.len() - 2];
    let check = |field: usize, bytes: &[u8], expected: fn(&Damage) -> bool| {
        // The last chunk of the stream, in a file without index and end.
        let mut lie = whole[..index].to_vec();
        let chunk = offsets[4];
        lie[chunk + field..chunk + field + bytes.len()].copy_from_slice(bytes);
        seal(&mut lie, chunk);
        std::fs::write(&path, &lie).expect("written");
        match read_all(&path) {
            Err(Error::Damaged { offset, damage }) => {
                assert!(expected(&damage), "{damage}");
                assert_eq!(offset, chunk as u64);
            }
            other => panic!("field {field}: {other:?}"),
        }
    };
    check(8, &[99], |damage| matches!(damage, Damage::Kind(99)));
    check(9, &[9], |damage| matches!(damage, Damage::Compression(9)));
    check(12, &[0xff; 4], |damage| {
        matches!(damage, Damage::Length(0xffff_ffff))
    });
    check(16, &[0xff; 4], |damage| {
        matches!(damage, Damage::Length(0xffff_ffff))
    });
    let most = u32::try_from(MAX_CONTENTS).expect("fits").to_le_bytes();
    check(12, &most, |damage| matches!(damage, Damage::Truncated));

    let mut version = whole.clone();
    version[8..10].copy_from_slice(&999u16.to_le_bytes());
    std::fs::write(&path, &version).expect("written");
    assert!(matches!(
        read_all(&path),
        Err(Error::Version { found: 999 })
    ));
    assert!(matches!(
        recover(&path, &directory.file("to")),
        Err(Error::Version { found: 999 })
    ));
}

#[test]
fn a_recording_of_a_killed_process_is_recovered_with_its_tail() {
    let directory = Directory::new("recover");
    let (path, to) = (directory.file("a"), directory.file("b"));
    begin(&path, 9, 4000).forget();
    let recovered = recover(&path, &to).expect("recovered");
    assert_eq!(recovered.stream_chunks, 9);
    let reader = read_all(&to).expect("intact");
    check_stream(&reader, 0..9, 4000);
    assert_eq!(reader.codes().expect("intact"), [code(0), code(1)]);
    assert!(matches!(recover(&path, &path), Err(Error::Io { .. })));
}

#[test]
fn packing_makes_it_smaller_and_leaves_it_the_same() {
    let directory = Directory::new("pack");
    let (path, to) = (directory.file("a"), directory.file("b"));
    let writer = begin(&path, 20, 4000);
    writer
        .finish(&Summary {
            steps: Some(5),
            ..Summary::default()
        })
        .expect("finished");
    let done = AtomicUsize::new(0);
    let packing = Packing {
        packs: &|_| None,
        done: &|| {
            done.fetch_add(1, Ordering::Relaxed);
        },
    };
    let packed = pack(&path, &to, None, &packing).expect("packed");
    assert_eq!(done.into_inner(), 20);
    assert!(packed.after < packed.before, "{packed:?}");
    let (before, after) = (
        read_all(&path).expect("intact"),
        read_all(&to).expect("intact"),
    );
    assert_eq!(before.uuid(), after.uuid());
    assert_eq!(before.summary(), after.summary());
    assert_eq!(before.header(), after.header());
    check_stream(&after, 0..20, 4000);
    assert_eq!(
        after.codes().expect("intact"),
        before.codes().expect("intact")
    );
    assert_eq!(after.sources().expect("intact"), [source()]);
}
