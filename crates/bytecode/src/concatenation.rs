//! `s += t` on strings is linear only while nothing stands between `BINARY_OP` and `STORE_FAST`.
//!
//! CPython extends a local string in place when `BINARY_OP` adds to it and the very next instruction stores the sum back
//! (`BINARY_OP_INPLACE_ADD_UNICODE`, chosen in `Python/specialize.c`, 3.11-3.15); the specialised instruction does both. With a probe in
//! between, each `s += t` would copy `s`: building 1 MB in 100,000 steps takes half a minute instead of 10 ms. Which local it would be
//! is said here; the probe before the addition can do what CPython would.

use crate::analysis::{Analysis, InstrIdx};
use crate::opcode::Op;

/// `NB_ADD` and `NB_INPLACE_ADD` (`Include/opcode.h`).
const ADDITIONS: [u32; 2] = [0, 13];

/// The local variable in which the instruction `store` puts what the one before it has added, if CPython may do both at once. Whether
/// that local is the left operand is seen only when they run, as in CPython.
pub fn stores_sum(analysis: &Analysis, store: InstrIdx) -> Option<u8> {
    let add = InstrIdx(store.0.checked_sub(1)?);
    let fits = analysis.op(store.0) == Some(Op::StoreFast)
        && analysis.op(add.0) == Some(Op::BinaryOp)
        && ADDITIONS.contains(&analysis.get(add).arg)
        && analysis.get(store).prefixes() == 0;
    fits.then(|| analysis.get(store).arg)
        .and_then(|local| u8::try_from(local).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::opcode::Opcode;
    use crate::{CodeView, Location, LocationEntry, Version, location_table};

    /// `RESUME; LOAD_FAST 3; LOAD_CONST; BINARY_OP; <store>; LOAD_FAST 0; RETURN_VALUE`
    fn stored(operator: u32, store: (Op, u32)) -> Option<u8> {
        let version = Version::V3_14;
        let instructions = [
            (Op::Resume, 0),
            (Op::LoadFast, 3),
            (Op::LoadConst, 0),
            (Op::BinaryOp, operator),
            store,
            (Op::LoadFast, 0),
            (Op::ReturnValue, 0),
        ];
        let mut code = Vec::new();
        for (op, arg) in instructions {
            let opcode = op.opcode(version).unwrap_or(Opcode::CACHE);
            let caches = opcode.info(version).map_or(0, |info| info.caches);
            let prefixes = u32::from(arg > 255);
            crate::instruction::push(&mut code, version, opcode, arg, prefixes, caches);
        }
        let entry = LocationEntry {
            units: 1,
            location: Location::default(),
        };
        let view = CodeView {
            version,
            code: &code,
            exception_table: &[],
            location_table: &location_table::write(&vec![entry; code.len() / 2], 1),
            first_line: 1,
            stack_size: 4,
        };
        let analysis = Analysis::new(&view).expect("valid");
        let all = (0..analysis.instructions().len() as u32).map(InstrIdx);
        let mut found = all.filter_map(|index| Some((index, stores_sum(&analysis, index)?)));
        let (at, local) = found.next()?;
        assert_eq!((at, found.next()), (InstrIdx(4), None));
        Some(local)
    }

    #[test]
    fn only_a_sum_that_goes_to_a_local_at_once() {
        assert_eq!(stored(13, (Op::StoreFast, 3)), Some(3), "s += t");
        assert_eq!(stored(0, (Op::StoreFast, 255)), Some(255), "s = s + t");
        assert_eq!(stored(23, (Op::StoreFast, 3)), None, "s -= t");
        assert_eq!(
            stored(13, (Op::StoreFast, 256)),
            None,
            "EXTENDED_ARG between"
        );
        assert_eq!(stored(13, (Op::StoreGlobal, 3)), None, "global s");
    }
}
