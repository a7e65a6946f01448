//! What a migration did to its guest.

use serde::{Deserialize, Serialize};
use sim_core::Span;

use super::numbers;

/// What a migration did to its guest while that ran, the pause aside.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ImpactRecord {
    /// The share of its speed that the guest lost while memory was copied before the pause, from 0 to 1:
    /// by the throttle, and by the processor time that the migration took from it.
    pub slow_down: f64,
    /// The most that it was throttled, in percent.
    pub throttle_max_percent: u32,
    /// Work of the guest that was lost in all, in seconds of undisturbed running: slow-down, pause and
    /// waiting for pages.
    #[serde(rename = "lost_s", with = "numbers::seconds")]
    pub lost: Span,
    /// What it went through after it was handed over, where memory followed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_copy: Option<PostCopyRecord>,
}

/// The guest at the destination while its memory follows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PostCopyRecord {
    /// From running there until the last page was there.
    #[serde(rename = "duration_s", with = "numbers::seconds")]
    pub duration: Span,
    /// Pages that it touched before they had come, each fetched over the network.
    pub faults: u64,
    /// Time in which it waited for such pages.
    #[serde(rename = "waited_s", with = "numbers::seconds")]
    pub waited: Span,
}
