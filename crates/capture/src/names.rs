//! Names of attributes, made before anything is observed: whoever makes one gives up the GIL (`pyo3::intern!`), and a probe must not
//! choose where another thread goes on.

use pyo3::types::PyString;
use pyo3::{Bound, Python};

macro_rules! names {
    ($($function:ident = $name:literal;)*) => {
        $(
            #[doc = concat!("`", $name, "`.")]
            pub(crate) fn $function(py: Python<'_>) -> &Bound<'_, PyString> {
                pyo3::intern!(py, $name)
            }
        )*

        /// Makes them all.
        pub(crate) fn prepare(py: Python<'_>) {
            $($function(py);)*
        }
    };
}

names! {
    args = "args";
    buffer = "buffer";
    buffer_slot = "__buffer__";
    call = "__call__";
    co_code = "co_code";
    co_qualname = "co_qualname";
    co_stacksize = "co_stacksize";
    code = "__code__";
    encoding = "encoding";
    errors = "errors";
    get = "__get__";
    init = "__init__";
    objclass = "__objclass__";
    private_name = "_name";
    module = "__module__";
    name = "__name__";
    new = "__new__";
    op_target = "op_target";
    qualname = "__qualname__";
    raw = "raw";
    receiver = "__self__";
    start = "start";
    step = "step";
    stop = "stop";
}
