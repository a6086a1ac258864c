//! The code objects of a world, as a recording keeps them.

use std::sync::Arc;

use debugop_bytecode::plan::numeric::{Numeric, all_sites};
use debugop_bytecode::plan::{PLAN_VERSION, Plan};
use debugop_bytecode::{ArgKind, CodeView};
use debugop_recording::file::{CodeRecord, Local, LocalKind};
use debugop_replay::Codes;

/// All code objects of a world.
pub(crate) fn codes(views: &[CodeView<'_>]) -> Arc<Codes> {
    codes_of(views, PLAN_VERSION)
}

/// The same, recorded by this version of plans.
pub(crate) fn codes_of(views: &[CodeView<'_>], plan_version: u16) -> Arc<Codes> {
    let mut codes = Codes::default();
    for (number, view) in (0..).zip(views) {
        let analysis = debugop_bytecode::Analysis::new(view).expect("valid");
        let of = |instruction: &debugop_bytecode::Instruction| {
            let info = instruction.opcode.info(view.version).expect("defined");
            match info.arg {
                ArgKind::Local | ArgKind::Free => instruction.arg.saturating_add(1),
                ArgKind::LocalPair => (instruction.arg >> 4).max(instruction.arg & 15) + 1,
                _ => 0,
            }
        };
        let slots = analysis.instructions().iter().map(of).max().unwrap_or(0);
        let mut data = CodeRecord {
            number,
            site_base: codes.captures().len() as u32,
            plan_version,
            argument_count: slots,
            stack_size: view.stack_size,
            first_line: view.first_line,
            code: view.code.to_vec(),
            exception_table: view.exception_table.to_vec(),
            location_table: view.location_table.to_vec(),
            locals: vec![
                Local {
                    kind: LocalKind(0x20),
                    ..Local::default()
                };
                slots as usize
            ],
            ..CodeRecord::default()
        };
        let locals = debugop_replay::locals(&data);
        let plan = Plan::of_version(&analysis, &locals, plan_version).expect("planned");
        let numeric = Numeric::of_version(&analysis, &locals, &plan, &[], plan_version);
        let (sites, _) = all_sites(&plan, &numeric);
        let captures = sites.iter().map(|site| site.captures.len() as u32);
        data.captures = captures.collect();
        codes.add(data, view.version).expect("planned");
    }
    Arc::new(codes)
}
