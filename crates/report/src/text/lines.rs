//! The lines of the text report, one function each.

use std::io::{self, Write};

use debugop_value::{Value, escaped, width};

use super::layout::{Layout, argument, below, fitting, shortened};
use super::row::{Align, Row};
use super::{Opening, TextReport, stack};
use crate::code::InstructionInfo;
use crate::step::{Event, Step};
use crate::story::{Happening, What};

/// Columns of the name of a callable that has no name of its own.
const CALLEE_WIDTH: usize = 40;

impl<W: Write + Send> TextReport<W> {
    /// Explains the columns, once, at the top.
    pub(super) fn legend(&mut self) -> io::Result<()> {
        let quiet = self.palette.quiet;
        let mut row = Row::new(self.options.width);
        row.put(
            quiet,
            "offset, instruction, argument, value stack before it (top at the right)",
        );
        self.write(row)
    }

    /// A line inside the boxes of the frames below, ready for what is in the frame's own.
    pub(super) fn row(&self, step: &Step<'_>, own: &str) -> Row {
        let mut row = Row::new(self.options.width);
        let most = self.options.width / 10;
        let depth = step.depth as usize;
        row.put(self.palette.quiet, &"│ ".repeat(depth.min(most)));
        row.put(self.palette.quiet, own);
        row
    }

    pub(super) fn write(&mut self, row: Row) -> io::Result<()> {
        self.out.write_all(row.finish().as_bytes())
    }

    pub(super) fn open(
        &mut self,
        step: &Step<'_>,
        line: Option<u32>,
        opening: Opening,
    ) -> io::Result<()> {
        let palette = self.palette;
        let names = &step.code.names;
        let first_line = u32::try_from(names.first_line).ok();
        let mut row = self.row(step, "┌ ");
        row.put(palette.function, &names.qualname);
        match opening {
            Opening::Entered => {}
            Opening::Resumed => _ = row.put(palette.quiet, " resumed"),
            Opening::Thrown => _ = row.put(palette.quiet, " resumed by an exception"),
            Opening::Continued => _ = row.put(palette.quiet, " continues"),
        }
        let file = shortened(below(self.directory.as_deref(), &names.filename));
        let place = match line.or(first_line) {
            Some(line) => format!("{file}:{line}"),
            None => file,
        };
        row.space(2).put(palette.quiet, &place);
        if step.depth as usize > self.options.width / 10 {
            row.space(2)
                .put(palette.quiet, &format!("depth {}", step.depth));
        }
        if let (Opening::Entered, Some(line)) = (opening, line) {
            let source = self.sources.line(&names.filename, line).unwrap_or_default();
            row.space(2).put(palette.source, source.trim());
        }
        self.write(row)
    }

    /// The source line that the instructions below belong to.
    ///
    /// Instructions without a line, which clean up, have none and stay below what was shown last.
    pub(super) fn heading(
        &mut self,
        step: &Step<'_>,
        line: u32,
        back: bool,
        told: &[Happening<'_>],
    ) -> io::Result<()> {
        let palette = self.palette;
        let names = &step.code.names;
        let mut row = self.row(step, "│ ");
        let mut note = String::new();
        if back {
            note = format!("← back in {}", names.qualname);
            // Elsewhere the row of the call and that of the next instruction stand together and show both.
            if let Some((callable, result)) = told.iter().find_map(|one| returned(&one.what)) {
                let result = result.short(self.options.width / 4);
                note = format!("{note}: {} → {result}", callee(callable));
            }
        }
        row.put(palette.line, &line.to_string()).space(2);
        let source = self.sources.line(&names.filename, line).unwrap_or_default();
        let source = escaped(source.trim());
        let room = row.room().saturating_sub(width(&note) + 2);
        row.put(palette.source, &fitting(&source, room));
        row.space(2).put(palette.quiet, &note);
        self.write(row)
    }

    pub(super) fn instruction(
        &mut self,
        step: &Step<'_>,
        info: &InstructionInfo,
    ) -> io::Result<()> {
        let palette = self.palette;
        let width = self.options.width;
        let layout = *self
            .layouts
            .entry(step.code.id)
            .or_insert_with(|| Layout::of(step.code, width));
        let mut row = self.row(step, "│ ");
        row.space(2)
            .cell(
                palette.quiet,
                &info.offset.to_string(),
                layout.offset,
                Align::Right,
            )
            .space(2)
            .cell(
                palette.instruction,
                info.op.name(),
                layout.instruction,
                Align::Left,
            )
            .space(2);
        let over = info.op.name().len().saturating_sub(layout.instruction);
        let columns = layout.argument.saturating_sub(over);
        let argument = argument(info);
        if step.stack.is_empty() {
            row.put(palette.argument, &argument);
            return self.write(row);
        }
        let argument = fitting(&argument, columns.max(8));
        row.cell(palette.argument, &argument, columns, Align::Left)
            .space(2);
        let texts = stack::fit(step.stack, row.room());
        for (index, text) in texts.iter().enumerate() {
            let style = match text.as_str() {
                "NULL" => palette.quiet,
                _ if index + 1 == texts.len() => palette.top,
                _ => palette.value,
            };
            if index > 0 {
                row.put(palette.quiet, stack::SEPARATOR);
            }
            row.put(style, text);
        }
        self.write(row)
    }

    /// What exceptions did just before: one was raised here, or came out of a frame that was called.
    pub(super) fn exceptions(
        &mut self,
        step: &Step<'_>,
        info: &InstructionInfo,
        told: &[Happening<'_>],
    ) -> io::Result<()> {
        let function = &step.code.names.qualname;
        let caught = told
            .iter()
            .any(|one| matches!(one.what, What::Catch { .. }));
        let arrives = match step.event {
            Event::Unwind => String::new(),
            Event::Instruction if caught => format!("caught at {}", info.offset),
            Event::Instruction => format!("clean-up at {}", info.offset),
        };
        let callable = told.iter().find_map(|one| match &one.what {
            What::CException { callable, .. } | What::UnfollowedException { callable, .. } => {
                Some(callee(callable))
            }
            _ => None,
        });
        for Happening { instruction, what } in told {
            let raised = |how: String| match arrives.as_str() {
                "" => how,
                arrives => format!("{how}, {arrives}"),
            };
            let (exception, happened) = match what {
                What::Raise(exception) => {
                    let by = callable.as_deref();
                    let how = by.map_or("raised".into(), |by| format!("raised by {by}"));
                    (*exception, raised(how))
                }
                What::Reraise(exception) => (*exception, raised("raised again".into())),
                What::Throw(exception) => (*exception, raised("thrown in".into())),
                // The box of the frame that it leaves says so.
                What::Propagate { .. } if step.event == Event::Unwind => continue,
                What::Propagate { exception, .. } => {
                    let at = format!("in {function} at {}", info.offset);
                    let verb = if caught { "caught" } else { "clean-up" };
                    (*exception, format!("{verb} {at}"))
                }
                What::Replace {
                    exception,
                    replaced,
                } => {
                    let room = self.options.width / 3;
                    let replaced = replaced.short(room);
                    (exception, format!("takes the place of {replaced}"))
                }
                What::Swallow { exception, .. } => {
                    let by = instruction.and_then(|at| step.code.instruction(at));
                    let by = by.map_or("C code", |by| by.op.name());
                    (exception, format!("swallowed by {by}"))
                }
                _ => continue,
            };
            self.exception(step, exception, &happened)?;
        }
        Ok(())
    }

    fn exception(&mut self, step: &Step<'_>, exception: &Value, happened: &str) -> io::Result<()> {
        let palette = self.palette;
        let mut row = self.row(step, "│ ");
        let room = row.room().saturating_sub(width(happened) + 3).max(8);
        row.put(palette.exception, "! ")
            .put(palette.exception, &exception.short(room).to_string())
            .space(1)
            .put(palette.quiet, happened);
        self.write(row)
    }

    pub(super) fn close(
        &mut self,
        step: &Step<'_>,
        verb: &str,
        value: Option<&Value>,
    ) -> io::Result<()> {
        let palette = self.palette;
        let mut row = self.row(step, "└ ");
        row.put(
            palette.quiet,
            &format!("{} {verb}", step.code.names.qualname),
        )
        .space(1);
        if let Some(value) = value {
            let text = value.short(row.room()).to_string();
            row.put(palette.top, &text);
        }
        self.write(row)
    }

    pub(super) fn close_raising(
        &mut self,
        step: &Step<'_>,
        exception: Option<&Value>,
    ) -> io::Result<()> {
        let palette = self.palette;
        let leaves = format!("leaves {}", step.code.names.qualname);
        let mut row = self.row(step, "└ ");
        let room = row.room().saturating_sub(width(&leaves) + 1).max(8);
        let text = match exception {
            Some(exception) => exception.short(room).to_string(),
            None => "an exception".into(),
        };
        row.put(palette.exception, &text)
            .space(1)
            .put(palette.quiet, &leaves);
        self.write(row)
    }
}

/// What was called, and what it returned.
fn returned<'a>(what: &'a What<'_>) -> Option<(&'a Value, &'a Value)> {
    Some((what.callable()?, what.result()?))
}

/// The name of what was called.
fn callee(callable: &Value) -> String {
    match callable {
        Value::Builtin { name, .. } | Value::Class { name, .. } => escaped(name).into_owned(),
        Value::Function { qualname, .. } | Value::Method { qualname, .. } => {
            escaped(qualname).into_owned()
        }
        other => other.short(CALLEE_WIDTH).to_string(),
    }
}
