//! The state of the thread that runs, where the interpreter keeps it.
//!
//! From 3.12 on that is a variable of each thread (`_Py_tss_tstate`, `Python/pystate.c`), which a shared library finds by calling
//! `__tls_get_addr`, and nobody else by its name. If the object was loaded when the process began, the variable is equally far from the
//! thread's pointer in all threads, and one instruction reads it. How far is found when the module is imported ([`prepare`]).

use pyo3::{Python, ffi};

use crate::layout::ThreadState;

/// The state of the calling thread.
#[inline(always)]
pub(crate) fn ask(_py: Python<'_>) -> *mut ThreadState {
    // SAFETY: may be called at any time.
    unsafe { ffi::compat::PyThreadState_GetUnchecked() }.cast()
}

#[cfg(not(all(
    Py_3_12,
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
mod found {
    pub(crate) use super::ask as thread_state;
    use super::{Python, ThreadState};

    /// The state of the calling thread, NULL if it is not attached.
    #[cfg(Py_3_12)]
    #[inline(always)]
    pub(crate) fn any_state() -> *mut ThreadState {
        // SAFETY: may be called at any time.
        unsafe { super::ffi::compat::PyThreadState_GetUnchecked() }.cast()
    }

    /// Where the variable is.
    #[derive(Clone, Copy)]
    pub(crate) struct Variable;

    impl Variable {
        /// Where none is.
        pub(crate) const UNKNOWN: Self = Self;

        pub(crate) fn found(_py: Python<'_>) -> Self {
            Self
        }

        /// The state of the calling thread.
        #[inline(always)]
        pub(crate) fn read(self, py: Python<'_>) -> *mut ThreadState {
            thread_state(py)
        }
    }

    /// Nothing needs to be found.
    pub(crate) fn prepare(_py: Python<'_>) {}
}

#[cfg(all(
    Py_3_12,
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod found {
    use std::arch::asm;
    use std::sync::atomic::{AtomicIsize, Ordering::Relaxed};

    use super::{Python, ThreadState};
    use crate::loaded::{self, Header};

    /// How far behind the thread's pointer the variable is; 0 as long as that is not known: what the pointer leads to is a pointer of the C
    /// library's own.
    static DISTANCE: AtomicIsize = AtomicIsize::new(0);

    /// The state of the calling thread.
    #[inline(always)]
    pub(crate) fn thread_state(py: Python<'_>) -> *mut ThreadState {
        match DISTANCE.load(Relaxed) {
            0 => super::ask(py),
            distance => Variable(distance).read(py),
        }
    }

    /// The same, of a thread that need not be attached: NULL if it is not.
    #[inline(always)]
    pub(crate) fn any_state() -> *mut ThreadState {
        match DISTANCE.load(Relaxed) {
            // SAFETY: may be called at any time.
            0 => unsafe { super::ffi::compat::PyThreadState_GetUnchecked() }.cast(),
            // SAFETY: as in `Variable::read`.
            distance => unsafe { read(distance) as *mut ThreadState },
        }
    }

    /// Where the variable is: how far behind the thread's pointer.
    #[derive(Clone, Copy)]
    pub(crate) struct Variable(isize);

    impl Variable {
        /// Where no thread's state is.
        pub(crate) const UNKNOWN: Self = Self(0);

        /// What has been found when the module was imported.
        pub(crate) fn found(_py: Python<'_>) -> Self {
            Self(DISTANCE.load(Relaxed))
        }

        /// The state of the calling thread, or, if it is not known where that is, what is no thread's state.
        #[inline(always)]
        pub(crate) fn read(self, _py: Python<'_>) -> *mut ThreadState {
            // SAFETY: the distance is that of a word of every thread, see `prepare`, or 0.
            unsafe { read(self.0) as *mut ThreadState }
        }
    }

    /// # Safety
    /// Every thread has a word there.
    #[inline(always)]
    unsafe fn read(distance: isize) -> usize {
        let word;
        // SAFETY: by the contract; only this thread writes to it.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            asm!("mov {}, fs:[{}]", out(reg) word, in(reg) distance, options(nostack, preserves_flags, readonly));
            #[cfg(target_arch = "aarch64")]
            asm!("mrs {0}, tpidr_el0", "ldr {0}, [{0}, {1}]", out(reg) word, in(reg) distance, options(nostack, preserves_flags, readonly));
        }
        word
    }

    /// The thread's pointer.
    fn pointer() -> usize {
        let pointer;
        // SAFETY: reads a register; on x86-64 the first word behind it is itself (psABI, 3.4.6 "Thread-Local Storage").
        unsafe {
            #[cfg(target_arch = "x86_64")]
            asm!("mov {}, fs:[0]", out(reg) pointer, options(nostack, preserves_flags, readonly));
            #[cfg(target_arch = "aarch64")]
            asm!("mrs {}, tpidr_el0", out(reg) pointer, options(nostack, preserves_flags, nomem));
        }
        pointer
    }

    /// How far behind the thread's pointer the interpreter's variables of this thread are, and how many words they are; `None` if the thread has
    /// none (yet).
    fn variables() -> Option<(isize, isize)> {
        loaded::interpreter(|info| {
            let is_it = |header: &&Header| header.kind == Header::THREADS;
            let header = info.headers().iter().find(is_it)?;
            let data = info.threads_data as usize;
            if info.threads_module == 0 || data == 0 || !data.is_multiple_of(size_of::<usize>()) {
                return None;
            }
            let distance = data.wrapping_sub(pointer()).cast_signed();
            let words = usize::try_from(header.size).ok()? / size_of::<usize>();
            Some((distance, words.cast_signed()))
        })?
    }

    /// Finds the variable: the only one that is this thread's state while it is attached, before and after, and NULL while it is not. Gives up
    /// the GIL. It is used if a thread that has just begun has the interpreter's variables at the same distance: those of an object that was
    /// loaded later are wherever there was room.
    pub(crate) fn prepare(py: Python<'_>) {
        let state = super::ask(py) as usize;
        let Some((first, words)) = variables() else {
            return;
        };
        let word = |distance: isize| {
            // SAFETY: one of the words of this thread's variables.
            unsafe { read(distance) }
        };
        let places = (0..words).map(|word| first + word * size_of::<usize>().cast_signed());
        let mut places: Vec<isize> = places.filter(|&place| word(place) == state).collect();
        let is_everywhere = py.detach(|| {
            places.retain(|&place| word(place) == 0);
            let other = std::thread::Builder::new().spawn(variables);
            other.is_ok_and(|other| other.join().ok().flatten() == Some((first, words)))
        });
        places.retain(|&place| word(place) == state);
        if let ([place], true) = (&places[..], is_everywhere) {
            DISTANCE.store(*place, Relaxed);
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn threads_have_the_interpreters_variables_at_one_distance() {
            let own = variables();
            let other = std::thread::spawn(variables).join().expect("no panic");
            assert_eq!(own, other);
        }
    }
}

#[cfg(Py_3_12)]
pub(crate) use found::any_state;
pub(crate) use found::{Variable, prepare, thread_state};
