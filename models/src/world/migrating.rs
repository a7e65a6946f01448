//! What a migration's commands cost, and when they are answered.

use std::convert::Infallible;

use algorithms::controller::{Command, Input, LoopOwner, MigrationController};
use algorithms::ids::MigrationId;
use algorithms::machine::{Host, Refused, Settled, settle};
use algorithms::orchestrator::{self, Assignment, DiskMove, MigrationRules, MoveOrder};
use algorithms::page_loop::{Opening, PageCommand, PageInput};
use algorithms::records::{EventRecord, Outcome, Record, Whereabouts};
use algorithms::storage_mirror::{MirrorCommand, MirrorInput};
use sim_core::{Bandwidth, Bytes, EventKey, SimTime, Span};

use super::failing::Watched;
use super::guest::GuestUnderWay;
use super::sending::{Account, Flow};
use super::way::Way;
use super::{Event, World};

/// The host side of a migration under way.
pub(super) struct Migrating {
    pub(super) assignment: Assignment,
    pub(super) way: Way,
    pub(super) account: Account,
    /// The disks that move too.
    pub(super) disks: Vec<DiskMove>,
    pub(super) guest: GuestUnderWay,
    /// What takes its time just now.
    pub(super) step: Option<Pending>,
    /// What can be seen of the network from here, and how far it has come.
    pub(super) state: Watched,
    pub(super) sending: Sending,
    /// When the controller is to be told the time.
    tick: SimTime,
}

impl Migrating {
    /// What is on its way, in bytes of the stream.
    pub(super) fn on_its_way(&self) -> Bytes {
        match self.sending {
            Sending::Flowing(flow) | Sending::Disk(flow) => flow.bytes,
            Sending::Opening { bytes, .. } => bytes,
            Sending::Nothing => Bytes::ZERO,
        }
    }
}

/// A step under way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pending {
    pub(super) key: EventKey,
    pub(super) due: SimTime,
    pub(super) step: Step,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Sending {
    Nothing,
    /// The first byte is on its way.
    Opening {
        bytes: Bytes,
        limit: Option<Bandwidth>,
    },
    Flowing(Flow),
    /// A disk's content is on its way.
    Disk(Flow),
}

/// A step that takes a fixed time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The destination is ready.
    Prepared,
    /// The first byte of a round has arrived; the others follow.
    Opened,
    /// The guest stands still.
    Paused,
    /// The guest runs at the destination.
    Resumed,
    /// The source is cleaned up.
    Finished,
}

impl Step {
    /// Whether it needs both hosts, so that it stands still while nothing comes through between them.
    pub(super) fn crosses_the_network(self) -> bool {
        match self {
            Step::Prepared | Step::Opened | Step::Resumed => true,
            Step::Paused | Step::Finished => false,
        }
    }
}

impl World<'_> {
    /// A migration begins: its controller is made, told to begin, and followed.
    pub(super) fn start(&mut self, order: Box<MoveOrder>) {
        if let Some(quick) = order.quick_migration() {
            return self.start_quick(order.assignment, quick);
        }
        let assignment = order.assignment;
        let way = self.way(&assignment);
        self.say_how(&order, &way);
        let rules = MigrationRules {
            transport: way.name.clone(),
            policy: self.model.hypervisor.policy.clone(),
            deadline: self.model.hypervisor.deadline,
            page_loop: LoopOwner::Own,
        };
        let controller = MigrationController::new(order.migration(rules));
        let migrating = Migrating {
            way,
            account: Account::default(),
            disks: order.disks,
            assignment,
            guest: self.guest_under_way(&assignment),
            step: None,
            state: Watched::default(),
            sending: Sending::Nothing,
            tick: SimTime::MAX,
        };
        let slots = self.migrations.len().max(assignment.migration.index() + 1);
        self.migrations.resize_with(slots, || None);
        self.controllers.resize_with(slots, || None);
        self.controllers[assignment.migration.index()] = Some(Box::new(controller));
        self.begin_watched(Box::new(migrating));
    }

    /// Hands `input` to a migration, if it is still under way.
    pub(super) fn tell(&mut self, migration: MigrationId, input: Input) {
        if let Some(migrating) = self.migrations[migration.index()].take() {
            self.follow(migrating, Some(input));
        }
    }

    /// A step of a migration has taken its time.
    pub(super) fn step_done(&mut self, migration: MigrationId, step: Step) {
        if let Some(mut migrating) = self.migrations[migration.index()].take() {
            migrating.step = None;
            let input = self.take_step(&mut migrating, step);
            self.follow(migrating, input);
        }
    }

    /// The bytes of a round, or of a slice of it, are across.
    pub(super) fn round_sent(&mut self, migration: MigrationId) {
        if let Some(mut migrating) = self.migrations[migration.index()].take() {
            let input = match migrating.sending {
                Sending::Disk(_) => Input::Storage(MirrorInput::Copied),
                _ => Input::Page(self.memory_sent(&mut migrating)),
            };
            self.end_flow(&mut migrating);
            self.follow(migrating, Some(input));
        }
    }

    /// Hands `input`, if any, to the controller and does what it wants, until it waits or has ended.
    ///
    /// A command that takes no time is answered at once; the others are answered by events.
    pub(super) fn follow(&mut self, mut migrating: Box<Migrating>, input: Option<Input>) {
        let index = migrating.assignment.migration.index();
        let Some(input) = input else {
            self.migrations[index] = Some(migrating);
            return;
        };
        let Some(mut controller) = self.controllers[index].take() else { return };
        let now = self.now;
        let mut side = Side { world: self, migrating: &mut migrating };
        let Ok(settled) = settle(&mut *controller, now, input, &mut side);
        match settled {
            Settled::Wait(until) => {
                self.wake(&mut migrating, until);
                self.controllers[index] = Some(controller);
                self.migrations[index] = Some(migrating);
            }
            Settled::Done(outcome) => self.ended(&migrating, outcome),
        }
    }

    /// Keeps a record; a migration's own with what its sending took.
    fn keep(&mut self, migrating: &Migrating, record: Record) {
        self.log.keep(match record {
            Record::Migration(mut record) => {
                record.transfer = Some(Box::new(self.transfer_record(migrating)));
                record.impact = self.impact(migrating, &record).map(Box::new);
                Record::Migration(record)
            }
            other => other,
        });
    }

    /// Where the way is not the one that was asked for, the log says why.
    fn say_how(&mut self, order: &MoveOrder, way: &Way) {
        if let Some(message) = way.said.clone() {
            let event = EventRecord::information(self.now, message);
            let event = event.of(order.assignment.migration, &order.vm).at(&order.source);
            self.log.keep(Record::Event(event));
        }
    }

    fn ended(&mut self, migrating: &Migrating, outcome: Outcome) {
        let migration = migrating.assignment.migration;
        self.last_end = self.now;
        self.end_compressing(migrating.assignment.source, migration);
        self.tell_orchestrator(orchestrator::Input::Ended { migration, outcome });
    }

    /// Begins what a command asks for; its answer, where that takes no time.
    fn carry_out(&mut self, migrating: &mut Migrating, command: Command) -> Option<Input> {
        let timing = self.model.hypervisor.timing;
        if self.failing.is_some()
            && let Some(broken) = self.watch(migrating, command)
        {
            return Some(broken);
        }
        match command {
            Command::Prepare => {
                let span = self.preparation(&migrating.assignment);
                self.spend(migrating, span, Step::Prepared)
            }
            Command::Page(PageCommand::Send { bytes, limit, opening }) => {
                let bytes = self.take_pages(migrating, bytes, opening);
                migrating.sending = Sending::Opening { bytes, limit };
                let span = match opening {
                    Opening::Round | Opening::PostCopy => migrating.way.latency,
                    Opening::Slice => Span::ZERO,
                };
                self.spend(migrating, span, Step::Opened)
            }
            Command::Page(PageCommand::Throttle { percent }) => {
                migrating.guest.throttle(self.now, percent);
                None
            }
            Command::Page(PageCommand::Count { unsent }) => Some(self.count(migrating, unsent)),
            Command::Page(PageCommand::Pause) => self.spend(migrating, timing.pause, Step::Paused),
            Command::Page(PageCommand::Resume) => self.spend(migrating, timing.resume, Step::Resumed),
            Command::Loop(_) => unreachable!("the simulated page loop is our own"),
            Command::Storage(MirrorCommand::Copy { disk, bytes }) => {
                self.copy_disk(migrating, disk, bytes);
                None
            }
            Command::Storage(MirrorCommand::SwitchOver) => {
                self.switch_over(migrating.assignment.vm);
                Some(Input::Storage(MirrorInput::SwitchedOver))
            }
            Command::EndMirror => Some(self.end_mirror(migrating)),
            // Modelled hosts hand over in one step and never say that they are ready.
            Command::Commit => Some(Input::Page(PageInput::Resumed)),
            Command::Finish => self.spend(migrating, timing.finish, Step::Finished),
            Command::Abort => Some(self.abort(migrating)),
        }
    }

    fn spend(&mut self, migrating: &mut Migrating, span: Span, step: Step) -> Option<Input> {
        if migrating.state.holds(span, step) {
            return None;
        }
        if span == Span::ZERO && !migrating.state.is_aimed_at() {
            return self.take_step(migrating, step);
        }
        self.schedule_step(migrating, span, step);
        None
    }

    pub(super) fn schedule_step(&mut self, migrating: &mut Migrating, span: Span, step: Step) {
        let due = self.now + span;
        let key = self.queue.schedule(due, Event::Step(migrating.assignment.migration, step));
        migrating.step = Some(Pending { key, due, step });
    }

    /// A step's time is over: what that means to the controller.
    fn take_step(&mut self, migrating: &mut Migrating, step: Step) -> Option<Input> {
        if self.failing.is_some()
            && let Some(broken) = self.breaks(migrating, step)
        {
            return Some(broken);
        }
        match step {
            Step::Prepared => {
                migrating.guest.begin(self.now);
                Some(Input::Prepared)
            }
            Step::Opened => {
                self.begin_flow(migrating);
                None
            }
            Step::Paused => {
                self.pause_guest_io(migrating.assignment.vm);
                migrating.guest.pause(self.now);
                Some(Input::Page(PageInput::Paused))
            }
            Step::Resumed => {
                self.switch_over(migrating.assignment.vm);
                Some(Input::Page(PageInput::Resumed))
            }
            Step::Finished => Some(Input::Finished),
        }
    }

    /// How long a migration prepares, waiting for its turn at both hosts included.
    fn preparation(&mut self, assignment: &Assignment) -> Span {
        let timing = self.model.hypervisor.timing;
        let ends = [assignment.source.index(), assignment.destination.index()];
        let turn = ends.into_iter().map(|host| self.preparing_until[host]).fold(self.now, SimTime::max);
        for host in ends {
            self.preparing_until[host] = turn + timing.prepare_serial;
        }
        turn.since(self.now) + timing.prepare.max(timing.prepare_serial)
    }

    fn count(&mut self, migrating: &mut Migrating, unsent: Bytes) -> Input {
        let memory = self.model.guests[migrating.assignment.vm.index()].memory;
        let dirty = migrating.guest.count(self.now).min(memory).max(unsent);
        Input::Page(PageInput::Counted { dirty })
    }

    /// Stops whatever is going on; says how much of the round under way was sent.
    fn abort(&mut self, migrating: &mut Migrating) -> Input {
        if let Some(Pending { key, .. }) = migrating.step.take() {
            self.queue.cancel(key);
        }
        migrating.state.let_go();
        let mut sent = Bytes::ZERO;
        if let Sending::Flowing(flow) | Sending::Disk(flow) = migrating.sending {
            let left = self.stop_flow(migrating, flow);
            sent = flow.bytes.saturating_sub(Bytes::from_f64_floor(left.ceil()));
        }
        migrating.sending = Sending::Nothing;
        let vm = migrating.assignment.vm;
        self.resume_guest_io(vm);
        let whereabouts = if self.is_off(vm) { Whereabouts::Off } else { Whereabouts::AtSource };
        Input::Aborted { sent, whereabouts }
    }

    fn wake(&mut self, migrating: &mut Migrating, until: SimTime) {
        if until < SimTime::MAX && until != migrating.tick {
            migrating.tick = until;
            self.queue.schedule(until.max(self.now), Event::Tick(migrating.assignment.migration));
        }
    }
}

/// The modelled hosts of one migration.
struct Side<'a, 'm> {
    world: &'a mut World<'m>,
    migrating: &'a mut Migrating,
}

impl Host<MigrationController> for Side<'_, '_> {
    type Error = Infallible;

    fn carry_out(&mut self, _: SimTime, command: Command) -> Result<Option<Input>, Infallible> {
        Ok(self.world.carry_out(self.migrating, command))
    }

    fn record(&mut self, record: Record) {
        self.world.keep(self.migrating, record);
    }

    fn refused(&mut self, now: SimTime, refused: Refused) {
        let Assignment { migration, vm, .. } = self.migrating.assignment;
        let vm = &self.world.model.guests[vm.index()].name;
        self.world.log.keep(refused.record_of(now, migration, vm));
    }
}
