//! A scenario's plan, carried out on real QEMU machines of this computer.
//!
//! ```text
//!  orchestrator ── Start ──▶ a thread: starts the destination, drives the controller, proves the pages
//!       ▲                        │
//!       └──────── Ended ─────────┘
//! ```
//!
//! The orchestrator, with its order, limits and destinations, and the controller are the very machines that
//! the simulation runs; so are the records. Each guest that the plan may move boots before the run's clock
//! starts, and the rate at which it really writes is measured, so that a prediction can be made with it.
//!
//! Hosts are directories of this computer: what the network between them carries is QEMU's `max-bandwidth`.

mod guests;
mod moving;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use algorithms::ids::{MigrationId, VmId};
use algorithms::levers::QemuLevers;
use algorithms::machine::Output;
use algorithms::orchestrator::{Assignment, Command, Declined, Input, Orchestrator};
use algorithms::records::{
    DeclinedNames, EventRecord, Level, MigrationRecord, Origin, Outcome, Record, RunRecord, RunRecords,
};
use models::cluster::ClusterModel;
use models::preflight::cluster_view;
use sim_core::SimTime;

use super::QemuError;
use super::accelerator::Accelerator;
use super::attach::Attached;
use super::driver::RunClock;
use super::pages::Verified;
use super::standing::Remedy;
use crate::machine::ProcessorTime;
use guests::Home;
pub use guests::MeasuredGuest;

/// How often the wish to stop is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How to run a plan.
#[derive(Clone, Copy)]
pub struct RunOptions<'a> {
    /// The program, such as [`QEMU`](super::process::QEMU).
    pub binary: &'a str,
    /// Where sockets, disks and journals are to be; its path must be short.
    pub directory: &'a Path,
    /// Who runs the guests' instructions.
    pub accelerator: &'a Accelerator,
    /// What of QEMU's is set.
    pub levers: &'a QemuLevers,
    /// Guests that run already: these are attached to, all others are booted from our ROM.
    pub attached: &'a [Attached],
    /// For how long the guests' writing is measured before the run.
    pub measure_for: Duration,
    /// Set by whoever wants the run ended: nothing more starts, what is under way is given up.
    pub cancel: &'a AtomicBool,
    /// Told what happens, in words for people.
    pub progress: &'a (dyn Fn(&str) + Sync),
}

/// What a run left.
#[derive(Debug)]
pub struct QemuRun {
    /// As of any run, but actual.
    pub records: RunRecords,
    /// What the guests really wrote before they moved.
    pub guests: Vec<MeasuredGuest>,
    /// What was seen of each migration, by its number.
    pub moves: BTreeMap<MigrationId, RealMove>,
    /// The share of processor time that others took meanwhile, from 0 to 1.
    pub steal: f64,
}

/// What was seen of a migration, beside its records.
#[derive(Debug)]
pub struct RealMove {
    /// Who runs the guest.
    pub standing: Remedy,
    /// The proof that its memory is whole, or what stands against it; `None` for guests of others, whose memory
    /// says nothing of itself.
    pub pages: Option<Result<Verified, QemuError>>,
    /// The QMP socket of the machine that has the guest, which outlives the run where the guest is another's.
    pub socket: PathBuf,
    /// Its journal.
    pub journal: PathBuf,
}

/// What a migration's thread tells.
enum News {
    /// It has ended so, leaving these records.
    Ended(Assignment, Result<(Outcome, Vec<Record>), QemuError>),
    /// Its guest is to be had again; `None` where it is lost.
    Home(Assignment, Option<Box<Home>>, Option<RealMove>),
}

/// Carries out the plan of `model`.
///
/// # Errors
///
/// Where machines cannot be started, or a guest of the plan is none that can be run for real. A migration
/// that fails is no error.
pub fn run(model: &ClusterModel, options: RunOptions<'_>) -> Result<QemuRun, QemuError> {
    if let Some(words) = options.levers.not_set() {
        return Err(QemuError::Scenario(words.into()));
    }
    let mut homes = guests::boot(model, &options)?;
    let measured = guests::measure(&mut homes, options.measure_for)?;
    let (tell, news) = channel();
    let mut running = Running {
        model,
        options,
        orchestrator: Orchestrator::new(model.plan.clone(), cluster_view(model)),
        clock: RunClock::start(),
        homes,
        waiting: Vec::new(),
        log: Log::default(),
        under_way: 0,
        done: false,
    };
    let processors = ProcessorTime::now();
    std::thread::scope(|scope| running.carry_out(scope, &tell, &news))?;
    let steal = processors.steal_since();
    Ok(running.log.finish(model, measured, steal))
}

/// A plan while it is carried out.
struct Running<'a> {
    model: &'a ClusterModel,
    options: RunOptions<'a>,
    orchestrator: Orchestrator,
    clock: RunClock,
    homes: BTreeMap<VmId, Box<Home>>,
    /// To be started once their guests are to be had again.
    waiting: Vec<Assignment>,
    log: Log,
    /// Threads that have not given their guest back.
    under_way: usize,
    done: bool,
}

impl<'a> Running<'a> {
    fn carry_out<'scope>(
        &mut self,
        scope: &'scope std::thread::Scope<'scope, '_>,
        tell: &Sender<News>,
        news: &Receiver<News>,
    ) -> Result<(), QemuError>
    where
        'a: 'scope,
    {
        let mut stopped = false;
        let mut wake = self.tell(Input::Begin, scope, tell)?;
        while !self.done || self.under_way > 0 {
            if self.options.cancel.load(Ordering::Relaxed) && !stopped {
                stopped = true;
                wake = self.tell(Input::Stop, scope, tell)?;
            }
            let now = self.clock.now();
            if wake <= now && !self.done {
                wake = self.tell(Input::Tick, scope, tell)?;
                continue;
            }
            let patience = if wake == SimTime::MAX { LOOK_EVERY } else { until(now, wake).min(LOOK_EVERY) };
            match news.recv_timeout(patience) {
                Ok(News::Ended(assignment, result)) => {
                    let outcome = self.log.ended(&assignment, result, self.clock.now(), self.model);
                    wake =
                        self.tell(Input::Ended { migration: assignment.migration, outcome }, scope, tell)?;
                }
                Ok(News::Home(assignment, home, seen)) => {
                    self.under_way -= 1;
                    self.log.moves.extend(seen.map(|seen| (assignment.migration, seen)));
                    self.homes.extend(home.map(|home| (assignment.vm, home)));
                    for again in std::mem::take(&mut self.waiting) {
                        self.start(again, scope, tell);
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
        Ok(())
    }

    /// Tells the orchestrator, and does what it wants; when it wants to be woken.
    fn tell<'scope>(
        &mut self,
        input: Input,
        scope: &'scope std::thread::Scope<'scope, '_>,
        tell: &Sender<News>,
    ) -> Result<SimTime, QemuError>
    where
        'a: 'scope,
    {
        self.orchestrator.handle(self.clock.now(), input)?;
        loop {
            match self.orchestrator.poll() {
                Output::Command(Command::Start(assignment)) => self.start(assignment, scope, tell),
                Output::Command(Command::Refuse(declined)) => {
                    self.log.declined(declined, self.clock.now(), self.model);
                }
                Output::Record(record) => self.log.keep(record),
                Output::Wait(until) => return Ok(until),
                Output::Done(()) => {
                    self.done = true;
                    return Ok(SimTime::MAX);
                }
            }
        }
    }

    fn start<'scope>(
        &mut self,
        assignment: Assignment,
        scope: &'scope std::thread::Scope<'scope, '_>,
        tell: &Sender<News>,
    ) where
        'a: 'scope,
    {
        let Some(home) = self.homes.remove(&assignment.vm) else {
            self.waiting.push(assignment);
            return;
        };
        let disks = self.orchestrator.cluster().storage().moves(assignment.migration).to_vec();
        let job = moving::Job {
            model: self.model,
            options: self.options,
            clock: self.clock,
            assignment,
            disks,
            tell: tell.clone(),
        };
        self.under_way += 1;
        scope.spawn(move || job.carry_out(home));
    }
}

fn until(now: SimTime, wake: SimTime) -> Duration {
    Duration::from_nanos((wake - now).as_nanos())
}

/// Records as they come.
#[derive(Default)]
struct Log {
    records: Vec<Record>,
    moves: BTreeMap<MigrationId, RealMove>,
    last_end: SimTime,
}

impl Log {
    fn keep(&mut self, record: Record) {
        self.records.push(record);
    }

    fn ended(
        &mut self,
        assignment: &Assignment,
        result: Result<(Outcome, Vec<Record>), QemuError>,
        now: SimTime,
        model: &ClusterModel,
    ) -> Outcome {
        self.last_end = now;
        match result {
            Ok((outcome, records)) => {
                self.records.extend(records);
                outcome
            }
            Err(error) => {
                let Assignment { migration, vm, source, destination, kind, .. } = *assignment;
                let (destination, reason) = (Some(destination), error.to_string());
                let refusal = None;
                let declined = Declined { migration, vm, source, destination, kind, reason, refusal };
                self.declined(declined, now, model);
                Outcome::Failed
            }
        }
    }

    /// A move that never had a controller leaves its records here.
    fn declined(&mut self, declined: Declined, now: SimTime, model: &ClusterModel) {
        let host = |host: algorithms::ids::HostId| model.hosts[host.index()].name.clone();
        let names = DeclinedNames {
            vm: model.guests[declined.vm.index()].name.clone(),
            source: host(declined.source),
            destination: declined.destination.map(host),
            transport: model.transport.name.clone(),
        };
        self.keep(Record::Event(EventRecord {
            time: now,
            level: Level::Error,
            event_id: declined.refusal.as_ref().map(|refusal| refusal.event.id),
            migration: Some(declined.migration),
            vm: Some(names.vm.clone()),
            host: Some(names.source.clone()),
            message: format!("not moved: {}", declined.reason),
            advice: None,
        }));
        self.keep(Record::Migration(MigrationRecord::never_begun(&declined, names, now)));
    }

    fn finish(self, model: &ClusterModel, guests: Vec<MeasuredGuest>, steal: f64) -> QemuRun {
        let run = RunRecord {
            scenario: model.name.clone(),
            alternative: model.alternative.clone(),
            seed: 0,
            replication: 0,
            origin: Origin::Actual,
            makespan: self.last_end.since(SimTime::ZERO),
        };
        let mut records = RunRecords {
            run,
            migrations: vec![],
            rounds: vec![],
            resources: vec![],
            events: vec![],
            guests: vec![],
        };
        for record in self.records {
            match record {
                Record::Round(round) => records.rounds.push(round),
                Record::Migration(migration) => records.migrations.push(migration),
                Record::Event(event) => records.events.push(event),
                Record::Resource(resource) => records.resources.push(resource),
            }
        }
        records.migrations.sort_by_key(|migration| migration.migration);
        records.rounds.sort_by_key(|round| round.start + round.duration);
        records.events.sort_by_key(|event| event.time);
        QemuRun { records, guests, moves: self.moves, steal }
    }
}
