//! Our own `migrations.parquet` and `rounds.parquet`, read again as the records that they were made of.
//!
//! A column is called as the record's key in the JSON is, so that a row is read as if it were an object of the JSON;
//! nothing here lists fields. What only the JSON has (transfer, impact, failure, disks, the log) is not read: enough
//! for calibration, which looks at migrations and their rounds, and reads the JSON where there is one. The files may
//! come from anywhere: whatever is wrong with them is an error.

use std::fs::File;
use std::path::Path;

use algorithms::records::{MigrationRecord, RoundRecord, RunRecord, RunRecords};
use polars::error::PolarsResult;
use polars::prelude::{AnyValue, DataFrame};
use polars_io::SerReader;
use polars_io::parquet::read::ParquetReader;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sim_core::{SimTime, Span};

use crate::error::ReportError;

/// What makes a frame one of migrations.
const COLUMNS: [&str; 6] = ["scenario", "vm", "outcome", "total_s", "blackout_s", "memory_bytes_sent"];
/// A column that frames have had since the second version of the records.
const COLUMN_SINCE_VERSION_2: &str = "whereabouts";
/// The most rows that are read.
const MOST_ROWS: usize = 1_000_000;

/// The runs in a `migrations.parquet`, with the rounds of the `rounds.parquet` beside it; any other table
/// of ours has none.
///
/// # Errors
///
/// Where a file is none, cannot be read, is an older migtwin's, or holds what no record of ours does.
pub fn read_parquet(path: &Path) -> Result<Vec<RunRecords>, ReportError> {
    let frame = read(path)?;
    if COLUMNS.iter().any(|column| frame.column(column).is_err()) {
        return Ok(Vec::new());
    }
    if frame.column(COLUMN_SINCE_VERSION_2).is_err() {
        return Err(unreadable(path, &ReportError::OlderRecords { found: 1 }));
    }
    let mut runs = migrations(&frame).map_err(|what| unreadable(path, &what))?;
    let beside = path.with_file_name("rounds.parquet");
    if beside.exists() {
        rounds(&read(&beside)?, &mut runs).map_err(|what| unreadable(&beside, &what))?;
    }
    Ok(runs)
}

fn migrations(frame: &DataFrame) -> Result<Vec<RunRecords>, String> {
    let mut runs = Vec::new();
    for number in 0..frame.height() {
        let mut row = row(frame, number)?;
        // The one column that the JSON calls otherwise.
        row.extend(row.get("rounds").cloned().map(|count| ("round_count".to_string(), count)));
        let migration: MigrationRecord = record(&row, number)?;
        let records = of_run(&mut runs, run_of(row, number)?);
        if let Some(started) = migration.started {
            let end = started + migration.total - SimTime::ZERO;
            records.run.makespan = records.run.makespan.max(end);
        }
        records.migrations.push(migration);
    }
    Ok(runs)
}

fn rounds(frame: &DataFrame, runs: &mut Vec<RunRecords>) -> Result<(), String> {
    for number in 0..frame.height() {
        let row = row(frame, number)?;
        let round: RoundRecord = record(&row, number)?;
        of_run(runs, run_of(row, number)?).rounds.push(round);
    }
    Ok(())
}

/// A row as an object of the JSON; what is null is left out.
fn row(frame: &DataFrame, number: usize) -> Result<Map<String, Value>, String> {
    let cell = |column: &polars::prelude::Column| -> PolarsResult<Option<(String, Value)>> {
        Ok(value(&column.get(number)?).map(|value| (column.name().to_string(), value)))
    };
    let cells: PolarsResult<Vec<_>> = frame.columns().iter().map(cell).collect();
    Ok(cells.map_err(|error| error.to_string())?.into_iter().flatten().collect())
}

/// `None` where there is nothing, or nothing that a record of ours has.
fn value(cell: &AnyValue) -> Option<Value> {
    match cell {
        AnyValue::String(text) => Some(Value::from(*text)),
        AnyValue::StringOwned(text) => Some(Value::from(text.as_str())),
        AnyValue::Boolean(yes) => Some(Value::from(*yes)),
        AnyValue::Float32(_) | AnyValue::Float64(_) => cell.extract::<f64>().and_then(number),
        _ => cell.extract::<u64>().map(Value::from).or_else(|| cell.extract::<f64>().and_then(number)),
    }
}

/// Other programs make floats of integers when they write a table again.
fn number(number: f64) -> Option<Value> {
    const EXACT: f64 = (1u64 << 53) as f64;
    let is_integer = number.fract() == 0.0 && (0.0..EXACT).contains(&number);
    if is_integer {
        Some(Value::from(number as u64))
    } else {
        number.is_finite().then(|| Value::from(number))
    }
}

fn record<T: DeserializeOwned>(row: &Map<String, Value>, number: usize) -> Result<T, String> {
    T::deserialize(row).map_err(|error: serde_json::Error| format!("row {}: {error}", number + 1))
}

/// The run that a row belongs to, whose makespan is not known yet.
fn run_of(mut row: Map<String, Value>, number: usize) -> Result<RunRecord, String> {
    row.insert("makespan_s".to_string(), Value::from(0));
    record(&row, number)
}

/// The records of a run, empty where it is new.
fn of_run(runs: &mut Vec<RunRecords>, run: RunRecord) -> &mut RunRecords {
    let same = |other: &RunRecords| RunRecord { makespan: Span::ZERO, ..other.run.clone() } == run;
    // Rows of one run stand together: the last one is nearly always the right one.
    let place = runs.iter().rposition(same).unwrap_or_else(|| {
        let (migrations, rounds, resources) = (Vec::new(), Vec::new(), Vec::new());
        let (events, guests) = (Vec::new(), Vec::new());
        runs.push(RunRecords { run, migrations, rounds, resources, events, guests });
        runs.len() - 1
    });
    &mut runs[place]
}

fn read(path: &Path) -> Result<DataFrame, ReportError> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let frame = ParquetReader::new(file).finish().map_err(|error| unreadable(path, &error))?;
    let rows = frame.height();
    let too_many = || unreadable(path, &format!("{rows} rows are more than the {MOST_ROWS} that are read"));
    if rows > MOST_ROWS { Err(too_many()) } else { Ok(frame) }
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> ReportError {
    ReportError::Read { path: path.to_path_buf(), message: error.to_string() }
}
