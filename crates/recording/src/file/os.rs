//! What is asked of the operating system: files that are ours alone, writes that cannot raise a signal, who a process is.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::FallocateFlags;
use rustix::process::{Resource, getrlimit};

/// Creates a file for reading and writing, for its owner only. What was there under this name is let go, not
/// written over: somebody may be writing or reading it.
pub(super) fn create_new(path: &Path) -> io::Result<File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// An error instead of `SIGXFSZ`, which would end the process.
fn within_limit(end: u64) -> io::Result<()> {
    match getrlimit(Resource::Fsize).current {
        Some(limit) if end > limit => Err(rustix::io::Errno::FBIG.into()),
        _ => Ok(()),
    }
}

/// Makes the file `size` bytes long, all of which it has.
pub(super) fn allocate(file: &File, size: u64) -> io::Result<()> {
    within_limit(size)?;
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, size) {
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
            let zeros = [0; 1 << 16];
            let mut at = 0;
            while at < size {
                let piece = (size - at).min(zeros.len() as u64);
                file.write_all_at(&zeros[..piece as usize], at)?;
                at += piece;
            }
            Ok(())
        }
        done => Ok(done?),
    }
}

/// Writes all of it at `offset`.
pub(super) fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    within_limit(offset.saturating_add(bytes.len() as u64))?;
    file.write_all_at(bytes, offset)
}

/// Fills `bytes` from `offset`; whether there was as much.
pub(super) fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<bool> {
    match file.read_exact_at(bytes, offset) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// A process: its id, and when it was started in the system's own units (0: not known), since ids are used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) start: u64,
}

impl Process {
    pub(super) fn this() -> Self {
        let pid = std::process::id();
        Process {
            pid,
            start: start_of(pid).unwrap_or(0),
        }
    }

    /// Whether it runs; `None` where that cannot be known.
    pub(super) fn is_running(self) -> Option<bool> {
        match (start_of(self.pid), self.start) {
            (_, 0) => None,
            (Some(start), known) => Some(start == known),
            (None, _) => Path::new("/proc/self/stat").exists().then_some(false),
        }
    }
}

/// The 22nd field of `/proc/PID/stat` (proc(5)); the second, the name in brackets, may contain anything. A zombie has ended.
fn start_of(pid: u32) -> Option<u64> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    if matches!(fields.next(), Some("Z" | "X")) {
        return None;
    }
    fields.nth(18)?.parse().ok()
}
