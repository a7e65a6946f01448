//! Records from their JSON: what `records.json` and `--format json` hold, taken back.
//!
//! The use of resources is not in the JSON, and so not in the records that come of it. Anything else
//! is, to the nanosecond. The text may come from anywhere: whatever is wrong with it is an error with
//! its line and column.

use std::borrow::Cow;

use algorithms::ids::{MigrationId, Name};
use algorithms::records::{
    EventRecord, ImpactRecord, MigrationRecord, PostCopyRecord, RoundRecord, RunRecord, RunRecords,
    TransferRecord,
};
use serde::Deserialize;
use serde::de::IgnoredAny;
use sim_core::{Bandwidth, Bytes, SimTime, Span};

use super::{EventJson, ImpactJson, MigrationJson, RoundJson, RunJson, SCHEMA, TransferJson};
use crate::error::ReportError;

/// Which of the two shapes a text has.
#[derive(Deserialize)]
struct Shape {
    schema: u32,
    runs: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Runs<'a> {
    #[serde(borrow)]
    runs: Vec<RunJson<'a>>,
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

/// The runs in a JSON text of version 1, in their order; migrations are numbered by their places.
///
/// # Errors
///
/// [`ReportError::NotRecords`] where the text is no such JSON, or of another version.
pub fn read_runs(text: &str) -> Result<Vec<RunRecords>, ReportError> {
    let shape: Shape = serde_json::from_str(text).map_err(not_records)?;
    if shape.schema != SCHEMA {
        let found = shape.schema;
        let what = format!("its version is {found}, and this migtwin reads version {SCHEMA}");
        return Err(ReportError::NotRecords { what });
    }
    let runs = match shape.runs {
        Some(_) => serde_json::from_str::<Runs>(text).map_err(not_records)?.runs,
        None => vec![serde_json::from_str::<RunJson>(text).map_err(not_records)?],
    };
    Ok(runs.into_iter().map(records).collect())
}

fn not_records(error: serde_json::Error) -> ReportError {
    ReportError::NotRecords { what: error.to_string() }
}

fn records(run: RunJson) -> RunRecords {
    let mut rounds = Vec::new();
    let mut migrations = Vec::with_capacity(run.migrations.len());
    for (mut migration, number) in run.migrations.into_iter().zip(0..) {
        let id = MigrationId(number);
        let of_this = std::mem::take(&mut migration.rounds);
        migrations.push(migration_record(id, migration, of_this.len()));
        rounds.extend(of_this.iter().map(|round| round_record(id, round)));
    }
    // In the order in which they ended, as drivers leave them.
    rounds.sort_by_key(|round: &RoundRecord| round.start + round.duration);
    RunRecords {
        run: RunRecord {
            scenario: name(run.scenario),
            alternative: run.alternative.map(name),
            seed: run.seed,
            replication: run.replication,
            origin: run.origin,
            makespan: span(run.makespan_s),
        },
        migrations,
        rounds,
        resources: Vec::new(),
        events: run.events.into_iter().map(event_record).collect(),
        guests: run.guests.into_owned(),
    }
}

fn migration_record(migration: MigrationId, json: MigrationJson, rounds: usize) -> MigrationRecord {
    MigrationRecord {
        migration,
        vm: name(json.vm),
        source: name(json.source),
        destination: json.destination.map(name),
        kind: json.kind,
        transport: name(json.transport),
        outcome: json.outcome,
        reason: json.reason.into_owned(),
        event_id: json.event_id,
        queued: time(json.queued_s),
        started: json.started_s.map(time),
        total: span(json.total_s),
        brownout: span(json.brownout_s),
        blackout: span(json.blackout_s),
        memory_bytes_sent: Bytes::new(json.memory_bytes_sent),
        storage_bytes_sent: Bytes::new(json.storage_bytes_sent),
        rounds: rounds as u32,
        transfer: json.transfer.map(|transfer| Box::new(transfer_record(transfer))),
        paused_by_others: false,
        impact: json.impact.map(|impact| Box::new(impact_record(&impact))),
        failure: json.failure.map(|failure| Box::new(failure.into_owned())),
        why: json.why.map(name),
    }
}

fn impact_record(json: &ImpactJson) -> ImpactRecord {
    let post_copy = json.post_copy.as_ref().map(|post_copy| PostCopyRecord {
        duration: span(post_copy.duration_s),
        faults: post_copy.faults,
        waited: span(post_copy.waited_s),
    });
    ImpactRecord {
        slow_down: json.slow_down,
        throttle_max_percent: json.throttle_max_percent,
        lost: span(json.lost_s),
        post_copy,
    }
}

fn transfer_record(json: TransferJson) -> TransferRecord {
    TransferRecord {
        bottleneck: json.bottleneck.map(name),
        bottleneck_share: json.bottleneck_share,
        source_core_seconds: json.source_core_s,
        destination_core_seconds: json.destination_core_s,
        wire_bytes: Bytes::new(json.wire_bytes),
        compressed_share: json.compressed_share,
    }
}

fn round_record(migration: MigrationId, json: &RoundJson) -> RoundRecord {
    RoundRecord {
        migration,
        round: json.round,
        phase: json.phase,
        start: time(json.start_s),
        duration: span(json.duration_s),
        bytes_sent: Bytes::new(json.bytes_sent),
        dirty_bytes_left: Bytes::new(json.dirty_bytes_left),
        rate: Bandwidth::from_bits_per_sec(json.rate_bits_per_s),
        throttle_percent: json.throttle_percent,
    }
}

/// Which migration an event belongs to is not in the JSON; guest and host are.
fn event_record(json: EventJson) -> EventRecord {
    EventRecord {
        time: time(json.time_s),
        level: json.level,
        event_id: json.event_id,
        migration: None,
        vm: json.vm.map(name),
        host: json.host.map(name),
        message: json.message.into_owned(),
        advice: json.advice.map(|advice| Box::new(advice.into_owned())),
    }
}

fn name(text: Cow<str>) -> Name {
    Name::from(&*text)
}

fn time(seconds: f64) -> SimTime {
    SimTime::from_nanos(span(seconds).as_nanos())
}

/// A hundred years at most, so that sums of times stay in range whatever the text says.
fn span(seconds: f64) -> Span {
    const HUNDRED_YEARS: f64 = 100.0 * 365.25 * 86_400.0;
    Span::from_secs_f64(seconds.min(HUNDRED_YEARS))
}
