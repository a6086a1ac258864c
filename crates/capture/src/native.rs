//! What can be done at a step by native code alone.

use std::sync::Arc;

use crate::ring::TopOfStack;

/// What a handler does that never runs Python code, never releases the GIL and never fails. The fire path may therefore
/// borrow what the step needs, where for any other handler it has to hold references of its own.
#[derive(Clone)]
#[non_exhaustive]
pub enum Native {
    /// Nothing; steps are counted all the same.
    Count,
    /// Encodes the top of the value stack.
    TopOfStack(Arc<TopOfStack>),
    /// Nothing here: planned sites tell the recorder themselves ([`crate::recorder`]).
    Record,
}
