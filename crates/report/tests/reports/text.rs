//! What the text report looks like, on streams recorded from real programs.

use crate::support::{PROGRAMS, Shared, Stream, VERSIONS, sources};
use debugop_report::{TextOptions, TextReport};

fn report(program: &str, version: &str, width: usize, color: bool) -> String {
    let out = Shared::default();
    let options = TextOptions {
        width,
        color,
        flush_each_step: false,
    };
    let text = TextReport::new(out.clone(), options, sources());
    Stream::load(program, version)
        .play(Box::new(text))
        .expect("written");
    out.text()
}

#[test]
fn programs_as_people_see_them() {
    for program in PROGRAMS {
        for version in VERSIONS {
            let text = report(program, version, 100, false);
            insta::assert_snapshot!(format!("{program}-{version}"), text);
        }
    }
}

#[test]
fn in_colour() {
    insta::assert_snapshot!(report("lol", "3.14", 100, true));
}

#[test]
fn in_a_narrow_terminal() {
    insta::assert_snapshot!(report("errors", "3.14", 50, false));
}

#[test]
fn no_line_is_wider_than_asked() {
    for program in PROGRAMS {
        for width in [0, 40, 41, 60, 80, 200] {
            let text = report(program, "3.14", width, false);
            for line in text.lines() {
                assert!(
                    debugop_value::width(line) <= width.max(40),
                    "{line:?} at {width}"
                );
            }
        }
    }
}

#[test]
fn colour_changes_nothing_but_colour() {
    for program in PROGRAMS {
        let coloured = report(program, "3.14", 100, true);
        let mut plain = String::new();
        let mut rest = coloured.as_str();
        while let Some((before, after)) = rest.split_once('\x1b') {
            plain.push_str(before);
            rest = after.split_once('m').expect("a complete sequence").1;
        }
        plain.push_str(rest);
        assert_eq!(plain, report(program, "3.14", 100, false));
    }
}
