//! CPython 3.11-3.13.

use std::ffi::CStr;

/// What keeps its dead in a free list, by `tp_name`, and whether its deallocation begins with `Py_TRASHCAN_BEGIN`.
///
/// Sources, each in `Objects/`: `listobject.c` (`list_dealloc`), `tupleobject.c` (`tupledealloc`), `dictobject.c` (`dict_dealloc`),
/// `sliceobject.c` (`slice_dealloc`: one), `exceptions.c` (`MemoryError_dealloc`), `genobject.c` (`async_gen_asend_dealloc`,
/// `async_gen_wrapped_val_dealloc`); `Python/context.c` (`context_tp_dealloc`); `Modules/_asynciomodule.c` (`FutureIter_dealloc`).
/// `float` has one too; floats have no identity here.
pub(in crate::identity) const KINDS: &[(&CStr, bool)] = &[
    (c"list", true),
    (c"tuple", true),
    (c"dict", true),
    (c"slice", false),
    (c"MemoryError", false),
    (c"Context", false),
    (c"_contextvars.Context", false),
    (c"async_generator_asend", false),
    (c"async_generator_wrapped_value", false),
    (c"_asyncio.FutureIter", false),
];
