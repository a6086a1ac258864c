//! Greenlets: stacks that take turns in one thread (`greenlet`, and on top of it gevent, eventlet and SQLAlchemy's asyncio).
//!
//! A switch is C code that puts away what the thread has on its stack, its frames too, and goes on with another stack: the instruction that switches is executed until
//! somebody switches back. Each stack has a data stack of its own, whose first chunk is there as long as the greenlet has frames (`PythonState`,
//! `src/greenlet/TPythonState.cpp`), and tells which is which. In the stream each is a thread, of the same number of the system's.
//!
//! Frames of a stack that has been put away cannot be found from the thread's state. Their greenlet knows the innermost one (`gr_frame`), from which the others are
//! found, since asking it for that takes what is on the C stack out of between them (`expose_frames`, 3.12 and later) until it goes on. Its C interface
//! (`greenlet.h`) says which greenlet runs. None is kept alive: it is watched as objects with an identity are.

use std::cell::Cell;
use std::ptr::NonNull;

use debugop_bytecode::SiteKind;
use debugop_recording::stream::Encoder;
use pyo3::{Python, ffi};
use rustc_hash::FxHashMap;

use super::Recorder;
use super::pending::ROOM;
use super::planned::PlannedSite;
use super::threads::{Thread, top_frame};
use crate::frame::Frame;
use crate::gil::GilCell;
use crate::identity::{Fate, Watched};
use crate::layout::{FrameObject, StackChunk, ThreadState};

/// A stack of frames, of which a thread has one at a time.
pub(super) struct Stack {
    /// The address of the first chunk of its data stack.
    first: usize,
    /// The newest chunk and the one before it, as they were when the first one was looked for.
    newest: Cell<(usize, usize)>,
    owner: Cell<Owner>,
}

/// Which thread of the stream is which.
#[derive(Default)]
pub(super) struct Stacks {
    /// By the address of a thread's state and that of the first chunk of a data stack.
    all: FxHashMap<(usize, usize), usize>,
    /// By the address of a thread's state, that on whose stack it has recorded last.
    newest: FxHashMap<usize, usize>,
}

/// Who runs on a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// The greenlet that the thread has begun with: there have been no others when it was asked.
    Main,
    Greenlet(Watched),
    /// Nobody can say.
    Unknown,
}

/// Where the frames of a thread of the stream end.
pub(super) enum Innermost<'py> {
    /// In this one.
    Frame(Frame<'py>),
    /// There are none any more.
    Nothing,
    /// It has been put away, and nobody says where.
    Unknown,
}

/// What of greenlet's C interface is used (`src/greenlet/greenlet.h`), once greenlet has been imported. It is not unloaded.
#[derive(Clone, Copy)]
struct Interface {
    kind: *mut ffi::PyTypeObject,
    /// The descriptor of `gr_frame`, which the type keeps alive.
    frame: *mut ffi::PyObject,
    /// The greenlet that runs in this thread: a new reference, or NULL and an exception.
    current: unsafe extern "C" fn() -> *mut ffi::PyObject,
    /// The one that a greenlet ends in: a new reference; NULL for the one that the thread has begun with.
    parent: unsafe extern "C" fn(*mut ffi::PyObject) -> *mut ffi::PyObject,
}

static INTERFACE: GilCell<Option<Interface>> = GilCell::new(None);

impl Interface {
    /// Where `PyGreenlet_Type_NUM` and the others are.
    const TYPE: usize = 0;
    const GET_CURRENT: usize = 4;
    const GET_PARENT: usize = 11;

    fn get(py: Python<'_>) -> Option<Self> {
        if let Some(known) = INTERFACE.get(py) {
            return Some(known);
        }
        let found = Self::find(py);
        INTERFACE.set(py, found);
        found
    }

    /// Runs no code of the program's: only dictionaries and modules that are exactly that are looked at.
    #[cold]
    fn find(_py: Python<'_>) -> Option<Self> {
        // SAFETY: the thread is attached. The references are borrowed from what stays alive meanwhile, types are checked before their objects are used as such, and
        // the capsule's name says what it points to: an array of pointers to what the header lists, in its order. No exception is left.
        unsafe {
            let modules = ffi::PyImport_GetModuleDict();
            let module = item(modules, c"greenlet._greenlet")?;
            if ffi::PyModule_CheckExact(module) == 0 {
                return None;
            }
            let capsule = item(ffi::PyModule_GetDict(module), c"_C_API")?;
            if ffi::PyCapsule_IsValid(capsule, c"greenlet._C_API".as_ptr()) == 0 {
                return None;
            }
            let found = ffi::PyCapsule_GetPointer(capsule, c"greenlet._C_API".as_ptr());
            let found = found.cast::<*mut std::ffi::c_void>();
            let kind = (*found.add(Self::TYPE)).cast::<ffi::PyTypeObject>();
            let frame = item((*kind).tp_dict, c"gr_frame")?;
            (*ffi::Py_TYPE(frame)).tp_descr_get?;
            Some(Self {
                kind,
                frame,
                current: std::mem::transmute::<
                    *mut std::ffi::c_void,
                    unsafe extern "C" fn() -> *mut ffi::PyObject,
                >(*found.add(Self::GET_CURRENT)),
                parent: std::mem::transmute::<
                    *mut std::ffi::c_void,
                    unsafe extern "C" fn(*mut ffi::PyObject) -> *mut ffi::PyObject,
                >(*found.add(Self::GET_PARENT)),
            })
        }
    }

    /// Who runs in this thread; and who it has begun with.
    fn owners(self, py: Python<'_>) -> Option<(Owner, Owner)> {
        // SAFETY: the thread is attached; a greenlet that runs, and those that it ends in, are alive, and the references are given back.
        unsafe {
            let current = (self.current)();
            if current.is_null() {
                ffi::PyErr_Clear();
                return None;
            }
            let mut main = current;
            ffi::Py_INCREF(main);
            loop {
                let parent = (self.parent)(main);
                if parent.is_null() {
                    ffi::PyErr_Clear();
                    break;
                }
                ffi::Py_DECREF(main);
                main = parent;
            }
            let owners = (Owner::greenlet(py, current), Owner::greenlet(py, main));
            ffi::Py_DECREF(main);
            ffi::Py_DECREF(current);
            Some(owners)
        }
    }

    /// The innermost frame of a greenlet that has been put away; `None`: it has none.
    ///
    /// # Safety
    /// `greenlet` is one that is alive, of a thread with this state, and does not run.
    unsafe fn innermost<'py>(
        self,
        _py: Python<'py>,
        greenlet: *mut ffi::PyObject,
        state: *mut ThreadState,
    ) -> Option<Frame<'py>> {
        // SAFETY: by the contract. The getter runs nothing of the program's; the frame that it returns is one that has not ended, which the greenlet keeps as it is until
        // it goes on, for which it needs the GIL. Its object's `f_frame` is it (3.11-3.15).
        unsafe {
            let get = (*ffi::Py_TYPE(self.frame)).tp_descr_get?;
            let object = get(self.frame, greenlet, self.kind.cast::<ffi::PyObject>());
            if object.is_null() {
                ffi::PyErr_Clear();
                return None;
            }
            let is_frame = ffi::Py_TYPE(object) == &raw mut ffi::PyFrame_Type;
            let raw = is_frame.then(|| (*object.cast::<FrameObject>()).f_frame);
            ffi::Py_DECREF(object);
            let frame = Frame::at(NonNull::new(raw?)?, NonNull::new(state)?);
            match frame.is_pythons() {
                true => Some(frame),
                false => frame.previous(),
            }
        }
    }
}

/// What a dictionary has for a key.
///
/// # Safety
/// The thread is attached; `dict` is a live object, or NULL.
unsafe fn item(dict: *mut ffi::PyObject, key: &std::ffi::CStr) -> Option<*mut ffi::PyObject> {
    // SAFETY: by the contract; it is used as a dictionary only if it is one. Errors are cleared.
    unsafe {
        if dict.is_null() || ffi::PyDict_CheckExact(dict) == 0 {
            return None;
        }
        let found = ffi::PyDict_GetItemString(dict, key.as_ptr());
        (!found.is_null()).then_some(found)
    }
}

impl Owner {
    /// # Safety
    /// `greenlet` is alive.
    unsafe fn greenlet(py: Python<'_>, greenlet: *mut ffi::PyObject) -> Self {
        // SAFETY: by the contract.
        unsafe { Watched::new(py, greenlet) }.map_or(Self::Unknown, Self::Greenlet)
    }
}

/// The newest chunk of a thread's data stack, and the one before it; 0 where there is none.
fn newest(state: *mut ThreadState) -> (usize, usize) {
    // SAFETY: the state of a live thread, whose chunks are alive, with the GIL held (3.11-3.15).
    unsafe {
        let newest = (*state).datastack_chunk;
        let before = newest
            .as_ref()
            .map_or(std::ptr::null_mut(), |it| it.previous);
        (newest as usize, before as usize)
    }
}

/// The first chunk of a thread's data stack.
fn first(state: *mut ThreadState) -> usize {
    // SAFETY: as in `newest`.
    unsafe {
        let mut chunk: *mut StackChunk = (*state).datastack_chunk;
        while let Some(before) = chunk.as_ref().and_then(|it| NonNull::new(it.previous)) {
            chunk = before.as_ptr();
        }
        chunk as usize
    }
}

impl Stack {
    /// The one that a live thread has now; whether that is the running thread.
    pub(super) fn of(py: Python<'_>, state: *mut ThreadState, is_running: bool) -> Self {
        let owner = match Interface::get(py) {
            None => Owner::Main,
            Some(interface) if is_running => interface
                .owners(py)
                .map_or(Owner::Unknown, |(current, _)| current),
            Some(_) => Owner::Unknown,
        };
        Self {
            first: first(state),
            newest: Cell::new(newest(state)),
            owner: Cell::new(owner),
        }
    }

    /// Whether a live thread, which has this state, has it now.
    #[inline]
    pub(super) fn is_on(&self, py: Python<'_>, state: *mut ThreadState) -> bool {
        let newest = newest(state);
        // As long as there has been no greenlet, nobody else can have been given the same two chunks.
        let is_same = newest == self.newest.get();
        is_same && (newest.1 == 0 || INTERFACE.get(py).is_none()) || self.is_found_on(state, newest)
    }

    #[cold]
    fn is_found_on(&self, state: *mut ThreadState, newest: (usize, usize)) -> bool {
        let is_it = self.first == first(state);
        if is_it {
            self.newest.set(newest);
        }
        is_it
    }

    /// The running thread has it; whether for another greenlet than before, whose frames have ended, or are gone: the collector may not be able to kill it.
    fn has_begun_anew(&self, py: Python<'_>) -> bool {
        let Some(interface) = INTERFACE.get(py) else {
            return false;
        };
        let before = self.owner.get();
        let is_dead = match before {
            Owner::Greenlet(greenlet) => matches!(greenlet.fate(py), Fate::Dead),
            Owner::Main | Owner::Unknown => false,
        };
        let Some((current, _)) = interface.owners(py) else {
            return false;
        };
        self.owner.set(current);
        is_dead || matches!(before, Owner::Greenlet(_)) && before != current
    }

    /// It has been met before there were greenlets, in the running thread.
    fn resolve(&self, py: Python<'_>) {
        if self.owner.get() == Owner::Main
            && let Some((_, main)) = Interface::get(py).and_then(|it| it.owners(py))
        {
            self.owner.set(main);
        }
    }

    /// Where the frames of the greenlet end that has it, which is one of a live thread with this state.
    pub(super) fn innermost<'py>(
        &self,
        py: Python<'py>,
        state: *mut ThreadState,
    ) -> Innermost<'py> {
        if self.is_on(py, state) {
            // SAFETY: the thread's state is alive, and while we hold the GIL its frames do not change.
            return unsafe { top_frame(state) }.map_or(Innermost::Nothing, Innermost::Frame);
        }
        let Some(interface) = Interface::get(py) else {
            return Innermost::Unknown;
        };
        let Owner::Greenlet(greenlet) = self.owner.get() else {
            return Innermost::Unknown;
        };
        match greenlet.fate(py) {
            Fate::Alive(greenlet) => {
                // SAFETY: it is alive, and has been met on this stack, which has been put away.
                unsafe { interface.innermost(py, greenlet, state) }
                    .map_or(Innermost::Nothing, Innermost::Frame)
            }
            // It ends what it runs before it dies.
            Fate::Dead => Innermost::Nothing,
            Fate::Unknown => Innermost::Unknown,
        }
    }
}

impl Recorder {
    /// Whether a site fires on another stack of the running thread's than the last one.
    #[inline]
    pub(super) fn has_left_stack(
        &self,
        py: Python<'_>,
        site: &PlannedSite,
        frame: Frame<'_>,
    ) -> bool {
        let Some(thread) = self.threads.get(self.current) else {
            return false;
        };
        let is_on_top = || thread.frames.last().is_some_and(|top| top.is(frame));
        !(thread.stack.is_on(py, self.state) || site.kind == SiteKind::Step && is_on_top())
    }

    /// One more thread of the stream; its number.
    pub(super) fn add_thread(&mut self, thread: Thread) -> usize {
        let index = self.threads.len();
        let state = thread.state as usize;
        self.stacks.all.insert((state, thread.stack.first), index);
        self.stacks.newest.insert(state, index);
        self.threads.push(thread);
        index
    }

    /// Which thread of the stream a frame of the running thread is in, if it is known.
    pub(super) fn thread_of(&self, py: Python<'_>, frame: Frame<'_>) -> Option<usize> {
        let (state, native) = (frame.thread_state(), frame.native_thread());
        let is_its = |index: &usize| {
            self.threads.get(*index).is_some_and(|one| {
                one.state == state && one.native == native && one.stack.is_on(py, state)
            })
        };
        Some(self.current).filter(is_its).or_else(|| {
            let found = self.stacks.all.get(&(state as usize, first(state)));
            found.copied().filter(is_its)
        })
    }

    /// Whether the running thread has recorded on another stack before.
    pub(super) fn has_other_stack(&self, frame: Frame<'_>) -> bool {
        let newest = self.stacks.newest.get(&(frame.thread_address()));
        newest.is_some_and(|&index| self.threads[index].native == frame.native_thread())
    }

    /// The running thread records on the stack of the current thread of the stream, perhaps as the first of another greenlet at an ended one's place.
    pub(super) fn meet_stack(&mut self, py: Python<'_>, to: &mut Encoder<'_>) {
        let thread = &mut self.threads[self.current];
        self.stacks
            .newest
            .insert(thread.state as usize, self.current);
        if thread.stack.has_begun_anew(py) && !thread.frames.is_empty() {
            self.pen.end_frames(py, to, thread);
        }
    }

    /// The stack is left on which the running thread has recorded last, if it is another one now: where its frames are is told, since what runs on this one comes after it.
    #[cold]
    #[inline(never)]
    pub(super) fn leave_stack(&mut self, py: Python<'_>, frame: Frame<'_>) {
        let (state, native) = (frame.thread_state(), frame.native_thread());
        let Some(&index) = self.stacks.newest.get(&(state as usize)) else {
            return;
        };
        let thread = &self.threads[index];
        if thread.native != native || thread.stack.is_on(py, state) {
            return;
        }
        thread.stack.resolve(py);
        if thread.chunk != self.pen.chunk {
            return;
        }
        match self.threads[index].stack.innermost(py, state) {
            Innermost::Frame(innermost) => self.leave_at(py, index, innermost),
            Innermost::Nothing => self.end_stack(py, index),
            Innermost::Unknown => {}
        }
    }

    /// Tells where the frames of a thread are, of which this is the innermost.
    fn leave_at(&mut self, py: Python<'_>, index: usize, innermost: Frame<'_>) {
        let frames = &self.threads[index].frames;
        let mut all = std::iter::successors(Some(innermost), |frame| frame.previous());
        let found = all.find_map(|frame| {
            let at = frames.iter().rposition(|shadow| shadow.is_now(frame))?;
            Some((at, frame))
        });
        let Some((at, frame)) = found else { return };
        let shadow = &frames[at];
        let is_top = at + 1 == frames.len();
        if let Some(unit) = shadow.unit(frame)
            && !(is_top && shadow.told == unit)
        {
            // Where it does not fit the next chunk knows.
            self.tell_in(py, index, at, frame, unit);
        }
    }

    /// The frames of a thread have ended.
    fn end_stack(&mut self, py: Python<'_>, index: usize) {
        let thread = &mut self.threads[index];
        if thread.frames.is_empty() {
            return;
        }
        let mut to = Encoder::new(self.store.bytes(), self.at);
        if !to.has_room(ROOM) {
            return;
        }
        self.pen.end_frames(py, &mut to, thread);
        if !to.overflowed() {
            self.at = to.at();
            self.store.commit(self.at);
        }
    }
}
