//! A hypervisor's own page loop, as its counts show it: where it stands, and what each pass tells of the
//! network and of the guest.
//!
//! A pass says how many bytes it sent, how long that took, and what was dirty at the count that ended it.
//! What a pass left unsent is among the dirty, and was not written again for that: QEMU ends a pass when
//! less is pending than its threshold, so it is known within a step.

use algorithms::page_loop::UnderWay;
use algorithms::policy::{Policy, PreCopyPolicy, Qemu};
use sim_core::{Bytes, PAGE_SIZE, SimTime, Span};

use super::evidence::{Evidence, Pass};

/// QEMU's step of sending is 50 ms: where in the last one a pass ended is not known.
const HALF_A_STEP: f64 = 0.025;

/// What is known of the loop by its last count.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    rules: Qemu,
    memory: Bytes,
    began: SimTime,
    counted: SimTime,
    passes: u32,
    sent: Bytes,
    dirty: Bytes,
    throttle_percent: u32,
    stream_rate: f64,
}

impl Watched {
    /// A loop by `policy` that has not begun; `None` where it is not known how such a loop goes on.
    pub(super) fn new(policy: &Policy, memory: Bytes) -> Option<Watched> {
        let Policy::Qemu(rules) = policy else { return None };
        Some(Watched {
            rules: rules.clone(),
            memory,
            began: SimTime::ZERO,
            counted: SimTime::ZERO,
            passes: 0,
            sent: Bytes::ZERO,
            dirty: memory,
            throttle_percent: 0,
            stream_rate: 0.0,
        })
    }

    /// The first pass begins.
    pub(super) fn begin(&mut self, now: SimTime) {
        (self.began, self.counted) = (now, now);
    }

    /// A pass has ended.
    pub(super) fn pass(
        &mut self,
        now: SimTime,
        (sent, dirty, throttle_percent): (Bytes, Bytes, u32),
        evidence: &mut Evidence,
    ) {
        let seconds = now.since(self.counted.min(now)).as_secs_f64();
        let stream = sent.saturating_sub(self.sent).as_f64();
        if seconds > 0.0 {
            // A whole window is sent before QEMU looks at its limit and sleeps: a pass of a few windows seems
            // faster than it can go on.
            self.stream_rate = (stream / seconds).min(self.limit());
            let sending = if self.stream_rate > 0.0 { stream / self.stream_rate } else { seconds };
            evidence.passed(
                &Pass {
                    seconds,
                    sending,
                    stream,
                    memory: stream * self.memory_share(),
                    dirty: dirty.as_f64(),
                    unsent: self.unsent(stream).min(dirty.as_f64()),
                    // Nothing was left out of memory before the first pass, whose rest lies at the memory's end; later
                    // the rest lies where the guest writes.
                    unsent_of: (self.passes == 0).then_some(self.memory.as_f64()),
                    throttled_percent: self.throttle_percent,
                    throttle_percent,
                },
                now,
            );
        }
        (self.counted, self.sent, self.dirty) = (now, sent, dirty);
        (self.throttle_percent, self.passes) = (throttle_percent, self.passes + 1);
    }

    /// Whether a pass has ended, so that there is something to go by.
    pub(super) fn is_known(&self) -> bool {
        self.passes > 0 && self.stream_rate > 0.0
    }

    /// `max-bandwidth`, in bytes per second.
    fn limit(&self) -> f64 {
        self.rules.max_bandwidth.map_or(f64::INFINITY, |limit| limit.bytes_per_sec_f64())
    }

    /// Bytes of guest memory for each of the stream, pages of zeros aside.
    fn memory_share(&self) -> f64 {
        PAGE_SIZE as f64 / (PAGE_SIZE as f64 + self.rules.page_costs().header as f64)
    }

    /// What the pass that ends left of what was dirty before it.
    fn unsent(&self, stream: f64) -> f64 {
        let rate = self.stream_rate;
        let threshold = rate * self.rules.downtime_limit.as_secs_f64();
        let left = self.dirty.as_f64() - stream * self.memory_share();
        // More than the threshold is never left: the difference were pages of zeros, or smaller on the stream.
        if left > threshold { (threshold - rate * HALF_A_STEP).max(0.0) } else { left.max(0.0) }
    }

    /// Where the loop stands at `now`, if memory went on as fast as in all passes.
    pub(super) fn under_way(&self, now: SimTime, memory_rate: f64) -> UnderWay {
        let since: Span = now.since(self.counted.min(now));
        let gone = Bytes::from_f64_floor(memory_rate * since.as_secs_f64());
        UnderWay {
            memory: self.memory,
            began: self.began,
            counted: self.counted,
            rounds: self.passes,
            sent: self.sent,
            pending: self.dirty.saturating_sub(gone),
            stream_rate: memory_rate / self.memory_share(),
            memory_rate,
            throttle_percent: self.throttle_percent,
        }
    }
}
