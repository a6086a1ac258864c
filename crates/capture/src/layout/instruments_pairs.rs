//! What is kept of a code object's instrumentation, 3.12 and 3.13 (`Include/cpython/code.h`).

use super::current::{LOCAL_EVENTS, MONITORING_PREFIX};

/// `STOP_ITERATION` is the last event for which bytecode is replaced (`PY_MONITORING_IS_INSTRUMENTED_EVENT`).
const INSTRUMENTED: usize = 10;

/// `_PyCoMonitoringData` up to `per_instruction_opcodes`.
#[repr(C)]
pub(crate) struct MonitoringData {
    /// Tools by event: those that ask for events of this code object alone,
    local_monitors: [u8; LOCAL_EVENTS],
    /// and all that it is instrumented for.
    active_monitors: [u8; LOCAL_EVENTS],
    prefix: [u8; MONITORING_PREFIX - 2 * LOCAL_EVENTS],
    /// By code unit; NULL as long as nobody has asked for line events.
    lines: *mut LineData,
    line_tools: *mut u8,
    /// The opcodes that `INSTRUMENTED_INSTRUCTION` stands for, by code unit; NULL as long as nobody has asked for such events.
    pub per_instruction_opcodes: *mut u8,
}

/// `_PyCoLineInstrumentationData`.
#[repr(C)]
struct LineData {
    original_opcode: u8,
    line_delta: i8,
}

impl MonitoringData {
    /// Whether the code is instrumented for nothing but its beginnings: `RESUME` sees itself whether it is as it should be, also in code that has not been
    /// run lately (`PY_MONITORING_EVENT_PY_START` and `PY_RESUME`, `Include/cpython/monitoring.h`; `RESUME`, `Python/bytecodes.c`). 3.12 keeps here, behind
    /// them, what is asked for without instrumentation: exceptions that are raised, and the like.
    pub(crate) fn is_quiet(&self) -> bool {
        let others = &self.active_monitors[2..INSTRUMENTED];
        others.iter().all(|tools| *tools == 0)
    }

    /// Whether the code is instrumented for nobody but the tool with this number.
    pub(crate) fn is_only_for(&self, tool: u8) -> bool {
        let all = &self.active_monitors[..INSTRUMENTED];
        all.iter().all(|tools| *tools & !(1 << tool) == 0)
    }

    /// Whether anybody has ever asked for line or instruction events.
    pub(crate) fn has_tables(&self) -> bool {
        !self.lines.is_null() || !self.per_instruction_opcodes.is_null()
    }

    /// Where the opcode is that `INSTRUMENTED_LINE` stands for at code unit `unit`.
    ///
    /// # Safety
    /// `INSTRUMENTED_LINE` is there.
    pub(crate) unsafe fn line_opcode(&self, unit: usize) -> *mut u8 {
        // SAFETY: there is an entry for each code unit.
        unsafe { &raw mut (*self.lines.add(unit)).original_opcode }
    }
}

/// Where the fields are.
pub(crate) fn offsets() -> Vec<(&'static str, usize)> {
    use std::mem::offset_of;
    vec![
        (
            "_PyCoMonitoringData.active_monitors",
            offset_of!(MonitoringData, active_monitors),
        ),
        (
            "_PyCoMonitoringData.lines",
            offset_of!(MonitoringData, lines),
        ),
        (
            "_PyCoMonitoringData.per_instruction_opcodes",
            offset_of!(MonitoringData, per_instruction_opcodes),
        ),
        (
            "_PyCoLineInstrumentationData.original_opcode",
            offset_of!(LineData, original_opcode),
        ),
        (
            "_PyCoLineInstrumentationData.line_delta",
            offset_of!(LineData, line_delta),
        ),
    ]
}
