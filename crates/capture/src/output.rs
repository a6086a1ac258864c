//! What the program writes to its standard output and standard error, when it writes it.
//!
//! The C functions by which Python programs write are replaced in their definitions, as in [`crate::replace`]: `TextIOWrapper.write`,
//! `BufferedWriter.write`, `FileIO.write`, `os.write` and `os.writev`; `print`, `writelines`, tracebacks and `input`'s prompt (where it is no
//! terminal) come through these. Where they write to is found by going down to the file descriptor. What an upper one has told of
//! is not told again when it comes by further down ([`pending`]), so a byte belongs to the instruction that wrote it, not to
//! the one that made a buffer overflow; bytes come in the order in which the program wrote them, which is that in which the operating system gets
//! them unless the program writes around a buffer that is not empty.
//!
//! A lower function tells instead, so when the buffer is emptied, where it is not known without running code of the program what an upper
//! one will make of the text: in subclasses, for other encodings than UTF-8, ASCII and Latin-1, with other error handlers than those built in,
//! and with a translation of newlines.
//!
//! Not seen: other descriptors that lead to the same place (`os.dup(1)`, `/dev/stdout`), what C code writes (`faulthandler`, `printf`, GNU readline's
//! prompt), child processes, sub-interpreters, `os.sendfile` and `os.splice`; and objects with a `__buffer__` method
//! of the program's, given to `os.write` or a raw file. A stream that does not block and was full may be told of twice.

mod functions;
mod pending;
mod types;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use pyo3::exceptions::PyRuntimeError;
use pyo3::{PyResult, Python};

use crate::gil::GilCell;
use crate::interpreter::is_main;
use pending::Pending;
use types::Types;

/// A stream of the program's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// File descriptor 1.
    Output,
    /// File descriptor 2.
    Error,
}

/// Who is told.
pub trait Listener: Send + Sync {
    /// The program has written `bytes`, or is about to, in the instruction that this thread is executing. Must not run code of the program's.
    fn written(&self, py: Python<'_>, stream: Stream, bytes: &[u8]);
}

static TYPES: GilCell<Option<Arc<Types>>> = GilCell::new(None);
static LISTENER: GilCell<Option<Arc<dyn Listener>>> = GilCell::new(None);
static PENDING: GilCell<Pending> = GilCell::new(Pending::new());

/// Tells `listener` from now on, instead of whom was told before.
///
/// # Errors
/// `RuntimeError`: the interpreter is not as it should be; `MemoryError`.
pub fn watch(py: Python<'_>, listener: Arc<dyn Listener>) -> PyResult<()> {
    if !TYPES.with(py, |types| types.is_some()) {
        let types = Types::find(py)?;
        functions::place(&types, py)?;
        TYPES.set(py, Some(Arc::new(types)));
    }
    PENDING.set(py, Pending::new());
    LISTENER.set(py, Some(listener));
    Ok(())
}

/// Tells nobody any more. Our functions stay and pass everything on.
pub fn unwatch(py: Python<'_>) {
    LISTENER.set(py, None);
    PENDING.set(py, Pending::new());
}

fn unknown(what: &str) -> pyo3::PyErr {
    PyRuntimeError::new_err(format!(
        "debugop does not know this interpreter: {what} is not what it is in CPython {}",
        crate::layout::VERSION
    ))
}

/// Who is to be told, if anybody, and by whom.
fn asked(py: Python<'_>) -> Option<(Arc<dyn Listener>, Arc<Types>)> {
    if !is_main(py) {
        return None;
    }
    let listener = LISTENER.cloned(py)?;
    Some((listener, TYPES.cloned(py)?))
}

/// Runs `f`, whose panics end here: they must not go through C.
fn guarded<R>(
    py: Python<'_>,
    f: impl FnOnce(&Arc<dyn Listener>, &Types) -> Option<R>,
) -> Option<R> {
    let (listener, types) = asked(py)?;
    catch_unwind(AssertUnwindSafe(|| f(&listener, &types))).unwrap_or_else(|_| {
        // The message of the panic has been written already; another one must not follow at each write.
        unwatch(py);
        None
    })
}

fn tell(py: Python<'_>, listener: &Arc<dyn Listener>, stream: Stream, bytes: &[u8]) {
    if !bytes.is_empty() {
        listener.written(py, stream, bytes);
    }
}
