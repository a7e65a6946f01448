//! How a migration ends, in the log and in its record.

use sim_core::{SimTime, Span};

use super::failing::Connection;
use super::{Command, MigrationController, State};
use crate::failures::LONG_BLACKOUT;
use crate::failures::catalogue::Logged;
use crate::page_loop::PagesMoved;
use crate::records::{EventRecord, Level, MigrationRecord, Outcome, Record};

impl MigrationController {
    pub(super) fn abort(&mut self, now: SimTime, outcome: Outcome, reason: String) {
        let paused = match self.pages.handed_over() {
            Some((paused, resumed)) => resumed - paused,
            None => self.paused_since().map_or(Span::ZERO, |since| now - since),
        };
        // The guest runs at the destination and never gets the rest of its memory: it is lost.
        let (outcome, reason) = match self.pages.handed_over() {
            Some(_) => (Outcome::Lost, format!("lost in post-copy: {reason}")),
            None => (outcome, reason),
        };
        self.abort_as(outcome, reason, paused);
    }

    pub(super) fn abort_as(&mut self, outcome: Outcome, reason: String, paused: Span) {
        self.deadline = SimTime::MAX;
        self.connection = Connection::default();
        self.state = State::Aborting { outcome, reason, paused };
        let mirrored = self.mirror.is_some();
        self.outbox.command(if mirrored { Command::EndMirror } else { Command::Abort });
    }

    pub(super) fn complete(&mut self, now: SimTime, moved: PagesMoved) {
        let brownout = moved.paused - self.started;
        let blackout = moved.resumed - moved.paused;
        self.log_completion(now, blackout);
        self.record(now, Outcome::Completed, moved.reason.to_string(), brownout, blackout);
    }

    pub(super) fn give_up(&mut self, now: SimTime, outcome: Outcome, reason: String, paused: Span) {
        let brownout = (now - self.started).saturating_sub(paused);
        self.end_badly(now, outcome, reason, brownout, paused);
    }

    pub(super) fn end_badly(
        &mut self,
        now: SimTime,
        outcome: Outcome,
        reason: String,
        brownout: Span,
        blackout: Span,
    ) {
        self.log_end(now, outcome, &reason);
        self.record(now, outcome, reason, brownout, blackout);
    }

    pub(super) fn log_completion(&mut self, now: SimTime, blackout: Span) {
        let (level, logged, after) = if blackout < LONG_BLACKOUT {
            (Level::Information, Logged::Completed, String::new())
        } else {
            let after = format!(" after an unexpectedly long blackout of {blackout}");
            (Level::Warning, Logged::CompletedAfterLongBlackout, after)
        };
        let id = self.event_id(Some(logged));
        self.log_as(now, level, id, format!("{} completed{after}", self.what()));
    }

    pub(super) fn log(&mut self, time: SimTime, level: Level, message: String) {
        self.log_as(time, level, None, message);
    }

    pub(super) fn log_as(&mut self, time: SimTime, level: Level, event_id: Option<u32>, message: String) {
        self.outbox.record(Record::Event(EventRecord {
            time,
            level,
            event_id,
            migration: Some(self.order.migration),
            vm: Some(self.order.vm.clone()),
            host: Some(self.order.source.clone()),
            message,
            advice: None,
        }));
    }

    pub(super) fn record(
        &mut self,
        now: SimTime,
        outcome: Outcome,
        reason: String,
        brownout: Span,
        blackout: Span,
    ) {
        self.state = State::Done(outcome);
        let (event_id, failure) = (self.failure_event(), self.failure_record(outcome));
        self.outbox.record(Record::Migration(MigrationRecord {
            migration: self.order.migration,
            vm: self.order.vm.clone(),
            source: self.order.source.clone(),
            destination: Some(self.order.destination.clone()),
            kind: self.kind(),
            transport: self.order.transport.clone(),
            outcome,
            reason,
            event_id,
            queued: self.order.queued,
            started: Some(self.started),
            total: now - self.started,
            brownout,
            blackout,
            memory_bytes_sent: self.memory_sent() + self.partly_sent,
            storage_bytes_sent: self.storage_sent(),
            rounds: self.rounds(),
            transfer: None,
            impact: self.impact.map(Box::new),
            failure,
            why: None,
        }));
    }
}
