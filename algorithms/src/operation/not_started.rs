//! What an operation leaves of guests that it does not move: a record each, so that planned and actual can
//! be set side by side.

use sim_core::SimTime;

use super::Operation;
use crate::ids::MigrationId;
use crate::records::{MigrationKind, NeverBegun, Whereabouts};

impl Operation {
    /// Guests that the plan says will stay. They are numbered after its moves.
    pub(super) fn record_stays(&mut self, now: SimTime) {
        for (stay, number) in self.plan.stays.iter().zip(self.plan.moves.len() as u32..) {
            let never = NeverBegun {
                migration: MigrationId(number),
                vm: stay.vm.clone(),
                source: self.plan.host.clone(),
                destination: None,
                kind: MigrationKind::Live,
                reason: stay.reason.clone(),
                whereabouts: Whereabouts::AtSource,
                event_id: stay.event_id,
                why: None,
            };
            self.outbox.record(never.record(now));
        }
    }

    /// A planned guest that was not started, and is not tried any more.
    pub(super) fn record_not_started(&mut self, now: SimTime, migration: MigrationId, reason: &str) {
        let Some(each) = self.under_way.get(&migration) else { return };
        let never = each.order.never_begun(reason.into());
        self.outbox.record(never.event(now, None));
        self.outbox.record(never.record(now));
    }

    /// No planned guest is started: the orchestrator was never told to begin.
    pub(super) fn record_none_begun(&mut self, now: SimTime, reason: &str) {
        for (planned, number) in self.plan.moves.iter().zip(0..) {
            let never = NeverBegun {
                migration: MigrationId(number),
                vm: planned.vm.clone(),
                source: self.plan.host.clone(),
                destination: Some(planned.destination.clone()),
                kind: planned.kind,
                reason: reason.into(),
                whereabouts: Whereabouts::AtSource,
                event_id: None,
                why: None,
            };
            self.outbox.record(never.event(now, None));
            self.outbox.record(never.record(now));
        }
    }
}
