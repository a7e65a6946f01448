//! Whether pre-copy converges, for any D(t) that does not fall: a fixed point.
//!
//! A pass over v bytes at the rate R takes v/R and leaves D(v/R), so that the passes are the iteration
//! v → D(v/R) from the memory down. D does not fall, so the iteration goes down to the largest fixed
//! point v* = D(v*/R), and never below. Pre-copy converges where it stops above v*:
//!
//! ```text
//!   D │            ╭───────────        passes shrink while D(t) < R·t,
//!     │         ╭──╯ ╱ R·t             down to where the line meets the curve;
//!     │      ╭──╯ ╱                    a downtime limit T (a threshold R·T) right of
//!     │    ╭─╯ ╱                       that point is reached, one left of it is not
//!     │  ╭╯ ╱
//!     └────────────────────── t
//! ```
//!
//! With λ(t) = D(t) ÷ (R·t) (Liu et al., HPDC 2011, have it constant), the condition is λ < 1 from the
//! stop on up to the first pass. Two answers follow: the bandwidth at which it would converge is the
//! highest D(t) ÷ t there, and the downtime limit at which it would is the time of the fixed point, v*/R.

use serde::{Deserialize, Serialize};

use crate::ids::Name;

/// Steps in which the rate needed is closed in on.
const HALVINGS: u32 = 80;
/// Passes that are followed at most; a convergence that is slower than this is none.
const MOST_PASSES: u32 = 1_000;
/// A pass that is no shorter than the last by this share is at the fixed point.
const NO_SHORTER: f64 = 1e-6;

/// When a page loop is content with what is left.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopAt {
    /// When so many bytes are left.
    Bytes(f64),
    /// When what is left is sent within so many seconds.
    Seconds(f64),
}

/// Whether and why a guest's pre-copy converges, for people and programs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The guest.
    pub vm: Name,
    /// Where it runs.
    pub source: Name,
    /// Where it would go.
    pub destination: Name,
    /// Its memory, in bytes.
    pub memory_bytes: f64,
    /// What the first pass sends, in bytes: zero pages as they go.
    pub first_pass_bytes: f64,
    /// What it ever writes, in bytes.
    pub working_set_bytes: f64,
    /// Bytes per second that it gets alone.
    pub rate: f64,
    /// What limits that.
    pub limited_by: String,
    /// When the page loop is content.
    pub stop: StopAt,
    /// Passes after which it pauses the guest all the same.
    pub most_passes: Option<u32>,
    /// What the fixed point says.
    pub convergence: Convergence,
}

impl Explanation {
    /// Whether it converges within the passes that there are.
    pub fn converges(&self) -> bool {
        self.convergence.passes.is_some_and(|passes| self.most_passes.is_none_or(|most| passes <= most))
    }
}

/// A guest on a link.
pub struct FixedPoint<'a> {
    /// Bytes that the first pass sends.
    pub memory: f64,
    /// Bytes per second at which it is sent.
    pub rate: f64,
    /// When the page loop is content.
    pub stop: StopAt,
    /// D(t): distinct bytes dirtied within so many seconds; must not fall.
    pub dirtied: &'a dyn Fn(f64) -> f64,
}

/// What the fixed point says.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Convergence {
    /// Whether passes get down to where the page loop is content.
    pub converges: bool,
    /// λ of the first pass: dirtied ÷ sent.
    pub lambda_first: f64,
    /// λ where the page loop would stop.
    pub lambda_at_stop: f64,
    /// Bytes that the page loop is content with.
    pub threshold_bytes: f64,
    /// The largest amount that a pass sends and finds dirty again; zero where there is none.
    pub fixed_point_bytes: f64,
    /// Passes until it is content; `None` where it never is.
    pub passes: Option<u32>,
    /// It converges above so many bytes per second, all else equal.
    pub rate_needed: f64,
    /// It converges where a pause of more than so many seconds is tolerated, all else equal; 0 for any.
    pub seconds_needed: f64,
}

impl FixedPoint<'_> {
    /// Tests the guest for convergence.
    pub fn test(&self) -> Convergence {
        let threshold_bytes = self.threshold(self.rate);
        let (passes, fixed_point_bytes) = (self.passes(threshold_bytes), self.fixed_point());
        let stop = (threshold_bytes / self.rate).max(f64::MIN_POSITIVE);
        Convergence {
            converges: passes.is_some(),
            lambda_first: self.lambda(self.memory / self.rate),
            lambda_at_stop: self.lambda(stop),
            threshold_bytes,
            fixed_point_bytes,
            passes,
            rate_needed: self.rate_needed(),
            seconds_needed: fixed_point_bytes / self.rate,
        }
    }

    fn threshold(&self, rate: f64) -> f64 {
        match self.stop {
            StopAt::Bytes(bytes) => bytes,
            StopAt::Seconds(seconds) => rate * seconds,
        }
    }

    fn lambda(&self, seconds: f64) -> f64 {
        (self.dirtied)(seconds) / (self.rate * seconds)
    }

    fn passes(&self, threshold: f64) -> Option<u32> {
        let mut sent = self.memory;
        for pass in 1..=MOST_PASSES {
            let dirty = (self.dirtied)(sent / self.rate).min(self.memory);
            if dirty <= threshold {
                return Some(pass);
            }
            if pass > 1 && dirty >= sent * (1.0 - NO_SHORTER) {
                return None;
            }
            sent = dirty;
        }
        None
    }

    /// Where the iteration ends that nothing stops: on from the memory while it gets shorter.
    fn fixed_point(&self) -> f64 {
        let mut sent = self.memory;
        for _ in 0..MOST_PASSES {
            let dirty = (self.dirtied)(sent / self.rate).min(self.memory);
            if dirty >= sent * (1.0 - NO_SHORTER) {
                return dirty;
            }
            if dirty < 1.0 {
                return 0.0;
            }
            sent = dirty;
        }
        sent
    }

    /// The lowest rate at which D(t) < rate · t from the stop on. A higher rate makes both the first pass
    /// and, where bytes are the threshold, the stop come sooner.
    fn rate_needed(&self) -> f64 {
        let converges = |rate: f64| {
            let guest = FixedPoint { rate, ..*self };
            guest.passes(guest.threshold(rate)).is_some()
        };
        let (mut low, mut high) = (1.0, 1e15);
        if !converges(high) {
            return f64::INFINITY;
        }
        for _ in 0..HALVINGS {
            let middle = f64::sqrt(low * high);
            if converges(middle) { high = middle } else { low = middle }
        }
        high
    }
}

#[cfg(test)]
mod tests {
    use sim_core::math;

    use super::*;

    fn uniform(rate: f64, set: f64) -> impl Fn(f64) -> f64 {
        move |seconds| -set * math::exp_m1(-rate * seconds / set)
    }

    #[test]
    fn a_constant_dirty_rate_converges_below_the_rate_of_the_link_and_nowhere_else() {
        for (dirty, converges) in [(95.0, true), (101.0, false)] {
            let dirtied = |seconds: f64| dirty * seconds;
            let guest =
                FixedPoint { memory: 1e6, rate: 100.0, stop: StopAt::Seconds(0.3), dirtied: &dirtied };
            let result = guest.test();
            assert_eq!(result.converges, converges, "{result:?}");
            assert!((result.lambda_first - dirty / 100.0).abs() < 1e-12);
            // As many passes as Liu's series: λ^n · V under the threshold.
            let expected = math::ln(30.0 / 1e6) / math::ln(dirty / 100.0);
            assert_eq!(result.passes, converges.then(|| expected.ceil() as u32));
            assert!((result.rate_needed / dirty - 1.0).abs() < 0.02, "{}", result.rate_needed);
        }
    }

    #[test]
    fn a_working_set_that_fills_has_a_fixed_point_that_a_longer_pause_takes_in() {
        let dirtied = uniform(150.0, 60.0);
        let guest = |seconds| FixedPoint {
            memory: 1e4,
            rate: 100.0,
            stop: StopAt::Seconds(seconds),
            dirtied: &dirtied,
        };
        let result = guest(0.3).test();
        assert!(!result.converges);
        let at = result.fixed_point_bytes;
        assert!((dirtied(at / 100.0) / at - 1.0).abs() < 1e-5, "{at}");
        assert!(guest(result.seconds_needed * 1.01).test().converges);
        assert!(!guest(result.seconds_needed * 0.99).test().converges);
        let faster = |rate: f64| FixedPoint { rate, ..guest(0.3) }.test().converges;
        assert!(faster(result.rate_needed * 1.001) && !faster(result.rate_needed * 0.999));
    }
}
