//! Which chunk has which steps, and what has been executed in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use debugop_recording::file::Reader;

use crate::chunk::Chunk;
use crate::code::Codes;
use crate::error::{Error, ErrorKind, OpenError};
use crate::machine::Machine;

/// A chunk of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkEntry {
    /// The number of its first step.
    pub first: u64,
    /// How many steps it has.
    pub steps: u64,
    /// Nanoseconds since the recording began.
    pub time: u64,
    /// The sites that have fired in it, and those that frames stood at when it began, in order.
    pub sites: Box<[u32]>,
    /// Why it cannot be read to its end: what comes after is not in the recording.
    pub damage: Option<Box<str>>,
}

/// All chunks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// In their order.
    pub chunks: Box<[ChunkEntry]>,
}

impl Index {
    /// Replays every chunk once to count its steps, on as many threads as there are processors. `progress` is told now and then
    /// how many of the chunks are done.
    ///
    /// # Errors
    /// A chunk that cannot be read at all. One that breaks off is counted up to there.
    pub fn count(
        reader: &Reader,
        codes: &Arc<Codes>,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Self, OpenError> {
        let count = reader.stream_len();
        let next = AtomicUsize::new(0);
        let done = AtomicUsize::new(0);
        let workers = thread::available_parallelism()
            .map_or(1, usize::from)
            .min(count.max(1));
        let work = || -> Result<Vec<(usize, ChunkEntry)>, OpenError> {
            let mut mine = Vec::new();
            let mut machine = None;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok(mine);
                }
                mine.push((number, entry(reader, codes, number, &mut machine)?));
                progress(done.fetch_add(1, Ordering::Relaxed) + 1, count);
            }
        };
        let counted: Vec<Result<_, OpenError>> = thread::scope(|scope| {
            let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            let joined = threads.into_iter().map(thread::ScopedJoinHandle::join);
            joined
                .map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        });
        let mut chunks = Vec::with_capacity(count);
        for result in counted {
            chunks.extend(result?);
        }
        chunks.sort_unstable_by_key(|(number, _)| *number);
        let mut first = 0;
        let chunks = chunks.into_iter().map(|(_, mut chunk)| {
            chunk.first = first;
            first += chunk.steps;
            chunk
        });
        Ok(Self {
            chunks: chunks.collect(),
        })
    }

    /// Number of steps.
    pub fn len(&self) -> u64 {
        self.chunks
            .last()
            .map_or(0, |chunk| chunk.first + chunk.steps)
    }

    /// Whether there is no step.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The chunk that has a step.
    pub fn chunk_of(&self, step: u64) -> Option<usize> {
        let after = self.chunks.partition_point(|chunk| chunk.first <= step);
        let index = after.checked_sub(1)?;
        let chunk = &self.chunks[index];
        (step < chunk.first + chunk.steps).then_some(index)
    }
}

/// Reads and decodes a chunk; of one that breaks off, what comes before, and why.
pub(crate) fn read_chunk(
    reader: &Reader,
    codes: &Codes,
    number: usize,
) -> Result<(Chunk, Option<Error>), OpenError> {
    let contents = reader.stream(number)?.contents;
    let error = |error: debugop_recording::stream::Error| Error {
        chunk: number as u64,
        offset: error.offset,
        kind: ErrorKind::Stream(error),
    };
    let (chunk, broken) =
        Chunk::decode_lossy(number as u64, &contents, codes.captures()).map_err(error)?;
    Ok((chunk, broken.map(error)))
}

fn entry(
    reader: &Reader,
    codes: &Arc<Codes>,
    number: usize,
    machine: &mut Option<Machine>,
) -> Result<ChunkEntry, OpenError> {
    let (chunk, broken) = read_chunk(reader, codes, number)?;
    let chunk = Arc::new(chunk);
    let time = chunk.keyframe().time;
    let sites = chunk.sites();
    match machine {
        Some(machine) => machine.enter(chunk, 0)?,
        None => *machine = Some(Machine::new(Arc::clone(codes), chunk, 0)?),
    }
    let mut steps = 0;
    let mut damage = broken.map(|error| error.to_string().into());
    if let Some(machine) = machine {
        loop {
            match machine.skip_record() {
                Ok(Some(position)) => steps = position,
                Ok(None) => break,
                Err(error) => {
                    damage = Some(error.to_string().into());
                    break;
                }
            }
        }
    }
    Ok(ChunkEntry {
        first: 0,
        steps,
        time,
        sites,
        damage,
    })
}
