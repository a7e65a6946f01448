//! Planned beside actual, run by run: the rows of a table, and by how much they are off.

use std::fmt;
use std::io::{self, Write};

use live::machine::MOST_STEAL;

use crate::agents::Failed;

/// How often a configuration is run until a run of it counts.
const MOST_TRIES: u32 = 4;

/// One run.
pub struct Row {
    /// The row of the table, without its last column, which is the share of processor time that others took.
    pub cells: String,
    /// The share of processor time that went to other machines on the same hardware, 0 to 1.
    pub steal: f64,
    /// By how many percent the prediction of the total time is off.
    pub total_error: f64,
    /// By how many percent that of the blackout is.
    pub blackout_error: f64,
}

/// Errors in percent, of the runs that count.
#[derive(Default)]
pub struct Accuracy {
    total: Vec<f64>,
    blackout: Vec<f64>,
}

impl Accuracy {
    /// Runs a configuration until one run counts, since one under too much steal says nothing of the simulation.
    /// Prints all of them.
    ///
    /// # Errors
    ///
    /// What the runs fail with.
    pub fn of(&mut self, mut run: impl FnMut() -> Result<Row, Failed>) -> Result<(), Failed> {
        let mut out = io::stdout().lock();
        for _ in 0..MOST_TRIES {
            let row = run()?;
            let counts = row.steal <= MOST_STEAL;
            let mark = if counts { "" } else { ", not comparable" };
            writeln!(out, "{} {:.1} %{mark} |", row.cells, row.steal * 100.0)?;
            out.flush()?;
            if counts {
                self.total.push(row.total_error.abs());
                self.blackout.push(row.blackout_error.abs());
                break;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Accuracy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mean = |errors: &[f64]| errors.iter().sum::<f64>() / errors.len() as f64;
        let worst = |errors: &[f64]| errors.iter().copied().fold(0.0, f64::max);
        write!(
            f,
            "{} comparable runs: total off by {:.1} % on average, {:.1} % at worst; blackout by {:.0} % on average, {:.0} % at worst",
            self.total.len(),
            mean(&self.total),
            worst(&self.total),
            mean(&self.blackout),
            worst(&self.blackout)
        )
    }
}
