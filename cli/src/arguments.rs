//! The command line: what can be asked, and how it is told in `--help`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub use crate::live::arguments::Live;

/// Replications that one command runs at most; their records stay in memory until the end.
const MOST_REPLICATIONS: i64 = 100_000;

/// Simulates the migration of virtual machines: how long it takes, what it disturbs, what breaks.
#[derive(Parser)]
#[command(name = "migtwin", version, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Run scenarios on the simulated cluster and report what happened.
    Simulate(Simulate),
    /// Say whether plans can run, without running them: what stands against which move, and how to
    /// mend it.
    Check(Check),
    /// Make a plan: what will move where, when, how long it takes, and why.
    Plan {
        #[command(subcommand)]
        what: PlanWhat,
    },
    /// Set what happened beside what was planned, and say what made the difference.
    CompareRuns(CompareRuns),
    /// Hold the simulator against published and measured migrations.
    Validate(Validate),
    /// Fit the model's parameters to measured migrations.
    Calibrate(Calibrate),
    /// Predict measured migrations from what `calibrate` found, and say how far off that is.
    Predict(Predict),
    /// Run a scenario and show its log as an operator reads Get-WinEvent.
    Events(Events),
    /// Say for every guest whether and why its pre-copy converges, and at which bandwidth or downtime
    /// limit it would.
    Explain(Explain),
    /// Drive real hosts: agents with synthetic guests, their migrations, and a laboratory of them.
    Live(Live),
    /// List the presets that scenarios can name.
    Presets {
        #[command(flatten)]
        output: Output,
    },
    /// Print the JSON schema of scenario files.
    Schema,
    /// Print a completion script for a shell.
    Completions {
        /// For which shell.
        shell: Shell,
    },
}

#[derive(Args)]
#[command(after_help = "Exit status: 0 done, 2 bad input, 130 interrupted (what was done is reported).")]
pub struct Simulate {
    /// Scenario files (RON).
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Seed of all chance, in place of the scenario's own.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// Run this many times, each with its own luck, and report quantiles.
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true,
          value_parser = clap::value_parser!(u32).range(1..=MOST_REPLICATIONS))]
    pub replications: u32,
    /// Also write report.html, figures, Parquet, CSV and JSON into this directory.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Args)]
#[command(after_help = "Exit status: 0 every plan can run, 1 a plan cannot run as it stands, 2 bad input.")]
pub struct Check {
    /// Scenario files (RON).
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Instead, every rule for moving this virtual machine to this host, with why it holds or not.
    #[arg(long, num_args = 2, value_names = ["VM", "HOST"])]
    pub explain: Option<Vec<String>>,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Subcommand)]
pub enum PlanWhat {
    /// The emptying of a host.
    Drain(PlanDrain),
}

#[derive(Args)]
#[command(after_help = "Exit status: 0 done, 1 a guest would stay, 2 bad input.")]
pub struct PlanDrain {
    /// The host to empty.
    #[arg(value_name = "HOST")]
    pub host: String,
    /// The scenario file (RON) with hosts, guests and network; of its own plan, only what becomes of disks where it
    /// drains this host counts.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Write the plan into this file, for `live apply`.
    #[arg(long, value_name = "PLAN")]
    pub out: Option<PathBuf>,
    /// Which alternative, where the scenario has several.
    #[arg(long, value_name = "NAME")]
    pub alternative: Option<String>,
    /// Seed of all chance, in place of the scenario's own.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// Simulate the drain this many times, each with its own luck.
    #[arg(long, value_name = "N", default_value_t = 200, allow_negative_numbers = true,
          value_parser = clap::value_parser!(u32).range(1..=MOST_REPLICATIONS))]
    pub replications: u32,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Args)]
#[command(after_help = "Exit status: 0 done, 2 bad input.")]
pub struct CompareRuns {
    /// The plan: records.json, the directory that holds it (`simulate --out`), or what `--format json` printed.
    #[arg(value_name = "PLANNED")]
    pub planned: PathBuf,
    /// What happened: the same of a live run, or of another simulated one.
    #[arg(value_name = "ACTUAL")]
    pub actual: PathBuf,
    /// Which alternative, where a file holds several.
    #[arg(long, value_name = "NAME")]
    pub alternative: Option<String>,
    /// Also write the comparison as a page into this file.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Args)]
#[command(after_help = "Exit status: 0 done, 2 bad input.")]
pub struct Explain {
    /// The scenario file (RON).
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Only this virtual machine; by default, those that the plan moves.
    #[arg(long, value_name = "NAME")]
    pub vm: Option<String>,
    /// Also the convergence map: bandwidth against this.
    #[arg(long, value_name = "AGAINST", value_enum)]
    pub map: Option<MapAgainst>,
    /// Also draw the map of each of them into this directory, as SVG.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub output: Output,
}

/// What a convergence map sets the bandwidth against.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MapAgainst {
    /// How fast the guest dirties its memory, times as it is.
    DirtyRate,
    /// The pause that is tolerated.
    Downtime,
}

#[derive(Args)]
#[command(after_help = "A case that misses stays in the table as a miss. Exit status: 0 done, 2 bad input.")]
pub struct Validate {
    /// Only the cases of this id, or whose id begins with it.
    #[arg(long, value_name = "ID")]
    pub case: Option<String>,
    #[command(flatten)]
    pub output: Output,
}

/// What measurements may be.
const MEASUREMENTS: &str = "Files are known by what is in them: CSV of the published data sets, btrplace plans \
(JSON), logs of query-migrate (JSON), Proxmox and virsh domjobinfo (text), what --out and live leave of runs \
(records.json, migrations.parquet). \
Exit status: 0 done, 2 bad input.";

#[derive(Args)]
#[command(after_help = MEASUREMENTS)]
pub struct Calibrate {
    /// Files of measured migrations, or directories of them.
    #[arg(required = true, value_name = "RECORDS")]
    pub records: Vec<PathBuf>,
    /// Write what was found there; to standard output where it is not given.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Args)]
#[command(after_help = MEASUREMENTS)]
pub struct Predict {
    /// What `calibrate` wrote.
    #[arg(value_name = "PRESET")]
    pub preset: PathBuf,
    /// Files of measured migrations, or directories of them.
    #[arg(required = true, value_name = "MEASURED")]
    pub measured: Vec<PathBuf>,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Args)]
#[command(after_help = "The newest line is the last. Exit status: 0 done, 2 bad input.")]
pub struct Events {
    /// The scenario file (RON).
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Only lines of these levels.
    #[arg(long, value_name = "LEVEL", value_delimiter = ',', value_enum)]
    pub level: Vec<EventLevel>,
    /// Only so many of the last of them; 0 for all.
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub last: usize,
    /// Seed of all chance, in place of the scenario's own.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub seed: Option<u64>,
    #[command(flatten)]
    pub output: Output,
}

/// Levels as Get-WinEvent displays them.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EventLevel {
    /// As it should be.
    Information,
    /// Something to look at.
    Warning,
    /// Something failed.
    Error,
}

#[derive(Args)]
pub struct Output {
    /// What to print.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs, versioned.
    Json,
}
