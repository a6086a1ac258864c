//! What interpreters do differently and more than one part of debugop asks about: named facts, each with where it is seen.

use crate::version::Version;

/// Where a frame stands whose handlers an exception of a callback of `sys.monitoring` passes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassedBy {
    /// At the jump that the callback is told of.
    AtJump,
    /// Where the jump leads to.
    AtDestination,
}

impl Version {
    /// Whether conditional jumps take nothing but bools, so that the way that was taken tells the value: `TO_BOOL` comes before where it is not one
    /// (`POP_JUMP_IF_TRUE`, `Python/bytecodes.c`, 3.13 and later).
    #[must_use]
    #[inline]
    pub const fn jumps_on_bools(self) -> bool {
        !matches!(self, Version::V3_11 | Version::V3_12)
    }

    /// Whether a call's callable is below `self` or NULL, which 3.13 reversed: before, NULL or the method is below `self` or the callable (`CALL`,
    /// `Python/bytecodes.c`; 3.11: `Python/ceval.c`).
    #[must_use]
    #[inline]
    pub const fn callable_is_below_self(self) -> bool {
        !matches!(self, Version::V3_11 | Version::V3_12)
    }

    /// Whether what is thrown into a `yield from` or `await`, and ends what that delegates to, lets the frame go on where `SEND` jumps to, without
    /// executing anything of the delegation (`_gen_throw`, `Objects/genobject.c`, 3.11); later versions have `CLEANUP_THROW` for it.
    #[must_use]
    #[inline]
    pub const fn throwing_ends_delegation(self) -> bool {
        matches!(self, Version::V3_11)
    }

    /// Whether what a callback of JUMP or BRANCH raises leaves the frame past all handlers, and where it stands then (`INSTRUMENTED_JUMP`,
    /// `Python/ceval_macros.h`, seen on 3.12 and 3.13.0).
    #[must_use]
    pub const fn told_jumps_pass_handlers(self) -> Option<PassedBy> {
        match self {
            Version::V3_12 => Some(PassedBy::AtDestination),
            Version::V3_13 => Some(PassedBy::AtJump),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PassedBy;
    use crate::opcode::Op;
    use crate::version::Version;

    fn with(fact: impl Fn(Version) -> bool) -> Vec<u8> {
        let all = Version::ALL.into_iter().filter(|&version| fact(version));
        all.map(Version::minor).collect()
    }

    /// The instruction sets say the same where they show it.
    #[test]
    fn facts_agree_with_the_instruction_sets() {
        let has = |op: Op| with(|version| op.opcode(version).is_some());
        assert_eq!(with(Version::jumps_on_bools), has(Op::ToBool));
        let ends_itself = has(Op::CleanupThrow);
        let others = with(|version| !ends_itself.contains(&version.minor()));
        assert_eq!(with(Version::throwing_ends_delegation), others);
    }

    #[test]
    fn facts_hold_of_these_versions() {
        assert_eq!(with(Version::callable_is_below_self), [13, 14, 15]);
        let passes = |one| with(move |version| version.told_jumps_pass_handlers() == Some(one));
        assert_eq!(passes(PassedBy::AtDestination), [12]);
        assert_eq!(passes(PassedBy::AtJump), [13]);
    }
}
