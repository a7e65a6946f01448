//! Runs of QEMU with a `PostgreSQL` guest: the end of each, and what `query-migrate` showed on the way.
//!
//! Source: LordWicked/live-migration-thesis-code. An 8 GiB guest with 4 processors; the scenario's
//! name says what was switched on (`Autoconverge`, `Postcopy`) and, as in `16T`, how many threads wrote.

use super::DataError;
use super::table::Table;

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct GuestRun {
    /// Such as `Autoconverge_16T`.
    pub scenario: String,
    /// Its number within the scenario.
    pub run: u32,
    /// Whether QEMU said `completed`.
    pub completed: bool,
    /// In seconds.
    pub total: f64,
    /// In seconds, as QEMU reports it.
    pub downtime: f64,
    /// Times that the dirty log was read.
    pub syncs: f64,
    /// Bytes sent.
    pub bytes: f64,
    /// Pages sent whole.
    pub normal_pages: f64,
    /// Pages sent as zero.
    pub zero_pages: f64,
    /// The highest throttle, in per cent.
    pub most_throttle: f64,
}

/// What was seen of one pass: the time between two reads of the dirty log.
#[derive(Debug, Clone, PartialEq)]
pub struct Sync {
    /// The scenario.
    pub scenario: String,
    /// The run.
    pub run: u32,
    /// The pass, from 1.
    pub sync: u32,
    /// When it was first seen, in seconds.
    pub first: f64,
    /// When it was last seen.
    pub last: f64,
    /// Sent by then, in bytes.
    pub sent: f64,
    /// Left to send when it was first seen.
    pub remaining_first: f64,
    /// Left to send when it was last seen.
    pub remaining_last: f64,
}

const MILLISECONDS: f64 = 1e-3;

/// Reads the ends of runs.
pub(super) fn runs(table: &Table) -> Result<Vec<GuestRun>, DataError> {
    let mut all = Vec::new();
    for row in table.rows() {
        all.push(GuestRun {
            scenario: row.text("scenario").to_string(),
            run: row.count("run")?,
            completed: row.text("status") == "completed",
            total: row.positive("total_ms")? * MILLISECONDS,
            downtime: row.number_or("downtime_ms", 0.0)? * MILLISECONDS,
            syncs: row.number_or("syncs", 0.0)?,
            bytes: row.positive("transferred_B")?,
            normal_pages: row.number_or("normal_pages", 0.0)?,
            zero_pages: row.number_or("duplicate_pages", 0.0)?,
            most_throttle: row.number_or("max_throttle", 0.0)?,
        });
    }
    Ok(all)
}

/// Reads passes.
pub(super) fn syncs(table: &Table) -> Result<Vec<Sync>, DataError> {
    let mut all = Vec::new();
    for row in table.rows() {
        all.push(Sync {
            scenario: row.text("scenario").to_string(),
            run: row.count("run")?,
            sync: row.count("sync")?,
            first: row.number("t_ms_first")? * MILLISECONDS,
            last: row.number("t_ms_last")? * MILLISECONDS,
            sent: row.number("transferred_B_last")?,
            remaining_first: row.number("remaining_B_first")?,
            remaining_last: row.number("remaining_B_last")?,
        });
    }
    Ok(all)
}
