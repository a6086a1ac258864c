//! Probes that nobody has a use for, in code that frames still run: they are jumped over.
//!
//! A frame that was entered while its code was watched runs the copy to its end, which for the main loop of a server may never come. The
//! first unit of each probe (`LOAD_CONST`, or its `EXTENDED_ARG`) is overwritten by a `JUMP_FORWARD` behind it; the others stay, so
//! a frame that is within a probe, as that whose callback ends the tracing is, finishes it. Nothing else moves.
//!
//! In each loop one probe leads to a detour instead, where frames leave the copy ([`super::leave`]): its first two units become `EXTENDED_ARG` and
//! `JUMP_FORWARD`. `POP_TOP` stays for frames that are within the probe. That is done, and undone, only where nobody can have been called between the two (a trace
//! function on 3.11, a callback for a line or an instruction from 3.12 on). What cannot be undone then still reports, from the detour.
//!
//! Breakpoints ([`super::woven`]) are led by in the same way once they are in force no more, and for good. What may be called within them may run for long, so there it
//! is looked at where each frame of the copy is.
//!
//! A jump parts an addition to a variable from its store as a probe does. So the probe before the addition, which extends strings
//! ([`crate::concatenation`]), stays at first; when it sees that something else is added, it has itself jumped over.
//! Not so under the JIT: on 3.15 what it makes of such a mixture crashes.
//!
//! What the interpreter does with bytecode while it runs it:
//!
//! - Between the first unit of a probe and the next no other thread can run, and nothing of the program's: neither instruction looks
//!   at `eval_breaker`. What could run something there is instrumentation, which changes the opcode.
//! - 3.11, 3.12: `LOAD_FAST` before `LOAD_CONST` becomes one instruction with it, which has the second's argument and does not look at its
//!   opcode; it is parted. No other fused instruction ends in `LOAD_CONST` (`Tools/scripts/generate_opcode_h.py`), and none begins with a
//!   probe's, because no `UNARY_INVERT` is fused.
//! - Instrumentation (3.12+) puts another opcode in the place of one, which it keeps in a table of its own. Where it has done so before,
//!   the probe stays as it is. Where it does so later, the probe is put back to the table.
//! - The JIT (3.13+, where it is built in) has compiled the bytecode of before: what depends on it is thrown away.

use debugop_bytecode::{InstrIdx, Op};
use pyo3::types::PyCode;
use pyo3::{Bound, Python};

use super::ProbedCode;
use crate::frame::Frame;
use crate::jit;
#[cfg(Py_3_12)]
use crate::layout::MonitoringData;
#[cfg(not(Py_3_12))]
use crate::layout::ThreadState;
use crate::layout::{CodeObject, OPCODES, VERSION};
use crate::recorder::top_frame;
use crate::thread;

/// A code unit: opcode and argument.
pub(super) type Unit = [u8; 2];

/// One probe in the copy, or a breakpoint.
#[derive(Clone, Copy)]
pub(super) struct Probe {
    /// Its first code unit.
    pub(super) at: usize,
    /// What that is, and the second.
    pub(super) is: [Unit; 2],
    /// The jump over it, in place of the first.
    pub(super) jump: Unit,
    /// The jump to its detour, in place of both.
    pub(super) detour: Option<[Unit; 2]>,
    /// Whether `LOAD_FAST` is before it.
    pub(super) after_load_fast: bool,
    /// Whether it adds to a variable. It goes on doing so: jumps between an addition and its store part them as probes do.
    pub(super) adds: bool,
}

/// What leads from the first two units at byte `start` to byte `to`, if that is not too far.
pub(super) fn jump_to(start: u32, to: u32) -> Option<[Unit; 2]> {
    let [.., high, low] = (to / 2).checked_sub(start / 2 + 2)?.to_be_bytes();
    let reaches = u32::from_be_bytes([0, 0, high, low]) + start / 2 + 2 == to / 2;
    let (prefix, jump) = (opcode_of(Op::ExtendedArg), opcode_of(Op::JumpForward));
    reaches.then_some([[prefix, high], [jump, low]])
}

impl ProbedCode {
    /// Whether the probes are jumped over.
    #[inline]
    pub(crate) fn is_silenced(&self, py: Python<'_>) -> bool {
        self.silenced.get(py)
    }

    /// Makes the probes be jumped over, if there is a copy.
    pub(crate) fn silence(&self, py: Python<'_>) {
        if self.is_woven() || self.silenced.get(py) {
            return;
        }
        let Some(copy) = self.probed(py) else { return };
        // Loops are left by some of these, too.
        self.put_back_left_out(py);
        let probes = self.probes(py);
        let live = Live::of(&copy);
        let is_compiled = jit::is_enabled(py);
        let may_leave = !is_compiled && live.is_between_instructions();
        for probe in &probes {
            match probe.detour {
                Some(detour) if may_leave => live.lead_to(probe, detour),
                _ if probe.adds && !is_compiled => {}
                _ => live.jump_over(probe),
            }
        }
        self.silenced.set(py, true);
        self.refusals.set(py, 0);
        jit::forget(&copy);
    }

    /// Makes breakpoints that are in force no more be jumped over, those in loops lead to where frames leave the copy. For good.
    pub(crate) fn retire(&self, py: Python<'_>) {
        let (Some(copy), Some(fragments)) = (self.probed(py), self.fragments()) else {
            return;
        };
        let live = Live::of(&copy);
        let executed = executed(py, &copy);
        let may_leave = !jit::is_enabled(py);
        for probe in fragments {
            match probe.detour {
                Some(detour) if may_leave && !probe.is_among(&executed) => {
                    live.lead_to(probe, detour);
                }
                _ => {}
            }
            // Unless that is what it does now.
            live.jump_over(probe);
        }
        self.silenced.set(py, true);
        self.refusals.set(py, 0);
        jit::forget(&copy);
    }

    /// Makes the probes that lead to detours be jumped over too.
    #[cold]
    pub(super) fn stay(&self, py: Python<'_>) {
        let Some(copy) = self.probed(py) else { return };
        let live = Live::of(&copy);
        if let Some(fragments) = self.fragments() {
            let executed = executed(py, &copy);
            for probe in fragments {
                if !probe.is_among(&executed) && live.lead_back(probe) {
                    live.jump_over(probe);
                }
            }
        } else if live.is_between_instructions() {
            for probe in &self.probes(py) {
                if live.lead_back(probe) {
                    live.jump_over(probe);
                }
            }
        }
    }

    /// Makes the probe that `frame` executes be jumped over too, which was left because it is one that adds to a variable, if the others
    /// are: what the instruction `add` behind it adds are no strings. The site is the copy's constant of that number.
    #[cold]
    pub(crate) fn silence_addition(
        &self,
        py: Python<'_>,
        frame: Frame<'_>,
        add: InstrIdx,
        constant: usize,
    ) {
        let (Some(copy), Some(offset)) = (self.probed(py), frame.instruction_offset()) else {
            return;
        };
        if frame.code_address() != copy.as_ptr() as usize {
            return;
        }
        // `EXTENDED_ARG` for each further byte, and `LOAD_CONST`.
        let loads = constant.checked_ilog(256).unwrap_or(0) as usize + 1;
        let first = [Op::LoadConst, Op::ExtendedArg][usize::from(loads > 1)];
        let Some(at) = (offset as usize / 2).checked_sub(loads) else {
            return;
        };
        let analysis = self.analysis();
        let before = add
            .0
            .checked_sub(1)
            .map(|before| analysis.get(InstrIdx(before)));
        Live::of(&copy).jump_over(&Probe {
            at,
            is: [
                [opcode_of(first), (constant >> (8 * (loads - 1))) as u8],
                [0; 2],
            ],
            jump: [opcode_of(Op::JumpForward), loads as u8 + 1],
            detour: None,
            after_load_fast: before.map(|one| one.opcode) == Op::LoadFast.opcode(VERSION),
            adds: true,
        });
        jit::forget(&copy);
    }

    /// Undoes that.
    pub(crate) fn voice(&self, py: Python<'_>) {
        if !self.silenced.get(py) {
            return;
        }
        self.silenced.set(py, false);
        let Some(copy) = self.probed(py) else { return };
        let probes = self.probes(py);
        let live = Live::of(&copy);
        let is_between = live.is_between_instructions();
        for probe in &probes {
            // Where it cannot be put back, the detour reports.
            if !is_between || !live.lead_back(probe) {
                live.put_back(probe);
            }
        }
        jit::forget(&copy);
    }

    /// Whether a detour leads back to byte `at` of `copy`. 3.11 tells of a line at each jump back (`maybe_call_line_trace` in `Python/ceval.c`), that of
    /// its target; this one's line has been told of where its probe begins.
    #[cfg(not(Py_3_12))]
    pub(crate) fn is_behind_detour(&self, copy: &Bound<'_, PyCode>, at: u32) -> bool {
        let live = Live::of(copy);
        let rest = [Op::LoadConst, Op::UnaryInvert, Op::PopTop].map(opcode_of);
        // Of a probe that leads to its detour two units have been overwritten: `LOAD_CONST` and `UNARY_INVERT`, or prefixes and the like.
        (1..=3).any(|left| {
            let Some(start) = (at as usize / 2).checked_sub(left + 2) else {
                return false;
            };
            let [prefix, high] = live.get(start);
            let [jump, low] = live.get(start + 1);
            let to = start + 2 + usize::from(u16::from_be_bytes([high, low]));
            (prefix == opcode_of(Op::ExtendedArg) || Some(prefix) == OPCODES.extended_arg_quick)
                && jump == opcode_of(Op::JumpForward)
                && (0..left).all(|unit| live.get(start + 2 + unit)[0] == rest[3 - left + unit])
                // Only detours are jumped to of what is behind the code.
                && self.original_offset(to as u32 * 2).is_none()
        })
    }

    /// The probes, but that for exceptions that leave.
    fn probes(&self, py: Python<'_>) -> Vec<Probe> {
        let again = self.insert_again(py);
        let (units, _) = again.parts.code.as_chunks::<2>();
        let probe = |(start, adds, detour): (u32, bool, Option<(u32, InstrIdx)>)| {
            let detour = detour.and_then(|(to, next)| {
                let depth = self.analysis().depth(next)?;
                if (0..depth).any(|slot| self.holds_lasti(next, slot)) {
                    return None;
                }
                jump_to(start, to)
            });
            let probe = Probe::new(units, start)?;
            Some(Probe {
                detour,
                adds,
                ..probe
            })
        };
        again.starts().filter_map(probe).collect()
    }
}

/// The probes that start there in this bytecode.
pub(super) fn probes(code: &[u8], starts: impl Iterator<Item = u32>) -> Box<[Probe]> {
    let (units, _) = code.as_chunks::<2>();
    starts
        .filter_map(|start| Probe::new(units, start))
        .collect()
}

impl Probe {
    /// That which starts at a byte of the bytecode with these `units`; without a detour, and adding to nothing.
    fn new(units: &[Unit], start: u32) -> Option<Self> {
        let at = start as usize / 2;
        // LOAD_CONST, or prefixes and LOAD_CONST; UNARY_INVERT; POP_TOP.
        let invert = opcode_of(Op::UnaryInvert);
        let load = units[at..].iter().position(|unit| unit[0] == invert)?;
        let before = at.checked_sub(1).map(|before| units[before][0]);
        Some(Self {
            at,
            is: [units[at], units[at + 1]],
            jump: [opcode_of(Op::JumpForward), u8::try_from(load + 1).ok()?],
            detour: None,
            after_load_fast: before == Some(opcode_of(Op::LoadFast)),
            adds: false,
        })
    }

    /// Whether one of these units is among the two that a detour takes.
    fn is_among(&self, units: &[usize]) -> bool {
        units
            .iter()
            .any(|&unit| (self.at..=self.at + 1).contains(&unit))
    }
}

/// The units that frames of `copy` execute now, on any thread. Nobody is suspended within a breakpoint.
fn executed(py: Python<'_>, copy: &Bound<'_, PyCode>) -> Vec<usize> {
    let mut units = Vec::new();
    for state in thread::states(py) {
        // SAFETY: a state of this interpreter's, and the GIL is held while its frames are looked at; nothing here runs Python.
        let innermost = unsafe { top_frame(state.cast()) };
        let frames = std::iter::successors(innermost, |frame| frame.previous());
        let own = frames.filter(|frame| frame.code_address() == copy.as_ptr() as usize);
        units.extend(own.filter_map(|frame| Some(frame.instruction_offset()? as usize / 2)));
    }
    units
}

pub(super) fn opcode_of(op: Op) -> u8 {
    op.opcode(VERSION).map_or(0, |opcode| opcode.0)
}

/// The bytecode that a code object executes.
pub(super) struct Live<'a, 'py> {
    code: &'a Bound<'py, PyCode>,
}

impl<'a, 'py> Live<'a, 'py> {
    pub(super) fn of(code: &'a Bound<'py, PyCode>) -> Self {
        Self { code }
    }

    fn object(&self) -> *mut CodeObject {
        self.code.as_ptr().cast()
    }

    fn unit(&self, at: usize) -> *mut Unit {
        // SAFETY: a live code object, whose bytecode has so many units: `Py_SIZE` is their number.
        unsafe {
            let count = usize::try_from((*self.object()).units()).unwrap_or(0);
            assert!(at < count, "a probe outside of the code that it is in");
            (&raw mut (*self.object()).co_code_adaptive)
                .cast::<Unit>()
                .add(at)
        }
    }

    /// `None` behind the last unit.
    pub(super) fn try_get(&self, at: usize) -> Option<Unit> {
        // SAFETY: a live code object.
        let count = unsafe { (*self.object()).units() };
        usize::try_from(count)
            .is_ok_and(|count| at < count)
            .then(|| self.get(at))
    }

    pub(super) fn get(&self, at: usize) -> Unit {
        // SAFETY: the unit exists, and with the GIL held nobody writes it.
        unsafe { self.unit(at).read() }
    }

    pub(super) fn set(&self, at: usize, unit: Unit) {
        // SAFETY: the unit exists. The interpreter reads it when a frame gets there, which none does meanwhile: the GIL is held. What is
        // written is sound there by what the module says: `silence`, `voice` and [`super::for_iter`] write nothing else. Checked on 3.11.7, 3.12.1, 3.13.0,
        // 3.14.10, 3.15.2.
        unsafe { self.unit(at).write(unit) }
    }

    /// Whether no frame can be between two units of a probe: nobody is called there.
    #[cfg(Py_3_12)]
    fn is_between_instructions(&self) -> bool {
        // SAFETY: as long as the code object lives.
        let monitoring = unsafe { (*self.object()).co_monitoring.as_ref() };
        monitoring.is_none_or(|monitoring| !monitoring.has_tables())
    }

    /// Whether no frame can be between two units of a probe: no thread has a trace function.
    #[cfg(not(Py_3_12))]
    fn is_between_instructions(&self) -> bool {
        // SAFETY: states of live threads.
        let traces = |state: *mut pyo3::ffi::PyThreadState| unsafe {
            !(*state.cast::<ThreadState>()).c_tracefunc.is_null()
        };
        !thread::states(self.code.py()).into_iter().any(traces)
    }

    /// Whether the code is instrumented for nothing but its beginnings. What frames run is brought up to date whenever anything changes
    /// (`instrument_all_executing_code_objects`), other code when it is called.
    #[cfg(Py_3_12)]
    pub(super) fn is_quiet(&self) -> bool {
        // SAFETY: a live code object, and what it keeps of its instrumentation.
        let monitoring = unsafe { (*self.object()).co_monitoring.as_ref() };
        monitoring.is_none_or(MonitoringData::is_quiet)
    }

    /// There is no instrumentation.
    #[cfg(not(Py_3_12))]
    pub(super) fn is_quiet(&self) -> bool {
        true
    }

    /// Whether unit `at` is `unit`, be it specialised.
    fn is(&self, at: usize, unit: Unit) -> bool {
        let [opcode, arg] = self.get(at);
        let is_load_const =
            opcode_of(Op::LoadConst) == unit[0] && OPCODES.load_const.contains(&opcode);
        (opcode == unit[0] || is_load_const) && arg == unit[1]
    }

    /// Makes a probe be jumped over.
    pub(super) fn jump_over(&self, probe: &Probe) {
        if self.is(probe.at, probe.is[0]) {
            self.part(probe);
            self.set(probe.at, probe.jump);
        }
    }

    /// Makes a probe lead to its detour. Nothing must be between its units.
    fn lead_to(&self, probe: &Probe, detour: [Unit; 2]) {
        if self.is(probe.at, probe.is[0]) && self.is(probe.at + 1, probe.is[1]) {
            self.part(probe);
            self.set(probe.at, detour[0]);
            self.set(probe.at + 1, detour[1]);
        }
    }

    /// Makes a probe that leads to its detour a probe again; false if it does not. Nothing must be between its units.
    fn lead_back(&self, probe: &Probe) -> bool {
        let leads = probe.detour.is_some_and(|[prefix, jump]| {
            let [opcode, arg] = self.get(probe.at);
            let is_prefix = opcode == prefix[0] || Some(opcode) == OPCODES.extended_arg_quick;
            is_prefix && arg == prefix[1] && self.get(probe.at + 1) == jump
        });
        if leads {
            self.set(probe.at, probe.is[0]);
            self.set(probe.at + 1, probe.is[1]);
        }
        leads
    }

    /// Parts what is before a probe from it.
    fn part(&self, probe: &Probe) {
        if probe.after_load_fast
            && let [opcode, arg] = self.get(probe.at - 1)
            && Some(opcode) == OPCODES.load_fast_load_const
        {
            self.set(probe.at - 1, [opcode_of(Op::LoadFast), arg]);
        }
    }

    /// Makes what has been jumped over be a probe again.
    pub(super) fn put_back(&self, probe: &Probe) {
        let [opcode, arg] = self.get(probe.at);
        if arg != probe.jump[1] {
            return;
        }
        if opcode == probe.jump[0] || Some(opcode) == OPCODES.instrumented_jump_forward {
            self.set(probe.at, probe.is[0]);
        }
        #[cfg(Py_3_12)]
        if let Some(shadow) = self.shadow(probe.at, opcode) {
            // SAFETY: the entry of the unit in the table that says which opcode this one stands for (see `shadow`). A callback of that
            // very event has read opcode and argument before it was called, and goes on with both as they were
            // (`_Py_call_instrumentation_line`, `_Py_call_instrumentation_instruction`, `Python/instrumentation.c`).
            unsafe {
                let stands_for = *shadow;
                if stands_for == probe.jump[0]
                    || Some(stands_for) == OPCODES.instrumented_jump_forward
                {
                    let [is, arg] = probe.is[0];
                    *shadow = is;
                    self.set(probe.at, [opcode, arg]);
                }
            }
        }
    }

    /// Where the opcode is kept that `opcode` at `at` stands for, if that is one of those which stand for any.
    #[cfg(Py_3_12)]
    fn shadow(&self, at: usize, opcode: u8) -> Option<*mut u8> {
        // SAFETY: as long as the code object lives.
        let monitoring: &MonitoringData = unsafe { (*self.object()).co_monitoring.as_ref()? };
        let mut opcode = opcode;
        let mut shadow = None;
        if Some(opcode) == OPCODES.instrumented_line {
            // SAFETY: it is there.
            let line = unsafe { monitoring.line_opcode(at) };
            // SAFETY: the table has an entry for each unit.
            opcode = unsafe { *line };
            shadow = Some(line);
        }
        if Some(opcode) == OPCODES.instrumented_instruction {
            // SAFETY: as there is one such opcode, there is the table, with an entry for each unit.
            shadow = Some(unsafe { monitoring.per_instruction_opcodes.add(at) });
        }
        shadow
    }
}
