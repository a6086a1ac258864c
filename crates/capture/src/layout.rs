//! The parts of CPython's private structs that debugop reads, one file per version.
//!
//! Each version module defines the same names with that version's layout; exactly one is compiled. Offsets are compared
//! with the real headers by `python/tests/test_layout.py`, and with `_Py_DebugOffsets` at import ([`crate::interpreter`]).

#[cfg(not(Py_3_12))]
#[path = "layout/v3_11.rs"]
mod current;
#[cfg(all(Py_3_12, not(Py_3_13)))]
#[path = "layout/v3_12.rs"]
mod current;
#[cfg(all(Py_3_13, not(Py_3_14)))]
#[path = "layout/v3_13.rs"]
mod current;
#[cfg(all(Py_3_14, not(Py_3_15)))]
#[path = "layout/v3_14.rs"]
mod current;
#[cfg(Py_3_15)]
#[path = "layout/v3_15.rs"]
mod current;

#[cfg(not(Py_3_14))]
#[path = "layout/slot_plain.rs"]
pub(crate) mod slot;
#[cfg(Py_3_14)]
#[path = "layout/slot_tagged.rs"]
pub(crate) mod slot;

#[cfg(not(Py_3_12))]
#[path = "layout/code_warmup.rs"]
mod code;
#[cfg(Py_3_12)]
#[path = "layout/code_framesize.rs"]
mod code;

#[cfg(all(Py_3_12, not(Py_3_14)))]
#[path = "layout/instruments_pairs.rs"]
mod instruments;
#[cfg(Py_3_14)]
#[path = "layout/instruments_packed.rs"]
mod instruments;

#[cfg(not(Py_3_12))]
#[path = "layout/int_sized.rs"]
mod int;
#[cfg(Py_3_12)]
#[path = "layout/int_tagged.rs"]
mod int;

pub(crate) use code::CodeHead;
pub(crate) mod collections;
pub(crate) mod objects;

#[cfg(Py_3_12)]
pub(crate) use current::BACKOFF_BITS;
pub use current::VERSION;
#[cfg(Py_3_13)]
pub(crate) use current::debug_offsets;
pub(crate) use current::{
    CodeObject, FunctionObject, InterpreterFrame, OPCODES, ThreadState, owner_is_python,
};
#[cfg(Py_3_12)]
pub(crate) use instruments::MonitoringData;
pub(crate) use int::LongObject;
use pyo3::ffi::PyObject;

/// `struct _frame` up to `f_trace_opcodes`, the same in 3.11-3.15 (`Include/internal/pycore_frame.h`).
#[repr(C)]
pub(crate) struct FrameObject {
    pub ob_base: PyObject,
    pub f_back: *mut PyObject,
    pub f_frame: *mut InterpreterFrame,
    pub f_trace: *mut PyObject,
    f_lineno: i32,
    f_trace_lines: i8,
    pub f_trace_opcodes: i8,
}

/// `_PyStackChunk` (`Include/cpython/pystate.h`, the same in 3.11-3.15).
#[repr(C)]
pub(crate) struct StackChunk {
    /// The one before it; NULL: it is the first, which is there as long as the stack is (`push_chunk`, `Python/pystate.c`).
    pub previous: *mut StackChunk,
}

/// `_PyCodeObjectExtra` (`Objects/codeobject.c`, the same in 3.11-3.15).
#[repr(C)]
pub(crate) struct CodeExtra {
    /// How many there are.
    pub size: isize,
    values: [*mut std::ffi::c_void; 1],
}

/// Opcodes that stand in bytecode only while it runs.
pub(crate) struct Opcodes {
    /// What `LOAD_CONST` is specialised to.
    pub load_const: &'static [u8],
    /// `LOAD_FAST` that executes the `LOAD_CONST` behind it too.
    pub load_fast_load_const: Option<u8>,
    /// `EXTENDED_ARG` once it has run.
    pub extended_arg_quick: Option<u8>,
    /// In place of any opcode, for line events.
    pub instrumented_line: Option<u8>,
    /// In place of any opcode, for instruction events.
    pub instrumented_instruction: Option<u8>,
    /// `JUMP_FORWARD` that tells of its jump.
    pub instrumented_jump_forward: Option<u8>,
    /// What `FOR_ITER` is specialised to for generators.
    pub for_iter_gen: Option<u8>,
    /// The first instruction of the interpreter's own code below an `__init__`; of no other code.
    pub exit_init_check: Option<u8>,
}

/// Those that this build relies on, by CPython's own names, for comparison with the headers.
#[must_use]
pub fn opcodes() -> Vec<(&'static str, u8)> {
    let mut all = Vec::new();
    let specialised = ["LOAD_CONST_IMMORTAL", "LOAD_CONST_MORTAL"];
    all.extend(
        specialised
            .into_iter()
            .zip(OPCODES.load_const.iter().copied()),
    );
    let others = [
        ("LOAD_FAST__LOAD_CONST", OPCODES.load_fast_load_const),
        ("EXTENDED_ARG_QUICK", OPCODES.extended_arg_quick),
        ("INSTRUMENTED_LINE", OPCODES.instrumented_line),
        ("INSTRUMENTED_INSTRUCTION", OPCODES.instrumented_instruction),
        (
            "INSTRUMENTED_JUMP_FORWARD",
            OPCODES.instrumented_jump_forward,
        ),
        ("FOR_ITER_GEN", OPCODES.for_iter_gen),
        ("EXIT_INIT_CHECK", OPCODES.exit_init_check),
    ];
    all.extend(
        others
            .into_iter()
            .filter_map(|(name, opcode)| Some((name, opcode?))),
    );
    all
}

/// Offsets of fields of code objects, by their names.
macro_rules! code_fields {
    ($($field:ident),* $(,)?) => {
        [$((concat!("PyCodeObject.", stringify!($field)), std::mem::offset_of!(CodeHead, $field)),)*]
    };
}

/// Byte offsets of every field that this build relies on, by CPython's own names, for comparison with the headers.
#[must_use]
pub fn offsets() -> Vec<(&'static str, usize)> {
    use std::mem::offset_of;
    let mut all = vec![
        ("PyFrameObject.f_frame", offset_of!(FrameObject, f_frame)),
        ("PyFrameObject.f_trace", offset_of!(FrameObject, f_trace)),
        (
            "PyFrameObject.f_trace_opcodes",
            offset_of!(FrameObject, f_trace_opcodes),
        ),
        (
            "PyThreadState.c_tracefunc",
            offset_of!(ThreadState, c_tracefunc),
        ),
        (
            "PyThreadState.c_profilefunc",
            offset_of!(ThreadState, c_profilefunc),
        ),
        (
            "PyThreadState.c_profileobj",
            offset_of!(ThreadState, c_profileobj),
        ),
        (
            "PyThreadState.c_traceobj",
            offset_of!(ThreadState, c_traceobj),
        ),
        ("PyCodeObject.co_extra", offset_of!(CodeObject, co_extra)),
        (
            "PyCodeObject.co_code_adaptive",
            offset_of!(CodeObject, co_code_adaptive),
        ),
        ("PyThreadState.tracing", offset_of!(ThreadState, tracing)),
        #[cfg(Py_3_12)]
        (
            "PyThreadState.what_event",
            offset_of!(ThreadState, what_event),
        ),
        (
            "PyThreadState.thread_id",
            offset_of!(ThreadState, thread_id),
        ),
        (
            "PyThreadState.native_thread_id",
            offset_of!(ThreadState, native_thread_id),
        ),
        (
            "PyThreadState.datastack_chunk",
            offset_of!(ThreadState, datastack_chunk),
        ),
        ("_PyStackChunk.previous", offset_of!(StackChunk, previous)),
        (
            "PyFunctionObject.func_code",
            offset_of!(FunctionObject, func_code),
        ),
        (
            "PyFunctionObject.func_version",
            offset_of!(FunctionObject, func_version),
        ),
        (
            "_PyInterpreterFrame.previous",
            offset_of!(InterpreterFrame, previous),
        ),
        (
            "_PyInterpreterFrame.f_globals",
            offset_of!(InterpreterFrame, f_globals),
        ),
        (
            "_PyInterpreterFrame.frame_obj",
            offset_of!(InterpreterFrame, frame_obj),
        ),
        (
            "_PyInterpreterFrame.owner",
            offset_of!(InterpreterFrame, owner),
        ),
        (
            "_PyInterpreterFrame.localsplus",
            offset_of!(InterpreterFrame, localsplus),
        ),
    ];
    all.extend(code_fields![
        co_consts,
        co_names,
        co_exceptiontable,
        co_flags,
        co_argcount,
        co_posonlyargcount,
        co_kwonlyargcount,
        co_stacksize,
        co_firstlineno,
        co_nlocalsplus,
        co_nlocals,
        co_localsplusnames,
        co_localspluskinds,
        co_filename,
        co_name,
        co_qualname,
        co_linetable,
    ]);
    all.extend(current::version_offsets());
    all.extend(int::offsets());
    all.extend(objects::offsets());
    #[cfg(Py_3_12)]
    all.extend(instruments::offsets());
    all
}
