//! Our own `migrations.parquet` and `rounds.parquet`, read again as the records that they were made of.
//!
//! The log and the use of resources stand in frames of their own and are not read, nor is what a failure or a
//! failover cluster left: enough for calibration, which looks at migrations and their rounds. The files may
//! come from anywhere: whatever is wrong with them is an error.

use std::fs::File;
use std::path::Path;

use algorithms::ids::{MigrationId, Name};
use algorithms::records::{MigrationRecord, RoundRecord, RunRecord, RunRecords};
use polars::error::PolarsResult;
use polars::prelude::{DataFrame, DataType};
use polars_io::SerReader;
use polars_io::parquet::read::ParquetReader;
use serde::de::DeserializeOwned;
use sim_core::{Bandwidth, Bytes, SimTime, Span};

use crate::error::ReportError;

/// What makes a frame one of migrations.
const COLUMNS: [&str; 6] = ["scenario", "vm", "outcome", "total_s", "blackout_s", "memory_bytes_sent"];
/// The most rows that are read.
const MOST_ROWS: usize = 1_000_000;
/// The longest time that is believed, in seconds: a thousand years.
const LONGEST: f64 = 3.2e10;

/// The runs in a `migrations.parquet`, with the rounds of the `rounds.parquet` beside it; any other table
/// of ours has none.
///
/// # Errors
///
/// Where a file is none, cannot be read, or holds what no record of ours does.
pub fn read_parquet(path: &Path) -> Result<Vec<RunRecords>, ReportError> {
    let frame = read(path)?;
    if COLUMNS.iter().any(|column| frame.column(column).is_err()) {
        return Ok(Vec::new());
    }
    let mut runs = migrations(&Frame::of(&frame)).map_err(|what| unreadable(path, &what))?;
    let beside = path.with_file_name("rounds.parquet");
    if beside.exists() {
        rounds(&Frame::of(&read(&beside)?), &mut runs).map_err(|what| unreadable(&beside, &what))?;
    }
    Ok(runs)
}

fn migrations(frame: &Frame) -> Result<Vec<RunRecords>, String> {
    let mut runs = Vec::new();
    for row in 0..frame.frame.height() {
        let run = run_of(frame, row)?;
        let started = frame.optional("started_s", row)?.map(seconds).transpose()?;
        let migration = MigrationRecord {
            migration: MigrationId(frame.number("migration", row)? as u32),
            vm: frame.text("vm", row)?.into(),
            source: frame.text("source", row)?.into(),
            destination: Some(frame.text("destination", row)?)
                .filter(|name| !name.is_empty())
                .map(Name::from),
            kind: frame.word("kind", row)?,
            transport: frame.text("transport", row)?.into(),
            outcome: frame.word("outcome", row)?,
            reason: frame.text("reason", row)?,
            event_id: None,
            queued: SimTime::ZERO + seconds(frame.number("queued_s", row)?)?,
            started: started.map(|since| SimTime::ZERO + since),
            total: seconds(frame.number("total_s", row)?)?,
            brownout: seconds(frame.number("brownout_s", row)?)?,
            blackout: seconds(frame.number("blackout_s", row)?)?,
            memory_bytes_sent: frame.bytes("memory_bytes_sent", row)?,
            storage_bytes_sent: frame.bytes("storage_bytes_sent", row)?,
            rounds: frame.number("rounds", row)? as u32,
            transfer: None,
            paused_by_others: false,
            impact: None,
            failure: None,
            why: None,
        };
        let records = of_run(&mut runs, run);
        if let Some(started) = migration.started {
            let end = started + migration.total - SimTime::ZERO;
            records.run.makespan = records.run.makespan.max(end);
        }
        records.migrations.push(migration);
    }
    Ok(runs)
}

fn rounds(frame: &Frame, runs: &mut Vec<RunRecords>) -> Result<(), String> {
    for row in 0..frame.frame.height() {
        let round = RoundRecord {
            migration: MigrationId(frame.number("migration", row)? as u32),
            round: frame.number("round", row)? as u32,
            phase: frame.word("phase", row)?,
            start: SimTime::ZERO + seconds(frame.number("start_s", row)?)?,
            duration: seconds(frame.number("duration_s", row)?)?,
            bytes_sent: frame.bytes("bytes_sent", row)?,
            dirty_bytes_left: frame.bytes("dirty_bytes_left", row)?,
            rate: Bandwidth::from_bits_per_sec(frame.number("rate_bits_per_s", row)? as u64),
            throttle_percent: frame.number("throttle_percent", row)? as u32,
        };
        of_run(runs, run_of(frame, row)?).rounds.push(round);
    }
    Ok(())
}

/// The run that a row belongs to, whose makespan is not known yet.
fn run_of(frame: &Frame, row: usize) -> Result<RunRecord, String> {
    Ok(RunRecord {
        scenario: frame.text("scenario", row)?.into(),
        alternative: Some(frame.text("alternative", row)?).filter(|name| !name.is_empty()).map(Name::from),
        seed: frame.number("seed", row)? as u64,
        replication: frame.number("replication", row)? as u32,
        origin: frame.word("origin", row)?,
        makespan: Span::ZERO,
    })
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

fn seconds(count: f64) -> Result<Span, String> {
    let is_time = (0.0..=LONGEST).contains(&count);
    is_time.then(|| Span::from_secs_f64(count)).ok_or_else(|| format!("{count} s is no time of ours"))
}

/// A frame whose columns are asked for one value at a time.
struct Frame<'a> {
    frame: &'a DataFrame,
}

impl Frame<'_> {
    fn of(frame: &DataFrame) -> Frame<'_> {
        Frame { frame }
    }

    fn text(&self, column: &str, row: usize) -> Result<String, String> {
        let value = || -> PolarsResult<Option<String>> {
            Ok(self.cast(column, row, &DataType::String)?.str()?.get(0).map(str::to_string))
        };
        value().map(Option::unwrap_or_default).map_err(|error| error.to_string())
    }

    fn optional(&self, column: &str, row: usize) -> Result<Option<f64>, String> {
        let value =
            || -> PolarsResult<Option<f64>> { Ok(self.cast(column, row, &DataType::Float64)?.f64()?.get(0)) };
        value().map_err(|error| error.to_string())
    }

    fn number(&self, column: &str, row: usize) -> Result<f64, String> {
        let number = self.optional(column, row)?.unwrap_or(0.0);
        let good = number.is_finite() && number >= 0.0;
        good.then_some(number).ok_or_else(|| format!("row {}: `{column}` is {number}", row + 1))
    }

    fn bytes(&self, column: &str, row: usize) -> Result<Bytes, String> {
        Ok(Bytes::from_f64_floor(self.number(column, row)?))
    }

    /// One of the words that stand for an enum; the same as in the JSON.
    fn word<T: DeserializeOwned>(&self, column: &str, row: usize) -> Result<T, String> {
        let word = self.text(column, row)?;
        serde_json::from_value(serde_json::Value::String(word.clone()))
            .map_err(|_| format!("row {}: `{column}` is `{word}`, which is no word of ours", row + 1))
    }

    fn cast(&self, column: &str, row: usize, to: &DataType) -> PolarsResult<polars::prelude::Column> {
        self.frame.column(column)?.slice(row as i64, 1).cast(to)
    }
}
