//! One attempt of a drain at moving a guest: in a thread of its own, by the agent that has the guest.
//!
//! Every attempt leaves one record of its end. It is the agent's, where that tells of one. Where it never asked an
//! agent, or was refused, it never began; and where an agent was asked and is heard no more, nobody knows yet where the
//! guest is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use algorithms::operation::{Attempt, Input};
use algorithms::records::{
    EventKind, EventRecord, MigrationRecord, NeverBegun, Outcome, Record, Whereabouts,
};
use sim_core::SimTime;

use super::{Fleet, How, Signal, Signals};
use crate::clock::WallClock;
use crate::error::LiveError;
use crate::protocol::{MigrateRequest, StorageRequest};
use crate::recover::{Finding, Recovered};

/// How long after a cancel an agent is told again.
const CANCEL_AGAIN: Duration = Duration::from_millis(100);

/// Why an attempt was not needed.
const THERE: &str = "at its destination, to which the attempt before had handed it over";

/// Why an attempt came to nothing that was cancelled before its agent was asked.
const GIVEN_UP: &str = "given up before it began";

/// An attempt under way, as its threads share it.
#[derive(Clone)]
pub(super) struct Running {
    attempt: Attempt,
    /// Given up before its agent was asked: then it is not asked any more.
    cancelled: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
}

/// Where what happens to an attempt is told.
struct Report {
    /// The attempt's place among all.
    place: usize,
    /// Records of an attempt are in its own time.
    clock: WallClock,
    signals: Signals,
}

impl Report {
    fn record(&self, record: Record) {
        // The operation's side outlives this thread's work.
        let _ = self.signals.0.send(Signal::Record(self.place, Box::new(record)));
    }
}

/// What an attempt came to.
enum End {
    /// An agent has left its record, which says this.
    Told(Outcome, String),
    /// Cancelled before its agent was asked.
    GivenUp,
    /// The one before had been decided.
    There,
    /// It never began: nothing was changed.
    NeverBegan(String),
    /// The agent that was asked is heard no more. The next attempt finds out what it has done.
    OutOfSight(String),
    /// The agents themselves do not know where the guest is.
    InDoubt(String),
}

impl Running {
    pub(super) fn new(attempt: Attempt) -> Running {
        Running { attempt, cancelled: Arc::default(), ended: Arc::default() }
    }

    /// Migrates in a thread of its own; its end is a signal.
    pub(super) fn start(
        self,
        fleet: &Fleet,
        how: &How,
        place: usize,
        signals: Signals,
    ) -> std::io::Result<()> {
        let (fleet, how, clock) = (fleet.clone(), how.clone(), WallClock::start());
        let thread = std::thread::Builder::new().name(format!("migration {}", self.attempt.migration().0));
        let work = move || {
            let report = Report { place, clock, signals };
            let end = self.try_it(&fleet, &how, &report);
            self.ended.store(true, Ordering::SeqCst);
            report.signals.tell(self.tell(end, &report));
        };
        thread.spawn(work).map(drop)
    }

    /// Gives it up, in a thread of its own: the agent may be slow to answer, or may not have begun yet
    /// and know nothing to give up; so it is asked until the attempt has ended.
    pub(super) fn cancel(self, fleet: &Fleet, reason: String) {
        self.cancelled.store(true, Ordering::SeqCst);
        let fleet = fleet.clone();
        std::thread::spawn(move || {
            let order = &self.attempt.order;
            while !self.ended.load(Ordering::SeqCst) {
                let asked =
                    fleet.connect(&order.source).and_then(|mut client| client.cancel(&order.vm, &reason));
                if let Err(error) = asked {
                    tracing::debug!(guest = &*order.vm, %error, "not cancelled yet");
                }
                std::thread::sleep(CANCEL_AGAIN);
            }
        });
    }

    /// The records of an attempt that never began.
    pub(super) fn never_begun(&self, reason: &str, now: SimTime) -> [Record; 2] {
        let never = self.attempt.order.never_begun(reason.into());
        [never.event(now, None), never.record(now)]
    }

    fn try_it(&self, fleet: &Fleet, how: &How, report: &Report) -> End {
        let mut source = match self.reach(fleet) {
            Ok(Some(source)) => source,
            Ok(None) => return End::There,
            Err(LiveError::InDoubt { reason, .. }) => return End::InDoubt(reason),
            Err(error) => return End::NeverBegan(error.to_string()),
        };
        let request = match self.request(fleet, how) {
            Ok(request) => request,
            Err(error) => return End::NeverBegan(error.to_string()),
        };
        if self.cancelled.load(Ordering::SeqCst) {
            return End::GivenUp;
        }
        let mut told = None;
        let migrated = source.migrate(request, |record| {
            if let Record::Migration(ended) = &record {
                told = Some(End::Told(ended.outcome, ended.reason.clone()));
            }
            report.record(record);
        });
        match (told, migrated) {
            (Some(told), _) => told,
            (None, Ok(migrated)) => End::Told(migrated.outcome, String::new()),
            (None, Err(LiveError::InDoubt { reason, .. })) => End::InDoubt(reason),
            (None, Err(error @ LiveError::Protocol(_))) => End::OutOfSight(error.to_string()),
            (None, Err(error)) => End::NeverBegan(error.to_string()),
        }
    }

    /// A connection to the agent that has the guest; `None` where the guest is at its destination already.
    fn reach(&self, fleet: &Fleet) -> Result<Option<crate::client::Client>, LiveError> {
        if self.attempt.attempt > 1 && self.is_there(fleet)? {
            return Ok(None);
        }
        fleet.connect(&self.attempt.order.source).map(Some)
    }

    /// Ends what the attempt before has left open; whether the guest is at its destination by that.
    fn is_there(&self, fleet: &Fleet) -> Result<bool, LiveError> {
        let mut there = false;
        // Where an agent does not answer, the attempt itself says so, and leaves its record.
        let found =
            fleet.settle(&self.attempt).inspect_err(|error| tracing::debug!(%error, "nothing was settled"));
        for Recovered { guest, finding, .. } in found.unwrap_or_default() {
            match finding {
                Finding::AtDestination | Finding::StartedAnew => there = true,
                // Where one is still under way, its agent refuses another.
                Finding::AtSource | Finding::UnderWay => {}
                Finding::Unknown(reason) => return Err(LiveError::InDoubt { guest, reason }),
                Finding::Lost | Finding::InDoubt | Finding::Both => {
                    let reason = format!("{guest} {finding}");
                    return Err(LiveError::InDoubt { guest, reason });
                }
            }
        }
        Ok(there)
    }

    fn request(&self, fleet: &Fleet, how: &How) -> Result<MigrateRequest, LiveError> {
        let order = &self.attempt.order;
        Ok(MigrateRequest {
            guest: order.vm.to_string(),
            destination: order.destination.to_string(),
            address: fleet.address(&order.destination)?.to_string(),
            policy: how.policy.clone(),
            deadline: how.deadline,
            sending: how.sending,
            storage: order.storage.as_ref().map(StorageRequest::from),
        })
    }

    /// Leaves a record of an end of which no agent has left one; what the operation is told of it.
    fn tell(&self, end: End, report: &Report) -> Input {
        let (order, now) = (&self.attempt.order, report.clock.now());
        let migration = self.attempt.migration();
        let ended = |outcome, reason: String| Input::Ended { migration, outcome, reason };
        match end {
            End::Told(outcome, reason) => ended(outcome, reason),
            End::There => {
                let never = order.never_begun(THERE.into());
                report.record(NeverBegun { whereabouts: Whereabouts::AtDestination, ..never }.record(now));
                ended(Outcome::Completed, THERE.into())
            }
            End::GivenUp => {
                self.never_begun(GIVEN_UP, now).into_iter().for_each(|record| report.record(record));
                ended(Outcome::Cancelled, GIVEN_UP.into())
            }
            End::NeverBegan(reason) => {
                self.never_begun(&reason, now).into_iter().for_each(|record| report.record(record));
                ended(Outcome::Failed, reason)
            }
            End::OutOfSight(reason) => {
                self.not_known(&reason, now).into_iter().for_each(|record| report.record(record));
                ended(Outcome::Failed, reason)
            }
            End::InDoubt(reason) => {
                self.not_known(&reason, now).into_iter().for_each(|record| report.record(record));
                Input::InDoubt { migration, reason }
            }
        }
    }

    /// The records of an attempt of which it is not known what it has come to. Nothing of it was measured, as of one
    /// that never began; but it may have.
    fn not_known(&self, reason: &str, now: SimTime) -> [Record; 2] {
        let order = &self.attempt.order;
        let message = format!("it is not known where it is: {reason}");
        let event = EventRecord::error(now, message).of_kind(EventKind::Ended);
        let event = Record::Event(event.of(self.attempt.migration(), &order.vm).at(&order.source));
        let whereabouts = Whereabouts::InDoubt;
        let never = NeverBegun { whereabouts, ..order.never_begun(reason.into()) };
        let record = match never.record(now) {
            Record::Migration(record) => {
                Record::Migration(MigrationRecord { outcome: Outcome::Failed, ..record })
            }
            other => other,
        };
        [event, record]
    }
}
