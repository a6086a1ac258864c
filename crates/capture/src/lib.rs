//! Everything that touches CPython: layouts, value stack, DEBUG_OP, value capture, tracing. The only crate with unsafe code.
