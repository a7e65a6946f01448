//! Records as they come, put together as those of one run.

use sim_core::{SimTime, Span};

use super::{
    EventRecord, GuestRecord, MigrationRecord, Record, ResourceRecord, RoundRecord, RunRecord, RunRecords,
};
use crate::ids::MigrationId;

/// Collects the records of a run, simulated or real. Nothing else makes [`RunRecords`] of a stream.
#[derive(Debug, Clone, Default)]
pub struct RecordCollector {
    /// By number.
    migrations: Vec<Option<MigrationRecord>>,
    rounds: Vec<RoundRecord>,
    resources: Vec<ResourceRecord>,
    events: Vec<EventRecord>,
}

impl RecordCollector {
    /// Keeps a record.
    ///
    /// # Panics
    ///
    /// Where a migration has two records: whatever numbers migrations gives each its own number.
    pub fn keep(&mut self, record: Record) {
        match record {
            Record::Round(round) => self.rounds.push(round),
            Record::Migration(migration) => self.keep_migration(migration),
            Record::Event(event) => self.events.push(event),
            Record::Resource(resource) => self.resources.push(resource),
        }
    }

    /// Returns how long it took until the last migration had ended.
    pub fn makespan(&self) -> Span {
        let end = |record: &MigrationRecord| Some(record.started? + record.total);
        let last = self.migrations.iter().flatten().filter_map(end).max();
        last.map_or(Span::ZERO, |end| end - SimTime::ZERO)
    }

    /// Returns the numbers below the highest seen of which no migration has left a record.
    pub fn missing(&self) -> impl Iterator<Item = MigrationId> + '_ {
        let missing = |(number, record): (u32, &Option<MigrationRecord>)| {
            record.is_none().then_some(MigrationId(number))
        };
        (0..).zip(&self.migrations).filter_map(missing)
    }

    /// Returns all records as those of `run`: migrations by number, rounds in the order in which they ended, events
    /// in order of time.
    pub fn finish(mut self, run: RunRecord, guests: Vec<GuestRecord>) -> RunRecords {
        // Stable: what happened at one time stays in the order in which it came.
        self.rounds.sort_by_key(|round| round.start + round.duration);
        self.events.sort_by_key(|event| event.time);
        let migrations = self.migrations.into_iter().flatten().collect();
        RunRecords {
            run,
            migrations,
            rounds: self.rounds,
            resources: self.resources,
            events: self.events,
            guests,
        }
    }

    fn keep_migration(&mut self, record: MigrationRecord) {
        let index = record.migration.index();
        if self.migrations.len() <= index {
            self.migrations.resize(index + 1, None);
        }
        let number = record.migration.0;
        let earlier = self.migrations[index].replace(record);
        assert!(earlier.is_none(), "migration {number} has ended twice");
    }
}

impl FromIterator<Record> for RecordCollector {
    fn from_iter<I: IntoIterator<Item = Record>>(records: I) -> RecordCollector {
        let mut collector = RecordCollector::default();
        records.into_iter().for_each(|record| collector.keep(record));
        collector
    }
}
