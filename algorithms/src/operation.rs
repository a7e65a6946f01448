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

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;

use serde::{Deserialize, Serialize};
use sim_core::SimTime;

use crate::drain_plan::{DrainPlan, Expected};
use crate::ids::{MigrationId, Name};
use crate::machine::{Host, Machine, Outbox, Output, Refused, Settled, settle};
use crate::orchestrator::{self, MoveOrder, Orchestrator};
use crate::records::{EventRecord, Level, Outcome, Record};
pub use messages::{Attempt, Command, Finish, Input};
pub use rules::{Deviation, Gates, Rules};

/// Why what the orchestrator had started was not begun after a stop: as it says of what waits in its queues.
const STOPPED: &str = "the run ended before its turn";

/// The state machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    plan: DrainPlan,
    rules: Rules,
    orchestrator: Orchestrator,
    /// What the orchestrator had come to when it was told something last.
    settled: Settled<()>,
    begun: bool,
    /// What the orchestrator wants and was not looked at yet.
    wanted: VecDeque<orchestrator::Command>,
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
    order: Box<MoveOrder>,
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

impl Machine for Operation {
    type Input = Input;
    type Command = Command;
    type Done = Finish;

    /// Refuses a second beginning, the end of a migration that is not running, and an answer to nothing.
    fn handle(&mut self, now: SimTime, input: Input) -> Result<(), Refused> {
        match input {
            Input::Begin if self.begun => {
                return Err(Refused { input: "Begin".into(), state: "it has begun".into() });
            }
            Input::Begin => {
                self.begun = true;
                self.tell_orchestrator(now, orchestrator::Input::Begin);
                self.record_stays(now);
            }
            Input::Tick => {}
            Input::Ended { migration, outcome, reason } => {
                self.check_running(migration)?;
                self.ended(now, migration, outcome, &reason);
            }
            Input::InDoubt { migration, reason } => {
                self.check_running(migration)?;
                self.stop(now);
                self.log(now, Level::Error, Some(migration), reason.clone());
                self.ended(now, migration, Outcome::Failed, &reason);
            }
            Input::Answered { yes } => self.answered(now, yes)?,
            Input::Interrupted if !self.begun => {
                self.begun = true;
                self.stop(now);
                self.record_stays(now);
                self.record_none_begun(now, "interrupted by the operator before it began");
            }
            // It has ended: there is nothing to give up.
            Input::Interrupted if self.has_ended() => {}
            Input::Interrupted => self.give_up(now, "interrupted by the operator"),
        }
        self.go_on(now);
        Ok(())
    }

    fn poll(&mut self) -> Output<Command, Finish> {
        match (self.outbox.pop(), self.settled) {
            (Some(output), _) => output,
            (None, Settled::Done(())) if self.has_ended() => Output::Done(self.finish()),
            (None, Settled::Done(())) => Output::Wait(self.next_time()),
            (None, Settled::Wait(until)) => Output::Wait(until.min(self.next_time())),
        }
    }
}

/// The operation as its orchestrator's host: what that wants is looked at when all that it was told is known.
struct Below<'a> {
    wanted: &'a mut VecDeque<orchestrator::Command>,
    outbox: &'a mut Outbox<Command, Finish>,
}

impl Host<Orchestrator> for Below<'_> {
    type Error = Infallible;

    fn carry_out(
        &mut self,
        _: SimTime,
        command: orchestrator::Command,
    ) -> Result<Option<orchestrator::Input>, Infallible> {
        self.wanted.push_back(command);
        Ok(None)
    }

    fn record(&mut self, record: Record) {
        self.outbox.record(record);
    }
}

impl Operation {
    /// The plan that it carries out.
    pub fn plan(&self) -> &DrainPlan {
        &self.plan
    }

    fn finish(&self) -> Finish {
        if self.moved == self.plan.moves.len() { Finish::AllMoved } else { Finish::Partly }
    }

    fn has_ended(&self) -> bool {
        self.settled == Settled::Done(()) && self.under_way.is_empty()
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

    fn tell_orchestrator(&mut self, now: SimTime, input: orchestrator::Input) {
        let mut below = Below { wanted: &mut self.wanted, outbox: &mut self.outbox };
        let Ok(settled) = settle(&mut self.orchestrator, now, input, &mut below);
        self.settled = settled;
    }

    fn go_on(&mut self, now: SimTime) {
        if matches!(self.settled, Settled::Wait(until) if until <= now) {
            self.tell_orchestrator(now, orchestrator::Input::Tick);
        }
        self.look_for_late(now);
        self.try_again(now);
        // After all that may have told the orchestrator something.
        while let Some(command) = self.wanted.pop_front() {
            self.take_up(now, command);
        }
        self.ask_next();
    }

    /// Takes over what the orchestrator wants.
    fn take_up(&mut self, now: SimTime, command: orchestrator::Command) {
        match command {
            orchestrator::Command::Start(order) => self.begin(now, order),
            orchestrator::Command::Refuse(declined) => {
                declined.records(now).into_iter().for_each(|record| self.outbox.record(record));
            }
        }
    }

    fn begin(&mut self, now: SimTime, order: Box<MoveOrder>) {
        let migration = order.assignment.migration;
        let gated = self.rules.gates.holds(&order.vm);
        self.under_way.insert(migration, UnderWay { order, attempt: 0, state: State::Asking });
        if self.stopping {
            // The orchestrator wanted it before it was told to stop.
            self.record_not_started(now, migration, STOPPED);
            self.let_go(now, migration, Outcome::Cancelled);
        } else if !gated {
            self.start(now, migration);
        }
    }

    fn start(&mut self, now: SimTime, migration: MigrationId) {
        let late_after = now + self.rules.longest(self.plan.moves[migration.index()].total_s);
        let Some(each) = self.under_way.get_mut(&migration) else { return };
        each.attempt += 1;
        each.state = State::Running { late_after };
        let attempt = Attempt { order: each.order.clone(), attempt: each.attempt };
        self.outbox.command(Command::Start(attempt));
    }

    fn check_running(&self, migration: MigrationId) -> Result<(), Refused> {
        match self.under_way.get(&migration) {
            Some(UnderWay { state: State::Running { .. }, .. }) => Ok(()),
            _ => {
                let input = format!("the end of migration {}", migration.0);
                Err(Refused { input, state: "it is not running".into() })
            }
        }
    }

    /// A migration that is running has ended.
    fn ended(&mut self, now: SimTime, migration: MigrationId, outcome: Outcome, reason: &str) {
        let Some(each) = self.under_way.get_mut(&migration) else { return };
        if outcome == Outcome::Failed && each.attempt <= self.rules.retries && !self.stopping {
            let until = now + self.rules.retry_after;
            each.state = State::Waiting { until };
            let (attempt, wait) = (each.attempt, self.rules.retry_after);
            let what = format!("attempt {attempt} failed ({reason}); the next is made after {wait}");
            return self.log(now, Level::Warning, Some(migration), what);
        }
        self.moved += usize::from(outcome == Outcome::Completed);
        self.let_go(now, migration, outcome);
    }

    fn let_go(&mut self, now: SimTime, migration: MigrationId, outcome: Outcome) {
        self.under_way.remove(&migration);
        self.tell_orchestrator(now, orchestrator::Input::Ended { migration, outcome });
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
    fn look_for_late(&mut self, now: SimTime) {
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
            self.deviate(now, &format!("{}: {what}", self.name(migration)));
        }
    }

    fn deviate(&mut self, now: SimTime, what: &str) {
        match self.rules.deviation {
            _ if self.stopping => {}
            Deviation::GoOn => {}
            Deviation::Stop => self.stop(now),
            Deviation::Abort => self.give_up(now, "the drain left its planned band"),
            Deviation::Ask if self.question.is_none() => {
                self.question = Some(Question::GoOn);
                self.outbox.command(Command::Ask { question: format!("{what}. Go on with the drain?") });
            }
            // One answer is enough for both.
            Deviation::Ask => {}
        }
    }

    /// Starts nothing more; what is under way goes on.
    fn stop(&mut self, now: SimTime) {
        if self.stopping {
            return;
        }
        self.stopping = true;
        self.question = None;
        self.log(now, Level::Warning, None, "nothing more is started".into());
        self.tell_orchestrator(now, orchestrator::Input::Stop);
        let not_running: Vec<(MigrationId, u32)> = self
            .under_way
            .iter()
            .filter(|(_, each)| !matches!(each.state, State::Running { .. }))
            .map(|(migration, each)| (*migration, each.attempt))
            .collect();
        for (migration, attempts) in not_running {
            if attempts == 0 {
                self.record_not_started(now, migration, STOPPED);
            }
            self.let_go(now, migration, Outcome::Cancelled);
        }
    }

    fn give_up(&mut self, now: SimTime, reason: &str) {
        self.stop(now);
        for migration in self.under_way.keys() {
            self.outbox.command(Command::Cancel { migration: *migration, reason: reason.into() });
        }
    }

    /// Asks for the next migration that waits for leave.
    fn ask_next(&mut self) {
        let asking = self.under_way.iter().find(|(_, each)| each.state == State::Asking);
        let Some((&migration, each)) = asking.filter(|_| self.question.is_none()) else { return };
        let host = &each.order.destination;
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
            (Some(Question::GoOn), true) => {}
            (Some(Question::GoOn), false) => self.stop(now),
            (Some(Question::MayStart(migration)), true) => self.start(now, migration),
            (Some(Question::MayStart(migration)), false) => {
                self.record_not_started(now, migration, "the operator said no");
                self.let_go(now, migration, Outcome::Cancelled);
            }
            // Overtaken by a stop.
            (None, _) if self.stopping => {}
            (None, _) => {
                return Err(Refused { input: "an answer".into(), state: "nothing was asked".into() });
            }
        }
        Ok(())
    }

    fn name(&self, migration: MigrationId) -> Name {
        self.plan.moves[migration.index()].vm.clone()
    }

    fn log(&mut self, time: SimTime, level: Level, migration: Option<MigrationId>, message: String) {
        let event = EventRecord::new(time, level, message).at(&self.plan.host);
        let event = match migration {
            Some(migration) => event.of(migration, &self.name(migration)),
            None => event,
        };
        self.outbox.record(Record::Event(event));
    }
}
