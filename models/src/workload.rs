//! How a guest dirties its memory: D(t), the distinct bytes dirtied within t of the last count.
//!
//! What matters to pre-copy is not how often memory is written but how much of it differs from
//! what was sent. Every workload gives the mean of D(t), as a closed form where there is one; it never
//! exceeds [`Workload::working_set`], the writable working set (WWS).
//!
//! ```text
//!  Workload ──▶ Groups: pages that are written alike ──▶ GuestMemory: which of them are dirty, while a
//!     │            └── Tempo: how fast, when                            migration sends them
//!     └── dirtied: the mean of D(t) · sampled: a draw of it
//! ```
//!
//! - [`groups`]: the page-level meaning of every kind. [`tempo`]: phases, bursts, recorded traces.
//! - [`memory`]: unsent and written pages of each group, as a hypervisor's dirty log sees them.
//! - [`post_copy`]: pages that the guest misses when it was handed over before them.
//!
//! Assumption: the pages of a group are spread evenly over the guest's memory.

pub mod groups;
pub mod memory;
pub mod post_copy;
mod sampled;
pub mod tempo;

use serde::{Deserialize, Serialize};
use sim_core::{ByteRate, Bytes, Span, math};

use groups::Groups;

/// A workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Workload {
    /// Writes nothing.
    Idle,
    /// Fresh memory at a constant rate until the whole set is dirty: D(t) = min(rate·t, set). The
    /// model of Liu et al. (HPDC 2011) and of SimGrid; the worst case for a given rate.
    Linear {
        /// New dirty bytes per second.
        rate: ByteRate,
        /// The writable working set.
        working_set: Bytes,
    },
    /// Writes that fall anywhere in the set with equal chance: D(t) = W·(1 − e^(−rate·t ÷ W)).
    Uniform {
        /// Bytes touched per second, counted as often as they are touched.
        rate: ByteRate,
        /// The writable working set W.
        working_set: Bytes,
    },
    /// Several disjoint uniform sets, such as a hot one and a cold one; D(t) is their sum.
    Classes(Vec<Class>),
    /// Writes by rank: the page of rank i is written in proportion to i^−exponent, so that
    /// D(t) = Σ (1 − e^(−λᵢ·t)) pages.
    Zipf {
        /// Bytes touched per second, counted as often as they are touched.
        rate: ByteRate,
        /// The writable working set.
        working_set: Bytes,
        /// How steep; 0 is uniform, 1 is Zipf's law.
        exponent: f64,
    },
    /// Page after page through the set, and again from its beginning: D(t) = min(rate·t, set), as
    /// `Linear`; but a page is written again only when the sweep comes round to it.
    Sweep {
        /// Bytes written per second.
        rate: ByteRate,
        /// The set that is swept.
        working_set: Bytes,
    },
    /// A measured curve, straight between its points from (0, 0), flat after the last.
    Curve(Vec<CurvePoint>),
    /// Another workload, faster and slower in turns that repeat; where a guest stands in them is chance.
    Phases {
        /// What is done all the time. Not itself one of phases, bursts or a trace.
        of: Box<Workload>,
        /// The turns, in order.
        phases: Vec<Phase>,
    },
    /// Another workload, busy and calm for random times, exponentially distributed.
    Bursts {
        /// What is done when it is busy: `Uniform`, `Classes` or `Zipf`.
        of: Box<Workload>,
        /// Mean time busy.
        mean_busy: Span,
        /// Mean time calm.
        mean_calm: Span,
        /// How fast it is when it is calm, from 0 to 1.
        calm_speed: f64,
    },
    /// A recording: distinct bytes dirtied in each of equal intervals, from the beginning of the run;
    /// when it ends, it begins anew. Within an interval, writes fall anywhere in the set.
    Trace {
        /// The writable working set.
        working_set: Bytes,
        /// The length of an interval.
        every: Span,
        /// Distinct bytes dirtied in each.
        dirtied: Vec<Bytes>,
    },
}

/// One class of memory that is written uniformly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Class {
    /// Bytes touched per second in this class.
    pub rate: ByteRate,
    /// The class's size.
    pub size: Bytes,
}

/// A point of a measured curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Time since the last count.
    pub after: Span,
    /// Distinct bytes dirtied by then.
    pub dirty: Bytes,
}

/// One turn of a workload that changes its speed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// How long it lasts.
    pub lasts: Span,
    /// How fast the workload is meanwhile: 1 as described, 0 not at all.
    pub speed: f64,
}

impl Workload {
    /// The mean distinct bytes dirtied within `span` of the last count, where the guest runs at
    /// `speed` (1 = unthrottled, as fast as the workload was described).
    pub fn dirtied(&self, span: Span, speed: f64) -> Bytes {
        Bytes::from_f64_floor(self.distinct(span.as_secs_f64() * speed))
    }

    /// The mean distinct bytes dirtied within so many seconds of the last count.
    pub fn distinct(&self, seconds: f64) -> f64 {
        match self {
            Workload::Idle => 0.0,
            Workload::Linear { rate, working_set } | Workload::Sweep { rate, working_set } => {
                (rate.as_f64() * seconds).min(working_set.as_f64())
            }
            Workload::Uniform { rate, working_set } => uniform(rate.as_f64(), working_set.as_f64(), seconds),
            Workload::Classes(classes) => {
                classes.iter().map(|class| uniform(class.rate.as_f64(), class.size.as_f64(), seconds)).sum()
            }
            Workload::Curve(points) => interpolate(points, seconds),
            Workload::Zipf { .. } => Groups::of(self).distinct(seconds),
            Workload::Phases { .. } | Workload::Trace { .. } => tempo::mean_of_cycle(self, seconds),
            Workload::Bursts { of, mean_busy, mean_calm, calm_speed } => {
                let bursts = tempo::BurstRates::new(*mean_busy, *mean_calm, *calm_speed);
                Groups::of(of).distinct_in_bursts(&bursts, seconds)
            }
        }
    }

    /// The memory that the guest ever writes.
    pub fn working_set(&self) -> Bytes {
        match self {
            Workload::Idle => Bytes::ZERO,
            Workload::Linear { working_set, .. }
            | Workload::Uniform { working_set, .. }
            | Workload::Zipf { working_set, .. }
            | Workload::Sweep { working_set, .. }
            | Workload::Trace { working_set, .. } => *working_set,
            Workload::Classes(classes) => classes.iter().map(|class| class.size).sum(),
            Workload::Curve(points) => points.last().map_or(Bytes::ZERO, |point| point.dirty),
            Workload::Phases { of, .. } | Workload::Bursts { of, .. } => of.working_set(),
        }
    }

    /// The same guest, writing so many times as fast.
    pub fn scaled(&self, factor: f64) -> Workload {
        let times = |rate: &ByteRate| ByteRate::from_bytes_per_sec((rate.as_f64() * factor).round() as u64);
        let slower = |span: Span| Span::from_secs_f64(span.as_secs_f64() / factor.max(f64::MIN_POSITIVE));
        match self {
            Workload::Idle => Workload::Idle,
            Workload::Linear { rate, working_set } => {
                Workload::Linear { rate: times(rate), working_set: *working_set }
            }
            Workload::Uniform { rate, working_set } => {
                Workload::Uniform { rate: times(rate), working_set: *working_set }
            }
            Workload::Zipf { rate, working_set, exponent } => {
                Workload::Zipf { rate: times(rate), working_set: *working_set, exponent: *exponent }
            }
            Workload::Sweep { rate, working_set } => {
                Workload::Sweep { rate: times(rate), working_set: *working_set }
            }
            Workload::Classes(classes) => {
                let class = |class: &Class| Class { rate: times(&class.rate), size: class.size };
                Workload::Classes(classes.iter().map(class).collect())
            }
            Workload::Curve(points) => {
                let point =
                    |point: &CurvePoint| CurvePoint { after: slower(point.after), dirty: point.dirty };
                Workload::Curve(points.iter().map(point).collect())
            }
            Workload::Phases { of, phases } => {
                Workload::Phases { of: Box::new(of.scaled(factor)), phases: phases.clone() }
            }
            Workload::Bursts { of, mean_busy, mean_calm, calm_speed } => Workload::Bursts {
                of: Box::new(of.scaled(factor)),
                mean_busy: *mean_busy,
                mean_calm: *mean_calm,
                calm_speed: *calm_speed,
            },
            Workload::Trace { working_set, every, dirtied } => {
                Workload::Trace { working_set: *working_set, every: slower(*every), dirtied: dirtied.clone() }
            }
        }
    }
}

fn uniform(rate: f64, set: f64, seconds: f64) -> f64 {
    if set == 0.0 { 0.0 } else { -set * math::exp_m1(-rate * seconds / set) }
}

pub(crate) fn interpolate(points: &[CurvePoint], seconds: f64) -> f64 {
    let mut before = (0.0, 0.0);
    for point in points {
        let here = (point.after.as_secs_f64(), point.dirty.as_f64());
        if seconds < here.0 {
            let share = (seconds - before.0) / (here.0 - before.0);
            return before.1 + share * (here.1 - before.1);
        }
        before = here;
    }
    before.1
}
