//! QEMU's pre-copy, as its source has it (`migration/migration.c`, `migration/ram.c`, 7.2 to 10.0).
//!
//! - A pass ends when what is pending is under the threshold, not when nothing is.
//! - threshold = measured bandwidth × downtime limit (300 ms by default), zero before the first
//!   measurement; after the sync that ends a pass, pending under the threshold completes.
//! - The rate limit, 128 MiB/s by default, does not hold for the completion.
//!
//! - Whether a pass has ended is looked at when nothing remains, when 50 ms have passed, or when the
//!   bytes of a 100 ms window are used up, where the rate limit is what holds it back. So the last passes
//!   go under the threshold by up to such a step, and converge where they otherwise would only creep.
//!
//! The first pass is sent in halves of what is pending until there is a measurement of the bandwidth,
//! which finds the same end of the pass while the rate is steady.
//! Auto-converge is no part of this policy.

use serde::{Deserialize, Serialize};
use sim_core::{Bandwidth, Bytes, Span};

use super::{Next, PreCopyPolicy, RoundsSoFar, Slice, StopReason};

/// `MAX_WAIT` in `migration/ram.c`: after so long a step of sending ends.
const STEP: Span = Span::from_millis(50);

/// `BUFFER_DELAY` in `migration/migration.c`: a step where the rate limit holds it back.
const LIMITED_STEP: Span = Span::from_millis(100);

/// From this share of the limit on, it is the limit that holds the rate back.
const NEARLY: f64 = 0.95;

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
    /// How long QEMU sends before it looks again at what is pending.
    fn step(&self, bytes_per_sec: f64) -> Span {
        match self.max_bandwidth {
            Some(limit) if bytes_per_sec > NEARLY * limit.bytes_per_sec_f64() => LIMITED_STEP,
            _ => STEP,
        }
    }

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
        let Some(rate) = so_far.bandwidth else {
            return Slice::Send(Bytes::new(pending.get().div_ceil(2)));
        };
        let over = pending.as_f64() - self.threshold(rate);
        if over < 0.0 || pending == Bytes::ZERO {
            return Slice::PassEnds;
        }
        // Whole steps, as many as it takes to get under the threshold.
        let step = (rate * self.step(rate).as_secs_f64()).max(1.0);
        Slice::Send(Bytes::from_f64_floor((over / step).floor() * step + step).min(pending))
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
