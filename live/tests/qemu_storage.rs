//! Disks of a running guest go to other images, and the guest stays; or stays on its old ones.

#![allow(clippy::unwrap_used)]

mod qemu_support;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use algorithms::controller::{Command, Input, MigrationOrder};
use algorithms::records::{MigrationKind, Outcome, Record};
use algorithms::storage_mirror::{DiskOrder, MirrorCommand, MirrorInput, StorageOrder, Switch};
use live::clock::WallClock;
use live::journal::Entry;
use live::qemu::disks::Images;
use live::qemu::driver::{Ended, Migration, To, migrate};
use live::qemu::pair::{Ends, Pair};
use live::qemu::process::QEMU;
use live::qemu::resolution::{HandOver, Machines, WhoRuns, Wish};
use live::qemu::run::{RunOptions, run};
use qemu_support::*;
use sim_core::Bytes;
use tempfile::TempDir;

const SIZE: usize = 24 << 20;

/// A guest with a disk full of something, and an image for it to go to.
struct Bench {
    directory: TempDir,
    pair: Pair,
    order: MigrationOrder,
    images: Images,
    content: Vec<u8>,
}

impl Bench {
    fn new() -> Bench {
        let (directory, guest, levers) = (directory(), guest(48, 4, 16), limits(800, 300));
        let [from, to, other] = ["from.raw", "to.raw", "other.raw"].map(|name| directory.path().join(name));
        let content: Vec<u8> = (0..SIZE).map(|at: usize| (at / 4096 * 7 + at % 251) as u8).collect();
        std::fs::write(&from, &content).unwrap();
        for empty in [&to, &other] {
            std::fs::write(empty, vec![0; SIZE]).unwrap();
        }
        let disks = Ends { source: vec![from.clone()], destination: vec![other] };
        let pair = pair_with(directory.path(), &guest, disks);
        let bytes = Bytes::new(SIZE as u64);
        let (name, places) = ("os".into(), ("old".into(), "new".into()));
        let disks = vec![DiskOrder { disk: 0, name, bytes, from: places.0, to: places.1 }];
        let storage = Some(StorageOrder { disks, switch: Switch::WhenCopied });
        let order = MigrationOrder { storage, ..order(&guest, &levers) };
        Bench { directory, pair, order, images: Images { from, to }, content }
    }

    /// Moves the disk, `meanwhile` seeing the journal grow.
    fn go(&mut self, cancel: &AtomicBool, meanwhile: impl FnMut(&Entry)) -> Ended {
        let mut journal = Seen { entries: Vec::new(), meanwhile };
        let ended = migrate(Migration {
            order: self.order.clone(),
            source: &mut self.pair.source.qmp,
            to: To::Images(BTreeMap::from([(0, self.images.clone())])),
            notices: &self.pair.notices,
            clock: WallClock::start(),
            cancel,
            journal: &mut journal,
        });
        assert_replays(&journal.entries);
        ended.unwrap()
    }

    /// The files that the guest's disks are on.
    fn files(&mut self) -> Vec<PathBuf> {
        let answer = self.pair.source.qmp.execute("query-block", serde_json::json!({})).unwrap();
        let file = |entry: &serde_json::Value| entry.pointer("/inserted/file")?.as_str().map(PathBuf::from);
        answer.as_array().unwrap().iter().filter_map(file).collect()
    }
}

#[test]
fn a_disk_moves_without_its_guest_and_with_what_is_written_meanwhile() {
    if !is_there() {
        return;
    }
    let mut bench = Bench::new();
    let mut operator = operator(&bench.pair.source);
    let ended = bench.go(&AtomicBool::new(false), |line| {
        // A write of the guest's between the copy and the switch goes to both.
        if matches!(line, Entry::Told(_, Input::Storage(MirrorInput::Copied))) {
            let device = "/machine/peripheral/drive0/virtio-backend";
            let said = operator.monitor(&format!("qemu-io -d {device} \"write -P 170 4k 64k\"")).unwrap();
            assert_eq!(said, "", "the write failed");
        }
    });
    assert_eq!((ended.outcome, ended.runs), (Outcome::Completed, WhoRuns::Source));
    let record = ended.records.iter().find_map(|record| match record {
        Record::Migration(migration) => Some(migration.clone()),
        _ => None,
    });
    let record = record.unwrap();
    assert_eq!((record.kind, record.memory_bytes_sent), (MigrationKind::Storage, Bytes::ZERO));
    assert!(record.storage_bytes_sent >= Bytes::new(SIZE as u64), "{record:?}");
    assert!(works(&mut bench.pair.source), "the guest has not noticed");
    assert_eq!(bench.files(), [bench.images.to.clone()]);
    assert!(!bench.images.from.exists(), "the old one goes when nobody uses it any more");
    // What is still in QEMU's hands is on disk when it has ended.
    bench.pair.source.quit();
    let mut expected = bench.content.clone();
    expected[4096..4096 + 65536].fill(170);
    assert!(std::fs::read(&bench.images.to).unwrap() == expected, "the copy is the disk");
    drop(bench.directory);
}

#[test]
fn a_storage_move_that_is_given_up_leaves_the_guest_on_its_old_disk() {
    if !is_there() {
        return;
    }
    let (mut bench, cancel) = (Bench::new(), AtomicBool::new(false));
    let ended = bench.go(&cancel, |line| {
        let begun = matches!(line, Entry::Wanted(Command::Storage(MirrorCommand::Copy { .. })));
        cancel.fetch_or(begun, Ordering::Relaxed);
    });
    assert_eq!((ended.outcome, ended.runs), (Outcome::Cancelled, WhoRuns::Source));
    assert_eq!(bench.files(), [bench.images.from.clone()]);
    assert!(works(&mut bench.pair.source));
    bench.pair.source.quit();
    assert!(std::fs::read(&bench.images.from).unwrap() == bench.content);
}

#[test]
fn a_storage_move_whose_driver_was_killed_is_given_up_by_recovery() {
    if !is_there() {
        return;
    }
    let mut bench = Bench::new();
    let killed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        bench.go(&AtomicBool::new(false), |line| {
            assert!(!matches!(line, Entry::Told(_, Input::Storage(MirrorInput::Copied))), "killed here");
        })
    }));
    assert!(killed.is_err());
    let mut operator = operator(&bench.pair.source);
    let machines = Machines {
        source: Some(&mut operator),
        destination: None,
        notices: &std::sync::mpsc::channel().1,
        hand_over: HandOver::NotOrdered,
        wish: Wish::Running,
        ran: false,
    };
    assert_eq!(machines.settle(), WhoRuns::Source);
    let jobs = operator.execute("query-block-jobs", serde_json::json!({})).unwrap();
    assert_eq!(jobs, serde_json::json!([]), "nothing is mirrored any more");
    assert_eq!(bench.files(), [bench.images.from.clone()]);
    assert!(works(&mut bench.pair.source));
    // The same move can be made anew.
    while bench.pair.notices.try_recv().is_ok() {}
    assert_eq!(bench.go(&AtomicBool::new(false), |_| ()).outcome, Outcome::Completed);
}

#[test]
fn a_plan_moves_disks_on_a_host_and_then_the_guest_with_them() {
    if !is_there() {
        return;
    }
    let text = r#"(
        hosts: [(name: "a", memory: "4 GiB"), (name: "b", memory: "4 GiB")],
        storage: [(name: "slow", on: "a"), (name: "fast", on: "a"), (name: "there", on: "b")],
        vms: [(name: "web", host: "a", memory: "48 MiB", workload: Uniform(rate: "4 MB/s", working_set: "16 MiB"),
               disks: [(name: "os", on: "slow", size: "8 MiB", used: "8 MiB")])],
        hypervisor: (preset: "qemu-7.2", policy: Qemu(max_bandwidth: "400 Mbit/s")),
        plan: [MoveStorage(vm: "web", to: "fast"), Move(vm: "web", to: "b", storage: "there")],
    )"#;
    let scenario = scenarios::parse(text, "storage.ron").unwrap();
    let place = directory();
    let options = RunOptions {
        binary: QEMU,
        directory: place.path(),
        accelerator: tcg(),
        levers: scenario.runs[0].qemu.as_ref().unwrap(),
        attached: &[],
        measure_for: Duration::from_millis(10),
        cancel: &AtomicBool::new(false),
        progress: &|words| eprintln!("{words}"),
    };
    let left = run(&scenario.runs[0].model, options).unwrap();
    let ends: Vec<_> = left.records.migrations.iter().map(|record| (record.kind, record.outcome)).collect();
    let wanted =
        [MigrationKind::Storage, MigrationKind::SharedNothing].map(|kind| (kind, Outcome::Completed));
    assert_eq!(ends, wanted, "{:?}", left.records.migrations);
    for seen in left.moves.values() {
        assert!(matches!(seen.pages, Some(Ok(_))), "{seen:?}");
    }
    assert!(!place.path().join("web-os-slow.raw").exists(), "it moved away from there");
}
