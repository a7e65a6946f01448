//! What an operation leaves of guests that it does not move: a record each, so that planned and actual can
//! be set side by side.

use sim_core::SimTime;

use super::Operation;
use crate::drain_plan::PlannedStay;
use crate::ids::{HostId, MigrationId, Name, VmId};
use crate::orchestrator::Declined;
use crate::records::{DeclinedNames, MigrationKind, MigrationRecord, Record};

impl Operation {
    /// Guests that the plan says will stay. They are numbered after its moves.
    pub(super) fn record_stays(&mut self, now: SimTime) {
        let stays: Vec<PlannedStay> = self.plan.stays.clone();
        for (stay, number) in stays.into_iter().zip(self.plan.moves.len() as u32..) {
            let vm = self.plan.inventory.guests.iter().position(|guest| guest.name == stay.vm);
            let declined = Declined {
                migration: MigrationId(number),
                vm: VmId(vm.unwrap_or_default() as u32),
                source: self.drained(),
                destination: None,
                kind: MigrationKind::Live,
                reason: stay.reason,
                refusal: None,
            };
            let names = self.names(stay.vm, None);
            let mut record = MigrationRecord::never_begun(&declined, names, now);
            record.event_id = stay.event_id;
            self.outbox.record(Record::Migration(record));
        }
    }

    /// A planned guest that was not started, and is not tried any more.
    pub(super) fn record_not_started(&mut self, now: SimTime, migration: MigrationId, reason: &str) {
        let planned = &self.plan.moves[migration.index()];
        let (vm, destination) = (planned.vm.clone(), planned.destination.clone());
        let place = self.plan.inventory.guests.iter().position(|guest| guest.name == vm);
        let declined = Declined {
            migration,
            vm: VmId(place.unwrap_or_default() as u32),
            source: self.drained(),
            destination: None,
            kind: planned.kind,
            reason: reason.into(),
            refusal: None,
        };
        self.record_declined(now, &declined, vm, Some(destination));
    }

    /// The orchestrator does not start it.
    pub(super) fn record_refused(&mut self, now: SimTime, declined: &Declined) {
        let planned = &self.plan.moves[declined.migration.index()];
        let (vm, destination) = (planned.vm.clone(), planned.destination.clone());
        self.record_declined(now, declined, vm, Some(destination));
    }

    fn record_declined(&mut self, now: SimTime, declined: &Declined, vm: Name, destination: Option<Name>) {
        let record = MigrationRecord::never_begun(declined, self.names(vm, destination), now);
        self.outbox.record(Record::Migration(record));
    }

    fn names(&self, vm: Name, destination: Option<Name>) -> DeclinedNames {
        // By what it would have gone is for who drives to say; it never came to that.
        DeclinedNames { vm, source: self.plan.host.clone(), destination, transport: "tcp".into() }
    }

    fn drained(&self) -> HostId {
        let place = self.plan.inventory.hosts.iter().position(|host| host.name == self.plan.host);
        HostId(place.unwrap_or_default() as u32)
    }
}
