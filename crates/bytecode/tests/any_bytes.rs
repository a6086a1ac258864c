//! Any bytes are read or refused with a typed error, never with a panic; what is read keeps every promise.

mod common;

use common::oracle;
use debugop_bytecode::{CodeView, Op, Version, location_table};
use proptest::prelude::*;

fn version() -> impl Strategy<Value = Version> {
    prop::sample::select(&Version::ALL[..])
}

/// Units that are mostly real opcodes, so that a good part of them is accepted.
fn units(version: Version) -> impl Strategy<Value = Vec<u8>> {
    let opcodes: Vec<u8> = version.opcodes().iter().map(|info| info.opcode.0).collect();
    let unit = (prop::sample::select(opcodes), 0u8..6);
    prop::collection::vec(unit, 1..12).prop_map(move |units| {
        let mut code = vec![Op::Resume.opcode(version).expect("exists").0, 0];
        code.resize(2 + 2 * usize::from(resume_caches(version)), 0);
        for (opcode, arg) in units {
            let info = debugop_bytecode::Opcode(opcode)
                .info(version)
                .expect("exists");
            code.extend([opcode, arg]);
            code.resize(code.len() + 2 * usize::from(info.caches), 0);
        }
        code.extend([Op::LoadConst.opcode(version).expect("exists").0, 0]);
        code.extend([Op::ReturnValue.opcode(version).expect("exists").0, 0]);
        code
    })
}

fn resume_caches(version: Version) -> u8 {
    Op::Resume
        .opcode(version)
        .and_then(|opcode| opcode.info(version))
        .map_or(0, |info| info.caches)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_bytes(
        version in version(),
        code: Vec<u8>,
        exception_table: Vec<u8>,
        location_table: Vec<u8>,
        first_line: i32,
        stack_size in prop_oneof![4 => 0u32..64, 1 => any::<u32>()],
    ) {
        let view = CodeView {
            version,
            code: &code,
            exception_table: &exception_table,
            location_table: &location_table,
            first_line,
            stack_size,
        };
        let _ = oracle::check(&view, 300);
    }

    #[test]
    fn arbitrary_instructions(
        (version, code) in version().prop_flat_map(|version| (Just(version), units(version))),
        entry in prop::option::of((0u32..8, 1u32..8, 0u32..16, 0u32..2, any::<bool>())),
        constant in prop::sample::select(vec![0, 255, 256, 70_000]),
    ) {
        let entries: Vec<_> = entry
            .into_iter()
            .map(|(start, length, target, depth, lasti)| debugop_bytecode::ExceptionEntry {
                start: start * 2,
                end: (start + length) * 2,
                target: target * 2,
                depth,
                lasti,
            })
            .collect();
        let line = debugop_bytecode::Location { line: Some(7), end_line: Some(7), column: Some(1), end_column: Some(3) };
        let locations: Vec<_> = (0..code.len() / 2)
            .map(|_| debugop_bytecode::LocationEntry { units: 1, location: line })
            .collect();
        let view = CodeView {
            version,
            code: &code,
            exception_table: &debugop_bytecode::exception_table::write(&entries),
            location_table: &location_table::write(&locations, 1),
            first_line: 1,
            stack_size: 64,
        };
        let _ = oracle::check(&view, constant);
    }
}
