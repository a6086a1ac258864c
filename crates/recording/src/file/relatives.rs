//! The recordings of the processes that have started a recorded one, or that it has started.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::format::MAGIC;
use super::{Reader, Uuid, os};

/// Of a directory no more recordings are looked at.
const MOST: usize = 4096;

/// The recordings next to one, in its directory, that belong to it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Relatives {
    /// That of the process which has started this one.
    pub parent: Option<PathBuf>,
    /// Those of the processes that this one has started, in the order in which they began.
    pub children: Vec<Child>,
}

/// The recording of a process that was started by a recorded one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// The file.
    pub path: PathBuf,
    /// The recording's name.
    pub uuid: Uuid,
    /// The number of its process.
    pub pid: u32,
    /// When it began: nanoseconds since 1970-01-01 UTC.
    pub start: u64,
}

impl Relatives {
    /// Looks for them. What cannot be read is none.
    #[must_use]
    pub fn of(reader: &Reader) -> Self {
        let (own, parent) = (reader.uuid().to_string(), reader.header().parent.as_ref());
        let mut found = Self::default();
        let directory = match reader.path().parent() {
            Some(directory) if directory != Path::new("") => directory,
            _ => Path::new("."),
        };
        let Ok(entries) = directory.read_dir() else {
            return found;
        };
        let paths = entries.flatten().map(|entry| match directory.as_os_str() {
            here if here == "." => PathBuf::from(entry.file_name()),
            _ => entry.path(),
        });
        for path in paths.filter(|path| is_recording(path)).take(MOST) {
            let Ok(other) = Reader::open(&path) else {
                continue;
            };
            let header = other.header();
            if parent.is_some_and(|parent| parent.uuid == other.uuid().to_string()) {
                found.parent = Some(path);
            } else if header.parent.as_ref().is_some_and(|one| one.uuid == own) {
                found.children.push(Child {
                    uuid: other.uuid(),
                    pid: header.pid,
                    start: header.start,
                    path,
                });
            }
        }
        found
            .children
            .sort_by(|one, other| (one.start, &one.path).cmp(&(other.start, &other.path)));
        found
    }
}

fn is_recording(path: &Path) -> bool {
    let mut magic = [0; MAGIC.len()];
    // Nothing else is opened: a pipe would be waited for.
    path.is_file()
        && File::open(path)
            .and_then(|file| os::read_at(&file, &mut magic, 0))
            .is_ok_and(|whole| whole && magic == MAGIC)
}
