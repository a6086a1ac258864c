//! What debuggers are made of: trace and profile functions with the protocol of `sys.settrace` and `sys.setprofile`, and the events
//! of a `bdb.Bdb`.
//!
//! [`trampoline`] delivers the interpreter's own trace events, [`session`] chooses those that may stop a debugger, [`watch`] lets
//! the interpreter leave out all others while a program runs to its next breakpoint, and [`breakpoint`](self::breakpoint) says whether one is in effect.
//! [`places`] adds instructions and exceptions to what stops, and [`sentinels`] places that are watched. [`follow`] leaves one side of a fork. [`frame_stack()`] is what a debugger shows of a frame.

mod breakpoint;
#[cfg(not(Py_3_12))]
mod change_over;
mod compiled;
mod follow;
mod frame_stack;
mod places;
mod sentinels;
mod session;
mod trampoline;
mod turns;
#[cfg(Py_3_12)]
mod watch;

pub use breakpoint::Effective;
#[cfg(not(Py_3_12))]
pub(crate) use change_over::prepare;
#[cfg(not(Py_3_12))]
pub(crate) use compiled::fall_back;
pub use follow::{follow_fork, forked, is_left, leave};
pub use frame_stack::{frame_is_over, frame_stack, set_slot};
pub use places::set_places;
pub use sentinels::writer;
pub use session::{Start, changed, effective, start, stop};
pub use trampoline::{
    get_profile, get_trace, set_profile, set_profile_all_threads, set_trace, set_trace_all_threads,
};
pub use turns::{is_others, take as take_turn, waiting};
#[cfg(Py_3_12)]
pub(crate) use watch::NAME as TOOL_NAME;
