//! The simulation driver: runs a plan on a modelled cluster in virtual time.
//!
//! ```text
//!      orchestrator ── Start ──▶ controller (one for each migration) ── commands ─▶ ┐
//!           ▲                        ▲                                              │ what does
//!           └──────── Ended ─────────┴── answers, when they have taken their time ◀─┘ it cost?
//! ```
//!
//! The driver takes the next event, hands it to the machine that it concerns, and asks the models
//! what each of the machine's commands costs: a span for a step, bytes through shared resources for
//! a round. It decides nothing: order, limits, rounds and the end of them are the machines'.

mod background;
mod check;
mod fabric;
mod failing;
mod guest;
mod migrating;
mod quick;
mod sending;
mod storing;
mod waiting;
mod way;

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;

use algorithms::controller::{self, MigrationController};
use algorithms::ids::{HostId, MigrationId, Name};
use algorithms::machine::{Host, Settled, settle};
use algorithms::orchestrator::{self, Orchestrator};
use algorithms::records::{Origin, Record, RecordCollector, RunRecord, RunRecords};
use sim_core::{ActivityId, EventQueue, Fluid, SimTime, Span, Streams};

use crate::cluster::ClusterModel;
use crate::preflight::cluster_view;
use background::Background;
pub use check::ModelError;
use fabric::Fabric;
use failing::{Failing, Trigger};
use migrating::{Migrating, Step};
use quick::Quick;
use storing::Storing;

/// How to run a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunOptions {
    /// The seed of every random stream.
    pub seed: u64,
    /// Which replication under that seed.
    pub replication: u32,
    /// Whether the use of resources over time is recorded.
    pub metering: Metering,
    /// What is still going on then is given up: a bound on plans that never end, such as pre-copy
    /// without a limit on rounds that does not converge.
    pub horizon: Span,
}

/// Whether the use of resources over time is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metering {
    /// Nothing is recorded of them.
    Off,
    /// Every resource that is used leaves a record.
    On,
}

impl Default for RunOptions {
    fn default() -> RunOptions {
        let week = Span::from_secs(7 * 24 * 3600);
        RunOptions { seed: 1, replication: 0, metering: Metering::On, horizon: week }
    }
}

/// Runs the model's plan from beginning to end.
///
/// The same model and options give the same records, bit for bit.
///
/// # Errors
///
/// [`ModelError`] where the parts of the model do not fit together.
pub fn simulate(model: &ClusterModel, options: &RunOptions) -> Result<RunRecords, ModelError> {
    check::check(model)?;
    let mut world = World::new(model, options);
    world.run();
    Ok(world.into_records())
}

/// A cluster while its plan is carried out.
struct World<'a> {
    model: &'a ClusterModel,
    options: RunOptions,
    streams: Streams,
    now: SimTime,
    queue: EventQueue<Event>,
    fluid: Fluid,
    fabric: Fabric,
    storing: Storing,
    background: Vec<Background>,
    orchestrator: Orchestrator,
    orchestrator_tick: SimTime,
    /// What the orchestrator is still to be told at this time, in order.
    for_orchestrator: VecDeque<orchestrator::Input>,
    /// Whether what it wants is being done just now.
    orchestrating: bool,
    /// By number; those that have ended are gone.
    controllers: Vec<Option<Box<MigrationController>>>,
    /// The host side of each.
    migrations: Vec<Option<Box<Migrating>>>,
    /// Roles that go offline or come online.
    quicks: BTreeMap<MigrationId, Box<Quick>>,
    /// By the slot of an activity: the migration whose memory it carries.
    owners: Vec<Option<MigrationId>>,
    /// By host: the migrations that compress what leaves it.
    compressing: Vec<Vec<MigrationId>>,
    /// By host: until when it is busy with preparations that go one at a time.
    preparing_until: Vec<SimTime>,
    /// What breaks; `None` where nothing can.
    failing: Option<Box<Failing>>,
    log: RecordCollector,
    done: bool,
    last_end: SimTime,
}

/// What happens at a point in time, beside completions of activities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// A step of a migration has taken its time.
    Step(MigrationId, Step),
    /// A step of a role that goes offline or comes online has taken its time.
    Quick(MigrationId),
    /// A migration's deadline may have come.
    Tick(MigrationId),
    /// The orchestrator wanted to be told.
    OrchestratorTick,
    /// Background traffic goes on or off.
    Toggle(usize),
    /// Something breaks, or is mended.
    Fault(Trigger),
}

impl<'a> World<'a> {
    fn new(model: &'a ClusterModel, options: &RunOptions) -> World<'a> {
        let mut fluid = Fluid::new();
        fluid.keep_what_holds_back();
        let mut fabric = Fabric::new(model, &mut fluid);
        let storing = Storing::new(model, &mut fluid, &mut fabric);
        if options.metering == Metering::On {
            fabric.meter(&mut fluid);
        }
        World {
            model,
            options: *options,
            streams: Streams::new(options.seed, options.replication),
            now: SimTime::ZERO,
            queue: EventQueue::new(),
            fluid,
            fabric,
            storing,
            background: Vec::new(),
            orchestrator: Orchestrator::new(model.plan.clone(), cluster_view(model)),
            orchestrator_tick: SimTime::MAX,
            for_orchestrator: VecDeque::new(),
            orchestrating: false,
            controllers: Vec::new(),
            migrations: Vec::new(),
            quicks: BTreeMap::new(),
            owners: Vec::new(),
            compressing: vec![Vec::new(); model.hosts.len()],
            preparing_until: vec![SimTime::ZERO; model.hosts.len()],
            failing: Failing::new(model, &Streams::new(options.seed, options.replication)),
            log: RecordCollector::default(),
            done: false,
            last_end: SimTime::ZERO,
        }
    }

    fn run(&mut self) {
        self.begin_background();
        self.begin_guest_io();
        self.begin_faults();
        self.tell_orchestrator(orchestrator::Input::Begin);
        self.wait_for_acknowledgements();
        let horizon = SimTime::ZERO + self.options.horizon;
        while !self.done {
            let next = [self.fluid.next_time(), self.queue.next_time()].into_iter().flatten().min();
            match next {
                Some(time) if time <= horizon => self.advance(time),
                Some(_) => self.give_up(horizon, format!("still going on after {}", self.options.horizon)),
                None => self.give_up(self.now, "nothing can go on: there is no capacity on its way".into()),
            }
        }
    }

    /// Everything that happens at `time`: completions first, then events in their order.
    fn advance(&mut self, time: SimTime) {
        assert!(time >= self.now, "time ran backwards: {time} is before {}", self.now);
        self.now = time;
        while let Some(activity) = self.fluid.pop_due(time) {
            self.sent(activity);
        }
        while self.queue.next_time() == Some(time) {
            if let Some((_, event)) = self.queue.pop() {
                self.happen(event);
            }
        }
        self.wait_for_acknowledgements();
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Step(migration, step) => self.step_done(migration, step),
            Event::Quick(migration) => self.quick_step_done(migration),
            Event::Tick(migration) => self.tell(migration, controller::Input::Tick),
            Event::OrchestratorTick => {
                self.orchestrator_tick = SimTime::MAX;
                self.tell_orchestrator(orchestrator::Input::Tick);
            }
            Event::Toggle(index) => {
                let next = self.background[index].toggle(self.now, &mut self.fluid);
                self.schedule_toggle(index, next);
            }
            Event::Fault(trigger) => self.trigger(trigger),
        }
    }

    /// At the horizon, or when nothing more can happen: ends what has not ended.
    fn give_up(&mut self, time: SimTime, reason: String) {
        self.now = time;
        self.tell_orchestrator(orchestrator::Input::Stop);
        for index in 0..self.controllers.len() {
            if let Some(controller) = &self.controllers[index] {
                let reason = reason.clone();
                // Where memory follows its guest there is nothing left to call off: the rest never comes.
                let input = match controller.is_handed_over() {
                    true => controller::Input::Failed { reason },
                    false => controller::Input::Cancel { reason },
                };
                self.tell(MigrationId(index as u32), input);
            }
        }
        for migration in self.quicks.keys().copied().collect::<Vec<_>>() {
            self.cancel_quick(migration, &reason);
        }
        // A guest that was handed over has still to be cleaned up behind; no more than that.
        while let Some((time, event)) = self.queue.pop().filter(|_| !self.done) {
            self.now = time;
            if let Event::Step(migration, step) = event {
                self.step_done(migration, step);
            }
        }
        assert!(
            self.done,
            "after the orchestrator has stopped and all migrations were given up, nothing is left"
        );
    }

    fn begin_background(&mut self) {
        for (index, traffic) in self.model.background.iter().enumerate() {
            let route = self.fabric.route(self.model, traffic.source, traffic.destination);
            let links = route.map_or(&[][..], |route| &route.links);
            let mut background = Background::new(traffic, links, &self.streams);
            let next = background.begin(&mut self.fluid);
            self.background.push(background);
            self.schedule_toggle(index, next);
        }
    }

    fn schedule_toggle(&mut self, index: usize, next: Option<SimTime>) {
        if let Some(time) = next {
            self.queue.schedule(time, Event::Toggle(index));
        }
    }

    /// Hands `input` to the orchestrator and does what it then wants. What it is told meanwhile, since a migration that it
    /// started has ended at once, has its turn after that.
    fn tell_orchestrator(&mut self, input: orchestrator::Input) {
        self.for_orchestrator.push_back(input);
        if std::mem::replace(&mut self.orchestrating, true) {
            return;
        }
        while let Some(input) = self.for_orchestrator.pop_front() {
            let mut desk = Desk { wanted: Vec::new(), log: &mut self.log };
            let Ok(settled) = settle(&mut self.orchestrator, self.now, input, &mut desk);
            for command in desk.wanted {
                match command {
                    orchestrator::Command::Start(order) => self.start(order),
                    orchestrator::Command::Refuse(declined) => {
                        declined.records(self.now).into_iter().for_each(|record| self.log.keep(record));
                    }
                }
            }
            self.wait_for_orchestrator(settled);
        }
        self.orchestrating = false;
    }

    fn wait_for_orchestrator(&mut self, settled: Settled<()>) {
        match settled {
            Settled::Wait(until) if until < self.orchestrator_tick => {
                self.orchestrator_tick = until;
                self.queue.schedule(until.max(self.now), Event::OrchestratorTick);
            }
            Settled::Wait(_) => {}
            Settled::Done(()) => {
                self.done = true;
                // A plan that services nodes goes on until the last is done.
                if self.model.plan.phases.iter().any(|phase| !phase.nodes.is_empty()) {
                    self.last_end = self.now;
                }
            }
        }
    }

    fn host_name(&self, host: HostId) -> Name {
        self.model.hosts[host.index()].name.clone()
    }

    /// An activity has completed.
    fn sent(&mut self, activity: ActivityId) {
        if let Some(migration) = self.owners.get_mut(activity.slot()).and_then(Option::take) {
            match self.quicks.contains_key(&migration) {
                true => self.quick_step_done(migration),
                false => self.round_sent(migration),
            }
        }
    }

    fn into_records(mut self) -> RunRecords {
        for record in self.fabric.records(&mut self.fluid, self.now) {
            self.log.keep(Record::Resource(record));
        }
        let guests = self.guest_records();
        let run = RunRecord {
            scenario: self.model.name.clone(),
            alternative: self.model.alternative.clone(),
            seed: self.options.seed,
            replication: self.options.replication,
            origin: Origin::Planned,
            makespan: self.last_end.since(SimTime::ZERO),
        };
        assert_eq!(self.log.missing().count(), 0, "every migration that was asked for leaves a record");
        self.log.finish(run, guests)
    }
}

/// Where the orchestrator's commands are laid down; they are done when it has said all that it has to say.
struct Desk<'a> {
    wanted: Vec<orchestrator::Command>,
    log: &'a mut RecordCollector,
}

impl Host<Orchestrator> for Desk<'_> {
    type Error = Infallible;

    fn carry_out(
        &mut self,
        _: SimTime,
        command: orchestrator::Command,
    ) -> Result<Option<orchestrator::Input>, Infallible> {
        self.wanted.push(command);
        Ok(None)
    }

    fn record(&mut self, record: Record) {
        self.log.keep(record);
    }
}
