//! The JSON for programs, version 2.
//!
//! The records say themselves how they are written (bytes are integers, times are seconds since the run began, rates
//! are bits per second). Added here are a version, each migration's rounds in their place below it, and what was
//! measured. Keys never change their meaning within a version; keys may be added. [`read_runs`] reads it back.

mod read;

use std::borrow::Cow;
use std::collections::BTreeMap;

use algorithms::ids::MigrationId;
use algorithms::records::{EventRecord, GuestRecord, MigrationRecord, RoundRecord, RunRecord, RunRecords};
use serde::{Deserialize, Serialize};

use crate::compare::Comparison;
use crate::error::ReportError;
pub use read::{are_records, read_runs};

/// The version of the JSON that [`run_json`] makes.
pub const SCHEMA: u32 = 2;

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunJson<'a> {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The run as a whole; its keys are the object's own.
    #[serde(flatten)]
    pub run: Cow<'a, RunRecord>,
    /// Every migration, by its number.
    pub migrations: Vec<MigrationJson<'a>>,
    /// The log.
    pub events: Cow<'a, [EventRecord]>,
    /// Where every guest was in the end; only in runs in which something could break.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    pub guests: Cow<'a, [GuestRecord]>,
    /// Planned beside measured; only where something was measured.
    #[serde(skip_serializing_if = "<[_]>::is_empty", skip_deserializing)]
    pub measured: &'a [Comparison],
}

/// One migration with its rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MigrationJson<'a> {
    /// The migration; its keys are the object's own.
    #[serde(flatten)]
    pub record: Cow<'a, MigrationRecord>,
    /// Its rounds in order.
    pub rounds: Vec<Cow<'a, RoundRecord>>,
}

/// Several runs.
#[derive(Serialize, Deserialize)]
struct RunsJson<'a> {
    schema: u32,
    runs: Vec<RunJson<'a>>,
}

/// The JSON of one run, with what was measured beside it (or an empty slice).
pub fn run_json<'a>(records: &'a RunRecords, measured: &'a [Comparison]) -> RunJson<'a> {
    let rounds = rounds_by_migration(records);
    RunJson {
        schema: SCHEMA,
        run: Cow::Borrowed(&records.run),
        migrations: records.migrations.iter().map(|record| migration_json(record, &rounds)).collect(),
        events: Cow::Borrowed(&records.events),
        guests: Cow::Borrowed(&records.guests),
        measured,
    }
}

/// The JSON text of several runs: the run itself where there is one, else
/// `{"schema":2,"runs":[…]}`. `measured` holds the comparisons of a run by its index.
pub fn json_text(
    runs: &[RunRecords],
    measured: &BTreeMap<usize, Vec<Comparison>>,
) -> Result<String, ReportError> {
    let comparisons = |index| measured.get(&index).map_or(&[][..], Vec::as_slice);
    let each = runs.iter().enumerate().map(|(index, run)| run_json(run, comparisons(index)));
    let mut each: Vec<RunJson> = each.collect();
    let text = match each.len() {
        1 => serde_json::to_string_pretty(&each.remove(0)),
        _ => serde_json::to_string_pretty(&RunsJson { schema: SCHEMA, runs: each }),
    };
    Ok(text?)
}

/// The rounds of each migration, in order.
pub(crate) type Rounds<'a> = BTreeMap<MigrationId, Vec<&'a RoundRecord>>;

pub(crate) fn rounds_by_migration(records: &RunRecords) -> Rounds<'_> {
    let mut rounds = Rounds::new();
    for round in &records.rounds {
        rounds.entry(round.migration).or_default().push(round);
    }
    rounds
}

pub(crate) fn migration_json<'a>(record: &'a MigrationRecord, rounds: &Rounds<'a>) -> MigrationJson<'a> {
    let rounds = rounds.get(&record.migration).into_iter().flatten();
    let rounds = rounds.map(|round| Cow::Borrowed(*round)).collect();
    MigrationJson { record: Cow::Borrowed(record), rounds }
}
