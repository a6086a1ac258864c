//! A process that writes a recording is killed at any moment, or is refused more disk: what it had committed is there.
//!
//! `KILLS=1000` kills so many times.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use debugop_recording::file::{
    CodeRecord, Ending, Header, Next, Options, Reader, Summary, Writer, recover,
};
use debugop_recording::stream::{
    Decoder, Encoder, FrameNumber, Last, ObjectId, Predictor, Progress, Record, SiteNumber,
    ThreadNumber, Value,
};

const PATH: &str = "DEBUGOP_TEST_PATH";
const RING: &str = "DEBUGOP_TEST_RING";
const COUNT: &str = "DEBUGOP_TEST_COUNT";

/// Begins a chunk with a keyframe: one thread, one frame.
fn begin_chunk(writer: &mut Writer) -> Result<usize, debugop_recording::file::Error> {
    while writer.try_next(0)? == Next::Full {
        writer.waiter().wait();
    }
    let slot = writer.slot().expect("just made");
    let mut encoder = Encoder::new(slot.bytes_mut(), 0);
    encoder.keyframe(0, ObjectId(0), FrameNumber(1), 1, ThreadNumber(0));
    encoder.keyframe_thread(ThreadNumber(0), 1, b"MainThread", 0, 1);
    encoder.frame(FrameNumber(0), 0, 0, Progress::Ready, 0);
    let at = encoder.at();
    slot.commit(at);
    Ok(at)
}

/// What the child does: records that hold 0, 1, 2, … at the sites of as many code objects as there are, and a line
/// for the parent after some of them.
fn write_until_killed(path: &Path) -> Result<(), debugop_recording::file::Error> {
    let number_in = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let options = Options {
        slots: 4,
        slot_size: 4096,
        ring: number_in(RING),
    };
    let mut writer = Writer::create(path, &Header::default(), &options)?;
    let mut predictor = Predictor::default();
    let mut stdout = std::io::stdout().lock();
    let mut last = Last::NOTHING;
    let mut sites = 0;
    let mut at = 0;
    for number in 0..number_in(COUNT).unwrap_or(u64::MAX) {
        if number % 1000 == 0 {
            writer.add_code(&CodeRecord {
                number: sites,
                site_base: sites,
                captures: vec![1],
                code: vec![9; 100],
                ..CodeRecord::default()
            })?;
            sites += 1;
            predictor.grow(sites as usize);
        }
        let site = SiteNumber(number as u32 % sites);
        loop {
            if let Some(slot) = writer.slot() {
                let mut encoder = Encoder::new(slot.bytes_mut(), at);
                if !predictor.follows(last, site) {
                    encoder.site(site);
                }
                encoder.int(number.cast_signed());
                if !encoder.overflowed() {
                    at = encoder.at();
                    slot.commit(at);
                    break;
                }
            }
            at = begin_chunk(&mut writer)?;
            predictor.clear();
            last = Last::NOTHING;
        }
        last = Last::site(site, false);
        if number % 64 == 0 {
            // Who reads this may be gone; then it is time to end.
            if writeln!(stdout, "{number}")
                .and_then(|()| stdout.flush())
                .is_err()
            {
                return Ok(());
            }
        }
    }
    writer.finish(&Summary::default()).map(|_| ())
}

/// Not a test: what the tests below run in a process of its own.
#[test]
fn child() {
    if let Some(path) = std::env::var_os(PATH)
        && let Err(error) = write_until_killed(path.as_ref())
    {
        writeln!(std::io::stdout(), "error: {error}").expect("somebody reads");
        // As if killed: what is in the tail stays there.
        std::process::exit(3);
    }
}

fn command(path: &Path, shell: &str) -> Command {
    let this = std::env::current_exe().expect("known");
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            &format!("{shell} exec \"$0\" --exact child --nocapture"),
        ])
        .arg(this)
        .env(PATH, path)
        .stdout(Stdio::piped());
    command
}

/// The numbers that were recorded: all from the first to the last one, without a gap.
#[track_caller]
fn read(path: &Path) -> std::ops::Range<u64> {
    let reader = Reader::open(path).expect("readable");
    let codes = reader.codes().expect("intact");
    let mut captures = Vec::new();
    for (number, code) in codes.iter().enumerate() {
        assert_eq!(code.number as usize, number);
        captures.extend(&code.captures);
    }
    let mut range: Option<std::ops::Range<u64>> = None;
    for index in 0..reader.stream_len() {
        let chunk = reader.stream(index).expect("intact");
        let (mut decoder, _) = Decoder::new(&chunk.contents, &captures).expect("a keyframe");
        let mut record = Record::default();
        while decoder.next(&mut record).expect("whole records") {
            let [Value::Int(number)] = record.values[..] else {
                panic!("{record:?}");
            };
            let number = number.cast_unsigned();
            let range = range.get_or_insert(number..number);
            assert_eq!(number, range.end, "chunk {index}");
            range.end += 1;
        }
    }
    range.unwrap_or(0..0)
}

/// Kills a child at a random moment and checks what is left. Returns how many records there are.
fn kill_one(path: &Path, round: u64, ring: bool) -> u64 {
    let mut command = command(path, "");
    if ring {
        command.env(RING, "20000");
    }
    let mut child = command.spawn().expect("started");
    let mut told = BufReader::new(child.stdout.take().expect("piped"));
    // Up to 20 ms, in steps that do not repeat.
    let pause = Duration::from_micros(round.wrapping_mul(7919) % 20_000);
    let mut line = String::new();
    while !line.trim().ends_with(|c: char| c.is_ascii_digit()) || line.contains("test") {
        line.clear();
        told.read_line(&mut line).expect("readable");
    }
    let killer = std::thread::spawn(move || {
        std::thread::sleep(pause);
        child.kill().expect("killed");
        child.wait().expect("ended")
    });
    let mut last: u64 = line.trim().parse().unwrap_or(0);
    loop {
        line.clear();
        if told.read_line(&mut line).expect("readable") == 0 {
            break;
        }
        if line.ends_with('\n') {
            last = line.trim().parse().expect("a number");
        }
    }
    killer.join().expect("no panic");
    assert_eq!(
        Reader::open(path).expect("readable").ending(),
        Ending::Killed
    );
    let found = read(path);
    assert!(found.end > last, "{last} was committed, {found:?} found");
    // One line is told for 64 records, so there cannot be more.
    assert!(found.end <= last + 65, "{last} was told, {found:?} found");
    if !ring {
        assert_eq!(found.start, 0);
    }
    let to = path.with_extension("recovered");
    let recovered = recover(path, &to).expect("recovered");
    // At most the chunk that was being written is cut off; its records are in the tail.
    assert!(recovered.damage.len() <= 1, "{recovered:?}");
    assert_eq!(read(&to), found);
    found.end
}

#[test]
fn nothing_that_was_committed_is_lost_when_the_process_is_killed() {
    let kills = std::env::var("KILLS").map_or(200, |kills| kills.parse().expect("a number"));
    let directory = std::env::temp_dir().join(format!("debugop-killed-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a temporary directory");
    let mut most = 0;
    for round in 0..kills {
        let path = directory.join("a.debugop");
        most = most.max(kill_one(&path, round, round % 4 == 3));
    }
    std::fs::remove_dir_all(&directory).expect("removed");
    assert!(
        most > 10_000,
        "so few records that nothing was tested: {most}"
    );
}

#[test]
fn a_file_that_may_not_grow_is_one_error_and_stays_readable() {
    let directory = std::env::temp_dir().join(format!("debugop-limit-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a temporary directory");
    let path = directory.join("a.debugop");
    // In blocks of 512 bytes; the tail needs 24 KiB of it. SIGXFSZ is not ignored: it would end the child.
    for blocks in [49, 64, 100] {
        let child = command(&path, &format!("ulimit -f {blocks};"))
            .env(COUNT, "1000000")
            .output()
            .expect("ran");
        let told = String::from_utf8_lossy(&child.stdout);
        assert_eq!(child.status.code(), Some(3), "{told}");
        assert!(told.contains("error: "), "{told}");
        let last = told
            .lines()
            .filter_map(|line| line.trim().parse::<u64>().ok())
            .next_back();
        let found = read(&path);
        assert_eq!(found.start, 0);
        assert!(
            last.is_none_or(|last| found.end > last),
            "{last:?}, {found:?}"
        );
    }
    std::fs::remove_dir_all(&directory).expect("removed");
}
