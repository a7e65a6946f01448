//! A page loop in the middle: where a hypervisor's own was seen to stand, carried on by its rules.

use serde::{Deserialize, Serialize};
use sim_core::{Bytes, SimTime};

use super::{PageLoop, State};
use crate::ids::MigrationId;
use crate::policy::{Policy, RoundsSoFar};

/// How far pre-copy has come.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct UnderWay {
    /// The guest's memory.
    pub memory: Bytes,
    /// When the first round began.
    pub began: SimTime,
    /// When dirty memory was last counted.
    pub counted: SimTime,
    /// Rounds that have ended.
    pub rounds: u32,
    /// Sent on the stream by the last count.
    pub sent: Bytes,
    /// Dirty at the last count, and not sent since.
    pub pending: Bytes,
    /// Bytes of the stream per second.
    pub stream_rate: f64,
    /// Bytes of guest memory per second.
    pub memory_rate: f64,
    /// By how much the guest is held back, in percent.
    pub throttle_percent: u32,
}

impl PageLoop {
    /// Returns a loop by `policy` that has come so far. Told to [begin](crate::page_loop::PageInput::Begin), it goes on
    /// with what is pending: the rest of a pass is a round of its own to it.
    pub fn under_way(migration: MigrationId, policy: Policy, so_far: &UnderWay) -> PageLoop {
        let mut pages = PageLoop::new(migration, policy, so_far.memory);
        pages.began = so_far.began;
        pages.total_sent = so_far.sent;
        pages.window.complete = true;
        let mut seen = RoundsSoFar::beginning(so_far.memory);
        (seen.rounds, seen.sent) = (so_far.rounds, so_far.sent);
        (seen.bandwidth, seen.memory_rate) = (Some(so_far.stream_rate), Some(so_far.memory_rate));
        seen.throttle.percent = so_far.throttle_percent.min(99);
        (seen.throttle.since, seen.throttle.transferred_before) = (so_far.counted, so_far.sent);
        pages.so_far = seen;
        pages.state = State::Found { pending: so_far.pending };
        pages
    }
}
