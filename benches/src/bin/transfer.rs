//! What real agents reach: memory over a link beside iperf3 on the same link, and the time of a scan for
//! dirty pages. Needs root, iproute2 and iperf3.
//!
//! ```text
//! cargo run --release -p benches --bin transfer
//! ```
//!
//! Each figure is the best of several turns, by turns with iperf3's, since what else runs on the machine can
//! only take from them. The agents of the lab are this program again.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use algorithms::policy::{HyperV, Policy};
use algorithms::records::Record;
use benches::agents::{self, Failed, Pair};
use clap::Parser;
use live::guest::{Guest, GuestSpec};
use live::machine::ProcessorTime;
use live::protocol::{Encryption, MigrateRequest, Sending};
use live::tracking::{Method, Scans};
use models::workload::Workload;
use serde::Serialize;
use sim_core::{Bandwidth, Bytes};

/// Measures real agents beside iperf3.
#[derive(Parser)]
struct Arguments {
    /// Turns of each, of which the best counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    turns: u32,
    /// Leaves out the links with a rate.
    #[arg(long)]
    unshaped: bool,
}

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
    if agents::serve_if_started_as_agent()? {
        return Ok(());
    }
    let arguments = Arguments::parse();
    let processors = ProcessorTime::now();
    let clean_scan_of_1_gib_ms = clean_scan()?.as_secs_f64() * 1e3;
    let mut transfers = Vec::new();
    for link in [Some(Bandwidth::from_mbit(400)), None] {
        if link.is_none() || !arguments.unshaped {
            transfers.extend(on_link(link, &arguments)?);
        }
    }
    let steal = processors.steal_since();
    let figures = Figures { schema: SCHEMA, clean_scan_of_1_gib_ms, transfers, steal };
    writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(&figures)?)?;
    Ok(())
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

fn on_link(link: Option<Bandwidth>, arguments: &Arguments) -> Result<Vec<Transfer>, Failed> {
    let pair = Pair::joined_by(link)?;
    let link = link.map_or("unshaped".into(), |link| link.to_string());
    let ways = [(Encryption::Tls, 1), (Encryption::Tls, 2), (Encryption::None, 1), (Encryption::None, 2)];
    let mut transfers = Vec::new();
    for (encryption, streams) in ways {
        let (mut memory, mut iperf3) = (0.0_f64, 0.0_f64);
        for _ in 0..arguments.turns {
            memory = memory.max(migrate(&pair, encryption, streams)?);
            iperf3 = iperf3.max(iperf(&pair, streams)?);
        }
        let (memory_mbit, iperf3_mbit) = (memory / 1e6, iperf3 / 1e6);
        let (link, ratio) = (link.clone(), memory / iperf3);
        transfers.push(Transfer { link, encryption, streams, memory_mbit, iperf3_mbit, ratio });
    }
    Ok(transfers)
}

/// The rate of the round that sends all memory of an idle guest, in bits per second.
fn migrate(pair: &Pair, encryption: Encryption, streams: u32) -> Result<f64, Failed> {
    let mut source = pair.source()?;
    source.create(GuestSpec::new("moved", Bytes::from_mib(384), Workload::Idle))?;
    let request = MigrateRequest {
        guest: "moved".into(),
        destination: pair.destination_name().into(),
        address: pair.destination_address().into(),
        policy: Policy::HyperV(HyperV::default()),
        deadline: None,
        sending: Sending { streams, encryption, ..Sending::default() },
    };
    let mut rate = None;
    source.migrate(request, |record| {
        if let Record::Round(round) = record {
            rate.get_or_insert(round.rate.bits_per_sec() as f64);
        }
    })?;
    pair.destination()?.remove("moved")?;
    rate.ok_or_else(|| "the migration had no round".into())
}

/// What iperf3 gets over as many streams, in bits per second.
fn iperf(pair: &Pair, streams: u32) -> Result<f64, Failed> {
    let within = |host: usize| {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", pair.namespaces()[host], "iperf3"]);
        command
    };
    let mut server = within(1).args(["-s", "-1"]).stdout(Stdio::null()).spawn()?;
    std::thread::sleep(Duration::from_millis(300));
    let address = pair.destination_address().split(':').next().unwrap_or_default();
    let streams = streams.to_string();
    let output = within(0).args(["-c", address, "-t", "4", "-P", &streams, "-J"]).output()?;
    server.wait()?;
    let said: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    said["end"]["sum_received"]["bits_per_second"]
        .as_f64()
        .ok_or_else(|| format!("iperf3 said {said}").into())
}
