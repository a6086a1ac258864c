//! The report that shows only the totals.

use std::io::{self, Write};

use crate::{Report, Step, Summary};

/// Shows the summary line and nothing else.
#[derive(Debug)]
pub struct SummaryReport<W>(W);

impl<W: Write + Send> SummaryReport<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        SummaryReport(out)
    }
}

impl<W: Write + Send> Report for SummaryReport<W> {
    fn step(&mut self, _step: &Step<'_>) -> io::Result<()> {
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }

    fn finish(mut self: Box<Self>, summary: &Summary) -> io::Result<()> {
        writeln!(self.0, "{summary}")?;
        self.0.flush()
    }
}
