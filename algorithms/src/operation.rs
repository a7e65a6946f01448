//! Carrying out the plan of a drain on real hosts: the orchestrator, and what an operator adds to it.
//!
//! ```text
//!            orchestrator: order, limits            gate: ask first
//!  plan ──▶ Start ──────────────────────▶ Asking ── yes ──▶ Running ── completed ──▶ ended
//!                                           │ no              │  ▲
//!                                           ▼          failed │  │ so often, so long after
//!                                         ended               └─ Waiting
//! ```
//!
//! A migration that takes longer than planned is a *deviation*; the [`Rules`] say what then. It is looked at
//! while the migration goes on, not at its end only: what hangs must not be waited for.

mod building;
mod messages;
mod not_started;
mod rules;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sim_core::SimTime;

use crate::drain_plan::{DrainPlan, Expected};
use crate::ids::{MigrationId, Name};
use crate::machine::{Outbox, Output, Refused};
use crate::orchestrator::{self, Assignment, Orchestrator};
use crate::records::{EventRecord, Level, Outcome, Record};
use crate::storage_mirror::{StorageOrder, Switch};
pub use messages::{Attempt, Command, Finish, Input};
pub use rules::{Deviation, Gates, Rules};

/// The state machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    plan: DrainPlan,
    rules: Rules,
    orchestrator: Orchestrator,
    under_way: BTreeMap<MigrationId, UnderWay>,
    question: Option<Question>,
    /// No more is started, and what fails is not tried again.
    stopping: bool,
    moved: usize,
    outbox: Outbox<Command, Finish>,
}

/// A migration that the orchestrator has started and of which it has not heard the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct UnderWay {
    assignment: Assignment,
    attempt: u32,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum State {
    /// The operator is to be asked whether it may start.
    Asking,
    Running {
        late_after: SimTime,
    },
    /// Until the next attempt.
    Waiting {
        until: SimTime,
    },
}

/// What the operator was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Question {
    MayStart(MigrationId),
    GoOn,
}

impl Operation {
    /// Takes in what happened at `now`.
    ///
    /// # Errors
    ///
    /// [`Refused`] where it does not fit: a migration that is not running, an answer to nothing.
    pub fn handle(&mut self, now: SimTime, input: Input) -> Result<(), Refused> {
        match input {
            Input::Begin => {
                self.orchestrator.handle(now, orchestrator::Input::Begin)?;
                self.record_stays(now);
            }
            Input::Tick => {}
            Input::Ended { migration, outcome, reason } => self.ended(now, migration, outcome, &reason)?,
            Input::InDoubt { migration, reason } => {
                self.stop(now)?;
                self.log(now, Level::Error, Some(migration), reason.clone());
                self.ended(now, migration, Outcome::Failed, &reason)?;
            }
            Input::Answered { yes } => self.answered(now, yes)?,
            Input::Interrupted => self.give_up(now, "interrupted by the operator")?,
        }
        self.go_on(now)
    }

    /// What to do now. Call it until it gives [`Output::Wait`] or [`Output::Done`].
    pub fn poll(&mut self) -> Output<Command, Finish> {
        if let Some(output) = self.outbox.pop() {
            return output;
        }
        match self.orchestrator.poll() {
            Output::Done(()) if self.under_way.is_empty() => Output::Done(self.finish()),
            Output::Wait(until) => Output::Wait(until.min(self.next_time())),
            _ => Output::Wait(self.next_time()),
        }
    }

    /// The plan that it carries out.
    pub fn plan(&self) -> &DrainPlan {
        &self.plan
    }

    fn finish(&self) -> Finish {
        if self.moved == self.plan.moves.len() { Finish::AllMoved } else { Finish::Partly }
    }

    /// When to look at the time again.
    fn next_time(&self) -> SimTime {
        let times = self.under_way.values().map(|each| match each.state {
            State::Running { late_after } => late_after,
            State::Waiting { until } => until,
            State::Asking => SimTime::MAX,
        });
        times.min().unwrap_or(SimTime::MAX)
    }

    fn go_on(&mut self, now: SimTime) -> Result<(), Refused> {
        self.look_for_late(now)?;
        self.try_again(now);
        // After all that may have told the orchestrator something.
        self.take_up(now);
        self.ask_next();
        Ok(())
    }

    /// Takes over what the orchestrator wants.
    fn take_up(&mut self, now: SimTime) {
        loop {
            match self.orchestrator.poll() {
                Output::Command(orchestrator::Command::Start(assignment)) => self.begin(now, assignment),
                Output::Command(orchestrator::Command::Refuse(declined)) => {
                    let what = format!("not moved: {}", declined.reason);
                    self.log(now, Level::Warning, Some(declined.migration), what);
                    self.record_refused(now, &declined);
                }
                Output::Record(record) => self.outbox.record(record),
                Output::Wait(_) | Output::Done(()) => return,
            }
        }
    }

    fn begin(&mut self, now: SimTime, assignment: Assignment) {
        let migration = assignment.migration;
        let gated = self.rules.gates.holds(&self.name(migration));
        self.under_way.insert(migration, UnderWay { assignment, attempt: 0, state: State::Asking });
        if !gated {
            self.start(now, migration);
        }
    }

    fn start(&mut self, now: SimTime, migration: MigrationId) {
        let late_after = now + self.rules.longest(self.plan.moves[migration.index()].total_s);
        let Some(each) = self.under_way.get_mut(&migration) else { return };
        each.attempt += 1;
        each.state = State::Running { late_after };
        let (attempt, Assignment { vm, source, destination, kind, .. }) = (each.attempt, each.assignment);
        let host = |place: usize| self.plan.inventory.hosts[place].name.clone();
        // The orchestrator keeps what it assigned until it hears of the end, whatever attempt this is.
        let disks = self.plan.orders(vm, self.orchestrator.cluster().storage().moves(migration));
        let storage = (!disks.is_empty()).then_some(StorageOrder { disks, switch: Switch::WithMemory });
        self.outbox.command(Command::Start(Attempt {
            migration,
            vm: self.name(migration),
            source: host(source.index()),
            destination: host(destination.index()),
            kind,
            storage,
            attempt,
        }));
    }

    fn ended(
        &mut self,
        now: SimTime,
        migration: MigrationId,
        outcome: Outcome,
        reason: &str,
    ) -> Result<(), Refused> {
        let running = |each: &UnderWay| matches!(each.state, State::Running { .. });
        let Some(each) = self.under_way.get_mut(&migration).filter(|each| running(each)) else {
            let input = format!("the end of migration {}", migration.0);
            return Err(Refused { input, state: "it is not running".into() });
        };
        if outcome == Outcome::Failed && each.attempt <= self.rules.retries && !self.stopping {
            let until = now + self.rules.retry_after;
            each.state = State::Waiting { until };
            let (attempt, wait) = (each.attempt, self.rules.retry_after);
            let what = format!("attempt {attempt} failed ({reason}); the next is made after {wait}");
            self.log(now, Level::Warning, Some(migration), what);
            return Ok(());
        }
        self.moved += usize::from(outcome == Outcome::Completed);
        self.let_go(now, migration, outcome)
    }

    fn let_go(&mut self, now: SimTime, migration: MigrationId, outcome: Outcome) -> Result<(), Refused> {
        self.under_way.remove(&migration);
        self.orchestrator.handle(now, orchestrator::Input::Ended { migration, outcome })
    }

    fn try_again(&mut self, now: SimTime) {
        let due = |each: &UnderWay| matches!(each.state, State::Waiting { until } if until <= now);
        let ready: Vec<MigrationId> =
            self.under_way.iter().filter(|(_, each)| due(each)).map(|(migration, _)| *migration).collect();
        for migration in ready {
            self.start(now, migration);
        }
    }

    /// What has taken longer than planned, and is told of once.
    fn look_for_late(&mut self, now: SimTime) -> Result<(), Refused> {
        let mut late = Vec::new();
        for (migration, each) in &mut self.under_way {
            if let State::Running { late_after } = &mut each.state
                && *late_after <= now
            {
                *late_after = SimTime::MAX;
                late.push(*migration);
            }
        }
        for migration in late {
            let planned = self.plan.moves[migration.index()].total_s;
            let longest = self.rules.longest(planned);
            let what = format!("takes longer than {longest}, where {:.1} s were planned at p95", planned.p95);
            self.log(now, Level::Warning, Some(migration), what.clone());
            self.deviate(now, &format!("{}: {what}", self.name(migration)))?;
        }
        Ok(())
    }

    fn deviate(&mut self, now: SimTime, what: &str) -> Result<(), Refused> {
        match self.rules.deviation {
            _ if self.stopping => Ok(()),
            Deviation::GoOn => Ok(()),
            Deviation::Stop => self.stop(now),
            Deviation::Abort => self.give_up(now, "the drain left its planned band"),
            Deviation::Ask if self.question.is_none() => {
                self.question = Some(Question::GoOn);
                self.outbox.command(Command::Ask { question: format!("{what}. Go on with the drain?") });
                Ok(())
            }
            // One answer is enough for both.
            Deviation::Ask => Ok(()),
        }
    }

    /// Starts nothing more; what is under way goes on.
    fn stop(&mut self, now: SimTime) -> Result<(), Refused> {
        if self.stopping {
            return Ok(());
        }
        self.stopping = true;
        self.question = None;
        self.log(now, Level::Warning, None, "nothing more is started".into());
        self.orchestrator.handle(now, orchestrator::Input::Stop)?;
        let not_running: Vec<(MigrationId, u32)> = self
            .under_way
            .iter()
            .filter(|(_, each)| !matches!(each.state, State::Running { .. }))
            .map(|(migration, each)| (*migration, each.attempt))
            .collect();
        for (migration, attempts) in not_running {
            if attempts == 0 {
                self.record_not_started(now, migration, "the run ended before its turn");
            }
            self.let_go(now, migration, Outcome::Cancelled)?;
        }
        Ok(())
    }

    fn give_up(&mut self, now: SimTime, reason: &str) -> Result<(), Refused> {
        self.stop(now)?;
        for migration in self.under_way.keys() {
            self.outbox.command(Command::Cancel { migration: *migration, reason: reason.into() });
        }
        Ok(())
    }

    /// Asks for the next migration that waits for leave.
    fn ask_next(&mut self) {
        let asking = self.under_way.iter().find(|(_, each)| each.state == State::Asking);
        let Some((&migration, each)) = asking.filter(|_| self.question.is_none()) else { return };
        let host = &self.plan.inventory.hosts[each.assignment.destination.index()].name;
        let planned = &self.plan.moves[migration.index()];
        let with = match planned.disks.is_empty() {
            true => String::new(),
            false => format!(" with {} of disks", planned.disk_bytes()),
        };
        let Expected { p50, p95 } = planned.total_s;
        let question =
            format!("Move {} to {host}{with}, in {p50:.1} s ({p95:.1} s at p95)?", self.name(migration));
        self.question = Some(Question::MayStart(migration));
        self.outbox.command(Command::Ask { question });
    }

    fn answered(&mut self, now: SimTime, yes: bool) -> Result<(), Refused> {
        match (self.question.take(), yes) {
            (Some(Question::GoOn), true) => Ok(()),
            (Some(Question::GoOn), false) => self.stop(now),
            (Some(Question::MayStart(migration)), true) => {
                self.start(now, migration);
                Ok(())
            }
            (Some(Question::MayStart(migration)), false) => {
                self.log(now, Level::Information, Some(migration), "not moved: the operator said no".into());
                self.record_not_started(now, migration, "the operator said no");
                self.let_go(now, migration, Outcome::Cancelled)
            }
            // Overtaken by a stop.
            (None, _) if self.stopping => Ok(()),
            (None, _) => Err(Refused { input: "an answer".into(), state: "nothing was asked".into() }),
        }
    }

    fn name(&self, migration: MigrationId) -> Name {
        self.plan.moves[migration.index()].vm.clone()
    }

    fn log(&mut self, time: SimTime, level: Level, migration: Option<MigrationId>, message: String) {
        self.outbox.record(Record::Event(EventRecord {
            time,
            level,
            event_id: None,
            migration,
            vm: migration.map(|migration| self.name(migration)),
            host: Some(self.plan.host.clone()),
            message,
            advice: None,
        }));
    }
}
