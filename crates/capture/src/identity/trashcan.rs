//! CPython's trashcan, which keeps deeply nested containers from using up the C stack when they die. Before 3.14 the deallocation
//! functions take part in it themselves, if they are their type's `tp_dealloc`; what stands in their place has to.

#[cfg(not(Py_3_13))]
#[path = "trashcan/nested.rs"]
mod current;
#[cfg(all(Py_3_13, not(Py_3_14)))]
#[path = "trashcan/depth.rs"]
mod current;
#[cfg(Py_3_14)]
#[path = "trashcan/none.rs"]
mod current;

pub(super) use current::dealloc;
