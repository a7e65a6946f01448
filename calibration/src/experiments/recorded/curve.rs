//! One guest's D(t), read off its rounds.
//!
//! What a round of length t leaves is D(t), beside what it left unsent: it stands in the records, and nothing needs to be
//! simulated to see it. (Where the dirty log is cleared piece by piece, t is shorter for later pieces.) Of D(t) = W·(1 − e^(−r·t ÷ W)), ln r and ln W are sought by damped least squares, where
//!
//! - a round scatters by [`ROUND`],
//! - a guest is busier in one run than in another: r·e^a there, a of a deviation that all guests share, so that
//!   many rounds of one run say less of r than few rounds of several,
//! - what is known of guests in general stands beside (`super::spread`): what rounds do not show is taken from there.
//!
//! This is the model of mixed effects of Laird and Ware (Biometrics 38, 1982), linearised where the search stands as
//! Lindstrom and Bates do (Biometrics 46, 1990). A run that is far off counts by its size and not its square.

use nalgebra::{Matrix2, Vector2};

/// How far a round is off a curve, as a share of what it left: sampling, and that the curve has but two parameters
/// (assumption).
const ROUND: f64 = 0.05;

/// Less than this in a round is next to nothing, in bytes: a millisecond at 10 Gbit/s.
pub(super) const NOTHING: f64 = 1_048_576.0;

/// A working set to begin with, of a guest that shows none.
const USUAL: f64 = 1e9;

/// A run that is so many deviations off is not believed in full.
const FAR_OFF: f64 = 3.0;

/// A step in ln r or ln W for slopes.
const STEP: f64 = 1e-5;

/// Steps of a search at most, and a step in ln r or ln W that ends it.
const STEPS: usize = 60;
const SMALL_STEP: f64 = 1e-7;

/// What stands in for infinity and zero, in ln r and ln W.
const LARGE: f64 = 40.0;

/// A round before the pause, as it is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// Its length.
    pub(super) seconds: f64,
    /// Bytes that it sent.
    pub(super) sent: f64,
    /// Bytes that it left to be sent.
    pub(super) left: f64,
    /// Bytes of them that it had left unsent of what it was to send.
    pub(super) unsent: f64,
    /// How sure that is, in bytes.
    pub(super) unsure: f64,
    /// In how many bytes those sent and unsent lay; in the working set, where this is `None`.
    pub(super) among: Option<f64>,
    /// In how many pieces the dirty log was cleared, each when its first page was sent; 1 where it was at once.
    pub(super) pieces: f64,
}

/// What is known of a guest before its rounds are looked at: ln r and ln W.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before {
    /// Where they are likely.
    pub(super) mean: Vector2<f64>,
    /// How far from there.
    pub(super) deviation: Vector2<f64>,
    /// The deviation of a guest's ln r from one run to another.
    pub(super) scatter: f64,
}

/// A guest's ln r and ln W.
#[derive(Debug, Clone, Copy)]
pub(super) struct Curve {
    pub(super) at: Vector2<f64>,
    /// The square of the standard error of each.
    pub(super) variance: Vector2<f64>,
}

/// Normal equations at a point.
struct Normal {
    squares: Matrix2<f64>,
    slope: Vector2<f64>,
    loss: f64,
}

impl Curve {
    /// Where to begin: fast enough for the fastest round, and large enough for what most was left; slow, and no smaller
    /// than others, where that was nothing.
    pub(super) fn start(runs: &[Vec<Seen>]) -> Curve {
        let rounds = || runs.iter().flatten();
        let dirtied = |seen: &Seen| (seen.left - seen.unsent).max(NOTHING);
        let rate = rounds().map(|seen| dirtied(seen) / seen.seconds).fold(1.0, f64::max);
        let most = rounds().map(dirtied).fold(NOTHING, f64::max);
        let working_set = if most > NOTHING { 1.5 * most } else { USUAL };
        Curve { at: Vector2::new(rate.ln(), working_set.ln()), variance: Vector2::zeros() }
    }

    /// The curve that these runs and what was known before show, sought from here (Levenberg's damping).
    pub(super) fn improved(self, runs: &[Vec<Seen>], before: &Before) -> Curve {
        let mut at = self.at;
        let mut here = Normal::at(at, runs, before);
        let mut damping = 1e-3;
        for _ in 0..STEPS {
            let damped = here.squares + Matrix2::from_diagonal(&(here.squares.diagonal() * damping));
            let Some(step) = damped.try_inverse().map(|inverse| inverse * here.slope) else { break };
            let further = (at + step).map(|value| value.clamp(-LARGE, LARGE));
            let there = Normal::at(further, runs, before);
            if there.loss <= here.loss {
                (at, here, damping) = (further, there, damping / 5.0);
                if step.norm() < SMALL_STEP {
                    break;
                }
            } else {
                damping = (damping * 5.0).max(1e-6);
            }
        }
        let variance = here
            .squares
            .try_inverse()
            .map_or(before.deviation.map(|each| each * each), |inverse| inverse.diagonal());
        Curve { at, variance }
    }

    /// How much busier than here the guest was in this run (in ln r), and the square of the error of that.
    pub(super) fn busier_in(&self, run: &[Seen]) -> Option<(f64, f64)> {
        let sums = Sums::of(self.at, run);
        let information = sums.squares[(0, 0)];
        (information > 0.0).then(|| (sums.slope[0] / information, 1.0 / information))
    }
}

impl Normal {
    fn at(at: Vector2<f64>, runs: &[Vec<Seen>], before: &Before) -> Normal {
        let weights = before.deviation.map(|deviation| 1.0 / (deviation * deviation));
        let off = before.mean - at;
        let mut all = Normal {
            squares: Matrix2::from_diagonal(&weights),
            slope: weights.component_mul(&off),
            loss: weights.dot(&off.component_mul(&off)),
        };
        for run in runs.iter().filter(|run| !run.is_empty()) {
            all.add(&Sums::of(at, run), run.len() as f64, before.scatter);
        }
        all
    }

    /// Rounds of one run share what the guest was busier: the inverse of their covariance is that of
    /// single rounds less a product (Sherman and Morrison 1950).
    fn add(&mut self, sums: &Sums, rounds: f64, scatter: f64) {
        let shared = scatter * scatter / (1.0 + scatter * scatter * sums.squares[(0, 0)]);
        let column = sums.squares.column(0);
        let squares = sums.squares - column * column.transpose() * shared;
        let slope = sums.slope - column * (sums.slope[0] * shared);
        let loss = (sums.loss - shared * sums.slope[0] * sums.slope[0]).max(0.0);
        let off = (loss / rounds).sqrt();
        let (weight, loss) = if off <= FAR_OFF {
            (1.0, loss)
        } else {
            (FAR_OFF / off, rounds * FAR_OFF * (2.0 * off - FAR_OFF))
        };
        self.squares += squares * weight;
        self.slope += slope * weight;
        self.loss += loss;
    }
}

/// Sums over the rounds of one run, each weighted by how sure it is.
struct Sums {
    squares: Matrix2<f64>,
    slope: Vector2<f64>,
    loss: f64,
}

impl Sums {
    fn of(at: Vector2<f64>, run: &[Seen]) -> Sums {
        let mut all = Sums { squares: Matrix2::zeros(), slope: Vector2::zeros(), loss: 0.0 };
        for seen in run {
            let (difference, slopes) = seen.beside(at);
            let scatter = ROUND.hypot(seen.unsure / (seen.left + NOTHING));
            let weight = 1.0 / (scatter * scatter);
            all.squares += slopes * slopes.transpose() * weight;
            all.slope += slopes * (difference * weight);
            all.loss += difference * difference * weight;
        }
        all
    }
}

impl Seen {
    /// ln(left ÷ predicted), and d ln predicted ÷ d (ln r, ln W).
    fn beside(&self, at: Vector2<f64>) -> (f64, Vector2<f64>) {
        let here = self.predicted(at).ln();
        let slope = |step: Vector2<f64>| (self.predicted(at + step).ln() - here) / STEP;
        let slopes = Vector2::new(slope(Vector2::new(STEP, 0.0)), slope(Vector2::new(0.0, STEP)));
        ((self.left + NOTHING).ln() - here, slopes)
    }

    /// What it leaves, and [`NOTHING`].
    fn predicted(&self, at: Vector2<f64>) -> f64 {
        let (rate, working_set) = (at[0].exp(), at[1].exp());
        let among = self.among.unwrap_or(working_set);
        // Of the working set: what this round sent, what it left unsent, and what it was not to send.
        let sent = (self.sent / among).min(1.0);
        let unsent = (self.unsent / among).min(1.0 - sent);
        let times = rate * self.seconds / working_set;
        let again = sent * self.written_again(times) - (1.0 - sent - unsent) * (-times).exp_m1();
        self.unsent + working_set * again + NOTHING
    }

    /// The share of what was sent that was written after its piece of the log was cleared: the mean of 1 − e^(−u·j ÷ n)
    /// over the n pieces (`models::workload::memory` counts so).
    fn written_again(&self, times: f64) -> f64 {
        let of_a_piece = times / self.pieces;
        if self.pieces <= 1.0 || of_a_piece < 1e-9 {
            return -(-times).exp_m1() * if self.pieces > 1.0 { 0.5 + 0.5 / self.pieces } else { 1.0 };
        }
        let sum = (-of_a_piece).exp() * (-times).exp_m1() / (-of_a_piece).exp_m1();
        1.0 - sum / self.pieces
    }
}
