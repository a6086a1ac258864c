//! Detours behind what each version's compiler wrote for a handful of functions (`examples/functions.py`).

mod common;

use common::example::{Example, examples};
use debugop_bytecode::{
    Analysis, CodeView, Detour, Insertion, InstrIdx, Op, Opcode, Place, Unwind, exception_table,
    insert, insert_with_detours, leaving_places, remove, sites,
};

/// A probe whose constant needs so many prefixes.
fn probe(example: &Example, prefixes: u32) -> [(Opcode, u32); 3] {
    let opcode = |op: Op| op.opcode(example.version).expect("in every version");
    [
        (opcode(Op::LoadConst), (1 << (8 * prefixes)) - 1 + prefixes),
        (opcode(Op::UnaryInvert), 0),
        (opcode(Op::PopTop), 0),
    ]
}

#[test]
fn a_detour_leads_back_behind_its_insertion() {
    let mut all = 0;
    for example in examples() {
        let view = example.view();
        let analysis = Analysis::new(&view).expect("the compiler's own");
        let places: Vec<Place> = sites(&analysis)
            .sites
            .iter()
            .map(|site| site.place)
            .collect();
        for prefixes in [0, 1, 2] {
            let sequence = probe(&example, prefixes);
            let insertions = places.iter().map(|&place| Insertion {
                place,
                sequence: &sequence,
                first: 0,
                branches: None,
            });
            let leaving = leaving_places(&analysis, &places, |_| true);
            let detours: Vec<_> = leaving
                .iter()
                .map(|&(insertion, _)| Detour {
                    insertion,
                    sequence: &sequence,
                })
                .collect();
            all += detours.len();
            let unwind = || {
                Some(Unwind {
                    sequence: &sequence,
                })
            };
            let without = insert(&view, &analysis, insertions.clone(), unwind()).expect("sound");
            let with = insert_with_detours(&view, &analysis, insertions, unwind(), &detours)
                .expect("sound");
            assert_eq!(with.detours.len(), detours.len());
            assert_eq!(with.code[..without.code.len()], without.code);
            assert_eq!(with.insertions, without.insertions);
            assert_eq!(with.map, without.map);
            let (is, was) = (remove(&with), remove(&without));
            assert_eq!(is.expect("inserted"), was.expect("inserted"));

            // What follows the insertion follows the detour.
            let table = exception_table::parse(&with.exception_table).expect("written here");
            let changed = CodeView {
                code: &with.code,
                exception_table: &with.exception_table,
                location_table: &with.location_table,
                stack_size: with.stack_size,
                ..view
            };
            let now = Analysis::new(&changed).expect("sound");
            let units = 2 * (3 + prefixes);
            for (&start, &(insertion, next)) in with.detours.iter().zip(&leaving) {
                let jump = now.instructions().iter().position(|one| {
                    one.start >= start + units
                        && Some(one.opcode) == Op::JumpBackwardNoInterrupt.opcode(view.version)
                });
                let jump = InstrIdx(jump.expect("it ends with one") as u32);
                let back = now.get(now.target(jump).expect("it is a jump")).start;
                assert_eq!(back, with.insertions[insertion] + units);
                let copied = with
                    .map
                    .to_new(analysis.get(next).offset)
                    .expect("an instruction");
                assert!(back <= copied);
                assert!(analysis.depth(next).is_some_and(|depth| depth > 0));

                let entry = |at| table.iter().find(|one| (one.start..one.end).contains(&at));
                let target = |at| entry(at).map(|one| (one.target, one.depth, one.lasti));
                let own = target(with.insertions[insertion]);
                let own = own.filter(|own| Some(own.0) != with.unwind);
                assert_eq!(target(start), own);

                let at = |offset| now.at_start(offset).expect("an instruction's first unit");
                let own = now.location(at(with.insertions[insertion]));
                assert_eq!((now.location(at(start)), now.location(jump)), (own, own));
            }
        }
    }
    assert!(all > 30, "{all}");
}
