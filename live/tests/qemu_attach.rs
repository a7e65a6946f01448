//! Machines that others have started: attached to, migrated, and left to them; or refused, and left alone.

#![allow(clippy::unwrap_used)]

mod qemu_support;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::channel;
use std::time::Duration;

use algorithms::levers::QemuLevers;
use algorithms::records::Outcome;
use live::qemu::QemuError;
use live::qemu::accelerator::wait_until_running;
use live::qemu::attach::Attached;
use live::qemu::pages::verify;
use live::qemu::process::{Machine, MachineSpec, QEMU, Role};
use live::qemu::qmp::{Qmp, Side};
use live::qemu::resolution::WhoRuns;
use live::qemu::rom::{self, RomGuest, counters};
use live::qemu::run::{QemuRun, RunOptions, run};
use qemu_support::*;

/// What a scenario says of the guest of these tests.
fn scenario(memory_mib: u64) -> scenarios::Scenario {
    let text = format!(
        r#"(
        hosts: [(name: "a", memory: "4 GiB"), (name: "b", memory: "4 GiB")],
        vms: [(name: "web", host: "a", memory: "{memory_mib} MiB",
               workload: Uniform(rate: "4 MB/s", working_set: "16 MiB"))],
        hypervisor: (preset: "qemu-7.2", policy: Qemu(max_bandwidth: "400 Mbit/s")),
        plan: [Move(vm: "web", to: "b")],
    )"#
    );
    scenarios::parse(&text, "attach.ron").unwrap()
}

/// A machine as somebody else would have started it.
fn machine(directory: &Path, name: &str, guest: &RomGuest, arguments: &[&str], role: Role) -> Machine {
    let mut all = if role == Role::Boots { guest.loader_arguments(tcg().ticks_per_sec) } else { vec![] };
    all.extend(arguments.iter().map(ToString::to_string));
    let spec = MachineSpec {
        binary: QEMU,
        namespace: None,
        name,
        directory,
        accelerator: tcg().kind,
        memory_mib: guest.memory.get() >> 20,
        rom: &rom::build(directory).unwrap(),
        arguments: &all,
        disks: &[],
        role,
    };
    Machine::start(&spec, channel().0).unwrap()
}

fn running_source(directory: &Path, guest: &RomGuest) -> Machine {
    let mut source = machine(directory, "theirs", guest, &[], Role::Boots);
    wait_until_running(&mut source, guest.sets.len(), Duration::from_secs(120)).unwrap();
    source
}

fn migrate(source: &Machine, incoming: Option<PathBuf>, memory_mib: u64) -> Result<QemuRun, QemuError> {
    migrate_from(source.operator_socket(), incoming, memory_mib)
}

fn migrate_from(source: PathBuf, incoming: Option<PathBuf>, memory_mib: u64) -> Result<QemuRun, QemuError> {
    let scenario = scenario(memory_mib);
    let place = directory();
    let attached = Attached { vm: "web".into(), source, incoming };
    let levers: &QemuLevers = scenario.runs[0].qemu.as_ref().unwrap();
    let options = RunOptions {
        binary: QEMU,
        directory: place.path(),
        accelerator: tcg(),
        levers,
        attached: &[attached],
        measure_for: Duration::from_millis(10),
        cancel: &AtomicBool::new(false),
        progress: &|words| eprintln!("{words}"),
    };
    run(&scenario.runs[0].model, options)
}

/// The guest has moved: it works at the socket that the run names, whole, and nowhere else.
fn check_moved(run: &QemuRun, source: &mut Machine, guest: &RomGuest, directory: &Path) -> Qmp {
    let (record, left) = (&run.records.migrations[0], run.moves.values().next().unwrap());
    assert_eq!((record.outcome, left.runs), (Outcome::Completed, WhoRuns::Destination), "{record:?}");
    assert!(left.pages.is_none(), "nobody knows what its memory should be");
    for _ in 0..200 {
        if source.has_ended() {
            break;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    assert!(source.has_ended(), "the old machine ends");
    let mut there = Qmp::connect(&left.socket, Side::Destination, "web", channel().0).unwrap();
    verify(&mut there, guest, directory).unwrap();
    let before = counters(&mut there, 1).unwrap().writes[0];
    std::thread::sleep(Duration::from_millis(500));
    assert!(counters(&mut there, 1).unwrap().writes[0] > before, "it goes on after the run has ended");
    there
}

#[test]
fn a_machine_of_somebodys_moves_to_one_that_is_started_like_it() {
    if !is_there() {
        return;
    }
    let (directory, guest) = (directory(), guest(48, 4, 16));
    let mut source = running_source(directory.path(), &guest);
    let run = migrate(&source, None, 48).unwrap();
    let mut there = check_moved(&run, &mut source, &guest, directory.path());
    there.execute("quit", serde_json::json!({})).unwrap();
}

#[test]
fn or_to_the_machine_that_waits_for_it() {
    if !is_there() {
        return;
    }
    let (directory, guest) = (directory(), guest(48, 4, 16));
    let mut source = running_source(directory.path(), &guest);
    let mut waiting = machine(directory.path(), "waits", &guest, &[], Role::Receives);
    let run = migrate(&source, Some(waiting.operator_socket()), 48).unwrap();
    check_moved(&run, &mut source, &guest, directory.path());
    assert!(!waiting.has_ended() && works(&mut waiting));
}

#[test]
fn what_cannot_be_is_refused_and_left_running() {
    if !is_there() {
        return;
    }
    let (directory, guest) = (directory(), guest(48, 4, 16));
    let mut source = running_source(directory.path(), &guest);
    let said = |result: Result<QemuRun, QemuError>| match result {
        Err(error) => error.to_string(),
        // What is refused when the move begins is the reason of its record.
        Ok(run) => {
            assert_eq!(run.records.migrations[0].outcome, Outcome::NotStarted, "{:?}", run.records);
            run.records.migrations[0].reason.clone()
        }
    };
    let words = said(migrate(&source, None, 64));
    assert!(words.contains("48 MiB of memory, and the scenario says 64 MiB"), "{words}");
    let mut other = machine(directory.path(), "other", &guest, &[], Role::Boots);
    let words = said(migrate(&source, Some(other.operator_socket()), 48));
    assert!(words.contains("does not wait for a guest"), "{words}");
    other.quit();
    let eager = machine(directory.path(), "eager", &guest, &["-incoming", "defer"], Role::Boots);
    let words = said(migrate(&source, Some(eager.operator_socket()), 48));
    assert!(words.contains("without -S"), "{words}");
    let words = said(migrate(&source, Some(directory.path().join("nothing.qmp")), 48));
    assert!(words.contains("nothing.qmp"), "{words}");
    assert!(works(&mut source), "nothing was touched");
    source.qmp.execute("stop", serde_json::json!({})).unwrap();
    let words = said(migrate(&source, None, 48));
    assert!(words.contains("its guest is paused"), "{words}");
}

/// Attaches to a guest and to the machine that waits for it; somebody else, at another monitor of the guest's, does
/// something as soon as its migration is under way.
fn migrated_with(somebody: impl FnOnce(&mut Qmp) + Send) -> (QemuRun, Machine, Machine) {
    let (directory, guest) = (directory(), guest(48, 4, 16));
    let mut source = running_source(directory.path(), &guest);
    let waiting = machine(directory.path(), "waits", &guest, &[], Role::Receives);
    let (from, to) = (source.operator_socket(), waiting.operator_socket());
    let run = std::thread::scope(|scope| {
        let qmp = &mut source.qmp;
        scope.spawn(move || {
            let under_way = |qmp: &mut Qmp| {
                qmp.execute("query-migrate", serde_json::json!({})).unwrap()["status"] == "active"
            };
            while !under_way(qmp) {
                std::thread::sleep(Duration::from_millis(1));
            }
            somebody(qmp);
        });
        migrate_from(from, Some(to), 48).unwrap()
    });
    (run, source, waiting)
}

#[test]
fn a_guest_that_somebody_pauses_meanwhile_arrives_paused_and_is_said_to_be() {
    if !is_there() {
        return;
    }
    let (run, _, mut waiting) =
        migrated_with(|qmp| drop(qmp.execute("stop", serde_json::json!({})).unwrap()));
    let (record, left) = (&run.records.migrations[0], run.moves.values().next().unwrap());
    assert_eq!((record.outcome, left.runs), (Outcome::Completed, WhoRuns::DestinationPaused), "{record:?}");
    assert!(record.paused_by_others && record.blackout == sim_core::Span::ZERO, "{record:?}");
    assert_eq!(waiting.qmp.run_state().unwrap(), "paused");
    waiting.qmp.execute("cont", serde_json::json!({})).unwrap();
    assert!(works(&mut waiting));
}

#[test]
fn one_that_somebody_pauses_and_lets_go_on_five_times_arrives_running() {
    if !is_there() {
        return;
    }
    let (run, _, mut waiting) = migrated_with(|qmp| {
        for _ in 0..5 {
            for command in ["stop", "cont"] {
                qmp.execute(command, serde_json::json!({})).unwrap();
            }
        }
    });
    let (record, left) = (&run.records.migrations[0], run.moves.values().next().unwrap());
    assert_eq!((record.outcome, left.runs), (Outcome::Completed, WhoRuns::Destination), "{record:?}");
    assert!(!record.paused_by_others && works(&mut waiting));
}
