//! Where `dis` is wrong, or says something other than what happens to the value stack.

use anyhow::{Result, bail};

use super::{Effect, Facts, Term};

/// One correction of a stack effect.
struct Correction {
    minors: &'static [u8],
    opcode: &'static str,
    /// Whether it concerns the jump (else the fall-through).
    jumping: bool,
    right: fn() -> Effect,
    /// Where the right value was read.
    source: &'static str,
}

fn constant(base: i32) -> Effect {
    Effect {
        base,
        terms: Vec::new(),
    }
}

fn affine(base: i32, scale: i32) -> Effect {
    Effect {
        base,
        terms: vec![Term::Bits {
            shift: 0,
            mask: u32::MAX,
            scale,
        }],
    }
}

const CORRECTIONS: &[Correction] = &[
    Correction {
        minors: &[11, 12],
        opcode: "RETURN_GENERATOR",
        jumping: false,
        right: || constant(1),
        source: "Objects/genobject.c, gen_send_ex2: the value sent (None at first) is pushed before the \
                 frame resumes; the POP_TOP that follows pops it",
    },
    Correction {
        minors: &[12],
        opcode: "SEND",
        jumping: true,
        right: || constant(0),
        source: "Python/bytecodes.c, SEND: leaves the receiver below the result, END_SEND removes it",
    },
    Correction {
        minors: &[11],
        opcode: "PRECALL",
        jumping: false,
        right: || constant(0),
        source: "Python/ceval.c, TARGET(PRECALL): replaces slots, pops none",
    },
    Correction {
        minors: &[11],
        opcode: "CALL",
        jumping: false,
        right: || affine(-1, -1),
        source: "Python/ceval.c, TARGET(CALL): pops oparg arguments and two slots below them, pushes the result",
    },
];

/// Applies the corrections of one version and returns, for each that changed something, a line that
/// says what and why. Errors when one names an opcode that is not there.
pub(super) fn apply(facts: &mut Facts) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    for correction in CORRECTIONS
        .iter()
        .filter(|c| c.minors.contains(&facts.minor))
    {
        let name = correction.opcode;
        let Some(opcode) = facts.opcodes.iter_mut().find(|opcode| opcode.name == name) else {
            bail!(
                "a correction names {name}, which 3.{} does not have",
                facts.minor
            );
        };
        let is_jump = opcode.groups.contains("hasjrel");
        let right = (correction.right)();
        let outcome = usize::from(correction.jumping);
        if opcode.effects[outcome] == right {
            println!(
                "{}: dis agrees with the correction of {name}",
                facts.version
            );
            continue;
        }
        notes.push(format!("{name}: not as dis says. {}", correction.source));
        opcode.effects[outcome] = right.clone();
        if !is_jump {
            opcode.effects = [right.clone(), right];
        }
    }
    Ok(notes)
}
