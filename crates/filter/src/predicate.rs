//! Which steps of followed code are wanted.

use std::ops::RangeInclusive;

use crate::{CodeNames, Pattern};

/// A condition on a step, composed of conditions on its code, its instruction and its call depth.
///
/// What depends on the code and the instruction only is decided once per instruction when code is probed
/// ([`Predicate::decide`]); only [`Predicate::Depth`] is looked at while the program runs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Predicate {
    /// Every step.
    Always,
    /// The function is named, by itself or by what it is in ([`Pattern::matches_function`]).
    Function(Pattern),
    /// The module, or a package that it is in, is named.
    Module(Pattern),
    /// The file is named, by a pattern made with [`Pattern::over_files`].
    File(Pattern),
    /// The instruction's name matches, such as `CALL*`.
    Opcode(Pattern),
    /// The source line is in the range.
    Line(RangeInclusive<i32>),
    /// The frame is that many calls below the first traced frame of its thread; that one has depth 0.
    Depth(RangeInclusive<u32>),
    /// All of them hold.
    And(Vec<Self>),
    /// One of them holds.
    Or(Vec<Self>),
    /// It does not hold.
    Not(Box<Self>),
}

/// What is known about an instruction before it runs.
#[derive(Clone, Copy, Debug)]
pub struct StepFacts<'a> {
    /// The code object.
    pub code: CodeNames<'a>,
    /// `opname`.
    pub opcode: &'a str,
    /// The source line, if the instruction has one.
    pub line: Option<i32>,
}

/// What is known about a step before the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Never wanted.
    No,
    /// Always wanted.
    Yes,
    /// It depends on the call depth: ask [`Predicate::holds`].
    AskDepth,
}

impl Decision {
    fn of(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

impl Predicate {
    /// Decides for an instruction as far as possible without running it.
    #[must_use]
    pub fn decide(&self, facts: &StepFacts<'_>) -> Decision {
        match self {
            Self::Depth(_) => Decision::AskDepth,
            Self::And(all) => fold(
                all.iter().map(|one| one.decide(facts)),
                Decision::Yes,
                Decision::No,
            ),
            Self::Or(any) => fold(
                any.iter().map(|one| one.decide(facts)),
                Decision::No,
                Decision::Yes,
            ),
            Self::Not(inner) => match inner.decide(facts) {
                Decision::No => Decision::Yes,
                Decision::Yes => Decision::No,
                Decision::AskDepth => Decision::AskDepth,
            },
            _ => Decision::of(self.holds(facts, 0)),
        }
    }

    /// Whether the predicate holds for a step at call depth `depth`.
    #[must_use]
    pub fn holds(&self, facts: &StepFacts<'_>, depth: u32) -> bool {
        match self {
            Self::Always => true,
            Self::Function(pattern) => pattern.matches_function(facts.code),
            Self::Module(pattern) => pattern.covers(facts.code.module),
            Self::File(pattern) => pattern.matches(facts.code),
            Self::Opcode(pattern) => pattern.is(facts.opcode),
            Self::Line(lines) => facts.line.is_some_and(|line| lines.contains(&line)),
            Self::Depth(depths) => depths.contains(&depth),
            Self::And(all) => all.iter().all(|one| one.holds(facts, depth)),
            Self::Or(any) => any.iter().any(|one| one.holds(facts, depth)),
            Self::Not(inner) => !inner.holds(facts, depth),
        }
    }
}

/// Combines decisions; one `decisive` settles the matter, otherwise one open question leaves it open.
fn fold(
    decisions: impl Iterator<Item = Decision>,
    neutral: Decision,
    decisive: Decision,
) -> Decision {
    let mut result = neutral;
    for decision in decisions {
        if decision == decisive {
            return decisive;
        }
        if decision == Decision::AskDepth {
            result = decision;
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts<'a>() -> StepFacts<'a> {
        StepFacts {
            code: CodeNames {
                module: "app.core",
                qualname: "Parser.feed",
                file: "/src/app/core.py",
            },
            opcode: "CALL",
            line: Some(12),
        }
    }

    fn pattern(text: &str) -> Pattern {
        text.parse().expect("a valid pattern")
    }

    #[test]
    fn what_is_static_is_decided_ahead() {
        let call = Predicate::Opcode(pattern("CALL*"));
        let elsewhere = Predicate::Line(20..=30);
        let shallow = Predicate::Depth(0..=1);
        assert_eq!(call.decide(&facts()), Decision::Yes);
        assert_eq!(elsewhere.decide(&facts()), Decision::No);
        assert_eq!(
            Predicate::And(vec![call.clone(), shallow.clone()]).decide(&facts()),
            Decision::AskDepth
        );
        assert_eq!(
            Predicate::And(vec![shallow.clone(), elsewhere]).decide(&facts()),
            Decision::No
        );
        assert_eq!(
            Predicate::Or(vec![shallow.clone(), call]).decide(&facts()),
            Decision::Yes
        );
        assert_eq!(
            Predicate::Not(Box::new(shallow)).decide(&facts()),
            Decision::AskDepth
        );
    }

    #[test]
    fn a_decision_never_contradicts_the_step() {
        let leaves = [
            Predicate::Always,
            Predicate::Function(pattern("Parser")),
            Predicate::Module(pattern("other")),
            Predicate::File(Pattern::over_files("core.py").expect("a valid pattern")),
            Predicate::Opcode(pattern("LOAD_*")),
            Predicate::Depth(1..=2),
        ];
        for left in &leaves {
            for right in &leaves {
                for both in [
                    Predicate::And(vec![left.clone(), right.clone()]),
                    Predicate::Or(vec![left.clone(), Predicate::Not(Box::new(right.clone()))]),
                ] {
                    let decision = both.decide(&facts());
                    for depth in 0..4 {
                        let holds = both.holds(&facts(), depth);
                        assert!(
                            decision == Decision::AskDepth || decision == Decision::of(holds),
                            "{both:?} at {depth}"
                        );
                    }
                }
            }
        }
    }
}
