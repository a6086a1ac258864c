//! CPython 3.11-3.15 bytecode as data: decode, assemble, analyse, insert. No Python, no unsafe.

pub mod argument;
pub mod opcode;
pub mod version;
