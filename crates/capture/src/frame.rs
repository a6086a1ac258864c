//! The running frame and its value stack, behind safe functions.

use std::ffi::c_int;
use std::marker::PhantomData;
use std::ptr::NonNull;

use pyo3::types::{PyCode, PyFrame};
use pyo3::{Bound, PyAny, Python, ffi};

use crate::gil::GilCell;
use crate::layout::slot::{self, Content, Slot};
use crate::layout::{
    CodeObject, FrameObject, InterpreterFrame, OPCODES, ThreadState, owner_is_python,
};

/// `FRAME_OWNED_BY_GENERATOR` (`Include/internal/pycore_frame.h`, 3.14+ `pycore_interpframe_structs.h`), the same in 3.11-3.15.
const OWNED_BY_GENERATOR: i8 = 1;

/// `FRAME_OWNED_BY_FRAME_OBJECT` (the same files), the same in 3.11-3.15: the frame has ended and its object keeps its variables.
const OWNED_BY_FRAME_OBJECT: i8 = 2;

/// What a value-stack slot holds.
#[derive(Debug)]
#[non_exhaustive]
pub enum SlotValue<'py> {
    /// An empty slot: NULL, which is not `None`.
    Null,
    /// An object; the reference is our own.
    Object(Bound<'py, PyAny>),
    /// 3.14+: a bare integer of the interpreter's own.
    Tagged(isize),
    /// 3.15: a word of the interpreter's own that is not an object.
    Opaque,
}

/// A frame that is executing below the current native call.
///
/// `'py` is the lifetime of the token of that native call. The call was made, directly or not, by the frame, so the frame
/// cannot end before the call returns and `'py` is over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Frame<'py> {
    raw: NonNull<InterpreterFrame>,
    thread: NonNull<ThreadState>,
    scope: PhantomData<Python<'py>>,
}

impl<'py> Frame<'py> {
    /// The innermost Python frame of this thread: while a type's slot runs, the frame whose instruction called it.
    #[inline]
    #[must_use]
    pub fn current(py: Python<'py>) -> Option<Self> {
        // SAFETY: the token shows that this thread is attached, so its thread state is live and its `current_frame` valid
        // or NULL; see `ThreadState::current_frame`. Checked on 3.11.7, 3.12.1, 3.13.0, 3.14.10, 3.15.2.
        let (thread, raw) = unsafe {
            let state = crate::current::thread_state(py);
            (NonNull::new(state)?, (*state).current_frame())
        };
        NonNull::new(raw).map(|raw| Self {
            raw,
            thread,
            scope: PhantomData,
        })
    }

    /// The address of the state of the thread that runs the frame: the thread's identity while it lives.
    #[inline]
    pub(crate) fn thread_address(self) -> usize {
        self.thread.as_ptr() as usize
    }

    /// The identifier of the thread that runs the frame, as `threading.get_ident` gives it.
    #[inline]
    #[must_use]
    pub fn thread_ident(self) -> u64 {
        // SAFETY: the frame executes on this thread (see the type), so the thread's state is alive; the field is set before
        // a thread runs its first frame (Python/pystate.c, 3.11-3.15).
        unsafe { (*self.thread.as_ptr()).thread_id }
    }

    /// Byte offset, in the code that the frame runs, of the instruction that it is executing, as `PyFrame_GetLasti` gives
    /// it; `None` before the first.
    #[inline]
    pub(crate) fn instruction_offset(self) -> Option<u32> {
        let frame = self.get();
        let code = frame.code().cast::<CodeObject>();
        // SAFETY: `Frame` values are made only from running Python frames, whose code is a live code object; both pointers
        // are into its bytecode, or one unit before it (3.11, 3.12: nothing executed yet).
        let bytes = unsafe {
            let first = std::ptr::addr_of!((*code).co_code_adaptive).cast::<u16>();
            frame.instruction().byte_offset_from(first)
        };
        u32::try_from(bytes).ok()
    }

    /// Where that instruction, or the one before it (3.11, 3.12), is in memory: names it as long as the code is alive.
    #[inline]
    pub(crate) fn instruction_address(self) -> usize {
        self.get().instruction() as usize
    }

    /// Whether what the frame is executing is on a line.
    pub(crate) fn is_on_a_line(self) -> bool {
        let Some(offset) = self
            .instruction_offset()
            .and_then(|offset| c_int::try_from(offset).ok())
        else {
            return false;
        };
        // SAFETY: the frame's code object is alive, and the offset in its bytecode. The result is -1 for what has no line.
        unsafe { ffi::PyCode_Addr2Line(self.get().code().cast(), offset) >= 0 }
    }

    /// Makes an exception that is about to be raised count as raised at byte `offset` of the code that the frame runs.
    ///
    /// To be called while an instruction of the frame is executed that then fails. The interpreter looks for a handler by the instruction
    /// that it is executing, and not by this: `RERAISE` does the same (`exception_unwind` in `Python/ceval.c`, 3.11-3.15).
    pub(crate) fn raise_at(self, offset: u32) {
        let code = self.get().code().cast::<CodeObject>();
        // SAFETY: the frame outlives 'py (see the type), and nobody else has a reference to its head now; its code is a live code
        // object, in whose bytecode the unit is. Checked on 3.11.7, 3.12.1, 3.13.0, 3.14.10, 3.15.2.
        unsafe {
            let unit = offset as usize / 2;
            if isize::try_from(unit).is_ok_and(|unit| unit < (*code).units()) {
                let first = std::ptr::addr_of!((*code).co_code_adaptive).cast::<u16>();
                *(*self.raw.as_ptr()).instruction_mut() = first.add(unit);
            }
        }
    }

    /// The frame at `raw` on the thread with the state `thread`.
    ///
    /// # Safety
    /// Both are alive for as long as the GIL is held, and the frame has begun to run its code.
    #[inline]
    pub(crate) unsafe fn at(raw: NonNull<InterpreterFrame>, thread: NonNull<ThreadState>) -> Self {
        Self {
            raw,
            thread,
            scope: PhantomData,
        }
    }

    /// Whether its thread has no trace or profile function, and is not near the recursion limit.
    pub(crate) fn is_undisturbed(self) -> bool {
        // SAFETY: the frame executes on this thread (see the type), so the thread's state is alive.
        let thread = unsafe { self.thread.as_ref() };
        thread.c_tracefunc.is_null() && thread.c_profilefunc.is_null() && thread.has_calls_left()
    }

    /// Whether its thread is in a trace function or in a callback of `sys.monitoring`.
    #[cfg(Py_3_12)]
    pub(crate) fn is_in_callback(self) -> bool {
        // SAFETY: the frame executes on this thread (see the type), so the thread's state is alive.
        unsafe { self.thread.as_ref() }.tracing > 0
    }

    /// Whether somebody else than the frame itself may hold its frame object.
    pub(crate) fn is_held(self) -> bool {
        let object = self.get().frame_obj;
        // SAFETY: the frame's own reference to a live object.
        !object.is_null() && unsafe { ffi::Py_REFCNT(object) > 1 }
    }

    /// The frame's object, borrowed; NULL if there is none.
    pub(crate) fn object_address(self) -> *mut ffi::PyObject {
        self.get().frame_obj
    }

    /// Makes the frame go on with `code` at byte `offset` when the frame that it has called returns, without the top of its value stack, which is
    /// returned: an own reference. `None`: it has not the stack `depth` that it is said to have, and stays as it is.
    ///
    /// # Safety
    /// The interpreter has inlined the call, so that it reads everything of the frame anew when that returns: what has been called is the
    /// innermost frame, and returns next. `code` has the variables of the code that the frame runs, of which it has the
    /// sizes of `shape`, and its stack is not larger; it comes to `offset` with the stack that the frame has now, and the top of that is
    /// an object.
    pub(crate) unsafe fn go_on_in(
        mut self,
        shape: &CodeShape,
        depth: u32,
        code: Bound<'py, PyCode>,
        offset: u32,
    ) -> Option<Bound<'py, PyAny>> {
        let py = code.py();
        let top = self.slot(shape, depth.checked_sub(1)?);
        // SAFETY: the frame outlives 'py (see the type), and nobody else has a reference to its head now. `saved_top` is what the
        // interpreter has saved before it went on with the frame that it has called (`_PyFrame_SetStackPointer`), and goes on with
        // (`_PyFrame_GetStackPointer`, `LOAD_SP`) after it has pushed what that returns: `RETURN_VALUE` and `resume_frame` in `Python/ceval.c`
        // and `Python/bytecodes.c`. Constants and names, which 3.11 has in variables of C, are read again there too. The top is an object, so
        // it is ours after it is off the stack, or, where it was borrowed, after a reference is taken. Checked on 3.11.7, 3.12.1, 3.13.0,
        // 3.14.10, 3.15.2.
        unsafe {
            let head = self.raw.as_mut();
            if head.saved_top() != top {
                return None;
            }
            let word = top.read();
            let Content::Object(object) = slot::content(word) else {
                return None;
            };
            let own = match slot::owns(word) {
                true => Bound::from_owned_ptr(py, object),
                false => Bound::from_borrowed_ptr(py, object),
            };
            head.drop_top();
            let first = std::ptr::addr_of!((*code.as_ptr().cast::<CodeObject>()).co_code_adaptive);
            let unit = first.cast::<u16>().add(offset as usize / 2);
            let old = head.go_on_in(code.into_ptr(), unit);
            slot::release(old);
            Some(own)
        }
    }

    /// Whether the stack that the frame has saved has slot `top`, counted from the bottom, on top.
    #[cfg(not(Py_3_12))]
    pub(crate) fn has_saved_top(mut self, shape: &CodeShape, top: u32) -> bool {
        let slot = self.slot(shape, top);
        // SAFETY: the frame outlives 'py (see the type); the pointer is only compared.
        unsafe { self.raw.as_mut().saved_top() == slot }
    }

    /// Makes the frame, which a trace function is told of, execute `unit` next, with NULL and `function` in place of the top of its value stack,
    /// which is returned.
    ///
    /// # Safety
    /// It is the innermost frame, and about to execute an instruction for which it has opcode events; its stack has an object
    /// on top and room for one more. `unit` is in code that lives on, calls `function`, and is never left but by
    /// [`go_on_with`](Self::go_on_with).
    #[cfg(not(Py_3_12))]
    pub(crate) unsafe fn detour(
        mut self,
        function: Bound<'py, PyAny>,
        unit: *const u16,
    ) -> Bound<'py, PyAny> {
        let py = function.py();
        // SAFETY: by the contract. `maybe_call_line_trace` has saved the stack pointer, and `DO_TRACING` reads it and the next instruction
        // again (`Python/ceval.c`, 3.11.7).
        unsafe {
            let null = slot::from_owned(std::ptr::null_mut());
            let top = self
                .raw
                .as_mut()
                .detour(null, slot::from_owned(function.into_ptr()), unit);
            Bound::from_owned_ptr(py, top)
        }
    }

    /// Makes the frame go on with `code` at byte `offset` when the frame that it has called by [`detour`](Self::detour) returns.
    ///
    /// # Safety
    /// As for [`go_on_in`](Self::go_on_in).
    #[cfg(not(Py_3_12))]
    pub(crate) unsafe fn go_on_with(mut self, code: Bound<'py, PyCode>, offset: u32) {
        // SAFETY: by the contract; see `go_on_in`.
        unsafe {
            let first = std::ptr::addr_of!((*code.as_ptr().cast::<CodeObject>()).co_code_adaptive);
            let unit = first.cast::<u16>().add(offset as usize / 2);
            slot::release(self.raw.as_mut().go_on_in(code.into_ptr(), unit));
        }
    }

    /// Makes the frame, which a LINE event is told of, go on with `copy` at byte `offset`. False: its stack has no room, and it stays as it is.
    ///
    /// # Safety
    /// It is the innermost frame, and the innermost call is that of a callback for a LINE event of it. `copy` has the variables of the code that the
    /// frame runs, and what is at `offset` finds there the stack that the frame has now.
    #[cfg(Py_3_12)]
    pub(crate) unsafe fn enter(mut self, copy: Bound<'py, PyCode>, offset: u32) -> bool {
        if !self.has_room_for(&copy) {
            return false;
        }
        // SAFETY: the frame outlives 'py (see the type), and nobody else has a reference to its head or to the thread's state now. The interpreter has saved the stack
        // pointer, and reads it and the next instruction from the frame when the callback has returned, as a debugger may have jumped; code, constants and names it
        // reads from the frame where they are used (`INSTRUMENTED_LINE` in `Python/ceval.c`, `Python/bytecodes.c`). What calls the callback has the code object of
        // before in a variable: whoever made the copy keeps that alive. That more of the data stack is in use says the frame's end; it is given back up
        // to the frame's beginning (`_PyThreadState_PopFrame`, `Python/pystate.c`). Checked on 3.12.1, 3.13.0, 3.14.10, 3.15.2.
        unsafe {
            if !self.is_generators() {
                let thread = self.thread.as_mut();
                thread.datastack_top = self.end(copy.as_ptr());
            }
            let first = std::ptr::addr_of!((*copy.as_ptr().cast::<CodeObject>()).co_code_adaptive);
            let unit = first.cast::<u16>().add(offset as usize / 2);
            slot::release(self.raw.as_mut().jump_to(copy.into_ptr(), unit));
        }
        true
    }

    /// Whether the stack of `code` fits where the frame, the innermost one, is.
    #[cfg(Py_3_12)]
    fn has_room_for(self, code: &Bound<'_, PyCode>) -> bool {
        let (now, then) = (self.end(self.get().code()), self.end(code.as_ptr()));
        if self.is_generators() {
            return then <= now;
        }
        // SAFETY: the frame executes on this thread (see the type), so the thread's state is alive.
        let thread = unsafe { self.thread.as_ref() };
        // Otherwise it is none of the data stack's frames (`FRAME_OWNED_BY_FRAME_OBJECT`), or not the newest.
        now == thread.datastack_top && now <= then && then < thread.datastack_limit
    }

    /// Where the frame ends if it runs `code`, which is a code object.
    #[cfg(Py_3_12)]
    fn end(self, code: *mut ffi::PyObject) -> *mut Slot {
        // SAFETY: a live code object.
        let size = unsafe { (*code.cast::<CodeObject>()).head.co_framesize };
        let first = self.raw.as_ptr().cast::<Slot>();
        first.wrapping_add(size.unsigned_abs() as usize)
    }

    /// Whether a generator or coroutine owns the frame, so that it can be suspended and go on.
    #[inline]
    pub(crate) fn is_generators(self) -> bool {
        self.get().owner == OWNED_BY_GENERATOR
    }

    /// Whether it runs a code object; the interpreter has frames of its own between others.
    #[inline]
    pub(crate) fn is_pythons(self) -> bool {
        owner_is_python(self.get().owner)
    }

    /// The frame below, if it called this one itself, and not C code that it called.
    #[inline]
    pub(crate) fn direct_caller(self) -> Option<Self> {
        if self.get().is_entry() {
            return None;
        }
        self.below().filter(|below| below.is_pythons())
    }

    /// Whether the frame at `address`, which runs a code object, is below and called this one itself.
    #[inline(always)]
    pub(crate) fn is_called_by(self, address: usize) -> bool {
        self.get().previous as usize == address && !self.get().is_entry()
    }

    /// The frame whose instruction has made an instance and called its `__init__`, which this frame is, and runs nothing else
    /// (`CALL_ALLOC_AND_ENTER_INIT`, 3.13+). A frame between the two runs code of the interpreter's, which begins as no other code can.
    #[inline]
    pub(crate) fn maker(self) -> Option<Self> {
        let first = OPCODES.exit_init_check?;
        let between = self.below().filter(|below| below.is_pythons())?;
        let code = between.get().code().cast::<CodeObject>();
        // SAFETY: the code of such a frame is a live code object, which has a first code unit, whose first byte is the opcode.
        let opcode = unsafe {
            std::ptr::addr_of!((*code).co_code_adaptive)
                .cast::<u8>()
                .read()
        };
        if opcode != first {
            return None;
        }
        between.below().filter(|below| below.is_pythons())
    }

    /// The frame below, which may be one of the interpreter's own.
    #[inline]
    pub(crate) fn below(self) -> Option<Self> {
        let raw = NonNull::new(self.get().previous)?;
        Some(Self { raw, ..self })
    }

    /// Slot `index` of localsplus, which goes on into the value stack.
    ///
    /// # Safety
    /// The frame's code has so many slots, and the slot is a local or below the depth of the stack.
    #[inline]
    pub(crate) unsafe fn local(self, index: u32) -> Content {
        // SAFETY: by the contract above; locals are initialised when the frame is made.
        unsafe { slot::content(*self.local_slot(index)) }
    }

    /// The same, where it is.
    ///
    /// # Safety
    /// As for [`Frame::local`].
    #[inline]
    pub(crate) unsafe fn local_slot(self, index: u32) -> *mut Slot {
        let base = self.raw.as_ptr();
        // SAFETY: by the contract above.
        unsafe {
            let first = std::ptr::addr_of_mut!((*base).localsplus).cast::<Slot>();
            first.add(index as usize)
        }
    }

    #[inline]
    fn get(&self) -> &InterpreterFrame {
        // SAFETY: the frame outlives 'py (see the type), and its head is initialised before it is linked.
        unsafe { self.raw.as_ref() }
    }

    /// The address of the frame: its identity while it lives.
    #[inline]
    #[must_use]
    pub fn address(self) -> usize {
        self.raw.as_ptr() as usize
    }

    /// The address of the code object that the frame runs: its identity.
    #[inline]
    #[must_use]
    pub fn code_address(self) -> usize {
        self.get().code() as usize
    }

    /// The code object that the frame runs.
    #[inline]
    pub(crate) fn code(self, py: Python<'py>) -> Bound<'py, PyCode> {
        // SAFETY: `Frame` values are made only from running Python frames, whose code is a live code object.
        unsafe { Bound::from_borrowed_ptr(py, self.get().code()).cast_into_unchecked() }
    }

    /// The frame that called this one, skipping frames of the interpreter's own.
    #[must_use]
    pub fn previous(self) -> Option<Self> {
        let mut frame = self;
        loop {
            frame = frame.below()?;
            if frame.is_pythons() {
                return Some(frame);
            }
        }
    }

    /// How many Python frames of this thread are below this one.
    #[must_use]
    pub fn depth(self) -> u32 {
        let mut depth = 0;
        let mut frame = self;
        while let Some(below) = frame.previous() {
            frame = below;
            depth += 1;
        }
        depth
    }

    /// The frame's global namespace: a dict, or what was given to `exec`.
    #[must_use]
    pub fn globals(self, py: Python<'py>) -> Bound<'py, PyAny> {
        // SAFETY: `f_globals` is a borrowed, non-NULL reference in every frame that runs a code object.
        unsafe { Bound::from_borrowed_ptr(py, self.get().f_globals) }
    }

    /// Whether the frame runs code that was laid out as `shape` says: the very code object, which must be alive, or one of
    /// the same sizes.
    #[inline]
    pub(crate) fn has_shape(self, shape: &CodeShape) -> bool {
        self.code_address() == shape.address || self.has_sizes(shape)
    }

    #[cold]
    fn has_sizes(self, shape: &CodeShape) -> bool {
        let code = self.get().code().cast::<CodeObject>();
        // SAFETY: `Frame` values are made only from running Python frames, whose code is a live code object.
        let code = unsafe { &*code };
        code.head.co_nlocalsplus == shape.nlocalsplus
            && code.head.co_stacksize == shape.stacksize
            && code.units() == shape.units
    }

    #[inline]
    pub(crate) fn slot(self, shape: &CodeShape, index: u32) -> *mut Slot {
        debug_assert!(i64::from(index) < i64::from(shape.stacksize));
        let base = self.raw.as_ptr();
        // SAFETY: pointer arithmetic inside the frame's own allocation: `localsplus` has nlocalsplus + stacksize slots
        // (Python/ceval.c, _PyEvalFramePushAndInit; Objects/codeobject.c, co_framesize), and every caller has checked
        // `has_shape` and `index` < depth <= stacksize.
        unsafe {
            let first = std::ptr::addr_of_mut!((*base).localsplus).cast::<Slot>();
            first.add(shape.nlocalsplus.cast_unsigned() as usize + index as usize)
        }
    }

    /// Value-stack slot `index`, bottom first, borrowed.
    #[inline]
    pub(crate) fn content(self, shape: &CodeShape, index: u32) -> Content {
        // SAFETY: see `slot`; slots below the current depth are initialised.
        slot::content(unsafe { *self.slot(shape, index) })
    }

    /// Value-stack slot `index`, bottom first.
    #[inline]
    pub(crate) fn read(self, py: Python<'py>, shape: &CodeShape, index: u32) -> SlotValue<'py> {
        match self.content(shape, index) {
            Content::Null => SlotValue::Null,
            Content::Object(object) => {
                // SAFETY: the slot keeps the object alive while we take a reference of our own.
                SlotValue::Object(unsafe { Bound::from_borrowed_ptr(py, object) })
            }
            #[cfg(Py_3_14)]
            Content::Tagged(value) => SlotValue::Tagged(value),
            #[cfg(Py_3_14)]
            Content::Opaque => SlotValue::Opaque,
        }
    }

    /// Puts `value` into value-stack slot `index`. The caller has checked that the instructions that will use the slot can take
    /// it (`crate::stack`).
    pub(crate) fn write(self, shape: &CodeShape, index: u32, value: Bound<'py, PyAny>) {
        let place = self.slot(shape, index);
        // SAFETY: see `slot`. The new word is in place before the old one is released, because releasing can run a
        // destructor that looks at this frame.
        unsafe {
            let old = place.read();
            place.write(slot::from_owned(value.into_ptr()));
            slot::release(old);
        }
    }

    /// The depth that the interpreter itself saved before it called out, for checking ours. `None` where it does not.
    #[must_use]
    pub(crate) fn saved_depth(self, shape: &CodeShape) -> Option<u32> {
        #[cfg(Py_3_14)]
        {
            // SAFETY: both pointers are into the same frame's `localsplus`.
            let slots = unsafe { self.get().stackpointer.offset_from(self.slot(shape, 0)) };
            u32::try_from(slots).ok()
        }
        #[cfg(not(Py_3_14))]
        {
            let _ = shape;
            None
        }
    }

    /// How many slots, locals included, may be live at most. On 3.13 what is told of the end of a loop runs in the middle of its `FOR_ITER`, which has let go of the
    /// iterator by then, and saved where its stack ends (`INSTRUMENTED_FOR_ITER`, `Python/bytecodes.c`).
    #[inline]
    pub(crate) fn most_slots(self) -> u32 {
        #[cfg(all(Py_3_13, not(Py_3_14)))]
        {
            self.get().saved_slots().unwrap_or(u32::MAX)
        }
        #[cfg(not(all(Py_3_13, not(Py_3_14))))]
        {
            u32::MAX
        }
    }

    /// Whether there is an object for the frame.
    #[inline]
    pub(crate) fn has_object(self) -> bool {
        !self.get().frame_obj.is_null()
    }

    /// Whether `object` is this frame's object.
    pub(crate) fn stands_for(self, object: &Bound<'_, PyFrame>) -> bool {
        std::ptr::eq(self.get().frame_obj, object.as_ptr())
    }

    /// Whether the frame that `object` stands for has ended.
    pub(crate) fn has_ended(object: &Bound<'_, PyFrame>) -> bool {
        // SAFETY: a live frame object; its `f_frame` is its own copy of the frame, or one that has not ended (`take_ownership` in
        // `Python/frame.c`, 3.11-3.15).
        unsafe {
            let frame = (*object.as_ptr().cast::<FrameObject>()).f_frame;
            (*frame).owner == OWNED_BY_FRAME_OBJECT
        }
    }

    /// The frame object, made if there is none yet.
    #[must_use]
    pub fn object(self, py: Python<'py>) -> Option<Bound<'py, PyFrame>> {
        crate::concatenation::put_back(py, self);
        let existing = self.get().frame_obj;
        if !existing.is_null() {
            // SAFETY: `frame_obj` is the frame's own strong reference to a frame object.
            return Some(unsafe { Bound::from_borrowed_ptr(py, existing).cast_into_unchecked() });
        }
        // There is no exported function that makes the object of a given frame, so walk from the innermost one.
        // SAFETY: PyThreadState_GetFrame and PyFrame_GetBack return new references or NULL without an exception.
        unsafe {
            let mut object = ffi::PyThreadState_GetFrame(ffi::PyThreadState_Get());
            while !object.is_null() {
                let bound: Bound<'py, PyFrame> =
                    Bound::from_owned_ptr(py, object.cast()).cast_into_unchecked();
                if (*bound.as_ptr().cast::<FrameObject>()).f_frame == self.raw.as_ptr() {
                    return Some(bound);
                }
                object = ffi::PyFrame_GetBack(bound.as_ptr().cast());
            }
        }
        None
    }
}

/// The sizes of a code object that place its value stack in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CodeShape {
    /// Where the code object is, which tells only while it is alive.
    pub address: usize,
    pub nlocalsplus: i32,
    pub stacksize: i32,
    pub units: isize,
}

impl CodeShape {
    /// The sizes of `code`, which must be a code object.
    pub(crate) fn of(code: &Bound<'_, PyCode>) -> Self {
        // SAFETY: the type is checked by `Bound<PyCode>`; the fields never change after creation.
        let raw = unsafe { &*code.as_ptr().cast::<CodeObject>() };
        Self {
            address: code.as_ptr() as usize,
            nlocalsplus: raw.head.co_nlocalsplus,
            stacksize: raw.head.co_stacksize,
            units: raw.units(),
        }
    }
}

/// A DEBUG_OP that is being reported: who reports, and on which thread.
#[derive(Clone, Copy)]
struct InFlight {
    serial: u64,
    thread: usize,
    tracer: usize,
}

static IN_FLIGHT: GilCell<Vec<InFlight>> = GilCell::new(Vec::new());
static NEXT_SERIAL: GilCell<u64> = GilCell::new(1);

/// The span during which a frame may be looked at through a [`LiveFrame`]; ends when dropped.
pub(crate) struct Scope<'py> {
    py: Python<'py>,
    serial: u64,
}

impl<'py> Scope<'py> {
    /// Opens a scope for `tracer` (its address) on the thread of `frame`, this thread; `None` if one is open already, that is, if the tracer's own
    /// callback is what runs the traced code.
    #[inline]
    pub(crate) fn enter(py: Python<'py>, frame: Frame<'py>, tracer: usize) -> Option<Self> {
        let thread = frame.thread_address();
        IN_FLIGHT.with(py, |open| {
            if open
                .iter()
                .any(|other| other.thread == thread && other.tracer == tracer)
            {
                return None;
            }
            let serial = NEXT_SERIAL.get(py);
            NEXT_SERIAL.set(py, serial + 1);
            open.push(InFlight {
                serial,
                thread,
                tracer,
            });
            Some(Self { py, serial })
        })
    }

    /// A handle to `frame` that may be kept, and knows when it has gone stale.
    #[inline]
    pub(crate) fn live(&self, frame: Frame<'py>) -> LiveFrame {
        LiveFrame {
            raw: frame.raw,
            serial: self.serial,
        }
    }
}

impl Drop for Scope<'_> {
    #[inline]
    fn drop(&mut self) {
        let serial = self.serial;
        IN_FLIGHT.with(self.py, |open| {
            if let Some(at) = open.iter().rposition(|scope| scope.serial == serial) {
                open.swap_remove(at);
            }
        });
    }
}

/// A frame that may have ended since: usable only while its scope is open.
#[derive(Clone, Copy)]
pub struct LiveFrame {
    raw: NonNull<InterpreterFrame>,
    serial: u64,
}

// SAFETY: the pointer is followed only through `get`, which checks under the GIL that the frame still executes.
unsafe impl Send for LiveFrame {}
// SAFETY: as above.
unsafe impl Sync for LiveFrame {}

impl LiveFrame {
    /// The frame, for the callback that it was handed to; `None` after the callback has returned, and for other threads.
    ///
    /// The callback's native caller is below this native call on this thread's stack and cannot return before it, so the
    /// frame outlives `'py`.
    #[inline]
    #[must_use]
    pub fn get<'py>(&self, py: Python<'py>) -> Option<Frame<'py>> {
        let current = Frame::current(py)?;
        let thread = current.thread_address();
        let open = IN_FLIGHT.with(py, |open| {
            open.iter()
                .any(|scope| scope.serial == self.serial && scope.thread == thread)
        });
        open.then_some(Frame {
            raw: self.raw,
            ..current
        })
    }
}
