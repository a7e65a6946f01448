//! Xen's pre-copy: Clark et al., NSDI 2005, as the code of that time has it, and its limits as Akoush et al.
//! describe them.
//!
//! - `tools/libxc/xc_linux_save.c` (`ADAPTIVE_SAVE`): the first round goes at a low rate. When a round was
//!   dirtied faster than it might be sent, what was skipped in it included, the next may go at that rate plus a
//!   constant (50 Mbit/s), up to the highest; the rate never falls. Pre-copy ends when a round at the highest
//!   rate sent more than the one before it, `sent_this_iter > sent_last_iter && RATE_IS_MAX()`.
//! - Clark §5.3 says it shorter: each round at the last dirty rate plus the constant, and the pause when that
//!   would exceed the highest rate, or when under 256 KB remain. The published rounds are the code's: the
//!   `SPECweb` guest is paused after 14.2 and 15.3 MB, and the memory muncher has a third round, 116 MB at the
//!   highest rate after 44 MB, that the paper's rule would not have sent.
//! - The stop-and-copy goes at the rate that the last round leads to. The limiter is a bucket that also fills
//!   while nothing is sent (`ratewrite`): what it holds when the guest stands still goes at the speed of the link.
//! - A page that is dirty again when its turn comes is left to the next round (`to_skip`, looked up for
//!   each batch of 1024 pages; Clark §5.2). `permute` spreads the batches over all of memory.
//! - Akoush et al., MASCOTS 2010, on Xen's code: it ends below 50 pages, after 29 rounds, or when
//!   more than three times the memory was sent.

use serde::{Deserialize, Serialize};
use sim_core::{Bandwidth, Bytes, Pages, Span};

use super::{Next, PreCopyPolicy, RoundsSoFar, Slice, StopReason, Tracking};

/// What is dirty again is looked up anew for every so many pages at least (`MAX_BATCH_SIZE`) …
const BATCH: Pages = Pages::new(1024);
/// … and here for such a part of what is pending: in between the share that is skipped hardly changes.
const PARTS: u64 = 64;

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

/// The rate of a round: as low as will do, to disturb services little.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdaptiveRate {
    /// Of the first round.
    pub first: Bandwidth,
    /// Added to the dirty rate of the last round.
    pub increment: Bandwidth,
    /// Never more than this.
    pub highest: Bandwidth,
    /// How long nothing is sent before the stop-and-copy, while the guest is told to stand still: the
    /// limiter's bucket fills for so long.
    #[serde(default)]
    pub head_start: Span,
}

impl Xen {
    /// The settings of Clark et al.: 100 Mbit/s first, + 50 Mbit/s, at most 500 Mbit/s, 256 KB.
    ///
    /// The head start is 90 ms: the last 18.2 MB of the `SPECweb` guest went in 201 ms, and would have taken
    /// 291 ms at 500 Mbit/s.
    pub fn clark() -> Xen {
        Xen {
            adaptive_rate: Some(AdaptiveRate {
                first: Bandwidth::from_mbit(100),
                increment: Bandwidth::from_mbit(50),
                highest: Bandwidth::from_mbit(500),
                head_start: Span::from_millis(90),
            }),
            stop_below: Bytes::new(256 << 10),
            ..Xen::default()
        }
    }
}

impl AdaptiveRate {
    /// Of the round after those that there were.
    fn of_next(&self, so_far: &RoundsSoFar) -> Bandwidth {
        let Some(last) = so_far.last else {
            return self.first;
        };
        let limit = last.limit.unwrap_or(self.first);
        let dirtied = Bandwidth::from_bits_per_sec((last.dirtied_per_sec() * 8.0) as u64);
        if dirtied <= limit {
            return limit;
        }
        let raised = dirtied.bits_per_sec().saturating_add(self.increment.bits_per_sec());
        Bandwidth::from_bits_per_sec(raised).min(self.highest)
    }

    /// Whether the last round went at the highest rate and still sent more than the one before.
    fn is_outrun(&self, so_far: &RoundsSoFar) -> bool {
        so_far.last.is_some_and(|last| {
            last.limit.is_some_and(|limit| limit >= self.highest)
                && last.sent_before.is_some_and(|before| last.sent > before)
        })
    }

    /// The mean rate of `rest`, the first of which the bucket lets pass at once.
    fn of_rest(&self, so_far: &RoundsSoFar, rest: Bytes) -> Option<Bandwidth> {
        let limit = self.of_next(so_far);
        let held = limit.bytes_per_sec_f64() * self.head_start.as_secs_f64();
        let limited = rest.as_f64() - held;
        (limited > 0.0).then(|| {
            let mean = limit.bits_per_sec() as f64 * rest.as_f64() / limited;
            Bandwidth::from_bits_per_sec(mean as u64)
        })
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
        self.adaptive_rate.as_ref().map(|adaptive| adaptive.of_next(so_far))
    }

    fn final_rate_limit(&self, so_far: &RoundsSoFar, rest: Bytes) -> Option<Bandwidth> {
        self.adaptive_rate.as_ref()?.of_rest(so_far, rest)
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
        let outrun = self.adaptive_rate.as_ref().is_some_and(|adaptive| adaptive.is_outrun(so_far));
        // In pages, as Xen counts: what is short by less than a page is reached.
        let sent_limit = so_far.memory.pages().get().saturating_mul(u64::from(self.max_sent_factor));
        if dirty < self.stop_below {
            Next::Pause(StopReason::Converged)
        } else if so_far.rounds >= self.max_rounds {
            Next::Pause(StopReason::RoundLimit)
        } else if so_far.sent.pages().get() >= sent_limit {
            Next::Pause(StopReason::SentLimit)
        } else if outrun {
            Next::Pause(StopReason::RateLimit)
        } else {
            Next::Round
        }
    }
}
