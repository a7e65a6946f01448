//! Collects the records of a run as they come.

use algorithms::ids::MigrationId;
use algorithms::records::{
    EventRecord, GuestRecord, MigrationRecord, Record, ResourceRecord, RoundRecord, RunRecord, RunRecords,
};

#[derive(Default)]
pub(super) struct Log {
    migrations: Vec<Option<MigrationRecord>>,
    rounds: Vec<RoundRecord>,
    resources: Vec<ResourceRecord>,
    events: Vec<EventRecord>,
}

impl Log {
    pub(super) fn keep(&mut self, record: Record) {
        match record {
            Record::Round(round) => self.rounds.push(round),
            Record::Migration(migration) => self.keep_migration(migration),
            Record::Event(event) => self.events.push(event),
            Record::Resource(resource) => self.resources.push(resource),
        }
    }

    pub(super) fn records(mut self, run: RunRecord, guests: Vec<GuestRecord>) -> RunRecords {
        let asked_for = self.migrations.len();
        let migrations: Vec<_> = std::mem::take(&mut self.migrations).into_iter().flatten().collect();
        assert_eq!(migrations.len(), asked_for, "every migration that was asked for leaves a record");
        let Log { rounds, resources, events, .. } = self;
        RunRecords { run, migrations, rounds, resources, events, guests }
    }

    fn keep_migration(&mut self, record: MigrationRecord) {
        let MigrationId(number) = record.migration;
        let index = number as usize;
        if self.migrations.len() <= index {
            self.migrations.resize(index + 1, None);
        }
        let earlier = self.migrations[index].replace(record);
        assert!(earlier.is_none(), "migration {number} ended twice");
    }
}
