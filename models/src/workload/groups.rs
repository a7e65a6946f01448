//! Pages that are written alike, and when they are written: what every workload means page by page.
//!
//! | workload | groups |
//! |---|---|
//! | `Uniform`, `Classes` | one for each set, written at random (a Poisson process for each page) |
//! | `Zipf` | ranks in bins, each written at random at its mean rate |
//! | `Linear` | one: pages in turn, an order that the log's reader knows nothing of |
//! | `Sweep` | arcs of the ring, each written when the hand passes it |
//! | `Curve` | one for each bend of its concave hull: W·min(t ÷ T, 1) is a set whose pages are each written once in T |
//!
//! A curve that is not concave is its hull, scaled down at every t to the curve itself.

use serde::{Deserialize, Serialize};
use sim_core::{Bytes, PAGE_SIZE, math};

use super::tempo::BurstRates;
use super::{CurvePoint, Workload, interpolate};

/// Arcs of a sweep: its hand is known to so many parts of the set.
const ARCS: usize = 32;
/// Ranks of a bin of Zipf's law reach so many times as far as those of the one before.
const BIN_GROWTH: f64 = 1.2;

/// Pages that are written alike.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Their size in bytes.
    pub size: f64,
    /// When they are written.
    pub writes: Writes,
}

/// When a group's pages are written, in seconds of the workload's own time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Writes {
    /// Never.
    Never,
    /// Each at random times, so many a second on average.
    Random(f64),
    /// Each once in a period of so many seconds, at a time of its own. Which were written last is not
    /// known: whether a page will be is taken not to depend on it.
    Periodic(f64),
    /// In order, as a hand passes that goes round in `period` seconds; the group is from `begin` to
    /// `end` of the round.
    Arc {
        /// Where it begins, from 0 to 1.
        begin: f64,
        /// Where it ends, from 0 to 1.
        end: f64,
        /// Seconds of a round.
        period: f64,
    },
}

impl Writes {
    /// The share of the pages that is written between two points of the workload's time.
    pub fn written(&self, from: f64, to: f64) -> f64 {
        let seconds = (to - from).max(0.0);
        match *self {
            Writes::Never => 0.0,
            Writes::Random(per_second) => -math::exp_m1(-per_second * seconds),
            Writes::Periodic(period) => (seconds / period).min(1.0),
            Writes::Arc { period, .. } if seconds >= period => 1.0,
            Writes::Arc { begin, end, period } => {
                // The hand's way, begun in the first round; the arc is there in this round and the next.
                let hand = (from / period).rem_euclid(1.0);
                let way = (hand, hand + seconds / period);
                let passed = |shift: f64| (way.1.min(end + shift) - way.0.max(begin + shift)).max(0.0);
                ((passed(0.0) + passed(1.0)) / (end - begin)).min(1.0)
            }
        }
    }

    /// Writes to each page in a second, on average.
    pub fn per_second(&self) -> f64 {
        match *self {
            Writes::Never => 0.0,
            Writes::Random(per_second) => per_second,
            Writes::Periodic(period) | Writes::Arc { period, .. } => 1.0 / period,
        }
    }
}

/// The groups of a workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Groups {
    /// The groups; together, the working set.
    pub groups: Vec<Group>,
    /// A curve that is not concave, which the groups only bound.
    curve: Option<Vec<CurvePoint>>,
}

impl Groups {
    /// Whether pages that are written as the groups say make up the workload, and do not only bound it.
    pub fn are_exact(&self) -> bool {
        self.curve.is_none()
    }

    /// The groups of a workload; those of what is done in its phases or bursts, where it has them.
    pub fn of(workload: &Workload) -> Groups {
        let plain = |groups: Vec<Group>| Groups { groups, curve: None };
        match workload {
            Workload::Idle => plain(Vec::new()),
            Workload::Linear { rate, working_set } => plain(periodic(*working_set, rate.as_f64())),
            Workload::Uniform { rate, working_set } => plain(random(*working_set, rate.as_f64())),
            Workload::Classes(classes) => {
                plain(classes.iter().flat_map(|class| random(class.size, class.rate.as_f64())).collect())
            }
            Workload::Zipf { rate, working_set, exponent } => {
                plain(zipf(*working_set, rate.as_f64(), *exponent))
            }
            Workload::Sweep { rate, working_set } => plain(arcs(*working_set, rate.as_f64())),
            Workload::Curve(points) => curve(points),
            Workload::Phases { of, .. } | Workload::Bursts { of, .. } => Groups::of(of),
            // The tempo of a trace is in writes to each page in a second.
            Workload::Trace { working_set, .. } => plain(random(*working_set, working_set.as_f64())),
        }
    }

    /// The share of a group that is written between two points of the workload's time.
    pub fn written(&self, group: usize, from: f64, to: f64) -> f64 {
        self.groups[group].writes.written(from, to) * self.part_of_hull(to - from)
    }

    /// Distinct bytes written within so many seconds.
    pub fn distinct(&self, seconds: f64) -> f64 {
        let hull: f64 = self.groups.iter().map(|group| group.size * group.writes.written(0.0, seconds)).sum();
        hull * self.part_of_hull(seconds)
    }

    /// The mean of the same in bursts, for groups written at random; others are taken at their mean speed.
    pub fn distinct_in_bursts(&self, bursts: &BurstRates, seconds: f64) -> f64 {
        let written = |group: &Group| match group.writes {
            Writes::Random(per_second) => 1.0 - bursts.untouched(per_second, seconds),
            other => other.written(0.0, seconds * bursts.mean_speed()),
        };
        self.groups.iter().map(|group| group.size * written(group)).sum()
    }

    fn part_of_hull(&self, seconds: f64) -> f64 {
        let Some(points) = &self.curve else { return 1.0 };
        let hull: f64 = self.groups.iter().map(|group| group.size * group.writes.written(0.0, seconds)).sum();
        if hull > 0.0 { (interpolate(points, seconds) / hull).min(1.0) } else { 1.0 }
    }
}

fn random(set: Bytes, bytes_per_sec: f64) -> Vec<Group> {
    let size = set.as_f64();
    let group = Group { size, writes: Writes::Random(bytes_per_sec / size) };
    if size > 0.0 && bytes_per_sec > 0.0 { vec![group] } else { unwritten(size) }
}

fn periodic(set: Bytes, bytes_per_sec: f64) -> Vec<Group> {
    let size = set.as_f64();
    let group = Group { size, writes: Writes::Periodic(size / bytes_per_sec) };
    if size > 0.0 && bytes_per_sec > 0.0 { vec![group] } else { unwritten(size) }
}

fn unwritten(size: f64) -> Vec<Group> {
    if size > 0.0 { vec![Group { size, writes: Writes::Never }] } else { Vec::new() }
}

fn arcs(set: Bytes, bytes_per_sec: f64) -> Vec<Group> {
    let size = set.as_f64();
    if size == 0.0 || bytes_per_sec == 0.0 {
        return unwritten(size);
    }
    let arc = |index: usize| Group {
        size: size / ARCS as f64,
        writes: Writes::Arc {
            begin: index as f64 / ARCS as f64,
            end: (index + 1) as f64 / ARCS as f64,
            period: size / bytes_per_sec,
        },
    };
    (0..ARCS).map(arc).collect()
}

/// Ranks in bins that grow, each written at the mean rate of its ranks. The sum of i^−s over a bin is
/// taken as the integral about its middle.
fn zipf(set: Bytes, bytes_per_sec: f64, exponent: f64) -> Vec<Group> {
    let page = PAGE_SIZE as f64;
    let pages = (set.as_f64() / page).floor();
    if pages < 1.0 || bytes_per_sec == 0.0 {
        return unwritten(set.as_f64());
    }
    let mut bins = Vec::new();
    let mut first = 1.0;
    while first <= pages {
        let last = (first * BIN_GROWTH).floor().clamp(first, pages);
        bins.push((last - first + 1.0, weight(first, last, exponent)));
        first = last + 1.0;
    }
    let whole: f64 = bins.iter().map(|(_, weight)| weight).sum();
    let group = |(ranks, weight): (f64, f64)| Group {
        size: ranks * page * (set.as_f64() / (pages * page)),
        writes: Writes::Random(bytes_per_sec / page * weight / whole / ranks),
    };
    bins.into_iter().map(group).collect()
}

/// Σ i^−s for i from `first` to `last`.
fn weight(first: f64, last: f64, s: f64) -> f64 {
    if first == last {
        return math::powf(first, -s);
    }
    let (a, b) = (first - 0.5, last + 0.5);
    if (s - 1.0).abs() < 1e-9 {
        math::ln(b / a)
    } else {
        (math::powf(b, 1.0 - s) - math::powf(a, 1.0 - s)) / (1.0 - s)
    }
}

/// A concave curve bends down at its points: where its slope falls by Δ at t, a set of Δ·t ends whose
/// pages are each written once in t.
fn curve(points: &[CurvePoint]) -> Groups {
    let given: Vec<(f64, f64)> =
        points.iter().map(|point| (point.after.as_secs_f64(), point.dirty.as_f64())).collect();
    let hull = concave_hull(&given);
    let slopes: Vec<f64> =
        hull.windows(2).map(|pair| (pair[1].1 - pair[0].1) / (pair[1].0 - pair[0].0)).collect();
    let mut groups = Vec::new();
    for (index, slope) in slopes.iter().enumerate() {
        let (time, next) = (hull[index + 1].0, slopes.get(index + 1).copied().unwrap_or(0.0));
        let size = (slope - next) * time;
        if size > 0.0 {
            groups.push(Group { size, writes: Writes::Periodic(time) });
        }
    }
    let is_concave = hull.len() == given.len() + 1;
    Groups { groups, curve: (!is_concave).then(|| points.to_vec()) }
}

/// The least concave curve from (0, 0) that is nowhere under the points.
fn concave_hull(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut hull: Vec<(f64, f64)> = vec![(0.0, 0.0)];
    let slope = |a: (f64, f64), b: (f64, f64)| (b.1 - a.1) / (b.0 - a.0);
    for &point in points {
        while hull.len() >= 2
            && slope(hull[hull.len() - 2], hull[hull.len() - 1]) < slope(hull[hull.len() - 1], point)
        {
            hull.pop();
        }
        hull.push(point);
    }
    hull
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim_core::{ByteRate, Span};

    #[test]
    fn a_sweep_writes_an_arc_when_its_hand_is_there() {
        let arc = Writes::Arc { begin: 0.25, end: 0.5, period: 8.0 };
        assert_eq!(arc.written(0.0, 2.0), 0.0);
        assert_eq!(arc.written(0.0, 3.0), 0.5);
        assert_eq!(arc.written(2.5, 10.5), 1.0, "a whole round");
        assert_eq!(arc.written(4.0, 10.0), 0.0, "from behind it to just before it");
        assert_eq!(arc.written(7.0, 11.0), 0.5, "round the corner");
    }

    #[test]
    fn the_groups_of_a_concave_curve_add_up_to_it() {
        let point = |millis, mb: u64| CurvePoint {
            after: Span::from_millis(millis),
            dirty: Bytes::new(mb * 1_000_000),
        };
        let points = vec![point(500, 60), point(2000, 96), point(302_000, 696)];
        let groups = Groups::of(&Workload::Curve(points.clone()));
        assert!(groups.curve.is_none());
        for seconds in [0.0, 0.1, 0.5, 1.7, 2.0, 100.0, 302.0, 1000.0] {
            let difference = groups.distinct(seconds) - interpolate(&points, seconds);
            assert!(difference.abs() < 1.0, "{seconds}: {difference}");
        }
    }

    #[test]
    fn a_curve_that_is_not_concave_is_kept_all_the_same() {
        let point = |millis, mb: u64| CurvePoint {
            after: Span::from_millis(millis),
            dirty: Bytes::new(mb * 1_000_000),
        };
        let points = vec![point(500, 15), point(900, 16), point(2000, 60), point(4000, 70)];
        let groups = Groups::of(&Workload::Curve(points.clone()));
        assert!(groups.curve.is_some());
        for seconds in [0.1, 0.5, 0.7, 0.9, 1.5, 2.0, 3.0, 9.0] {
            let difference = groups.distinct(seconds) - interpolate(&points, seconds);
            assert!(difference.abs() < 1.0, "{seconds}: {difference}");
        }
    }

    #[test]
    fn zipfs_groups_hold_all_pages_and_all_writes() {
        let (rate, working_set) = (ByteRate::from_mb(100), Bytes::from_mib(512));
        for exponent in [0.0, 0.8, 1.0, 1.3] {
            let groups = Groups::of(&Workload::Zipf { rate, working_set, exponent }).groups;
            let size: f64 = groups.iter().map(|group| group.size).sum();
            let written: f64 = groups.iter().map(|group| group.size * group.writes.per_second()).sum();
            assert!((size - working_set.as_f64()).abs() < 1.0);
            assert!((written / rate.as_f64() - 1.0).abs() < 1e-9);
            assert!(groups.len() < 100, "{}", groups.len());
        }
    }
}
