//! The colours of the text report.

use anstyle::{AnsiColor, Style};

/// A style for each kind of thing; all plain without colour.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Palette {
    /// Box lines, offsets, separators, notes.
    pub(crate) quiet: Style,
    /// Names of functions where they start.
    pub(crate) function: Style,
    /// Line numbers.
    pub(crate) line: Style,
    /// Source text.
    pub(crate) source: Style,
    /// Names of instructions.
    pub(crate) instruction: Style,
    /// Arguments of instructions.
    pub(crate) argument: Style,
    /// Values on the stack.
    pub(crate) value: Style,
    /// The value on top of the stack, and values returned.
    pub(crate) top: Style,
    /// Exceptions.
    pub(crate) exception: Style,
}

impl Palette {
    /// The eight basic colours only, which every terminal theme keeps readable.
    pub(crate) fn coloured() -> Self {
        let plain = Style::new();
        let of = |color: AnsiColor| plain.fg_color(Some(color.into()));
        Palette {
            quiet: plain.dimmed(),
            function: of(AnsiColor::Cyan).bold(),
            line: of(AnsiColor::Yellow),
            source: plain.bold(),
            instruction: plain,
            argument: of(AnsiColor::Cyan),
            value: plain,
            top: of(AnsiColor::Green).bold(),
            exception: of(AnsiColor::Red).bold(),
        }
    }
}
