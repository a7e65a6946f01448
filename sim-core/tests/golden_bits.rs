//! The bits of every function and of the first draws of every sampler that models use, against a committed
//! table: another platform, compiler or version of a dependency that changes one would change records.
//!
//! `other_targets` runs this very test for further targets. What a run computes now, in the table's form, is
//! in the output of a failing test.

use rand::RngExt;
use rand_pcg::Pcg64;
use sim_core::{Streams, draw, math};

/// A line each: the function, its arguments, and the bits of its value in hexadecimal.
const TABLE: &str = include_str!("golden_bits.txt");

/// Draws of each sampler: enough that some binomial draw takes every branch.
const DRAWS: usize = 32;

#[test]
fn every_value_has_the_bits_of_the_table() {
    let mut lines = Vec::new();
    functions(&mut lines);
    samplers(&mut lines);
    eprintln!("{}", lines.join("\n"));
    let expected: Vec<&str> = TABLE.lines().collect();
    assert_eq!(lines.len(), expected.len(), "lines");
    let other: Vec<_> = lines.iter().zip(&expected).filter(|(line, expected)| line != *expected).collect();
    assert!(other.is_empty(), "{} of {} differ: {other:#?}", other.len(), lines.len());
}

fn functions(lines: &mut Vec<String>) {
    type Function = fn(f64) -> f64;
    let exponents = [
        -745.0, -700.5, -100.25, -36.7, -10.1, -2.5, -1.0, -0.7, -0.1, -1e-3, -1e-9, 0.0, 1e-17, 0.3, 1.0,
        5.7, 88.8, 700.1,
    ];
    let beyond_minus_one =
        [-0.999_999, -0.9, -0.5, -0.1, -1e-4, -1e-9, 0.0, 1e-17, 0.09, 0.3, 1.0, 41.0, 1e12];
    let positive = [5e-324, 1e-300, 1e-9, 0.1, 0.5, 0.999, 1.0, 1.001, 2.0, 2.7, 10.0, 1024.0, 1e9, 1e300];
    let one: [(&str, Function, &[f64]); 4] = [
        ("exp", math::exp, &exponents),
        ("exp_m1", math::exp_m1, &exponents),
        ("ln", math::ln, &positive),
        ("ln_1p", math::ln_1p, &beyond_minus_one),
    ];
    for (name, function, arguments) in one {
        let line = |x: &f64| format!("{name} {x:?} {:016x}", function(*x).to_bits());
        lines.extend(arguments.iter().map(line));
    }
    for base in [1e-9, 0.3, 0.99, 1.001, 1.5, 3.0, 17.0, 1e6, 1e12] {
        for exponent in [-2.0, -1.2, -0.99, -0.5, 0.005, 0.2, 0.75, 1.0, 2.6] {
            lines.push(format!("powf {base:?} {exponent:?} {:016x}", math::powf(base, exponent).to_bits()));
        }
    }
    for exponent in [-7, -2, -1, 0, 1, 2, 5, 20] {
        let base = std::f64::consts::SQRT_2;
        lines.push(format!("powi {base:?} {exponent} {:016x}", math::powi(base, exponent).to_bits()));
    }
}

fn samplers(lines: &mut Vec<String>) {
    type Sampler = fn(&mut Pcg64) -> u64;
    let samplers: [(&str, Sampler); 12] = [
        ("exponential", |random| draw::exponential(random).to_bits()),
        ("normal", |random| draw::normal(random).to_bits()),
        ("log_normal 0.3", |random| draw::log_normal(0.3, random).to_bits()),
        ("binomial 262144 0.00001", |random| draw::binomial(1 << 18, 1e-5, random)),
        ("binomial 20 0.45", |random| draw::binomial(20, 0.45, random)),
        ("binomial 40 0.3", |random| draw::binomial(40, 0.3, random)),
        ("binomial 262144 0.3", |random| draw::binomial(1 << 18, 0.3, random)),
        ("binomial 262144 0.999", |random| draw::binomial(1 << 18, 0.999, random)),
        ("uniform", |random| random.random::<f64>().to_bits()),
        ("range 0.0..1.0", |random| random.random_range(0.0..1.0_f64).to_bits()),
        ("range 0..7", |random| random.random_range(0..7_usize) as u64),
        ("bool 0.25", |random| random.random_bool(0.25).into()),
    ];
    for (name, sampler) in samplers {
        let mut random = Streams::new(42, 7).stream("golden bits", name);
        let draws: Vec<String> = (0..DRAWS).map(|_| format!("{:x}", sampler(&mut random))).collect();
        lines.extend(draws.chunks(8).map(|some| format!("{name}: {}", some.join(" "))));
    }
}
