//! The record of what never began: nothing but its names and its reason.

use sim_core::{Bytes, SimTime, Span};

use super::{MigrationRecord, Outcome};
use crate::ids::Name;
use crate::orchestrator::Declined;

/// The names behind a [`Declined`]'s numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclinedNames {
    /// The guest's.
    pub vm: Name,
    /// That of the host where it stays.
    pub source: Name,
    /// That of the host where it should have gone, if that was said.
    pub destination: Option<Name>,
    /// The transport's.
    pub transport: Name,
}

impl MigrationRecord {
    /// The record of a move that was asked for at `queued` and will not take place.
    pub fn never_begun(declined: &Declined, names: DeclinedNames, queued: SimTime) -> MigrationRecord {
        MigrationRecord {
            migration: declined.migration,
            vm: names.vm,
            source: names.source,
            destination: names.destination,
            kind: declined.kind,
            transport: names.transport,
            outcome: Outcome::NotStarted,
            reason: declined.reason.clone(),
            event_id: declined.refusal.as_ref().map(|refusal| refusal.event.id),
            queued,
            started: None,
            total: Span::ZERO,
            brownout: Span::ZERO,
            blackout: Span::ZERO,
            memory_bytes_sent: Bytes::ZERO,
            storage_bytes_sent: Bytes::ZERO,
            rounds: 0,
            transfer: None,
            impact: None,
            failure: None,
            why: None,
        }
    }
}
