//! A command line of the `python` executable, and the one that runs the same program under debugop.
//!
//! Which options there are and which take a value: `SHORT_OPTS` and `longoptions` in `Python/getopt.c`, 3.11-3.15.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// What the child executes to find debugop, which need not be installed where it looks for packages: its directory is the
/// first argument. Nothing of the program's own directory is looked at meanwhile.
const BOOTSTRAP: &str = "\
import sys
first = [] if sys.flags.safe_path else sys.path[:1]
sys.path[:] = [*sys.path[len(first) :], sys.argv.pop(1)]
from debugop._launch import child
child(first)
";

/// The command line that runs under debugop what `command` (with the executable's own name first) runs.
///
/// `directory` is where the package `debugop` is, `name` the name of debugop's own command, such as `run`, and `options` are its.
///
/// `None` if the interpreter would not run a script, `-m` or `-c`, would be interactive, or runs debugop already.
#[must_use]
pub fn under_debugop(
    command: &[OsString],
    directory: &OsStr,
    name: &str,
    options: &[OsString],
) -> Option<Vec<OsString>> {
    let (mut traced, program) = split(command)?;
    traced.extend([
        "-c".into(),
        BOOTSTRAP.into(),
        directory.to_owned(),
        name.into(),
    ]);
    traced.extend_from_slice(options);
    traced.extend(program);
    Some(traced)
}

/// What comes before the program, and the program with its arguments as `debugop run` takes it.
fn split(command: &[OsString]) -> Option<(Vec<OsString>, Vec<OsString>)> {
    let mut index = 1;
    loop {
        let word = command.get(index)?.as_bytes();
        let rest = || command[index + 1..].to_vec();
        let before = || command[..index].to_vec();
        match word {
            b"-" => return Some((before(), command[index..].to_vec())),
            b"--" => {
                let program = rest();
                return (!program.is_empty()).then(|| (before(), after_dashes(program)));
            }
            [b'-', b'-', long @ ..] => match long {
                b"check-hash-based-pycs" => index += 2,
                _ => return None,
            },
            [b'-', cluster @ ..] => match read(cluster) {
                Cluster::Flags { value_follows } => index += 1 + usize::from(value_follows),
                Cluster::Program { letter, at, value } => {
                    let mut program = vec![OsString::from(format!("-{letter}"))];
                    if value.is_empty() {
                        let rest = rest();
                        let text = rest.first()?;
                        if letter == 'c' && text == BOOTSTRAP {
                            return None;
                        }
                        program.extend(rest);
                    } else {
                        program.push(OsString::from_vec(value.to_vec()));
                        program.extend(rest());
                    }
                    let mut flags = before();
                    if at > 0 {
                        flags.push(OsString::from_vec(word[..=at].to_vec()));
                    }
                    return Some((flags, program));
                }
                Cluster::Other => return None,
            },
            _ => return Some((before(), after_dashes(command[index..].to_vec()))),
        }
    }
}

/// A script, whatever it is called.
fn after_dashes(mut program: Vec<OsString>) -> Vec<OsString> {
    if program.first().is_some_and(|script| script != "-") {
        program.insert(0, "--".into());
    }
    program
}

enum Cluster<'a> {
    /// Only flags, the last of which may have its value in the next word.
    Flags { value_follows: bool },
    /// `-c` or `-m`, after `at` flags in the same word, and what follows in it.
    Program {
        letter: char,
        at: usize,
        value: &'a [u8],
    },
    /// Nothing that debugop can do: help, versions, interactive use, `-x`, options that are not known.
    Other,
}

fn read(cluster: &[u8]) -> Cluster<'_> {
    for (at, letter) in cluster.iter().enumerate() {
        let value = &cluster[at + 1..];
        match letter {
            b'c' | b'm' => {
                let letter = char::from(*letter);
                return Cluster::Program { letter, at, value };
            }
            b'W' | b'X' => {
                return Cluster::Flags {
                    value_follows: value.is_empty(),
                };
            }
            b'b' | b'B' | b'd' | b'E' | b'I' | b'O' | b'P' | b'q' | b'R' | b's' | b'S' | b't'
            | b'u' | b'v' => {}
            _ => return Cluster::Other,
        }
    }
    Cluster::Flags {
        value_follows: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(command: &str, expected: Option<&str>) {
        let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        let options = [OsString::from("--all")];
        let found = under_debugop(&words(command), OsStr::new("/dir"), "run", &options);
        let expected = expected.map(|text| {
            let mut expected = words(text);
            for word in &mut expected {
                if word == "BOOTSTRAP" {
                    *word = BOOTSTRAP.into();
                }
            }
            expected
        });
        assert_eq!(found, expected, "{command}");
    }

    #[test]
    fn programs() {
        check(
            "python x.py",
            Some("python -c BOOTSTRAP /dir run --all -- x.py"),
        );
        check(
            "python - -c",
            Some("python -c BOOTSTRAP /dir run --all - -c"),
        );
        check(
            "python -- -c a",
            Some("python -c BOOTSTRAP /dir run --all -- -c a"),
        );
        check(
            "python -IS -W error -Xdev -X utf8 -m mod -c x",
            Some("python -IS -W error -Xdev -X utf8 -c BOOTSTRAP /dir run --all -m mod -c x"),
        );
        check(
            "python -cpass x",
            Some("python -c BOOTSTRAP /dir run --all -c pass x"),
        );
        check(
            "python -O -O -c pass",
            Some("python -O -O -c BOOTSTRAP /dir run --all -c pass"),
        );
    }

    #[test]
    fn flags_in_the_same_word() {
        check(
            "python -BOm mod",
            Some("python -BO -c BOOTSTRAP /dir run --all -m mod"),
        );
    }

    #[test]
    fn what_runs_no_program() {
        for command in [
            "python",
            "python -V",
            "python -i x.py",
            "python --version",
            "python -h",
            "python -c",
            "python -m",
            "python -x x.py",
            "python --",
            "python -Z x.py",
            "python -W",
        ] {
            check(command, None);
        }
    }

    #[test]
    fn what_runs_under_debugop_already() {
        let words = ["python", "-c", BOOTSTRAP, "/dir", "run", "x.py"].map(OsString::from);
        assert_eq!(under_debugop(&words, OsStr::new("/dir"), "run", &[]), None);
    }
}
