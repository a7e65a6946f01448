//! The page loop of a hypervisor that has its own: started, watched, steered by its levers.
//!
//! ```text
//!  Idle ─Begin▶ Copying ─Stopped▶ Stopped ─────────── Sent ──▶ Resuming ─Resumed▶ Done    pre-copy
//!                │ ▲                │ ▲ │                         │
//!                └─┘ Pass           └─┘ │ AtSwitchover            │
//!                                       │                         ▼
//!                                       └─ PostCopy ▶ Resuming ─Resumed▶ Pulling ─Sent▶ Done    post-copy
//! ```
//!
//! Others may pause the VM while it is copied, and let it go on ([`LoopInput::PausedByOther`],
//! [`LoopInput::ResumedByOther`]). The hypervisor migrates a paused VM as any other. One that is paused when the
//! hypervisor stops it arrives paused: [`LoopCommand::LeavePaused`] takes the place of [`LoopCommand::Resume`], and
//! [`LoopInput::ArrivedPaused`] that of [`LoopInput::Resumed`]. Such a pause is not the migration's: it counts neither
//! as blackout nor for a deadline.
//!
//! [`PageLoop`](crate::page_loop::PageLoop) decides what is sent and when to stop. Here the hypervisor
//! decides that, and this machine makes of what it tells the same records, so that planned and actual can
//! be compared. What is left to decide is the hand-over: the guest is resumed at the destination once the
//! source has said that everything is sent (or, in post-copy, that it may run there), and never before. So
//! a source that has not said so can always go on.

use serde::{Deserialize, Serialize};
use sim_core::{Bytes, SimTime};

use crate::ids::MigrationId;
use crate::machine::{Machine, Outbox, Output, Refused};
use crate::page_loop::PagesMoved;
use crate::policy::{PostCopyStart, StopReason};
use crate::records::{Record, RoundPhase, RoundRecord};

/// What the loop is told. Totals are since the loop began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoopInput {
    /// Begin.
    Begin,
    /// The dirty memory was counted again: a pass has ended.
    Pass {
        /// Memory sent in all passes so far.
        sent: Bytes,
        /// What is dirty now.
        dirty: Bytes,
        /// By how much the guest is held back now, in percent.
        throttle_percent: u32,
    },
    /// The hypervisor has stopped the guest at the source, to hand it over. It may have been paused by somebody before.
    Stopped,
    /// Somebody else has paused the guest at the source, or it was found paused there. It may be told more than once, and
    /// later than [`LoopInput::Stopped`], where only later counts show whose pause it was.
    PausedByOther,
    /// Somebody else has let the guest go on at the source.
    ResumedByOther,
    /// The hypervisor waits for leave to hand over; the guest stands still.
    AtSwitchover,
    /// The destination may run the guest and pull what it lacks.
    PostCopy {
        /// Memory sent so far.
        sent: Bytes,
    },
    /// All is at the destination.
    Sent {
        /// Memory sent in all.
        sent: Bytes,
    },
    /// The guest runs at the destination.
    Resumed,
    /// All that the destination needs to run the guest is there; it is paused, as somebody left it.
    ArrivedPaused,
    /// Pause the guest as soon as may be, whatever is still dirty.
    ForcePause,
    /// It is later than [`HypervisorLoop::wakes`], perhaps.
    Tick,
}

/// What the loop wants done, by the hypervisor's levers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoopCommand {
    /// Let the hypervisor begin.
    Start,
    /// Let it go over to post-copy.
    StartPostCopy,
    /// Let it tolerate any pause.
    ForcePause,
    /// The guest stands still: let the copies of its disks catch up, then let the hypervisor go on.
    SwitchOver,
    /// Start the guest at the destination; answer [`LoopInput::Resumed`].
    Resume,
    /// The guest is the destination's, where it stays paused, as somebody left it; answer [`LoopInput::ArrivedPaused`],
    /// or [`LoopInput::Resumed`] where somebody has let it go on there.
    LeavePaused,
}

/// The state machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HypervisorLoop {
    migration: MigrationId,
    post_copy: PostCopyStart,
    /// When to go over to post-copy, where a time was set and it has not come.
    post_copy_at: SimTime,
    rounds: u32,
    sent: Bytes,
    forced: bool,
    /// Whether somebody else has paused the guest, and nobody has let it go on since.
    paused_by_other: bool,
    /// By how much the guest is held back since the last count, in percent.
    throttle_percent: u32,
    state: State,
    outbox: Outbox<LoopCommand, PagesMoved>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum State {
    Idle,
    Copying {
        began: SimTime,
    },
    Stopped {
        at: SimTime,
    },
    /// The guest is the destination's, and was told to start there or to stay paused.
    Resuming {
        stopped: SimTime,
        rest: Rest,
    },
    /// It runs there, and what it lacks follows.
    Pulling {
        stopped: SimTime,
        resumed: SimTime,
    },
    Done(PagesMoved),
}

/// What is left to come when the guest is told to start at the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Rest {
    /// Nothing: all was sent before.
    Nothing,
    /// What the guest lacks, in post-copy.
    Follows,
    /// The same, which came before the guest was seen to run.
    HasFollowed,
}

impl Machine for HypervisorLoop {
    type Input = LoopInput;
    type Command = LoopCommand;
    type Done = PagesMoved;

    fn handle(&mut self, now: SimTime, input: LoopInput) -> Result<(), Refused> {
        if let LoopInput::PausedByOther | LoopInput::ResumedByOther = input {
            let after = self.after_others(input == LoopInput::PausedByOther);
            self.state = after.ok_or_else(|| Refused::of(&input, &self.state))?;
            return Ok(());
        }
        self.state = match (self.state, input) {
            (State::Idle, LoopInput::Begin) => {
                self.outbox.command(LoopCommand::Start);
                if let PostCopyStart::After(after) = self.post_copy {
                    self.post_copy_at = now + after;
                }
                State::Copying { began: now }
            }
            (state, LoopInput::Tick) if now < self.wakes() => state,
            (state, LoopInput::Tick) => {
                self.post_copy_at = SimTime::MAX;
                self.outbox.command(LoopCommand::StartPostCopy);
                state
            }
            (State::Copying { began }, LoopInput::Pass { sent, dirty, throttle_percent })
                if sent >= self.sent =>
            {
                self.pass_ended(began, now, sent, dirty);
                // What was set at this count holds from now on.
                self.throttle_percent = throttle_percent;
                State::Copying { began: now }
            }
            (State::Copying { .. }, LoopInput::Stopped) => State::Stopped { at: now },
            // The last count, of what the guest wrote until it stood still: no round of its own.
            (state @ State::Stopped { .. }, LoopInput::Pass { .. }) => state,
            (state @ State::Stopped { .. }, LoopInput::AtSwitchover) => {
                self.outbox.command(LoopCommand::SwitchOver);
                state
            }
            (State::Stopped { at }, LoopInput::PostCopy { sent }) if sent >= self.sent => {
                self.round(RoundPhase::StopAndCopy, at, now, sent, Bytes::ZERO);
                self.hand_over();
                State::Resuming { stopped: at, rest: Rest::Follows }
            }
            (State::Stopped { at }, LoopInput::Sent { sent }) if sent >= self.sent => {
                self.round(RoundPhase::StopAndCopy, at, now, sent, Bytes::ZERO);
                self.hand_over();
                State::Resuming { stopped: at, rest: Rest::Nothing }
            }
            (
                state @ (State::Resuming { .. } | State::Pulling { .. }),
                LoopInput::Resumed | LoopInput::ArrivedPaused | LoopInput::Sent { .. },
            ) => self.at_destination(now, state, input)?,
            // Counts go on in post-copy; they end no round of pre-copy.
            (state @ (State::Resuming { .. } | State::Pulling { .. }), LoopInput::Pass { .. }) => state,
            (state @ State::Copying { .. }, LoopInput::ForcePause) => {
                self.forced = true;
                self.outbox.command(LoopCommand::ForcePause);
                state
            }
            // The pause is already on its way, or over: there is nothing to force.
            (state, LoopInput::ForcePause) if state != State::Idle => state,
            (state, input) => return Err(Refused::of(&input, &state)),
        };
        Ok(())
    }

    fn poll(&mut self) -> Output<LoopCommand, PagesMoved> {
        match (self.outbox.pop(), self.state) {
            (Some(output), _) => output,
            (None, State::Done(moved)) => Output::Done(moved),
            (None, _) => Output::Wait(self.wakes()),
        }
    }
}

impl HypervisorLoop {
    /// A loop that waits for [`LoopInput::Begin`].
    pub fn new(migration: MigrationId, post_copy: PostCopyStart) -> HypervisorLoop {
        let (sent, state, outbox) = (Bytes::ZERO, State::Idle, Outbox::new());
        let (rounds, forced, paused_by_other, throttle_percent) = (0, false, false, 0);
        let post_copy_at = SimTime::MAX;
        HypervisorLoop {
            migration,
            post_copy,
            post_copy_at,
            rounds,
            sent,
            forced,
            paused_by_other,
            throttle_percent,
            state,
            outbox,
        }
    }

    /// When it wants to be told the time.
    pub fn wakes(&self) -> SimTime {
        if let State::Copying { .. } = self.state { self.post_copy_at } else { SimTime::MAX }
    }

    /// Sent in all rounds that have ended.
    pub fn total_sent(&self) -> Bytes {
        self.sent
    }

    /// Rounds that have ended, the stop-and-copy included.
    pub fn rounds(&self) -> u32 {
        self.rounds
    }

    /// Since when the guest has stood still for this migration, while it does; nothing where somebody else has paused it.
    pub fn paused_since(&self) -> Option<SimTime> {
        match self.state {
            _ if self.paused_by_other => None,
            State::Stopped { at } | State::Resuming { stopped: at, .. } => Some(at),
            State::Idle | State::Copying { .. } | State::Pulling { .. } | State::Done(_) => None,
        }
    }

    /// Whether somebody else has paused the guest, and nobody has let it go on since.
    pub fn is_paused_by_other(&self) -> bool {
        self.paused_by_other
    }

    /// Whether the guest is the destination's: from then on the source must not go on.
    pub fn is_handed_over(&self) -> bool {
        matches!(self.state, State::Resuming { .. } | State::Pulling { .. } | State::Done(_))
    }

    fn pass_ended(&mut self, began: SimTime, now: SimTime, sent: Bytes, dirty: Bytes) {
        self.round(RoundPhase::PreCopy, began, now, sent, dirty);
        // QEMU looks at it when a first pass has ended.
        if let PostCopyStart::AfterPasses(passes) = self.post_copy
            && passes.max(1) == self.rounds
        {
            self.outbox.command(LoopCommand::StartPostCopy);
        }
    }

    /// The guest is the destination's from now on.
    fn hand_over(&mut self) {
        let command = if self.paused_by_other { LoopCommand::LeavePaused } else { LoopCommand::Resume };
        self.outbox.command(command);
    }

    /// The state after what is told of a guest that was handed over.
    fn at_destination(&mut self, now: SimTime, state: State, input: LoopInput) -> Result<State, Refused> {
        Ok(match (state, input) {
            (State::Resuming { stopped, rest }, LoopInput::Resumed) => {
                let stopped = if self.paused_by_other { now } else { stopped };
                self.paused_by_other = false;
                self.arrived(stopped, now, rest)
            }
            (State::Resuming { rest, .. }, LoopInput::ArrivedPaused) if self.paused_by_other => {
                self.arrived(now, now, rest)
            }
            (State::Resuming { stopped, rest: Rest::Follows }, LoopInput::Sent { sent }) => {
                self.sent = sent.max(self.sent);
                State::Resuming { stopped, rest: Rest::HasFollowed }
            }
            // It had arrived paused, and somebody has let it go on there.
            (state @ State::Pulling { .. }, LoopInput::Resumed) if self.paused_by_other => {
                self.paused_by_other = false;
                state
            }
            (State::Pulling { stopped, resumed }, LoopInput::Sent { sent }) => {
                self.sent = sent.max(self.sent);
                followed(stopped, resumed)
            }
            (state, input) => return Err(Refused::of(&input, &state)),
        })
    }

    /// The guest is there, and runs or stays paused as it was left.
    fn arrived(&self, paused: SimTime, resumed: SimTime, rest: Rest) -> State {
        match rest {
            Rest::Nothing => {
                let reason = if self.forced { StopReason::Forced } else { StopReason::Converged };
                State::Done(PagesMoved { reason, paused, resumed })
            }
            Rest::Follows => State::Pulling { stopped: paused, resumed },
            Rest::HasFollowed => followed(paused, resumed),
        }
    }

    /// The state after others have paused the guest or let it go on, if that may be told in this one.
    fn after_others(&mut self, paused: bool) -> Option<State> {
        match self.state {
            State::Idle | State::Done(_) => return None,
            // After the hand-over, this migration ignores what others do to the VM at the source.
            State::Resuming { .. } | State::Pulling { .. } => return Some(self.state),
            State::Copying { .. } | State::Stopped { .. } => self.paused_by_other = paused,
        }
        match self.state {
            // It was not the hypervisor that had stopped it, which would not have let it go on.
            State::Stopped { at } if !paused => Some(State::Copying { began: at }),
            state => Some(state),
        }
    }

    fn round(&mut self, phase: RoundPhase, start: SimTime, now: SimTime, sent: Bytes, dirty: Bytes) {
        let (duration, bytes_sent) = (now - start, sent - self.sent);
        self.rounds += 1;
        self.sent = sent;
        self.outbox.record(Record::Round(RoundRecord {
            migration: self.migration,
            round: self.rounds,
            phase,
            start,
            duration,
            bytes_sent,
            dirty_bytes_left: dirty,
            rate: bytes_sent.per(duration),
            throttle_percent: self.throttle_percent,
        }));
    }
}

/// The end of a loop whose rest has followed the guest.
fn followed(paused: SimTime, resumed: SimTime) -> State {
    State::Done(PagesMoved { reason: StopReason::PostCopy, paused, resumed })
}
