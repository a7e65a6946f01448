//! Runs ours and a baseline by turns for a few seconds, and prints what an operation of each costs
//! and the ratio as JSON.
//!
//! ```text
//! cargo run --release -p benches --bin ratios
//! ```
//!
//! By turns (A B A B …), in processor time and by medians, so that what else runs on the machine
//! falls on both alike: the ratio then holds where the times do not. For a closer look with its
//! spread, `cargo bench -p benches`.

use std::hint::black_box;
use std::io::Write;
use std::process::ExitCode;

use benches::binary_heap::{Lazy, Plain};
use benches::churn::{Churn, Incremental, Sharing};
use benches::cost::cpu_seconds;
use benches::filling::FromDefinition;
use benches::hold::{Hold, Keyed, Moving, Pending};
use serde::Serialize;
use sim_core::EventQueue;

/// Turns of each side; odd, for the median.
const TURNS: usize = 9;

/// The version of this output.
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Output {
    schema: u32,
    ratios: Vec<Ratio>,
}

#[derive(Serialize)]
struct Ratio {
    name: String,
    ours_ns_per_op: f64,
    baseline_ns_per_op: f64,
    /// Ours ÷ baseline: below 1 is quicker.
    ratio: f64,
}

fn main() -> ExitCode {
    let mut ratios = Vec::new();
    for size in [1_000, 100_000, 1_000_000] {
        ratios.push(hold::<EventQueue<u32>, Plain>(size));
    }
    for size in [1_000, 100_000, 1_000_000] {
        ratios.push(hold_and_move::<Keyed, Lazy>(size));
    }
    for flows in [100, 1_000] {
        ratios.push(churn::<Incremental, FromDefinition>(flows));
    }
    let output = Output { schema: SCHEMA, ratios };
    let mut stdout = std::io::stdout().lock();
    match serde_json::to_writer_pretty(&mut stdout, &output)
        .map_err(Into::into)
        .and_then(|()| writeln!(stdout))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn hold<A: Pending, B: Pending>(size: u32) -> Ratio {
    let (mut ours, mut baseline) = (Hold::<A>::new(size), Hold::<B>::new(size));
    compare(format!("event_queue/hold/{size}"), 100_000, || ours.step(), || baseline.step())
}

fn hold_and_move<A: Moving, B: Moving>(size: u32) -> Ratio {
    let (mut ours, mut baseline) = (Hold::<A>::new(size), Hold::<B>::new(size));
    // Until entries that are no longer valid stand in the heap in their usual number.
    for _ in 0..size {
        ours.step_or_move();
        baseline.step_or_move();
    }
    compare(
        format!("event_queue/hold_move_10_percent/{size}"),
        100_000,
        || ours.step_or_move(),
        || baseline.step_or_move(),
    )
}

fn churn<A: Sharing, B: Sharing>(flows: usize) -> Ratio {
    let (mut ours, mut baseline) = (Churn::<A>::new(64, flows), Churn::<B>::new(64, flows));
    compare(format!("sharing/star_64_churn/{flows}"), 1_000, || ours.step(), || baseline.step())
}

/// Times `operations` of each by turns. A turn of each comes first that does not count.
fn compare<T>(
    name: String,
    operations: u32,
    mut ours: impl FnMut() -> T,
    mut baseline: impl FnMut() -> T,
) -> Ratio {
    let (mut ours_ns, mut baseline_ns) = (Vec::new(), Vec::new());
    for _ in 0..=TURNS {
        ours_ns.push(nanos_per_operation(operations, &mut ours));
        baseline_ns.push(nanos_per_operation(operations, &mut baseline));
    }
    let (ours, baseline) = (median(&mut ours_ns[1..]), median(&mut baseline_ns[1..]));
    Ratio {
        name,
        ours_ns_per_op: round(ours, 1.0),
        baseline_ns_per_op: round(baseline, 1.0),
        ratio: round(ours / baseline, 1e3),
    }
}

fn nanos_per_operation<T>(operations: u32, operation: &mut impl FnMut() -> T) -> f64 {
    let before = cpu_seconds();
    for _ in 0..operations {
        black_box(operation());
    }
    (cpu_seconds() - before) * 1e9 / f64::from(operations)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// To `1 / parts`: no digits that the measurement does not have.
fn round(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}
