//! The preset of a probe: a scenario file with a `transport` and a `nic`, for others to include.
//!
//! Of the way that was chosen:
//!
//! | field | is |
//! |---|---|
//! | `per_stream` | its rate on the streams, for each stream: a migration alone gets what was measured |
//! | `wire_overhead` | headers of our frames, TLS records and Ethernet frames |
//! | `…_core_seconds_per_gb` | its processor time; with compression, what it takes beyond sending plain |
//! | `nic.speed` | what the fastest of all ways had on the wire: no number of migrations gets more |
//! | `nic.latency` | a quarter of the round trip: each way crosses two links |

use std::fmt::Write;

use models::transport::TCP_MTU_1500;
use sim_core::{Bandwidth, Span};

use super::{ProbeReport, Way};
use crate::protocol::{Compression, Encryption};

/// A TLS 1.3 record has 22 bytes beside its 16 KiB (RFC 8446, 5.2: header, type, tag).
const TLS_RECORD: f64 = 1.0 + 22.0 / 16_384.0;

/// The preset, as a scenario file. `command` made it.
pub fn preset(report: &ProbeReport, command: &str) -> String {
    let way = &report.ways[report.best];
    let mut text = comment(report, way, command);
    text += "(\n    transport: (\n";
    for (field, value) in transport(report, way) {
        let _ = writeln!(text, "        {field}: {value},");
    }
    let (speed, latency) = (speed(report), Span::from_secs_f64(report.round_trip_s / 4.0));
    let _ = writeln!(text, "    ),\n    nic: (speed: \"{speed}\", latency: \"{latency}\"),\n)");
    text
}

fn comment(report: &ProbeReport, way: &Way, command: &str) -> String {
    let ProbeReport { source, destination, .. } = report;
    let mut text = format!(
        "// What migration from {source} to {destination} gets, measured by\n//   {}\n// Of use in scenarios of \
         these hosts: include: [\"this file\"], with neither a `transport` nor `nic`s of their own,\n// and \
         moves by{}.\n//\n// streams  compression   memory        core-s/GB: source, destination\n",
        command.replace(['\n', '\r'], " "),
        flags(report, way),
    );
    for each in &report.ways {
        let _ = writeln!(
            text,
            "// {:7}  {:11}   {:11}   {:.3}, {:.3}{}",
            each.streams,
            name(each.compression),
            rounded(each.memory),
            each.source_core_seconds_per_gb,
            each.destination_core_seconds_per_gb,
            if each.is_comparable() { "" } else { "   not comparable: too much processor time was stolen" },
        );
    }
    text
}

/// How `migtwin live migrate` and `apply` are told to send so.
fn flags(report: &ProbeReport, way: &Way) -> String {
    let plain = if report.encryption == Encryption::None { " --plain" } else { "" };
    format!(" --streams {} --compression {}{plain}", way.streams, name(way.compression))
}

/// As the command line has it.
pub(super) fn name(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "none",
        Compression::Lz4 => "lz4",
        Compression::Zstd => "zstd",
    }
}

fn transport(report: &ProbeReport, way: &Way) -> Vec<(&'static str, String)> {
    let costs = Costs::of(report, way);
    let number = |value: f64| format!("{value:.4}");
    let base = if way.compression == Compression::None { "tcp" } else { "compression" };
    let mut fields = vec![
        ("preset", format!("\"{base}\"")),
        ("wire_overhead", number(costs.wire_overhead)),
        ("send_core_seconds_per_gb", number(costs.send)),
        ("receive_core_seconds_per_gb", number(costs.receive)),
        ("per_stream", format!("\"{}\"", costs.per_stream)),
        ("streams", way.streams.to_string()),
        ("window", "Unlimited".to_string()),
    ];
    if let Some([compress, decompress]) = costs.compressing {
        fields.push(("compress_core_seconds_per_gb", number(compress)));
        fields.push(("decompress_core_seconds_per_gb", number(decompress)));
    }
    fields
}

/// What a way costs, as [`Transport`](models::transport::Transport) has it: by byte that is sent, which with
/// compression are as many fewer as the guest's memory is said to compress.
struct Costs {
    wire_overhead: f64,
    send: f64,
    receive: f64,
    per_stream: Bandwidth,
    /// To compress and to unpack, by byte of memory.
    compressing: Option<[f64; 2]>,
}

impl Costs {
    fn of(report: &ProbeReport, way: &Way) -> Costs {
        // Pages of zeros are neither sent nor compressed: a plan knows them as such.
        let sent = (1.0 - report.zero_share).max(f64::MIN_POSITIVE);
        let ratio = if way.compression == Compression::None { 1.0 } else { report.compression_ratio };
        let bytes_per_s = way.memory.bytes_per_sec_f64() * sent / ratio;
        let (source, destination) =
            (way.source_core_seconds_per_gb / sent, way.destination_core_seconds_per_gb / sent);
        let (send, receive) = match way.compression {
            Compression::None => (source, destination),
            _ => plain_costs(report, way.streams).map_or((0.0, 0.0), |(send, receive)| {
                ((send / sent).min(source * ratio), (receive / sent).min(destination * ratio))
            }),
        };
        let beyond = |all: f64, plain: f64| (all - plain / ratio).max(0.0);
        let compressing = [beyond(source, send), beyond(destination, receive)];
        Costs {
            wire_overhead: (way.stream_share * ratio / sent).max(1.0) * wire_share(report.encryption),
            send,
            receive,
            per_stream: bits(bytes_per_s / f64::from(way.streams)),
            compressing: (way.compression != Compression::None).then_some(compressing),
        }
    }
}

/// What sending plain costs either side, over as many streams where that was measured.
fn plain_costs(report: &ProbeReport, streams: u32) -> Option<(f64, f64)> {
    let plain = || report.ways.iter().filter(|way| way.compression == Compression::None);
    let alike = plain().find(|way| way.streams == streams).or(plain().next());
    alike.map(|way| (way.source_core_seconds_per_gb, way.destination_core_seconds_per_gb))
}

/// Bytes on the wire for each on a stream: frames of 1500 bytes are assumed.
fn wire_share(encryption: Encryption) -> f64 {
    match encryption {
        Encryption::Tls => TLS_RECORD * TCP_MTU_1500,
        Encryption::None => TCP_MTU_1500,
    }
}

fn speed(report: &ProbeReport) -> Bandwidth {
    let on_wire = |way: &Way| {
        // No less than a plan has there for what it believes of compression.
        let costs = Costs::of(report, way);
        costs.per_stream.bytes_per_sec_f64() * f64::from(way.streams) * costs.wire_overhead
    };
    let fastest = report.ways.iter().map(on_wire).fold(0.0, f64::max);
    // A little above, so that a migration alone is held back by its streams, and not by rounding.
    bits(fastest * 1.001)
}

fn bits(bytes_per_s: f64) -> Bandwidth {
    Bandwidth::from_bits_per_sec(((bytes_per_s * 8.0) as u64).max(1))
}

/// With three digits or so.
fn rounded(rate: Bandwidth) -> String {
    format!("{:.0} Mbit/s", rate.bits_per_sec() as f64 / 1e6)
}
