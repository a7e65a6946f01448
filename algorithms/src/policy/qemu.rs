//! QEMU's pre-copy, as its source has it (`migration/migration.c`, `migration/ram.c`, 7.2 to 10.0).
//!
//! - A pass ends when what is pending is under the threshold, not when nothing is.
//! - threshold = measured bandwidth × downtime limit (300 ms by default), zero before the first
//!   measurement; after the sync that ends a pass, pending under the threshold completes. Since 8.2 the
//!   bandwidth can be given instead (`avail-switchover-bandwidth`).
//! - The rate limit, 128 MiB/s by default, does not hold for the completion.
//! - Whether a pass has ended is looked at when nothing remains, when 50 ms have passed, or when the
//!   bytes of a 100 ms window are used up, where the rate limit is what holds it back. So the last passes
//!   go under the threshold by up to such a step, and converge where they otherwise would only creep.
//! - What is pending counts whole pages, what was measured counts the stream: a page of zeros is 9 bytes
//!   there, any other 4096 + 8 (`save_zero_page`, `save_normal_page`).
//! - `auto-converge` and `dirty-limit` slow the guest down: see `throttle.rs`. With `auto-converge`, QEMU
//!   10.0 syncs again 5 s after the last sync, from the second pass on (`cpu_throttle_dirty_sync_timer_tick`).
//! - Post-copy, once asked for, begins whatever is pending (`postcopy_start`); libvirt asks for it after
//!   the first pass (`--postcopy-after-precopy`), others after a while.
//!
//! The first pass is sent in halves of what is pending until there is a measurement of the bandwidth,
//! which finds the same end of the pass while the rate is steady.

use serde::{Deserialize, Serialize};
use sim_core::{Bandwidth, Bytes, PAGE_SIZE, SimTime, Span};

use super::{
    AutoConverge, Counted, DirtyLimit, Doubling, DoublingState, Next, PageCosts, PreCopyPolicy, RoundsSoFar,
    Slice, StopReason, ThrottleState, Tracking,
};

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
    /// What the downtime limit is multiplied with.
    pub switch_over_rate: SwitchOverRate,
    /// How guests that are too fast are slowed down.
    pub slowing: Slowing,
    /// A sync at least so often after the first pass, where the guest may be slowed down; `None` for
    /// passes only.
    pub sync_every: Option<Span>,
    /// When the guest is handed over before all of its memory.
    pub post_copy: PostCopyStart,
    /// `max-postcopy-bandwidth`; `None` for unlimited.
    pub max_postcopy_bandwidth: Option<Bandwidth>,
    /// The `xbzrle` capability.
    pub xbzrle: Option<Xbzrle>,
    /// Whether a toolstack raises the downtime limit.
    pub doubling: Option<Doubling>,
    /// How dirty pages are found.
    pub tracking: Tracking,
    /// What pages cost on the stream.
    pub page_costs: PageCosts,
}

/// The bandwidth that the downtime limit is multiplied with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SwitchOverRate {
    /// That of the last window.
    Measured,
    /// `avail-switchover-bandwidth`.
    Given(Bandwidth),
}

/// How guests that are too fast are slowed down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Slowing {
    /// Not at all.
    Off,
    /// The `auto-converge` capability.
    AutoConverge(AutoConverge),
    /// The `dirty-limit` capability.
    DirtyLimit(DirtyLimit),
}

/// When the guest is handed over before all of its memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PostCopyStart {
    /// Never.
    Never,
    /// After so many passes.
    AfterPasses(u32),
    /// After so long.
    After(Span),
}

/// Pages that were sent before are sent as differences from a cached copy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Xbzrle {
    /// `xbzrle-cache-size`.
    pub cache: Bytes,
    /// What the differences of a page take, as a share of it, from 0 to 1.
    pub encoded_share: f64,
}

impl Default for Xbzrle {
    /// QEMU's cache of 64 MiB; that differences take a quarter of a page is an assumption.
    fn default() -> Xbzrle {
        Xbzrle { cache: Bytes::from_mib(64), encoded_share: 0.25 }
    }
}

impl Default for Qemu {
    fn default() -> Qemu {
        Qemu {
            downtime_limit: Span::from_millis(300),
            max_bandwidth: Some(Bandwidth::from_bits_per_sec((128 << 20) * 8)),
            switch_over_rate: SwitchOverRate::Measured,
            slowing: Slowing::Off,
            sync_every: None,
            post_copy: PostCopyStart::Never,
            max_postcopy_bandwidth: None,
            xbzrle: None,
            doubling: None,
            tracking: Tracking::Chunks(Bytes::from_gib(1)),
            page_costs: PageCosts { header: 8, zero_page: Some(9) },
        }
    }
}

impl Qemu {
    /// 10.0: with `auto-converge` it syncs every five seconds.
    pub fn v10() -> Qemu {
        Qemu { sync_every: Some(Span::from_secs(5)), ..Qemu::default() }
    }

    /// How long QEMU sends before it looks again at what is pending.
    fn step(&self, bytes_per_sec: f64) -> Span {
        match self.max_bandwidth {
            Some(limit) if bytes_per_sec > NEARLY * limit.bytes_per_sec_f64() => LIMITED_STEP,
            _ => STEP,
        }
    }

    /// What may be pending for the pause to keep to the downtime limit.
    fn threshold(&self, so_far: &RoundsSoFar, measured: f64) -> f64 {
        let bytes_per_sec = match self.switch_over_rate {
            SwitchOverRate::Measured => measured,
            SwitchOverRate::Given(rate) => rate.bytes_per_sec_f64(),
        };
        let doubled = f64::from(1u32 << so_far.doubling.doubled.min(31));
        bytes_per_sec * self.downtime_limit.as_secs_f64() * doubled
    }

    /// How much longer this pass can go on, whatever is pending: until a sync in between, or until
    /// post-copy begins.
    fn time_left(&self, so_far: &RoundsSoFar) -> Option<Span> {
        let syncing = matches!(self.slowing, Slowing::AutoConverge(_)) && so_far.rounds > 0;
        let to_sync = self.sync_every.filter(|_| syncing).map(|every| every.saturating_sub(so_far.pass));
        let to_post_copy = match self.post_copy {
            PostCopyStart::After(after) => Some(after.saturating_sub(so_far.elapsed)),
            PostCopyStart::Never | PostCopyStart::AfterPasses(_) => None,
        };
        [to_sync, to_post_copy].into_iter().flatten().min()
    }
}

impl PreCopyPolicy for Qemu {
    fn rate_limit(&self, _so_far: &RoundsSoFar) -> Option<Bandwidth> {
        self.max_bandwidth
    }

    fn slice(&self, so_far: &RoundsSoFar, pending: Bytes) -> Slice {
        let (Some(measured), Some(rate)) = (so_far.bandwidth, so_far.memory_rate) else {
            let half = Bytes::new(pending.get().div_ceil(2));
            // Post-copy may be asked for before anything was measured.
            let step = self.max_bandwidth.filter(|_| self.time_left(so_far).is_some());
            let step = step.map(|limit| limit.bytes_per_sec_f64() * STEP.as_secs_f64());
            return Slice::Send(
                step.map_or(half, |step| Bytes::from_f64_floor(step.max(PAGE_SIZE as f64)).min(half)),
            );
        };
        let over = pending.as_f64() - self.threshold(so_far, measured);
        if over < 0.0 || pending == Bytes::ZERO {
            return Slice::PassEnds;
        }
        // Whole steps, as many as it takes to get under the threshold; a page at least, however slowly it goes.
        let step = (rate * self.step(measured).as_secs_f64()).max(PAGE_SIZE as f64);
        let mut steps = (over / step).floor() + 1.0;
        if let Some(left) = self.time_left(so_far) {
            if left == Span::ZERO {
                return Slice::PassEnds;
            }
            let most = left.as_secs_f64() / self.step(measured).as_secs_f64();
            steps = steps.min(most.ceil().max(1.0));
        }
        Slice::Send(Bytes::from_f64_floor(steps * step).min(pending))
    }

    fn after_count(&self, so_far: &RoundsSoFar, dirty: Bytes) -> Next {
        let threshold = so_far.bandwidth.map_or(0.0, |rate| self.threshold(so_far, rate));
        let asked = match self.post_copy {
            PostCopyStart::Never => false,
            PostCopyStart::AfterPasses(passes) => so_far.rounds >= passes,
            PostCopyStart::After(after) => so_far.elapsed >= after,
        };
        if dirty == Bytes::ZERO || dirty.as_f64() < threshold {
            Next::Pause(StopReason::Converged)
        } else if asked {
            Next::PostCopy
        } else {
            Next::Round
        }
    }

    fn may_post_copy(&self) -> bool {
        self.post_copy != PostCopyStart::Never
    }

    fn post_copy_rate_limit(&self) -> Option<Bandwidth> {
        self.max_postcopy_bandwidth
    }

    fn throttle(&self, so_far: &RoundsSoFar, count: &Counted) -> ThrottleState {
        match &self.slowing {
            Slowing::Off => so_far.throttle,
            Slowing::AutoConverge(rules) => rules.counted(so_far.throttle, count),
            Slowing::DirtyLimit(rules) => rules.counted(so_far.throttle, count),
        }
    }

    fn doubling(&self, so_far: &RoundsSoFar, now: SimTime, dirty: Bytes) -> DoublingState {
        self.doubling.map_or(so_far.doubling, |rule| rule.counted(so_far.doubling, now, dirty))
    }

    fn tracking(&self) -> Tracking {
        self.tracking
    }

    fn page_costs(&self) -> PageCosts {
        self.page_costs
    }

    /// The cache is direct-mapped: a working set larger than it finds a page there by its share.
    fn resent_share(&self, working_set: Bytes) -> f64 {
        self.xbzrle.map_or(1.0, |xbzrle| {
            let set = working_set.as_f64();
            let hits = if set > 0.0 { (xbzrle.cache.as_f64() / set).min(1.0) } else { 1.0 };
            1.0 - hits * (1.0 - xbzrle.encoded_share)
        })
    }
}
