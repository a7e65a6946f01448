//! How fast a workload is at every moment: always the same, in phases, in bursts, or as recorded.
//!
//! A tempo turns spans of the clock into seconds of the workload's own time. Phases and traces repeat;
//! bursts are drawn from the guest's own random stream.

use rand::RngExt;
use rand_pcg::Pcg64;
use sim_core::{Span, draw, math};

use super::groups::Groups;
use super::{Phase, Workload};

/// Offsets over which the mean of a cycle is taken.
const OFFSETS: usize = 64;
/// A page of which all is dirty within an interval would have been written infinitely often.
const ALMOST_ALL: f64 = 0.999_999;

/// How fast a guest's workload is, from the beginning of the run.
#[derive(Debug, Clone)]
pub struct Tempo {
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Steady,
    Cycle { phases: Vec<(f64, f64)>, offset: f64 },
    Bursts { rates: BurstRates, switches: Vec<f64>, busy_first: bool, random: Box<Pcg64> },
}

impl Tempo {
    /// The tempo of `workload`; what is chance in it comes from `random`.
    pub fn new(workload: &Workload, random: impl FnOnce() -> Pcg64) -> Tempo {
        let kind = match workload {
            Workload::Phases { .. } => {
                let phases = phases(workload);
                let offset = random().random_range(0.0..1.0) * length(&phases);
                Kind::Cycle { phases, offset }
            }
            Workload::Trace { .. } => Kind::Cycle { phases: phases(workload), offset: 0.0 },
            Workload::Bursts { mean_busy, mean_calm, calm_speed, .. } => {
                let (rates, mut random) = (BurstRates::new(*mean_busy, *mean_calm, *calm_speed), random());
                let busy_first = random.random_bool(rates.busy_share());
                Kind::Bursts { rates, switches: Vec::new(), busy_first, random: Box::new(random) }
            }
            _ => Kind::Steady,
        };
        Tempo { kind }
    }

    /// Always as fast as it was described.
    pub fn steady() -> Tempo {
        Tempo { kind: Kind::Steady }
    }

    /// Whether it is always the same.
    pub fn is_steady(&self) -> bool {
        matches!(self.kind, Kind::Steady)
    }

    /// Seconds of the workload's own time between two points of the clock, in seconds since the run began.
    pub fn between(&mut self, from: f64, to: f64) -> f64 {
        match &mut self.kind {
            Kind::Steady => to - from,
            Kind::Cycle { phases, offset } => along(phases, to + *offset) - along(phases, from + *offset),
            Kind::Bursts { rates, switches, busy_first, random } => {
                rates.draw_until(to, switches, *busy_first, random);
                rates.along(switches, *busy_first, from, to)
            }
        }
    }
}

/// (seconds, speed) of each phase of a workload that repeats itself.
fn phases(workload: &Workload) -> Vec<(f64, f64)> {
    match workload {
        Workload::Phases { phases, .. } => {
            phases.iter().map(|Phase { lasts, speed }| (lasts.as_secs_f64(), *speed)).collect()
        }
        Workload::Trace { working_set, every, dirtied } => {
            // D = W·(1 − e^(−λ·t)), solved for the writes to each page, λ.
            let (seconds, set) = (every.as_secs_f64(), working_set.as_f64());
            let speed = |dirty: f64| -math::ln_1p(-(dirty / set).min(ALMOST_ALL)) / seconds;
            dirtied.iter().map(|dirty| (seconds, speed(dirty.as_f64()))).collect()
        }
        _ => vec![(1.0, 1.0)],
    }
}

fn length(phases: &[(f64, f64)]) -> f64 {
    phases.iter().map(|(seconds, _)| seconds).sum()
}

/// The workload's own time at a point of the clock, in a cycle that begins at zero.
fn along(phases: &[(f64, f64)], seconds: f64) -> f64 {
    let (whole, work): (f64, f64) =
        (length(phases), phases.iter().map(|(seconds, speed)| seconds * speed).sum());
    let rounds = (seconds / whole).floor();
    let (mut left, mut sum) = (seconds - rounds * whole, rounds * work);
    for (lasts, speed) in phases {
        sum += left.clamp(0.0, *lasts) * speed;
        left -= lasts;
    }
    sum
}

/// The mean of D(t) of phases or of a trace, over all points at which a count may fall.
pub(super) fn mean_of_cycle(workload: &Workload, seconds: f64) -> f64 {
    let (phases, groups) = (phases(workload), Groups::of(workload));
    let whole = length(&phases);
    let at = |index: usize| {
        let begin = (index as f64 + 0.5) / OFFSETS as f64 * whole;
        groups.distinct(along(&phases, begin + seconds) - along(&phases, begin))
    };
    (0..OFFSETS).map(at).sum::<f64>() / OFFSETS as f64
}

/// How bursts come and go: from busy to calm and back, each at a constant rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BurstRates {
    ending: f64,
    beginning: f64,
    calm_speed: f64,
}

impl BurstRates {
    /// From the mean times busy and calm.
    pub fn new(mean_busy: Span, mean_calm: Span, calm_speed: f64) -> BurstRates {
        let rate = |mean: Span| 1.0 / mean.as_secs_f64().max(1e-9);
        BurstRates { ending: rate(mean_busy), beginning: rate(mean_calm), calm_speed }
    }

    /// The share of time that is busy.
    pub fn busy_share(&self) -> f64 {
        self.beginning / (self.beginning + self.ending)
    }

    /// The mean speed.
    pub fn mean_speed(&self) -> f64 {
        let busy = self.busy_share();
        busy + (1.0 - busy) * self.calm_speed
    }

    /// The chance that a page that is written `per_second` times a second when it is busy is not
    /// written within `seconds`: π·e^((Q − Λ)t)·1 of the two-state Markov-modulated Poisson process
    /// (Fischer and Meier-Hellstern, "The Markov-modulated Poisson process cookbook", 1993).
    pub fn untouched(&self, per_second: f64, seconds: f64) -> f64 {
        let (a, b) = (self.ending, self.beginning);
        // Q − Λ = [[−a − λ, a], [b, −b − λ·calm]]; its eigenvalues are mean ± root.
        let (first, last) = (-a - per_second, -b - per_second * self.calm_speed);
        let mean = (first + last) / 2.0;
        let half = (first - last) / 2.0;
        let root = (half * half + a * b).sqrt();
        let (slow, fast) = (math::exp((mean + root) * seconds), math::exp((mean - root) * seconds));
        let busy = self.busy_share();
        // The rows of (Q − Λ − mean)·1, weighed by where it begins.
        let rows = busy * (first - mean + a) + (1.0 - busy) * (b + last - mean);
        ((slow + fast) / 2.0 + rows * (slow - fast) / 2.0 / root).clamp(0.0, 1.0)
    }

    fn draw_until(&self, to: f64, switches: &mut Vec<f64>, busy_first: bool, random: &mut Pcg64) {
        while switches.last().copied().unwrap_or(0.0) <= to {
            let busy = busy_first == switches.len().is_multiple_of(2);
            let rate = if busy { self.ending } else { self.beginning };
            let lasts = (draw::exponential(random) / rate).max(1e-9);
            switches.push(switches.last().copied().unwrap_or(0.0) + lasts);
        }
    }

    fn along(&self, switches: &[f64], busy_first: bool, from: f64, to: f64) -> f64 {
        let (mut sum, mut begin) = (0.0, 0.0f64);
        let first = switches.partition_point(|switch| *switch <= from);
        if first > 0 {
            begin = switches[first - 1];
        }
        for (index, switch) in switches.iter().enumerate().skip(first) {
            let busy = busy_first == index.is_multiple_of(2);
            let speed = if busy { 1.0 } else { self.calm_speed };
            sum += (switch.min(to) - begin.max(from)).max(0.0) * speed;
            if *switch >= to {
                break;
            }
            begin = *switch;
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_take_their_turns_and_begin_anew() {
        let phases = [(2.0, 1.0), (3.0, 0.0), (1.0, 4.0)];
        let at = |seconds| along(&phases, seconds);
        assert_eq!([at(1.0), at(4.0), at(5.5), at(6.0), at(7.0)], [1.0, 2.0, 4.0, 6.0, 7.0]);
    }

    #[test]
    fn bursts_without_calm_and_without_difference_are_steady() {
        let seconds = 3.0;
        let alike = BurstRates::new(Span::from_secs(2), Span::from_secs(1), 1.0);
        assert!((alike.untouched(0.7, seconds) - math::exp(-0.7 * seconds)).abs() < 1e-12);
        let busy = BurstRates::new(Span::from_secs(1_000_000), Span::from_nanos(1), 0.0);
        assert!((busy.untouched(0.7, seconds) - math::exp(-0.7 * seconds)).abs() < 1e-5);
    }
}
