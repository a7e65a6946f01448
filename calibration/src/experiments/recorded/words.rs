//! What records do not tell of guests, in words; a line for all guests alike, however many there are.

use std::collections::BTreeMap;

use super::curve::{Curve, NOTHING, Seen};
use super::spread::{SCATTER, Spread};
use crate::preset::GuestCurve;

/// Standard errors of this share of a value and more leave it open.
const OPEN: f64 = 0.5;

/// Guests that are named.
const NAMED: usize = 4;

/// What the rounds of these guests leave open.
pub(super) fn warnings(names: &[&str], rounds: &[Vec<Vec<Seen>>], read: &Spread) -> Vec<String> {
    let those = |of: &dyn Fn(&[Vec<Seen>], &Curve) -> bool| {
        let all = names.iter().zip(rounds).zip(&read.curves);
        let found: Vec<&str> =
            all.filter(|((_, rounds), curve)| of(rounds, curve)).map(|((name, _), _)| *name).collect();
        (!found.is_empty()).then(|| of_all(&found, names.len()))
    };
    let mut all = Vec::new();
    match (read.scatter, those(&|rounds, _| rounds.len() < 2)) {
        (Some(scatter), Some(once)) => all.push(format!(
            "measured in one run only: {once}; how busy they were then is all that is known, and guests vary by \
             {:.0} % from one run to another",
            100.0 * scatter
        )),
        (None, Some(_)) => all.push(format!(
            "no guest was measured in two runs, which would show how much guests vary from one to another; {:.0} % is assumed",
            100.0 * SCATTER
        )),
        (_, None) => {}
    }
    if let Some(idle) = those(&|rounds, _| writes_nothing(rounds)) {
        all.push(format!(
            "wrote next to nothing while they were moved: {idle}; how much else they write is not known"
        ));
    }
    let busy = |rounds: &[Vec<Seen>]| !writes_nothing(rounds);
    if let Some(open) = those(&|rounds, curve| busy(rounds) && curve.variance[1].sqrt() >= OPEN) {
        all.push(format!(
            "how much memory they write in the long run is not known: {open}; their rounds were too short for it, or \
             of like length, and their working sets are near the typical one; much longer rounds may be predicted wrongly"
        ));
    }
    if let Some(open) = those(&|rounds, curve| busy(rounds) && curve.variance[0].sqrt() >= OPEN) {
        all.push(format!(
            "how fast they write is not known: {open}; all their rounds were long enough to write their whole working set"
        ));
    }
    all
}

/// What is to be said of guests that a preset does not know.
pub(super) fn unknown(names: &[&str], of: usize, kept: &BTreeMap<String, GuestCurve>) -> Vec<String> {
    if kept.is_empty() {
        return vec![
            "the preset has one D(t) for all guests, for it was made before each had its own: calibrate anew"
                .into(),
        ];
    }
    if names.is_empty() {
        return Vec::new();
    }
    let rates = || kept.values().map(|curve| curve.dirty_rate.value);
    let (least, most) = (rates().fold(f64::INFINITY, f64::min), rates().fold(0.0, f64::max));
    vec![format!(
        "not in the preset: {}; predicted as the typical guest, of the median rate and the median working set of those \
         that are (their rates go from {:.1} to {:.1} MB/s, so that this may be far off)",
        of_all(names, of),
        least / 1e6,
        most / 1e6
    )]
}

/// No round shows that anything was written.
fn writes_nothing(runs: &[Vec<Seen>]) -> bool {
    runs.iter().flatten().all(|seen| seen.left - seen.unsent - seen.unsure < NOTHING)
}

/// `3 of 64 guests (a, b, c)`.
fn of_all(names: &[&str], all: usize) -> String {
    let named = names[..names.len().min(NAMED)].join(", ");
    let more = names.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{} of {all} guests ({named}{more})", names.len())
}
