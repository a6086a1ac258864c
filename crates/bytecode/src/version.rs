//! The CPython minor versions whose bytecode is known.

use std::fmt;

/// A CPython minor version with its own instruction set.
///
/// Within one minor version the instruction set is frozen: the magic number of cached bytecode
/// does not change after the first release candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names say it all")]
pub enum Version {
    V3_11,
    V3_12,
    V3_13,
    V3_14,
    V3_15,
}

impl Version {
    /// Every known version, oldest first.
    pub const ALL: [Version; 5] = [
        Version::V3_11,
        Version::V3_12,
        Version::V3_13,
        Version::V3_14,
        Version::V3_15,
    ];

    /// The version `3.minor`, or `None` where its bytecode is not known.
    pub const fn from_minor(minor: u8) -> Option<Version> {
        Some(match minor {
            11 => Version::V3_11,
            12 => Version::V3_12,
            13 => Version::V3_13,
            14 => Version::V3_14,
            15 => Version::V3_15,
            _ => return None,
        })
    }

    /// The `14` of `3.14`.
    pub const fn minor(self) -> u8 {
        11 + self as u8
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "3.{}", self.minor())
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn minor_numbers_round_trip() {
        for version in Version::ALL {
            assert_eq!(Version::from_minor(version.minor()), Some(version));
        }
        assert_eq!(Version::from_minor(10), None);
        assert_eq!(Version::from_minor(16), None);
        assert_eq!(Version::V3_14.to_string(), "3.14");
    }

    #[test]
    fn versions_are_ordered_by_age() {
        assert!(Version::ALL.is_sorted());
    }
}
