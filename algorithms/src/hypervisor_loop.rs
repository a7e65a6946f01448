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
    /// The guest stands still at the source.
    Stopped,
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
    /// The guest was told to start at the destination.
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
                self.outbox.command(LoopCommand::Resume);
                State::Resuming { stopped: at, rest: Rest::Follows }
            }
            (State::Stopped { at }, LoopInput::Sent { sent }) if sent >= self.sent => {
                self.round(RoundPhase::StopAndCopy, at, now, sent, Bytes::ZERO);
                self.outbox.command(LoopCommand::Resume);
                State::Resuming { stopped: at, rest: Rest::Nothing }
            }
            (State::Resuming { stopped, rest: Rest::Nothing }, LoopInput::Resumed) => {
                let reason = if self.forced { StopReason::Forced } else { StopReason::Converged };
                State::Done(PagesMoved { reason, paused: stopped, resumed: now })
            }
            (State::Resuming { stopped, rest: Rest::Follows }, LoopInput::Resumed) => {
                State::Pulling { stopped, resumed: now }
            }
            (State::Resuming { stopped, rest: Rest::HasFollowed }, LoopInput::Resumed) => {
                followed(stopped, now)
            }
            (State::Resuming { stopped, rest: Rest::Follows }, LoopInput::Sent { sent }) => {
                self.sent = sent.max(self.sent);
                State::Resuming { stopped, rest: Rest::HasFollowed }
            }
            (State::Pulling { stopped, resumed }, LoopInput::Sent { sent }) => {
                self.sent = sent.max(self.sent);
                followed(stopped, resumed)
            }
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
        let (rounds, forced, throttle_percent) = (0, false, 0);
        let post_copy_at = SimTime::MAX;
        HypervisorLoop {
            migration,
            post_copy,
            post_copy_at,
            rounds,
            sent,
            forced,
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

    /// When the guest stood still, while it does.
    pub fn paused_since(&self) -> Option<SimTime> {
        match self.state {
            State::Stopped { at } | State::Resuming { stopped: at, .. } => Some(at),
            State::Idle | State::Copying { .. } | State::Pulling { .. } | State::Done(_) => None,
        }
    }

    /// Whether the guest was told to start at the destination: from then on the source must not go on.
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
