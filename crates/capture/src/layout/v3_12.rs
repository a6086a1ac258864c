//! CPython 3.12. Compiled against 3.12's own headers by `python/tests/test_layout.py`.

use std::ffi::{c_ulong, c_void};
use std::mem::offset_of;

use debugop_bytecode::Version;
use pyo3::ffi::{PyInterpreterState, PyObject};

use super::slot::Slot;
use super::{CodeExtra, CodeHead, MonitoringData, Opcodes, StackChunk};

/// The version that this build reads.
pub const VERSION: Version = Version::V3_12;

/// `_PyInterpreterFrame` (`Include/internal/pycore_frame.h`).
#[repr(C)]
pub(crate) struct InterpreterFrame {
    f_code: *mut PyObject,
    pub previous: *mut InterpreterFrame,
    f_funcobj: *mut PyObject,
    pub f_globals: *mut PyObject,
    pub f_builtins: *mut PyObject,
    pub f_locals: *mut PyObject,
    pub frame_obj: *mut PyObject,
    prev_instr: *const u16,
    stacktop: i32,
    return_offset: u16,
    pub owner: i8,
    pub localsplus: [Slot; 1],
}

impl CodeObject {
    /// Length of the bytecode in code units, caches included.
    #[inline]
    pub(crate) fn units(&self) -> isize {
        self.head.ob_base.ob_size
    }
}

impl InterpreterFrame {
    /// Whether C code entered the interpreter with this frame. From 3.12 on a frame of the interpreter's own is below it then.
    #[inline]
    pub(crate) fn is_entry(&self) -> bool {
        let _ = self;
        false
    }

    /// The code unit that is being executed, as `PyFrame_GetLasti` takes it.
    #[inline]
    pub(crate) fn instruction(&self) -> *const u16 {
        self.prev_instr
    }

    /// Where that is kept.
    pub(crate) fn instruction_mut(&mut self) -> &mut *const u16 {
        &mut self.prev_instr
    }

    /// Makes `code` what the frame runs and `unit` the unit of it that is executed when the frame that it has called returns. Returns what held
    /// its code before.
    ///
    /// # Safety
    /// `code` is a reference to a live code object that the frame gets, `unit` is in its bytecode, and the frame is one whose call the interpreter
    /// has inlined.
    pub(crate) unsafe fn go_on_in(&mut self, code: *mut PyObject, unit: *const u16) -> Slot {
        // SAFETY: `prev_instr` is one unit before what comes next; no code begins with that.
        self.prev_instr = unsafe { unit.sub(1) };
        self.return_offset = 0;
        std::mem::replace(&mut self.f_code, code)
    }

    /// Makes `code` what the frame runs and `unit` the unit of it that is executed next, after a LINE event (`INSTRUMENTED_LINE`,
    /// `Python/bytecodes.c`). Returns what held its code before.
    ///
    /// # Safety
    /// `code` is a reference to a live code object that the frame gets, `unit` is in its bytecode, and the frame is the one for which the event is told.
    pub(crate) unsafe fn jump_to(&mut self, code: *mut PyObject, unit: *const u16) -> Slot {
        self.prev_instr = unit;
        std::mem::replace(&mut self.f_code, code)
    }

    /// The top of the value stack that the frame has saved, if there is any.
    ///
    /// # Safety
    /// The frame is one whose call the interpreter has inlined.
    pub(crate) unsafe fn saved_top(&mut self) -> *mut Slot {
        let first = (&raw mut self.localsplus).cast::<Slot>();
        // SAFETY: within the frame, as whoever uses it makes sure.
        unsafe { first.offset(self.stacktop as isize - 1) }
    }

    /// Takes it off the stack.
    ///
    /// # Safety
    /// It is there.
    pub(crate) unsafe fn drop_top(&mut self) {
        self.stacktop -= 1;
    }

    /// The code object that the frame runs; NULL or None for an interpreter-made entry frame.
    #[inline]
    pub(crate) fn code(&self) -> *mut PyObject {
        self.f_code
    }
}

/// Whether a frame with this `owner` runs a code object (0 thread, 1 generator, 2 frame object, 3 C stack).
#[inline]
pub(crate) fn owner_is_python(owner: i8) -> bool {
    owner < 3
}

/// `Include/opcode.h`.
pub(crate) const OPCODES: Opcodes = Opcodes {
    load_const: &[],
    load_fast_load_const: Some(86),
    extended_arg_quick: None,
    instrumented_line: Some(254),
    instrumented_instruction: Some(253),
    instrumented_jump_forward: Some(245),
    for_iter_gen: Some(65),
    exit_init_check: None,
};

/// How many events each of the first two tables of `_PyCoMonitoringData` has.
pub(crate) const LOCAL_EVENTS: usize = 15;

/// How far the count of an adaptive counter is shifted, behind its backoff (`ADAPTIVE_BACKOFF_BITS`, `Include/internal/pycore_code.h`).
pub(crate) const BACKOFF_BITS: u16 = 4;

/// Bytes of `_PyCoMonitoringData` before `lines`.
pub(crate) const MONITORING_PREFIX: usize = 40;

/// `PyCodeObject` up to its bytecode (`Include/cpython/code.h`).
#[repr(C)]
pub(crate) struct CodeObject {
    pub head: CodeHead,
    middle: [u8; 24],
    /// What is kept of instrumentation; NULL as long as there has been none.
    pub co_monitoring: *mut MonitoringData,
    tail: [u8; 8],
    /// `_PyCodeObjectExtra`; NULL as long as nobody has put anything there.
    pub co_extra: *mut CodeExtra,
    /// The first code unit.
    pub co_code_adaptive: [u16; 1],
}

/// `PyFunctionObject` up to `func_version` (`Include/cpython/funcobject.h`).
#[repr(C)]
pub(crate) struct FunctionObject {
    ob_base: PyObject,
    func_globals: *mut PyObject,
    func_builtins: *mut PyObject,
    func_name: *mut PyObject,
    func_qualname: *mut PyObject,
    pub func_code: *mut PyObject,
    func_defaults: *mut PyObject,
    func_kwdefaults: *mut PyObject,
    func_closure: *mut PyObject,
    func_doc: *mut PyObject,
    func_dict: *mut PyObject,
    func_weakreflist: *mut PyObject,
    func_module: *mut PyObject,
    func_annotations: *mut PyObject,
    func_typeparams: *mut PyObject,
    vectorcall: *mut PyObject,
    pub func_version: u32,
}

/// `_PyCFrame` up to `current_frame` (`Include/cpython/pystate.h`).
#[repr(C)]
struct CFrame {
    current_frame: *mut InterpreterFrame,
}

/// `PyThreadState` up to `datastack_limit` (`Include/cpython/pystate.h`).
#[repr(C)]
pub(crate) struct ThreadState {
    neighbours: [usize; 2],
    /// The interpreter that the thread is in.
    pub interp: *mut PyInterpreterState,
    prefix: [u8; 4],
    /// How many more calls may be nested, and how many in all.
    pub py_recursion_remaining: i32,
    pub py_recursion_limit: i32,
    headroom: [u8; 8],
    /// How many trace functions, profile functions and callbacks of `sys.monitoring` the thread is in.
    pub tracing: i32,
    /// What the innermost of them is told of, by the number of the event.
    pub what_event: i32,
    middle: [u8; 4],
    cframe: *mut CFrame,
    /// The profile function, as a C function; NULL for none.
    pub c_profilefunc: *mut c_void,
    /// The trace function, as a C function; NULL for none.
    pub c_tracefunc: *mut c_void,
    /// What the profile function gets.
    pub c_profileobj: *mut PyObject,
    /// What the trace function gets.
    pub c_traceobj: *mut PyObject,
    rest: [u8; 40],
    /// What `threading.get_ident` returns in this thread.
    pub thread_id: c_ulong,
    /// What `threading.get_native_id` returns in this thread.
    pub native_thread_id: c_ulong,
    last: [u8; 80],
    /// The newest chunk of the data stack, which frames are on; NULL as long as there has been none.
    pub datastack_chunk: *mut StackChunk,
    /// Behind the newest frame of the chunk of the data stack that is in use.
    pub datastack_top: *mut Slot,
    /// Behind the last slot of that chunk.
    pub datastack_limit: *mut Slot,
}

impl ThreadState {
    /// The innermost frame, which is the running Python frame while a C function or slot that it called runs.
    ///
    /// # Safety
    /// `self` is the live thread state of the calling thread, which holds the GIL.
    #[inline]
    pub(crate) unsafe fn current_frame(&self) -> *mut InterpreterFrame {
        // SAFETY: `cframe` always points to a live `_PyCFrame` while the thread state is in use (3.12).
        unsafe { (*self.cframe).current_frame }
    }

    /// The innermost frame of a thread that runs no Python: none.
    #[expect(clippy::unused_self, reason = "3.15 has one")]
    pub(crate) fn bottom_frame(&self) -> *mut InterpreterFrame {
        std::ptr::null_mut()
    }

    /// Whether there may be two more calls before the recursion limit.
    pub(crate) fn has_calls_left(&self) -> bool {
        self.py_recursion_remaining > 2
    }

    /// How deep the calls of the thread are nested, as the recursion limit counts.
    pub(crate) fn recursion_depth(&self) -> i32 {
        self.py_recursion_limit - self.py_recursion_remaining
    }

    /// Sets what [`Self::recursion_depth`] says, under the limit of now.
    pub(crate) fn set_recursion_depth(&mut self, depth: i32) {
        self.py_recursion_remaining = self.py_recursion_limit - depth;
    }

    /// Makes `frame` the innermost frame.
    ///
    /// # Safety
    /// As for [`Self::current_frame`]; `frame` is NULL or a frame of this thread that is executing.
    pub(crate) unsafe fn set_current_frame(&mut self, frame: *mut InterpreterFrame) {
        // SAFETY: as in `current_frame`.
        unsafe { (*self.cframe).current_frame = frame }
    }
}

/// Offsets of the fields that only this version has.
pub(crate) fn version_offsets() -> Vec<(&'static str, usize)> {
    vec![
        (
            "PyThreadState.datastack_top",
            offset_of!(ThreadState, datastack_top),
        ),
        (
            "PyThreadState.datastack_limit",
            offset_of!(ThreadState, datastack_limit),
        ),
        (
            "PyCodeObject._co_monitoring",
            offset_of!(CodeObject, co_monitoring),
        ),
        (
            "_PyInterpreterFrame.f_code",
            offset_of!(InterpreterFrame, f_code),
        ),
        (
            "_PyInterpreterFrame.prev_instr",
            offset_of!(InterpreterFrame, prev_instr),
        ),
        ("PyThreadState.interp", offset_of!(ThreadState, interp)),
        (
            "PyThreadState.py_recursion_remaining",
            offset_of!(ThreadState, py_recursion_remaining),
        ),
        (
            "PyThreadState.py_recursion_limit",
            offset_of!(ThreadState, py_recursion_limit),
        ),
        ("PyThreadState.cframe", offset_of!(ThreadState, cframe)),
        ("_PyCFrame.current_frame", offset_of!(CFrame, current_frame)),
    ]
}
