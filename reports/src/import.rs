//! Our own `migrations.parquet`, read again: what calibration asks of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use polars::error::PolarsResult;
use polars::prelude::{DataFrame, DataType};
use polars_io::SerReader;
use polars_io::parquet::read::ParquetReader;

use crate::error::ReportError;

/// A migration of a recorded run.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedMigration {
    /// The guest.
    pub vm: String,
    /// Whether the guest runs at the destination.
    pub is_completed: bool,
    /// In seconds.
    pub total: f64,
    /// In seconds.
    pub blackout: f64,
    /// All rounds together.
    pub memory_bytes_sent: f64,
    /// Of the first round: the guest's memory; where `rounds.parquet` lies beside.
    pub first_round_bytes: Option<f64>,
}

/// Reads `migrations.parquet`; any other table of ours has no migrations.
///
/// # Errors
///
/// Where the file is none, or cannot be read.
pub fn read_migrations(path: &Path) -> Result<Vec<RecordedMigration>, ReportError> {
    let frame = read(path)?;
    let columns = ["vm", "outcome", "total_s", "blackout_s", "memory_bytes_sent", "migration"];
    if columns.iter().any(|column| frame.column(column).is_err()) {
        return Ok(Vec::new());
    }
    let first = first_rounds(&path.with_file_name("rounds.parquet"))?;
    rows(&frame, &first).map_err(|error| unreadable(path, &error))
}

/// By replication and migration.
type ByMigration = BTreeMap<(u64, u64), f64>;

fn rows(frame: &DataFrame, first: &ByMigration) -> PolarsResult<Vec<RecordedMigration>> {
    let [total, blackout, sent, number] =
        ["total_s", "blackout_s", "memory_bytes_sent", "migration"].map(|column| numbers(frame, column));
    let (total, blackout, sent, number) = (total?, blackout?, sent?, number?);
    let (vms, outcomes) = (texts(frame, "vm")?, texts(frame, "outcome")?);
    let replication = numbers(frame, "replication").unwrap_or_default();
    let row = |index: usize| RecordedMigration {
        vm: vms[index].clone(),
        is_completed: outcomes[index] == "completed",
        total: total[index],
        blackout: blackout[index],
        memory_bytes_sent: sent[index],
        first_round_bytes: first
            .get(&(replication.get(index).map_or(0, |number| *number as u64), number[index] as u64))
            .copied(),
    };
    Ok((0..frame.height()).map(row).collect())
}

/// What each migration's first round sent; nothing where the file is not there.
fn first_rounds(path: &Path) -> Result<ByMigration, ReportError> {
    if !path.exists() {
        return Ok(ByMigration::new());
    }
    sent_first(&read(path)?).map_err(|error| unreadable(path, &error))
}

fn sent_first(frame: &DataFrame) -> PolarsResult<ByMigration> {
    let replication = numbers(frame, "replication").unwrap_or_default();
    let (migration, round) = (numbers(frame, "migration")?, numbers(frame, "round")?);
    let sent = numbers(frame, "bytes_sent")?;
    let mut first = ByMigration::new();
    for index in (0..frame.height()).filter(|index| round[*index] == 1.0) {
        let replication = replication.get(index).map_or(0, |number| *number as u64);
        first.insert((replication, migration[index] as u64), sent[index]);
    }
    Ok(first)
}

fn read(path: &Path) -> Result<DataFrame, ReportError> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    ParquetReader::new(file).finish().map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> ReportError {
    ReportError::Read { path: path.to_path_buf(), message: error.to_string() }
}

fn numbers(frame: &DataFrame, column: &str) -> PolarsResult<Vec<f64>> {
    let cast = frame.column(column)?.cast(&DataType::Float64)?;
    Ok(cast.f64()?.iter().map(|value| value.unwrap_or(0.0)).collect())
}

fn texts(frame: &DataFrame, column: &str) -> PolarsResult<Vec<String>> {
    let cast = frame.column(column)?.cast(&DataType::String)?;
    Ok(cast.str()?.iter().map(|value| value.unwrap_or_default().to_string()).collect())
}
