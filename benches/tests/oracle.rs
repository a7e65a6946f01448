//! The oracle against the figures on which four engines agree, and its manners on the command line.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

use benches::workload::{Figures, Shape, Size, figures, model};
use models::world::{Metering, RunOptions, simulate};

fn run(shape: Shape, size: Size) -> Figures {
    let options = RunOptions { metering: Metering::Off, ..RunOptions::default() };
    figures(&simulate(&model(shape, size), &options).unwrap())
}

/// The figures are published to four digits after the point (the pause to three): ours must be what
/// is printed so, and the rounds exactly those.
fn assert_published(figures: &Figures, makespan_s: &str, migration_s: &str, downtime_ms: &str, rounds: u64) {
    assert_eq!(format!("{:.4}", figures.makespan_s), makespan_s);
    assert_eq!(format!("{:.4}", figures.mean_migration_s), migration_s);
    assert_eq!(format!("{:.3}", figures.mean_downtime_ms), downtime_ms);
    assert_eq!(figures.rounds, rounds);
}

/// Source: issue 2, "Checked against engines that others wrote"; SimGrid 3.32 prints 66539.433770 s,
/// 16.381154 s, 12.1790 ms and 37949 rounds (benches/README.md).
#[test]
fn rolling_gives_the_published_figures() {
    let size = Size { hosts: 64, vms: 8000, limit: 2, dirty_scale: 1.0 };
    let figures = run(Shape::Rolling, size);
    assert_published(&figures, "66539.4338", "16.3812", "12.179", 37_949);
}

/// Source: as above; SimGrid 3.32 prints 115.641991 s, 91.461655 s, 3.8470 ms and 3067 rounds.
#[test]
fn burst_gives_the_published_figures() {
    let size = Size { hosts: 64, vms: 1000, limit: 0, dirty_scale: 0.01 };
    let figures = run(Shape::Burst, size);
    assert_published(&figures, "115.6420", "91.4617", "3.847", 3_067);
}

/// With no dirty page a migration is the memory and an empty pause: two rounds, one latency more.
#[test]
fn without_dirty_pages_a_single_guest_takes_its_memory_over_the_link() {
    let size = Size { hosts: 2, vms: 1, limit: 1, dirty_scale: 0.0 };
    let figures = run(Shape::Burst, size);
    let latency_s = 100e-6;
    let memory_s = 4096.0 * f64::from(1 << 20) / 1.25e9;
    let expected_s = latency_s + memory_s + latency_s;
    assert!((figures.makespan_s - expected_s).abs() < 2e-9, "{figures:?}, expected {expected_s}");
    assert_eq!(figures.rounds, 2);
}

fn oracle(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_oracle")).args(arguments).output().unwrap()
}

#[test]
fn output_has_its_keys_in_order() {
    let output = oracle(&["burst", "--hosts", "4", "--vms", "8", "--limit", "0"]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let keys: Vec<&str> = text.split('"').skip(1).step_by(2).collect();
    let expected = ["makespan_s", "mean_migration_s", "mean_downtime_ms", "rounds", "cpu_s", "peak_rss_mb"];
    assert_eq!(keys, expected, "{text}");
    let values: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(expected.iter().all(|key| values[key].is_number()), "{text}");
}

#[test]
fn the_same_arguments_give_the_same_figures() {
    let figures = || {
        let output = oracle(&["rolling", "--hosts", "8", "--vms", "100"]);
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_once(",\"cpu_s\"").unwrap().0.to_owned()
    };
    assert_eq!(figures(), figures());
}

/// Status 2, nothing on stdout, and a message that names the argument.
#[test]
fn bad_input_is_refused() {
    for (arguments, named) in [
        (&["rolling", "--hosts", "1"][..], "--hosts"),
        (&["burst", "--vms", "0"], "--vms"),
        (&["burst", "--limit", "-1"], "-1"),
        (&["burst", "--dirty-scale", "-1"], "--dirty-scale"),
        (&["burst", "--dirty-scale", "-inf"], "--dirty-scale"),
        (&["burst", "--dirty-scale", "inf"], "--dirty-scale"),
        (&["burst", "--dirty-scale=NaN"], "--dirty-scale"),
        (&["burst", "--dirty-scale", "fast"], "--dirty-scale"),
        (&["sideways"], "sideways"),
        (&[], "SHAPE"),
    ] {
        let output = oracle(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}: {output:?}");
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains(named), "{arguments:?} must name {named}: {message}");
    }
}
