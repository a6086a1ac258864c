//! One line of the text report, which never gets wider than the report.

use anstyle::Style;
use debugop_value::{escaped, head, width};

/// A line that is being put together.
#[derive(Debug)]
pub(crate) struct Row {
    text: String,
    used: usize,
    width: usize,
    /// Spaces owed: written only when something follows them.
    gap: usize,
}

impl Row {
    pub(crate) fn new(width: usize) -> Self {
        Row {
            text: String::new(),
            used: 0,
            width,
            gap: 0,
        }
    }

    /// Columns that are left.
    pub(crate) fn room(&self) -> usize {
        self.width.saturating_sub(self.used + self.gap)
    }

    /// Leaves columns blank.
    pub(crate) fn space(&mut self, columns: usize) -> &mut Self {
        self.gap += columns;
        self
    }

    /// Adds text, escaped, and cut with `…` where it does not fit.
    pub(crate) fn put(&mut self, style: Style, text: &str) -> &mut Self {
        let text = escaped(text);
        let columns = width(&text);
        let room = self.room();
        if columns == 0 || room == 0 {
            return self;
        }
        self.text.extend(std::iter::repeat_n(' ', self.gap));
        self.used += self.gap;
        self.gap = 0;
        if !style.is_plain() {
            self.text.push_str(&style.render().to_string());
        }
        if columns <= room {
            self.text.push_str(&text);
            self.used += columns;
        } else {
            self.text.push_str(head(&text, room - 1));
            self.text.push('…');
            self.used = self.width;
        }
        if !style.is_plain() {
            self.text.push_str(&style.render_reset().to_string());
        }
        self
    }

    /// Adds text and fills up to `columns`, at its right end or, for numbers, at its left.
    pub(crate) fn cell(
        &mut self,
        style: Style,
        text: &str,
        columns: usize,
        align: Align,
    ) -> &mut Self {
        let fill = columns.saturating_sub(width(&escaped(text)));
        match align {
            Align::Left => self.put(style, text).space(fill),
            Align::Right => self.space(fill).put(style, text),
        }
    }

    /// The line with its end.
    pub(crate) fn finish(mut self) -> String {
        self.text.push('\n');
        self.text
    }
}

/// Which side of a cell its text is on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Align {
    Left,
    Right,
}

#[cfg(test)]
mod tests {
    use super::*;
    use anstyle::AnsiColor;

    #[test]
    fn a_row_is_never_wider_than_asked() {
        let mut row = Row::new(8);
        row.cell(Style::new(), "12", 4, Align::Right)
            .space(1)
            .put(Style::new(), "LOAD_FAST")
            .put(Style::new(), "x");
        assert_eq!(row.finish(), "  12 LO…\n");
    }

    #[test]
    fn nothing_is_left_at_the_end_of_a_row() {
        let mut row = Row::new(20);
        row.cell(Style::new(), "a", 6, Align::Left)
            .put(Style::new(), "");
        assert_eq!(row.finish(), "a\n");
    }

    #[test]
    fn only_our_own_escape_sequences_get_out() {
        let red = AnsiColor::Red.on_default();
        let mut row = Row::new(20);
        row.put(red, "\x1b[2J");
        assert_eq!(row.finish(), "\x1b[31m\\x1b[2J\x1b[0m\n");
    }
}
