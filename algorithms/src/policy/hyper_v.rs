//! Hyper-V: at most ten transfer passes over dirty memory, then the pause.
//!
//! Source: Directions on Microsoft (2009), "at most 10 memory passes", repeated by Microsoft's
//! clustering team since. The size of working set at which Hyper-V stops earlier is not published;
//! [`HyperV::stop_below`] is therefore a parameter, and its default an assumption of ours.

use serde::{Deserialize, Serialize};
use sim_core::Bytes;

use super::{Next, PreCopyPolicy, RoundsSoFar, StopReason};

/// Hyper-V's rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HyperV {
    /// Passes over memory before the pause, the first full one included.
    pub max_passes: u32,
    /// Pause as soon as no more than this is dirty.
    pub stop_below: Bytes,
}

impl Default for HyperV {
    fn default() -> HyperV {
        HyperV { max_passes: 10, stop_below: Bytes::from_mib(16) }
    }
}

impl PreCopyPolicy for HyperV {
    fn after_count(&self, so_far: &RoundsSoFar, dirty: Bytes) -> Next {
        if dirty <= self.stop_below {
            Next::Pause(StopReason::Converged)
        } else if so_far.rounds >= self.max_passes {
            Next::Pause(StopReason::RoundLimit)
        } else {
            Next::Round
        }
    }
}
