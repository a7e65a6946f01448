//! A drain on real hosts: a fleet of agents as the host of [`algorithms::operation`].
//!
//! ```text
//!   Operation ── Start ──▶ a thread for each attempt ──▶ agent
//!       ▲                      │ records, the end
//!       └────── signals ◀──────┴── answers and interrupts of the operator
//! ```
//!
//! It decides nothing: what is started, when, how often and what is given up is the operation's. Times are
//! those of the operation's beginning, whichever agent's clock they come from. What one attempt does is
//! `apply/attempt.rs`.

mod attempt;
mod fleet;
mod gathered;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use algorithms::controller::Deadline;
use algorithms::ids::MigrationId;
use algorithms::machine::{Host, WaitingHost, run};
use algorithms::operation::{Attempt, Command, Finish, Input, Operation};
use algorithms::policy::Policy;
use algorithms::records::{Outcome, Record, RunRecords};
use sim_core::SimTime;

use crate::clock::WallClock;
use crate::machine::ProcessorTime;
use crate::protocol::Sending;
use attempt::Running;
pub use fleet::Fleet;
use gathered::Gathered;

/// The operation looks at the clock at least this often.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// How guests are moved.
#[derive(Debug, Clone)]
pub struct How {
    /// When copying stops.
    pub policy: Policy,
    /// How memory is sent.
    pub sending: Sending,
    /// A limit on each migration's time.
    pub deadline: Option<Deadline>,
}

/// What the operator sees of an operation.
pub trait Operator {
    /// To be answered by [`Signals::answer`], from any thread, whenever there is an answer.
    fn ask(&mut self, question: &str);

    /// A migration has been started.
    fn started(&mut self, attempt: &Attempt);

    /// A round or a migration has ended, or there is a line for the log.
    fn record(&mut self, record: &Record);
}

/// By which the operator reaches an operation under way.
#[derive(Debug, Clone)]
pub struct Signals(Sender<Signal>);

/// Where signals come to.
#[derive(Debug)]
pub struct Inbox(Receiver<Signal>);

#[derive(Debug)]
enum Signal {
    Input(Input),
    /// Of an attempt, by its place among all.
    Record(usize, Box<Record>),
}

/// What an operation leaves.
#[derive(Debug)]
pub struct Applied {
    /// Whether all guests are where the plan wants them.
    pub finish: Finish,
    /// What happened.
    pub records: RunRecords,
    /// The share of this machine's processor time that other machines took meanwhile, 0 to 1.
    pub steal: f64,
}

/// A way to reach an operation, and where that leads.
pub fn signals() -> (Signals, Inbox) {
    let (sender, receiver) = channel();
    (Signals(sender), Inbox(receiver))
}

impl Signals {
    /// Answers the question that was asked last.
    pub fn answer(&self, yes: bool) {
        self.tell(Input::Answered { yes });
    }

    /// Ends the operation: what is under way is given up, and guests go on where they are.
    pub fn interrupt(&self) {
        self.tell(Input::Interrupted);
    }

    fn tell(&self, input: Input) {
        // An operation that has ended needs no telling.
        let _ = self.0.send(Signal::Input(input));
    }
}

/// Carries an operation out to its end. What goes wrong on hosts is in the records.
pub fn apply(
    mut operation: Operation,
    fleet: &Fleet,
    how: &How,
    (signals, inbox): (Signals, Inbox),
    operator: &mut dyn Operator,
) -> Applied {
    let (clock, processors) = (WallClock::start(), ProcessorTime::now());
    let (gathered, running) = (Gathered::new(operation.plan()), BTreeMap::new());
    let mut drain = Drain { fleet, how, clock, gathered, running, signals, inbox, operator };
    let Ok(finish) = run(&mut operation, (clock.now(), Input::Begin), &mut drain);
    Applied { finish, records: drain.gathered.into_records(), steal: processors.steal_since() }
}

/// A fleet of agents and an operator, as an operation's host.
struct Drain<'a> {
    fleet: &'a Fleet,
    how: &'a How,
    clock: WallClock,
    gathered: Gathered,
    running: BTreeMap<MigrationId, Running>,
    /// By which attempts tell of themselves, so that the inbox never closes.
    signals: Signals,
    inbox: Inbox,
    operator: &'a mut dyn Operator,
}

impl Host<Operation> for Drain<'_> {
    type Error = Infallible;

    fn carry_out(&mut self, now: SimTime, command: Command) -> Result<Option<Input>, Infallible> {
        match command {
            Command::Start(attempt) => return Ok(self.start(now, attempt)),
            Command::Cancel { migration, reason } => {
                if let Some(running) = self.running.get(&migration) {
                    running.clone().cancel(self.fleet, reason);
                }
            }
            Command::Ask { question } => self.operator.ask(&question),
        }
        Ok(None)
    }

    fn record(&mut self, record: Record) {
        self.operator.record(&record);
        self.gathered.keep(record);
    }
}

impl WaitingHost<Operation> for Drain<'_> {
    fn wait(&mut self, until: SimTime) -> Result<(SimTime, Input), Infallible> {
        loop {
            let patience = self.clock.until(until).unwrap_or(LONGEST_WAIT);
            let input = match self.inbox.0.recv_timeout(patience) {
                Ok(Signal::Record(place, record)) => {
                    self.keep_of(place, *record);
                    continue;
                }
                Ok(Signal::Input(input)) => input,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Input::Tick,
            };
            return Ok((self.clock.now(), input));
        }
    }
}

impl Drain<'_> {
    /// Starts an attempt; its end where it could not be started.
    fn start(&mut self, now: SimTime, attempt: Attempt) -> Option<Input> {
        self.operator.started(&attempt);
        let (place, migration) = (self.gathered.begin(now), attempt.migration());
        let running = Running::new(attempt);
        let started = running.clone().start(self.fleet, self.how, place, self.signals.clone());
        let Err(error) = started else {
            self.running.insert(migration, running);
            return None;
        };
        let reason = format!("no thread could be started for it: {error}");
        for record in running.never_begun(&reason, SimTime::ZERO) {
            self.keep_of(place, record);
        }
        Some(Input::Ended { migration, outcome: Outcome::Failed, reason })
    }

    fn keep_of(&mut self, place: usize, record: Record) {
        let record = self.gathered.keep_of(place, record);
        self.operator.record(&record);
    }
}
