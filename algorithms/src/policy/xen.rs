//! Xen's pre-copy: Clark et al., NSDI 2005, and the limits of the code as Akoush et al. describe it.
//!
//! - Clark §5.3: the first round goes at a low rate; each further one at the dirty rate of the
//!   last round plus a constant (50 Mbit/s); pre-copy ends when that would exceed the highest rate,
//!   or when under 256 KB remain. The stop-and-copy goes at the highest rate.
//! - A page that is dirty again when its turn comes is left to the next round (`to_skip`, looked up for
//!   each batch of 1024 pages: `tools/libxc/xc_domain_save.c` before migration v2; Clark §5.2).
//! - Akoush et al., MASCOTS 2010, on Xen's code: it ends below 50 pages, after 29 rounds, or when
//!   more than three times the memory was sent.

use serde::{Deserialize, Serialize};
use sim_core::{Bandwidth, Bytes, Pages};

use super::{Next, PreCopyPolicy, RoundsSoFar, Slice, StopReason, Tracking};

/// What is dirty again is looked up anew for every so many pages at least (`MAX_BATCH_SIZE`) …
const BATCH: Pages = Pages::new(1024);
/// … and here for such a part of what is pending: in between the share that is skipped hardly changes.
const PARTS: u64 = 8;

/// Xen's rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Xen {
    /// Clark's adaptive rate; `None` sends as fast as the network allows.
    pub adaptive_rate: Option<AdaptiveRate>,
    /// Pause when less than this is dirty.
    pub stop_below: Bytes,
    /// Rounds before the pause.
    pub max_rounds: u32,
    /// Pause when this many times the memory has been sent.
    pub max_sent_factor: u32,
    /// Whether pages that are dirty again are skipped.
    pub tracking: Tracking,
}

/// Clark's rate of a round: as low as will do, to disturb services little.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdaptiveRate {
    /// Of the first round.
    pub first: Bandwidth,
    /// Added to the dirty rate of the last round.
    pub increment: Bandwidth,
    /// Never more than this.
    pub highest: Bandwidth,
}

impl Xen {
    /// The settings of Clark et al.: 100 Mbit/s first, + 50 Mbit/s, at most 500 Mbit/s, 256 KB.
    pub fn clark() -> Xen {
        Xen {
            adaptive_rate: Some(AdaptiveRate {
                first: Bandwidth::from_mbit(100),
                increment: Bandwidth::from_mbit(50),
                highest: Bandwidth::from_mbit(500),
            }),
            stop_below: Bytes::new(256 << 10),
            ..Xen::default()
        }
    }

    fn wanted_rate(&self, so_far: &RoundsSoFar) -> Option<Bandwidth> {
        let adaptive = self.adaptive_rate.as_ref()?;
        let Some(last) = so_far.last else {
            return Some(adaptive.first);
        };
        let dirtied = Bandwidth::from_bits_per_sec((last.dirtied_per_sec() * 8.0) as u64);
        Some(Bandwidth::from_bits_per_sec(
            dirtied.bits_per_sec().saturating_add(adaptive.increment.bits_per_sec()),
        ))
    }
}

impl Default for Xen {
    /// The limits that Akoush et al. found in the code, at full speed.
    fn default() -> Xen {
        Xen {
            adaptive_rate: None,
            stop_below: Pages::new(50).bytes(),
            max_rounds: 29,
            max_sent_factor: 3,
            tracking: Tracking::Skipping,
        }
    }
}

impl PreCopyPolicy for Xen {
    fn rate_limit(&self, so_far: &RoundsSoFar) -> Option<Bandwidth> {
        let highest = self.adaptive_rate.as_ref()?.highest;
        self.wanted_rate(so_far).map(|wanted| wanted.min(highest))
    }

    fn final_rate_limit(&self) -> Option<Bandwidth> {
        self.adaptive_rate.as_ref().map(|adaptive| adaptive.highest)
    }

    fn slice(&self, _so_far: &RoundsSoFar, pending: Bytes) -> Slice {
        match self.tracking {
            _ if pending == Bytes::ZERO => Slice::PassEnds,
            Tracking::Skipping => {
                Slice::Send(Bytes::new(pending.get().div_ceil(PARTS)).max(BATCH.bytes()).min(pending))
            }
            Tracking::AtCount | Tracking::Chunks(_) => Slice::Send(pending),
        }
    }

    fn tracking(&self) -> Tracking {
        self.tracking
    }

    fn after_count(&self, so_far: &RoundsSoFar, dirty: Bytes) -> Next {
        let too_fast = match (&self.adaptive_rate, self.wanted_rate(so_far)) {
            (Some(adaptive), Some(wanted)) => wanted > adaptive.highest,
            _ => false,
        };
        // In pages, as Xen counts: what is short by less than a page is reached.
        let sent_limit = so_far.memory.pages().get().saturating_mul(u64::from(self.max_sent_factor));
        if dirty < self.stop_below {
            Next::Pause(StopReason::Converged)
        } else if so_far.rounds >= self.max_rounds {
            Next::Pause(StopReason::RoundLimit)
        } else if so_far.sent.pages().get() >= sent_limit {
            Next::Pause(StopReason::SentLimit)
        } else if too_fast {
            Next::Pause(StopReason::RateLimit)
        } else {
            Next::Round
        }
    }
}
