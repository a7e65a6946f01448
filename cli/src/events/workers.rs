//! What the worker process of a guest logs when its migration is completed: the brownout (22508), the
//! blackout (22509) and the whole (22507), all of it from the migration's record.
//!
//! The log of a run leaves these out, for they say nothing that its records do not; an operator who
//! looks for them in the real log finds them here.

use algorithms::failures::catalogue::Logged;
use algorithms::records::{EventRecord, MigrationKind, MigrationRecord, Outcome, RoundPhase, RunRecords};
use models::cluster::ClusterModel;
use sim_core::Bytes;

/// Adds them to the log, in order of time, where the hosts run Hyper-V.
pub fn add(records: &mut RunRecords, model: &ClusterModel) {
    if !model.hypervisor.policy.logs_as_hyper_v() {
        return;
    }
    let moved = |record: &&MigrationRecord| {
        record.outcome == Outcome::Completed && record.kind != MigrationKind::Storage
    };
    let added: Vec<EventRecord> =
        records.migrations.iter().filter(moved).flat_map(|record| of(record, records)).collect();
    records.events.extend(added);
    // Stable: what was logged at the same time stays in its order.
    records.events.sort_by_key(|event| event.time);
}

fn of(record: &MigrationRecord, records: &RunRecords) -> [EventRecord; 3] {
    let mut rounds = records.rounds.iter().filter(|round| round.migration == record.migration);
    let last: Bytes = rounds
        .find(|round| round.phase == RoundPhase::StopAndCopy)
        .map_or(Bytes::ZERO, |round| round.bytes_sent);
    let end = record.started.unwrap_or(record.queued) + record.total;
    let event = |logged: Logged, message: String| {
        let event = EventRecord::information(end, message).of(record.migration, &record.vm);
        event.at(&record.source).with_id(Some(logged.event().id))
    };
    let MigrationRecord { brownout, blackout, memory_bytes_sent, rounds, total, .. } = record;
    [
        event(Logged::Brownout, format!("copied while it ran: {brownout}")),
        event(Logged::Blackout, format!("stood still: {blackout}, {last} of it sent then")),
        event(Logged::Summary, format!("moved in {total}: {memory_bytes_sent} in {rounds} rounds")),
    ]
}
