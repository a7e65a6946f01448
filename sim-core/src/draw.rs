//! Draws from the distributions that models use, the same bits on every platform.
//!
//! `rand_distr` has all of these, but its samplers take exp and ln from `num_traits::Float`. That is `libm`
//! or the platform's C library, as some other crate of the same build happens to switch on a feature, so that
//! one and the same model draws other numbers in another program. Of `rand_distr` come here only the samplers
//! that multiply, add and compare; logarithms come from [`math`].

use rand::RngExt;
use rand_distr::{Distribution, OpenClosed01, UnitDisc};
use rand_pcg::Pcg64;

use crate::math;

/// Below this mean, a binomial draw counts up from 0; above, that would take too long.
const LEAST_MEAN_FOR_REJECTION: f64 = 10.0;

/// More than this, a count whose mean is below [`LEAST_MEAN_FOR_REJECTION`] is not in the life of the universe.
const MOST_COUNTED: u64 = 110;

/// Candidates that a rejection draws; the chance that all are refused is below 2⁻¹⁰⁰.
const MOST_CANDIDATES: u32 = 100;

/// Draws from the exponential distribution with mean 1, by inversion.
pub fn exponential(random: &mut Pcg64) -> f64 {
    let share: f64 = OpenClosed01.sample(random);
    0.0 - math::ln(share)
}

/// Draws from the normal distribution with mean 0 and variance 1, by the polar method (Marsaglia and Bray,
/// "A convenient method for generating normal variables", 1964). Of the pair that the method gives, the
/// second is discarded, so that a draw leaves nothing behind but the generator's state.
pub fn normal(random: &mut Pcg64) -> f64 {
    let [x, y]: [f64; 2] = UnitDisc.sample(random);
    let square = x * x + y * y;
    if square == 0.0 { 0.0 } else { x * (-2.0 * math::ln(square) / square).sqrt() }
}

/// Draws from the log-normal distribution with mean 1 and the given coefficient of variation.
pub fn log_normal(variation: f64, random: &mut Pcg64) -> f64 {
    // With σ² = ln(1 + cv²) and μ = −σ²/2, the mean e^(μ + σ²/2) is 1.
    let variance = math::ln_1p(variation * variation);
    math::exp(variance.sqrt() * normal(random) - variance / 2.0)
}

/// Draws how many of `trials` succeed that each do with `chance`, a number from 0 to 1.
pub fn binomial(trials: u64, chance: f64, random: &mut Pcg64) -> u64 {
    let flipped = chance > 0.5;
    let rarer = if flipped { 1.0 - chance } else { chance };
    let drawn = if rarer.is_nan() || rarer <= 0.0 {
        0
    } else if trials as f64 * rarer < LEAST_MEAN_FOR_REJECTION {
        binomial_by_counting(trials, rarer, random)
    } else {
        binomial_by_rejection(trials, rarer, random)
    };
    if flipped { trials - drawn } else { drawn }
}

/// Inversion: goes through the counts from 0 until their probabilities add up to a uniform draw.
fn binomial_by_counting(trials: u64, chance: f64, random: &mut Pcg64) -> u64 {
    let most = trials.min(MOST_COUNTED);
    let mut left: f64 = random.random();
    let mut probability = math::exp(trials as f64 * math::ln_1p(-chance));
    for count in 0..most {
        if left < probability {
            return count;
        }
        left -= probability;
        probability *= (trials - count) as f64 / (count + 1) as f64 * (chance / (1.0 - chance));
    }
    most
}

/// Transformed rejection with a squeeze: algorithm BTRS of Hörmann, "The generation of binomial random
/// variates", Journal of Statistical Computation and Simulation 46 (1993). Its constants fit means of at least
/// 10 and chances of at most ½. The mode where every candidate is refused.
fn binomial_by_rejection(trials: u64, chance: f64, random: &mut Pcg64) -> u64 {
    let n = trials as f64;
    let deviation = (n * chance * (1.0 - chance)).sqrt();
    let b = 1.15 + 2.53 * deviation;
    let a = -0.0873 + 0.0248 * b + 0.01 * chance;
    let centre = n * chance + 0.5;
    let squeeze = 0.92 - 4.2 / b;
    let alpha = (2.83 + 5.1 / b) * deviation;
    let mode = ((n + 1.0) * chance).floor();
    let odds = math::ln(chance / (1.0 - chance));
    let weight = |count: f64| count * odds - math::ln_factorial(count) - math::ln_factorial(n - count);
    for _ in 0..MOST_CANDIDATES {
        let u = random.random::<f64>() - 0.5;
        let v: f64 = random.random();
        let inner = 0.5 - u.abs();
        let count = ((2.0 * a / inner + b) * u + centre).floor();
        if !(0.0..=n).contains(&count) {
            continue;
        }
        let in_squeeze = inner >= 0.07 && v <= squeeze;
        if in_squeeze || math::ln(v * alpha / (a / (inner * inner) + b)) <= weight(count) - weight(mode) {
            return count as u64;
        }
    }
    mode as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Streams;

    const DRAWS: u32 = 40_000;

    /// Mean and variance of many draws.
    fn moments(mut draw: impl FnMut(&mut Pcg64) -> f64) -> (f64, f64) {
        let mut random = Streams::new(1, 0).stream("moments", "");
        let draws: Vec<f64> = (0..DRAWS).map(|_| draw(&mut random)).collect();
        let mean = draws.iter().sum::<f64>() / f64::from(DRAWS);
        (mean, draws.iter().map(|draw| (draw - mean) * (draw - mean)).sum::<f64>() / f64::from(DRAWS))
    }

    /// Compares with the distribution's own, within 5 standard errors of the mean; `kurtosis` is the fourth
    /// central moment by the square of the variance, and gives the standard error of the variance.
    fn check(draw: impl FnMut(&mut Pcg64) -> f64, mean: f64, variance: f64, kurtosis: f64) {
        let (got_mean, got_variance) = moments(draw);
        let error = (variance / f64::from(DRAWS)).sqrt();
        assert!((got_mean - mean).abs() <= 5.0 * error, "mean {got_mean}, not {mean}");
        let error = variance * ((kurtosis - 1.0) / f64::from(DRAWS)).sqrt();
        assert!((got_variance - variance).abs() <= 5.0 * error, "variance {got_variance}, not {variance}");
    }

    #[test]
    fn continuous_draws_have_the_mean_and_the_variance_of_their_distribution() {
        check(exponential, 1.0, 1.0, 9.0);
        check(normal, 0.0, 1.0, 3.0);
        let variation: f64 = 0.3;
        // q = e^(σ²); the fourth moment is q⁴ + 2q³ + 3q² − 3.
        let q = 1.0 + variation * variation;
        let kurtosis = q * q * q * q + 2.0 * q * q * q + 3.0 * q * q - 3.0;
        check(|random| log_normal(variation, random), 1.0, variation * variation, kurtosis);
    }

    #[test]
    fn counts_have_the_mean_and_the_variance_of_their_distribution() {
        for (trials, chance) in
            [(20, 0.1), (20, 0.5), (30, 0.5), (150, 0.93), (1000, 0.3), (1 << 18, 1e-6), (1 << 18, 0.7)]
        {
            let (n, spread) = (trials as f64, chance * (1.0 - chance));
            let kurtosis = 3.0 + (1.0 - 6.0 * spread) / (n * spread);
            let draw = |random: &mut Pcg64| binomial(trials, chance, random) as f64;
            check(draw, n * chance, n * spread, kurtosis);
        }
    }

    /// By Pearson's χ² over every count of a binomial that is drawn by rejection and of one that is counted.
    #[test]
    fn counts_come_as_often_as_they_should() {
        for (trials, chance) in [(40u32, 0.4f64), (40, 0.1)] {
            let mut random = Streams::new(2, 0).stream("counts", "");
            let mut seen = vec![0.0; trials as usize + 1];
            (0..DRAWS).for_each(|_| seen[binomial(trials.into(), chance, &mut random) as usize] += 1.0);
            let n = f64::from(trials);
            let expected = |count: f64| {
                let ways = math::ln_factorial(n) - math::ln_factorial(count) - math::ln_factorial(n - count);
                math::exp(ways + count * math::ln(chance) + (n - count) * math::ln(1.0 - chance))
                    * f64::from(DRAWS)
            };
            let likely: Vec<f64> =
                (0..=trials).map(f64::from).filter(|count| expected(*count) >= 5.0).collect();
            let off = |count: &f64| {
                let (seen, expected) = (seen[*count as usize], expected(*count));
                (seen - expected) * (seen - expected) / expected
            };
            let (sum, freedom) = (likely.iter().map(off).sum::<f64>(), likely.len() as f64);
            assert!(sum <= freedom + 5.0 * (2.0 * freedom).sqrt(), "χ² is {sum} of {freedom} counts");
        }
    }

    #[test]
    fn what_is_certain_is_certain() {
        let mut random = Streams::new(1, 0).stream("certain", "");
        assert_eq!(binomial(50, 0.0, &mut random), 0);
        assert_eq!(binomial(50, 1.0, &mut random), 50);
        assert_eq!(binomial(0, 0.4, &mut random), 0);
        assert_eq!(log_normal(0.0, &mut random), 1.0);
    }
}
