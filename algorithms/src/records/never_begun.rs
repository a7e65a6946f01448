//! The record of what never began: its names and its reason, and nothing sent.

use serde::{Deserialize, Serialize};
use sim_core::{Bytes, SimTime, Span};

use super::{EventKind, EventRecord, Level, MigrationKind, MigrationRecord, Outcome, Record, Whereabouts};
use crate::ids::{MigrationId, Name};
use crate::preflight::Refusal;

/// A move that was asked for and will not take place. Whoever finds that out makes one of these; there is no other
/// way to such a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeverBegun {
    /// Its number.
    pub migration: MigrationId,
    /// The VM.
    pub vm: Name,
    /// Where it stays.
    pub source: Name,
    /// Where it should have gone, if that was said.
    pub destination: Option<Name>,
    /// What was to be moved.
    pub kind: MigrationKind,
    /// Why not.
    pub reason: String,
    /// Where the VM is: at its source, unless that has died or it was stopped.
    pub whereabouts: Whereabouts,
    /// The event id that the hypervisor would log, where it logs one.
    pub event_id: Option<u32>,
    /// Of what a failover cluster was to move: what made it, how, and why to there.
    pub why: Option<Name>,
}

impl NeverBegun {
    /// Returns the record of the move, which was given up at `now`.
    pub fn record(self, now: SimTime) -> Record {
        Record::Migration(MigrationRecord {
            migration: self.migration,
            vm: self.vm,
            source: self.source,
            destination: self.destination,
            kind: self.kind,
            transport: None,
            outcome: Outcome::NotStarted,
            whereabouts: self.whereabouts,
            reason: self.reason,
            stop: None,
            event_id: self.event_id,
            queued: now,
            started: None,
            total: Span::ZERO,
            brownout: Span::ZERO,
            blackout: Span::ZERO,
            paused_by_others: false,
            memory_bytes_sent: Bytes::ZERO,
            storage_bytes_sent: Bytes::ZERO,
            disks: Vec::new(),
            rounds: 0,
            transfer: None,
            impact: None,
            failure: None,
            why: self.why,
        })
    }

    /// Returns the line of the log for it: an error where a prerequisite is not met, with what would help.
    pub fn event(&self, now: SimTime, refusal: Option<&Refusal>) -> Record {
        let level = if refusal.is_some() { Level::Error } else { Level::Warning };
        let event = EventRecord::new(now, level, format!("not moved: {}", self.reason));
        let event = event.of_kind(EventKind::NotMoved).of(self.migration, &self.vm).at(&self.source);
        Record::Event(event.with_id(self.event_id).with_advice(refusal.map(Into::into)))
    }
}
