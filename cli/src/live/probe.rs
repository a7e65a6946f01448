//! `migtwin live probe`: what migration between two agents would get, and a preset of it.

use std::io::Write;

use live::client::Client;
use live::machine::MOST_STEAL;
use live::probe::{ProbePlan, ProbeReport, Way, preset, probe};
use live::protocol::{Compression, Encryption};
use reports::{plain_table, write_text};
use sim_core::Bandwidth;

use super::arguments::{Compress, Probe};
use crate::arguments::Format;
use crate::failure::Failure;
use crate::terminal;

/// Runs the command.
pub(super) fn run(arguments: &Probe) -> Result<(), Failure> {
    let known = arguments.agents.known()?;
    let plan = plan(arguments, known.address(&arguments.destination)?.to_string());
    let mut source = Client::connect(known.address(&arguments.source)?, &known.credentials)?;
    let report = probe(&mut source, &plan, |way| eprintln!("{}", said(way)))?;
    if let Some(path) = &arguments.out {
        let command = std::env::args().collect::<Vec<_>>().join(" ");
        let path = write_text(path.clone(), &preset(&report, &command))?;
        eprintln!("wrote {}", path.display());
    }
    let text = match arguments.output.format {
        Format::Json => serde_json::to_string_pretty(&report).map_err(std::io::Error::from)? + "\n",
        Format::Table => table(&report),
    };
    Ok(std::io::stdout().lock().write_all(text.as_bytes())?)
}

fn plan(arguments: &Probe, address: String) -> ProbePlan {
    let mut streams = arguments.streams.clone();
    streams.sort_unstable();
    streams.dedup();
    let wanted = |one: &Compress| arguments.compression.contains(one);
    let plainest_first = [Compress::None, Compress::Lz4, Compress::Zstd];
    ProbePlan {
        source: arguments.source.clone(),
        destination: arguments.destination.clone(),
        address,
        streams,
        compressions: plainest_first.iter().filter(|one| wanted(one)).map(|one| one.in_protocol()).collect(),
        encryption: if arguments.plain { Encryption::None } else { Encryption::Tls },
        memory: arguments.memory,
        compression_ratio: arguments.compressibility,
        zero_share: arguments.zero_share,
        measure_for: arguments.measure_for,
    }
}

/// A line of progress.
fn said(way: &Way) -> String {
    format!("{} streams, {}: {}", way.streams, name(way.compression), rate(way.memory))
}

fn name(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "none",
        Compression::Lz4 => "lz4",
        Compression::Zstd => "zstd",
    }
}

fn rate(rate: Bandwidth) -> String {
    format!("{:.0} MB/s", rate.bytes_per_sec_f64() / 1e6)
}

fn table(report: &ProbeReport) -> String {
    let row = |(index, way): (usize, &Way)| {
        let on_wire = way.memory.bytes_per_sec_f64() * way.stream_share * 8.0 / 1e6;
        vec![
            way.streams.to_string(),
            name(way.compression).to_string(),
            rate(way.memory),
            format!("{on_wire:.0} Mbit/s"),
            format!("{:.3}", way.source_core_seconds_per_gb),
            format!("{:.3}", way.destination_core_seconds_per_gb),
            format!("{:.1} %{}", way.steal * 100.0, if way.is_comparable() { "" } else { " !" }),
            if index == report.best { "best" } else { "" }.to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = report.ways.iter().enumerate().map(row).collect();
    let headings = [
        "streams",
        "compression",
        "memory",
        "on the streams",
        "core-s/GB source",
        "destination",
        "stolen",
        "",
    ];
    let encryption = if report.encryption == Encryption::Tls { "by TLS" } else { "not encrypted" };
    let mut text = format!(
        "{} to {} · {encryption} · round trip {:.3} ms · memory that gets {} times smaller, {:.0} % of it zero\n{}",
        report.source,
        report.destination,
        report.round_trip_s * 1e3,
        report.compression_ratio,
        report.zero_share * 100.0,
        plain_table(&headings, &rows, terminal::table_options()),
    );
    if !report.comparable {
        let most = MOST_STEAL * 100.0;
        text += &format!("! not comparable: above {most} % of stolen processor time a timing says nothing\n");
    }
    text
}

impl Compress {
    /// As agents are told.
    pub(super) fn in_protocol(self) -> Compression {
        match self {
            Compress::None => Compression::None,
            Compress::Lz4 => Compression::Lz4,
            Compress::Zstd => Compression::Zstd,
        }
    }
}
