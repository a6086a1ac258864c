//! Which code is followed and which steps are wanted: patterns and predicates. No Python, no unsafe.
//!
//! A [`Pattern`] names code; a [`CodeFilter`] decides which code is followed at all; a [`Predicate`] decides which steps
//! of followed code are reported.

mod code_filter;
mod pattern;
mod predicate;

pub use code_filter::{CodeFilter, Libraries};
pub use pattern::{Pattern, PatternError};
pub use predicate::{Decision, Predicate, StepFacts};

/// What a code object is called and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeNames<'a> {
    /// `__name__` of the module whose globals the code runs in; empty if unknown.
    pub module: &'a str,
    /// `co_qualname`.
    pub qualname: &'a str,
    /// `co_filename`, as the compiler was given it.
    pub file: &'a str,
}
