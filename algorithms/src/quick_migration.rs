//! Quick migration of a clustered role: taken offline, moved, brought online again.
//!
//! ```text
//!          runs                 moved, no more than a change of owner
//!  Idle ─────────▶ GoingOffline ─────────▶ ComingOnline ─▶ Done     quick migration
//!    │                  └────────────────────────────────▶ Done     stopped by a forced drain
//!    └─ is offline ───────────────────────▶ ComingOnline            brought online again
//! ```
//!
//! Nothing crosses the network: the state of a saved guest is written to its storage and read from there
//! at the other host, so that its pause is as long as both of these (A. Finn, aidanfinn.com ?p=13715: the load
//! is on the storage rather than on the migration network). What the change of the owner takes beside is not
//! published, and nothing here.
//!
//! Given up before it is online, the guest is brought back at the source.

use serde::{Deserialize, Serialize};
use sim_core::{Bytes, SimTime, Span};

use crate::failover::OfflineAction;
use crate::ids::{MigrationId, Name};
use crate::machine::{Machine, Outbox, Output, Refused};
use crate::records::{
    EventKind, EventRecord, Level, MigrationKind, MigrationRecord, Outcome, Record, Whereabouts,
};

/// A role to move in this way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuickOrder {
    /// Its number.
    pub migration: MigrationId,
    /// The guest.
    pub vm: Name,
    /// The host that owns it.
    pub source: Name,
    /// The host that is to own it.
    pub destination: Name,
    /// What its state would take on storage.
    pub memory: Bytes,
    /// When it was asked for.
    pub queued: SimTime,
    /// How far it goes.
    pub kind: QuickKind,
    /// How it goes offline, or went when it was stopped.
    pub offline: OfflineAction,
    /// What made the cluster move it, how, and why to there.
    pub why: Option<Name>,
}

/// How far a role goes in its way offline and online.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum QuickKind {
    /// Offline, and online at the destination.
    Move,
    /// Offline, and no further.
    Stop,
    /// Online; it has been offline since then.
    Start {
        /// When it had gone offline.
        since: SimTime,
    },
}

/// What the machine is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum QuickInput {
    /// Begin.
    Begin,
    /// The guest runs no longer; all of its state that was to be written is.
    Offline,
    /// The guest runs at the destination.
    Online,
    /// The guest is as it was before, at the source.
    Undone,
    /// Give up.
    Cancel {
        /// Who wants it so, and why.
        reason: String,
    },
}

/// What the machine wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum QuickCommand {
    /// Pause the guest and write this much of its state to its storage; answer [`QuickInput::Offline`].
    Save {
        /// How much.
        bytes: Bytes,
    },
    /// Let its operating system shut down; answer [`QuickInput::Offline`].
    ShutDown,
    /// Turn it off; answer [`QuickInput::Offline`].
    TurnOff,
    /// Read its state at the destination and let it go on there; answer [`QuickInput::Online`].
    Restore {
        /// How much.
        bytes: Bytes,
    },
    /// Start it at the destination; answer [`QuickInput::Online`].
    Boot,
    /// Stop what is under way, and leave the guest as it was, at the source; answer [`QuickInput::Undone`].
    Undo,
}

/// The state machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuickMigration {
    order: QuickOrder,
    state: State,
    started: SimTime,
    /// Since when the guest has not run.
    offline_since: Option<SimTime>,
    written: Bytes,
    outbox: Outbox<QuickCommand, Outcome>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    Idle,
    GoingOffline,
    ComingOnline,
    Undoing(String),
    Done(Outcome),
}

impl Machine for QuickMigration {
    type Input = QuickInput;
    type Command = QuickCommand;
    type Done = Outcome;

    fn handle(&mut self, now: SimTime, input: QuickInput) -> Result<(), Refused> {
        match (&self.state, input) {
            (State::Idle, QuickInput::Begin) => self.begin(now),
            (State::GoingOffline, QuickInput::Offline) => self.is_offline(now),
            (State::ComingOnline, QuickInput::Online) => {
                self.log(now, Level::Information, EventKind::Ended, format!("{} completed", self.what()));
                self.end(now, Outcome::Completed, self.said_of_online().to_string());
            }
            (State::GoingOffline | State::ComingOnline, QuickInput::Cancel { reason }) => {
                self.state = State::Undoing(reason);
                self.outbox.command(QuickCommand::Undo);
            }
            (State::Undoing(reason), QuickInput::Undone) => {
                let reason = reason.clone();
                self.log(
                    now,
                    Level::Warning,
                    EventKind::Ended,
                    format!("{} given up: {reason}", self.what()),
                );
                self.end(now, Outcome::Cancelled, reason);
            }
            (State::Undoing(_), QuickInput::Cancel { .. }) => {}
            (state, input) => return Err(Refused::of(&input, state)),
        }
        Ok(())
    }

    fn poll(&mut self) -> Output<QuickCommand, Outcome> {
        match (self.outbox.pop(), &self.state) {
            (Some(output), _) => output,
            (None, State::Done(outcome)) => Output::Done(*outcome),
            (None, _) => Output::Wait(SimTime::MAX),
        }
    }
}

impl QuickMigration {
    /// A machine that waits for [`QuickInput::Begin`].
    pub fn new(order: QuickOrder) -> QuickMigration {
        QuickMigration {
            order,
            state: State::Idle,
            started: SimTime::ZERO,
            offline_since: None,
            written: Bytes::ZERO,
            outbox: Outbox::new(),
        }
    }

    fn begin(&mut self, now: SimTime) {
        self.started = now;
        self.log(now, Level::Information, EventKind::Started, format!("{} started", self.what()));
        if let QuickKind::Start { since } = self.order.kind {
            // What it is told of the past cannot be later than now.
            self.offline_since = Some(since.min(now));
            return self.come_online();
        }
        self.state = State::GoingOffline;
        self.outbox.command(match self.order.offline {
            OfflineAction::Save => {
                self.offline_since = Some(now);
                QuickCommand::Save { bytes: self.order.memory }
            }
            OfflineAction::ShutDown => QuickCommand::ShutDown,
            OfflineAction::TurnOff => QuickCommand::TurnOff,
        });
    }

    fn is_offline(&mut self, now: SimTime) {
        self.offline_since.get_or_insert(now);
        if self.order.offline == OfflineAction::Save {
            self.written = self.order.memory;
        }
        match self.order.kind {
            QuickKind::Move | QuickKind::Start { .. } => self.come_online(),
            QuickKind::Stop => {
                let done = self.order.offline.done();
                let message = format!("{done}: it runs nowhere until it is started again");
                self.log(now, Level::Warning, EventKind::Ended, message);
                self.end(now, Outcome::Completed, done.to_string());
            }
        }
    }

    fn come_online(&mut self) {
        self.state = State::ComingOnline;
        self.outbox.command(match self.order.offline {
            OfflineAction::Save => QuickCommand::Restore { bytes: self.order.memory },
            OfflineAction::ShutDown | OfflineAction::TurnOff => QuickCommand::Boot,
        });
    }

    fn said_of_online(&self) -> &'static str {
        match self.order.offline {
            OfflineAction::Save => "saved and restored",
            OfflineAction::ShutDown => "shut down and started",
            OfflineAction::TurnOff => "turned off and started",
        }
    }

    fn what(&self) -> String {
        let destination = &self.order.destination;
        match self.order.kind {
            QuickKind::Move => format!("quick migration to {destination}"),
            QuickKind::Stop => "stop by a forced drain".to_string(),
            QuickKind::Start { .. } => format!("start at {destination}"),
        }
    }

    fn log(&mut self, time: SimTime, level: Level, kind: EventKind, message: String) {
        let event = EventRecord::new(time, level, message).of_kind(kind);
        self.outbox
            .record(Record::Event(event.of(self.order.migration, &self.order.vm).at(&self.order.source)));
    }

    /// Where the VM is after it ended so. Given up, it is as it was before.
    fn whereabouts(&self, outcome: Outcome) -> Whereabouts {
        match (outcome, self.order.kind) {
            (Outcome::Completed, QuickKind::Stop) => Whereabouts::Off,
            (Outcome::Completed, QuickKind::Move | QuickKind::Start { .. }) => Whereabouts::AtDestination,
            (_, QuickKind::Start { .. }) => Whereabouts::Off,
            (outcome, _) => outcome.whereabouts(),
        }
    }

    fn end(&mut self, now: SimTime, outcome: Outcome, reason: String) {
        self.state = State::Done(outcome);
        let blackout = self.offline_since.map_or(Span::ZERO, |since| now - since);
        let total = now - self.started;
        self.outbox.record(Record::Migration(MigrationRecord {
            migration: self.order.migration,
            vm: self.order.vm.clone(),
            source: self.order.source.clone(),
            destination: Some(self.order.destination.clone()),
            kind: match self.order.kind {
                QuickKind::Move => MigrationKind::Quick,
                QuickKind::Stop => MigrationKind::Stop,
                QuickKind::Start { .. } => MigrationKind::Start,
            },
            // Its state goes through its storage, not over the network.
            transport: Some("storage".into()),
            outcome,
            whereabouts: self.whereabouts(outcome),
            reason,
            stop: None,
            event_id: None,
            queued: self.order.queued,
            started: Some(self.started),
            total,
            brownout: total.saturating_sub(blackout),
            blackout,
            memory_bytes_sent: Bytes::ZERO,
            storage_bytes_sent: self.written,
            disks: Vec::new(),
            rounds: 0,
            transfer: None,
            impact: None,
            failure: None,
            why: self.order.why.clone(),
        }));
    }
}
