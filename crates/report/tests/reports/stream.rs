//! Streams that are not as tidy as a program from start to end: cut, interleaved, hostile.

use std::io::{self, Write};

use debugop_bytecode::InstrIdx;
use debugop_report::{JsonlReport, Report, Sources, SummaryReport, TextOptions, TextReport};
use debugop_value::Value;
use proptest::prelude::*;

use crate::support::{Shared, Stream, sources};

const OPTIONS: TextOptions = TextOptions {
    width: 80,
    color: false,
    flush_each_step: false,
};

fn text_of(stream: &Stream, sources: Sources) -> String {
    let out = Shared::default();
    let report = TextReport::new(out.clone(), OPTIONS, sources);
    stream.play(Box::new(report)).expect("written");
    out.text()
}

#[test]
fn a_stream_may_begin_and_end_anywhere() {
    let mut stream = Stream::load("generators", "3.14");
    stream.steps = stream.steps[30..48].to_vec();
    insta::assert_snapshot!(text_of(&stream, sources()));
}

#[test]
fn frames_may_switch_without_a_word() {
    let mut stream = Stream::load("fib", "3.14");
    // As if calls and returns were filtered out.
    stream.steps.retain(|step| {
        let name = stream.codes[step.code].instructions()[step.instruction.0 as usize]
            .op
            .name();
        name.starts_with("BINARY")
    });
    insta::assert_snapshot!(text_of(&stream, sources()));
}

#[test]
fn without_sources_lines_are_still_numbered() {
    let text = text_of(&Stream::load("lol", "3.14"), Sources::new());
    assert!(text.contains("\n│ │ 2\n"), "{text}");
    assert!(!text.contains("for i in range"));
}

/// Accepts a number of bytes, then fails as a pipe whose reader has gone.
struct Pipe(usize);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let accepted = bytes.len().min(self.0);
        self.0 -= accepted;
        match accepted {
            0 => Err(io::ErrorKind::BrokenPipe.into()),
            _ => Ok(accepted),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_closed_pipe_is_an_error_of_every_report() {
    let stream = Stream::load("errors", "3.11");
    for room in [0, 10, 5000] {
        let reports: [Box<dyn Report>; 2] = [
            Box::new(TextReport::new(Pipe(room), OPTIONS, sources())),
            Box::new(JsonlReport::new(Pipe(room))),
        ];
        for report in reports {
            let error = stream.play(report).expect_err("the pipe is closed");
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        }
    }
    let error = stream.play(Box::new(SummaryReport::new(Pipe(0))));
    assert_eq!(error.expect_err("closed").kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn a_step_of_another_code_object_is_refused() {
    let mut stream = Stream::load("lol", "3.14");
    stream.steps[0].instruction = InstrIdx(999);
    let out = Shared::default();
    let reports: [Box<dyn Report>; 2] = [
        Box::new(TextReport::new(out.clone(), OPTIONS, sources())),
        Box::new(JsonlReport::new(out)),
    ];
    for report in reports {
        let error = stream.play(report).expect_err("no such instruction");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}

#[test]
fn steps_are_handed_on_at_once_when_asked() {
    let stream = Stream::load("lol", "3.14");
    let options = TextOptions {
        flush_each_step: true,
        ..OPTIONS
    };
    let out = Shared::default();
    let mut report = TextReport::new(out.clone(), options, sources());
    let recorded = &stream.steps[0];
    let step = debugop_report::Step {
        number: 1,
        thread: 1,
        frame: 1,
        depth: 0,
        code: &stream.codes[recorded.code],
        instruction: recorded.instruction,
        event: recorded.event,
        stack: &recorded.stack,
        exception: None,
    };
    report.step(&step).expect("written");
    assert!(out.text().contains("RESUME"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Names, source lines and values come from the program: nothing in them may reach the terminal as a command, and
    /// no order of steps may upset the report.
    #[test]
    fn hostile_streams_give_printable_lines(
        name in ".*",
        value in ".*",
        source in ".*",
        order in prop::collection::vec((0..100_usize, 0..3_u64, 0..3_u64, 0..40_u32), 0..40),
        width in 0..120_usize,
    ) {
        let mut stream = Stream::load("errors", "3.14");
        let mut sources = Sources::new();
        sources.register(&name, source.repeat(8));
        for code in &mut stream.codes {
            code.names.qualname.clone_from(&name);
            code.names.filename.clone_from(&name);
        }
        let steps = order.iter().map(|&(index, thread, frame, depth)| {
            let mut step = stream.steps[index].clone();
            (step.thread, step.frame, step.depth) = (thread, frame, depth);
            step.stack.push(Value::str(&value));
            step
        });
        stream.steps = steps.collect();
        let out = Shared::default();
        let options = TextOptions { width, ..OPTIONS };
        let report = TextReport::new(out.clone(), options, sources);
        stream.play(Box::new(report)).expect("written");
        for line in out.text().split('\n') {
            prop_assert_eq!(debugop_value::escaped(line), line);
            prop_assert!(debugop_value::width(line) <= width.max(40), "{line:?}");
        }
    }
}
