//! Makes the index of a recording: replays every chunk once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use debugop_bytecode::InstrIdx;
use debugop_recording::stream::FrameNumber;
use rustc_hash::FxHashMap;

use super::summary::{Carried, Found, MOST_OBJECTS};
use crate::chunk::Chunk;
use crate::machine::{Machine, Tally};
use crate::progress::{Doing, Teller};
use crate::recording::{OpenError, Recording};
use crate::state::Stepped;

/// What one chunk tells, before it is known what its frames have done before.
#[derive(Clone, Debug)]
struct Raw {
    found: Found,
    /// Frames from before, each with its first step.
    carried: Vec<(FrameNumber, u32, InstrIdx)>,
    ended: Vec<FrameNumber>,
    /// The last step of each frame that has stepped and not ended.
    last: Vec<(FrameNumber, InstrIdx)>,
    /// It could be followed up to a record, and no further.
    is_cut: bool,
}

/// What the chunks of a recording that is being made tell, by their numbers in it: those that have an end.
#[derive(Debug, Default)]
pub(crate) struct Replayed(Mutex<FxHashMap<u64, Raw>>);

impl Replayed {
    fn get(&self, sequence: u64) -> Option<Raw> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&sequence).cloned()
    }

    fn keep(&self, sequence: u64, raw: &Raw) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(sequence, raw.clone());
    }

    /// Forgets what has been dropped from a ring.
    fn forget_before(&self, sequence: u64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|known, _| *known >= sequence);
    }
}

/// The bytes of the index.
///
/// # Errors
/// If a chunk cannot be replayed.
pub(crate) fn build(recording: &Recording) -> Result<Vec<u8>, OpenError> {
    let mut bytes = Vec::new();
    let mut last: FxHashMap<FrameNumber, InstrIdx> = FxHashMap::default();
    let mut was_cut = false;
    for (chunk, mut raw) in replay_all(recording)?.into_iter().enumerate() {
        if recording.is_behind_gap(chunk) || was_cut {
            // What the frames have done there is not known.
            last.clear();
        }
        raw.found.lost.1 |= was_cut;
        was_cut = raw.is_cut;
        let carried = std::mem::take(&mut raw.carried);
        raw.found.carried = carried
            .iter()
            .map(|&(frame, code, first)| {
                let before = last.get(&frame).copied();
                let comes = before.is_none_or(|before| {
                    let code = recording.codes().get(code);
                    code.is_none_or(|code| code.comes_to_line(before, first))
                });
                if comes {
                    raw.found.arrives(code, first);
                }
                Carried {
                    frame,
                    code,
                    before,
                }
            })
            .collect();
        raw.found
            .carried
            .sort_unstable_by_key(|carried| carried.frame);
        raw.found.carried.dedup_by_key(|carried| carried.frame);
        for frame in &raw.ended {
            last.remove(frame);
        }
        last.extend(raw.last);
        raw.found.write(&mut bytes);
    }
    Ok(bytes)
}

impl Found {
    fn arrives(&mut self, code: u32, at: InstrIdx) {
        if let Ok(index) = self.codes.binary_search_by_key(&code, |known| known.0)
            && let Some(count) = self.codes[index].1.arrived.get_mut(at.0 as usize)
        {
            *count += 1;
        }
    }
}

/// Every chunk, on all processors.
fn replay_all(recording: &Recording) -> Result<Vec<Raw>, OpenError> {
    let chunks = recording.reader().stream_len();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let sequence = |index| {
        let info = recording.reader().stream_info(index);
        info.map_or(u64::MAX, |info| info.sequence)
    };
    let known = recording.replayed();
    if let Some(known) = known {
        known.forget_before(sequence(0));
    }
    let teller = Teller::new(recording.progress(), Doing::Index, chunks);
    let work = || -> Result<Vec<(usize, Raw)>, OpenError> {
        let mut done = Vec::new();
        let mut machine: Option<Machine> = None;
        let mut before: Option<Arc<Chunk>> = None;
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= chunks {
                return Ok(done);
            }
            if let Some(raw) = known.and_then(|known| known.get(sequence(index))) {
                done.push((index, raw));
                teller.done();
                continue;
            }
            let chunk = recording.decode(index)?;
            let machine = match &mut machine {
                Some(machine) => machine,
                None => {
                    let codes = Arc::clone(recording.codes());
                    let new = machine.insert(Machine::new(codes, Arc::clone(&chunk), 0)?);
                    new.keep_codes();
                    new.ends_where_lost();
                    new
                }
            };
            machine.enter_and_count(Arc::clone(&chunk))?;
            if let Some(before) = before.take() {
                recording.kept().leave(before);
            }
            while machine.skip_record()?.is_some() {}
            let tally = machine.counted().unwrap_or_default();
            let raw = raw(machine, &chunk, tally);
            // The last one goes on.
            if let Some(known) = known
                && index + 1 < chunks
            {
                known.keep(sequence(index), &raw);
            }
            done.push((index, raw));
            teller.done();
            before = Some(chunk);
        }
    };
    let found = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers.min(chunks))
            .map(|_| scope.spawn(work))
            .collect();
        let joined = workers.into_iter().map(|worker| match worker.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.collect::<Result<Vec<_>, _>>()
    })?;
    let mut found: Vec<(usize, Raw)> = found.into_iter().flatten().collect();
    found.sort_unstable_by_key(|found| found.0);
    Ok(found.into_iter().map(|found| found.1).collect())
}

fn raw(machine: &Machine, chunk: &Chunk, mut tally: Tally) -> Raw {
    let last = machine.frames().filter_map(|frame| match frame.stepped {
        Stepped::At(at) => Some((frame.number, at)),
        Stepped::Unknown | Stepped::Never => None,
    });
    let objects = match tally.stores_unknown {
        true => None,
        false => chunk.objects_from_before(MOST_OBJECTS, &tally.stored),
    };
    let places = std::mem::take(&mut tally.places).with_changes(chunk);
    let (lost, has_dropped) = chunk.lost();
    let mut threads = std::mem::take(&mut tally.threads);
    threads.sort_unstable();
    threads.dedup();
    Raw {
        last: last.collect(),
        carried: std::mem::take(&mut tally.carried),
        ended: std::mem::take(&mut tally.ended),
        is_cut: machine.is_cut(),
        found: Found {
            steps: machine.position(),
            next_frame: chunk.keyframe.next_frame.0,
            newest: chunk.keyframe.newest.0,
            unwound: tally.unwound,
            lost: (lost + u64::from(machine.is_cut()), has_dropped),
            threads,
            carried: Vec::new(),
            objects,
            places,
            codes: tally.into_codes(),
        },
    }
}
