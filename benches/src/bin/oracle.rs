//! Runs the workload on which four engines agree, through the same world as everything else, and
//! prints its figures and what they cost as JSON.

use std::io::Write;
use std::process::ExitCode;

use benches::cost;
use benches::workload::{self, Figures, Shape, Size};
use clap::{Parser, ValueEnum};
use models::world::{Metering, RunOptions, simulate};
use serde::Serialize;

/// Checks the engine against figures on which SimGrid and others agree.
#[derive(Parser)]
struct Arguments {
    /// Drain the hosts in turn, or move everything at once.
    shape: ShapeArgument,
    /// Hosts on the star.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    hosts: u32,
    /// Guests.
    #[arg(long, default_value_t = 8000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    vms: u32,
    /// Migrations at a time on each host; 0 for any number.
    #[arg(long, default_value_t = 2)]
    limit: u32,
    /// What the dirty rates are multiplied with.
    #[arg(long, default_value_t = 1.0, value_parser = dirty_scale, allow_hyphen_values = true)]
    dirty_scale: f64,
}

#[derive(Clone, Copy, ValueEnum)]
enum ShapeArgument {
    Rolling,
    Burst,
}

#[derive(Serialize)]
struct Output {
    #[serde(flatten)]
    figures: Figures,
    cpu_s: f64,
    peak_rss_mb: Option<f64>,
}

/// Reads a factor, so that nonsense is refused where it was written and does not run as some other
/// number.
fn dirty_scale(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(scale) if scale.is_finite() && scale >= 0.0 => Ok(scale),
        _ => Err("must be a finite number of zero or more, such as 0.01".to_owned()),
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let shape = match arguments.shape {
        ShapeArgument::Rolling => Shape::Rolling,
        ShapeArgument::Burst => Shape::Burst,
    };
    let size = Size {
        hosts: arguments.hosts,
        vms: arguments.vms,
        limit: arguments.limit,
        dirty_scale: arguments.dirty_scale,
    };
    let model = workload::model(shape, size);
    let options = RunOptions { metering: Metering::Off, ..RunOptions::default() };
    let records = match simulate(&model, &options) {
        Ok(records) => records,
        Err(error) => {
            eprintln!("oracle: {error}");
            return ExitCode::from(2);
        }
    };
    let figures = workload::figures(&records);
    let output = Output { figures, cpu_s: cost::cpu_seconds(), peak_rss_mb: cost::peak_rss_mb() };
    let mut stdout = std::io::stdout().lock();
    match serde_json::to_writer(&mut stdout, &output).map_err(Into::into).and_then(|()| writeln!(stdout)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
