//! The guests of recorded runs: each its own D(t), as a multiple of the typical one's rate and working set.
//!
//! ```text
//!  rounds of the groups that are fitted ──curve, spread──▶ r and W of each guest ÷ those of the typical one
//!                                                                     │ read off, never sought
//!  whole runs ──────────────fit──────▶ r and W of the typical one ────┴──▶ what the simulator runs, and a preset keeps
//! ```
//!
//! So a fit has as many parameters as ever, however many guests there are; a guest of which nothing was seen is a
//! typical one.

use std::collections::BTreeMap;

use algorithms::policy::{PreCopyPolicy, Tracking};
use nalgebra::Vector2;
use sim_core::Bytes;

use super::curve::Seen;
use super::{DIRTY_RATE, LIMIT, Recorded, WORKING_SET, rate, spread, words};
use crate::datasets::{RecordedMigration, RecordedRound, RecordedRun};
use crate::fit::{Fitted, Shown};
use crate::preset::{GuestCurve, Value};

/// A pass of QEMU's ends by as much under its limit (a step of 50 ms of the 300, and what is found zero; assumption).
const LIMIT_WITHIN: f64 = 0.15;

/// Bytes on the stream are not quite those of the pages (assumption: headers, and counters that are read late).
const SENT_WITHIN: f64 = 0.01;

/// The names of all guests, sorted.
pub(super) fn names(runs: &[RecordedRun]) -> Vec<String> {
    let mut all: Vec<String> =
        runs.iter().flat_map(|run| &run.migrations).map(|migration| migration.vm.clone()).collect();
    all.sort();
    all.dedup();
    all
}

impl Recorded {
    /// ln r and ln W of the typical guest of all runs.
    pub(super) fn read_typical(&self) -> Vector2<f64> {
        let all: Vec<usize> = (0..self.runs.len()).collect();
        spread::read(&self.seen(&all).into_values().collect::<Vec<_>>()).typical
    }

    /// What these runs show of each guest: its rate and its working set as multiples of the typical one's.
    pub(super) fn read_off(&self, groups: &[usize]) -> Shown {
        let seen = self.seen(groups);
        let (names, rounds): (Vec<&str>, Vec<Vec<Vec<Seen>>>) = seen.into_iter().unzip();
        let read = spread::read(&rounds);
        let mut shown = Shown { warnings: words::warnings(&names, &rounds, &read), ..Shown::default() };
        for guest in &self.guests {
            let place = names.binary_search(&guest.as_str()).ok();
            let (at, error) = place.map_or((Vector2::zeros(), Vector2::repeat(f64::INFINITY)), |place| {
                let curve = read.curves[place];
                (curve.at - read.typical, curve.variance.map(f64::sqrt))
            });
            shown.values.extend(at.map(f64::exp).iter());
            shown.relative_errors.extend(error.iter());
        }
        shown
    }

    /// A guest's rate and working set as multiples, in the values that [`crate::fit::Problem::predict`] has.
    pub(super) fn multiples(&self, guest: &str, values: &[f64]) -> (f64, f64) {
        let place = self.guests.binary_search_by(|name| name.as_str().cmp(guest)).ok();
        let first = place.map(|place| self.constants() + 2 * place);
        let at = |further: usize| first.and_then(|first| values.get(first + further)).copied().unwrap_or(1.0);
        (at(0), at(1))
    }

    /// The rounds of each guest in each of these runs, whichever of its migrations they are of.
    fn seen(&self, groups: &[usize]) -> BTreeMap<&str, Vec<Vec<Seen>>> {
        let mut all: BTreeMap<&str, Vec<Vec<Seen>>> = BTreeMap::new();
        for run in groups.iter().map(|group| &self.runs[*group]) {
            let mut of_run: BTreeMap<&str, Vec<Seen>> = BTreeMap::new();
            for migration in &run.migrations {
                of_run.entry(&migration.vm).or_default().extend(self.rounds(migration));
            }
            for (guest, rounds) in of_run {
                all.entry(guest).or_default().push(rounds);
            }
        }
        all
    }

    /// What rounds left unsent is known of the first by its speed, of others by what they sent of what was there.
    fn rounds(&self, migration: &RecordedMigration) -> Vec<Seen> {
        let rounds = migration.rounds.iter().enumerate().filter(|(_, round)| round.duration > 0.0);
        let seen = rounds.map(|(index, round)| {
            let limit = self.fact(LIMIT) * rate(round);
            let before = index.checked_sub(1).map(|before| migration.rounds[before].left);
            let memory = self.memory(migration);
            Seen {
                seconds: round.duration,
                sent: round.sent,
                left: round.left,
                unsent: before.map_or(limit, |left| (left - round.sent).clamp(0.0, limit)),
                unsure: before.map_or(LIMIT_WITHIN * limit, |_| self.unsure(round)),
                among: before.is_none().then(|| memory.as_f64()),
                pieces: self.pieces(memory),
            }
        });
        seen.collect()
    }

    /// How sure it is what a round left unsent that sent the rest of what was counted.
    fn unsure(&self, round: &RecordedRound) -> f64 {
        if self.fact(LIMIT) > 0.0 { SENT_WITHIN * round.sent } else { 0.0 }
    }

    /// In how many pieces a guest's dirty log is cleared.
    fn pieces(&self, memory: Bytes) -> f64 {
        match self.policy().tracking() {
            Tracking::Chunks(piece) if piece > Bytes::ZERO => {
                memory.get().div_ceil(piece.get()).max(1) as f64
            }
            _ => 1.0,
        }
    }

    /// What a preset keeps of the guests.
    pub(super) fn kept(&self, fitted: &Fitted) -> BTreeMap<String, GuestCurve> {
        let values = fitted.values();
        let error = |place: usize| {
            fitted
                .shown
                .relative_errors
                .get(place)
                .map(|error| 100.0 * error)
                .filter(|error| error.is_finite())
        };
        let of = |place: usize, guest: &String| {
            let (by_rate, by_working_set) = self.multiples(guest, &values);
            let value = |value: f64, unit: &str, error_percent: Option<f64>| Value {
                value,
                unit: unit.into(),
                error_percent,
            };
            GuestCurve {
                dirty_rate: value(values[DIRTY_RATE] * by_rate, "B/s", error(2 * place)),
                working_set: value(values[WORKING_SET] * by_working_set, "B", error(2 * place + 1)),
                runs: self
                    .runs
                    .iter()
                    .filter(|run| run.migrations.iter().any(|each| each.vm == *guest))
                    .count(),
            }
        };
        self.guests.iter().enumerate().map(|(place, guest)| (guest.clone(), of(place, guest))).collect()
    }

    /// The multiples of the guests of these runs, by what a preset keeps; a guest that it does not know is typical.
    pub(super) fn taken_over(&self, values: &[f64], kept: &BTreeMap<String, GuestCurve>) -> Shown {
        let multiples = |guest: &String| {
            kept.get(guest).map_or([1.0, 1.0], |curve| {
                [curve.dirty_rate.value / values[DIRTY_RATE], curve.working_set.value / values[WORKING_SET]]
            })
        };
        let unknown: Vec<&str> =
            self.guests.iter().filter(|guest| !kept.contains_key(*guest)).map(String::as_str).collect();
        Shown {
            values: self.guests.iter().flat_map(multiples).collect(),
            relative_errors: Vec::new(),
            warnings: words::unknown(&unknown, self.guests.len(), kept),
        }
    }
}
