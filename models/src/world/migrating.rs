//! What a migration's commands cost, and when they are answered.

use algorithms::controller::{Command, Input, MigrationController, MigrationOrder};
use algorithms::ids::MigrationId;
use algorithms::machine::Output;
use algorithms::orchestrator::{self, Assignment, DiskMove};
use algorithms::page_loop::{Opening, PageCommand, PageInput};
use algorithms::records::{EventRecord, Level, Outcome, Record};
use algorithms::storage_mirror::{MirrorCommand, MirrorInput};
use sim_core::{Bandwidth, Bytes, EventKey, SimTime, Span};

use super::failing::Watched;
use super::guest::GuestUnderWay;
use super::sending::{Account, Flow};
use super::way::Way;
use super::{Event, World};

/// A migration under way.
pub(super) struct Migrating {
    pub(super) controller: MigrationController,
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
    pub(super) fn start(&mut self, assignment: Assignment) {
        if let Some((kind, offline)) = self.orchestrator.quick(&assignment) {
            return self.start_quick(assignment, kind, offline);
        }
        let way = self.way(&assignment);
        self.say_how(&assignment, &way);
        let order = self.order(&assignment, &way);
        let migrating = Migrating {
            controller: MigrationController::new(order),
            way,
            account: Account::default(),
            disks: self.orchestrator.cluster().storage().moves(assignment.migration).to_vec(),
            assignment,
            guest: self.guest_under_way(&assignment),
            step: None,
            state: Watched::default(),
            sending: Sending::Nothing,
            tick: SimTime::MAX,
        };
        let slots = self.migrations.len().max(assignment.migration.index() + 1);
        self.migrations.resize_with(slots, || None);
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

    /// Hands `input` to the controller and does what it wants, until it waits or has ended.
    ///
    /// A command that takes no time is answered here, when the controller has said all it has to
    /// say; the others are answered by events.
    pub(super) fn follow(&mut self, mut migrating: Box<Migrating>, input: Option<Input>) {
        let mut answer = input;
        loop {
            if let Some(input) = answer.take()
                && let Err(refused) = migrating.controller.handle(self.now, input)
            {
                panic!("the driver told a migration what cannot be: {refused}");
            }
            loop {
                match migrating.controller.poll() {
                    Output::Command(command) => {
                        assert!(answer.is_none(), "a controller waits for one answer at a time");
                        answer = self.carry_out(&mut migrating, command);
                    }
                    Output::Record(record) => self.keep(&migrating, record),
                    Output::Wait(until) => {
                        self.wake(&mut migrating, until);
                        break;
                    }
                    Output::Done(outcome) => return self.ended(&migrating, outcome),
                }
            }
            if answer.is_none() {
                let index = migrating.assignment.migration.index();
                self.migrations[index] = Some(migrating);
                return;
            }
        }
    }

    /// Keeps a record; a migration's own with what its sending took.
    fn keep(&mut self, migrating: &Migrating, record: Record) {
        let record = match record {
            Record::Migration(mut record) => {
                record.transfer = Some(Box::new(self.transfer_record(migrating)));
                record.impact = self.impact(migrating, &record).map(Box::new);
                Record::Migration(record)
            }
            other => other,
        };
        self.keep_with_why(migrating.assignment.migration, record);
    }

    /// Where the way is not the one that was asked for, the log says why.
    fn say_how(&mut self, assignment: &Assignment, way: &Way) {
        if let Some(message) = way.said.clone() {
            self.log.keep(Record::Event(EventRecord {
                time: self.now,
                level: Level::Information,
                event_id: None,
                migration: Some(assignment.migration),
                vm: Some(self.model.guests[assignment.vm.index()].name.clone()),
                host: Some(self.host_name(assignment.source)),
                advice: None,
                message,
            }));
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
        self.resume_guest_io(migrating.assignment.vm);
        Input::Aborted { sent }
    }

    fn wake(&mut self, migrating: &mut Migrating, until: SimTime) {
        if until < SimTime::MAX && until != migrating.tick {
            migrating.tick = until;
            self.queue.schedule(until.max(self.now), Event::Tick(migrating.assignment.migration));
        }
    }

    fn order(&self, assignment: &Assignment, way: &Way) -> MigrationOrder {
        let guest = &self.model.guests[assignment.vm.index()];
        MigrationOrder {
            migration: assignment.migration,
            vm: guest.name.clone(),
            source: self.host_name(assignment.source),
            destination: self.host_name(assignment.destination),
            transport: way.name.clone(),
            memory: guest.memory,
            policy: self.model.hypervisor.policy.clone(),
            deadline: self.model.hypervisor.deadline,
            queued: assignment.queued,
            storage: self.storage_order(assignment),
        }
    }
}
