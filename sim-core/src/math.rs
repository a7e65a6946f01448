//! exp, ln and pow from one library, the same bits on every platform.
//!
//! IEEE 754 fixes what `+`, `-`, `*`, `/` and `sqrt` round to, but not these functions. `f64::exp` and its
//! relatives call the C library of the platform, and two C libraries differ in the last bit. One such bit in
//! a dirty rate moves a round's end by a nanosecond, and with it every later event of a run. The crates whose
//! results reach a record therefore call this module, which calls the `libm` crate: plain Rust, compiled from
//! the same source everywhere. `clippy.toml` forbids the methods of `f64` to them.
//!
//! `tests/golden_bits.rs` pins the bits. A new version of `libm` that changes one fails there, and changes
//! records.

/// Returns eˣ.
pub fn exp(x: f64) -> f64 {
    libm::exp(x)
}

/// Returns eˣ − 1, exact for small `x` too.
pub fn exp_m1(x: f64) -> f64 {
    libm::expm1(x)
}

/// Returns the natural logarithm of `x`: −∞ at 0, NaN below.
pub fn ln(x: f64) -> f64 {
    libm::log(x)
}

/// Returns ln(1 + x), exact for small `x` too: −∞ at −1, NaN below.
pub fn ln_1p(x: f64) -> f64 {
    libm::log1p(x)
}

/// Returns `base` to the power of `exponent`.
pub fn powf(base: f64, exponent: f64) -> f64 {
    libm::pow(base, exponent)
}

/// Returns `base` to a whole power. The order of `f64::powi`'s multiplications is the compiler's choice.
pub fn powi(base: f64, exponent: i32) -> f64 {
    libm::pow(base, f64::from(exponent))
}

/// Returns ln(n!).
pub(crate) fn ln_factorial(n: f64) -> f64 {
    libm::lgamma(n + 1.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "compared with the platform's")]

    use super::*;

    #[test]
    fn they_agree_with_the_platform_but_for_the_last_bits() {
        let close = |ours: f64, platform: f64| {
            assert!(
                (ours - platform).abs() <= 4.0 * f64::EPSILON * platform.abs(),
                "{ours} is not {platform}"
            );
        };
        for step in 1..2000 {
            let x = f64::from(step) / 100.0;
            close(exp(-x), (-x).exp());
            close(exp_m1(-x / 1e6), (-x / 1e6).exp_m1());
            close(ln(x), x.ln());
            close(ln_1p(x / 1e6), (x / 1e6).ln_1p());
            close(powf(x, -0.8), x.powf(-0.8));
            close(powi(x, 3), x * x * x);
        }
    }

    #[test]
    fn the_edges_are_those_of_ieee_754() {
        assert_eq!([exp(f64::NEG_INFINITY), exp(f64::INFINITY)], [0.0, f64::INFINITY]);
        assert_eq!([ln(0.0), ln_1p(-1.0)], [f64::NEG_INFINITY; 2]);
        assert!(ln(-1.0).is_nan() && ln_1p(-2.0).is_nan());
        assert_eq!([powf(0.0, 0.0), powi(f64::NAN, 0), powi(2.0, -2)], [1.0, 1.0, 0.25]);
    }

    #[test]
    fn factorials_by_their_logarithm() {
        let product = |n: u32| (1..=n).map(f64::from).product::<f64>();
        for n in 0..100 {
            assert!((ln_factorial(f64::from(n)) - ln(product(n))).abs() < 1e-12 * f64::from(n + 1));
        }
    }
}
