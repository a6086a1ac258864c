//! `debugop pack`: makes a recording smaller, for keeping.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::Args;
use debugop_recording::file::{Ending, Error, Packed, Packing, index_path, pack, tail_path};
use debugop_replay::{Doing, Index, Progress, Recording, Teller, packed};

use crate::Answer;
use crate::info::{shown, size};
use crate::show::advice_on_file;

/// Write a recording anew, as small as it gets, for keeping or sending: what replay can compute is left out.
///
/// It stays the same recording and answers the same, and what is otherwise found out by replaying it once is in it: that may make a recording of few steps larger.
/// Without -o it takes the place of the old one.
#[derive(Debug, Args)]
#[command(name = "pack", after_help = EXAMPLES, disable_version_flag = true)]
pub(crate) struct PackArguments {
    /// The recording
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Write it to OUT, whatever is there, and leave FILE as it is
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,

    /// Only compress it well: three times as large, but made, and gone through as a whole, several times as fast
    #[arg(long)]
    quick: bool,
}

const EXAMPLES: &str = "\
Examples:
  debugop pack script.debugop
  debugop pack script.debugop -o archive/script.debugop";

/// Options of `debugop pack`, complete and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackOptions {
    /// The recording.
    pub file: PathBuf,
    /// Where to; `None`: in its place.
    pub output: Option<PathBuf>,
    /// Whether it is only compressed.
    pub quick: bool,
}

/// What is said of a file that has not become smaller.
fn why_larger(packed: &Packed, has_index: bool) -> &'static str {
    match (packed.after > packed.before, has_index) {
        (false, _) => "",
        (true, true) => ": larger, because the index of its steps is in it now",
        (true, false) => ": larger, because there was nothing to leave out",
    }
}

impl PackArguments {
    pub(crate) fn into_options(self) -> PackOptions {
        PackOptions {
            file: self.file,
            output: self.output,
            quick: self.quick,
        }
    }
}

impl PackOptions {
    /// Carries the command out.
    #[must_use]
    pub fn answer(&self, progress: fn(&Path, Progress)) -> Answer {
        // Without one it is made by whoever asks first.
        let opened = crate::progress::open(&self.file, progress).ok();
        let complete = |recording: &&Recording| recording.reader().ending() != Ending::Writing;
        let recording = opened.as_ref().filter(complete);
        let index = recording.and_then(|recording| recording.index().ok());
        let index = index.map(Index::bytes);
        let chunks = recording.map_or(0, |recording| recording.reader().stream_len());
        let tell = |done| progress(&self.file, done);
        let teller = Teller::new(Some(&tell), Doing::Pack, chunks);
        let packing = Packing {
            packs: &|contents| match recording {
                Some(recording) if !self.quick => packed::pack(recording.codes(), contents),
                _ => None,
            },
            done: &|| teller.done(),
        };
        let result = match &self.output {
            Some(to) => pack(&self.file, to, index, &packing),
            None => self.in_place(index, &packing),
        };
        match result {
            Ok(packed) => Answer::text(format!(
                "{}: {}, was {}{}\n",
                shown(self.output.as_ref().unwrap_or(&self.file)),
                size(packed.after),
                size(packed.before),
                why_larger(&packed, index.is_some()),
            )),
            Err(error) => Answer::error(&self.file, &error, advice_on_file(&error)),
        }
    }

    fn in_place(&self, index: Option<&[u8]>, packing: &Packing<'_>) -> Result<Packed, Error> {
        let mut name = self.file.as_os_str().to_owned();
        name.push(".packed");
        let to = PathBuf::from(name);
        let packed = pack(&self.file, &to, index, packing).and_then(|packed| {
            std::fs::rename(&to, &self.file).map_err(Error::io("replace the recording"))?;
            Ok(packed)
        });
        if packed.is_err() {
            // What there is of it is of no use; that it cannot be removed is not worth a second error.
            let _ = std::fs::remove_file(&to);
            return packed;
        }
        if index.is_some() {
            // It is inside now; another one beside it does no harm.
            let _ = std::fs::remove_file(index_path(&self.file));
        }
        // What was in the tail of a killed recording is in the file now.
        match std::fs::remove_file(tail_path(&self.file)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::io("remove the recording's tail file")(error))
            }
            _ => packed,
        }
    }
}
