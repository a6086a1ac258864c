//! Everything that touches CPython: layouts, value stack, DEBUG_OP, value capture, tracing. The only crate with unsafe
//! code.
//!
//! The parts, from the interpreter up: [`layout`] (private structs, one file per version), [`frame`] (the running frame
//! behind safe functions), [`site`] (the object that is DEBUG_OP), [`probed`] (a code object with sites in it), [`registry`]
//! (which code is probed), [`tracer`] (who is told), [`follow`] (from a callable to its functions), [`op_target`] (a DEBUG_OP
//! that finds its listener itself).

#![expect(
    unsafe_code,
    reason = "this crate reads and writes the interpreter's own structures"
)]

pub mod activation;
pub mod breakpoint;
mod builtin;
mod code_object;
pub mod collector;
mod concatenation;
mod constants;
#[cfg(Py_3_13)]
mod crossinterp;
mod current;
pub mod debug;
mod engine;
mod event;
mod extra;
mod follow;
pub mod fork;
mod frame;
mod function;
mod gil;
mod glance;
mod handled;
pub mod identity;
pub mod interpreter;
mod invert_type;
mod jit;
pub mod layout;
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod loaded;
mod modules;
mod names;
mod native;
pub mod op_target;
pub mod output;
#[cfg(not(Py_3_12))]
mod precall;
mod probed;
pub mod recorder;
mod references;
mod registry;
mod replace;
mod ring;
pub mod site;
pub mod spawn;
pub mod stack;
mod thread;
pub mod toplevel;
mod tracer;
pub mod value;
mod whole;

pub use code_object::CodeFields;
pub use engine::{Engine, current_frames};
pub use event::{Event, EventKind};
pub use follow::python_functions;
pub use frame::{Frame, LiveFrame, SlotValue};
pub use function::{code_constants, code_text, code_texts, localsplus_names};
pub use gil::GilCell;
pub use glance::Glance;
pub use layout::VERSION;
pub use native::Native;
pub use probed::{ProbeError, ProbedCode};
pub use references::is_unshared;
pub use ring::TopOfStack;
pub use thread::thread_name;
pub use tracer::{Follow, Handler, LeftOut, Options, Tracer};

/// Makes what observing needs and could be noticed if it were made later; to be called when the module is imported.
///
/// # Errors
/// `ImportError`, `AttributeError`: the interpreter is not as it should be.
pub fn prepare(py: pyo3::Python<'_>) -> pyo3::PyResult<()> {
    names::prepare(py);
    current::prepare(py);
    value::bound_slot(py);
    extra::index(py)?;
    #[cfg(Py_3_12)]
    engine::monitoring::prepare(py)?;
    probed::prepare(py)?;
    breakpoint::prepare(py)?;
    #[cfg(not(Py_3_12))]
    debug::prepare(py)?;
    whole::prepare(py)
}
