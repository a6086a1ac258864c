//! `debugop pack`: makes a recording smaller, for keeping.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::Args;
use debugop_recording::file::{Ending, Error, Packed, Packing, index_path, pack, tail_path};
use debugop_replay::{Index, Progress, Recording, packed};

use crate::Answer;
use crate::info::{shown, size};

/// Write a recording anew, as small as is sensible, for keeping or sending.
///
/// It stays the same recording: nothing is left out, and what is otherwise found out by replaying it once is in it. Without -o it takes the place of the
/// old one.
#[derive(Debug, Args)]
#[command(name = "pack", after_help = EXAMPLES, disable_version_flag = true)]
pub(crate) struct PackArguments {
    /// The recording
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Write it to OUT and leave FILE as it is
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,

    /// As small as it gets, a quarter of that, for the archive: what replay can compute is left out. Takes 1 to 2 seconds a million
    /// steps and processor to make, and a tenth of a second to go to a step
    #[arg(long)]
    best: bool,
}

const EXAMPLES: &str = "\
Examples:
  debugop pack script.debugop
  debugop pack --best script.debugop -o archive/script.debugop";

/// Options of `debugop pack`, complete and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackOptions {
    /// The recording.
    pub file: PathBuf,
    /// Where to; `None`: in its place.
    pub output: Option<PathBuf>,
    /// Whether what replay can compute is left out.
    pub best: bool,
}

impl PackArguments {
    pub(crate) fn into_options(self) -> PackOptions {
        PackOptions {
            file: self.file,
            output: self.output,
            best: self.best,
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
        let mut packs = |chunks: &[Vec<u8>]| match recording {
            Some(recording) if self.best => packed::pack_all(recording.codes(), chunks),
            _ => vec![None; chunks.len()],
        };
        let result = match &self.output {
            Some(to) => pack(&self.file, to, index, &mut packs),
            None => self.in_place(index, &mut packs),
        };
        match result {
            Ok(packed) => Answer::text(format!(
                "{}: {}, was {}\n",
                shown(self.output.as_ref().unwrap_or(&self.file)),
                size(packed.after),
                size(packed.before),
            )),
            Err(error) => Answer::error(&self.file, &error, ""),
        }
    }

    fn in_place(&self, index: Option<&[u8]>, packs: &mut Packing<'_>) -> Result<Packed, Error> {
        let mut name = self.file.as_os_str().to_owned();
        name.push(".packed");
        let to = PathBuf::from(name);
        let packed = pack(&self.file, &to, index, packs).and_then(|packed| {
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
