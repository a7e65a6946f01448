//! Records from their JSON: what `records.json` and `--format json` hold, taken back.
//!
//! The use of resources is not in the JSON, and so not in the records that come of it. Anything else
//! is, to the nanosecond; rounds that ended at one time come in the order of their migrations. The text may come from
//! anywhere: whatever is wrong with it is an error with its line and column.

use algorithms::records::{MigrationRecord, RoundRecord, RunRecords};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{MigrationJson, RunJson, RunsJson, SCHEMA};
use crate::error::ReportError;

/// Which of the two shapes a text has.
#[derive(Deserialize)]
struct Shape {
    schema: u32,
    runs: Option<IgnoredAny>,
}

/// Whether a text is meant to hold our records, whether or not it does: JSON with a version, and with runs or
/// a scenario's migrations.
pub fn are_records(text: &str) -> bool {
    #[derive(Deserialize)]
    struct Marks {
        schema: Option<IgnoredAny>,
        runs: Option<IgnoredAny>,
        scenario: Option<IgnoredAny>,
        migrations: Option<IgnoredAny>,
    }
    serde_json::from_str::<Marks>(text).is_ok_and(|marks| {
        marks.schema.is_some()
            && (marks.runs.is_some() || (marks.scenario.is_some() && marks.migrations.is_some()))
    })
}

/// The runs in a JSON text of version 2, in their order.
///
/// # Errors
///
/// [`ReportError::NotRecords`] where the text is no such JSON, [`ReportError::OlderRecords`] or
/// [`ReportError::NewerRecords`] where it is of another version.
pub fn read_runs(text: &str) -> Result<Vec<RunRecords>, ReportError> {
    let shape: Shape = serde_json::from_str(text).map_err(not_records)?;
    check_version(shape.schema)?;
    let runs = match shape.runs {
        Some(_) => serde_json::from_str::<RunsJson>(text).map_err(not_records)?.runs,
        None => vec![serde_json::from_str::<RunJson>(text).map_err(not_records)?],
    };
    let runs: Result<_, _> = runs.into_iter().map(records).collect();
    runs.map_err(|what| ReportError::NotRecords { what })
}

fn check_version(found: u32) -> Result<(), ReportError> {
    match found {
        SCHEMA => Ok(()),
        older if older < SCHEMA => Err(ReportError::OlderRecords { found }),
        _ => Err(ReportError::NewerRecords { found }),
    }
}

fn not_records(error: serde_json::Error) -> ReportError {
    ReportError::NotRecords { what: error.to_string() }
}

fn records(run: RunJson) -> Result<RunRecords, String> {
    check_version(run.schema).map_err(|error| error.to_string())?;
    let (migrations, rounds) = migrations_and_rounds(run.migrations)?;
    Ok(RunRecords {
        run: run.run.into_owned(),
        migrations,
        rounds,
        resources: Vec::new(),
        events: run.events.into_owned(),
        guests: run.guests.into_owned(),
    })
}

/// Migrations are told apart by their numbers, so that each must have its own.
fn migrations_and_rounds(
    all: Vec<MigrationJson>,
) -> Result<(Vec<MigrationRecord>, Vec<RoundRecord>), String> {
    let (mut migrations, mut rounds) = (Vec::<MigrationRecord>::with_capacity(all.len()), Vec::new());
    for MigrationJson { record, rounds: of_this } in all {
        let number = record.migration.0;
        if let Some(before) = migrations.last().filter(|before| before.migration >= record.migration) {
            let before = before.migration.0;
            return Err(format!("migration {number} comes after migration {before}; numbers must increase"));
        }
        if let Some(stray) = of_this.iter().find(|round| round.migration != record.migration) {
            let (round, other) = (stray.round, stray.migration.0);
            return Err(format!(
                "round {round} below migration {number} says that it is of migration {other}"
            ));
        }
        migrations.push(record.into_owned());
        rounds.extend(of_this.into_iter().map(|round| round.into_owned()));
    }
    // In the order in which they ended, as drivers leave them.
    rounds.sort_by_key(|round: &RoundRecord| round.start + round.duration);
    Ok((migrations, rounds))
}
