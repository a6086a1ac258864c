//! What debuggers are made of: trace and profile functions with the protocol of `sys.settrace` and `sys.setprofile`.
//!
//! [`trampoline`] delivers the interpreter's own trace events, from Rust.

mod trampoline;

pub use trampoline::{
    get_profile, get_trace, set_profile, set_profile_all_threads, set_trace, set_trace_all_threads,
};
