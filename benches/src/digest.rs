//! Digests of what runs leave, so that a change of the code can show that no record says anything else.
//!
//! ```text
//!   RunRecords ─▶ one text for each kind of record ─▶ SHA-256 of it, its first 8 bytes ─▶ a line of benches/digests.txt
//! ```
//!
//! The text is written here by hand, field by field, in words of its own. It is not what serde makes of the
//! types: those may change shape, and what the records say must not. So a new field alters no digest, and a
//! changed message alters the column of events only.
//!
//! A record is a line of `name=value` pairs with `|` between them. Times are nanoseconds, sizes are bytes, and
//! fractions are the bits of their `f64`, since a digest has no tolerance. The digests hold for one platform:
//! `exp` and `ln` may differ in the last bit on another.

pub mod listing;
mod row;

use std::fmt;

use algorithms::failures::catalogue::Evidence;
use algorithms::failures::{FailurePoint, FailureRecord};
use algorithms::records::{
    Advice, EventRecord, GuestRecord, ImpactRecord, Level, MigrationKind, MigrationRecord, Origin, Outcome,
    Power, ResourceKind, ResourceRecord, RoundPhase, RoundRecord, RunRecord, RunRecords, TransferRecord,
    Whereabouts,
};
use row::Row;
use sha2::{Digest, Sha256};

/// What the columns digest, in their order.
pub const COLUMNS: [&str; 6] = ["run", "migrations", "rounds", "resources", "events", "guests"];

/// The digests of one run's records, one for each of [`COLUMNS`]; `None` where there is no such record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digests(pub [Option<u64>; COLUMNS.len()]);

impl Digests {
    /// Digests the records of a run.
    pub fn of(records: &RunRecords) -> Digests {
        Digests(texts(records).map(|text| (!text.is_empty()).then(|| digest(&text))))
    }
}

impl fmt::Display for Digests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, digest) in self.0.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            match digest {
                Some(digest) => write!(f, "{space}{digest:016x}")?,
                None => write!(f, "{space}{:16}", "-")?,
            }
        }
        Ok(())
    }
}

/// The first 8 bytes of the SHA-256 of `text`.
fn digest(text: &str) -> u64 {
    Sha256::digest(text).iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// What is digested: the text of each of [`COLUMNS`].
pub fn texts(records: &RunRecords) -> [String; COLUMNS.len()] {
    [
        run(&records.run),
        records.migrations.iter().map(migration).collect(),
        records.rounds.iter().map(round).collect(),
        records.resources.iter().map(resource).collect(),
        records.events.iter().map(event).collect(),
        records.guests.iter().map(guest).collect(),
    ]
}

fn run(record: &RunRecord) -> String {
    let origin = match record.origin {
        Origin::Planned => "planned",
        Origin::Actual => "actual",
    };
    Row::default()
        .with("scenario", &record.scenario)
        .with_some("alternative", record.alternative.as_ref())
        .with("seed", record.seed)
        .with("replication", record.replication)
        .with("origin", origin)
        .with("makespan", record.makespan.as_nanos())
        .end()
}

fn migration(record: &MigrationRecord) -> String {
    let row = Row::default()
        .with("id", record.migration.0)
        .with("vm", &record.vm)
        .with("source", &record.source)
        .with_some("destination", record.destination.as_ref())
        .with("kind", kind(record.kind))
        .with_some("transport", record.transport.as_ref())
        .with("outcome", outcome(record.outcome))
        .with("reason", &record.reason)
        .with_some("event_id", record.event_id)
        .with("queued", record.queued.as_nanos())
        .with_some("started", record.started.map(|started| started.as_nanos()))
        .with("total", record.total.as_nanos())
        .with("brownout", record.brownout.as_nanos())
        .with("blackout", record.blackout.as_nanos())
        .with("memory_bytes", record.memory_bytes_sent.get())
        .with("storage_bytes", record.storage_bytes_sent.get())
        .with("rounds", record.rounds);
    let row = with_transfer(row, record.transfer.as_deref());
    let row = with_impact(row, record.impact.as_deref());
    let row = with_failure(row, record.failure.as_deref(), record.whereabouts);
    row.with_some("why", record.why.as_ref()).end()
}

fn kind(kind: MigrationKind) -> &'static str {
    match kind {
        MigrationKind::Live => "live",
        MigrationKind::Storage => "storage",
        MigrationKind::SharedNothing => "shared-nothing",
        MigrationKind::Quick => "quick",
        MigrationKind::Stop => "stop",
        MigrationKind::Start => "start",
    }
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Completed => "completed",
        Outcome::Cancelled => "cancelled",
        Outcome::Failed => "failed",
        Outcome::Lost => "lost",
        Outcome::NotStarted => "not started",
    }
}

fn with_transfer(row: Row, transfer: Option<&TransferRecord>) -> Row {
    let Some(transfer) = transfer else { return row.without("transfer") };
    row.with_some("transfer.bottleneck", transfer.bottleneck.as_ref())
        .with_bits("transfer.bottleneck_share", [transfer.bottleneck_share])
        .with_bits("transfer.source_core_seconds", [transfer.source_core_seconds])
        .with_bits("transfer.destination_core_seconds", [transfer.destination_core_seconds])
        .with("transfer.wire_bytes", transfer.wire_bytes.get())
        .with_bits("transfer.compressed_share", transfer.compressed_share)
}

fn with_impact(row: Row, impact: Option<&ImpactRecord>) -> Row {
    let Some(impact) = impact else { return row.without("impact") };
    let row = row
        .with_bits("impact.slow_down", [impact.slow_down])
        .with("impact.throttle_max_percent", impact.throttle_max_percent)
        .with("impact.lost", impact.lost.as_nanos());
    let Some(post_copy) = impact.post_copy else { return row.without("post_copy") };
    row.with("post_copy.duration", post_copy.duration.as_nanos())
        .with("post_copy.faults", post_copy.faults)
        .with("post_copy.waited", post_copy.waited.as_nanos())
}

fn with_failure(row: Row, failure: Option<&FailureRecord>, whereabouts: Whereabouts) -> Row {
    let Some(failure) = failure else { return row.without("failure") };
    let point = match failure.point {
        FailurePoint::Preparation => "preparation".to_owned(),
        FailurePoint::Disks => "disks".to_owned(),
        FailurePoint::Round(round) => format!("round {round}"),
        FailurePoint::Pause => "pause".to_owned(),
        FailurePoint::CleanUp => "clean-up".to_owned(),
    };
    let guest = match whereabouts {
        Whereabouts::AtSource => "at the source",
        Whereabouts::AtDestination => "at the destination",
        Whereabouts::Off => "off",
        Whereabouts::InDoubt => "in doubt",
    };
    let evidence = failure.evidence.map(|evidence| match evidence {
        Evidence::Documented => "documented",
        Evidence::Reported => "reported",
        Evidence::Unverified => "unverified",
    });
    let row =
        row.with("failure.point", point).with("failure.guest", guest).with_some("failure.evidence", evidence);
    with_advice(row, failure.advice.as_ref())
}

fn with_advice(row: Row, advice: Option<&Advice>) -> Row {
    let Some(advice) = advice else { return row.without("advice") };
    row.with("advice.category", advice.category.name())
        .with("advice.cause", &advice.cause)
        .with("advice.fix", &advice.fix)
}

fn round(record: &RoundRecord) -> String {
    let phase = match record.phase {
        RoundPhase::PreCopy => "pre-copy",
        RoundPhase::StopAndCopy => "stop-and-copy",
        RoundPhase::PostCopy => "post-copy",
    };
    Row::default()
        .with("migration", record.migration.0)
        .with("round", record.round)
        .with("phase", phase)
        .with("start", record.start.as_nanos())
        .with("duration", record.duration.as_nanos())
        .with("bytes", record.bytes_sent.get())
        .with("dirty", record.dirty_bytes_left.get())
        .with("rate", record.rate.bits_per_sec())
        .with("throttle_percent", record.throttle_percent)
        .end()
}

fn resource(record: &ResourceRecord) -> String {
    let kind = match record.kind {
        ResourceKind::Link => "link",
        ResourceKind::Cpu => "cpu",
        ResourceKind::Disk => "disk",
        ResourceKind::Iops => "iops",
    };
    Row::default()
        .with("resource", &record.resource)
        .with("kind", kind)
        .with_bits("capacity", [record.capacity])
        .with("interval", record.interval.as_nanos())
        .with_bits("used", record.used.iter().copied())
        .end()
}

fn event(record: &EventRecord) -> String {
    let level = match record.level {
        Level::Information => "information",
        Level::Warning => "warning",
        Level::Error => "error",
    };
    let row = Row::default()
        .with("time", record.time.as_nanos())
        .with("level", level)
        .with_some("id", record.event_id)
        .with_some("migration", record.migration.map(|migration| migration.0))
        .with_some("vm", record.vm.as_ref())
        .with_some("host", record.host.as_ref())
        .with("message", &record.message);
    with_advice(row, record.advice.as_deref()).end()
}

fn guest(record: &GuestRecord) -> String {
    let power = match record.power {
        Power::Running => "running",
        Power::Off => "off",
    };
    Row::default().with("vm", &record.vm).with("host", &record.host).with("power", power).end()
}

#[cfg(test)]
mod tests {
    use algorithms::ids::MigrationId;
    use models::world::{RunOptions, simulate};
    use sim_core::{Bytes, SimTime, Span};

    use super::*;

    /// The records of a move to a host that dies: there are some of every kind.
    fn records() -> RunRecords {
        let text = r#"(
            hosts: [(name: "host{1..2}", memory: "64 GiB")],
            vms: [(name: "vm", host: "host1", memory: "8 GiB", workload: "web")],
            faults: [(vm: "vm", step: HandOver, fault: DestinationDies)],
            plan: [Move(vm: "vm", to: "host2")],
        )"#;
        let scenario = scenarios::parse(text, "digest.ron").unwrap();
        simulate(&scenario.runs[0].model, &RunOptions::default()).unwrap()
    }

    /// The columns that differ after a change of the records.
    fn changed(change: impl FnOnce(&mut RunRecords)) -> Vec<&'static str> {
        let mut records = records();
        let before = Digests::of(&records);
        assert!(before.0.iter().all(Option::is_some), "a column is empty: {before}");
        change(&mut records);
        let after = Digests::of(&records);
        let differs = |column: &usize| before.0[*column] != after.0[*column];
        (0..COLUMNS.len()).filter(differs).map(|column| COLUMNS[column]).collect()
    }

    #[test]
    fn the_same_run_has_the_same_digests() {
        assert_eq!(changed(|_| ()), Vec::<&str>::new());
        assert_eq!(Digests::of(&records()), Digests::of(&records()));
    }

    #[test]
    fn a_changed_time_alters_only_its_column() {
        let nanosecond = Span::from_nanos(1);
        assert_eq!(changed(|records| records.run.makespan += nanosecond), ["run"]);
        assert_eq!(changed(|records| records.migrations[0].total += nanosecond), ["migrations"]);
        assert_eq!(changed(|records| records.rounds[0].duration += nanosecond), ["rounds"]);
        assert_eq!(changed(|records| records.resources[0].interval += nanosecond), ["resources"]);
        assert_eq!(changed(|records| records.events[0].time = SimTime::MAX), ["events"]);
    }

    #[test]
    fn what_a_record_says_alters_only_its_column() {
        assert_eq!(changed(|records| records.migrations[0].reason.push('.')), ["migrations"]);
        assert_eq!(changed(|records| records.migrations[0].started = None), ["migrations"]);
        assert_eq!(changed(|records| records.rounds[0].bytes_sent = Bytes::new(1)), ["rounds"]);
        assert_eq!(changed(|records| records.resources[0].used[0] += 1e-9), ["resources"]);
        assert_eq!(changed(|records| records.events[0].message.push('.')), ["events"]);
        assert_eq!(changed(|records| records.guests[0].host = "elsewhere".into()), ["guests"]);
        let failure = |records: &mut RunRecords| {
            records.migrations[0].whereabouts = Whereabouts::Off;
        };
        assert_eq!(changed(failure), ["migrations"]);
    }

    #[test]
    fn order_and_number_of_records_count() {
        assert_eq!(changed(|records| records.events.swap(0, 1)), ["events"]);
        assert_eq!(changed(|records| records.migrations[0].migration = MigrationId(7)), ["migrations"]);
        assert_eq!(changed(|records| records.guests.clear()), ["guests"]);
    }

    #[test]
    fn a_digest_is_printed_in_16_digits_and_an_empty_column_as_a_dash() {
        let digests = Digests([Some(0xab), None, None, None, None, Some(digest(""))]);
        let columns: Vec<String> = digests.to_string().split_whitespace().map(str::to_owned).collect();
        assert_eq!(columns, ["00000000000000ab", "-", "-", "-", "-", "e3b0c44298fc1c14"]);
    }
}
