//! The records of many migrations, each counted from its own beginning, as those of one run.

use algorithms::drain_plan::DrainPlan;
use algorithms::ids::{MigrationId, Name};
use algorithms::records::{MigrationRecord, Record, RecordCollector, RunRecords};
use sim_core::{SimTime, Span};

use crate::client::actual_run;

/// What has come so far.
pub(super) struct Gathered {
    scenario: Name,
    /// When each attempt began; its place is its number in the records.
    began: Vec<SimTime>,
    records: RecordCollector,
    /// Of what was never attempted.
    never_begun: Vec<MigrationRecord>,
}

impl Gathered {
    pub(super) fn new(plan: &DrainPlan) -> Gathered {
        Gathered {
            scenario: plan.scenario.clone(),
            began: Vec::new(),
            records: RecordCollector::default(),
            never_begun: Vec::new(),
        }
    }

    /// An attempt begins; its place comes back.
    pub(super) fn begin(&mut self, now: SimTime) -> usize {
        self.began.push(now);
        self.began.len() - 1
    }

    /// Keeps a record of the operation itself, whose migrations are numbered by the plan, not by
    /// attempts: an event keeps its guest's name, and no number; what was never attempted is numbered after all
    /// that was.
    pub(super) fn keep(&mut self, record: Record) {
        match record {
            Record::Event(mut event) => {
                event.migration = None;
                self.records.keep(Record::Event(event));
            }
            Record::Migration(migration) => self.never_begun.push(migration),
            other => self.records.keep(other),
        }
    }

    /// Keeps a record of an attempt, told in the run's time and under the attempt's number.
    pub(super) fn keep_of(&mut self, place: usize, record: Record) -> Record {
        let began = self.began.get(place).map_or(Span::ZERO, |began| *began - SimTime::ZERO);
        let number = MigrationId(place as u32);
        let record = match record {
            Record::Round(mut round) => {
                (round.migration, round.start) = (number, round.start + began);
                Record::Round(round)
            }
            Record::Migration(mut migration) => {
                migration.migration = number;
                migration.queued += began;
                migration.started = migration.started.map(|started| started + began);
                Record::Migration(migration)
            }
            Record::Event(mut event) => {
                event.migration = Some(number);
                event.time += began;
                Record::Event(event)
            }
            Record::Resource(resource) => Record::Resource(resource),
        };
        self.records.keep(record.clone());
        record
    }

    /// All as the records of one run.
    pub(super) fn into_records(mut self) -> RunRecords {
        for (migration, number) in self.never_begun.into_iter().zip(self.began.len() as u32..) {
            self.records
                .keep(Record::Migration(MigrationRecord { migration: MigrationId(number), ..migration }));
        }
        actual_run(self.scenario, self.records)
    }
}
