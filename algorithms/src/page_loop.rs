//! The page loop of pre-copy: rounds, counts, the pause. One for every hypervisor; a
//! [`Policy`] says when it sends what and when it stops.
//!
//! ```text
//!            ┌────────── another slice ─────────┐
//!            ▼                                  │
//!  Idle ─▶ Sending ─ RoundSent ─▶ pass ends? ───┘        (Found, where another loop's work is carried on, is as Idle)
//!            ▲                        │ Count
//!            │ another round          ▼
//!            └──────────────────── Counting
//!                                     │ enough: Pause
//!                                     ▼
//!           Pausing ─▶ CountingRest ─▶ SendingRest ─▶ Resuming ─▶ Done
//!           Paused      Counted   │     RoundSent      Resumed     ▲ RoundSent
//!                                 └─▶ HandingOver ─▶ PostCopying ──┘
//!                         post-copy       Resumed
//! ```
//!
//! Sizes are in bytes of guest memory. The loop does not know pages, hosts or the network: it is
//! told how many bytes were sent, what they took on the stream, and how many are dirty.

mod messages;
mod round;
mod under_way;

use serde::{Deserialize, Serialize};
use sim_core::{Bytes, SimTime, Span};

use crate::ids::MigrationId;
use crate::machine::{Machine, Outbox, Output, Refused};
use crate::policy::{Counted, LastRound, Next, Policy, PreCopyPolicy, RoundsSoFar, Slice, StopReason};
use crate::records::{Record, RoundPhase, RoundRecord};
pub use messages::{Opening, PageCommand, PageInput, PagesMoved};
use round::{Across, Ended, Window};
pub use under_way::UnderWay;

/// No migration goes on for more rounds than this, whatever its policy says: a bound for policies
/// that have none, far above what any real migration takes.
pub const MAX_ROUNDS: u32 = 1_000_000;

/// The state machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PageLoop {
    migration: MigrationId,
    policy: Policy,
    began: SimTime,
    so_far: RoundsSoFar,
    window: Window,
    total_sent: Bytes,
    force_pause: bool,
    state: State,
    outbox: Outbox<PageCommand, PagesMoved>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum State {
    Idle,
    /// Where another loop was found, which this one carries on.
    Found {
        pending: Bytes,
    },
    Sending {
        slice: Bytes,
        round: Ended,
        pending: Bytes,
    },
    Counting {
        round: Ended,
        unsent: Bytes,
    },
    Pausing {
        reason: StopReason,
        dirty: Bytes,
        paused: SimTime,
    },
    CountingRest {
        reason: StopReason,
        paused: SimTime,
    },
    SendingRest {
        reason: StopReason,
        paused: SimTime,
        began: SimTime,
        rest: Bytes,
    },
    Resuming {
        reason: StopReason,
        paused: SimTime,
    },
    HandingOver {
        paused: SimTime,
        rest: Bytes,
    },
    PostCopying {
        paused: SimTime,
        resumed: SimTime,
        rest: Bytes,
    },
    Done(PagesMoved),
}

impl Machine for PageLoop {
    type Input = PageInput;
    type Command = PageCommand;
    type Done = PagesMoved;

    fn handle(&mut self, now: SimTime, input: PageInput) -> Result<(), Refused> {
        if let (State::Idle, PageInput::Begin) = (self.state, input) {
            (self.began, self.so_far.throttle.since) = (now, now);
        }
        self.state = match (self.state, input) {
            (State::Idle, PageInput::Begin) => self.begin_round(now, self.so_far.memory),
            (State::Found { pending }, PageInput::Begin) => self.begin_round(now, pending),
            (State::Sending { slice, round, pending }, input) if Across::of(input, slice).is_some() => {
                let round = self.across(now, round, input, slice);
                self.slice_sent(now, round, slice, pending - slice)
            }
            (State::Counting { round, unsent }, PageInput::Counted { dirty })
                if dirty >= unsent && self.can_be_dirty(dirty) =>
            {
                self.round_counted(now, round, unsent, dirty)
            }
            (State::Pausing { reason, dirty, paused }, PageInput::Paused) => {
                self.outbox.command(PageCommand::Count { unsent: dirty });
                State::CountingRest { reason, paused }
            }
            (State::CountingRest { reason: StopReason::PostCopy, paused }, PageInput::Counted { dirty })
                if self.can_be_dirty(dirty) =>
            {
                self.outbox.command(PageCommand::Resume);
                State::HandingOver { paused, rest: dirty }
            }
            (State::CountingRest { reason, paused }, PageInput::Counted { dirty })
                if self.can_be_dirty(dirty) =>
            {
                let limit = self.policy.final_rate_limit(&self.so_far, dirty);
                self.outbox.command(PageCommand::Send { bytes: dirty, limit, opening: Opening::Round });
                State::SendingRest { reason, paused, began: now, rest: dirty }
            }
            (State::SendingRest { reason, paused, began, rest }, input)
                if Across::of(input, rest).is_some() =>
            {
                let round = self.across(now, Ended::beginning(began), input, rest);
                self.record(self.so_far.rounds + 1, RoundPhase::StopAndCopy, round, Bytes::ZERO);
                self.outbox.command(PageCommand::Resume);
                State::Resuming { reason, paused }
            }
            (State::Resuming { reason, paused }, PageInput::Resumed) => {
                State::Done(PagesMoved { reason, paused, resumed: now })
            }
            (State::HandingOver { paused, rest }, PageInput::Resumed) => {
                let limit = self.policy.post_copy_rate_limit();
                self.outbox.command(PageCommand::Send { bytes: rest, limit, opening: Opening::PostCopy });
                State::PostCopying { paused, resumed: now, rest }
            }
            (State::PostCopying { paused, resumed, rest }, input) if Across::of(input, rest).is_some() => {
                let round = self.across(now, Ended::beginning(resumed), input, rest);
                self.record(self.so_far.rounds + 1, RoundPhase::PostCopy, round, Bytes::ZERO);
                State::Done(PagesMoved { reason: StopReason::PostCopy, paused, resumed })
            }
            (State::Sending { .. } | State::Counting { .. }, PageInput::ForcePause) => {
                self.force_pause = true;
                return Ok(());
            }
            // The pause is already on its way, or over: there is nothing to force.
            (state, PageInput::ForcePause) if !state.is_before_beginning() => return Ok(()),
            (state, input) => return Err(Refused::of(&input, &state)),
        };
        Ok(())
    }

    fn poll(&mut self) -> Output<PageCommand, PagesMoved> {
        match (self.outbox.pop(), self.state) {
            (Some(output), _) => output,
            (None, State::Done(moved)) => Output::Done(moved),
            (None, _) => Output::Wait(SimTime::MAX),
        }
    }
}

impl State {
    fn is_before_beginning(self) -> bool {
        matches!(self, State::Idle | State::Found { .. })
    }
}

impl PageLoop {
    /// A loop that will move `memory` by the rules of `policy`.
    pub fn new(migration: MigrationId, policy: Policy, memory: Bytes) -> PageLoop {
        PageLoop {
            migration,
            policy,
            began: SimTime::ZERO,
            so_far: RoundsSoFar::beginning(memory),
            window: Window::default(),
            total_sent: Bytes::ZERO,
            force_pause: false,
            state: State::Idle,
            outbox: Outbox::new(),
        }
    }

    /// Goes on by other rules of the same hypervisor. They count from the next decision on.
    ///
    /// # Errors
    ///
    /// [`Refused`] where the rules are another hypervisor's.
    pub fn adjust(&mut self, policy: &Policy) -> Result<(), Refused> {
        if std::mem::discriminant(policy) != std::mem::discriminant(&self.policy) {
            let input = "the rules of another hypervisor".into();
            return Err(Refused { input, state: format!("it goes by {:?}", self.policy) });
        }
        self.policy = policy.clone();
        Ok(())
    }

    /// Sent on the stream so far, what is being sent not included.
    pub fn total_sent(&self) -> Bytes {
        self.total_sent
    }

    /// Rounds that have ended, the stop-and-copy included.
    pub fn rounds(&self) -> u32 {
        match self.state {
            State::Resuming { .. } | State::Done(_) => self.so_far.rounds + 1,
            _ => self.so_far.rounds,
        }
    }

    /// When the guest was told to pause, if it was.
    pub fn paused_since(&self) -> Option<SimTime> {
        match self.state {
            State::Pausing { paused, .. }
            | State::CountingRest { paused, .. }
            | State::SendingRest { paused, .. }
            | State::HandingOver { paused, .. }
            | State::Resuming { paused, .. } => Some(paused),
            State::Idle
            | State::Found { .. }
            | State::Sending { .. }
            | State::Counting { .. }
            | State::PostCopying { .. }
            | State::Done(_) => None,
        }
    }

    /// When the guest was told to pause and when it ran again, while the rest of its memory follows it.
    pub fn handed_over(&self) -> Option<(SimTime, SimTime)> {
        match self.state {
            State::PostCopying { paused, resumed, .. } => Some((paused, resumed)),
            _ => None,
        }
    }

    /// Whether it waits for the guest to run at the destination.
    pub fn is_resuming(&self) -> bool {
        matches!(self.state, State::Resuming { .. } | State::HandingOver { .. })
    }

    /// Whether so much can be dirty: the whole of the last page counts.
    fn can_be_dirty(&self, dirty: Bytes) -> bool {
        dirty <= self.so_far.memory.pages().bytes()
    }

    fn begin_round(&mut self, now: SimTime, pending: Bytes) -> State {
        (self.so_far.elapsed, self.so_far.pass) = (now - self.began, Span::ZERO);
        let slice = match self.policy.slice(&self.so_far, pending) {
            Slice::Send(bytes) => bytes.min(pending),
            // Even a pass that ends at once is a round; QEMU counts it so.
            Slice::PassEnds => Bytes::ZERO,
        };
        self.send(now, slice, Opening::Round);
        State::Sending { slice, round: Ended::beginning(now), pending }
    }

    /// A slice is across: adds it to its round, and to all that was sent and measured.
    fn across(&mut self, now: SimTime, round: Ended, input: PageInput, asked: Bytes) -> Ended {
        let Some(across) = Across::of(input, asked) else { return round };
        self.total_sent += across.transferred;
        self.window.measure(now, asked, across.transferred, &mut self.so_far);
        round.and(now, across)
    }

    fn slice_sent(&mut self, now: SimTime, round: Ended, asked: Bytes, pending: Bytes) -> State {
        (self.so_far.elapsed, self.so_far.pass) = (now - self.began, round.duration);
        if let Slice::Send(bytes) = self.policy.slice(&self.so_far, pending)
            && bytes > Bytes::ZERO
            && asked > Bytes::ZERO
        {
            let slice = bytes.min(pending);
            self.send(now, slice, Opening::Slice);
            return State::Sending { slice, round, pending };
        }
        self.outbox.command(PageCommand::Count { unsent: pending });
        State::Counting { round, unsent: pending }
    }

    fn round_counted(&mut self, now: SimTime, round: Ended, unsent: Bytes, dirty: Bytes) -> State {
        self.so_far.rounds += 1;
        self.so_far.sent += round.sent;
        self.so_far.elapsed = now - self.began;
        self.so_far.last = Some(self.last_round(round, dirty - unsent));
        self.record(self.so_far.rounds, RoundPhase::PreCopy, round, dirty);
        self.adapt(now, dirty - unsent, dirty);
        let next = if self.force_pause {
            Next::Pause(StopReason::Forced)
        } else if self.so_far.rounds >= MAX_ROUNDS {
            Next::Pause(StopReason::RoundLimit)
        } else {
            self.policy.after_count(&self.so_far, dirty)
        };
        match next {
            Next::Round => self.begin_round(now, dirty),
            Next::Pause(reason) => self.pause(now, reason, dirty),
            Next::PostCopy => self.pause(now, StopReason::PostCopy, dirty),
        }
    }

    /// The round that was counted just now, as policies look at it.
    fn last_round(&self, round: Ended, dirtied: Bytes) -> LastRound {
        LastRound {
            sent: round.sent,
            duration: round.duration,
            dirtied,
            limit: self.policy.rate_limit(&self.so_far),
            sent_before: self.so_far.last.map(|before| before.sent),
        }
    }

    fn pause(&mut self, now: SimTime, reason: StopReason, dirty: Bytes) -> State {
        self.outbox.command(PageCommand::Pause);
        State::Pausing { reason, dirty, paused: now }
    }

    /// What a count means to the guest's speed and to the downtime limit.
    fn adapt(&mut self, now: SimTime, dirtied: Bytes, dirty: Bytes) {
        let counted = Counted { now, dirtied, transferred: self.total_sent };
        let before = self.so_far.throttle.percent;
        self.so_far.throttle = self.policy.throttle(&self.so_far, &counted);
        self.so_far.doubling = self.policy.doubling(&self.so_far, now, dirty);
        let percent = self.so_far.throttle.percent;
        if percent != before {
            self.outbox.command(PageCommand::Throttle { percent });
        }
    }

    fn send(&mut self, now: SimTime, bytes: Bytes, opening: Opening) {
        self.window.slice_began = now;
        let limit = self.policy.rate_limit(&self.so_far);
        self.outbox.command(PageCommand::Send { bytes, limit, opening });
    }

    fn record(&mut self, number: u32, phase: RoundPhase, round: Ended, dirty_bytes_left: Bytes) {
        let paused = phase != RoundPhase::PreCopy;
        self.outbox.record(Record::Round(RoundRecord {
            migration: self.migration,
            round: number,
            phase,
            start: round.began,
            duration: round.duration,
            bytes_sent: round.transferred,
            dirty_bytes_left,
            rate: round.transferred.per(round.duration),
            throttle_percent: if paused { 0 } else { self.so_far.throttle.percent },
        }));
    }
}
