//! `s += t` on strings is linear only while nothing stands between `BINARY_OP` and `STORE_FAST`.

use crate::analysis::{Analysis, InstrIdx};
use crate::insert::Place;
use crate::opcode::Op;
use crate::sites::{Silent, Sites};

/// `NB_ADD` and `NB_INPLACE_ADD` (`Include/opcode.h`).
const ADDITIONS: [u32; 2] = [0, 13];

/// Takes the sites away that make string building quadratic.
///
/// CPython extends a local string in place when `BINARY_OP` adds to it and the very next instruction stores the sum back
/// (`BINARY_OP_INPLACE_ADD_UNICODE`, chosen in `Python/specialize.c`); the specialised instruction does both. With a probe in
/// between, each `s += t` copies `s`: building 3 MB in 400,000 steps takes half a minute instead of 20 ms. This concerns only
/// `STORE_FAST` to the local that was the left operand; each is listed as [`Silent::Concatenation`] instead. What it stores is
/// the local's value at the next site.
pub fn keep_concatenation(analysis: &Analysis, sites: &mut Sites) {
    let Sites { sites, silent } = sites;
    let mut pushes = Pushes::default();
    sites.retain_mut(|site| {
        let Place::Before(store) = site.place else {
            return true;
        };
        if !stores_sum(analysis, store) || site.reports.len() != 1 {
            return true;
        }
        let add = InstrIdx(store.0 - 1);
        if pushes.left_operand(analysis, add) != Some(analysis.get(store).arg) {
            return true;
        }
        silent.push((store, Silent::Concatenation));
        false
    });
    silent.sort_unstable_by_key(|silent| silent.0);
}

/// Whether an instruction stores to a local what the one before it has added.
fn stores_sum(analysis: &Analysis, store: InstrIdx) -> bool {
    let Some(add) = store.0.checked_sub(1).map(InstrIdx) else {
        return false;
    };
    analysis.op(store.0) == Some(Op::StoreFast)
        && analysis.op(add.0) == Some(Op::BinaryOp)
        && ADDITIONS.contains(&analysis.get(add).arg)
        && analysis.get(store).prefixes() == 0
        && !analysis.is_jump_target(store)
}

/// What pushed the values on the stack, found by going through the instructions once, in their order.
#[derive(Default)]
struct Pushes {
    /// Depths, rising, each with the last instruction that began with so many values; since then there were never fewer.
    since: Vec<(u32, InstrIdx)>,
    next: u32,
}

impl Pushes {
    /// The local that was pushed as the left operand: by the last instruction that began with two values less on the stack.
    /// Asked for later and later instructions.
    fn left_operand(&mut self, analysis: &Analysis, add: InstrIdx) -> Option<u32> {
        while self.next < add.0 {
            let index = InstrIdx(self.next);
            self.next += 1;
            let Some(depth) = analysis.depth(index) else {
                self.since.clear();
                continue;
            };
            while self.since.pop_if(|last| last.0 >= depth).is_some() {}
            self.since.push((depth, index));
        }
        let below = analysis.depth(add)?.checked_sub(2)?;
        let found = self.since.binary_search_by_key(&below, |entry| entry.0);
        let load = self.since[found.ok()?].1;
        let arg = analysis.get(load).arg;
        match analysis.op(load.0)? {
            Op::LoadFast | Op::LoadFastBorrow | Op::LoadFastCheck => Some(arg),
            Op::LoadFastLoadFast | Op::LoadFastBorrowLoadFastBorrow => Some(arg >> 4),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::opcode::Opcode;
    use crate::sites::sites;
    use crate::{CodeView, Location, LocationEntry, Version, location_table};

    /// `RESUME; <load>; LOAD_CONST; BINARY_OP; STORE_FAST; LOAD_FAST 0; RETURN_VALUE`
    fn silenced(load: (Op, u32), operator: u32, local: u32) -> usize {
        let version = Version::V3_14;
        let instructions = [
            (Op::Resume, 0),
            load,
            (Op::LoadConst, 0),
            (Op::BinaryOp, operator),
            (Op::StoreFast, local),
            (Op::LoadFast, 0),
            (Op::ReturnValue, 0),
        ];
        let mut code = Vec::new();
        for (op, arg) in instructions {
            let opcode = op.opcode(version).unwrap_or(Opcode::CACHE);
            let caches = opcode.info(version).map_or(0, |info| info.caches);
            crate::instruction::push(&mut code, version, opcode, arg, 0, caches);
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
        let mut found = sites(&analysis);
        keep_concatenation(&analysis, &mut found);
        found
            .silent
            .iter()
            .filter(|silent| silent.1 == Silent::Concatenation)
            .count()
    }

    #[test]
    fn only_a_local_added_to_itself_is_kept_together() {
        assert_eq!(silenced((Op::LoadFast, 3), 13, 3), 1, "s += t");
        assert_eq!(silenced((Op::LoadFastBorrow, 3), 0, 3), 1, "s = s + t");
        assert_eq!(silenced((Op::LoadFast, 3), 13, 4), 0, "r = s + t");
        assert_eq!(silenced((Op::LoadFast, 3), 23, 3), 0, "s -= t");
        assert_eq!(silenced((Op::LoadGlobal, 0), 13, 3), 0, "s = g + t");
    }
}
