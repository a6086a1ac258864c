//! The tail: a shared mapping of a file beside the recording, in slots. What has been committed to a slot survives the
//! process, however it ends, because the pages belong to the file and not to the process.
//!
//! ```text
//! 0     magic, version, number of slots, bytes a slot, uuid, pid, start of the process, checksum; at 64, whether writing the file has failed
//! 4096  slot headers, 64 bytes each: state, kind, sequence, time, committed
//! then  the slots, from the next multiple of 4096
//! ```

#![expect(
    unsafe_code,
    reason = "memory that is shared with the file system can only be had by pointer"
)]

use std::fs::File;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};

use super::format::Fields;
use super::{ChunkKind, Error, Uuid, os};

const MAGIC: [u8; 8] = *b"\x89dbgtail";
const VERSION: u32 = 1;
const PAGE: usize = 4096;
const SLOT_HEADER: usize = 64;
/// Bytes of the file's header that are written when it is made.
const HEADER: usize = 60;
/// Offset of a word in the first page: 0, or why the file could not be written, the system's number for it + 1.
const FAILED: usize = 64;
/// A tail has no more than this.
const MAX_SLOTS: usize = 1024;

/// Offsets in a slot's header.
mod field {
    pub(super) const STATE: usize = 0;
    pub(super) const KIND: usize = 4;
    pub(super) const SEQUENCE: usize = 8;
    pub(super) const TIME: usize = 16;
    pub(super) const COMMITTED: usize = 24;
}

const FREE: u32 = 0;
const USED: u32 = 1;

/// How many slots of how many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    slots: usize,
    slot_size: usize,
}

impl Layout {
    /// Within bounds: 3 to 1024 slots of 4 KiB to 16 MiB, in whole pages.
    pub(super) fn new(slots: usize, slot_size: usize) -> Self {
        Layout {
            slots: slots.clamp(3, MAX_SLOTS),
            slot_size: slot_size
                .clamp(PAGE, super::MAX_CONTENTS)
                .next_multiple_of(PAGE),
        }
    }

    fn header_of(self, slot: usize) -> usize {
        PAGE + slot * SLOT_HEADER
    }

    fn contents_of(self, slot: usize) -> usize {
        (PAGE + self.slots * SLOT_HEADER).next_multiple_of(PAGE) + slot * self.slot_size
    }

    fn size(self) -> usize {
        self.contents_of(self.slots)
    }
}

/// The mapping, of the process that writes.
#[derive(Debug)]
pub(super) struct Tail {
    map: MmapRaw,
    layout: Layout,
}

impl Tail {
    /// Fills the file, which is new, and maps it.
    pub(super) fn create(file: &File, layout: Layout, uuid: Uuid) -> Result<Self, Error> {
        let size = layout.size();
        // Every block is there from now on: a write to a mapped page that cannot be had would end the process.
        os::allocate(file, size as u64).map_err(Error::io("allocate the recording's tail file"))?;
        os::write_all_at(file, &header(layout, uuid), 0)
            .map_err(Error::io("write the recording's tail file"))?;
        let map = MmapOptions::new()
            .len(size)
            .map_raw(file)
            .map_err(Error::io("map the recording's tail file"))?;
        Ok(Tail { map, layout })
    }

    pub(super) fn slots(&self) -> usize {
        self.layout.slots
    }

    pub(super) fn slot_size(&self) -> usize {
        self.layout.slot_size
    }

    /// Where a slot's header is, and where its contents are.
    fn place(&self, slot: usize) -> (*mut u8, *mut u8) {
        assert!(slot < self.layout.slots, "slots are numbered from 0");
        let base = self.map.as_mut_ptr();
        // SAFETY: both offsets are inside the mapping, which is `layout.size()` bytes long, because `slot` is one of its slots.
        unsafe {
            (
                base.add(self.layout.header_of(slot)),
                base.add(self.layout.contents_of(slot)),
            )
        }
    }

    fn u32_at(&self, slot: usize, field: usize) -> &AtomicU32 {
        let (header, _) = self.place(slot);
        // SAFETY: the fields are inside the slot's header of 64 bytes, which is as aligned as they are (page + a multiple of 64
        // + 0 or 4), lives as long as the mapping, that is as `self`, and is only ever accessed through these atomics.
        unsafe { AtomicU32::from_ptr(header.add(field).cast()) }
    }

    fn u64_at(&self, slot: usize, field: usize) -> &AtomicU64 {
        let (header, _) = self.place(slot);
        // SAFETY: as in `u32_at`; these fields are at multiples of 8.
        unsafe { AtomicU64::from_ptr(header.add(field).cast()) }
    }

    /// What has been committed to a slot that has been handed over.
    ///
    /// The slot's [`Slot`] must be gone: the writer's thread calls this for slots of its queue only.
    pub(super) fn contents(&self, slot: &HandedOver) -> &[u8] {
        let (_, contents) = self.place(slot.slot);
        // SAFETY: `HandedOver` is made by consuming the `Slot`, so nobody writes to these bytes until `free` consumes it; the bytes
        // are inside the mapping (`committed` is at most the slot's size, see `Slot::committed`) and live as long as `self`.
        // Other processes do not write to the file: it is ours alone (created with O_EXCL, mode 0600).
        unsafe { std::slice::from_raw_parts(contents, slot.committed) }
    }

    /// The file cannot be written any more; `error` is the system's number for why, or 0.
    pub(super) fn set_failed(&self, error: u32) {
        let base = self.map.as_mut_ptr();
        // SAFETY: the word is inside the first page, which every mapping has, is aligned as it is, lives as long as `self`, and is only ever
        // accessed through this atomic.
        let word = unsafe { AtomicU32::from_ptr(base.add(FAILED).cast()) };
        word.store(error.saturating_add(1), Ordering::Release);
    }

    /// Gives a slot back.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "who has given a slot back must not have it any more"
    )]
    pub(super) fn free(&self, slot: HandedOver) -> FreeSlot {
        self.u32_at(slot.slot, field::STATE)
            .store(FREE, Ordering::Release);
        FreeSlot(slot.slot)
    }
}

/// The number of a slot that nobody holds. There is one for each slot, or the slot is a [`Slot`] or [`HandedOver`].
#[derive(Debug)]
pub(super) struct FreeSlot(usize);

impl FreeSlot {
    /// All slots of a new tail. To be called once for each.
    pub(super) fn all(tail: &Tail) -> Vec<FreeSlot> {
        (0..tail.slots()).map(FreeSlot).collect()
    }
}

/// A slot that waits for being written to the file.
#[derive(Debug)]
pub(super) struct HandedOver {
    slot: usize,
    committed: usize,
    pub(super) kind: ChunkKind,
    pub(super) sequence: u64,
    pub(super) time: u64,
}

/// Memory to write to. What has been [committed](Slot::commit) survives the end of the process, however it comes about.
#[derive(Debug)]
pub struct Slot {
    tail: Arc<Tail>,
    slot: usize,
    kind: ChunkKind,
    sequence: u64,
    time: u64,
    /// Where its contents and its committed length are, in the mapping of `tail`.
    contents: NonNull<u8>,
    committed_word: NonNull<AtomicU64>,
}

// SAFETY: the pointers lead into the mapping that `tail` keeps, which belongs to no thread; who has the `Slot` has the only way to
// its contents.
unsafe impl Send for Slot {}

impl Slot {
    /// Takes a free slot for a chunk.
    pub(super) fn take(
        tail: &Arc<Tail>,
        free: &FreeSlot,
        kind: ChunkKind,
        sequence: u64,
        time: u64,
    ) -> Self {
        let slot = free.0;
        tail.u64_at(slot, field::COMMITTED)
            .store(0, Ordering::Relaxed);
        tail.u32_at(slot, field::KIND)
            .store(kind as u32, Ordering::Relaxed);
        tail.u64_at(slot, field::SEQUENCE)
            .store(sequence, Ordering::Relaxed);
        tail.u64_at(slot, field::TIME)
            .store(time, Ordering::Relaxed);
        tail.u32_at(slot, field::STATE)
            .store(USED, Ordering::Release);
        let (_, contents) = tail.place(slot);
        Slot {
            contents: NonNull::new(contents).expect("inside the mapping"),
            committed_word: NonNull::from(tail.u64_at(slot, field::COMMITTED)),
            tail: Arc::clone(tail),
            slot,
            kind,
            sequence,
            time,
        }
    }

    /// All of the slot's memory, what has been committed to it included.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: there is one `Slot` for a slot (`FreeSlot` is taken, `HandedOver` made by consuming it), so `&mut self` makes this
        // the only reference; the bytes are inside the mapping and live as long as `self.tail`. No other process writes to them.
        unsafe {
            std::slice::from_raw_parts_mut(self.contents.as_ptr(), self.tail.layout.slot_size)
        }
    }

    /// How many bytes it holds.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.tail.layout.slot_size
    }

    /// How many bytes have been committed.
    #[inline]
    #[must_use]
    pub fn committed(&self) -> usize {
        // Only this process writes to it, and what it says is not believed beyond the slot's size.
        let committed = self.word().load(Ordering::Relaxed);
        usize::try_from(committed).map_or(self.capacity(), |end| end.min(self.capacity()))
    }

    /// From now on the first `end` bytes are part of the recording. A store, no system call.
    #[inline]
    pub fn commit(&mut self, end: usize) {
        let end = end.min(self.capacity());
        self.word().store(end as u64, Ordering::Release);
    }

    /// What [`commit`](Self::commit) stores to, for who knows that nothing beyond the slot's end has been written. It is there as long as the slot is.
    #[inline]
    #[must_use]
    pub fn committed_word(&self) -> NonNull<AtomicU64> {
        self.committed_word
    }

    #[inline]
    fn word(&self) -> &AtomicU64 {
        // SAFETY: made from `Tail::u64_at`, whose mapping `self.tail` keeps.
        unsafe { self.committed_word.as_ref() }
    }

    pub(super) fn hand_over(self) -> HandedOver {
        HandedOver {
            committed: self.committed(),
            slot: self.slot,
            kind: self.kind,
            sequence: self.sequence,
            time: self.time,
        }
    }

    /// Gives a slot back to which nothing has been committed.
    pub(super) fn discard(self) -> FreeSlot {
        let tail = Arc::clone(&self.tail);
        tail.free(self.hand_over())
    }
}

fn header(layout: Layout, uuid: Uuid) -> Vec<u8> {
    let process = os::Process::this();
    let mut header = Vec::with_capacity(HEADER);
    header.extend(MAGIC);
    header.extend(VERSION.to_le_bytes());
    header.extend((layout.slots as u32).to_le_bytes());
    header.extend((layout.slot_size as u64).to_le_bytes());
    header.extend(uuid.0);
    header.extend(u64::from(process.pid).to_le_bytes());
    header.extend(process.start.to_le_bytes());
    header.extend(crc32c::crc32c(&header).to_le_bytes());
    debug_assert_eq!(header.len(), HEADER);
    header
}

/// What a reader finds in a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// A number of [`ChunkKind`].
    pub(super) kind: u32,
    pub(super) sequence: u64,
    pub(super) time: u64,
    pub(super) contents: Vec<u8>,
}

/// What a reader finds in a tail.
#[derive(Debug)]
pub(super) struct Contents {
    /// The slots in use, in no order.
    pub(super) slots: Vec<Found>,
    /// Why the file could not be written any more, if it could not: the system's number for it, or 0.
    pub(super) failed: Option<u32>,
    /// The process that writes it, if that can be known.
    pub(super) process: os::Process,
}

/// Reads a tail, also while it is written. `None` if it is no tail of this recording.
pub(super) fn read(file: &File, uuid: Uuid) -> std::io::Result<Option<Contents>> {
    let mut bytes = [0; HEADER];
    if !os::read_at(file, &mut bytes, 0)? || !bytes.starts_with(&MAGIC) {
        return Ok(None);
    }
    let mut fields = Fields(&bytes[MAGIC.len()..]);
    let version = fields.u32();
    let slots = fields.u32() as usize;
    let slot_size = fields.u64();
    let found = Uuid(fields.take());
    let process = os::Process {
        pid: fields.u64() as u32,
        start: fields.u64(),
    };
    let sound = fields.u32() == crc32c::crc32c(&bytes[..HEADER - 4])
        && version == VERSION
        && slots <= MAX_SLOTS
        && slot_size <= super::MAX_CONTENTS as u64;
    if !sound || found != uuid {
        return Ok(None);
    }
    let layout = Layout {
        slots,
        slot_size: slot_size as usize,
    };
    let mut word = [0; 4];
    let failed = os::read_at(file, &mut word, FAILED as u64)?
        .then(|| u32::from_le_bytes(word).checked_sub(1))
        .flatten();
    let mut found = Vec::new();
    for slot in 0..slots {
        found.extend(read_slot(file, layout, slot)?);
    }
    Ok(Some(Contents {
        slots: found,
        failed,
        process,
    }))
}

/// A slot, unless it is free or changes hands meanwhile, in which case the file holds what was in it.
fn read_slot(file: &File, layout: Layout, slot: usize) -> std::io::Result<Option<Found>> {
    let header = || -> std::io::Result<Option<[u8; SLOT_HEADER]>> {
        let mut bytes = [0; SLOT_HEADER];
        let whole = os::read_at(file, &mut bytes, layout.header_of(slot) as u64)?;
        Ok(whole.then_some(bytes))
    };
    let number = |bytes: &[u8; SLOT_HEADER], field: usize| {
        let mut fields = Fields(&bytes[field..]);
        fields.u64()
    };
    let Some(before) = header()? else {
        return Ok(None);
    };
    let mut fields = Fields(&before);
    let (state, kind) = (fields.u32(), fields.u32());
    let committed = number(&before, field::COMMITTED);
    if state != USED || committed > layout.slot_size as u64 {
        return Ok(None);
    }
    let mut contents = vec![0; committed as usize];
    let whole = os::read_at(file, &mut contents, layout.contents_of(slot) as u64)?;
    let Some(after) = header()? else {
        return Ok(None);
    };
    // What comes before `committed`: the same chunk still.
    let same = before[..field::COMMITTED] == after[..field::COMMITTED];
    Ok((whole && same).then_some(Found {
        kind,
        sequence: number(&before, field::SEQUENCE),
        time: number(&before, field::TIME),
        contents,
    }))
}
