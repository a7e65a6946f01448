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
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::Scope;
use std::time::Duration;

use algorithms::ids::{MigrationId, VmId};
use algorithms::levers::QemuLevers;
use algorithms::machine::{Host, WaitingHost};
use algorithms::orchestrator::{Command, Input, MoveOrder, Orchestrator};
use algorithms::records::{MigrationKind, Origin, Outcome, Record, RecordCollector, RunRecord, RunRecords};
use models::cluster::ClusterModel;
use models::preflight::cluster_view;
use sim_core::SimTime;

use super::QemuError;
use super::accelerator::Accelerator;
use super::attach::Attached;
use super::pages::Verified;
use super::resolution::WhoRuns;
use crate::clock::WallClock;
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
    pub runs: WhoRuns,
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
    Ended(Box<MoveOrder>, Result<(Outcome, Vec<Record>), QemuError>),
    /// Its guest is to be had again; `None` where it is lost.
    Home(VmId, Option<Box<Home>>),
    /// What was seen of it.
    Seen(MigrationId, RealMove),
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
    let guests = guests::measure(&mut homes, options.measure_for)?;
    let (tell, news) = channel();
    let (mut orchestrator, clock) =
        (Orchestrator::new(model.plan.clone(), cluster_view(model)), WallClock::start());
    let processors = ProcessorTime::now();
    let (log, moves) = std::thread::scope(|scope| {
        let mut running = Running {
            model,
            options,
            scope,
            tell,
            news,
            clock,
            homes,
            waiting: Vec::new(),
            log: RecordCollector::default(),
            moves: BTreeMap::new(),
            under_way: 0,
            stopped: false,
        };
        let Ok(()) = algorithms::machine::run(&mut orchestrator, (clock.now(), Input::Begin), &mut running);
        running.wait_for_guests();
        (running.log, running.moves)
    });
    let run = RunRecord {
        scenario: model.name.clone(),
        alternative: model.alternative.clone(),
        seed: 0,
        replication: 0,
        origin: Origin::Actual,
        makespan: log.makespan(),
    };
    Ok(QemuRun { records: log.finish(run, vec![]), guests, moves, steal: processors.steal_since() })
}

/// A plan while it is carried out: the orchestrator's host.
struct Running<'scope, 'env, 'a> {
    model: &'a ClusterModel,
    options: RunOptions<'a>,
    scope: &'scope Scope<'scope, 'env>,
    tell: Sender<News>,
    news: Receiver<News>,
    clock: WallClock,
    homes: BTreeMap<VmId, Box<Home>>,
    /// To be started once their guests are to be had again.
    waiting: Vec<MoveOrder>,
    log: RecordCollector,
    moves: BTreeMap<MigrationId, RealMove>,
    /// Threads that have not given their guest back.
    under_way: usize,
    stopped: bool,
}

impl<'scope, 'a: 'scope> Host<Orchestrator> for Running<'scope, '_, 'a> {
    type Error = Infallible;

    fn carry_out(&mut self, now: SimTime, command: Command) -> Result<Option<Input>, Infallible> {
        match command {
            Command::Start(order) => Ok(self.start(order)),
            Command::Refuse(declined) => {
                declined.records(now).into_iter().for_each(|record| self.log.keep(record));
                Ok(None)
            }
        }
    }

    fn record(&mut self, record: Record) {
        self.log.keep(record);
    }
}

impl<'scope, 'a: 'scope> WaitingHost<Orchestrator> for Running<'scope, '_, 'a> {
    fn wait(&mut self, until: SimTime) -> Result<(SimTime, Input), Infallible> {
        loop {
            if self.options.cancel.load(Ordering::Relaxed) && !self.stopped {
                self.stopped = true;
                return Ok((self.clock.now(), Input::Stop));
            }
            if until <= self.clock.now() {
                return Ok((self.clock.now(), Input::Tick));
            }
            let patience = self.clock.until(until).unwrap_or(LOOK_EVERY).min(LOOK_EVERY);
            if let Some(input) = self.hear(patience) {
                return Ok((self.clock.now(), input));
            }
        }
    }
}

impl<'scope, 'a: 'scope> Running<'scope, '_, 'a> {
    /// Starts a migration, or keeps it until its guest is to be had; its end, where it never will begin.
    fn start(&mut self, order: Box<MoveOrder>) -> Option<Input> {
        let kind = order.assignment.kind;
        if let MigrationKind::Quick | MigrationKind::Stop | MigrationKind::Start = kind {
            let words = format!(
                "QEMU machines do not do this here yet ({kind:?}): only live migrations, with or without disks"
            );
            return Some(self.never_begun(&order, words));
        }
        let Some(home) = self.homes.remove(&order.assignment.vm) else {
            self.waiting.push(*order);
            return None;
        };
        let (model, options, clock, tell) = (self.model, self.options, self.clock, self.tell.clone());
        let job = moving::Job { model, options, clock, order, tell };
        self.under_way += 1;
        self.scope.spawn(move || job.carry_out(home));
        None
    }

    /// Waits so long for news; what the orchestrator is told of it.
    fn hear(&mut self, patience: Duration) -> Option<Input> {
        match self.news.recv_timeout(patience) {
            Ok(News::Ended(order, Ok((outcome, records)))) => {
                records.into_iter().for_each(|record| self.log.keep(record));
                Some(Input::Ended { migration: order.assignment.migration, outcome })
            }
            Ok(News::Ended(order, Err(error))) => Some(self.never_begun(&order, error.to_string())),
            Ok(News::Home(vm, home)) => {
                self.under_way -= 1;
                self.homes.extend(home.map(|home| (vm, home)));
                // None of them is of a kind that is answered at once: those never wait.
                std::mem::take(&mut self.waiting).into_iter().find_map(|again| self.start(Box::new(again)))
            }
            Ok(News::Seen(migration, seen)) => {
                self.moves.insert(migration, seen);
                None
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
        }
    }

    /// The records of a move that never began.
    fn never_begun(&mut self, order: &MoveOrder, reason: String) -> Input {
        let (never, now) = (order.never_begun(reason), self.clock.now());
        self.log.keep(never.event(now, None));
        self.log.keep(never.record(now));
        Input::Ended { migration: order.assignment.migration, outcome: Outcome::Failed }
    }

    /// The plan is done: all threads give their guests back.
    fn wait_for_guests(&mut self) {
        while self.under_way > 0 {
            // Nothing is asked for any more, so that nothing is answered.
            let _ = self.hear(LOOK_EVERY);
        }
    }
}
