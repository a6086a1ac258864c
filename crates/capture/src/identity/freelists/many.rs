//! CPython 3.14 and 3.15, where all free lists are in one struct (`Include/internal/pycore_freelist_state.h`), but for that of
//! `MemoryError`.

use std::ffi::CStr;

/// What keeps its dead in a free list, by `tp_name`. The second is false everywhere: `_Py_Dealloc` itself has the trashcan
/// (`Objects/object.c`).
///
/// Who calls `_Py_FREELIST_FREE` and `_Py_FREELIST_PUSH`: `Objects/` `listobject.c`, `tupleobject.c` (also their iterators),
/// `dictobject.c`, `sliceobject.c`, `rangeobject.c`, `methodobject.c`, `classobject.c`, `genobject.c`; `Python/context.c`;
/// `Modules/_asynciomodule.c`. Not here: int, float and complex, which have no identity here, and what is no object (keys of
/// dictionaries, chunks, writers).
pub(in crate::identity) const KINDS: &[(&CStr, bool)] = &[
    (c"list", false),
    (c"tuple", false),
    (c"dict", false),
    (c"list_iterator", false),
    (c"tuple_iterator", false),
    (c"slice", false),
    (c"range", false),
    (c"range_iterator", false),
    (c"MemoryError", false),
    (c"Context", false),
    (c"_contextvars.Context", false),
    (c"async_generator_asend", false),
    (c"async_generator_wrapped_value", false),
    (c"builtin_function_or_method", false),
    (c"builtin_method", false),
    (c"method", false),
    (c"_asyncio.FutureIter", false),
];
