//! When a page loop sends, how fast, and when it stops: one file per hypervisor.
//!
//! A policy is a pure function of the rounds so far. It owns no state, so that two runs with the
//! same history take the same decision, and a live migration can be forked at any round.
//!
//! ```text
//!              ┌────────── slice ──────────┐
//!   dirty ──▶ send ──▶ pass ends? ──▶ count ──▶ after_count ──▶ another round
//!                                                     └───────▶ pause, stop-and-copy
//! ```

mod hyper_v;
mod pages;
mod proxmox;
mod qemu;
mod simgrid;
mod throttle;
mod vmotion;
mod xen;

use std::fmt;

use serde::{Deserialize, Serialize};
use sim_core::{Bandwidth, Bytes, SimTime, Span};

pub use hyper_v::HyperV;
pub use pages::{PageCosts, Tracking};
pub use proxmox::{Doubling, DoublingState};
pub use qemu::{PostCopyStart, Qemu, Slowing, SwitchOverRate, Xbzrle};
pub use simgrid::SimGrid;
pub use throttle::{AutoConverge, Counted, DirtyLimit, ThrottleState};
pub use vmotion::{Stun, VMotion};
pub use xen::{AdaptiveRate, Xen};

/// What a policy may look at.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RoundsSoFar {
    /// The guest's memory.
    pub memory: Bytes,
    /// Pre-copy rounds that have ended.
    pub rounds: u32,
    /// Sent in all of them.
    pub sent: Bytes,
    /// The round that ended last.
    pub last: Option<LastRound>,
    /// Bytes of the stream per second, measured over the last [`MEASURING_WINDOW`] or somewhat more; over all that
    /// was sent, until so much time has passed; `None` before anything was sent.
    pub bandwidth: Option<f64>,
    /// The same of guest memory, which goes faster than the stream where pages are zero or skipped.
    pub memory_rate: Option<f64>,
    /// Since the first round began.
    pub elapsed: Span,
    /// Since the pass under way began; of the last one after a count.
    pub pass: Span,
    /// How slow the guest is made, and what that follows from.
    pub throttle: ThrottleState,
    /// What the downtime limit has grown by, where a toolstack raises it.
    pub doubling: DoublingState,
}

impl RoundsSoFar {
    /// Before the first round of a guest with so much memory.
    pub fn beginning(memory: Bytes) -> RoundsSoFar {
        RoundsSoFar {
            memory,
            rounds: 0,
            sent: Bytes::ZERO,
            last: None,
            bandwidth: None,
            memory_rate: None,
            elapsed: Span::ZERO,
            pass: Span::ZERO,
            throttle: ThrottleState::default(),
            doubling: DoublingState::default(),
        }
    }
}

/// Shorter measurements of the bandwidth say little; QEMU's window is the same.
pub const MEASURING_WINDOW: Span = Span::from_millis(100);

/// The round that ended last.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LastRound {
    /// Sent in it.
    pub sent: Bytes,
    /// How long it took.
    pub duration: Span,
    /// Dirtied while it ran; known once it was counted.
    pub dirtied: Bytes,
    /// The highest rate at which it might be sent.
    #[serde(default)]
    pub limit: Option<Bandwidth>,
    /// Sent in the round before it; `None` of the first.
    #[serde(default)]
    pub sent_before: Option<Bytes>,
}

impl LastRound {
    /// Bytes per second at which it was sent, for formulas.
    pub fn bytes_per_sec(&self) -> f64 {
        per_sec(self.sent, self.duration)
    }

    /// Bytes per second at which the guest dirtied memory meanwhile, for formulas.
    pub fn dirtied_per_sec(&self) -> f64 {
        per_sec(self.dirtied, self.duration)
    }
}

pub(crate) fn per_sec(bytes: Bytes, duration: Span) -> f64 {
    if duration == Span::ZERO { 0.0 } else { bytes.as_f64() / duration.as_secs_f64() }
}

/// How much of what is pending to send before looking again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slice {
    /// Send this much, no more than is pending.
    Send(Bytes),
    /// The pass has ended: leave the rest, and count.
    PassEnds,
}

/// What to do when a round's dirty pages have been counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Copy what is dirty in another round.
    Round,
    /// Pause the guest and send the rest.
    Pause(StopReason),
    /// Pause only for the devices' state; the rest is sent while the guest runs at the destination.
    PostCopy,
}

/// Why the page loop stopped copying.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// What was dirty fell under the policy's threshold: pre-copy converged.
    Converged,
    /// The limit on the number of rounds was reached.
    RoundLimit,
    /// The limit on the memory sent was reached.
    SentLimit,
    /// The guest dirties memory faster than the highest rate that the policy allows.
    RateLimit,
    /// Told to stop, by an operator or at a deadline.
    Forced,
    /// The rest was sent after the guest had been handed over.
    PostCopy,
    /// There was no memory to move: only disks.
    DisksCopied,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StopReason::Converged => "converged",
            StopReason::RoundLimit => "round limit reached",
            StopReason::SentLimit => "limit on memory sent reached",
            StopReason::RateLimit => "dirtied faster than the highest rate",
            StopReason::Forced => "pause was forced",
            StopReason::PostCopy => "switched to post-copy",
            StopReason::DisksCopied => "all disks copied and switched over",
        })
    }
}

/// A hypervisor's rules for pre-copy.
pub trait PreCopyPolicy {
    /// The highest rate at which the next round may be sent.
    fn rate_limit(&self, _so_far: &RoundsSoFar) -> Option<Bandwidth> {
        None
    }

    /// The highest rate of the stop-and-copy round, which sends `rest`: the mean over all of it.
    fn final_rate_limit(&self, _so_far: &RoundsSoFar, _rest: Bytes) -> Option<Bandwidth> {
        None
    }

    /// How much of `pending` to send next in the current pass.
    fn slice(&self, _so_far: &RoundsSoFar, pending: Bytes) -> Slice {
        if pending == Bytes::ZERO { Slice::PassEnds } else { Slice::Send(pending) }
    }

    /// Whether to go on when `dirty` bytes were counted after the round that `so_far` ends with.
    fn after_count(&self, so_far: &RoundsSoFar, dirty: Bytes) -> Next;

    /// The highest rate of what is sent after the guest was handed over.
    fn post_copy_rate_limit(&self) -> Option<Bandwidth> {
        None
    }

    /// How fast the guest may run after a count.
    fn throttle(&self, so_far: &RoundsSoFar, _count: &Counted) -> ThrottleState {
        so_far.throttle
    }

    /// The growth of the downtime limit after a count that found so much dirty.
    fn doubling(&self, so_far: &RoundsSoFar, _now: SimTime, _dirty: Bytes) -> DoublingState {
        so_far.doubling
    }

    /// Whether it may hand the guest over before all of its memory: then hosts get ready for that.
    fn may_post_copy(&self) -> bool {
        false
    }

    /// How written pages are found.
    fn tracking(&self) -> Tracking {
        Tracking::AtCount
    }

    /// What pages cost on the stream.
    fn page_costs(&self) -> PageCosts {
        PageCosts::default()
    }

    /// What pages that were sent before cost on the stream, as a share of their size, from 0 to 1: less
    /// than 1 where only differences are sent.
    fn resent_share(&self, _working_set: Bytes) -> f64 {
        1.0
    }
}

/// Any of the policies, as chosen in a scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Policy {
    /// Hyper-V.
    HyperV(HyperV),
    /// QEMU.
    Qemu(Qemu),
    /// Xen.
    Xen(Xen),
    /// SimGrid's live migration plug-in.
    SimGrid(SimGrid),
    /// vMotion, as far as it is published.
    VMotion(VMotion),
}

impl Policy {
    /// Whether its hosts log under the numbers of Hyper-V's events.
    pub fn logs_as_hyper_v(&self) -> bool {
        matches!(self, Policy::HyperV(_))
    }

    fn rules(&self) -> &dyn PreCopyPolicy {
        match self {
            Policy::HyperV(policy) => policy,
            Policy::Qemu(policy) => policy,
            Policy::Xen(policy) => policy,
            Policy::SimGrid(policy) => policy,
            Policy::VMotion(policy) => policy,
        }
    }
}

impl PreCopyPolicy for Policy {
    fn rate_limit(&self, so_far: &RoundsSoFar) -> Option<Bandwidth> {
        self.rules().rate_limit(so_far)
    }

    fn final_rate_limit(&self, so_far: &RoundsSoFar, rest: Bytes) -> Option<Bandwidth> {
        self.rules().final_rate_limit(so_far, rest)
    }

    fn slice(&self, so_far: &RoundsSoFar, pending: Bytes) -> Slice {
        self.rules().slice(so_far, pending)
    }

    fn after_count(&self, so_far: &RoundsSoFar, dirty: Bytes) -> Next {
        self.rules().after_count(so_far, dirty)
    }

    fn post_copy_rate_limit(&self) -> Option<Bandwidth> {
        self.rules().post_copy_rate_limit()
    }

    fn throttle(&self, so_far: &RoundsSoFar, count: &Counted) -> ThrottleState {
        self.rules().throttle(so_far, count)
    }

    fn doubling(&self, so_far: &RoundsSoFar, now: SimTime, dirty: Bytes) -> DoublingState {
        self.rules().doubling(so_far, now, dirty)
    }

    fn may_post_copy(&self) -> bool {
        self.rules().may_post_copy()
    }

    fn tracking(&self) -> Tracking {
        self.rules().tracking()
    }

    fn page_costs(&self) -> PageCosts {
        self.rules().page_costs()
    }

    fn resent_share(&self, working_set: Bytes) -> f64 {
        self.rules().resent_share(working_set)
    }
}
