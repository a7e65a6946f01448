//! `migtwin live qemu`: a scenario's plan on real QEMU machines, planned beside actual.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use algorithms::ids::MigrationId;
use algorithms::records::{MigrationRecord, Outcome, RunRecords};
use live::journal;
use live::machine::MOST_STEAL;
use live::process;
use live::qemu::QemuError;
use live::qemu::accelerator::{Accelerator, AcceleratorKind, probe};
use live::qemu::attach::Attached;
use live::qemu::recover::Recovered;
use live::qemu::resolution::WhoRuns;
use live::qemu::run::{QemuRun, RunOptions};
use models::cluster::ClusterModel;
use models::forecast::{Evidence, Situation};
use models::world::{self, simulate};
use reports::{ReportInput, RunJson, report_json, run_json, write_text};
use scenarios::{Scenario, ScenarioRun};
use serde::Serialize;
use sim_core::SimTime;

use super::arguments::{AcceleratorChoice, LiveQemu};
use crate::arguments::Format;
use crate::failure::Failure;

/// For how long the guests' writing is measured before the run.
const MEASURE_FOR: Duration = Duration::from_secs(2);

/// What is printed as JSON: the run as every command prints one, and what QEMU's has besides.
#[derive(Serialize)]
struct ActualJson<'a> {
    #[serde(flatten)]
    actual: RunJson<'a>,
    qemu: QemuJson<'a>,
}

#[derive(Serialize)]
struct QemuJson<'a> {
    accelerator: &'a str,
    version: &'a str,
    /// Share of processor time that others took, from 0 to 1.
    steal: f64,
    /// Whether the timing says anything: not where others took too much.
    comparable: bool,
    /// As the scenario says.
    planned: RunJson<'a>,
    /// With the rates at which the guests really wrote before.
    predicted: RunJson<'a>,
    /// Of each migration: who runs the guest, and whether its memory is whole.
    proofs: &'a [Proof],
    /// Of each migration: what its passes tell of the network and of the guest.
    seen: &'a [Seen],
}

/// The three runs, side by side.
struct SideBySide {
    accelerator: String,
    version: String,
    steal: f64,
    planned: RunRecords,
    predicted: RunRecords,
    actual: RunRecords,
    proofs: Vec<Proof>,
    seen: Vec<Seen>,
}

impl SideBySide {
    fn json(&self) -> ActualJson<'_> {
        let qemu = QemuJson {
            accelerator: &self.accelerator,
            version: &self.version,
            steal: self.steal,
            comparable: self.is_comparable(),
            planned: run_json(&self.planned, &[]),
            predicted: run_json(&self.predicted, &[]),
            proofs: &self.proofs,
            seen: &self.seen,
        };
        ActualJson { actual: run_json(&self.actual, &[]), qemu }
    }

    fn is_comparable(&self) -> bool {
        self.steal <= MOST_STEAL
    }
}

#[derive(Serialize)]
struct Seen {
    migration: MigrationId,
    #[serde(flatten)]
    evidence: Evidence,
}

/// What the passes of a migration tell, by its journal; nothing where that is not whole.
fn seen(migration: MigrationId, journal: &Path) -> Option<Seen> {
    let entries = journal::read(journal).ok()?;
    let (order, rest) = algorithms::journal::opened(&entries).ok()?;
    let situation = Situation::of(order.clone(), rest, SimTime::MAX).ok()?;
    let evidence = situation.evidence().clone();
    (evidence.bytes_per_s > 0.0).then_some(Seen { migration, evidence })
}

#[derive(Serialize)]
struct Proof {
    migration: MigrationId,
    standing: String,
    #[serde(skip)]
    runs: WhoRuns,
    /// `None` for a guest that was attached to: nothing is known of what its memory should be.
    pages_verified: Option<u64>,
    damage: Option<String>,
    /// The QMP socket of the machine that has it.
    socket: String,
}

/// Runs the command.
pub fn run(arguments: &LiveQemu) -> Result<(), Failure> {
    let scenario = scenarios::load(&arguments.file)?;
    let run = chosen(&scenario, arguments)?;
    let Some(levers) = &run.qemu else {
        let name = &run.model.hypervisor.name;
        return Err(bad_input(format!(
            "the hypervisor of `{}` is {name}; say hypervisor: \"qemu-7.2\"",
            scenario.name
        )));
    };
    let directory = Directory::make(arguments.directory.as_deref())?;
    let wanted = arguments.accelerator.map(|choice| match choice {
        AcceleratorChoice::Kvm => AcceleratorKind::Kvm,
        AcceleratorChoice::Tcg => AcceleratorKind::Tcg,
    });
    let accelerator = probe(&arguments.qemu, &directory.0, wanted)?;
    say(&format!("QEMU {}, guests run on {}: {}", version(&accelerator), accelerator.kind, accelerator.why));
    let options = RunOptions {
        binary: &arguments.qemu,
        directory: &directory.0,
        accelerator: &accelerator,
        levers,
        attached: &attached(arguments)?,
        measure_for: MEASURE_FOR,
        cancel: &watch_for_interrupts(),
        progress: &say,
    };
    let actual = live::qemu::run::run(&run.model, options)?;
    let planned = planned(&scenario, &run.model)?;
    let predicted = planned_with(&scenario, &run.model, &actual)?;
    if let Some(out) = &arguments.out {
        keep(out, &planned, &predicted, &actual)?;
    }
    let bad = failures(&actual);
    tell(arguments, &accelerator, (planned, predicted, actual))?;
    if bad.is_empty() { Ok(()) } else { Err(Failure::NotMoved(bad.join("; "))) }
}

/// What is asked for cannot be, as it is asked for.
fn bad_input(words: String) -> Failure {
    Failure::Qemu(QemuError::Scenario(words))
}

/// The machines that are named by --attach and --incoming.
fn attached(arguments: &LiveQemu) -> Result<Vec<Attached>, Failure> {
    let socket_of = |vm: &str| arguments.incoming.iter().find(|(name, _)| name == vm);
    for (vm, socket) in &arguments.incoming {
        if !arguments.attach.iter().any(|(name, _)| name == vm) {
            return Err(bad_input(format!(
                "a machine waits for `{vm}` at {socket}, and none is named that runs it: --attach {vm}=SOCKET"
            )));
        }
    }
    let attached = arguments.attach.iter().map(|(vm, socket)| Attached {
        vm: vm.clone(),
        source: socket.into(),
        incoming: socket_of(vm).map(|(_, socket)| socket.into()),
    });
    Ok(attached.collect())
}

fn say(words: &str) {
    eprintln!("{words}");
}

fn version(accelerator: &Accelerator) -> String {
    accelerator.version.map(|part| part.to_string()).join(".")
}

fn chosen<'a>(scenario: &'a Scenario, arguments: &LiveQemu) -> Result<&'a ScenarioRun, Failure> {
    match (&arguments.alternative, &scenario.runs[..]) {
        (None, [only]) => Ok(only),
        (None, several) => {
            let names: Vec<_> = several.iter().filter_map(|run| run.alternative.as_deref()).collect();
            Err(Failure::SeveralAlternatives { scenario: scenario.name.to_string(), known: names.join(", ") })
        }
        (Some(wanted), _) => alternative(scenario, wanted),
    }
}

/// The alternative of this name.
pub(super) fn alternative<'a>(scenario: &'a Scenario, wanted: &str) -> Result<&'a ScenarioRun, Failure> {
    let name_of = |run: &'a ScenarioRun| run.alternative.as_deref();
    let found = scenario.runs.iter().find(|run| name_of(run) == Some(wanted));
    found.ok_or_else(|| Failure::Unknown {
        what: "alternative",
        name: wanted.to_string(),
        scenario: scenario.name.to_string(),
        known: scenario.runs.iter().filter_map(name_of).collect::<Vec<_>>().join(", "),
    })
}

fn planned(scenario: &Scenario, model: &ClusterModel) -> Result<RunRecords, Failure> {
    let options = world::RunOptions { seed: scenario.seed, ..world::RunOptions::default() };
    simulate(model, &options).map_err(|source| Failure::Model { scenario: scenario.name.to_string(), source })
}

/// The plan again, with the rates at which the guests really wrote.
fn planned_with(scenario: &Scenario, model: &ClusterModel, actual: &QemuRun) -> Result<RunRecords, Failure> {
    let mut model = model.clone();
    for measured in &actual.guests {
        let guest = &mut model.guests[measured.vm.index()];
        guest.workload = measured.applied_to(&guest.workload);
    }
    planned(scenario, &model)
}

/// What went wrong, in words.
fn failures(run: &QemuRun) -> Vec<String> {
    let mut failures = Vec::new();
    for record in &run.records.migrations {
        if record.outcome != Outcome::Completed {
            failures.push(format!("{} was not moved: {}", record.vm, record.reason));
        }
        if let Some(Some(Err(error))) = run.moves.get(&record.migration).map(|seen| &seen.pages) {
            failures.push(format!("{}: {error}", record.vm));
        }
    }
    failures
}

fn tell(
    arguments: &LiveQemu,
    accelerator: &Accelerator,
    runs: (RunRecords, RunRecords, QemuRun),
) -> Result<(), Failure> {
    let (planned, predicted, actual) = runs;
    let proofs = actual.moves.iter().map(|(migration, seen)| Proof {
        migration: *migration,
        standing: seen.runs.to_string(),
        runs: seen.runs,
        pages_verified: seen.pages.as_ref().and_then(|pages| Some(pages.as_ref().ok()?.pages)),
        damage: seen.pages.as_ref().and_then(|pages| Some(pages.as_ref().err()?.to_string())),
        socket: seen.socket.display().to_string(),
    });
    let of_passes = actual.moves.iter().filter_map(|(migration, left)| seen(*migration, &left.journal));
    let side_by_side = SideBySide {
        accelerator: accelerator.kind.to_string(),
        version: version(accelerator),
        steal: actual.steal,
        planned,
        predicted,
        proofs: proofs.collect(),
        seen: of_passes.collect(),
        actual: actual.records,
    };
    let text = match arguments.output.format {
        Format::Json => {
            serde_json::to_string_pretty(&side_by_side.json()).map_err(std::io::Error::from)? + "\n"
        }
        Format::Table => table(&side_by_side),
    };
    Ok(std::io::stdout().lock().write_all(text.as_bytes())?)
}

fn table(runs: &SideBySide) -> String {
    let mut text = format!(
        "{:12} {:22} {:>10} {:>10} {:>10} {:>8}\n",
        "vm", "", "planned", "predicted", "actual", "error"
    );
    for actual in &runs.actual.migrations {
        text += &rows(runs, actual);
    }
    for seen in &runs.seen {
        let vm = runs.actual.migrations.iter().find(|record| record.migration == seen.migration);
        let Evidence { dirtied_bytes_per_s, working_set_bytes, bytes_per_s, .. } = seen.evidence;
        text += &format!(
            "{:12} by its passes: {:.1} MB/s written in {:.0} MiB, sent at {:.1} MB/s\n",
            vm.map_or("", |record| &*record.vm),
            dirtied_bytes_per_s / 1e6,
            working_set_bytes / f64::from(1 << 20),
            bytes_per_s / 1e6,
        );
    }
    // Where a guest is that outlives the run, or that does not just run.
    let to_say = |proof: &&Proof| {
        let of_others = proof.pages_verified.is_none() && proof.damage.is_none();
        of_others || !matches!(proof.runs, WhoRuns::Source | WhoRuns::Destination)
    };
    for proof in runs.proofs.iter().filter(to_say) {
        let vm = runs.actual.migrations.iter().find(|record| record.migration == proof.migration);
        text += &format!("{:12} {}: {}\n", vm.map_or("", |record| &*record.vm), proof.standing, proof.socket);
    }
    let proven = runs.proofs.iter().filter(|proof| proof.pages_verified.is_some()).count();
    let pages: u64 = runs.proofs.iter().filter_map(|proof| proof.pages_verified).sum();
    text += &format!(
        "\nQEMU {} on {}; {proven} of {} guests proven whole, {pages} pages; {:.1} % of processor time stolen\n",
        runs.version,
        runs.accelerator,
        runs.proofs.len(),
        runs.steal * 100.0
    );
    if !runs.is_comparable() {
        let most = MOST_STEAL * 100.0;
        text += &format!("not comparable: above {most} % of stolen time a timing says nothing\n");
    }
    text += "predicted: planned with the rates at which the guests wrote before they moved; error: predicted against actual\n";
    text
}

/// Planned, predicted and actual of one migration.
fn rows(runs: &SideBySide, actual: &MigrationRecord) -> String {
    let of = |records: &RunRecords| {
        records.migrations.iter().find(|record| record.migration == actual.migration).cloned()
    };
    let columns = [of(&runs.planned), of(&runs.predicted), Some(actual.clone())];
    let mut text = String::new();
    let mut row = |name: &str, value: &dyn Fn(&MigrationRecord) -> f64, digits: usize| {
        let values = columns.each_ref().map(|record| record.as_ref().map(value));
        let shown = values.map(|value| value.map_or("-".into(), |value| format!("{value:.digits$}")));
        let error = match (values[1], values[2]) {
            (Some(predicted), Some(actual)) if actual > 0.0 => {
                format!("{:+.1} %", (predicted / actual - 1.0) * 100.0)
            }
            _ => String::new(),
        };
        let [planned, predicted, actual_value] = shown;
        text += &format!(
            "{:12} {name:22} {planned:>10} {predicted:>10} {actual_value:>10} {error:>8}\n",
            actual.vm
        );
    };
    row("total, s", &|record| record.total.as_secs_f64(), 3);
    row("blackout, ms", &|record| record.blackout.as_secs_f64() * 1e3, 1);
    row("sent, MB", &|record| record.memory_bytes_sent.as_f64() / 1e6, 1);
    row("rounds", &|record| f64::from(record.rounds), 0);
    if actual.paused_by_others && actual.outcome == Outcome::Completed {
        text += &format!("{:12} arrived paused, as somebody left it: no blackout was measured\n", actual.vm);
    }
    text
}

/// Writes the records of the three runs, and the journals.
fn keep(out: &Path, planned: &RunRecords, predicted: &RunRecords, actual: &QemuRun) -> Result<(), Failure> {
    std::fs::create_dir_all(out)?;
    let runs = [("planned", planned), ("predicted", predicted), ("actual", &actual.records)];
    for (name, records) in runs {
        let input = ReportInput {
            version: env!("CARGO_PKG_VERSION").into(),
            command: Some(std::env::args().collect::<Vec<_>>().join(" ")),
            runs: vec![records.clone()],
            ..ReportInput::default()
        };
        write_text(out.join(format!("{name}.json")), &(report_json(&input)? + "\n"))?;
    }
    for seen in actual.moves.values() {
        let name = seen.journal.file_name().unwrap_or_default();
        write_text(out.join(name), &std::fs::read_to_string(&seen.journal)?)?;
    }
    Ok(())
}

/// A directory of this run, with a path that is short enough for sockets; removed in the end.
struct Directory(PathBuf);

impl Directory {
    fn make(wanted: Option<&Path>) -> Result<Directory, Failure> {
        let usual = || std::env::temp_dir().join(format!("migtwin-qemu-{}", std::process::id()));
        let path = wanted.map_or_else(usual, Path::to_path_buf);
        // Nobody else's files are to be removed with it.
        let failed = |source| Failure::File { path: path.display().to_string(), source };
        std::fs::create_dir(&path).map_err(failed)?;
        let directory = Directory(path.canonicalize().map_err(failed)?);
        process::claim(&directory.0)?;
        say(&format!("if this is killed: migtwin live recover --qemu {}", directory.0.display()));
        Ok(directory)
    }
}

/// `migtwin live recover --qemu`: ends what a run that was killed has left under way.
pub(super) fn recover(directory: &Path) -> Result<(), Failure> {
    let recovered = live::qemu::recover::recover(directory)?;
    let mut out = std::io::stdout().lock();
    if recovered.is_empty() {
        writeln!(out, "no migration had begun; every guest runs where it was started")?;
    }
    for one in &recovered {
        writeln!(out, "{one}")?;
    }
    let nowhere = |one: &&Recovered| one.socket.is_none();
    let unknown = recovered.iter().filter(nowhere).count();
    if unknown > 0 {
        return Err(Failure::NotMoved(format!("{unknown} guests run nowhere: see above")));
    }
    Ok(())
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("warning: {} is left: {error}", self.0.display());
        }
    }
}

/// Set when the user has pressed Ctrl-C; however often, for machines of ours must not be left behind.
fn watch_for_interrupts() -> Arc<AtomicBool> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    let handler = move || {
        if !flag.swap(true, Ordering::Relaxed) {
            eprintln!("giving up what is under way; the guests keep running meanwhile");
        }
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        eprintln!("warning: Ctrl-C will end the program at once: {error}");
    }
    interrupted
}
