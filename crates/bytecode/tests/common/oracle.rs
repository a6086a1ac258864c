//! What must hold for every code object that is accepted, whoever made it.

use std::collections::{HashMap, HashSet};

use debugop_bytecode::fragment::{Branches, Builder, Fragment};
use debugop_bytecode::{
    Analysis, CodeView, Error, Flow, Inserted, Insertion, InstrIdx, Op, Opcode, Place, Sites,
    Unwind, Version, assemble, decode, forbidden, insert, remove, sites,
};

/// `LOAD_CONST constant; UNARY_INVERT; POP_TOP`.
pub(crate) fn probe(version: Version, constant: u32) -> [(Opcode, u32); 3] {
    let opcode = |op: Op| op.opcode(version).expect("every version has it");
    [
        (opcode(Op::LoadConst), constant),
        (opcode(Op::UnaryInvert), 0),
        (opcode(Op::PopTop), 0),
    ]
}

/// `if constant: ~constant`, and `~constant` if it raises.
pub(crate) fn conditional(version: Version, constant: u32) -> Fragment {
    let build = || {
        let mut builder = Builder::new(version);
        let (end, handler) = (builder.end(), builder.label());
        let start = builder.here();
        builder.op(Op::LoadConst, constant)?;
        let jump = [Op::PopJumpForwardIfFalse, Op::PopJumpIfFalse]
            .into_iter()
            .find(|op| op.opcode(version).is_some());
        builder.jump(jump.expect("every version has one of them"), end)?;
        let after = builder.here();
        for (opcode, arg) in probe(version, constant) {
            builder.opcode(opcode, arg);
        }
        builder.jump(Op::JumpForward, end)?;
        builder.bind(handler);
        builder.op(Op::PopTop, 0)?;
        for (opcode, arg) in probe(version, constant) {
            builder.opcode(opcode, arg);
        }
        builder.protect(start, after, handler);
        builder.finish()
    };
    build().expect("it goes forward")
}

/// Checks a code object; the error is that of reading it, every broken promise a panic.
pub(crate) fn check(view: &CodeView<'_>, constant: u32) -> Result<(), Error> {
    let analysis = Analysis::new(view)?;
    assert_eq!(
        assemble(view.version, &decode(view.version, view.code)?),
        view.code
    );

    let found = sites(&analysis);
    let mut reported = vec![0; analysis.instructions().len()];
    for index in found.sites.iter().flat_map(|site| &site.reports) {
        reported[index.0 as usize] += 1;
    }
    for (index, _) in &found.silent {
        assert_eq!(
            reported[index.0 as usize], 0,
            "instruction {} is silent and reported",
            index.0
        );
        reported[index.0 as usize] = 1;
    }
    assert!(
        reported.iter().all(|&times| times > 0),
        "every instruction is reported or silent"
    );

    check_order(&analysis, &found);
    let places: Vec<Place> = found.sites.iter().map(|site| site.place).collect();
    check_insertion(view, &analysis, &places, constant, None);
    let all = (0..analysis.instructions().len() as u32)
        .flat_map(|index| {
            [
                Place::Before(InstrIdx(index)),
                Place::After(InstrIdx(index)),
            ]
        })
        .filter(|&place| forbidden(&analysis, place).is_none());
    let all: Vec<_> = all.collect();
    check_insertion(view, &analysis, &all, constant, None);
    let fragment = conditional(view.version, constant);
    check_insertion(view, &analysis, &all, constant, Some(&fragment));
    Ok(())
}

/// Follows control through the code for a while, taking jumps, falling through and raising by turns, and compares what the
/// probes on the way report with what was executed.
fn check_order(analysis: &Analysis, found: &Sites) {
    let reports: HashMap<Place, &[InstrIdx]> = found
        .sites
        .iter()
        .map(|site| (site.place, &site.reports[..]))
        .collect();
    assert_eq!(
        reports.len(),
        found.sites.len(),
        "no two sites at one place"
    );
    let silent: HashSet<InstrIdx> = found.silent.iter().map(|silent| silent.0).collect();
    let (mut executed, mut reported) = (Vec::new(), Vec::new());
    let mut at = InstrIdx(0);
    let mut state = 0x9e37_79b9_u32;
    let mut left = false;
    for _ in 0..2 * analysis.instructions().len() + 20 {
        let pass = |reported: &mut Vec<_>, place| {
            reported.extend(reports.get(&place).copied().unwrap_or_default());
        };
        pass(&mut reported, Place::Before(at));
        if !silent.contains(&at) {
            executed.push(at);
        }
        let opcode = analysis.get(at).opcode;
        let flow = opcode.info(analysis.version()).expect("decoded").flow;
        state = state.wrapping_mul(0x0019_660d).wrapping_add(0x3c6e_f35f);
        let handler = analysis
            .exception_entry(at)
            .filter(|_| state >> 28 == 0 && executed == reported);
        at = match (handler, analysis.target(at), flow) {
            (Some(entry), ..) => analysis
                .at_start(entry.target)
                .expect("a handler is an instruction"),
            (_, Some(target), Flow::Jump) => target,
            (_, Some(target), Flow::Conditional) if state >> 31 == 0 => target,
            (_, _, Flow::Return | Flow::Raise) => {
                left = true;
                break;
            }
            _ => {
                pass(&mut reported, Place::After(at));
                InstrIdx(at.0 + 1)
            }
        };
    }
    // Where the frame is left nothing is in arrears; elsewhere a probe may speak for a few instructions at once.
    if left {
        assert_eq!(executed, reported);
    }
    let both = executed.len().min(reported.len());
    assert_eq!(executed[..both], reported[..both]);
}

/// With a fragment, every other one is for those who jump to it.
fn check_insertion(
    view: &CodeView<'_>,
    analysis: &Analysis,
    places: &[Place],
    constant: u32,
    fragment: Option<&Fragment>,
) {
    let sequence = probe(view.version, constant);
    let skipped: HashSet<Place> = places
        .iter()
        .copied()
        .filter(
            |place| matches!(place, Place::Before(index) if fragment.is_some() && index.0 % 2 == 1),
        )
        .collect();
    let insertions: Vec<_> = places
        .iter()
        .map(|&place| Insertion {
            place,
            sequence: fragment.map_or(&sequence[..], |fragment| &fragment.sequence),
            first: 0,
            branches: fragment.map(|fragment| Branches {
                protected: &fragment.protected,
                skips_fall_through: skipped.contains(&place),
            }),
        })
        .collect();
    let unwind = Unwind {
        sequence: &sequence,
    };
    let inserted = match insert(view, analysis, &insertions, Some(unwind)) {
        Ok(inserted) => inserted,
        // A delegation's decoy or a jump to the very next instruction, in code no compiler writes.
        Err(Error::JumpTooFar { .. }) => return,
        Err(error) => panic!("allowed places were refused: {error}"),
    };
    let restored = remove(&inserted).expect("just inserted");
    assert_eq!(restored.code, view.code);
    assert_eq!(restored.exception_table, view.exception_table);
    assert_eq!(restored.location_table, view.location_table);
    assert_eq!(restored.stack_size, view.stack_size);

    let new = CodeView {
        code: &inserted.code,
        exception_table: &inserted.exception_table,
        location_table: &inserted.location_table,
        stack_size: inserted.stack_size,
        ..*view
    };
    let new = Analysis::new(&new).expect("inserting keeps code valid");
    let walk = Walk {
        analysis,
        inserted: &inserted,
        new: &new,
        places: places.iter().copied().collect(),
        skipped,
    };
    for index in 0..analysis.instructions().len() as u32 {
        walk.check(InstrIdx(index));
    }
}

struct Walk<'a> {
    analysis: &'a Analysis,
    inserted: &'a Inserted,
    new: &'a Analysis,
    places: HashSet<Place>,
    /// Those that falling through goes past.
    skipped: HashSet<Place>,
}

impl Walk<'_> {
    fn check(&self, index: InstrIdx) {
        let version = self.analysis.version();
        let instruction = self.analysis.get(index);
        let offset = self
            .inserted
            .map
            .to_new(instruction.offset)
            .expect("every instruction has a new place");
        let new = self.new.at_offset(offset).expect("an opcode unit is there");
        assert_eq!(self.new.get(new).opcode, instruction.opcode);
        assert_eq!(
            self.new.location(new),
            self.analysis.location(index),
            "location of {instruction:?}"
        );
        assert_eq!(
            self.new.depth(new),
            self.analysis.depth(index),
            "depth at {instruction:?}"
        );
        assert_eq!(
            self.inserted.map.to_original(offset),
            Some(instruction.offset)
        );
        for unit in (offset..self.new.get(new).end()).step_by(2) {
            assert_eq!(self.inserted.map.covering(unit), Some(instruction.offset));
        }
        let info = instruction.opcode.info(version).expect("decoded");
        if let Some(target) = self.analysis.target(index) {
            let landed = self.new.target(new).expect("still jumps");
            let probes = usize::from(self.places.contains(&Place::Before(target)));
            assert_eq!(
                self.follow(landed),
                (target, probes),
                "jump of {instruction:?}"
            );
        } else if info.jump == debugop_bytecode::JumpKind::None
            && self.analysis.target(index).is_none()
        {
            let same = self.new.get(new).arg == instruction.arg
                || info.arg == debugop_bytecode::ArgKind::JumpOrigin;
            assert!(same, "argument of {instruction:?}");
        }
        let next = InstrIdx(index.0 + 1);
        if forbidden(self.analysis, Place::After(index)).is_none() {
            let probes = [Place::After(index), Place::Before(next)]
                .iter()
                .filter(|place| self.places.contains(place) && !self.skipped.contains(place))
                .count();
            assert_eq!(
                self.follow(InstrIdx(new.0 + 1)),
                (next, probes),
                "after {instruction:?}"
            );
        }
        self.check_handler(index, new);
    }

    /// Where control comes to from an instruction of the new code, passing what was inserted, and how many probes it passes.
    fn follow(&self, mut at: InstrIdx) -> (InstrIdx, usize) {
        let mut probes = 0;
        loop {
            let instruction = self.new.get(at);
            if let Some(original) = self.inserted.map.to_original(instruction.offset) {
                return (
                    self.analysis
                        .at_offset(original)
                        .expect("an original offset"),
                    probes,
                );
            }
            probes += usize::from(
                self.inserted
                    .insertions
                    .binary_search(&instruction.start)
                    .is_ok(),
            );
            at = match self.new.target(at) {
                Some(target) => target,
                None => InstrIdx(at.0 + 1),
            };
        }
    }

    fn check_handler(&self, index: InstrIdx, new: InstrIdx) {
        let covered = self.new.exception_entry(new);
        match self.analysis.exception_entry(index) {
            Some(entry) => {
                let covered = covered.expect("still covered");
                assert_eq!((covered.depth, covered.lasti), (entry.depth, entry.lasti));
                let handler = self
                    .new
                    .at_start(covered.target)
                    .expect("a handler is an instruction");
                let target = self
                    .analysis
                    .at_start(entry.target)
                    .expect("a handler is an instruction");
                assert_eq!(self.follow(handler).0, target);
            }
            None => {
                let unwound = self
                    .analysis
                    .first_resume()
                    .is_some_and(|resume| index > resume);
                assert_eq!(
                    covered.map(|entry| entry.target),
                    self.inserted.unwind.filter(|_| unwound)
                );
            }
        }
    }
}
