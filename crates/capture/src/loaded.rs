//! The interpreter as the dynamic linker has loaded it: the executable, or a shared library.

use std::ffi::{c_char, c_int, c_void};

use pyo3::ffi;

/// `Elf64_Phdr` (`elf.h`).
#[repr(C)]
pub(crate) struct Header {
    pub kind: u32,
    pub flags: u32,
    offset: u64,
    pub address: u64,
    physical: u64,
    in_file: u64,
    pub size: u64,
    alignment: u64,
}

impl Header {
    /// It is part of the image.
    pub(crate) const LOADED: u32 = 1;
    /// It is what a thread's variables begin as.
    #[cfg(Py_3_12)]
    pub(crate) const THREADS: u32 = 7;
    /// In its flags.
    pub(crate) const WRITABLE: u32 = 2;
}

/// `struct dl_phdr_info` (`link.h`, glibc and musl).
#[repr(C)]
pub(crate) struct Info {
    pub base: usize,
    name: *const c_char,
    headers: *const Header,
    count: u16,
    added: u64,
    removed: u64,
    /// Which of the objects with variables of threads it is; 0: it has none.
    pub threads_module: usize,
    /// Where those of the calling thread are; NULL if it has none yet.
    pub threads_data: *mut c_void,
}

impl Info {
    pub(crate) fn headers(&self) -> &[Header] {
        // SAFETY: the program headers are mapped as long as the object is.
        unsafe { std::slice::from_raw_parts(self.headers, usize::from(self.count)) }
    }

    /// Where a part of it is.
    pub(crate) fn span(&self, header: &Header) -> std::ops::Range<usize> {
        let start = self.base + usize::try_from(header.address).unwrap_or(usize::MAX / 2);
        start..start + usize::try_from(header.size).unwrap_or(0)
    }
}

/// Calls `look` with the object that the interpreter is in. Any thread may ask.
pub(crate) fn interpreter<R>(look: impl FnOnce(&Info) -> R) -> Option<R> {
    type Each = unsafe extern "C" fn(*const Info, usize, *mut c_void) -> c_int;
    unsafe extern "C" {
        fn dl_iterate_phdr(each: Each, data: *mut c_void) -> c_int;
    }
    struct Search<F, R> {
        look: Option<F>,
        found: Option<R>,
    }

    unsafe extern "C" fn each<F: FnOnce(&Info) -> R, R>(
        info: *const Info,
        size: usize,
        data: *mut c_void,
    ) -> c_int {
        if size < size_of::<Info>() {
            return 1;
        }
        // SAFETY: `dl_iterate_phdr` passes a valid struct of this size and our pointer.
        let (info, search) = unsafe { (&*info, &mut *data.cast::<Search<F, R>>()) };
        let interpreter = ffi::PyMem_SetAllocator as *const () as usize;
        let is_it = |header: &Header| {
            header.kind == Header::LOADED && info.span(header).contains(&interpreter)
        };
        if !info.headers().iter().any(is_it) {
            return 0;
        }
        search.found = search.look.take().map(|look| look(info));
        1
    }

    let mut search = Search {
        look: Some(look),
        found: None,
    };
    fn callback<F: FnOnce(&Info) -> R, R>(_: &Search<F, R>) -> Each {
        each::<F, R>
    }
    let each = callback(&search);
    // SAFETY: the callback has the right signature, and the data lives as long as the call.
    unsafe { dl_iterate_phdr(each, (&raw mut search).cast()) };
    search.found
}
