//! What can be asked of `migtwin live`.

mod lab;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use sim_core::{Bandwidth, Bytes, Span};

use crate::arguments::Output;
pub use lab::LabCommand;

#[derive(Args)]
#[command(after_help = "Exit status: 0 done, 2 bad input, 3 a host failed or a guest was not moved.")]
pub struct Live {
    #[command(subcommand)]
    pub command: LiveCommand,
}

#[derive(Subcommand)]
pub enum LiveCommand {
    /// Make a certificate authority, and an identity for each host that is to trust the others.
    Identity {
        /// The hosts' names, and one for those who command them.
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// Where the files go; an authority that is there already is used again.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Be the agent of this host: hold synthetic guests, send them, take them in.
    Agent(Agent),
    /// Say what agents hold, and whether hand-overs are open.
    Status {
        #[command(flatten)]
        agents: Agents,
    },
    /// Move one guest of a scenario between two agents, and compare with the prediction.
    Migrate(Migrate),
    /// Start the guests of a scenario at their hosts' agents, where they are nowhere yet.
    Create {
        /// The scenario file (RON); its hosts are the agents of the same names.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        agents: Agents,
    },
    /// Carry out a plan of `migtwin plan drain`.
    Apply(Apply),
    /// Measure what migration between two agents would get, and write a preset of it.
    Probe(Probe),
    /// Say what will become of a migration, from its journal up to some moment.
    Forecast(Forecast),
    /// Bring hand-overs that were cut short to their end, so that each guest runs exactly once.
    Recover {
        #[command(flatten)]
        agents: Agents,
        /// Instead of agents: the directory of a `migtwin live qemu` that was killed.
        #[arg(long, value_name = "DIR", conflicts_with_all = ["agents", "identity", "lab"])]
        qemu: Option<PathBuf>,
    },
    /// Carry out a scenario's plan on QEMU machines of this computer, planned beside actual.
    Qemu(LiveQemu),
    /// A test bed on this machine: agents in network namespaces, joined by shaped links.
    Lab {
        #[command(subcommand)]
        command: LabCommand,
    },
}

#[derive(Args)]
pub struct Agent {
    /// The address to listen on, such as 10.0.0.1:7420.
    #[arg(long, value_name = "ADDR")]
    pub listen: String,
    /// This host's identity, made by `migtwin live identity`.
    #[arg(long, value_name = "FILE")]
    pub identity: PathBuf,
    /// Where its ledger and journals are kept.
    #[arg(long, value_name = "DIR", default_value = "migtwin-agent")]
    pub directory: PathBuf,
    /// The address by which other agents reach it, where it is another.
    #[arg(long, value_name = "ADDR")]
    pub advertise: Option<String>,
    /// Memory that guests may have; by default what the machine has available.
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<Bytes>,
    /// The directory of a storage location, as NAME=DIR, where it is not `disks/NAME` in the agent's own; agents
    /// with one directory share it. May be given several times.
    #[arg(long, value_name = "NAME=DIR", value_parser = place)]
    pub storage: Vec<(String, PathBuf)>,
    /// The most that guests' disks may take; by default what the file systems have.
    #[arg(long, value_name = "SIZE")]
    pub disk_space: Option<Bytes>,
    /// How dirty memory is found; by default as the kernel can do it best.
    #[arg(long, value_enum)]
    pub tracking: Option<Tracking>,
}

fn place(text: &str) -> Result<(String, PathBuf), String> {
    let (name, directory) = text.split_once('=').ok_or("storage is NAME=DIR, such as san=/mnt/san")?;
    Ok((name.to_string(), directory.into()))
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Tracking {
    /// Write protection by userfaultfd (Linux 6.7).
    Userfault,
    /// Hashes of all pages; slow, and needs nothing.
    Hashes,
}

/// Which agents, and who asks them.
#[derive(Args)]
pub struct Agents {
    /// An agent, as NAME=ADDR; may be given several times.
    #[arg(long = "agent", value_name = "NAME=ADDR", value_parser = named)]
    pub agents: Vec<(String, String)>,
    /// The identity of who asks.
    #[arg(long, value_name = "FILE")]
    pub identity: Option<PathBuf>,
    /// The agents and the identity of the lab in this directory.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["agents", "identity"])]
    pub lab: Option<PathBuf>,
}

fn named(text: &str) -> Result<(String, String), String> {
    let (name, address) = text.split_once('=').ok_or("an agent is NAME=ADDR, such as a=10.0.0.1:7420")?;
    Ok((name.to_string(), address.to_string()))
}

#[derive(Args)]
pub struct Migrate {
    /// The scenario file (RON); its hosts are the agents of the same names.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Of a scenario with alternatives: which; by default the first.
    #[arg(long, value_name = "NAME")]
    pub alternative: Option<String>,
    /// The guest to move; it is made where it is nowhere yet.
    #[arg(long, value_name = "NAME")]
    pub vm: String,
    /// The host to move it to. Where it is there already, the disks move that the plan's MoveStorage says.
    #[arg(long, value_name = "HOST")]
    pub to: String,
    #[command(flatten)]
    pub agents: Agents,
    #[command(flatten)]
    pub sending: SendingArguments,
    /// Also write planned.json and actual.json, the records of both runs, into this directory.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Args)]
#[command(after_help = "Ctrl-C gives up what is under way; guests go on where they are. Exit status: 0 all \
                        guests moved, 2 bad input or a plan that does not fit any more, 3 a guest was not moved.")]
pub struct Apply {
    /// The plan.
    #[arg(value_name = "PLAN")]
    pub plan: PathBuf,
    #[command(flatten)]
    pub agents: Agents,
    /// Say what would be done and how long it would take, and touch nothing.
    #[arg(long)]
    pub what_if: bool,
    /// What to do when a migration takes longer than planned.
    #[arg(long, value_enum, default_value_t = OnDeviation::Stop)]
    pub on_deviation: OnDeviation,
    /// What a migration may take beyond its planned 95th percentile, in percent of it.
    #[arg(long, value_name = "PERCENT", default_value_t = 25)]
    pub tolerance: u32,
    /// Try what fails again, so often.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub retries: u32,
    /// How long after it failed.
    #[arg(long, value_name = "TIME", default_value = "10 s")]
    pub retry_after: Span,
    /// Ask before this guest is moved; may be given several times.
    #[arg(long = "gate", value_name = "VM")]
    pub gates: Vec<String>,
    /// Ask before every guest.
    #[arg(long, conflicts_with = "gates")]
    pub gate_all: bool,
    #[command(flatten)]
    pub sending: SendingArguments,
    /// Also write what happened (records.json, report.html, frames) into this directory.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub output: Output,
}

/// What to do when a migration takes longer than planned.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnDeviation {
    /// Note it.
    GoOn,
    /// Start nothing more; what is under way goes on.
    Stop,
    /// Ask whether to go on.
    Ask,
    /// Give up what is under way, too.
    Abort,
}

#[derive(Args)]
#[command(
    after_help = "Test memory goes the way of a migration's, once for each compression and number of streams. \
                        A scenario takes the preset by include: [\"FILE\"], where its hosts give no `nic`."
)]
pub struct Probe {
    /// The agent that memory would come from.
    #[arg(value_name = "A")]
    pub source: String,
    /// The agent that it would go to.
    #[arg(value_name = "B")]
    pub destination: String,
    #[command(flatten)]
    pub agents: Agents,
    /// Numbers of streams, 1 to 16 each.
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [1, 2, 4],
          value_parser = clap::value_parser!(u32).range(1..=16))]
    pub streams: Vec<u32>,
    /// Compressions.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Compress::None, Compress::Lz4, Compress::Zstd])]
    pub compression: Vec<Compress>,
    /// Send memory without encryption (control is encrypted always).
    #[arg(long)]
    pub plain: bool,
    /// Test memory, at most 512 MiB; it is sent over and over.
    #[arg(long, value_name = "SIZE", default_value = "64 MiB")]
    pub memory: Bytes,
    /// How many times smaller it gets by compression, 1 or more.
    #[arg(long, value_name = "RATIO", default_value_t = 2.3, value_parser = ratio)]
    pub compressibility: f64,
    /// The share of it that is zero, 0 to 0.9.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub zero_share: f64,
    /// For how long each is measured, at most 30 s.
    #[arg(long = "for", value_name = "TIME", default_value = "2 s")]
    pub measure_for: Span,
    /// Write a preset of the best here, for scenarios to include.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub output: Output,
}

fn ratio(text: &str) -> Result<f64, String> {
    number_between(text, 1.0, 1000.0)
}

fn share(text: &str) -> Result<f64, String> {
    number_between(text, 0.0, 0.9)
}

fn number_between(text: &str, least: f64, most: f64) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("must be a number from {least} to {most}"))
}

#[derive(Args)]
pub struct Forecast {
    /// The journal, as agents keep it.
    #[arg(value_name = "JOURNAL")]
    pub journal: PathBuf,
    /// The moment, since the migration began, such as "12 s"; by default the journal's end.
    #[arg(long, value_name = "TIME")]
    pub at: Option<Span>,
    /// Futures to simulate for each lever.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub futures: u32,
    /// Seed of all chance.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    #[command(flatten)]
    pub output: Output,
}

/// How memory is sent.
#[derive(Args)]
pub struct SendingArguments {
    /// Connections for memory, 1 to 16.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub streams: u32,
    /// Make memory smaller on its way.
    #[arg(long, value_enum, default_value_t = Compress::None)]
    pub compression: Compress,
    /// Send memory without encryption (control is encrypted always).
    #[arg(long)]
    pub plain: bool,
    /// The highest rate of memory, and of each disk that is copied, such as "200 Mbit/s".
    #[arg(long, value_name = "RATE")]
    pub limit: Option<Bandwidth>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Compress {
    /// Pages of zeros are only named, all others sent as they are.
    None,
    /// LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
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
    /// A guest of the scenario that runs in a QEMU of yours, by its QMP socket, as VM=SOCKET; may be given several
    /// times. It is migrated, not booted; its old QEMU ends when it runs in the other.
    #[arg(long, value_name = "VM=SOCKET", value_parser = socket_of)]
    pub attach: Vec<(String, String)>,
    /// The QEMU that waits for it, started with -incoming defer -S; by default one is started with the command line of
    /// its own.
    #[arg(long, value_name = "VM=SOCKET", value_parser = socket_of)]
    pub incoming: Vec<(String, String)>,
    /// Where sockets, disks and journals are kept meanwhile, removed in the end: a new directory with a short
    /// path. By default one for temporary files.
    #[arg(long, value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// Also write planned.json, predicted.json, actual.json and the journals into this directory.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub output: Output,
}

fn socket_of(text: &str) -> Result<(String, String), String> {
    let (vm, socket) = text.split_once('=').ok_or("this is VM=SOCKET, such as web=/run/web.qmp")?;
    Ok((vm.to_string(), socket.to_string()))
}

/// Who runs the guests' instructions.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AcceleratorChoice {
    /// The processor.
    Kvm,
    /// QEMU's translator.
    Tcg,
}
