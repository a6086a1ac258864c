//! What is kept of a code object's instrumentation, 3.14 and 3.15 (`Include/internal/pycore_instruments.h`).

use super::current::{LOCAL_EVENTS, MONITORING_PREFIX};

/// `_PyCoMonitoringData` up to `per_instruction_opcodes`.
#[repr(C)]
pub(crate) struct MonitoringData {
    /// Tools by event: those that ask for events of this code object alone,
    local_monitors: [u8; LOCAL_EVENTS],
    /// and all that it is instrumented for.
    active_monitors: [u8; LOCAL_EVENTS],
    prefix: [u8; MONITORING_PREFIX - 2 * LOCAL_EVENTS],
    /// NULL as long as nobody has asked for line events.
    lines: *mut LineData,
    line_tools: *mut u8,
    /// The opcodes that `INSTRUMENTED_INSTRUCTION` stands for, by code unit; NULL as long as nobody has asked for such events.
    pub per_instruction_opcodes: *mut u8,
}

/// `_PyCoLineInstrumentationData`.
#[repr(C)]
struct LineData {
    bytes_per_entry: u8,
    /// For each code unit the opcode, then a line.
    data: [u8; 1],
}

impl MonitoringData {
    /// Whether the code is instrumented for nothing but its beginnings: `RESUME` sees itself whether it is as it should be, also in code that has not been
    /// run lately (`PY_MONITORING_EVENT_PY_START` and `PY_RESUME`, `Include/cpython/monitoring.h`; `RESUME`, `Python/bytecodes.c`).
    pub(crate) fn is_quiet(&self) -> bool {
        let [_start, _resume, others @ ..] = &self.active_monitors;
        others.iter().all(|tools| *tools == 0)
    }

    /// Whether the code is instrumented for nobody but the tool with this number.
    pub(crate) fn is_only_for(&self, tool: u8) -> bool {
        let all = &self.active_monitors;
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
        // SAFETY: there is an entry for each code unit (`get_original_opcode`, `Python/instrumentation.c`).
        unsafe {
            let size = usize::from((*self.lines).bytes_per_entry);
            (&raw mut (*self.lines).data).cast::<u8>().add(unit * size)
        }
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
            "_PyCoLineInstrumentationData.bytes_per_entry",
            offset_of!(LineData, bytes_per_entry),
        ),
        (
            "_PyCoLineInstrumentationData.data",
            offset_of!(LineData, data),
        ),
    ]
}
