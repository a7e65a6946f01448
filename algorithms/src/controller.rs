//! The controller of one migration: prepare, run the page loop, hand over, clean up; or give up.
//!
//! ```text
//!  Idle ─▶ Preparing ─▶ Copying ─▶ Finishing ─▶ Done
//!             │            │ deadline, cancel, failure: before the guest was handed over
//!             └────────────┴──▶ Aborting ─▶ Done
//! ```
//!
//! A migration that moves disks copies them first (`CopyingDisks`, between Preparing and Copying) and
//! ends their mirroring before Finishing or Aborting; see `controller/storage.rs`. One that moves disks
//! only never comes to Copying.
//!
//! Where two real hosts hand over by [`handover`](crate::handover), Copying goes on to `Committed` when
//! the destination is ready and nothing has come before that: from there on it is too late to give up.
//!
//! It owns the [`PageLoop`] and passes page inputs and commands through. Where a hypervisor owns the
//! loop itself, the commands go to its levers instead.

mod storage;

use serde::{Deserialize, Serialize};
use sim_core::{Bytes, SimTime, Span};

use crate::ids::{MigrationId, Name};
use crate::machine::{Outbox, Output, Refused};
use crate::page_loop::{PageCommand, PageInput, PageLoop, PagesMoved};
use crate::policy::Policy;
use crate::records::{EventRecord, Level, MigrationRecord, Outcome, Record};
use crate::storage_mirror::{MirrorCommand, MirrorInput, StorageMirror, StorageOrder};

/// Who moves from where to where, and by which rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MigrationOrder {
    /// Its number.
    pub migration: MigrationId,
    /// The guest.
    pub vm: Name,
    /// Where it runs.
    pub source: Name,
    /// Where it is to run.
    pub destination: Name,
    /// The transport's name.
    pub transport: Name,
    /// The guest's memory.
    pub memory: Bytes,
    /// The hypervisor's rules.
    pub policy: Policy,
    /// The limit on its time, if any.
    pub deadline: Option<Deadline>,
    /// When it was asked for.
    pub queued: SimTime,
    /// The disks that move too, if any.
    pub storage: Option<StorageOrder>,
}

/// A limit on a migration's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {
    /// Since the migration started.
    pub after: Span,
    /// What then.
    pub action: DeadlineAction,
}

/// What to do when a migration's deadline has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeadlineAction {
    /// Give up; the guest goes on at the source.
    Cancel,
    /// Pause the guest at the end of the round, and send the rest.
    ForcePause,
}

/// What the controller is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Input {
    /// Begin.
    Begin,
    /// The destination is ready to receive.
    Prepared,
    /// For the page loop.
    Page(PageInput),
    /// For the copying of disks.
    Storage(MirrorInput),
    /// Writes go to one side only from now on.
    MirrorEnded {
        /// What the guest wrote to both meanwhile.
        written: Bytes,
    },
    /// The destination has all it needs and waits for the decision; hosts that hand over in two
    /// phases say so between [`PageCommand::Resume`] and [`PageInput::Resumed`].
    Ready,
    /// All is cleaned up after success.
    Finished,
    /// All is undone; the guest runs at the source.
    Aborted {
        /// Sent of what was being sent when it was given up.
        sent: Bytes,
    },
    /// The deadline has come, or nothing has: the controller looks at the time.
    Tick,
    /// Give up.
    Cancel {
        /// Who wants it so, and why.
        reason: String,
    },
    /// A host says that it cannot go on.
    Failed {
        /// In its words.
        reason: String,
    },
}

/// What the controller wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Connect, authenticate, create the guest at the destination; answer [`Input::Prepared`].
    Prepare,
    /// For the page loop's host side; answered by [`Input::Page`].
    Page(PageCommand),
    /// For the copying of disks; answered by [`Input::Storage`].
    Storage(MirrorCommand),
    /// End the mirroring of all disks: the guest uses the copies if it was switched over to them, and
    /// its old disks otherwise. Answer [`Input::MirrorEnded`].
    EndMirror,
    /// The guest is the destination's from now on. It follows [`Input::Ready`]; answer
    /// [`PageInput::Resumed`], or [`Input::Failed`] where the destination never will run the guest.
    Commit,
    /// Remove what is left at the source; answer [`Input::Finished`].
    Finish,
    /// Undo: the guest runs on at the source; answer [`Input::Aborted`].
    Abort,
}

/// The state machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MigrationController {
    order: MigrationOrder,
    pages: PageLoop,
    mirror: Option<StorageMirror>,
    /// Written to both sides by the guest.
    mirrored: Bytes,
    /// Sent of a disk that was given up.
    disk_partly_sent: Bytes,
    state: State,
    started: SimTime,
    deadline: SimTime,
    /// Sent of a round that was given up.
    partly_sent: Bytes,
    outbox: Outbox<Command, Outcome>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum State {
    Idle,
    Preparing,
    CopyingDisks,
    Copying,
    /// Decided: given up only if the destination cannot.
    Committed,
    EndingMirror(PagesMoved),
    Finishing(PagesMoved),
    Aborting {
        outcome: Outcome,
        reason: String,
        paused: Span,
    },
    Done(Outcome),
}

impl MigrationController {
    /// A controller that waits for [`Input::Begin`].
    pub fn new(order: MigrationOrder) -> MigrationController {
        let pages = PageLoop::new(order.migration, order.policy.clone(), order.memory);
        let mirror = storage::mirror(&order);
        MigrationController {
            order,
            pages,
            mirror,
            mirrored: Bytes::ZERO,
            disk_partly_sent: Bytes::ZERO,
            state: State::Idle,
            started: SimTime::ZERO,
            deadline: SimTime::MAX,
            partly_sent: Bytes::ZERO,
            outbox: Outbox::new(),
        }
    }

    /// Takes in what happened at `now`.
    ///
    /// # Errors
    ///
    /// [`Refused`] where the input does not fit the state; nothing has changed then.
    pub fn handle(&mut self, now: SimTime, input: Input) -> Result<(), Refused> {
        match (&self.state, input) {
            (State::Idle, Input::Begin) => self.begin(now),
            (State::Preparing, Input::Prepared) if self.mirror.is_some() => self.begin_disks(now)?,
            (State::Preparing, Input::Prepared) => {
                self.state = State::Copying;
                self.page_input(now, PageInput::Begin)?;
            }
            (State::CopyingDisks, Input::Storage(input)) => self.mirror_input(now, input)?,
            (State::EndingMirror(moved), Input::MirrorEnded { written }) => {
                let moved = *moved;
                self.mirrored = written;
                self.finish(moved);
            }
            (State::Aborting { .. }, Input::MirrorEnded { written }) => {
                self.mirrored = written;
                self.outbox.command(Command::Abort);
            }
            (State::Copying, Input::Page(input)) => self.page_input(now, input)?,
            (State::Copying, Input::Ready) if self.pages.is_resuming() => {
                self.state = State::Committed;
                self.deadline = SimTime::MAX;
                self.outbox.command(Command::Commit);
            }
            (State::Committed, Input::Page(input @ PageInput::Resumed)) => self.page_input(now, input)?,
            (State::Committed, Input::Failed { reason }) => self.abort(now, Outcome::Failed, reason),
            (State::Finishing(moved), Input::Finished) => self.complete(now, *moved),
            (State::Aborting { outcome, reason, paused }, Input::Aborted { sent }) => {
                let (outcome, reason, paused) = (*outcome, reason.clone(), *paused);
                self.note_partly_sent(sent);
                self.give_up(now, outcome, reason, paused);
            }
            (State::Preparing | State::CopyingDisks | State::Copying, Input::Tick) => {
                self.look_at_deadline(now)?
            }
            (State::Preparing | State::CopyingDisks | State::Copying, Input::Cancel { reason }) => {
                self.abort(now, Outcome::Cancelled, reason);
            }
            (State::Preparing | State::CopyingDisks | State::Copying, Input::Failed { reason }) => {
                self.abort(now, Outcome::Failed, reason);
            }
            // What was under way when it was given up may still be answered.
            (
                State::Aborting { .. },
                Input::Page(_)
                | Input::Storage(_)
                | Input::Prepared
                | Input::Ready
                | Input::Failed { .. }
                | Input::Cancel { .. },
            ) => {}
            // The guest has been handed over: too late to give up.
            (State::Committed | State::EndingMirror(_) | State::Finishing(_), Input::Cancel { .. }) => {}
            (
                State::Committed
                | State::EndingMirror(_)
                | State::Finishing(_)
                | State::Aborting { .. }
                | State::Done(_),
                Input::Tick,
            ) => {}
            (state, input) => {
                return Err(Refused { input: format!("{input:?}"), state: format!("{state:?}") });
            }
        }
        Ok(())
    }

    /// What to do now. Call it until it gives [`Output::Wait`] or [`Output::Done`].
    pub fn poll(&mut self) -> Output<Command, Outcome> {
        match (self.outbox.pop(), &self.state) {
            (Some(output), _) => output,
            (None, State::Done(outcome)) => Output::Done(*outcome),
            (None, _) => Output::Wait(self.deadline),
        }
    }

    /// The order that it carries out.
    pub fn order(&self) -> &MigrationOrder {
        &self.order
    }

    fn begin(&mut self, now: SimTime) {
        self.started = now;
        self.deadline = self.order.deadline.map_or(SimTime::MAX, |deadline| now + deadline.after);
        self.state = State::Preparing;
        self.log(now, Level::Information, format!("{} started", self.what()));
        self.outbox.command(Command::Prepare);
    }

    fn page_input(&mut self, now: SimTime, input: PageInput) -> Result<(), Refused> {
        self.pages.handle(now, input)?;
        loop {
            match self.pages.poll() {
                Output::Command(command) => self.outbox.command(Command::Page(command)),
                Output::Record(record) => self.outbox.record(record),
                Output::Wait(_) => return Ok(()),
                Output::Done(moved) => {
                    self.moved(moved);
                    return Ok(());
                }
            }
        }
    }

    /// All that was to be moved is.
    fn moved(&mut self, moved: PagesMoved) {
        self.deadline = SimTime::MAX;
        if self.mirror.is_some() {
            self.state = State::EndingMirror(moved);
            self.outbox.command(Command::EndMirror);
        } else {
            self.finish(moved);
        }
    }

    fn finish(&mut self, moved: PagesMoved) {
        self.state = State::Finishing(moved);
        self.outbox.command(Command::Finish);
    }

    fn look_at_deadline(&mut self, now: SimTime) -> Result<(), Refused> {
        if now < self.deadline {
            return Ok(());
        }
        self.deadline = SimTime::MAX;
        match self.order.deadline.map(|deadline| deadline.action) {
            Some(DeadlineAction::ForcePause) if self.state == State::Copying => {
                self.page_input(now, PageInput::ForcePause)
            }
            Some(_) => {
                self.abort(now, Outcome::Cancelled, "not done at its deadline".into());
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn abort(&mut self, now: SimTime, outcome: Outcome, reason: String) {
        let paused = self.pages.paused_since().map_or(Span::ZERO, |since| now - since);
        self.deadline = SimTime::MAX;
        self.state = State::Aborting { outcome, reason, paused };
        let mirrored = self.mirror.is_some();
        self.outbox.command(if mirrored { Command::EndMirror } else { Command::Abort });
    }

    fn complete(&mut self, now: SimTime, moved: PagesMoved) {
        let brownout = moved.paused - self.started;
        let blackout = moved.resumed - moved.paused;
        self.log(now, Level::Information, format!("{} completed", self.what()));
        self.record(now, Outcome::Completed, moved.reason.to_string(), brownout, blackout);
    }

    fn give_up(&mut self, now: SimTime, outcome: Outcome, reason: String, paused: Span) {
        let level = if outcome == Outcome::Failed { Level::Error } else { Level::Warning };
        self.log(now, level, format!("{} given up: {reason}", self.what()));
        let brownout = (now - self.started).saturating_sub(paused);
        self.record(now, outcome, reason, brownout, paused);
    }

    fn log(&mut self, time: SimTime, level: Level, message: String) {
        self.outbox.record(Record::Event(EventRecord {
            time,
            level,
            event_id: None,
            migration: Some(self.order.migration),
            vm: Some(self.order.vm.clone()),
            host: Some(self.order.source.clone()),
            message,
            advice: None,
        }));
    }

    fn record(&mut self, now: SimTime, outcome: Outcome, reason: String, brownout: Span, blackout: Span) {
        self.state = State::Done(outcome);
        self.outbox.record(Record::Migration(MigrationRecord {
            migration: self.order.migration,
            vm: self.order.vm.clone(),
            source: self.order.source.clone(),
            destination: Some(self.order.destination.clone()),
            kind: self.kind(),
            transport: self.order.transport.clone(),
            outcome,
            reason,
            event_id: None,
            queued: self.order.queued,
            started: Some(self.started),
            total: now - self.started,
            brownout,
            blackout,
            memory_bytes_sent: self.pages.total_sent() + self.partly_sent,
            storage_bytes_sent: self.storage_sent(),
            rounds: self.pages.rounds(),
            transfer: None,
            why: None,
        }));
    }
}
