//! The controller's part in failures: what breaks in which state, and which side keeps the guest.
//!
//! ```text
//!                        source died   destination died   silence        a host says that it broke
//!  Preparing, Copying…   lost          silence            waits, aborts  aborts
//!  EndingMirror, …       warning       lost               –              warning
//! ```
//!
//! The guest is the source's until it runs at the destination, so whatever breaks before leaves it
//! there, and it goes on from its own memory; nothing that was sent is needed any more. Nobody tells a
//! source that the other end has died: it finds out as of any connection, when nothing came through
//! for too long. Authentication is asked for once, when the connection is made; one that fails later
//! breaks nothing that is under way.

use serde::{Deserialize, Serialize};
use sim_core::{SimTime, Span};

use super::ending::End;
use super::{MigrationController, State, Undo};
use crate::failures::catalogue::Logged;
use crate::failures::{Breakage, Failure, FailurePoint, FailureRecord, Parties, Side};
use crate::page_loop::PagesMoved;
use crate::records::{EventKind, Level, MigrationKind, Outcome, Record, Whereabouts};

/// What is known of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Connection {
    /// Nothing comes through since then, and until then it is waited for.
    silent: Option<(SimTime, SimTime)>,
    destination_died: bool,
}

impl Connection {
    /// When it is given up, unless something comes through before.
    pub(super) fn limit(&self) -> SimTime {
        self.silent.map_or(SimTime::MAX, |(_, until)| until)
    }
}

impl MigrationController {
    /// Nothing comes through from now on.
    pub(super) fn fall_silent(&mut self, now: SimTime, limit: Span) {
        if self.connection.silent.is_none() {
            self.connection.silent = Some((now, now + limit));
        }
    }

    /// Something comes through again: what stood still goes on.
    pub(super) fn hear_again(&mut self, now: SimTime) {
        if let Some((since, _)) = self.connection.silent.take() {
            let message = format!("{} goes on: the network was down for {}", self.what(), now - since);
            self.log(now, Level::Warning, message);
        }
    }

    /// Gives up when the connection was silent for too long; whether it was.
    pub(super) fn look_at_connection(&mut self, now: SimTime) -> bool {
        let Some((since, until)) = self.connection.silent.filter(|(_, until)| *until <= now) else {
            return false;
        };
        let died = self.connection.destination_died;
        self.connection.silent = None;
        let failure = if died { Failure::DestinationDied } else { Failure::Silence(until - since) };
        self.fail(now, failure);
        true
    }

    /// A host has died while the guest was the source's.
    pub(super) fn host_died_before(&mut self, now: SimTime, side: Side) {
        match side {
            Side::Source => {
                let blackout = self.paused_since().map_or(Span::ZERO, |since| now - since);
                self.failed_at = Some((Failure::SourceDied, self.point()));
                self.abort_as(Outcome::Lost, self.failure_message(&Failure::SourceDied), blackout);
            }
            Side::Destination => self.connection.destination_died = true,
        }
    }

    /// The source dies while what went wrong before is undone.
    pub(super) fn source_died_meanwhile(&mut self, undo: Undo, paused: Span) {
        let point = self.point();
        self.failed_at = Some((Failure::SourceDied, point));
        let reason = self.failure_message(&Failure::SourceDied);
        self.state = State::Aborting { undo, outcome: Outcome::Lost, reason, paused };
    }

    /// A host has died when the guest ran at the destination.
    pub(super) fn host_died_after(&mut self, now: SimTime, side: Side, moved: PagesMoved) {
        if side == Side::Source && self.kind() != MigrationKind::Storage {
            self.warn_of_clean_up(now, &Failure::SourceDied);
            self.complete(now, moved);
            return;
        }
        let failure = if side == Side::Source { Failure::SourceDied } else { Failure::DestinationDied };
        let reason = self.failure_message(&failure);
        self.failed_at = Some((failure, FailurePoint::CleanUp));
        let (outcome, whereabouts) = (Outcome::Lost, Whereabouts::Off);
        let (brownout, blackout) = (moved.paused - self.started, moved.resumed - moved.paused);
        self.end_badly(
            now,
            End { outcome, whereabouts, reason, stop: Some(moved.reason), brownout, blackout },
        );
    }

    /// A host says that something broke.
    pub(super) fn broke(&mut self, now: SimTime, breakage: Breakage) {
        match (&self.state, &breakage) {
            (State::CopyingDisks | State::Copying, Breakage::Authentication) => {}
            (State::EndingMirror(_) | State::Finishing(_), _) => {
                self.warn_of_clean_up(now, &Failure::Broke(breakage));
            }
            _ => self.fail(now, Failure::Broke(breakage)),
        }
    }

    /// Gives up because of `failure`, the guest being the source's.
    pub(super) fn fail(&mut self, now: SimTime, failure: Failure) {
        let reason = self.failure_message(&failure);
        self.failed_at = Some((failure, self.point()));
        self.abort(now, Outcome::Failed, reason);
    }

    /// What of the failure stands in the record.
    pub(super) fn failure_record(&self) -> Option<Box<FailureRecord>> {
        let (failure, point) = self.failed_at.as_ref()?;
        let evidence = self.event_of(failure.logged()).map(|event| event.evidence);
        let advice = failure.advice(self.parties());
        Some(Box::new(FailureRecord { point: *point, evidence, advice }))
    }

    /// The event id of the failure, if there was one and the hypervisor logs it.
    pub(super) fn failure_event(&self) -> Option<u32> {
        let (failure, _) = self.failed_at.as_ref()?;
        self.event_id(failure.logged())
    }

    /// Logs how a migration ended that did not succeed.
    pub(super) fn log_end(&mut self, now: SimTime, outcome: Outcome, whereabouts: Whereabouts, reason: &str) {
        let level = match outcome {
            Outcome::Failed | Outcome::Lost => Level::Error,
            Outcome::Completed | Outcome::Cancelled | Outcome::NotStarted => Level::Warning,
        };
        let advice = self.failed_at.as_ref().and_then(|(failure, _)| failure.advice(self.parties()));
        let left = left(outcome, whereabouts);
        let message = format!("{} given up{}: {reason}{left}", self.what(), self.where_it_was());
        let event = self.event(now, level, message).of_kind(EventKind::Ended).with_id(self.failure_event());
        let event = match (&self.failed_at, outcome) {
            // The dead log nothing.
            (Some((Failure::SourceDied, _)), Outcome::Lost) => event.at(&self.order.destination),
            _ => event,
        };
        self.outbox.record(Record::Event(event.with_advice(advice)));
    }

    /// The number of an event, where the hypervisor is Hyper-V.
    pub(super) fn event_id(&self, logged: Option<Logged>) -> Option<u32> {
        self.event_of(logged).map(|event| event.id)
    }

    fn event_of(&self, logged: Option<Logged>) -> Option<crate::failures::catalogue::Event> {
        logged.filter(|_| self.order.policy.logs_as_hyper_v()).map(Logged::event)
    }

    pub(super) fn warn_of_clean_up(&mut self, now: SimTime, failure: &Failure) {
        let reason = failure.message(self.parties());
        let message = format!("{} not cleaned up at {}: {reason}", self.what(), self.order.source);
        let event = self.event(now, Level::Warning, message).at(&self.order.destination);
        let event = event.with_id(self.event_id(Some(Logged::CleanUpFailed)));
        self.outbox.record(Record::Event(event.with_advice(failure.advice(self.parties()))));
    }

    fn failure_message(&self, failure: &Failure) -> String {
        failure.message(self.parties())
    }

    fn parties(&self) -> Parties<'_> {
        let order = &self.order;
        Parties { vm: &order.vm, source: &order.source, destination: &order.destination }
    }

    /// How far the migration has come.
    fn point(&self) -> FailurePoint {
        match &self.state {
            State::Idle | State::Preparing => FailurePoint::Preparation,
            State::CopyingDisks => FailurePoint::Disks,
            State::Copying if self.paused_since().is_some() => FailurePoint::Pause,
            State::Copying => FailurePoint::Round(self.rounds() + 1),
            State::Committed => FailurePoint::Pause,
            State::EndingMirror(_) | State::Finishing(_) => FailurePoint::CleanUp,
            State::Aborting { .. } | State::Done(_) => {
                self.failed_at.as_ref().map_or(FailurePoint::Preparation, |(_, point)| *point)
            }
        }
    }

    fn where_it_was(&self) -> String {
        self.failed_at.as_ref().map_or(String::new(), |(_, point)| format!(" {}", point.spoken()))
    }
}

impl FailurePoint {
    /// As the log says it.
    pub fn spoken(self) -> String {
        match self {
            FailurePoint::Preparation => "while it was prepared".into(),
            FailurePoint::Disks => "while disks were copied".into(),
            FailurePoint::Round(round) => format!("in round {round}"),
            FailurePoint::Pause => "in the pause".into(),
            FailurePoint::CleanUp => "while the source was cleaned up".into(),
        }
    }
}

fn left(outcome: Outcome, whereabouts: Whereabouts) -> &'static str {
    match (outcome, whereabouts) {
        (_, Whereabouts::InDoubt) => {
            "; it is not known which side has the guest: look before starting either"
        }
        (Outcome::Lost, Whereabouts::AtDestination) => "; the guest was started anew at the destination",
        (Outcome::Lost, _) => "; the guest is off",
        (Outcome::Completed, _) => "; the guest runs at the destination all the same",
        _ => "",
    }
}
