//! Nominal, measured, predicted: real migrations between two agents beside their simulation, as a table for
//! docs/live.md. Needs root and iproute2, and a quiet machine.
//!
//! ```text
//! cargo run --release -p benches --bin accuracy [-- --repetitions 3]
//! ```
//!
//! The prediction knows: the nominal rate of the link, and what Ethernet, TCP, TLS and our frames add; how fast the
//! guest really wrote in the second before; and how long an agent takes for what is not sending, which is
//! learnt from moves of an idle guest over the same link. The runs of the table set none of it.

use std::io::Write;
use std::time::{Duration, Instant};

use algorithms::records::{MigrationRecord, Outcome, Record, RoundRecord};
use benches::accuracy::{Accuracy, Row};
use benches::agents::{self, Failed, Pair};
use clap::Parser;
use live::guest::GuestSpec;
use live::protocol::{MigrateRequest, Sending};
use models::cluster::{ClusterModel, Timing};
use models::workload::Workload;
use models::world::{RunOptions, simulate};
use sim_core::{Bandwidth, ByteRate, Span};

/// What a byte of memory is on the link: our frames (64 pages with their numbers and two heads), TLS
/// records of 16 KiB with 22 bytes each, and 1514 bytes of Ethernet for 1448 of TCP, as a token bucket counts.
const WIRE_OVERHEAD: f64 =
    (1.0 + (64.0 * 4.0 + 12.0) / (64.0 * 4096.0)) * (1.0 + 22.0 / 16_384.0) * 1514.0 / 1448.0;

/// Moves of an idle guest from which the overheads of a link are learnt.
const IDLE_MOVES: u32 = 3;

/// How long is looked how fast a guest writes.
const LOOK: Duration = Duration::from_millis(1500);

/// A guest, a link, and how it is moved.
struct Configuration {
    link_mbit: u64,
    memory_mib: u64,
    set_mib: u64,
    rate_mb: u64,
    streams: u32,
    policy: &'static str,
}

const HYPER_V: &str = r#"HyperV(max_passes: 10, stop_below: "2 MiB")"#;
const QEMU: &str = r#"Qemu(downtime_limit: "300 ms", max_bandwidth: "10 Gbit/s")"#;

const fn row(
    link_mbit: u64,
    (memory_mib, set_mib, rate_mb): (u64, u64, u64),
    streams: u32,
    policy: &'static str,
) -> Configuration {
    Configuration { link_mbit, memory_mib, set_mib, rate_mb, streams, policy }
}

/// By link, so that each is made once. Those that write faster than the link carries do not converge.
const CONFIGURATIONS: [Configuration; 16] = [
    row(100, (64, 10, 2), 1, HYPER_V),
    row(100, (64, 20, 6), 2, HYPER_V),
    row(100, (64, 40, 20), 1, HYPER_V),
    row(100, (64, 30, 5), 1, QEMU),
    row(200, (128, 40, 5), 1, HYPER_V),
    row(200, (128, 60, 15), 4, HYPER_V),
    row(200, (128, 80, 40), 2, HYPER_V),
    row(200, (128, 50, 10), 1, QEMU),
    row(400, (192, 50, 10), 1, HYPER_V),
    row(400, (192, 100, 25), 2, HYPER_V),
    row(400, (256, 150, 80), 1, HYPER_V),
    row(400, (256, 150, 30), 4, QEMU),
    row(800, (256, 30, 20), 1, HYPER_V),
    row(800, (256, 100, 50), 4, HYPER_V),
    row(800, (256, 150, 120), 2, HYPER_V),
    row(800, (256, 120, 60), 1, QEMU),
];

/// Holds the simulation against real agents.
#[derive(Parser)]
struct Arguments {
    /// How many runs of each configuration are to count.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    repetitions: u32,
    /// Prints the rounds of each migration, actual and predicted, to standard error.
    #[arg(long)]
    rounds: bool,
    /// Only the links of this rate, in Mbit/s.
    #[arg(long)]
    link: Option<u64>,
}

/// What a migration left: its record, its rounds, and what was stolen meanwhile.
struct Actual {
    migration: MigrationRecord,
    rounds: Vec<RoundRecord>,
    steal: f64,
}

/// What the simulation says.
struct Predicted {
    migration: MigrationRecord,
    rounds: Vec<RoundRecord>,
}

fn main() -> Result<(), Failed> {
    if agents::serve_if_started_as_agent()? {
        return Ok(());
    }
    let arguments = Arguments::parse();
    writeln!(
        std::io::stdout(),
        "| link, Mbit/s | memory, MiB | set, MiB | asked, MB/s | written, MB/s | streams | policy | total, s | predicted | error | by what was asked | blackout, ms | predicted | error | rounds | predicted | stolen |"
    )?;
    writeln!(std::io::stdout(), "|{}", "---:|".repeat(17))?;
    let mut accuracy = Accuracy::default();
    for of_link in CONFIGURATIONS.chunk_by(|one, next| one.link_mbit == next.link_mbit) {
        if arguments.link.is_some_and(|only| only != of_link[0].link_mbit) {
            continue;
        }
        let pair = Pair::joined_by(Some(Bandwidth::from_mbit(of_link[0].link_mbit)))?;
        let timing = overheads(&pair, &of_link[0])?;
        eprintln!("{} Mbit/s: {timing:?}", of_link[0].link_mbit);
        for configuration in of_link {
            for _ in 0..arguments.repetitions {
                accuracy.of(|| one(&pair, configuration, timing, arguments.rounds))?;
            }
        }
    }
    Ok(writeln!(std::io::stdout(), "\n{accuracy}")?)
}

impl Configuration {
    fn scenario(&self) -> Result<ClusterModel, Failed> {
        let Configuration { link_mbit, memory_mib, set_mib, rate_mb, policy, .. } = self;
        let text = format!(
            r#"(
    name: "accuracy",
    hosts: [(name: "host{{1..2}}", memory: "8 GiB", nic: (speed: "{link_mbit} Mbit/s", latency: "50 us"))],
    vms: [(name: "moved", host: "host1", memory: "{memory_mib} MiB",
           workload: Uniform(rate: "{rate_mb} MB/s", working_set: "{set_mib} MiB"))],
    hypervisor: (policy: {policy}),
    transport: (preset: "tcp", wire_overhead: {WIRE_OVERHEAD}, per_stream: Unlimited),
    plan: [Move(vm: "moved", to: "host2")],
)"#
        );
        let scenario = scenarios::parse(&text, "accuracy.ron")?;
        let run = scenario.runs.into_iter().next().ok_or("the scenario has a run")?;
        Ok(run.model)
    }
}

/// How long agents take for what is not sending, as moves of an idle guest show: the median of each part.
fn overheads(pair: &Pair, configuration: &Configuration) -> Result<Timing, Failed> {
    let mut model = configuration.scenario()?;
    model.guests[0].workload = Workload::Idle;
    let mut parts: [Vec<Span>; 3] = Default::default();
    for _ in 0..IDLE_MOVES {
        let (actual, _) = measure(pair, &model, 1, Duration::ZERO)?;
        let Actual { migration, rounds, .. } = actual;
        let (started, first) = (migration.started.zip(rounds.first())).ok_or("an idle guest moves")?;
        let prepare = first.start - started;
        let sending: Span =
            rounds.iter().map(|round| round.duration).fold(Span::ZERO, |sum, each| sum + each);
        parts[0].push(prepare);
        parts[1].push(migration.blackout);
        parts[2].push(
            migration
                .total
                .saturating_sub(prepare)
                .saturating_sub(sending)
                .saturating_sub(migration.blackout),
        );
    }
    let [prepare, resume, finish] = parts.map(|mut part| {
        part.sort();
        part[part.len() / 2]
    });
    Ok(Timing { prepare, prepare_serial: Span::ZERO, pause: Span::ZERO, resume, finish })
}

/// Moves the model's guest between the agents; and how fast it wrote in `look` before that.
fn measure(
    pair: &Pair,
    model: &ClusterModel,
    streams: u32,
    look: Duration,
) -> Result<(Actual, ByteRate), Failed> {
    let guest = &model.guests[0];
    let mut source = pair.source()?;
    source.create(GuestSpec::new(&*guest.name, guest.memory, guest.workload.clone()))?;
    let written = write_rate(pair, look)?;
    let request = MigrateRequest {
        guest: guest.name.to_string(),
        destination: pair.destination_name().into(),
        address: pair.destination_address().into(),
        policy: model.hypervisor.policy.clone(),
        deadline: None,
        sending: Sending { streams, ..Sending::default() },
    };
    let (mut migration, mut rounds) = (None, Vec::new());
    let migrated = source.migrate(request, |record| match record {
        Record::Round(round) => rounds.push(round),
        Record::Migration(record) => migration = Some(record),
        Record::Event(_) | Record::Resource(_) => {}
    })?;
    let mut destination = pair.destination()?;
    let wrong = destination.verify(&guest.name)?.wrong;
    destination.remove(&guest.name)?;
    if migrated.outcome != Outcome::Completed || !wrong.is_empty() {
        return Err(format!("the guest was not moved well: {:?} {wrong:?}", migrated.outcome).into());
    }
    let migration = migration.ok_or("a migration leaves a record")?;
    Ok((Actual { migration, rounds, steal: migrated.steal }, written))
}

fn write_rate(pair: &Pair, look: Duration) -> Result<ByteRate, Failed> {
    let writes = || -> Result<(u64, Instant), Failed> {
        let guests = pair.source()?.describe()?.guests;
        Ok((guests.first().ok_or("the guest is there")?.writes, Instant::now()))
    };
    let (before, began) = writes()?;
    std::thread::sleep(look);
    let (after, ended) = writes()?;
    let seconds = (ended - began).as_secs_f64();
    Ok(ByteRate::from_bytes_per_sec(((after - before) as f64 * 4096.0 / seconds) as u64))
}

fn one(
    pair: &Pair,
    configuration: &Configuration,
    timing: Timing,
    shows_rounds: bool,
) -> Result<Row, Failed> {
    let mut model = configuration.scenario()?;
    model.hypervisor.timing = timing;
    let (actual, written) = measure(pair, &model, configuration.streams, LOOK)?;
    let as_asked = predict(&model)?.migration;
    if let Workload::Uniform { rate, .. } = &mut model.guests[0].workload {
        *rate = written;
    }
    let planned = predict(&model)?;
    if shows_rounds {
        show_rounds("actual", &actual.rounds);
        show_rounds("predicted", &planned.rounds);
    }
    let (real, planned) = (&actual.migration, planned.migration);
    let total = |record: &MigrationRecord| record.total.as_secs_f64();
    let blackout = |record: &MigrationRecord| record.blackout.as_secs_f64() * 1e3;
    let off = |of: fn(&MigrationRecord) -> f64, planned| (of(planned) / of(real) - 1.0) * 100.0;
    let (total_error, blackout_error) = (off(total, &planned), off(blackout, &planned));
    let Configuration { link_mbit, memory_mib, set_mib, rate_mb, streams, policy } = configuration;
    let cells = format!(
        "| {link_mbit} | {memory_mib} | {set_mib} | {rate_mb} | {:.1} | {streams} | {} | {:.2} | {:.2} | {total_error:+.1} % | {:+.1} % | {:.0} | {:.0} | {blackout_error:+.0} % | {} | {} |",
        written.as_f64() / 1e6,
        policy.split('(').next().unwrap_or_default(),
        total(real),
        total(&planned),
        off(total, &as_asked),
        blackout(real),
        blackout(&planned),
        real.rounds,
        planned.rounds,
    );
    Ok(Row { cells, steal: actual.steal, total_error, blackout_error })
}

fn predict(model: &ClusterModel) -> Result<Predicted, Failed> {
    let records = simulate(model, &RunOptions::default())?;
    let migration = records.migrations.into_iter().next().ok_or("a move leaves a record")?;
    Ok(Predicted { migration, rounds: records.rounds })
}

fn show_rounds(whose: &str, rounds: &[RoundRecord]) {
    for round in rounds {
        let (sent, left) = (round.bytes_sent.as_f64() / 1e6, round.dirty_bytes_left.as_f64() / 1e6);
        let (start, seconds) = (round.start.as_secs_f64(), round.duration.as_secs_f64());
        let rate = round.rate.bits_per_sec() as f64 / 1e6;
        let number = round.round;
        eprintln!(
            "{whose:9} {number:2} at {start:8.4} s: {sent:7.2} MB in {seconds:.4} s, {rate:.1} Mbit/s; {left:.2} MB dirty"
        );
    }
}
