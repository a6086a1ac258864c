//! Probes of a recorder that have nothing to do while numbers are calculated with: they are jumped over.
//!
//! A site of the plan that its numeric half leaves out costs the interpreter's three instructions, some 80 machine instructions, for nothing. As long as the code
//! object is recorded by that half, a `JUMP_FORWARD` behind the probe is in the place of its first unit, as where nobody watches ([`super::silence`], which says why
//! that is sound while frames run). Back it comes with the whole plan, in whichever frame or thread that is decided, before anything else happens.
//!
//! A frame that stands before such a probe executes what is there then. Only one that is being told of the jump itself must not be met: from 3.12 on the interpreter has read
//! opcode and argument before it calls who is told, and jumps, though the probe is back and has to fire. (3.11 reads them afterwards.) So
//! nothing is jumped over any more once somebody may be told of lines, instructions and jumps: [`keep`].

use pyo3::Python;

use super::ProbedCode;
use super::silence::Live;
use crate::gil::GilCell;
use crate::jit;
#[cfg(Py_3_12)]
use crate::registry;

/// Whether somebody may be told what frames do, and by whom it is asked cannot be known: for the rest of the process.
static KEPT: GilCell<bool> = GilCell::new(false);

/// From now on somebody may be told of lines, instructions or jumps of any frame. To be called before they are.
#[cfg(Py_3_12)]
pub(crate) fn keep(py: Python<'_>) {
    if !KEPT.replace(py, true) {
        for code in registry::all(py) {
            code.put_back_left_out(py);
        }
    }
}

impl ProbedCode {
    /// Makes the probes be jumped over that are left out, as long as nobody may be told of it.
    pub(crate) fn jump_over_left_out(&self, py: Python<'_>) {
        let Some(left_out) = self.left_out.get().filter(|all| !all.is_empty()) else {
            return;
        };
        let Some(copy) = self.probed(py) else { return };
        let live = Live::of(&copy);
        if KEPT.get(py) || jit::may_compile(py) || !live.is_quiet() {
            return;
        }
        for probe in left_out {
            live.jump_over(probe);
        }
        self.jumps_left_out.set(py, true);
    }

    /// Undoes that.
    pub(crate) fn put_back_left_out(&self, py: Python<'_>) {
        if !self.jumps_left_out.replace(py, false) {
            return;
        }
        let (Some(copy), Some(left_out)) = (self.probed(py), self.left_out.get()) else {
            return;
        };
        let live = Live::of(&copy);
        for probe in left_out {
            live.put_back(probe);
        }
    }
}
