//! QEMU's pre-copy, as its source has it (`migration/migration.c`, `migration/ram.c`, 7.2 to 10.0).
//!
//! - A pass ends when what is pending is under the threshold, not when nothing is.
//! - threshold = measured bandwidth × downtime limit (300 ms by default), zero before the first
//!   measurement; after the sync that ends a pass, pending under the threshold completes.
//! - The rate limit, 128 MiB/s by default, does not hold for the completion.
//!
//! QEMU looks at every 100 ms. Here the first pass is sent in halves of what is pending until there is
//! a measurement, which finds the same end of the pass while the rate is steady.
//! Auto-converge is no part of this policy.

use serde::{Deserialize, Serialize};
use sim_core::{Bandwidth, Bytes, Span};

use super::{Next, PreCopyPolicy, RoundsSoFar, Slice, StopReason};

/// QEMU's rules; the fields are its migration parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Qemu {
    /// `downtime-limit`: the pause that is tolerated.
    pub downtime_limit: Span,
    /// `max-bandwidth`; `None` for unlimited (0 in QEMU).
    pub max_bandwidth: Option<Bandwidth>,
}

impl Default for Qemu {
    fn default() -> Qemu {
        Qemu {
            downtime_limit: Span::from_millis(300),
            max_bandwidth: Some(Bandwidth::from_bits_per_sec((128 << 20) * 8)),
        }
    }
}

impl Qemu {
    /// What may be pending for the pause to keep to the downtime limit.
    fn threshold(&self, bytes_per_sec: f64) -> f64 {
        bytes_per_sec * self.downtime_limit.as_secs_f64()
    }
}

impl PreCopyPolicy for Qemu {
    fn rate_limit(&self, _so_far: &RoundsSoFar) -> Option<Bandwidth> {
        self.max_bandwidth
    }

    fn slice(&self, so_far: &RoundsSoFar, pending: Bytes) -> Slice {
        if pending == Bytes::ZERO {
            return Slice::PassEnds;
        }
        match so_far.bandwidth {
            None => Slice::Send(Bytes::new(pending.get().div_ceil(2))),
            Some(rate) if pending.as_f64() < self.threshold(rate) => Slice::PassEnds,
            Some(rate) => {
                // The first byte under the threshold ends the pass.
                let keep = Bytes::from_f64_floor(self.threshold(rate));
                Slice::Send((pending.saturating_sub(keep) + Bytes::new(1)).min(pending))
            }
        }
    }

    fn after_count(&self, so_far: &RoundsSoFar, dirty: Bytes) -> Next {
        let threshold = so_far.bandwidth.map_or(0.0, |rate| self.threshold(rate));
        if dirty == Bytes::ZERO || dirty.as_f64() < threshold {
            Next::Pause(StopReason::Converged)
        } else {
            Next::Round
        }
    }
}
