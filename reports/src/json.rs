//! The JSON for programs, version 1.
//!
//! Keys never change their meaning within a version; keys may be added. Bytes are integers, times
//! are seconds since the run began, rates are bits per second. [`read_runs`] reads it back.

mod read;

use std::borrow::Cow;
use std::collections::BTreeMap;

use algorithms::failures::FailureRecord;
use algorithms::ids::MigrationId;
use algorithms::records::{
    Advice, EventRecord, GuestRecord, ImpactRecord, Level, MigrationKind, MigrationRecord, Origin, Outcome,
    RoundPhase, RoundRecord, RunRecords, TransferRecord,
};
use serde::{Deserialize, Serialize};

use crate::compare::Comparison;
use crate::error::ReportError;
pub use read::{are_records, read_runs};

/// The version of the JSON that [`run_json`] makes.
pub const SCHEMA: u32 = 1;

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunJson<'a> {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The scenario's name.
    pub scenario: Cow<'a, str>,
    /// The alternative within it, where it has several.
    pub alternative: Option<Cow<'a, str>>,
    /// The seed of every random stream.
    pub seed: u64,
    /// Which replication under that seed, from 0.
    pub replication: u32,
    /// Planned or actual.
    pub origin: Origin,
    /// A whole plan's time in seconds.
    pub makespan_s: f64,
    /// Every migration, by its number.
    pub migrations: Vec<MigrationJson<'a>>,
    /// The log.
    pub events: Vec<EventJson<'a>>,
    /// Where every guest was in the end; only in runs in which something could break.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    pub guests: Cow<'a, [GuestRecord]>,
    /// Planned beside measured; only where something was measured.
    #[serde(skip_serializing_if = "<[_]>::is_empty", skip_deserializing)]
    pub measured: &'a [Comparison],
}

/// One migration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MigrationJson<'a> {
    /// The guest.
    pub vm: Cow<'a, str>,
    /// Where it ran before.
    pub source: Cow<'a, str>,
    /// Where it was to go; null where no place was found.
    pub destination: Option<Cow<'a, str>>,
    /// What was moved, and how.
    pub kind: MigrationKind,
    /// The transport's name.
    pub transport: Cow<'a, str>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it ended so.
    pub reason: Cow<'a, str>,
    /// The event id that the hypervisor would log.
    pub event_id: Option<u32>,
    /// When it was asked for.
    pub queued_s: f64,
    /// When it began; null where it never did.
    pub started_s: Option<f64>,
    /// From its beginning to its end.
    pub total_s: f64,
    /// Total time before the pause.
    pub brownout_s: f64,
    /// The pause.
    pub blackout_s: f64,
    /// Memory sent, all rounds together.
    pub memory_bytes_sent: u64,
    /// Disk content sent.
    pub storage_bytes_sent: u64,
    /// What sending took, and what held it back; absent where the driver cannot tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer: Option<TransferJson<'a>>,
    /// What it did to the guest; absent where the driver cannot tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub impact: Option<ImpactJson>,
    /// How far it had come when it failed, where that left the guest, and what would help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Cow<'a, FailureRecord>>,
    /// Of what a failover cluster moves: what made it move, how, and why to there; absent else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<Cow<'a, str>>,
    /// Its rounds in order.
    pub rounds: Vec<RoundJson>,
}

/// What sending a migration's memory took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TransferJson<'a> {
    /// What held it back for most of its sending time; null where nothing was sent.
    pub bottleneck: Option<Cow<'a, str>>,
    /// The share of its sending time for which that was so.
    pub bottleneck_share: f64,
    /// Processor time at the source.
    pub source_core_s: f64,
    /// Processor time at the destination.
    pub destination_core_s: f64,
    /// Bytes on the wire, headers included, after compression.
    pub wire_bytes: u64,
    /// The share of the memory that was compressed; null where the transport does not compress.
    pub compressed_share: Option<f64>,
}

/// What a migration did to its guest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImpactJson {
    /// The share of its speed that the guest lost before the pause, from 0 to 1.
    pub slow_down: f64,
    /// The most that it was throttled, in percent.
    pub throttle_max_percent: u32,
    /// Work lost in all, in seconds of undisturbed running.
    pub lost_s: f64,
    /// After it was handed over before its memory; absent where it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post_copy: Option<PostCopyJson>,
}

/// The guest at the destination while its memory follows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PostCopyJson {
    /// Until the last page was there.
    pub duration_s: f64,
    /// Pages that it touched before they had come.
    pub faults: u64,
    /// Time in which it waited for them.
    pub waited_s: f64,
}

/// One round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoundJson {
    /// From 1.
    pub round: u32,
    /// Whether the guest ran meanwhile.
    pub phase: RoundPhase,
    /// When it began.
    pub start_s: f64,
    /// How long it took.
    pub duration_s: f64,
    /// Memory sent in it.
    pub bytes_sent: u64,
    /// What was dirty when it ended.
    pub dirty_bytes_left: u64,
    /// Its mean rate.
    pub rate_bits_per_s: u64,
    /// For which share of its time the guest's processors were kept from running, in percent.
    #[serde(default)]
    pub throttle_percent: u32,
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventJson<'a> {
    /// When.
    pub time_s: f64,
    /// How bad.
    pub level: Level,
    /// The id under which the hypervisor would log it.
    pub event_id: Option<u32>,
    /// The guest concerned.
    pub vm: Option<Cow<'a, str>>,
    /// The host concerned.
    pub host: Option<Cow<'a, str>>,
    /// What happened.
    pub message: Cow<'a, str>,
    /// Of a failure: its category, likely cause, and the command that would mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<Cow<'a, Advice>>,
}

/// The JSON of one run, with what was measured beside it (or an empty slice).
pub fn run_json<'a>(records: &'a RunRecords, measured: &'a [Comparison]) -> RunJson<'a> {
    let rounds = rounds_by_migration(records);
    let run = &records.run;
    RunJson {
        schema: SCHEMA,
        scenario: Cow::Borrowed(&run.scenario),
        alternative: run.alternative.as_deref().map(Cow::Borrowed),
        seed: run.seed,
        replication: run.replication,
        origin: run.origin,
        makespan_s: run.makespan.as_secs_f64(),
        migrations: records.migrations.iter().map(|record| migration_json(record, &rounds)).collect(),
        events: records.events.iter().map(event_json).collect(),
        guests: Cow::Borrowed(&records.guests),
        measured,
    }
}

/// The JSON text of several runs: the run itself where there is one, else
/// `{"schema":1,"runs":[…]}`. `measured` holds the comparisons of a run by its index.
pub fn json_text(
    runs: &[RunRecords],
    measured: &BTreeMap<usize, Vec<Comparison>>,
) -> Result<String, ReportError> {
    #[derive(Serialize)]
    struct Runs<'a> {
        schema: u32,
        runs: Vec<RunJson<'a>>,
    }
    let comparisons = |index| measured.get(&index).map_or(&[][..], Vec::as_slice);
    let each = runs.iter().enumerate().map(|(index, run)| run_json(run, comparisons(index)));
    let mut each: Vec<RunJson> = each.collect();
    let text = match each.len() {
        1 => serde_json::to_string_pretty(&each.remove(0)),
        _ => serde_json::to_string_pretty(&Runs { schema: SCHEMA, runs: each }),
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

pub(crate) fn migration_json<'a>(record: &'a MigrationRecord, rounds: &Rounds) -> MigrationJson<'a> {
    let rounds = rounds.get(&record.migration).into_iter().flatten();
    MigrationJson {
        vm: Cow::Borrowed(&record.vm),
        source: Cow::Borrowed(&record.source),
        destination: record.destination.as_deref().map(Cow::Borrowed),
        kind: record.kind,
        transport: Cow::Borrowed(&record.transport),
        outcome: record.outcome,
        reason: Cow::Borrowed(&record.reason),
        event_id: record.event_id,
        queued_s: record.queued.as_secs_f64(),
        started_s: record.started.map(|time| time.as_secs_f64()),
        total_s: record.total.as_secs_f64(),
        brownout_s: record.brownout.as_secs_f64(),
        blackout_s: record.blackout.as_secs_f64(),
        memory_bytes_sent: record.memory_bytes_sent.get(),
        storage_bytes_sent: record.storage_bytes_sent.get(),
        transfer: record.transfer.as_deref().map(transfer_json),
        impact: record.impact.as_deref().map(impact_json),
        failure: record.failure.as_deref().map(Cow::Borrowed),
        why: record.why.as_deref().map(Cow::Borrowed),
        rounds: rounds.map(|round| round_json(round)).collect(),
    }
}

fn impact_json(record: &ImpactRecord) -> ImpactJson {
    let post_copy = record.post_copy.map(|post_copy| PostCopyJson {
        duration_s: post_copy.duration.as_secs_f64(),
        faults: post_copy.faults,
        waited_s: post_copy.waited.as_secs_f64(),
    });
    ImpactJson {
        slow_down: record.slow_down,
        throttle_max_percent: record.throttle_max_percent,
        lost_s: record.lost.as_secs_f64(),
        post_copy,
    }
}

fn transfer_json(record: &TransferRecord) -> TransferJson<'_> {
    TransferJson {
        bottleneck: record.bottleneck.as_deref().map(Cow::Borrowed),
        bottleneck_share: record.bottleneck_share,
        source_core_s: record.source_core_seconds,
        destination_core_s: record.destination_core_seconds,
        wire_bytes: record.wire_bytes.get(),
        compressed_share: record.compressed_share,
    }
}

fn round_json(record: &RoundRecord) -> RoundJson {
    RoundJson {
        round: record.round,
        phase: record.phase,
        start_s: record.start.as_secs_f64(),
        duration_s: record.duration.as_secs_f64(),
        bytes_sent: record.bytes_sent.get(),
        dirty_bytes_left: record.dirty_bytes_left.get(),
        rate_bits_per_s: record.rate.bits_per_sec(),
        throttle_percent: record.throttle_percent,
    }
}

fn event_json(record: &EventRecord) -> EventJson<'_> {
    EventJson {
        time_s: record.time.as_secs_f64(),
        level: record.level,
        event_id: record.event_id,
        vm: record.vm.as_deref().map(Cow::Borrowed),
        host: record.host.as_deref().map(Cow::Borrowed),
        message: Cow::Borrowed(&record.message),
        advice: record.advice.as_deref().map(Cow::Borrowed),
    }
}
