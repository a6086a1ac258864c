//! Captured `str` and `bytes`: the first part, and how long the whole is.

/// A captured `str`.
///
/// Held as WTF-8: UTF-8 in which a lone surrogate, which Python strings may contain, is encoded like any other code
/// point of three bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Text {
    wtf8: Box<[u8]>,
    length: u64,
}

impl Text {
    /// A whole string without surrogates.
    pub fn new(text: &str) -> Self {
        Text {
            wtf8: text.as_bytes().into(),
            length: text.chars().count() as u64,
        }
    }

    /// The head of a string, in WTF-8, and the string's length in code points. Bytes that are not WTF-8 are shown as
    /// U+FFFD.
    pub fn from_wtf8(head: impl Into<Box<[u8]>>, length: u64) -> Self {
        Text {
            wtf8: head.into(),
            length,
        }
    }

    /// Length of the original string in code points: its `len()`.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether the original string is empty.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Whether only the head of the string is held.
    pub fn is_cut(&self) -> bool {
        (self.code_points().count() as u64) < self.length
    }

    /// What is held, as WTF-8.
    pub fn as_wtf8(&self) -> &[u8] {
        &self.wtf8
    }

    /// What is held, if it contains no surrogate.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.wtf8).ok()
    }

    /// The code points that are held, surrogates included.
    pub fn code_points(&self) -> CodePoints<'_> {
        CodePoints(&self.wtf8)
    }
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Text({:?}, {})",
            String::from_utf8_lossy(&self.wtf8),
            self.length
        )
    }
}

/// Iterator over the code points of WTF-8 bytes.
pub struct CodePoints<'a>(&'a [u8]);

impl Iterator for CodePoints<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let &first = self.0.first()?;
        let (length, initial, least) = match first {
            0x00..=0x7f => (1, u32::from(first), 0),
            0xc2..=0xdf => (2, u32::from(first & 0x1f), 0x80),
            0xe0..=0xef => (3, u32::from(first & 0x0f), 0x800),
            0xf0..=0xf4 => (4, u32::from(first & 0x07), 0x1_0000),
            _ => (1, 0xfffd, 0),
        };
        let decoded = self
            .0
            .get(1..length)
            .and_then(|rest| {
                rest.iter().try_fold(initial, |code, &byte| {
                    (byte & 0xc0 == 0x80).then(|| code << 6 | u32::from(byte & 0x3f))
                })
            })
            .filter(|code| (least..=0x10_ffff).contains(code));
        self.0 = &self.0[if decoded.is_some() { length } else { 1 }..];
        Some(decoded.unwrap_or(0xfffd))
    }
}

/// A captured `bytes` or `bytearray`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bytes {
    /// The first bytes; all of them when their number is `length`.
    pub head: Box<[u8]>,
    /// `len()` of the original.
    pub length: u64,
}

impl Bytes {
    /// Bytes that were captured whole.
    pub fn whole(bytes: &[u8]) -> Self {
        Bytes {
            head: bytes.into(),
            length: bytes.len() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_lone_surrogate_is_one_code_point() {
        let text = Text::from_wtf8(*b"a\xed\xb2\x80b", 3);
        assert_eq!(text.code_points().collect::<Vec<_>>(), [0x61, 0xdc80, 0x62]);
        assert_eq!(text.as_str(), None);
        assert!(!text.is_cut());
    }

    proptest! {
        #[test]
        fn utf8_is_read_as_its_characters(text in ".*") {
            let code_points: Vec<u32> = text.chars().map(u32::from).collect();
            prop_assert_eq!(Text::new(&text).code_points().collect::<Vec<_>>(), code_points);
        }

        #[test]
        fn any_bytes_are_read_to_the_end(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let count = Text::from_wtf8(bytes.clone(), 0).code_points().count();
            prop_assert!(count <= bytes.len());
        }
    }
}
