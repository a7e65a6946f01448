//! Roles that go offline and come online: what the commands of a quick migration cost.
//!
//! A saved state is written to the device of the guest's first disk, where its configuration is taken to be,
//! and read from there; it shares that device with everything else. Without disks, nothing is known of the
//! device, and [`UNKNOWN_STORAGE_BYTES_PER_SEC`] stands for it.

use std::convert::Infallible;

use algorithms::ids::{HostId, MigrationId, VmId};
use algorithms::machine::{Host, Settled, settle};
use algorithms::orchestrator::{self, Assignment};
use algorithms::quick_migration::{QuickCommand, QuickInput, QuickMigration, QuickOrder};
use algorithms::records::{MigrationKind, Outcome, Record};
use sim_core::{ActivityId, Bytes, Demand, EventKey, SimTime, Span};

use super::storing::{COPY_BLOCK, DISK_CORE_SECONDS_PER_GB, LOCAL_COPY_BYTES_PER_SEC, Uses, take};
use super::way::BYTES_PER_GB;
use super::{Event, World};

/// What the storage of a guest without known disks reads and writes. Assumption.
const UNKNOWN_STORAGE_BYTES_PER_SEC: f64 = 1e9;

/// A role on its way.
pub(super) struct Quick {
    machine: QuickMigration,
    side: QuickSide,
}

/// Its host side.
struct QuickSide {
    assignment: Assignment,
    going: Going,
}

/// What goes on just now.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Going {
    Nothing,
    /// A step of a fixed time, and what it comes to.
    Step(EventKey, Then),
    /// The saved state is on its way to or from its storage.
    State(ActivityId, Then),
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Then {
    /// The guest stands still, and its state is written.
    Write(Bytes),
    /// The guest is offline.
    Offline,
    /// Its state is read, and it goes on.
    Resume,
    /// The guest runs at the destination.
    Online,
}

/// Which way a saved state goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    ToStorage,
    FromStorage,
}

impl World<'_> {
    /// A role goes offline or comes online: its machine is made, told to begin, and followed.
    pub(super) fn start_quick(&mut self, assignment: Assignment, order: QuickOrder) {
        let side = QuickSide { assignment, going: Going::Nothing };
        self.follow_quick(Box::new(Quick { machine: QuickMigration::new(order), side }), QuickInput::Begin);
    }

    /// A step has taken its time, or a saved state is across.
    pub(super) fn quick_step_done(&mut self, migration: MigrationId) {
        let Some(mut quick) = self.quicks.remove(&migration) else { return };
        let (Going::Step(_, then) | Going::State(_, then)) = quick.side.going else { return };
        quick.side.going = Going::Nothing;
        match self.come_to(&mut quick.side, then) {
            Some(input) => self.follow_quick(quick, input),
            None => _ = self.quicks.insert(migration, quick),
        }
    }

    /// Quick migrations from a host that has died, or to it, are given up.
    pub(super) fn cancel_quicks_at(&mut self, host: HostId, reason: &str) {
        let ends =
            |quick: &Quick| quick.side.assignment.source == host || quick.side.assignment.destination == host;
        let concerned: Vec<MigrationId> =
            self.quicks.iter().filter(|(_, quick)| ends(quick)).map(|(migration, _)| *migration).collect();
        for migration in concerned {
            self.cancel_quick(migration, reason);
        }
    }

    pub(super) fn cancel_quick(&mut self, migration: MigrationId, reason: &str) {
        if let Some(quick) = self.quicks.remove(&migration) {
            self.follow_quick(quick, QuickInput::Cancel { reason: reason.to_string() });
        }
    }

    /// Hands `input` to the machine and does what it wants, until it waits or has ended.
    fn follow_quick(&mut self, mut quick: Box<Quick>, input: QuickInput) {
        let migration = quick.side.assignment.migration;
        let (now, Quick { machine, side }) = (self.now, &mut *quick);
        let Ok(settled) = settle(machine, now, input, &mut Sides { world: self, side });
        match settled {
            Settled::Wait(_) => _ = self.quicks.insert(migration, quick),
            Settled::Done(outcome) => self.quick_ended(migration, outcome),
        }
    }

    fn quick_ended(&mut self, migration: MigrationId, outcome: Outcome) {
        self.last_end = self.now;
        self.tell_orchestrator(orchestrator::Input::Ended { migration, outcome });
    }

    fn carry_out_quick(&mut self, quick: &mut QuickSide, command: QuickCommand) -> Option<QuickInput> {
        let (timing, settings) = (self.model.hypervisor.timing, self.model.failover.settings);
        match command {
            QuickCommand::Save { bytes } => self.spend_on_quick(quick, timing.pause, Then::Write(bytes)),
            QuickCommand::ShutDown => self.spend_on_quick(quick, settings.shut_down, Then::Offline),
            QuickCommand::TurnOff => self.come_to(quick, Then::Offline),
            QuickCommand::Restore { bytes } => {
                self.begin_state(quick, bytes, Way::FromStorage, Then::Resume);
                None
            }
            QuickCommand::Boot => self.spend_on_quick(quick, settings.boot, Then::Online),
            QuickCommand::Undo => {
                match quick.going {
                    Going::Step(key, _) => _ = self.queue.cancel(key),
                    Going::State(activity, _) => {
                        self.owners[activity.slot()] = None;
                        self.fluid.cancel(self.now, activity);
                    }
                    Going::Nothing => {}
                }
                quick.going = Going::Nothing;
                // What was to be started goes on being offline.
                if quick.assignment.kind != MigrationKind::Start {
                    self.resume_guest_io(quick.assignment.vm);
                }
                Some(QuickInput::Undone)
            }
        }
    }

    fn spend_on_quick(&mut self, quick: &mut QuickSide, span: Span, then: Then) -> Option<QuickInput> {
        if span == Span::ZERO {
            return self.come_to(quick, then);
        }
        let key = self.queue.schedule(self.now + span, Event::Quick(quick.assignment.migration));
        quick.going = Going::Step(key, then);
        None
    }

    fn come_to(&mut self, quick: &mut QuickSide, then: Then) -> Option<QuickInput> {
        let vm = quick.assignment.vm;
        match then {
            Then::Write(bytes) => {
                self.pause_guest_io(vm);
                self.begin_state(quick, bytes, Way::ToStorage, Then::Offline);
                None
            }
            Then::Offline => {
                self.pause_guest_io(vm);
                Some(QuickInput::Offline)
            }
            Then::Resume => self.spend_on_quick(quick, self.model.hypervisor.timing.resume, Then::Online),
            Then::Online => {
                self.runs_again(vm);
                self.resume_guest_io(vm);
                Some(QuickInput::Online)
            }
        }
    }

    fn begin_state(&mut self, quick: &mut QuickSide, bytes: Bytes, way: Way, then: Then) {
        let Assignment { migration, vm, source, destination, .. } = quick.assignment;
        let host = if way == Way::ToStorage { source } else { destination };
        let (uses, cap) = self.state_load(vm, host, way);
        let activity = self.fluid.start(self.now, bytes.as_f64(), &Demand { uses: &uses, weight: 1.0, cap });
        self.own(activity, migration);
        quick.going = Going::State(activity, then);
    }

    /// What a byte of a saved state takes, and how fast it goes at most.
    fn state_load(&self, vm: VmId, host: HostId, way: Way) -> (Uses, f64) {
        let mut uses = Uses::new();
        let cap = match self.storing.first_location(vm) {
            None => UNKNOWN_STORAGE_BYTES_PER_SEC,
            Some(at) if way == Way::ToStorage => {
                self.storing.writes(at, COPY_BLOCK, &mut uses);
                LOCAL_COPY_BYTES_PER_SEC
            }
            Some(at) => {
                self.storing.reads(at, COPY_BLOCK, &mut uses);
                LOCAL_COPY_BYTES_PER_SEC
            }
        };
        if self.fabric.has_processors() {
            take(&mut uses, Some(self.fabric.cpu(host)), DISK_CORE_SECONDS_PER_GB / BYTES_PER_GB);
        }
        (uses, cap)
    }
}

/// The modelled hosts of one quick migration.
struct Sides<'a, 'm> {
    world: &'a mut World<'m>,
    side: &'a mut QuickSide,
}

impl Host<QuickMigration> for Sides<'_, '_> {
    type Error = Infallible;

    fn carry_out(&mut self, _: SimTime, command: QuickCommand) -> Result<Option<QuickInput>, Infallible> {
        Ok(self.world.carry_out_quick(self.side, command))
    }

    fn record(&mut self, record: Record) {
        self.world.log.keep(record);
    }
}
