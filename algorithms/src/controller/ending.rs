//! How a migration ends, in the log and in its record.

use sim_core::{SimTime, Span};

use super::failing::Connection;
use super::{Command, MigrationController, MigrationOrder, State, Undo};
use crate::failures::LONG_BLACKOUT;
use crate::failures::catalogue::Logged;
use crate::page_loop::PagesMoved;
use crate::policy::StopReason;
use crate::records::{EventKind, EventRecord, Level, MigrationRecord, Outcome, Record, Whereabouts};

/// How a migration ended.
pub(super) struct End {
    pub(super) outcome: Outcome,
    pub(super) whereabouts: Whereabouts,
    pub(super) reason: String,
    /// Why the last round was the last, where one was.
    pub(super) stop: Option<StopReason>,
    pub(super) brownout: Span,
    pub(super) blackout: Span,
}

impl MigrationController {
    pub(super) fn abort(&mut self, now: SimTime, outcome: Outcome, reason: String) {
        let paused = match self.memory.followed_by_memory() {
            Some((paused, resumed)) => resumed - paused,
            None => self.paused_since().map_or(Span::ZERO, |since| now - since),
        };
        // The guest runs at the destination and never gets the rest of its memory: it is lost.
        let (outcome, reason) = match self.memory.followed_by_memory() {
            Some(_) => (Outcome::Lost, format!("lost in post-copy: {reason}")),
            None => (outcome, reason),
        };
        self.abort_as(outcome, reason, paused);
    }

    pub(super) fn abort_as(&mut self, outcome: Outcome, reason: String, paused: Span) {
        self.deadline = SimTime::MAX;
        self.connection = Connection::default();
        let (undo, command) = match self.mirror {
            Some(_) => (Undo::MirrorEnds, Command::EndMirror),
            None => (Undo::AllIsUndone, Command::Abort),
        };
        self.state = State::Aborting { undo, outcome, reason, paused };
        self.outbox.command(command);
    }

    /// The mirror has ended, and nothing else is left to undo before the rest.
    pub(super) fn undo_the_rest(&mut self) {
        if let State::Aborting { undo, .. } = &mut self.state {
            *undo = Undo::AllIsUndone;
            self.outbox.command(Command::Abort);
        }
    }

    pub(super) fn complete(&mut self, now: SimTime, moved: PagesMoved) {
        let brownout = moved.paused - self.started;
        let blackout = moved.resumed - moved.paused;
        self.log_completion(now, blackout);
        let end = End {
            outcome: Outcome::Completed,
            whereabouts: Whereabouts::AtDestination,
            reason: moved.reason.to_string(),
            stop: Some(moved.reason),
            brownout,
            blackout,
        };
        self.record(now, end);
    }

    pub(super) fn give_up(
        &mut self,
        now: SimTime,
        (outcome, whereabouts): (Outcome, Whereabouts),
        reason: String,
        blackout: Span,
    ) {
        let brownout = (now - self.started).saturating_sub(blackout);
        self.end_badly(now, End { outcome, whereabouts, reason, stop: None, brownout, blackout });
    }

    pub(super) fn end_badly(&mut self, now: SimTime, end: End) {
        self.log_end(now, end.outcome, end.whereabouts, &end.reason);
        self.record(now, end);
    }

    pub(super) fn log_completion(&mut self, now: SimTime, blackout: Span) {
        let (level, logged, after) = if blackout < LONG_BLACKOUT {
            (Level::Information, Logged::Completed, String::new())
        } else {
            let after = format!(" after an unexpectedly long blackout of {blackout}");
            (Level::Warning, Logged::CompletedAfterLongBlackout, after)
        };
        let id = self.event_id(Some(logged));
        self.log_as(now, level, EventKind::Ended, id, format!("{} completed{after}", self.what()));
    }

    pub(super) fn log(&mut self, time: SimTime, level: Level, message: String) {
        self.log_as(time, level, EventKind::Note, None, message);
    }

    pub(super) fn log_as(
        &mut self,
        time: SimTime,
        level: Level,
        kind: EventKind,
        event_id: Option<u32>,
        message: String,
    ) {
        let event = self.event(time, level, message).of_kind(kind).with_id(event_id);
        self.outbox.record(Record::Event(event));
    }

    /// An event of this migration, which its source logs.
    pub(super) fn event(&self, time: SimTime, level: Level, message: String) -> EventRecord {
        let MigrationOrder { migration, vm, source, .. } = &self.order;
        EventRecord::new(time, level, message).of(*migration, vm).at(source)
    }

    fn record(&mut self, now: SimTime, end: End) {
        let End { outcome, whereabouts, reason, stop, brownout, blackout } = end;
        self.state = State::Done(outcome);
        let (event_id, failure) = (self.failure_event(), self.failure_record());
        self.outbox.record(Record::Migration(MigrationRecord {
            migration: self.order.migration,
            vm: self.order.vm.clone(),
            source: self.order.source.clone(),
            destination: Some(self.order.destination.clone()),
            kind: self.kind(),
            transport: Some(self.order.transport.clone()),
            outcome,
            whereabouts,
            reason,
            stop,
            event_id,
            queued: self.order.queued,
            started: Some(self.started),
            total: now - self.started,
            brownout,
            blackout,
            memory_bytes_sent: self.memory_sent() + self.partly_sent,
            storage_bytes_sent: self.storage_sent(),
            disks: self.order.storage.as_ref().map_or_else(Vec::new, |storage| storage.disks.clone()),
            rounds: self.rounds(),
            transfer: None,
            impact: self.impact.map(Box::new),
            failure,
            why: self.order.why.clone(),
        }));
    }
}
