//! One guest's D(t), read off its rounds.
//!
//! What a round of length t leaves is D(t), beside what it left unsent: it stands in the records, and nothing needs to be
//! simulated to see it. Of D(t) = W·(1 − e^(−r·t ÷ W)), ln r and ln W are sought by damped least squares, where
//!
//! - a round scatters by [`ROUND`],
//! - a guest is busier in one migration than in another: r·e^a there, a of a deviation that all guests share, so that
//!   many rounds of one migration say less of r than few rounds of several,
//! - what is known of guests in general stands beside (`super::spread`): what rounds do not show is taken from there.
//!
//! This is the model of mixed effects of Laird and Ware (Biometrics 38, 1982), linearised where the search stands as
//! Lindstrom and Bates do (Biometrics 46, 1990). A migration that is far off counts by its size and not its square.

use nalgebra::{Matrix2, Vector2};

/// How far a round is off a curve, as a share of what it left: sampling, and that the curve has but two parameters
/// (assumption).
const ROUND: f64 = 0.05;

/// Less than this in a round is next to nothing, in bytes: a millisecond at 10 Gbit/s.
pub(super) const NOTHING: f64 = 1_048_576.0;

/// A migration that is so many deviations off is not believed in full.
const FAR_OFF: f64 = 3.0;

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
    /// Bytes that it left to be sent.
    pub(super) left: f64,
    /// Bytes that it had left unsent of what it was to send.
    pub(super) unsent: f64,
    /// How sure that is, in bytes.
    pub(super) unsure: f64,
    /// In how many bytes the unsent ones lay; in the working set, where this is `None`.
    pub(super) among: Option<f64>,
}

/// What is known of a guest before its rounds are looked at: ln r and ln W.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before {
    /// Where they are likely.
    pub(super) mean: Vector2<f64>,
    /// How far from there.
    pub(super) deviation: Vector2<f64>,
    /// The deviation of a guest's ln r from one of its migrations to another.
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
    /// Where to begin: fast enough for the fastest round, and large enough for what most was left.
    pub(super) fn start(migrations: &[Vec<Seen>]) -> Curve {
        let rounds = || migrations.iter().flatten();
        let dirtied = |seen: &Seen| (seen.left - seen.unsent).max(NOTHING);
        let rate = rounds().map(|seen| dirtied(seen) / seen.seconds).fold(1.0, f64::max);
        let working_set = 1.5 * rounds().map(dirtied).fold(NOTHING, f64::max);
        Curve { at: Vector2::new(rate.ln(), working_set.ln()), variance: Vector2::zeros() }
    }

    /// The curve that these migrations and what was known before show, sought from here (Levenberg's damping).
    pub(super) fn improved(self, migrations: &[Vec<Seen>], before: &Before) -> Curve {
        let mut at = self.at;
        let mut here = Normal::at(at, migrations, before);
        let mut damping = 1e-3;
        for _ in 0..STEPS {
            let damped = here.squares + Matrix2::from_diagonal(&(here.squares.diagonal() * damping));
            let Some(step) = damped.try_inverse().map(|inverse| inverse * here.slope) else { break };
            let further = (at + step).map(|value| value.clamp(-LARGE, LARGE));
            let there = Normal::at(further, migrations, before);
            if there.loss <= here.loss {
                (at, here, damping) = (further, there, damping / 5.0);
                if step.norm() < SMALL_STEP {
                    break;
                }
            } else {
                damping = (damping * 5.0).max(1e-6);
            }
        }
        let variance = here.squares.try_inverse().map_or(before.deviation.map(|each| each * each), |inverse| {
            inverse.diagonal()
        });
        Curve { at, variance }
    }

    /// How much busier than here the guest was in this migration (in ln r), and the square of the error of that.
    pub(super) fn busier_in(&self, migration: &[Seen]) -> Option<(f64, f64)> {
        let sums = Sums::of(self.at, migration);
        let information = sums.squares[(0, 0)];
        (information > 0.0).then(|| (sums.slope[0] / information, 1.0 / information))
    }
}

impl Normal {
    fn at(at: Vector2<f64>, migrations: &[Vec<Seen>], before: &Before) -> Normal {
        let weights = before.deviation.map(|deviation| 1.0 / (deviation * deviation));
        let off = before.mean - at;
        let mut all = Normal {
            squares: Matrix2::from_diagonal(&weights),
            slope: weights.component_mul(&off),
            loss: weights.dot(&off.component_mul(&off)),
        };
        for migration in migrations.iter().filter(|migration| !migration.is_empty()) {
            all.add(&Sums::of(at, migration), migration.len() as f64, before.scatter);
        }
        all
    }

    /// Rounds of one migration share what the guest was busier: the inverse of their covariance is that of
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

/// Sums over the rounds of one migration, each weighted by how sure it is.
struct Sums {
    squares: Matrix2<f64>,
    slope: Vector2<f64>,
    loss: f64,
}

impl Sums {
    fn of(at: Vector2<f64>, migration: &[Seen]) -> Sums {
        let mut all = Sums { squares: Matrix2::zeros(), slope: Vector2::zeros(), loss: 0.0 };
        for seen in migration {
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
        let (rate, working_set) = (at[0].exp(), at[1].exp());
        let times = rate * self.seconds / working_set;
        let dirtied = -working_set * (-times).exp_m1();
        let by_rate = rate * self.seconds * (-times).exp();
        // Of the unsent, the share that was dirtied again is counted already.
        let unsent_share = (self.unsent / self.among.unwrap_or(working_set)).min(1.0);
        let left = self.unsent + dirtied * (1.0 - unsent_share) + NOTHING;
        let slopes = Vector2::new(by_rate, dirtied - by_rate) * ((1.0 - unsent_share) / left);
        (((self.left + NOTHING) / left).ln(), slopes)
    }
}
