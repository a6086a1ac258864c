//! Text that is safe to print: nothing in it moves the cursor, changes colours or reverses direction.

use std::borrow::Cow;
use std::fmt::Write as _;

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};
use unicode_width::UnicodeWidthChar;

/// Whether `str.isprintable()` holds for this character: not a control, format, surrogate, private or unassigned code
/// point, and no separator but the plain space.
pub(crate) fn printable(c: char) -> bool {
    if c.is_ascii() {
        return matches!(c, ' '..='~');
    }
    use GeneralCategory::{
        Control, Format, LineSeparator, ParagraphSeparator, PrivateUse, SpaceSeparator, Surrogate,
        Unassigned,
    };
    !matches!(
        c.general_category(),
        Control
            | Format
            | LineSeparator
            | ParagraphSeparator
            | PrivateUse
            | SpaceSeparator
            | Surrogate
            | Unassigned
    )
}

/// Writes `\xNN`, `\uNNNN` or `\UNNNNNNNN`, whichever is the shortest that holds the code point, as `repr` does.
pub(crate) fn write_code_point(out: &mut String, code_point: u32) {
    let written = match code_point {
        0..=0xff => write!(out, "\\x{code_point:02x}"),
        0x100..=0xffff => write!(out, "\\u{code_point:04x}"),
        _ => write!(out, "\\U{code_point:08x}"),
    };
    written.expect("writing to a String does not fail");
}

/// How many terminal columns a printable character takes.
///
/// The emoji variation selector counts as one: it may widen the character before it.
pub(crate) fn char_width(c: char) -> usize {
    match c {
        ' '..='~' => 1,
        '\u{fe0f}' => 1,
        _ => c.width().unwrap_or(0),
    }
}

/// How many terminal columns a printable text takes at most.
pub fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// `text` with everything that is not printable escaped as in a Python string literal; for names, paths and source
/// lines, which are shown without quotes.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if text.chars().all(printable) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if printable(c) => out.push(c),
            c => write_code_point(&mut out, c.into()),
        }
    }
    Cow::Owned(out)
}

/// The longest beginning of `text` that fits `room` columns; `text` is printable.
pub fn head(text: &str, room: usize) -> &str {
    let mut used = 0;
    for (index, c) in text.char_indices() {
        used += char_width(c);
        if used > room {
            return &text[..index];
        }
    }
    text
}

/// `1234567` as `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// So many of what `one` names, whose plural ends in `s`: `1 chunk`, `1,234 chunks`.
pub fn counted(number: u64, one: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {one}{s}", grouped(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_no_plural() {
        assert_eq!(counted(1, "chunk"), "1 chunk");
        assert_eq!(counted(0, "chunk"), "0 chunks");
        assert_eq!(counted(1234, "chunk"), "1,234 chunks");
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(escaped("\x1b[31mred\x07"), "\\x1b[31mred\\x07");
        assert_eq!(escaped("abc\u{202e}cba"), "abc\\u202ecba");
        assert_eq!(escaped("\u{9b}31m"), "\\x9b31m");
        assert_eq!(escaped("a\u{a0}b\u{e0001}"), "a\\xa0b\\U000e0001");
    }

    #[test]
    fn ordinary_text_is_left_alone() {
        assert!(matches!(escaped("naïve 東京 🙂"), Cow::Borrowed(_)));
        assert_eq!(width("naïve 東京 🙂"), 13);
    }
}
