//! `migtwin live migrate`: one guest of a scenario moves between two agents, beside the prediction.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use algorithms::ids::{HostId, VmId};
use algorithms::measured::{Measured, MeasuredValue, Quantity, Subject};
use algorithms::records::{MigrationKind, Outcome, Record, RecordCollector, RunRecords, Whereabouts};
use live::LiveError;
use live::client::{Client, Migrated, actual_run};
use live::disk::DiskSpec;
use live::guest::GuestSpec;
use live::machine::MOST_STEAL;
use live::protocol::{Encryption, MigrateRequest, Sending, StorageRequest};
use models::cluster::{ClusterModel, Guest};
use models::world::{RunOptions, simulate};
use reports::{Comparison, ReportInput, compare, comparison_table, report_json, run_json, write_text};

use super::arguments::{Agents, Migrate, SendingArguments};
use super::{Known, disks, qemu};
use crate::arguments::Format;
use crate::failure::Failure;
use crate::terminal;

/// Between two looks at whether Ctrl-C was pressed.
const LOOK: Duration = Duration::from_millis(50);

/// Runs the command.
pub(super) fn run(arguments: &Migrate) -> Result<(), Failure> {
    let scenario = scenarios::load(&arguments.file)?;
    let known = arguments.agents.known()?;
    let run = match &arguments.alternative {
        Some(wanted) => qemu::alternative(&scenario, wanted)?,
        None => &scenario.runs[0],
    };
    let mut model = run.model.clone();
    let (guest, destination) = (find(&model, arguments)?, host(&model, &arguments.to, arguments)?);
    let (source, held) = place(&known, &model, guest, scenario.seed)?;
    disks::as_found(&mut model, guest, source, &held);
    let (model, storage) = disks::one_move(&model, guest, destination)?;
    let planned = predict(&model, scenario.seed)?;
    let (migrated, actual) = migrate(arguments, &known, &model, guest, storage)?;
    if migrated.outcome != Outcome::Completed {
        let reason = actual.migrations.last().map_or(String::new(), |record| record.reason.clone());
        let host = &model.hosts[source.index()].name;
        let whereabouts = actual.migrations.last().map(|record| record.whereabouts);
        let what = match whereabouts {
            Some(Whereabouts::AtDestination) => {
                format!("{} did not come to {} whole", arguments.vm, arguments.to)
            }
            Some(Whereabouts::Off) => format!("{} runs nowhere", arguments.vm),
            Some(Whereabouts::InDoubt) => format!("it is not known where {} is", arguments.vm),
            Some(Whereabouts::AtSource) | None => format!("{} stays at {host}", arguments.vm),
        };
        return Err(Failure::NotMoved(format!("{what}: {reason}")));
    }
    verify(&known, arguments)?;
    if let Some(directory) = &arguments.out {
        write(directory, "planned.json", &planned)?;
        write(directory, "actual.json", &actual)?;
    }
    show(arguments, &planned, &actual, &migrated)
}

fn find(model: &ClusterModel, arguments: &Migrate) -> Result<VmId, Failure> {
    let found = model.guests.iter().position(|guest| *guest.name == *arguments.vm);
    let known = || model.guests.iter().map(|guest| guest.name.to_string()).collect();
    found
        .map(|index| VmId(index as u32))
        .ok_or_else(|| unknown("virtual machine", &arguments.vm, arguments, known()))
}

fn host(model: &ClusterModel, name: &str, arguments: &Migrate) -> Result<HostId, Failure> {
    let found = model.hosts.iter().position(|host| *host.name == *name);
    let known = || model.hosts.iter().map(|host| host.name.to_string()).collect();
    found.map(|index| HostId(index as u32)).ok_or_else(|| unknown("host", name, arguments, known()))
}

fn unknown(what: &'static str, name: &str, arguments: &Migrate, known: Vec<String>) -> Failure {
    let scenario = arguments.file.display().to_string();
    Failure::Unknown { what, name: name.to_string(), scenario, known: known.join(", ") }
}

impl Known {
    fn client(&self, host: &str) -> Result<Client, LiveError> {
        Client::connect(self.address(host)?, &self.credentials)
    }

    pub(super) fn address(&self, host: &str) -> Result<&str, LiveError> {
        let found = self.agents.iter().find(|(name, _)| name == host);
        let absent = || LiveError::Absent {
            what: format!("host `{host}`"),
            needed: "an agent of that name: `--agent NAME=ADDR`, or a lab with hosts of the scenario's names"
                .into(),
        };
        found.map(|(_, address)| address.as_str()).ok_or_else(absent)
    }
}

/// Starts every guest of a scenario that is at no agent yet.
pub(super) fn create(file: &Path, agents: &Agents) -> Result<(), Failure> {
    let scenario = scenarios::load(file)?;
    let known = agents.known()?;
    let model = &scenario.runs[0].model;
    for vm in (0..model.guests.len() as u32).map(VmId) {
        place(&known, model, vm, scenario.seed)?;
    }
    Ok(())
}

/// The host where the guest is, and its disks as they are there; where it is at none, it is made at the one that
/// the scenario says.
fn place(
    known: &Known,
    model: &ClusterModel,
    vm: VmId,
    seed: u64,
) -> Result<(HostId, Vec<DiskSpec>), Failure> {
    let guest = &model.guests[vm.index()];
    for (host, id) in model.hosts.iter().zip(0..) {
        if !known.agents.iter().any(|(name, _)| *name == *host.name) {
            continue;
        }
        let guests = known.client(&host.name)?.describe()?.guests;
        if let Some(held) = guests.into_iter().find(|held| held.spec.name == *guest.name) {
            return Ok((HostId(id), held.spec.disks));
        }
    }
    let host = &model.hosts[guest.host.index()].name;
    eprintln!("{} is made at {host}: {}", guest.name, guest.memory);
    let spec = spec(model, guest, seed);
    known.client(host)?.create(spec.clone())?;
    Ok((guest.host, spec.disks))
}

fn spec(model: &ClusterModel, guest: &Guest, seed: u64) -> GuestSpec {
    GuestSpec {
        seed,
        disks: disks::specs(model, guest),
        compression_ratio: guest.compressibility.0,
        ..GuestSpec::new(&*guest.name, guest.memory, guest.workload.clone())
    }
}

/// What the simulation says of this one move.
fn predict(model: &ClusterModel, seed: u64) -> Result<RunRecords, Failure> {
    let scenario = model.name.to_string();
    let options = RunOptions { seed, ..RunOptions::default() };
    simulate(model, &options).map_err(|error| Failure::Model { scenario, source: error })
}

fn migrate(
    arguments: &Migrate,
    known: &Known,
    model: &ClusterModel,
    vm: VmId,
    storage: Option<StorageRequest>,
) -> Result<(Migrated, RunRecords), Failure> {
    let source = &model.hosts[model.guests[vm.index()].host.index()].name;
    let request = MigrateRequest {
        guest: model.guests[vm.index()].name.to_string(),
        destination: arguments.to.clone(),
        address: known.address(&arguments.to)?.to_string(),
        policy: model.hypervisor.policy.clone(),
        deadline: model.hypervisor.deadline,
        sending: arguments.sending.sending(),
        storage,
    };
    let over = cancel_on_interrupt(known, source, &request.guest)?;
    let mut records = RecordCollector::default();
    let migrated = known.client(source)?.migrate(request, |record| {
        tell(&record);
        records.keep(record);
    });
    over.store(true, Ordering::Relaxed);
    Ok((migrated?, actual_run(model.name.clone(), records)))
}

impl SendingArguments {
    pub(super) fn sending(&self) -> Sending {
        Sending {
            streams: self.streams,
            compression: self.compression.in_protocol(),
            encryption: if self.plain { Encryption::None } else { Encryption::Tls },
            limit: self.limit,
        }
    }
}

/// Has Ctrl-C give up the migration, until what is returned says that it is over.
fn cancel_on_interrupt(known: &Known, source: &str, guest: &str) -> Result<Arc<AtomicBool>, Failure> {
    let (over, pressed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let flag = Arc::clone(&pressed);
    if let Err(error) = ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed)) {
        eprintln!("warning: Ctrl-C will not cancel the migration: {error}");
    }
    let mut client = known.client(source)?;
    let (ended, guest) = (Arc::clone(&over), guest.to_string());
    std::thread::spawn(move || {
        while !ended.load(Ordering::Relaxed) {
            if pressed.swap(false, Ordering::Relaxed) {
                eprintln!("cancelling; the guest keeps running");
                if let Err(error) = client.cancel(&guest, "cancelled by Ctrl-C") {
                    eprintln!("warning: {error}");
                }
            }
            std::thread::sleep(LOOK);
        }
    });
    Ok(over)
}

/// A line of progress.
fn tell(record: &Record) {
    match record {
        Record::Round(round) => eprintln!(
            "{:8.3} s  round {}: {} sent at {:.1} Mbit/s, {} dirty",
            (round.start + round.duration).as_secs_f64(),
            round.round,
            round.bytes_sent,
            round.rate.bits_per_sec() as f64 / 1e6,
            round.dirty_bytes_left
        ),
        Record::Event(event) => eprintln!("{:8.3} s  {}", event.time.as_secs_f64(), event.message),
        Record::Migration(_) | Record::Resource(_) => {}
    }
}

fn verify(known: &Known, arguments: &Migrate) -> Result<(), Failure> {
    let verified = known.client(&arguments.to)?.verify(&arguments.vm)?;
    if !verified.wrong.is_empty() {
        let wrong = verified.wrong.join("; ");
        return Err(Failure::NotMoved(format!("{} lost writes: {wrong}", arguments.vm)));
    }
    let sectors = verified.disks.sectors;
    let and = if sectors > 0 { format!(" and {sectors} sectors of disks") } else { String::new() };
    eprintln!("all {} pages{and} are as the guest wrote them", verified.pages);
    Ok(())
}

/// Writes the records of a run as `migtwin compare-runs` reads them.
fn write(directory: &Path, name: &str, records: &RunRecords) -> Result<(), Failure> {
    std::fs::create_dir_all(directory).map_err(LiveError::file("make", directory))?;
    let version = env!("CARGO_PKG_VERSION").into();
    let input = ReportInput { version, runs: vec![records.clone()], ..ReportInput::default() };
    let path = write_text(directory.join(name), &report_json(&input)?)?;
    eprintln!("wrote {}", path.display());
    Ok(())
}

/// The actual run, as what the planned one is compared with.
fn measured(actual: &RunRecords) -> Measured {
    let values = actual.migrations.iter().flat_map(|migration| {
        let value = |quantity, value| MeasuredValue {
            subject: Subject::Vm(migration.vm.clone()),
            quantity,
            value,
            calibrated: false,
        };
        let storage = value(Quantity::StorageBytesSent, migration.storage_bytes_sent.as_f64());
        let values = [
            value(Quantity::Total, migration.total.as_secs_f64()),
            value(Quantity::Blackout, migration.blackout.as_secs_f64()),
            value(Quantity::MemoryBytesSent, migration.memory_bytes_sent.as_f64()),
            value(Quantity::Rounds, f64::from(migration.rounds)),
        ];
        let moved = migration.kind != MigrationKind::Live;
        values.into_iter().chain(moved.then_some(storage))
    });
    Measured { source: "this migration".into(), values: values.collect() }
}

fn show(
    arguments: &Migrate,
    planned: &RunRecords,
    actual: &RunRecords,
    migrated: &Migrated,
) -> Result<(), Failure> {
    let comparisons: Vec<Comparison> = compare::compare(planned, &measured(actual));
    let steal = migrated.steal;
    let text = match arguments.output.format {
        Format::Table => comparison_table(&comparisons, terminal::table_options()),
        Format::Json => {
            let value = serde_json::json!({
                "schema": 1,
                "planned": run_json(planned, &comparisons),
                "actual": run_json(actual, &[]),
                "steal": steal,
                "comparable": steal <= MOST_STEAL,
                "journal": migrated.journal,
            });
            value.to_string() + "\n"
        }
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    if steal > MOST_STEAL {
        eprintln!("not comparable: other machines took {:.0} % of this one's processors", steal * 100.0);
    }
    eprintln!("the journal is at {}", migrated.journal);
    Ok(())
}
