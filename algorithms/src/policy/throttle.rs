//! Slowing the guest down so that pre-copy gets ahead of it: what all hypervisors' rules look at.
//!
//! - [`AutoConverge`]: QEMU's `migration_trigger_throttle` and `mig_throttle_guest_down`
//!   (`migration/ram.c`, 7.2 to 10.0).
//! - [`DirtyLimit`]: QEMU's `dirty-limit` capability (`migration_dirty_limit_guest`, 8.1): by the same
//!   trigger, vCPUs are slowed until each dirties no more than `vcpu-dirty-limit`.

use serde::{Deserialize, Serialize};
use sim_core::{ByteRate, Bytes, SimTime, Span};

/// What was seen since the guest was last looked at, and how slow it is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThrottleState {
    /// The share of time that the guest's processors are kept from running, in percent; from 0 to 99.
    pub percent: u32,
    /// Periods in which the guest dirtied too much, since the last change.
    pub high: u32,
    /// When the period began.
    pub since: SimTime,
    /// Dirtied in the period.
    pub dirtied: Bytes,
    /// Sent on the stream before the period.
    pub transferred_before: Bytes,
}

/// A count, as throttling looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// When.
    pub now: SimTime,
    /// Newly dirty: what was pending already does not count.
    pub dirtied: Bytes,
    /// Sent on the stream so far.
    pub transferred: Bytes,
}

/// QEMU looks at the rates on counts at least so far apart.
const PERIOD: Span = Span::from_secs(1);

/// A guest that never ran would never dirty anything, and never answer either.
const MOST_PERCENT: u32 = 99;

/// QEMU's `auto-converge` and its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutoConverge {
    /// `throttle-trigger-threshold`: dirtied bytes over this share of those sent, in percent, are too many.
    pub trigger_percent: u32,
    /// `cpu-throttle-initial`.
    pub initial_percent: u32,
    /// `cpu-throttle-increment`.
    pub increment_percent: u32,
    /// `max-cpu-throttle`.
    pub max_percent: u32,
}

impl Default for AutoConverge {
    fn default() -> AutoConverge {
        AutoConverge { trigger_percent: 50, initial_percent: 20, increment_percent: 10, max_percent: 99 }
    }
}

impl AutoConverge {
    /// The state after a count.
    pub fn counted(&self, state: ThrottleState, count: &Counted) -> ThrottleState {
        period(state, count, self.trigger_percent, |state, _| match state.percent {
            0 => self.initial_percent,
            percent => percent.saturating_add(self.increment_percent).min(self.max_percent),
        })
    }
}

/// QEMU's `dirty-limit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirtyLimit {
    /// `vcpu-dirty-limit` times the guest's vCPUs: what it may dirty in all.
    pub rate: ByteRate,
}

impl DirtyLimit {
    /// The state after a count. QEMU steers each vCPU by its own rate until the limit holds; here it
    /// holds from the next count on, by the rate of the period that was over it.
    pub fn counted(&self, state: ThrottleState, count: &Counted) -> ThrottleState {
        let trigger = AutoConverge::default().trigger_percent;
        period(state, count, trigger, |state, span| {
            let running = f64::from(100 - state.percent) / 100.0;
            let unthrottled = state.dirtied.as_f64() / span.as_secs_f64() / running;
            let allowed = (self.rate.as_f64() / unthrottled).min(1.0);
            ((1.0 - allowed) * 100.0).ceil().clamp(0.0, 99.0) as u32
        })
    }
}

/// Adds a count to the period; when that is over, and was the second in which too much was dirtied, the
/// throttle becomes what `next` says. A good period in between does not reset the count.
fn period(
    mut state: ThrottleState,
    count: &Counted,
    trigger_percent: u32,
    next: impl Fn(&ThrottleState, Span) -> u32,
) -> ThrottleState {
    state.dirtied += count.dirtied;
    let span = count.now.since(state.since);
    if span <= PERIOD {
        return state;
    }
    let sent = count.transferred.saturating_sub(state.transferred_before);
    if state.dirtied.as_f64() > sent.as_f64() * f64::from(trigger_percent) / 100.0 {
        state.high += 1;
        if state.high >= 2 {
            (state.percent, state.high) = (next(&state, span).min(MOST_PERCENT), 0);
        }
    }
    ThrottleState { since: count.now, dirtied: Bytes::ZERO, transferred_before: count.transferred, ..state }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(state: ThrottleState, second: u64, dirtied: u64) -> ThrottleState {
        let now = SimTime::ZERO + Span::from_millis(second * 1001);
        let count = Counted { now, dirtied: Bytes::new(dirtied), transferred: Bytes::new(second * 100) };
        AutoConverge::default().counted(state, &count)
    }

    #[test]
    fn every_second_period_over_the_trigger_throttles_further() {
        let mut state = ThrottleState::default();
        let mut percents = Vec::new();
        for second in 1..=6 {
            state = after(state, second, 60);
            percents.push(state.percent);
        }
        assert_eq!(percents, [0, 20, 20, 30, 30, 40]);
    }

    #[test]
    fn a_good_period_does_not_reset_the_count_and_the_most_is_99() {
        let mut state = after(ThrottleState::default(), 1, 60);
        state = after(state, 2, 10);
        assert_eq!((state.percent, state.high), (0, 1));
        assert_eq!(after(state, 3, 60).percent, 20);
        state.percent = 95;
        assert_eq!(after(state, 3, 60).percent, 99);
    }

    #[test]
    fn counts_within_a_second_are_one_period() {
        let mut state = ThrottleState::default();
        for count in 1..=4 {
            let now = SimTime::ZERO + Span::from_millis(count * 400);
            let counted = Counted { now, dirtied: Bytes::new(30), transferred: Bytes::new(count * 50) };
            state = AutoConverge::default().counted(state, &counted);
        }
        assert_eq!((state.high, state.dirtied), (1, Bytes::new(30)), "one period of three counts, one begun");
    }

    #[test]
    fn the_dirty_limit_slows_the_guest_to_its_quota() {
        let limit = DirtyLimit { rate: ByteRate::from_bytes_per_sec(25) };
        let mut state = ThrottleState::default();
        for second in 1..=2 {
            let now = SimTime::ZERO + Span::from_secs(2 * second);
            let count = Counted { now, dirtied: Bytes::new(200), transferred: Bytes::new(second * 100) };
            state = limit.counted(state, &count);
        }
        assert_eq!(state.percent, 75, "100 B/s are dirtied, and 25 may be");
    }
}
