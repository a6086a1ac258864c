//! A digest of an object's contents: what the recorder compares to see whether they have changed, and what shows whether
//! replay has rebuilt them.

use crate::stream::{Arguments, BigInt, Contents, Kind, Pairs, Value};

/// Digests a sequence of words: 64 bits, so that two different sequences never come out the same in practice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest(u64);

impl Digest {
    /// Of contents of this kind.
    #[inline]
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self(0x9e37_79b9_7f4a_7c15).and(kind as u64)
    }

    /// With one more word.
    #[inline]
    #[must_use]
    pub fn and(self, word: u64) -> Self {
        let product = u128::from(self.0 ^ word) * 0x2d35_8dcc_aa6c_78a5_8bb8_4b93_962e_acc9;
        #[expect(clippy::cast_possible_truncation, reason = "halves")]
        let halves = (product as u64, (product >> 64) as u64);
        Self(halves.0.rotate_left(23) ^ halves.1)
    }

    /// With bytes.
    #[must_use]
    pub fn bytes(self, bytes: &[u8]) -> Self {
        let mut digest = self.and(bytes.len() as u64);
        for piece in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..piece.len()].copy_from_slice(piece);
            digest = digest.and(u64::from_le_bytes(word));
        }
        digest
    }

    /// With an empty slot.
    #[inline]
    #[must_use]
    pub fn null(self) -> Self {
        self.and(1)
    }

    /// With `None`, `False`, `True`, `...` or `NotImplemented`, as their tags.
    #[inline]
    #[must_use]
    pub fn singleton(self, tag: u8) -> Self {
        self.and(u64::from(tag))
    }

    /// With an int.
    #[inline]
    #[must_use]
    pub fn int(self, value: i64) -> Self {
        self.and(2).and(value.cast_unsigned())
    }

    /// With a larger one.
    #[must_use]
    pub fn big_int(self, negative: bool, magnitude: &[u8]) -> Self {
        self.and(3).and(u64::from(negative)).bytes(magnitude)
    }

    /// With one of which only the size is kept.
    #[must_use]
    pub fn huge_int(self, negative: bool, bits: u64, leading: u64) -> Self {
        self.and(4).and(u64::from(negative)).and(bits).and(leading)
    }

    /// With a float, as its bits.
    #[inline]
    #[must_use]
    pub fn float(self, bits: u64) -> Self {
        self.and(5).and(bits)
    }

    /// With a complex number, as the bits of its parts.
    #[inline]
    #[must_use]
    pub fn complex(self, real: u64, imaginary: u64) -> Self {
        self.and(6).and(real).and(imaginary)
    }

    /// With an object, by its id.
    #[inline]
    #[must_use]
    pub fn object(self, id: u64) -> Self {
        self.and(7).and(id)
    }

    /// The digest.
    #[inline]
    #[must_use]
    pub fn value(self) -> u64 {
        self.0
    }

    /// With a value of a chunk whose large ints and complex numbers these are; `None` if it is not known.
    #[must_use]
    pub fn of(self, value: Value, big_ints: &[BigInt], complexes: &[[u64; 2]]) -> Option<Self> {
        use crate::stream::tag;
        Some(match value {
            Value::Null => self.null(),
            Value::None => self.singleton(tag::NONE),
            Value::Bool(false) => self.singleton(tag::FALSE),
            Value::Bool(true) => self.singleton(tag::TRUE),
            Value::Ellipsis => self.singleton(tag::ELLIPSIS),
            Value::NotImplemented => self.singleton(tag::NOT_IMPLEMENTED),
            Value::Int(value) | Value::Tagged(value) => self.int(value),
            Value::BigInt(index) => match big_ints.get(index as usize)? {
                BigInt::Exact {
                    negative,
                    magnitude,
                } => self.big_int(*negative, magnitude),
                BigInt::Huge {
                    negative,
                    bits,
                    leading,
                } => self.huge_int(*negative, *bits, *leading),
            },
            Value::Float(bits) => self.float(bits),
            Value::Complex(index) => {
                let [real, imaginary] = *complexes.get(index as usize)?;
                self.complex(real, imaginary)
            }
            Value::Object(id) => self.object(id.0),
            Value::Unknown(_) | Value::Redacted => return None,
        })
    }
}

/// The digest of contents; `None` if something in them is not known.
#[must_use]
pub fn of_contents(
    kind: Kind,
    contents: &Contents,
    big_ints: &[BigInt],
    complexes: &[[u64; 2]],
) -> Option<u64> {
    let start = Digest::new(kind);
    let values = |digest: Digest, values: &[Value]| {
        values.iter().try_fold(digest, |digest, &value| {
            digest.of(value, big_ints, complexes)
        })
    };
    let pairs = |digest: Digest, pairs: &Pairs| {
        let mut digest = digest;
        for &(key, value) in &pairs.pairs {
            digest = values(digest, &[key, value])?;
        }
        Some(digest.and(pairs.length))
    };
    let digest = match contents {
        Contents::Opaque => start,
        Contents::Bytes { length, head } => start.bytes(head).and(*length),
        Contents::Items(items) => values(start, &items.items)?.and(items.length),
        Contents::Pairs(all) => pairs(start, all)?,
        Contents::Cell(value) => values(start, &[*value])?,
        Contents::Code { qualname, .. } | Contents::Generator { qualname, .. } => {
            start.bytes(qualname)
        }
        Contents::Name(name) => start.bytes(name),
        Contents::Method { function, receiver } => values(start, &[*function, *receiver])?,
        Contents::Exception {
            arguments,
            attributes,
        } => {
            let digest = match arguments {
                Arguments::Unknown => start,
                Arguments::Known(items) => values(start, &items.items)?.and(items.length),
            };
            pairs(digest, attributes)?
        }
        Contents::Collection { items, attributes } => {
            pairs(values(start, &items.items)?.and(items.length), attributes)?
        }
        Contents::Mapping {
            pairs: main,
            attributes,
        } => pairs(pairs(start, main)?, attributes)?,
        Contents::Parts(parts) => values(start, parts)?,
    };
    Some(digest.value())
}
