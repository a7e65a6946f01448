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
//! the destination is ready and nothing has come before that: from there on it is too late to give up. In
//! post-copy the rest of the memory is sent while it is `Committed`.
//! What breaks on the way is `controller/failing.rs`.
//!
//! The order says whose the page loop is ([`LoopOwner`]): either [our own](crate::page_loop), whose commands go to
//! the host, or the hypervisor's, which [another machine](crate::hypervisor_loop) watches and steers by its levers.
//! There is one of the two, never both; see `controller/memory_loop.rs`.

mod deadline;
mod ending;
mod failing;
mod memory_loop;
mod storage;

use serde::{Deserialize, Serialize};
use sim_core::{Bytes, SimTime, Span};

use crate::failures::catalogue::Logged;
use crate::failures::{Breakage, Failure, FailurePoint, Side};
use crate::hypervisor_loop::{LoopCommand, LoopInput};
use crate::ids::{MigrationId, Name};
use crate::journal::{Recorded, Stage};
use crate::machine::{Machine, Outbox, Output, Refused};
use crate::page_loop::{Opening, PageCommand, PageInput, PagesMoved};
use crate::policy::Policy;
use crate::records::{EventKind, ImpactRecord, Level, NeverBegun, Outcome, Whereabouts};
use crate::storage_mirror::{MirrorCommand, MirrorInput, StorageMirror, StorageOrder};
pub use deadline::{Deadline, DeadlineAction};
use failing::Connection;
use memory_loop::MemoryLoop;

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
    /// Whose the page loop is.
    #[serde(default)]
    pub page_loop: LoopOwner,
    /// Of what a failover cluster moves: what made it move, how, and why to there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Name>,
}

/// Whose the page loop is: who sends which page when, and who decides when to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoopOwner {
    /// Ours: the host sends, counts and pauses as the page loop says.
    #[default]
    Own,
    /// The hypervisor's: it is started, watched and steered by its levers. When it goes over to post-copy its policy
    /// says, which must be QEMU's for that.
    Hypervisor,
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
    /// For the hypervisor's own page loop.
    Loop(LoopInput),
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
    /// What it did to the guest, where a host can tell; before the last page input.
    Impact(ImpactRecord),
    /// All is cleaned up after success.
    Finished,
    /// All is undone that could be.
    Aborted {
        /// Sent of what was being sent when it was given up.
        sent: Bytes,
        /// Where the VM is now, by what the host found.
        whereabouts: Whereabouts,
    },
    /// The deadline has come, or nothing has: the controller looks at the time.
    Tick,
    /// Give up.
    Cancel {
        /// Who wants it so, and why.
        reason: String,
    },
    /// Go on by other rules of the same hypervisor: what an operator changes while it goes on.
    Adjust {
        /// The rules from now on.
        policy: Box<Policy>,
    },
    /// A host says that it cannot go on.
    Failed {
        /// In its words.
        reason: String,
    },
    /// A host says that something broke.
    Broke(Breakage),
    /// A host has died.
    HostDied(Side),
    /// Nothing comes through between the hosts any more.
    Silent {
        /// The connection breaks if that lasts for so long.
        limit: Span,
    },
    /// It does again.
    Heard,
}

/// What the controller wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Connect, authenticate, create the guest at the destination; answer [`Input::Prepared`].
    Prepare,
    /// For the page loop's host side; answered by [`Input::Page`], but for [`PageCommand::Throttle`], which is not
    /// answered.
    Page(PageCommand),
    /// For the levers of a hypervisor that has its own page loop. Only what it comes to is told, by [`Input::Loop`],
    /// as it happens.
    Loop(LoopCommand),
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
    /// Undo, so that exactly one side runs the VM: the source, unless it was handed over. Answer [`Input::Aborted`].
    Abort,
}

/// The state machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MigrationController {
    order: MigrationOrder,
    memory: MemoryLoop,
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
    connection: Connection,
    /// What broke, and how far it had come then.
    failed_at: Option<(Failure, FailurePoint)>,
    #[serde(default)]
    impact: Option<ImpactRecord>,
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
    /// How it ends, unless the host finds the VM elsewhere.
    Aborting {
        undo: Undo,
        outcome: Outcome,
        reason: String,
        paused: Span,
    },
    Done(Outcome),
}

/// Which answer a migration that is given up waits for: each comes once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Undo {
    MirrorEnds,
    AllIsUndone,
}

impl Machine for MigrationController {
    type Input = Input;
    type Command = Command;
    type Done = Outcome;

    /// Answers to commands are one table, and disturbances are another. No row is in both.
    fn handle(&mut self, now: SimTime, input: Input) -> Result<(), Refused> {
        match input {
            Input::Tick
            | Input::Cancel { .. }
            | Input::Failed { .. }
            | Input::Adjust { .. }
            | Input::Broke(_)
            | Input::HostDied(_)
            | Input::Silent { .. }
            | Input::Heard => self.disturbed(now, input),
            Input::Begin
            | Input::Prepared
            | Input::Page(_)
            | Input::Loop(_)
            | Input::Storage(_)
            | Input::MirrorEnded { .. }
            | Input::Ready
            | Input::Impact(_)
            | Input::Finished
            | Input::Aborted { .. } => self.answered(now, input),
        }
    }

    fn poll(&mut self) -> Output<Command, Outcome> {
        match (self.outbox.pop(), &self.state) {
            (Some(output), _) => output,
            (None, State::Done(outcome)) => Output::Done(*outcome),
            (None, _) => Output::Wait(self.wakes()),
        }
    }
}

impl Recorded for MigrationController {
    type Order = MigrationOrder;

    fn fresh(order: MigrationOrder) -> MigrationController {
        MigrationController::new(order)
    }

    fn stage(command: &Command) -> Stage {
        match command {
            Command::Commit
            | Command::Loop(LoopCommand::Resume | LoopCommand::LeavePaused)
            | Command::Storage(MirrorCommand::SwitchOver) => Stage::Decides,
            // A host that hands over in two phases gets ready first, and waits for `Commit`; one that does not, runs
            // the VM.
            Command::Page(PageCommand::Resume) => Stage::MayDecide,
            Command::Page(PageCommand::Send { opening: Opening::PostCopy, .. })
            | Command::EndMirror
            | Command::Finish
            | Command::Abort => Stage::Ends,
            Command::Prepare | Command::Page(_) | Command::Loop(_) | Command::Storage(_) => Stage::GoesOn,
        }
    }

    fn failed(reason: String) -> Input {
        Input::Failed { reason }
    }
}

/// How a migration that was given up ends, and where its VM is, by where the host found that.
fn found(outcome: Outcome, whereabouts: Whereabouts) -> (Outcome, Whereabouts) {
    match (outcome, whereabouts) {
        // What its memory never followed to, or what died with its host, goes on nowhere.
        (Outcome::Lost, Whereabouts::AtSource) => (Outcome::Lost, Whereabouts::Off),
        (Outcome::Lost, elsewhere) => (Outcome::Lost, elsewhere),
        (_, Whereabouts::Off) => (Outcome::Lost, Whereabouts::Off),
        (_, Whereabouts::AtDestination) => (Outcome::Completed, Whereabouts::AtDestination),
        (_, Whereabouts::InDoubt) => (Outcome::Failed, Whereabouts::InDoubt),
        (outcome, Whereabouts::AtSource) => (outcome, Whereabouts::AtSource),
    }
}

impl MigrationController {
    /// The beginning, and what answers a command.
    fn answered(&mut self, now: SimTime, input: Input) -> Result<(), Refused> {
        match (&self.state, input) {
            (State::Idle, Input::Begin) => self.begin(now),
            (State::Preparing, Input::Prepared) if self.mirror.is_some() => self.begin_disks(now)?,
            (State::Preparing, Input::Prepared) => {
                self.state = State::Copying;
                self.begin_memory(now)?;
            }
            (State::CopyingDisks, Input::Storage(input)) => self.mirror_input(now, input)?,
            (State::Copying, Input::Loop(input)) => self.loop_input(now, input)?,
            (State::Copying | State::Committed, Input::Page(input)) => self.page_input(now, input)?,
            (State::Copying, Input::Ready) if self.memory.waits_for_hand_over() => {
                self.state = State::Committed;
                self.deadline = SimTime::MAX;
                self.outbox.command(Command::Commit);
            }
            (State::Committed, Input::Impact(impact)) => self.impact = Some(impact),
            (State::EndingMirror(moved), Input::MirrorEnded { written }) => {
                let moved = *moved;
                self.mirrored = written;
                self.finish(moved);
            }
            (State::Finishing(moved), Input::Finished) => self.complete(now, *moved),
            (State::Aborting { undo: Undo::MirrorEnds, .. }, Input::MirrorEnded { written }) => {
                self.mirrored = written;
                self.undo_the_rest();
            }
            (
                State::Aborting { undo: Undo::AllIsUndone, outcome, reason, paused },
                Input::Aborted { sent, whereabouts },
            ) => {
                let (outcome, reason, paused) = (*outcome, reason.clone(), *paused);
                self.note_partly_sent(sent);
                self.give_up(now, found(outcome, whereabouts), reason, paused);
            }
            // What was under way when it was given up may still be answered.
            (
                State::Aborting { .. },
                Input::Page(_) | Input::Loop(_) | Input::Storage(_) | Input::Prepared | Input::Ready,
            ) => {}
            (state, input) => return Err(Refused::of(&input, state)),
        }
        Ok(())
    }

    /// What comes in between: the time, an operator's wish, and what breaks.
    fn disturbed(&mut self, now: SimTime, input: Input) -> Result<(), Refused> {
        use State::{
            Aborting, Committed, Copying, CopyingDisks, Done, EndingMirror, Finishing, Idle, Preparing,
        };
        match (&self.state, input) {
            (Idle, Input::Cancel { reason } | Input::Failed { reason }) => self.never_begin(now, reason),
            (CopyingDisks, Input::Tick | Input::Cancel { .. }) if self.is_switching_over() => {}
            // The destination may run the guest: too late to give up.
            (Copying, Input::Cancel { .. }) if self.is_handed_over() => {}
            (Preparing | CopyingDisks | Copying, Input::Tick) => self.look_at_deadline(now)?,
            (Preparing | CopyingDisks | Copying, Input::Cancel { reason }) => {
                self.abort(now, Outcome::Cancelled, reason);
            }
            (Preparing | CopyingDisks | Copying, Input::Failed { reason }) => {
                self.fail(now, Failure::Said(reason));
            }
            (Committed, Input::Failed { reason }) => self.abort(now, Outcome::Failed, reason),
            // The guest runs at the destination: what is left undone there is to be looked at, and nothing to wait for.
            (EndingMirror(moved) | Finishing(moved), Input::Failed { reason }) => {
                let (moved, is_last) = (*moved, matches!(self.state, Finishing(_)));
                self.warn_of_clean_up(now, &Failure::Said(reason));
                if is_last { self.complete(now, moved) } else { self.finish(moved) }
            }
            (Idle | Preparing | CopyingDisks | Copying, Input::Adjust { policy }) => {
                self.memory.adjust(&policy)?;
                self.order.policy = *policy;
            }
            (Preparing | CopyingDisks | Copying, Input::Silent { limit }) => self.fall_silent(now, limit),
            (Preparing | CopyingDisks | Copying, Input::Heard) => self.hear_again(now),
            (Preparing | CopyingDisks | Copying, Input::HostDied(side)) => self.host_died_before(now, side),
            (EndingMirror(moved) | Finishing(moved), Input::HostDied(side)) => {
                let moved = *moved;
                self.host_died_after(now, side, moved);
            }
            (Aborting { undo, paused, .. }, Input::HostDied(Side::Source)) => {
                let (undo, paused) = (*undo, *paused);
                self.source_died_meanwhile(undo, paused);
            }
            (Preparing | CopyingDisks | Copying | EndingMirror(_) | Finishing(_), Input::Broke(breakage)) => {
                self.broke(now, breakage);
            }
            // What is left to do is done by one host alone, or has failed already.
            (EndingMirror(_) | Finishing(_) | Aborting { .. }, Input::Silent { .. } | Input::Heard) => {}
            (Aborting { .. }, Input::Broke(_) | Input::HostDied(Side::Destination)) => {}
            (Aborting { .. }, Input::Failed { .. } | Input::Cancel { .. }) => {}
            // The guest has been handed over: too late to give up.
            (Committed | EndingMirror(_) | Finishing(_), Input::Cancel { .. }) => {}
            (Idle | Committed | EndingMirror(_) | Finishing(_) | Aborting { .. } | Done(_), Input::Tick) => {}
            (state, input) => return Err(Refused::of(&input, state)),
        }
        Ok(())
    }

    /// A controller that waits for [`Input::Begin`].
    pub fn new(order: MigrationOrder) -> MigrationController {
        let (memory, mirror) = (MemoryLoop::of(&order), storage::mirror(&order));
        MigrationController {
            order,
            memory,
            mirror,
            mirrored: Bytes::ZERO,
            disk_partly_sent: Bytes::ZERO,
            state: State::Idle,
            started: SimTime::ZERO,
            deadline: SimTime::MAX,
            partly_sent: Bytes::ZERO,
            connection: Connection::default(),
            failed_at: None,
            impact: None,
            outbox: Outbox::new(),
        }
    }

    /// The order that it carries out.
    pub fn order(&self) -> &MigrationOrder {
        &self.order
    }

    fn never_begin(&mut self, now: SimTime, reason: String) {
        let MigrationOrder { migration, vm, source, destination, why, .. } = self.order.clone();
        self.state = State::Done(Outcome::NotStarted);
        let (destination, kind, event_id) = (Some(destination), self.kind(), None);
        let whereabouts = Whereabouts::AtSource;
        let never =
            NeverBegun { migration, vm, source, destination, kind, reason, whereabouts, event_id, why };
        self.outbox.record(never.event(now, None));
        self.outbox.record(never.record(now));
    }

    fn begin(&mut self, now: SimTime) {
        self.started = now;
        self.deadline = self.order.deadline.map_or(SimTime::MAX, |deadline| now + deadline.after);
        self.state = State::Preparing;
        let id = self.event_id(Some(Logged::Started));
        self.log_as(now, Level::Information, EventKind::Started, id, format!("{} started", self.what()));
        self.outbox.command(Command::Prepare);
    }
}
