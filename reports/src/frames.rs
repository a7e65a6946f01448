//! Polars frames of the records, with the same columns for planned and actual.
//!
//! Runs stack: every frame begins with `scenario`, `alternative`, `seed`, `replication` and
//! `origin`, so that alternatives and replications can be grouped and compared in one frame. Units
//! stand in the names of the columns. A frame of nothing still has all its columns and types.

use std::collections::BTreeMap;

use algorithms::ids::{MigrationId, Name};
use algorithms::records::{
    EventRecord, MigrationRecord, PostCopyRecord, ResourceRecord, RoundRecord, RunRecord, RunRecords,
};
use polars::error::PolarsResult;
use polars::prelude::{Column, DataFrame, NamedFrom, Series};

use crate::error::ReportError;
use crate::words;

/// One row for each migration, whether it was completed or not.
///
/// `started_s` is null where it never began. Times are seconds since the run began. Columns are called as the keys of
/// the JSON are, `rounds` excepted, which is its `round_count`.
pub fn migrations(runs: &[RunRecords]) -> Result<DataFrame, ReportError> {
    let rows = Rows::of(runs, |run| run.migrations.iter());
    let columns = vec![
        rows.column("migration", |row: &MigrationRecord| row.migration.0),
        rows.column("vm", |row| row.vm.to_string()),
        rows.column("source", |row| row.source.to_string()),
        rows.column("destination", |row| text(&row.destination)),
        rows.column("kind", |row| words::kind(row.kind)),
        rows.column("transport", |row| text(&row.transport)),
        rows.column("outcome", |row| words::outcome(row.outcome)),
        rows.column("whereabouts", |row| words::whereabouts(row.whereabouts)),
        rows.column("reason", |row| row.reason.clone()),
        rows.column("stop", |row| row.stop.map(words::stop)),
        rows.column("event_id", |row| row.event_id),
        rows.column("queued_s", |row| row.queued.as_secs_f64()),
        rows.column("started_s", |row| row.started.map(|time| time.as_secs_f64())),
        rows.column("total_s", |row| row.total.as_secs_f64()),
        rows.column("brownout_s", |row| row.brownout.as_secs_f64()),
        rows.column("blackout_s", |row| row.blackout.as_secs_f64()),
        rows.column("paused_by_others", |row| row.paused_by_others),
        rows.column("memory_bytes_sent", |row| row.memory_bytes_sent.get()),
        rows.column("storage_bytes_sent", |row| row.storage_bytes_sent.get()),
        rows.column("disk_names", disk_names),
        rows.column("rounds", |row| row.rounds),
        rows.column("bottleneck", |row| row.transfer.as_ref().and_then(|each| text(&each.bottleneck))),
        rows.column("bottleneck_share", |row| row.transfer.as_ref().map(|each| each.bottleneck_share)),
        rows.column("source_core_s", |row| row.transfer.as_ref().map(|each| each.source_core_seconds)),
        rows.column("destination_core_s", |row| {
            row.transfer.as_ref().map(|each| each.destination_core_seconds)
        }),
        rows.column("wire_bytes", |row| row.transfer.as_ref().map(|each| each.wire_bytes.get())),
        rows.column("compressed_share", |row| row.transfer.as_ref().and_then(|each| each.compressed_share)),
        rows.column("slow_down", |row| row.impact.as_ref().map(|each| each.slow_down)),
        rows.column("throttle_max_percent", |row| row.impact.as_ref().map(|each| each.throttle_max_percent)),
        rows.column("lost_s", |row| row.impact.as_ref().map(|each| each.lost.as_secs_f64())),
        rows.column("post_copy_s", |row| post_copy(row).map(|each| each.duration.as_secs_f64())),
        rows.column("post_copy_faults", |row| post_copy(row).map(|each| each.faults)),
        rows.column("post_copy_waited_s", |row| post_copy(row).map(|each| each.waited.as_secs_f64())),
        rows.column("failed_at", |row| row.failure.as_ref().map(|each| words::failure_point(each.point))),
        rows.column("failure_category", |row| {
            row.failure.as_ref().and_then(|each| Some(each.advice.as_ref()?.category.name()))
        }),
        rows.column("why", |row| text(&row.why)),
    ];
    rows.frame("migrations", columns)
}

/// One row for each round of each migration.
pub fn rounds(runs: &[RunRecords]) -> Result<DataFrame, ReportError> {
    let rows = Rows::of(runs, |run| {
        let names = names_of(run);
        run.rounds.iter().map(move |round| (names.get(&round.migration).copied(), round))
    });
    let columns = vec![
        rows.column("migration", |(_, row): (Option<&Name>, &RoundRecord)| row.migration.0),
        rows.column("vm", |(vm, _)| vm.map(|name| name.to_string())),
        rows.column("round", |(_, row)| row.round),
        rows.column("phase", |(_, row)| words::phase(row.phase)),
        rows.column("start_s", |(_, row)| row.start.as_secs_f64()),
        rows.column("duration_s", |(_, row)| row.duration.as_secs_f64()),
        rows.column("bytes_sent", |(_, row)| row.bytes_sent.get()),
        rows.column("dirty_bytes_left", |(_, row)| row.dirty_bytes_left.get()),
        rows.column("rate_bits_per_s", |(_, row)| row.rate.bits_per_sec()),
        rows.column("throttle_percent", |(_, row)| row.throttle_percent),
    ];
    rows.frame("rounds", columns)
}

/// One row for each interval of each metered resource, in long form.
///
/// `time_s` is where the interval begins, `interval_s` its length. `used` and `capacity` are in the
/// unit that `unit` names: bits per second for a link, cores for a CPU.
pub fn resources(runs: &[RunRecords]) -> Result<DataFrame, ReportError> {
    let rows = Rows::of(runs, |run| {
        run.resources
            .iter()
            .flat_map(|resource| resource.used.iter().enumerate().map(move |sample| (resource, sample)))
    });
    let columns = vec![
        rows.column("resource", |(row, _): Sample| row.resource.to_string()),
        rows.column("kind", |(row, _)| words::resource_kind(row.kind)),
        rows.column("unit", |(row, _)| words::resource_unit(row.kind)),
        rows.column("time_s", |(row, (index, _))| row.interval.as_secs_f64() * index as f64),
        rows.column("interval_s", |(row, _)| row.interval.as_secs_f64()),
        rows.column("used", |(_, (_, used))| *used),
        rows.column("capacity", |(row, _)| row.capacity),
    ];
    rows.frame("resources", columns)
}

/// One row for each line of the log.
pub fn events(runs: &[RunRecords]) -> Result<DataFrame, ReportError> {
    let rows = Rows::of(runs, |run| run.events.iter());
    let columns = vec![
        rows.column("time_s", |row: &EventRecord| row.time.as_secs_f64()),
        rows.column("level", |row| words::level(row.level)),
        rows.column("kind", |row| words::event_kind(row.kind)),
        rows.column("event_id", |row| row.event_id),
        rows.column("migration", |row| row.migration.map(|id| id.0)),
        rows.column("vm", |row| text(&row.vm)),
        rows.column("host", |row| text(&row.host)),
        rows.column("message", |row| row.message.clone()),
    ];
    rows.frame("events", columns)
}

/// One interval of one resource: its number and the mean use in it.
type Sample<'a> = (&'a ResourceRecord, (usize, &'a f64));

/// The rows of a frame, each with the run that it comes from.
struct Rows<'a, T> {
    rows: Vec<(&'a RunRecord, T)>,
}

impl<'a, T: Copy> Rows<'a, T> {
    fn of<I: Iterator<Item = T>>(runs: &'a [RunRecords], rows_of: impl Fn(&'a RunRecords) -> I) -> Self {
        let rows = runs.iter().flat_map(|run| rows_of(run).map(|row| (&run.run, row)));
        Rows { rows: rows.collect() }
    }

    fn column<V, P: ?Sized>(&self, name: &str, value: impl Fn(T) -> V) -> Column
    where
        Series: NamedFrom<Vec<V>, P>,
    {
        Column::new(name.into(), self.rows.iter().map(|(_, row)| value(*row)).collect::<Vec<V>>())
    }

    fn run_column<V, P: ?Sized>(&self, name: &str, value: impl Fn(&'a RunRecord) -> V) -> Column
    where
        Series: NamedFrom<Vec<V>, P>,
    {
        Column::new(name.into(), self.rows.iter().map(|(run, _)| value(run)).collect::<Vec<V>>())
    }

    fn frame(&self, frame: &'static str, columns: Vec<Column>) -> Result<DataFrame, ReportError> {
        self.stack(columns).map_err(|source| ReportError::Frame { frame, source })
    }

    fn stack(&self, columns: Vec<Column>) -> PolarsResult<DataFrame> {
        let mut all = vec![
            self.run_column("scenario", |run| run.scenario.to_string()),
            self.run_column("alternative", |run| text(&run.alternative)),
            self.run_column("seed", |run| run.seed),
            self.run_column("replication", |run| run.replication),
            self.run_column("origin", |run| words::origin(run.origin)),
        ];
        all.extend(columns);
        DataFrame::new(self.rows.len(), all)
    }
}

fn text(name: &Option<Name>) -> Option<String> {
    name.as_ref().map(|name| name.to_string())
}

/// The disks that moved or were to move, in their order; null where there were none.
fn disk_names(record: &MigrationRecord) -> Option<String> {
    let names: Vec<&str> = record.disks.iter().map(|disk| &*disk.name).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn post_copy(record: &MigrationRecord) -> Option<&PostCopyRecord> {
    record.impact.as_ref()?.post_copy.as_ref()
}

fn names_of(run: &RunRecords) -> BTreeMap<MigrationId, &Name> {
    run.migrations.iter().map(|record| (record.migration, &record.vm)).collect()
}
