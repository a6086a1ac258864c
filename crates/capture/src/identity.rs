//! Which object is which, without keeping any alive: addresses of live objects, each forgotten at the moment when the object dies.
//!
//! An object's memory is reused for the next one as soon as it is dead, so an address alone says nothing about whether two things seen at
//! different times are the same. Objects die in one of two ways, and both are seen here:
//! - its memory goes back to the allocator: [`allocator`] stands before `free` and `realloc` of the domain that objects are in;
//! - its memory goes to a free list of its type: [`dealloc`] stands before `tp_dealloc` of the types that have one ([`freelists`]).
//!
//! In both an address that we do not know costs one look at a table of bits ([`filter`]). Entries have the address where the object's
//! *memory* begins, which is what `free` gets: before the object there may be the collector's header and two words for weak
//! references and the instance's dictionary.
//!
//! Nothing here is allocated by CPython's allocator, and what happens in `free` allocates nothing and calls nothing.
//!
//! What it cannot know, it says ([`Birth::Perhaps`]): objects of extension modules' types, which may have free lists of their own;
//! objects that were forgotten because there were too many; those known when somebody removed our hook ([`Identities::lost`]).
//!
//! Objects that do not die where a program would say that they do:
//! - `zip`, `enumerate`, `dict.items`, `itertools.*` and others use their last result tuple again when nobody else has it: one
//!   object, whose contents change. An observer that compares contents calls [`Identities::forget`] then.
//! - `s += t` may change a string in place, by `realloc`: this is a death and a birth.
//! - A small deallocation detour: an object whose finaliser brings it back to life has not died (`free` is never reached).
//!
//! A sub-interpreter that shares the main interpreter's GIL and frees an object of the main interpreter (which single-phase extension modules
//! can bring about) is not seen: what frees is ignored unless it is the main interpreter.

mod allocator;
mod cache;
mod dealloc;
mod evicted;
mod filter;
mod freelists;
mod graves;
mod table;
mod trashcan;

use std::num::NonZeroU64;

use pyo3::exceptions::PyRuntimeError;
use pyo3::{Borrowed, PyAny, PyResult, Python, ffi};
use rustc_hash::FxHashSet;

use crate::gil::GilCell;
use allocator::Place;
use cache::Cache;
use dealloc::Deallocs;
use evicted::Evicted;
use graves::Graves;
use table::Table;
pub use table::{Entry, NO_INDEX};

/// Whether an object that has no entry may have been seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Birth {
    /// It has not, since [`Identities::install`] or [`Identities::clear`], unless [`Identities::forget`] was told.
    New,
    /// It cannot be known.
    Perhaps,
}

struct State {
    table: Table,
    /// Some of what is in the table.
    cache: Cache,
    evicted: Evicted,
    /// How many entries there may be.
    limit: usize,
    /// Indices of dead objects' entries. It always has room for those of all that live.
    dead: Vec<u32>,
    deallocs: Deallocs,
    place: Place,
    /// Where the memory of the objects begins that are [`Watched`].
    watched: FxHashSet<usize>,
    evictions: u64,
    losses: u64,
    /// How many objects with entries have died or been forgotten.
    deaths: u64,
    graves: Graves,
}

/// There while an [`Identities`] is.
static STATE: GilCell<Option<State>> = GilCell::new(None);

/// Where the memory of an object begins.
///
/// # Safety
/// `object` is alive, or dying and still has its type.
#[inline]
pub(crate) unsafe fn block_of(object: *mut ffi::PyObject) -> usize {
    /// The header of the collector, and the two words before it (`_PyType_PreHeaderSize`, `Include/internal/pycore_object.h`, 3.11-3.15).
    const HEADER: usize = 16;
    const WORDS: usize = 16;
    /// `Py_TPFLAGS_MANAGED_DICT`, and from 3.12 on `Py_TPFLAGS_MANAGED_WEAKREF`, of which 3.11 has none.
    const PREHEADER: u64 = 1 << 4 | 1 << 3;

    // SAFETY: by the contract.
    let flags = unsafe { type_flags(ffi::Py_TYPE(object)) };
    let mut before = 0;
    if flags & ffi::Py_TPFLAGS_HAVE_GC != 0 {
        before += HEADER;
    }
    if flags & PREHEADER != 0 {
        before += WORDS;
    }
    // Types that are static data have no header.
    if flags & ffi::Py_TPFLAGS_TYPE_SUBCLASS != 0
        // SAFETY: an instance of `type` or of a subclass is a type.
        && unsafe { type_flags(object.cast()) } & ffi::Py_TPFLAGS_HEAPTYPE == 0
    {
        before = 0;
    }
    object as usize - before
}

/// # Safety
/// `kind` is a live type.
#[inline]
unsafe fn type_flags(kind: *mut ffi::PyTypeObject) -> u64 {
    // SAFETY: by the contract; a field of the public struct (3.11-3.15, builds with a GIL).
    unsafe { (*kind).tp_flags }
}

/// Whether this thread holds the GIL that guards [`STATE`]. Called where memory is freed: by any interpreter.
#[cfg(Py_3_12)]
#[inline]
fn holds_our_gil() -> bool {
    let state = crate::current::any_state();
    // SAFETY: a thread's own state is alive and has an interpreter (layout checked against the headers, 3.12-3.15); what is called may be at any time.
    unsafe { !state.is_null() && (*state).interp == ffi::PyInterpreterState_Main() }
}

/// There is only one.
#[cfg(not(Py_3_12))]
fn holds_our_gil() -> bool {
    true
}

/// An object dies, or something else that may share a bit with one.
#[cold]
#[inline(never)]
fn died(block: usize) {
    // NULL may be freed too, and is no address.
    if block == 0 || !holds_our_gil() {
        return;
    }
    // SAFETY: object memory is freed by threads that hold their interpreter's GIL, and this one's is ours.
    let py = unsafe { Python::assume_attached() };
    STATE.with(py, |state| {
        if let Some(state) = state {
            state.died(block);
        }
    });
}

impl State {
    fn died(&mut self, block: usize) {
        if self.watched.remove(&block) {
            filter::remove(block);
        }
        if let Some(entry) = self.table.remove(block) {
            self.cache.remove(block);
            filter::remove(block);
            self.bury(block, entry);
        } else if self.evicted.remove(block) {
            filter::remove(block);
        }
    }

    fn look_up(&mut self, object: usize, block: usize) -> Option<Entry> {
        let entry = self.table.lookup(block)?;
        self.cache.set(object, entry);
        Some(entry)
    }

    fn bury(&mut self, block: usize, entry: Entry) {
        self.deaths += 1;
        self.graves.dig(block, self.deaths);
        if entry.index != NO_INDEX && self.dead.len() < self.dead.capacity() {
            self.dead.push(entry.index);
        }
    }

    /// Forgets one that lives.
    fn evict(&mut self) {
        if let Some((address, entry)) = self.table.evict() {
            self.cache.remove(address);
            // Its bit stays: its death is of interest.
            self.evicted.add(address);
            self.bury(address, entry);
            self.evictions += 1;
        }
    }

    /// Nobody has told us who died since nobody knows when.
    fn lose(&mut self) {
        self.cache.clear();
        self.watched.clear();
        for (address, entry) in self.table.drain() {
            self.evicted.add(address);
            if entry.index != NO_INDEX {
                self.dead.push(entry.index);
            }
        }
        self.losses += 1;
        self.deaths += 1;
        self.graves.dig_everywhere(self.deaths);
    }
}

/// Where this is called is not where things mostly go.
#[cold]
#[inline(always)]
fn rare() {}

/// What CPython calls to free objects has changed: finds out whether that calls us, and if not, begins anew.
#[cold]
#[inline(never)]
fn look_again(py: Python<'_>) {
    // Memory is freed meanwhile, so the state cannot be held.
    let is_called = allocator::is_called(py);
    let place = Place::take(py);
    Identities::with(py, |state| {
        if !is_called {
            state.lose();
        }
        if let Ok(place) = place {
            state.place = place;
        }
    });
}

/// An object that has no entry, and of which only is asked whether it has died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watched {
    object: usize,
    block: usize,
    /// How often all had been forgotten before.
    losses: u64,
}

/// What has become of it.
pub(crate) enum Fate {
    /// It is at this address.
    Alive(*mut ffi::PyObject),
    Dead,
    Unknown,
}

impl Watched {
    /// `None` if there is no [`Identities`].
    ///
    /// # Safety
    /// `object` is a live object.
    pub(crate) unsafe fn new(py: Python<'_>, object: *mut ffi::PyObject) -> Option<Self> {
        // SAFETY: by the contract.
        let block = unsafe { block_of(object) };
        STATE.with(py, |state| {
            let state = state.as_mut()?;
            if state.watched.insert(block) {
                filter::add(block);
            }
            Some(Self {
                object: object as usize,
                block,
                losses: state.losses,
            })
        })
    }

    pub(crate) fn fate(self, py: Python<'_>) -> Fate {
        let is_as_seen = STATE.with(py, |state| {
            let state = state.as_ref();
            state.map(|state| state.place.is_as_seen(py))
        });
        match is_as_seen {
            None => return Fate::Unknown,
            Some(true) => {}
            Some(false) => look_again(py),
        }
        Identities::with(py, |state| {
            match (state.watched.contains(&self.block), state.losses) {
                (true, _) => Fate::Alive(self.object as *mut ffi::PyObject),
                (false, losses) if losses == self.losses => Fate::Dead,
                (false, _) => Fate::Unknown,
            }
        })
    }
}

/// The identities as they are until something runs that could change them.
#[derive(Clone, Copy)]
pub(crate) struct Now<'a>(&'a State);

impl Now<'_> {
    /// The entry of the live object at this address, if it has been looked up lately.
    #[inline(always)]
    pub(crate) fn recent(self, object: usize) -> Option<Entry> {
        self.0.cache.get(object)
    }

    /// As [`Identities::deaths`].
    #[inline(always)]
    pub(crate) fn deaths(self) -> u64 {
        self.0.deaths
    }

    /// As [`Identities::last_death_at`].
    #[inline(always)]
    pub(crate) fn last_death_at(self, address: usize) -> u64 {
        self.0.graves.at(address)
    }
}

/// The right to ask who is who; there is one at a time.
pub struct Identities(());

impl Identities {
    /// Begins to follow the lives of the objects that will be [inserted](Self::insert), at most `limit` at a time, of 48 to 96 bytes each.
    ///
    /// # Errors
    /// `RuntimeError`: there is one already, or the interpreter is not as it should be.
    pub fn install(py: Python<'_>, limit: usize) -> PyResult<Self> {
        if STATE.with(py, |state| state.is_some()) {
            return Err(PyRuntimeError::new_err(
                "the identities of objects are followed already",
            ));
        }
        let place = Place::take(py)?;
        let deallocs = match Deallocs::install(py) {
            Ok(deallocs) => deallocs,
            Err(error) => {
                Place::leave(py);
                return Err(error);
            }
        };
        STATE.set(
            py,
            Some(State {
                table: Table::default(),
                cache: Cache::default(),
                evicted: Evicted::default(),
                limit: limit.max(1),
                dead: Vec::new(),
                deallocs,
                place,
                watched: FxHashSet::default(),
                evictions: 0,
                losses: 0,
                deaths: 0,
                graves: Graves::default(),
            }),
        );
        Ok(Self(()))
    }

    /// Forgets everything and takes our functions out of the interpreter, as far as nobody else has hooked over them.
    pub fn uninstall(self, py: Python<'_>) {
        filter::clear();
        Place::leave(py);
        if let Some(state) = STATE.replace(py, None) {
            state.deallocs.uninstall(py);
        }
    }

    /// The entry of an object that has one.
    #[inline]
    #[must_use]
    pub fn lookup(&self, py: Python<'_>, object: Borrowed<'_, '_, PyAny>) -> Option<Entry> {
        let object = object.as_ptr();
        // SAFETY: a live object.
        self.find(py, object as usize, || unsafe { block_of(object) })
    }

    /// The entry of the object at address `object`, whose memory begins at `block`, if one that has an entry lives there.
    #[inline]
    pub(crate) fn lookup_at(&self, py: Python<'_>, object: usize, block: usize) -> Option<Entry> {
        self.find(py, object, || block)
    }

    /// The id of the live object at address `object`, if it has been looked up lately and its entry has this epoch.
    #[inline(always)]
    pub(crate) fn recent(&self, py: Python<'_>, object: usize, epoch: u32) -> Option<NonZeroU64> {
        // SAFETY: the GIL is held, and what is called here changes nothing. A closure would be called where this is used twice.
        let state = unsafe { (*STATE.as_ptr(py)).as_ref()? };
        let id = state.cache.recent(object, epoch)?;
        state.place.is_as_seen(py).then_some(id)
    }

    /// The id that [stands for](Self::stand_for) the live object at address `object`.
    #[inline(always)]
    pub(crate) fn standing_for(&self, py: Python<'_>, object: usize) -> Option<u64> {
        let id = cache::standing_for(py, object)?;
        if !allocator::is_as_seen(py) {
            rare();
            return None;
        }
        Some(id)
    }

    /// From now on the id of the live object at address `object` stands for it, if it has just been looked up, until its entry changes, or
    /// [`forget_standing`](Self::forget_standing).
    #[inline(always)]
    pub(crate) fn stand_for(&self, py: Python<'_>, object: usize) {
        cache::stand_for(py, object);
    }

    /// No id stands for its object any more.
    pub(crate) fn forget_standing(&self, py: Python<'_>) {
        Self::with(py, |state| state.cache.forget_standing());
    }

    /// What is known now, for several questions at a time; `None` if there is something to [find out](look_again) before.
    #[inline(always)]
    pub(crate) fn now(&self, py: Python<'_>) -> Option<Now<'_>> {
        // SAFETY: the GIL is held, and what is asked of it changes nothing; whoever changes something takes `self` again, and nobody keeps what is returned
        // across that.
        let state = unsafe { (*STATE.as_ptr(py)).as_ref()? };
        state.place.is_as_seen(py).then_some(Now(state))
    }

    /// As [`now`](Self::now); `None` also where that takes a call.
    #[inline(always)]
    pub(crate) fn now_at_once(&self, py: Python<'_>) -> Option<Now<'_>> {
        if !allocator::is_as_seen(py) {
            return None;
        }
        // SAFETY: as in `now`.
        unsafe { (*STATE.as_ptr(py)).as_ref().map(Now) }
    }

    #[inline(always)]
    fn find(&self, py: Python<'_>, object: usize, block: impl FnOnce() -> usize) -> Option<Entry> {
        let cached = Self::with(py, |state| {
            (state.place.is_as_seen(py), state.cache.get(object))
        });
        match cached {
            (true, Some(entry)) => Some(entry),
            (is_as_seen, _) => Self::find_slowly(py, object, block(), is_as_seen),
        }
    }

    #[inline(never)]
    fn find_slowly(py: Python<'_>, object: usize, block: usize, is_as_seen: bool) -> Option<Entry> {
        if !is_as_seen {
            look_again(py);
        }
        // What is in the table has its bit.
        if !filter::may_have(block) {
            return None;
        }
        Self::with(py, |state| state.look_up(object, block))
    }

    /// An upper bound of what [`deaths`](Self::deaths) was when an object with an entry last died, or was forgotten, at this address: as
    /// long as it is not more than it was, the address names the same object.
    #[inline]
    pub(crate) fn last_death_at(&self, py: Python<'_>, object: *mut ffi::PyObject) -> u64 {
        Self::with(py, |state| state.graves.at(object as usize))
    }

    /// Adds an object that has no entry.
    pub fn insert(&self, py: Python<'_>, object: Borrowed<'_, '_, PyAny>, entry: Entry) -> Birth {
        // SAFETY: a live object.
        let is_seen = self.judge(py, unsafe { ffi::Py_TYPE(object.as_ptr()) });
        if self.insert_judged(py, object, entry) && is_seen {
            Birth::New
        } else {
            Birth::Perhaps
        }
    }

    /// Whether the ends of all objects of a type, which is that of a live object, are seen from now on.
    pub(crate) fn judge(&self, py: Python<'_>, kind: *mut ffi::PyTypeObject) -> bool {
        // SAFETY: a live type that is ready.
        Self::with(py, |state| unsafe { state.deallocs.judge(kind) })
    }

    /// As [`Self::insert`], of an object whose type has been [judged](Self::judge). Whether none that has been forgotten may have been there.
    #[inline]
    pub(crate) fn insert_judged(
        &self,
        py: Python<'_>,
        object: Borrowed<'_, '_, PyAny>,
        entry: Entry,
    ) -> bool {
        // SAFETY: a live object.
        let block = unsafe { block_of(object.as_ptr()) };
        Self::with(py, |state| {
            if state.table.len() >= state.limit {
                state.evict();
            }
            // Room for the indices of all that may die, because nothing is allocated when they do.
            state.dead.reserve(state.table.len() + 1);
            state.table.insert(block, entry);
            state.cache.set(object.as_ptr() as usize, entry);
            let perhaps = state.evicted.has(block);
            if perhaps {
                state.table.doubt(block);
            }
            if !state.evicted.remove(block) {
                filter::add(block);
            }
            !perhaps
        })
    }

    /// Whether the object whose memory begins at `block` has surely no entry and has never had one, and can be [inserted](Self::insert_new).
    #[inline(always)]
    pub(crate) fn is_new(&self, py: Python<'_>, block: usize) -> bool {
        // What is in the table, or has been forgotten, has its bit.
        allocator::is_as_seen(py)
            && !filter::may_have(block)
            && Self::with(py, |state| {
                state.table.len() < state.limit && state.evictions == 0 && state.losses == 0
            })
    }

    /// The entry of the object whose memory begins at `block`, and where it is in the table, until another entry comes or goes. `None` also if it may have had another
    /// one before.
    #[inline(always)]
    pub(crate) fn whereabouts(&self, py: Python<'_>, block: usize) -> Option<(usize, Entry)> {
        if !allocator::is_as_seen(py) {
            return None;
        }
        Self::with(py, |state| {
            let is_certain = state.evictions == 0 && state.losses == 0;
            state.table.whereabouts(block).filter(|_| is_certain)
        })
    }

    /// Changes the entry of the object at address `object`, which is [there](Self::whereabouts) in the table; whether its id is to
    /// [stand for it](Self::stand_for) at once.
    #[inline(always)]
    pub(crate) fn change_at(
        &self,
        py: Python<'_>,
        object: usize,
        place: usize,
        entry: Entry,
        stands: bool,
    ) {
        Self::with(py, |state| {
            state.table.change_at(place, entry);
            state.cache.set(object, entry);
        });
        if stands {
            cache::stand_for(py, object);
        }
    }

    /// As [`Self::insert_judged`], of the object at address `object` that [is new](Self::is_new); whether its id is to
    /// [stand for it](Self::stand_for) at once.
    #[inline(always)]
    pub(crate) fn insert_new(
        &self,
        py: Python<'_>,
        object: usize,
        block: usize,
        entry: Entry,
        stands: bool,
    ) {
        // SAFETY: the GIL is held, and what is called here runs nothing that could take the state, too. A closure would be called, because this is used twice.
        if let Some(state) = unsafe { (*STATE.as_ptr(py)).as_mut() } {
            state.dead.reserve(state.table.len() + 1);
            state.table.insert(block, entry);
            state.cache.set(object, entry);
            filter::add_new(block);
        }
        if stands {
            cache::stand_for(py, object);
        }
    }

    /// Changes the entry of an object; whether it has one.
    pub fn update(&self, py: Python<'_>, object: Borrowed<'_, '_, PyAny>, entry: Entry) -> bool {
        // SAFETY: a live object.
        let block = unsafe { block_of(object.as_ptr()) };
        Self::with(py, |state| {
            let is_there = state.table.update(block, entry);
            if is_there {
                state.cache.set(object.as_ptr() as usize, entry);
            }
            is_there
        })
    }

    /// Whether an object that has an entry may have had another one before it was forgotten.
    pub(crate) fn is_doubtful(&self, py: Python<'_>, object: Borrowed<'_, '_, PyAny>) -> bool {
        Self::with(py, |state| {
            // SAFETY: a live object.
            let block = || unsafe { block_of(object.as_ptr()) };
            (state.evictions > 0 || state.losses > 0) && state.table.is_doubtful(block())
        })
    }

    /// Forgets an object that lives, as if it had died.
    pub fn forget(&self, py: Python<'_>, object: Borrowed<'_, '_, PyAny>) {
        // SAFETY: a live object.
        let block = unsafe { block_of(object.as_ptr()) };
        Self::with(py, |state| state.died(block));
    }

    /// Forgets all objects.
    pub fn clear(&self, py: Python<'_>) {
        Self::with(py, |state| {
            state.cache.clear();
            for (_, entry) in state.table.drain() {
                if entry.index != NO_INDEX {
                    state.dead.push(entry.index);
                }
            }
            state.evicted.clear();
            filter::clear();
            state.watched.iter().for_each(|&block| filter::add(block));
        });
    }

    /// Tells the index of each entry whose object has died or has been evicted or lost since this was last called.
    pub fn each_dead(&self, py: Python<'_>, mut tell: impl FnMut(u32)) {
        let dead = Self::with(py, |state| {
            // With room for all that live.
            let next = Vec::with_capacity(state.table.len() + 1);
            std::mem::replace(&mut state.dead, next)
        });
        for index in dead {
            tell(index);
        }
    }

    /// As [`Self::each_dead`], one at a time.
    #[inline]
    pub(crate) fn next_dead(&self, py: Python<'_>) -> Option<u32> {
        Self::with(py, |state| state.dead.pop())
    }

    /// Whether [`recorder::raising`](crate::recorder::raising) is told before an entry of a traceback is made. Of what has happened already, it was.
    pub(crate) fn hears_of_tracebacks(&self, py: Python<'_>) -> bool {
        let (is_as_seen, hears) =
            Self::with(py, |state| (state.place.is_as_seen(py), state.place.hears));
        if !is_as_seen {
            // What we have missed meanwhile nobody tells; from now on it is clear.
            look_again(py);
        }
        is_as_seen && hears
    }

    /// How many objects have died or been forgotten: as long as it stays the same, every address that has an entry names the same object.
    #[inline]
    #[must_use]
    pub fn deaths(&self, py: Python<'_>) -> u64 {
        Self::with(py, |state| state.deaths)
    }

    /// How many objects have entries.
    #[must_use]
    pub fn len(&self, py: Python<'_>) -> usize {
        Self::with(py, |state| state.table.len())
    }

    /// Whether none has.
    #[must_use]
    pub fn is_empty(&self, py: Python<'_>) -> bool {
        self.len(py) == 0
    }

    /// How many live objects have been forgotten because there were more than the limit.
    #[must_use]
    pub fn evicted(&self, py: Python<'_>) -> u64 {
        Self::with(py, |state| state.evictions)
    }

    /// How many times all were forgotten because somebody had taken our hook out of the allocator.
    #[must_use]
    pub fn lost(&self, py: Python<'_>) -> u64 {
        Self::with(py, |state| state.losses)
    }

    #[inline]
    fn with<R>(py: Python<'_>, f: impl FnOnce(&mut State) -> R) -> R {
        STATE.with(py, |state| match state {
            Some(state) => f(state),
            None => unreachable!("an Identities exists only while its state does"),
        })
    }
}
