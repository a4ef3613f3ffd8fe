//! The report, in Markdown: where it was measured, the tables, and what disturbed them.

use std::fmt;

use crate::host::{self, Machine};
use crate::options::Options;
use crate::tables::{Spread, Table};

/// Everything that was measured.
pub(crate) struct Report {
    pub(crate) options: Options,
    pub(crate) machine: Machine,
    pub(crate) tables: Vec<Box<dyn Table>>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { logs, run_dirs, .. } = &self.machine;
        writeln!(f, "Log files on {logs}, run directories on {run_dirs}.\n")?;
        if self.options.quick {
            writeln!(
                f,
                "A quick run: it shows that the benchmark works. Its figures mean nothing.\n"
            )?;
        }
        for peer in &self.options.missing {
            let program = peer.missing_program().unwrap_or_default();
            writeln!(f, "Not measured: {peer}, because {program} is not installed.\n")?;
        }
        for table in &self.tables {
            writeln!(f, "{table}")?;
        }
        self.write_circumstances(f)
    }
}

impl Report {
    fn write_circumstances(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let foreign = Spread::of(self.tables.iter().flat_map(|table| table.foreign()));
        let Machine { cpus, kernel, load_before, .. } = &self.machine;
        writeln!(
            f,
            "Median (least to most) of the rounds. {cpus} CPUs, Linux {kernel}; load average \
             {load_before} before and {} after; other processes had {foreign:.0} % of the CPUs.",
            host::load()
        )
    }
}
