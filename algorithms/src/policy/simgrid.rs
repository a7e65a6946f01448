//! SimGrid's live migration plug-in (`src/plugins/vm/VmLiveMigration.cpp`, version 3.32).
//!
//! Rounds go on while what is dirty would take longer than the tolerated downtime (0.03 s there)
//! at the rate of the last round. Kept so that our engine can be checked against SimGrid's.

use serde::{Deserialize, Serialize};
use sim_core::{Bytes, Span};

use super::{Next, PreCopyPolicy, RoundsSoFar, StopReason};

/// SimGrid's rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SimGrid {
    /// Pause when the rest can be sent within this at the rate of the last round.
    pub max_downtime: Span,
}

impl Default for SimGrid {
    fn default() -> SimGrid {
        SimGrid { max_downtime: Span::from_millis(30) }
    }
}

impl PreCopyPolicy for SimGrid {
    fn after_count(&self, so_far: &RoundsSoFar, dirty: Bytes) -> Next {
        let rate = so_far.last.map_or(0.0, |last| last.bytes_per_sec());
        if rate * self.max_downtime.as_secs_f64() < dirty.as_f64() {
            Next::Round
        } else {
            Next::Pause(StopReason::Converged)
        }
    }
}
