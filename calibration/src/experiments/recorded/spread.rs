//! The D(t) of all guests together: how far guests differ, and what that says of one of which little is known.
//!
//! ln r and ln W of the guests are taken to lie around those of a typical guest, their medians, as far as the guests'
//! own rounds show (empirical Bayes: Laird and Ware, Biometrics 38, 1982; by expectation and maximisation). So guests
//! that hardly differ have nearly one curve, and guests that differ have each its own; what a guest's
//! rounds leave open is as it is for the typical one.

use nalgebra::Vector2;

use super::curve::{Before, Curve, Seen};

/// By how much a guest's rate differs from one run to another where none was seen in two (assumption).
pub(super) const SCATTER: f64 = 0.1;

/// At first nothing is known of how far guests differ: by this in ln r and ln W.
const DIFFERENT: f64 = 2.0;
/// They differ by this at least, and so does a guest from one run to another.
const LEAST: f64 = 0.02;
/// A run that tells no better than this how busy the guest was says nothing of how that scatters.
const TELLS: f64 = 0.3;

/// Rounds of the search at most, and a change that ends it.
const PATIENCE: usize = 200;
const SETTLED: f64 = 1e-3;

/// What was read of all guests.
#[derive(Debug, Clone)]
pub(super) struct Spread {
    /// Each guest's, in their order.
    pub(super) curves: Vec<Curve>,
    /// ln r and ln W of the typical guest.
    pub(super) typical: Vector2<f64>,
    /// How much a guest's rate scatters; `None` where no two runs with one guest show it.
    pub(super) scatter: Option<f64>,
}

/// Reads the curves of guests, of each the rounds in each run.
pub(super) fn read(guests: &[Vec<Vec<Seen>>]) -> Spread {
    let mut curves: Vec<Curve> = guests.iter().map(|runs| Curve::start(runs)).collect();
    let mut before =
        Before { mean: medians(&curves), deviation: Vector2::repeat(DIFFERENT), scatter: SCATTER };
    let mut scatter = None;
    for _ in 0..PATIENCE {
        curves = guests.iter().zip(curves).map(|(all, curve)| curve.improved(all, &before)).collect();
        scatter = scattered(guests, &curves);
        let next = Before {
            mean: medians(&curves),
            deviation: deviations(&curves, medians(&curves)),
            scatter: scatter.unwrap_or(SCATTER),
        };
        let change = (next.mean - before.mean).norm() + (next.deviation - before.deviation).norm();
        let settled = change + (next.scatter - before.scatter).abs() < SETTLED;
        before = next;
        if settled {
            break;
        }
    }
    Spread { typical: medians(&curves), curves, scatter }
}

fn medians(curves: &[Curve]) -> Vector2<f64> {
    let median = |of: usize| {
        let mut all: Vec<f64> = curves.iter().map(|curve| curve.at[of]).collect();
        all.sort_by(f64::total_cmp);
        let at = |place: usize| all.get(place).copied().unwrap_or(0.0);
        (at(all.len().saturating_sub(1) / 2) + at(all.len() / 2)) / 2.0
    };
    Vector2::new(median(0), median(1))
}

/// How far guests lie from the typical one, what is not known of each counted in.
fn deviations(curves: &[Curve], typical: Vector2<f64>) -> Vector2<f64> {
    let squares = curves.iter().map(|curve| {
        let off = curve.at - typical;
        off.component_mul(&off) + curve.variance
    });
    let mean = squares.sum::<Vector2<f64>>() / curves.len().max(1) as f64;
    mean.map(|square| square.sqrt().max(LEAST))
}

/// How much busier guests are in one run than in another, from those in several.
fn scattered(guests: &[Vec<Vec<Seen>>], curves: &[Curve]) -> Option<f64> {
    let (mut squares, mut freedom) = (0.0, 0.0);
    for (runs, curve) in guests.iter().zip(curves) {
        let told = runs.iter().filter_map(|run| curve.busier_in(run));
        let told: Vec<(f64, f64)> = told.filter(|(_, variance)| *variance < TELLS * TELLS).collect();
        if told.len() >= 2 {
            let count = told.len() as f64;
            let mean = told.iter().map(|(busier, _)| busier).sum::<f64>() / count;
            // What a run's rounds scatter by themselves is not the guest's.
            let own = told.iter().map(|(_, variance)| variance).sum::<f64>() * (count - 1.0) / count;
            squares += told.iter().map(|(busier, _)| (busier - mean) * (busier - mean)).sum::<f64>() - own;
            freedom += count - 1.0;
        }
    }
    (freedom > 0.0).then(|| (squares / freedom).max(0.0).sqrt().max(LEAST))
}
