//! How a rate went over time, as means over equal intervals, in bounded memory.
//!
//! A meter is told a rate whenever it changes and integrates exactly. When its intervals run out,
//! neighbours are merged and the interval doubles: a run of any length leaves between half of
//! [`MAX_INTERVALS`] and all of them.

use crate::time::{SimTime, Span};

/// Intervals that a meter keeps at most.
pub const MAX_INTERVALS: usize = 1024;

/// Integrates a rate that changes at known points in time.
#[derive(Debug, Clone)]
pub struct Meter {
    interval: Span,
    /// Integral of the rate (rate × seconds) over each interval.
    sums: Vec<f64>,
    since: SimTime,
    rate: f64,
}

impl Meter {
    /// A meter at rate 0 whose intervals are `interval` long at first.
    ///
    /// # Panics
    ///
    /// If `interval` is zero.
    pub fn new(interval: Span) -> Meter {
        assert!(interval > Span::ZERO, "a meter's interval must be longer than zero");
        Meter { interval, sums: Vec::new(), since: SimTime::ZERO, rate: 0.0 }
    }

    /// The rate is `rate` from `now` on.
    pub fn set(&mut self, now: SimTime, rate: f64) {
        self.advance(now);
        self.rate = rate;
    }

    /// The length of an interval now.
    pub fn interval(&self) -> Span {
        self.interval
    }

    /// The mean rate of every interval up to `end`, the last one perhaps cut short there.
    pub fn means(&mut self, end: SimTime) -> Vec<f64> {
        self.advance(end);
        let whole = self.interval.as_nanos();
        let mean = |(index, sum): (usize, &f64)| {
            let elapsed = end.as_nanos().saturating_sub(index as u64 * whole).min(whole);
            if elapsed == 0 { 0.0 } else { sum / Span::from_nanos(elapsed).as_secs_f64() }
        };
        self.sums.iter().enumerate().map(mean).collect()
    }

    /// The integral of the rate from the beginning to `end`.
    pub fn total(&mut self, end: SimTime) -> f64 {
        self.advance(end);
        self.sums.iter().sum()
    }

    fn advance(&mut self, now: SimTime) {
        while self.since < now {
            let index = (self.since.as_nanos() / self.interval.as_nanos()) as usize;
            if index >= MAX_INTERVALS || self.last_index(now) >= MAX_INTERVALS {
                self.double();
                continue;
            }
            let interval_end = SimTime::from_nanos((index as u64 + 1) * self.interval.as_nanos());
            let until = now.min(interval_end);
            if self.sums.len() <= index {
                self.sums.resize(index + 1, 0.0);
            }
            self.sums[index] += self.rate * (until - self.since).as_secs_f64();
            self.since = until;
        }
    }

    /// The interval in which the last nanosecond before `now` lies.
    fn last_index(&self, now: SimTime) -> usize {
        ((now.as_nanos() - 1) / self.interval.as_nanos()) as usize
    }

    fn double(&mut self) {
        self.interval = self.interval * 2;
        self.sums = self.sums.chunks(2).map(|pair| pair.iter().sum()).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> SimTime {
        SimTime::ZERO + Span::from_secs(secs)
    }

    #[test]
    fn means_are_exact_over_changes_within_an_interval() {
        let mut meter = Meter::new(Span::from_secs(10));
        meter.set(at(5), 8.0);
        meter.set(at(15), 2.0);
        assert_eq!(meter.means(at(25)), [4.0, 5.0, 2.0]);
    }

    #[test]
    fn a_long_run_doubles_the_interval_and_loses_nothing() {
        let mut meter = Meter::new(Span::from_secs(1));
        meter.set(at(0), 3.0);
        let end = at(10_000_000);
        let means = meter.means(end);
        assert!(means.len() <= MAX_INTERVALS && means.len() > MAX_INTERVALS / 2, "{}", means.len());
        assert!(means.iter().all(|mean| (mean - 3.0).abs() < 1e-9));
        assert!((meter.total(end) - 3e7).abs() < 1e-3);
    }
}
