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
    /// Run a scenario and show its log as an operator reads Get-WinEvent.
    Events(Events),
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

#[derive(Subcommand)]
pub enum Live {
    /// Carry out a scenario's plan on QEMU machines of this computer, planned beside actual.
    Qemu(LiveQemu),
}

#[derive(Args)]
#[command(
    after_help = "Needs qemu-system-x86_64, as and ld. Guests are booted from a ROM of our own and do what the \
scenario's workloads say; all of their memory is looked at in the end. Ctrl-C gives up what is under way; guests \
keep running until all is in order.\n\nExit status: 0 done, 2 bad input, 3 a migration failed or something is missing."
)]
pub struct LiveQemu {
    /// The scenario file (RON), with QEMU as its hypervisor.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Of a scenario with alternatives: which to run.
    #[arg(long, value_name = "NAME")]
    pub alternative: Option<String>,
    /// Who runs the guests' instructions; by default KVM where it boots a guest, else TCG.
    #[arg(long, value_enum)]
    pub accelerator: Option<AcceleratorChoice>,
    /// The program.
    #[arg(long, value_name = "PROGRAM", default_value = "qemu-system-x86_64")]
    pub qemu: String,
    /// Also write planned.json, predicted.json, actual.json and the journals into this directory.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub output: Output,
}

/// Who runs the guests' instructions.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AcceleratorChoice {
    /// The processor.
    Kvm,
    /// QEMU's translator.
    Tcg,
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
