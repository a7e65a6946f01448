//! How a guest dirties its memory: D(t), the distinct bytes dirtied within t of the last count.
//!
//! What matters to pre-copy is not how often memory is written but how much of it differs from
//! what was sent. Every workload gives D(t) as a closed form; it never exceeds
//! [`Workload::working_set`], the writable working set (WWS).

use serde::{Deserialize, Serialize};
use sim_core::{ByteRate, Bytes, Span};

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
    /// A measured curve, straight between its points from (0, 0), flat after the last.
    Curve(Vec<CurvePoint>),
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

impl Workload {
    /// The mean distinct bytes dirtied within `span` of the last count, where the guest runs at
    /// `speed` (1 = unthrottled, as fast as the workload was described).
    pub fn dirtied(&self, span: Span, speed: f64) -> Bytes {
        let seconds = span.as_secs_f64() * speed;
        Bytes::from_f64_floor(match self {
            Workload::Idle => 0.0,
            Workload::Linear { rate, working_set } => (rate.as_f64() * seconds).min(working_set.as_f64()),
            Workload::Uniform { rate, working_set } => uniform(rate.as_f64(), working_set.as_f64(), seconds),
            Workload::Classes(classes) => {
                classes.iter().map(|class| uniform(class.rate.as_f64(), class.size.as_f64(), seconds)).sum()
            }
            Workload::Curve(points) => interpolate(points, seconds),
        })
    }

    /// The memory that the guest ever writes.
    pub fn working_set(&self) -> Bytes {
        match self {
            Workload::Idle => Bytes::ZERO,
            Workload::Linear { working_set, .. } | Workload::Uniform { working_set, .. } => *working_set,
            Workload::Classes(classes) => classes.iter().map(|class| class.size).sum(),
            Workload::Curve(points) => points.last().map_or(Bytes::ZERO, |point| point.dirty),
        }
    }

    /// What is dirty after a pass that left `unsent` bytes and took `span`: the unsent, and what was
    /// dirtied besides. The unsent are taken as a random part of the working set.
    pub fn dirty_after(&self, unsent: Bytes, span: Span, speed: f64) -> Bytes {
        let dirtied = self.dirtied(span, speed);
        let working_set = self.working_set();
        if unsent == Bytes::ZERO || working_set == Bytes::ZERO {
            return unsent + dirtied;
        }
        let elsewhere = 1.0 - (unsent.as_f64() / working_set.as_f64()).min(1.0);
        unsent + Bytes::from_f64_floor(dirtied.as_f64() * elsewhere)
    }
}

fn uniform(rate: f64, set: f64, seconds: f64) -> f64 {
    if set == 0.0 { 0.0 } else { -set * (-rate * seconds / set).exp_m1() }
}

fn interpolate(points: &[CurvePoint], seconds: f64) -> f64 {
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
