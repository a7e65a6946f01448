//! What real agents reach: memory over a link beside iperf3 on the same link, and the time of a scan for
//! dirty pages. Needs root, iproute2 and iperf3.
//!
//! ```text
//! cargo run --release -p benches --bin live
//! ```
//!
//! Each figure is the best of several turns, by turns with iperf3's, since what else runs on the machine can
//! only take from them. The agents of the lab are this program again.

use std::error::Error;
use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use algorithms::policy::{HyperV, Policy};
use algorithms::records::Record;
use live::client::Client;
use live::guest::{Guest, GuestSpec};
use live::identity::load_identity;
use live::lab::{self, Lab, LabOptions, Wiring};
use live::machine::ProcessorTime;
use live::protocol::{Encryption, MigrateRequest, Sending};
use live::storage::StorageOptions;
use live::tls::Credentials;
use live::tracking::{Method, Scans};
use live::{Agent, AgentOptions, process, steps};
use models::workload::Workload;
use serde::Serialize;
use sim_core::{Bandwidth, Bytes};

type Failed = Box<dyn Error>;

const TURNS: usize = 3;
const SCANS: usize = 20;
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Figures {
    schema: u32,
    clean_scan_of_1_gib_ms: f64,
    transfers: Vec<Transfer>,
    steal: f64,
}

#[derive(Serialize)]
struct Transfer {
    link: String,
    encryption: Encryption,
    streams: u32,
    memory_mbit: f64,
    iperf3_mbit: f64,
    ratio: f64,
}

fn main() -> Result<(), Failed> {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|first| first == "live") {
        return agent(&arguments);
    }
    let processors = ProcessorTime::now();
    let clean_scan_of_1_gib_ms = clean_scan()?.as_secs_f64() * 1e3;
    let mut transfers = Vec::new();
    for link in [Some(Bandwidth::from_mbit(400)), None] {
        transfers.extend(on_link(link)?);
    }
    let steal = processors.steal_since();
    let figures = Figures { schema: SCHEMA, clean_scan_of_1_gib_ms, transfers, steal };
    writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(&figures)?)?;
    Ok(())
}

/// An agent of the lab, started with the arguments that `migtwin live agent` takes.
fn agent(arguments: &[String]) -> Result<(), Failed> {
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)).ok_or(format!("{name} is missing"))
    };
    let directory = PathBuf::from(value("--directory")?);
    process::claim(&directory)?;
    let options = AgentOptions {
        identity: load_identity(value("--identity")?.as_ref())?,
        directory,
        advertised: None,
        memory: None,
        tracking: None,
        storage: StorageOptions::default(),
        watch: steps::log(),
    };
    let listener = TcpListener::bind(value("--listen")?)?;
    Ok(Agent::start(&listener, options)?.serve(&listener)?)
}

/// The shortest scan of a GiB of which nothing was written.
fn clean_scan() -> Result<Duration, Failed> {
    let guest = Guest::boot(GuestSpec::new("scanned", Bytes::from_gib(1), Workload::Idle))?;
    let mut scans = Scans::begin(Method::Userfault, guest.memory())?;
    let mut best = Duration::MAX;
    for _ in 0..SCANS {
        let began = Instant::now();
        let written = scans.scan(guest.memory())?;
        best = best.min(began.elapsed());
        assert_eq!(written, Bytes::ZERO, "an idle guest writes nothing");
    }
    Ok(best)
}

fn on_link(link: Option<Bandwidth>) -> Result<Vec<Transfer>, Failed> {
    let directory = std::env::temp_dir().join(format!("migtwin-benches-{}", std::process::id()));
    let wiring = Wiring::Namespaces(link);
    let executable = std::env::current_exe()?;
    let (directory_of_lab, shared) = (directory.clone(), vec![]);
    let options =
        LabOptions { directory: directory_of_lab, hosts: 2, wiring, memory: None, shared, executable };
    let lab = lab::up(&options)?;
    let name = link.map_or("unshaped".into(), |link| link.to_string());
    let measured = transfers(&lab, &name);
    lab::down(&directory)?;
    measured
}

fn transfers(lab: &Lab, link: &str) -> Result<Vec<Transfer>, Failed> {
    let ways = [(Encryption::Tls, 1), (Encryption::Tls, 2), (Encryption::None, 1), (Encryption::None, 2)];
    let mut transfers = Vec::new();
    for (encryption, streams) in ways {
        let (mut memory, mut iperf3) = (0.0_f64, 0.0_f64);
        for _ in 0..TURNS {
            memory = memory.max(migrate(lab, encryption, streams)?);
            iperf3 = iperf3.max(iperf(lab, streams)?);
        }
        let (memory_mbit, iperf3_mbit) = (memory / 1e6, iperf3 / 1e6);
        let (link, ratio) = (link.to_string(), memory / iperf3);
        transfers.push(Transfer { link, encryption, streams, memory_mbit, iperf3_mbit, ratio });
    }
    Ok(transfers)
}

/// The rate of the round that sends all memory of an idle guest, in bits per second.
fn migrate(lab: &Lab, encryption: Encryption, streams: u32) -> Result<f64, Failed> {
    let credentials = Credentials::new(&load_identity(&lab.operator)?)?;
    let [source, destination] = [0, 1].map(|host| lab.hosts[host].address.as_str());
    let mut client = Client::connect(source, &credentials)?;
    client.create(GuestSpec::new("moved", Bytes::from_mib(384), Workload::Idle))?;
    let request = MigrateRequest {
        guest: "moved".into(),
        destination: lab.hosts[1].name.clone(),
        address: destination.to_string(),
        policy: Policy::HyperV(HyperV::default()),
        deadline: None,
        sending: Sending { streams, encryption, ..Sending::default() },
        storage: None,
    };
    let mut rate = None;
    client.migrate(request, |record| {
        if let Record::Round(round) = record {
            rate.get_or_insert(round.rate.bits_per_sec() as f64);
        }
    })?;
    Client::connect(destination, &credentials)?.remove("moved")?;
    rate.ok_or_else(|| "the migration had no round".into())
}

/// What iperf3 gets over as many streams, in bits per second.
fn iperf(lab: &Lab, streams: u32) -> Result<f64, Failed> {
    let within = |host: usize| {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", lab.hosts[host].namespace.as_deref().unwrap_or_default(), "iperf3"]);
        command
    };
    let mut server = within(1).args(["-s", "-1"]).stdout(Stdio::null()).spawn()?;
    std::thread::sleep(Duration::from_millis(300));
    let address = lab.hosts[1].address.split(':').next().unwrap_or_default();
    let streams = streams.to_string();
    let output = within(0).args(["-c", address, "-t", "4", "-P", &streams, "-J"]).output()?;
    server.wait()?;
    let said: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    said["end"]["sum_received"]["bits_per_second"]
        .as_f64()
        .ok_or_else(|| format!("iperf3 said {said}").into())
}
