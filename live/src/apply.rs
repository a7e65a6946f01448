//! A drain on real hosts: the driver of [`algorithms::operation`].
//!
//! ```text
//!   Operation ── Start ──▶ a thread: Client::migrate ──▶ agent
//!       ▲                      │ records, the end
//!       └────── signals ◀──────┴── answers and interrupts of the operator
//! ```
//!
//! It decides nothing: what is started, when, how often and what is given up is the operation's. Times are
//! those of the operation's beginning, whichever agent's clock they come from.

mod fleet;
mod gathered;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use algorithms::controller::Deadline;
use algorithms::ids::{HostId, MigrationId, VmId};
use algorithms::machine::Output;
use algorithms::operation::{Attempt, Command, Finish, Input, Operation};
use algorithms::orchestrator::Declined;
use algorithms::policy::Policy;
use algorithms::records::{DeclinedNames, MigrationRecord, Outcome, Record, RunRecords};
use algorithms::storage_mirror::{DiskOrder, StorageOrder};
use sim_core::SimTime;

use crate::client::Migrated;
use crate::clock::WallClock;
use crate::error::LiveError;
use crate::machine::ProcessorTime;
use crate::protocol::{DiskTarget, Encryption, MigrateRequest, Sending, StorageRequest};
use crate::recover::{Finding, Recovered};
pub use fleet::Fleet;
use gathered::Gathered;

/// The operation looks at the clock at least this often.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// How long after a cancel an agent is told again.
const CANCEL_AGAIN: Duration = Duration::from_millis(100);

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

/// Carries an operation out to its end.
///
/// # Errors
///
/// [`LiveError::Refused`] where the operation does not take what it is told, which is a mistake here. What goes
/// wrong on hosts is in the records.
pub fn apply(
    mut operation: Operation,
    fleet: &Fleet,
    how: &How,
    (signals, inbox): (Signals, Inbox),
    operator: &mut dyn Operator,
) -> Result<Applied, LiveError> {
    let (clock, processors) = (WallClock::start(), ProcessorTime::now());
    let mut gathered = Gathered::new(operation.plan());
    let mut running: BTreeMap<MigrationId, Running> = BTreeMap::new();
    operation.handle(clock.now(), Input::Begin)?;
    loop {
        match operation.poll() {
            Output::Command(Command::Start(attempt)) => {
                operator.started(&attempt);
                let place = gathered.begin(clock.now());
                let (migration, begun) = (attempt.migration, Running::new(attempt));
                start(fleet, how, begun.clone(), place, signals.clone());
                running.insert(migration, begun);
            }
            Output::Command(Command::Cancel { migration, reason }) => {
                if let Some(begun) = running.get(&migration) {
                    cancel(fleet, begun.clone(), reason);
                }
            }
            Output::Command(Command::Ask { question }) => operator.ask(&question),
            Output::Record(record) => {
                operator.record(&record);
                gathered.keep(record);
            }
            Output::Done(finish) => {
                let records = gathered.into_records();
                return Ok(Applied { finish, records, steal: processors.steal_since() });
            }
            Output::Wait(until) => {
                let patience = clock.until(until).unwrap_or(LONGEST_WAIT);
                let input = match inbox.0.recv_timeout(patience) {
                    Ok(Signal::Record(place, record)) => {
                        let record = gathered.keep_of(place, *record);
                        operator.record(&record);
                        continue;
                    }
                    Ok(Signal::Input(input)) => input,
                    // This function itself holds a sender, so that there is always one.
                    Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Input::Tick,
                };
                operation.handle(clock.now(), input)?;
            }
        }
    }
}

/// An attempt under way, as its threads share it.
#[derive(Clone)]
struct Running {
    attempt: Attempt,
    /// Given up before its agent was asked: then it is not asked any more.
    cancelled: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
}

impl Running {
    fn new(attempt: Attempt) -> Running {
        Running { attempt, cancelled: Arc::default(), ended: Arc::default() }
    }
}

/// Migrates in a thread of its own; its end is a signal.
fn start(fleet: &Fleet, how: &How, running: Running, place: usize, signals: Signals) {
    let (fleet, how, back) = (fleet.clone(), how.clone(), signals.clone());
    let migration = running.attempt.migration;
    let work = move || {
        let end = migrate(&fleet, &how, &running, place, &back);
        running.ended.store(true, Ordering::SeqCst);
        back.tell(end);
    };
    let thread = std::thread::Builder::new().name(format!("migration {}", migration.0));
    if let Err(error) = thread.spawn(work) {
        let reason = format!("no thread could be started for it: {error}");
        signals.tell(Input::Ended { migration, outcome: Outcome::Failed, reason });
    }
}

/// One attempt, and how it ended.
fn migrate(fleet: &Fleet, how: &How, running: &Running, place: usize, signals: &Signals) -> Input {
    let attempt = &running.attempt;
    let migration = attempt.migration;
    let mut reason = String::new();
    let mut recorded = false;
    let mut keep = |record: Record| {
        if let Record::Migration(ended) = &record {
            reason.clone_from(&ended.reason);
            recorded = true;
        }
        // The operation's side outlives this thread's work.
        let _ = signals.0.send(Signal::Record(place, Box::new(record)));
    };
    let result = request(fleet, how, attempt).and_then(|request| {
        if attempt.attempt > 1 && is_there(fleet, attempt)? {
            return Ok(Attempted::There);
        }
        let mut source = fleet.connect(&attempt.source)?;
        if running.cancelled.load(Ordering::SeqCst) {
            return Ok(Attempted::GivenUp);
        }
        source.migrate(request, &mut keep).map(Attempted::Migrated)
    });
    // What no agent has a record of leaves one here: it never began.
    let never_begun = |reason: &str| {
        let record = never_begun(attempt, how, reason);
        let _ = signals.0.send(Signal::Record(place, Box::new(Record::Migration(record))));
    };
    match &result {
        Ok(Attempted::GivenUp) => never_begun(GIVEN_UP),
        Ok(Attempted::There) => never_begun(THERE),
        Err(error) if !recorded && !matches!(error, LiveError::InDoubt { .. }) => {
            never_begun(&error.to_string())
        }
        Ok(Attempted::Migrated(_)) | Err(_) => {}
    }
    match result {
        Ok(Attempted::Migrated(migrated)) => Input::Ended { migration, outcome: migrated.outcome, reason },
        Ok(Attempted::There) => Input::Ended { migration, outcome: Outcome::Completed, reason: THERE.into() },
        Ok(Attempted::GivenUp) => {
            let reason = GIVEN_UP.into();
            Input::Ended { migration, outcome: Outcome::Cancelled, reason }
        }
        Err(error @ LiveError::InDoubt { .. }) => Input::InDoubt { migration, reason: error.to_string() },
        Err(error) => Input::Ended { migration, outcome: Outcome::Failed, reason: error.to_string() },
    }
}

/// What an attempt came to that no error ended.
enum Attempted {
    Migrated(Migrated),
    /// Cancelled before its agent was asked.
    GivenUp,
    /// The one before had been decided.
    There,
}

/// Ends what the attempt before has left open; whether the guest is at its destination by that.
fn is_there(fleet: &Fleet, attempt: &Attempt) -> Result<bool, LiveError> {
    let mut there = false;
    // Where an agent does not answer, the attempt itself says so, and leaves its record.
    let found = fleet.settle(attempt).inspect_err(|error| tracing::debug!(%error, "nothing was settled"));
    for Recovered { guest, finding, .. } in found.unwrap_or_default() {
        match finding {
            Finding::AtDestination | Finding::StartedAnew => there = true,
            // Where one is still under way, its agent refuses another.
            Finding::AtSource | Finding::UnderWay => {}
            Finding::Unknown(reason) => return Err(LiveError::InDoubt { guest, reason }),
        }
    }
    Ok(there)
}

/// Why an attempt was not needed.
const THERE: &str = "at its destination, to which the attempt before had handed it over";

/// Why an attempt came to nothing that was cancelled before its agent was asked.
const GIVEN_UP: &str = "given up before it began";

fn never_begun(attempt: &Attempt, how: &How, reason: &str) -> MigrationRecord {
    let declined = Declined {
        migration: attempt.migration,
        vm: VmId(attempt.migration.0),
        source: HostId(0),
        destination: None,
        kind: attempt.kind,
        reason: reason.into(),
        refusal: None,
    };
    let transport = if how.sending.encryption == Encryption::Tls { "tls" } else { "tcp" };
    let names = DeclinedNames {
        vm: attempt.vm.clone(),
        source: attempt.source.clone(),
        destination: Some(attempt.destination.clone()),
        transport: transport.into(),
    };
    MigrationRecord::never_begun(&declined, names, SimTime::ZERO)
}

fn request(fleet: &Fleet, how: &How, attempt: &Attempt) -> Result<MigrateRequest, LiveError> {
    Ok(MigrateRequest {
        guest: attempt.vm.to_string(),
        destination: attempt.destination.to_string(),
        address: fleet.address(&attempt.destination)?.to_string(),
        policy: how.policy.clone(),
        deadline: how.deadline,
        sending: how.sending,
        storage: attempt.storage.as_ref().map(storage_request),
    })
}

fn storage_request(order: &StorageOrder) -> StorageRequest {
    let target = |disk: &DiskOrder| DiskTarget { disk: disk.disk, to: disk.to.to_string() };
    StorageRequest { disks: order.disks.iter().map(target).collect(), switch: order.switch }
}

/// Gives an attempt up, in a thread of its own: the agent may be slow to answer, or may not have begun yet
/// and know nothing to give up; so it is asked until the attempt has ended.
fn cancel(fleet: &Fleet, running: Running, reason: String) {
    running.cancelled.store(true, Ordering::SeqCst);
    let fleet = fleet.clone();
    std::thread::spawn(move || {
        let Attempt { source, vm, .. } = &running.attempt;
        while !running.ended.load(Ordering::SeqCst) {
            let asked = fleet.connect(source).and_then(|mut client| client.cancel(vm, &reason));
            if let Err(error) = asked {
                tracing::debug!(guest = &**vm, %error, "not cancelled yet");
            }
            std::thread::sleep(CANCEL_AGAIN);
        }
    });
}
