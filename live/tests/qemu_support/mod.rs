//! What the tests with real QEMU machines have in common.
//!
//! They need qemu-system-x86_64, `as` and `ld`. Where these are missing they say so and pass, unless
//! CI_REQUIRE_LIVE=1 is set: then they fail.

#![allow(dead_code, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use algorithms::controller::{Input, LoopOwner, MigrationOrder};
use algorithms::ids::MigrationId;
use algorithms::journal::Journal;
use algorithms::policy::{Policy, PostCopyStart, Qemu};
use algorithms::records::{EventKind, MigrationRecord, Record, RoundRecord};
use live::LiveError;
use live::clock::WallClock;
use live::journal::{Entry, replay};
use live::qemu::accelerator::{Accelerator, AcceleratorKind, probe};
use live::qemu::driver::{Ended, Migration, To, migrate};
use live::qemu::levers::Levers;
use live::qemu::pair::{Ends, Pair, PairSpec};
use live::qemu::process::QEMU;
use live::qemu::qmp::{Qmp, Side};
use live::qemu::rom::{RomGuest, counters};
use models::workload::Workload;
use sim_core::{Bandwidth, ByteRate, Bytes, SimTime, Span};
use tempfile::TempDir;

/// Whether what the tests need is there. Says loudly what is not.
pub fn is_there() -> bool {
    let missing: Vec<&str> = [(QEMU, "qemu-system-x86"), ("as", "binutils"), ("ld", "binutils")]
        .into_iter()
        .filter(|(program, _)| Command::new(program).arg("--version").output().is_err())
        .map(|(_, package)| package)
        .collect();
    if missing.is_empty() {
        return true;
    }
    let words = format!("NOT TESTED: apt-get install {}", missing.join(" "));
    assert!(std::env::var("CI_REQUIRE_LIVE").as_deref() != Ok("1"), "{words}");
    eprintln!("{words}");
    false
}

/// The translator, which is everywhere; probed once.
pub fn tcg() -> &'static Accelerator {
    static FOUND: OnceLock<Accelerator> = OnceLock::new();
    FOUND.get_or_init(|| {
        let directory = directory();
        probe(QEMU, directory.path(), Some(AcceleratorKind::Tcg)).unwrap()
    })
}

/// A directory of its own, with a short path, as sockets need it.
pub fn directory() -> TempDir {
    tempfile::Builder::new().prefix("mt").tempdir_in("/tmp").unwrap()
}

/// A guest that writes anywhere in a part of its memory.
pub fn guest(memory_mib: u64, rate_mb: u64, working_set_mib: u64) -> RomGuest {
    let working_set = Bytes::from_mib(working_set_mib);
    let workload = Workload::Uniform { rate: ByteRate::from_mb(rate_mb), working_set };
    RomGuest::of(Bytes::from_mib(memory_mib), &workload).unwrap()
}

/// Whether a program is there besides; says so loudly where it is not.
pub fn is_program(program: &str, package: &str) -> bool {
    if Command::new(program).arg("--version").output().is_ok() {
        return true;
    }
    let words = format!("NOT TESTED: apt-get install {package}");
    assert!(std::env::var("CI_REQUIRE_LIVE").as_deref() != Ok("1"), "{words}");
    eprintln!("{words}");
    false
}

/// Two machines, the guest running on the first.
pub fn pair(directory: &Path, guest: &RomGuest) -> Pair {
    pair_with(directory, guest, Ends::default())
}

/// The same, with disks.
pub fn pair_with(directory: &Path, guest: &RomGuest, disks: Ends<Vec<PathBuf>>) -> Pair {
    let spec = PairSpec {
        binary: QEMU,
        directory,
        accelerator: tcg(),
        name: "vm1",
        guest,
        disks,
        namespaces: Ends::default(),
    };
    Pair::start(&spec).unwrap()
}

/// So many Mbit/s at most, and so long a pause.
pub fn limits(mbit: u64, downtime_ms: u64) -> Levers {
    let policy = Qemu {
        downtime_limit: Span::from_millis(downtime_ms),
        max_bandwidth: Some(Bandwidth::from_mbit(mbit)),
        ..Qemu::default()
    };
    Levers::of(policy)
}

/// The order of a migration of `guest`.
pub fn order(guest: &RomGuest, levers: &Levers) -> MigrationOrder {
    MigrationOrder {
        migration: MigrationId(0),
        vm: "vm1".into(),
        source: "a".into(),
        destination: "b".into(),
        transport: "tcp".into(),
        memory: guest.memory,
        policy: Policy::Qemu(levers.policy.clone()),
        deadline: None,
        queued: SimTime::ZERO,
        storage: None,
        page_loop: LoopOwner::Hypervisor,
        why: None,
    }
}

/// What a migration left.
pub struct Left {
    /// How it ended.
    pub ended: Ended,
    /// The journal.
    pub journal: Vec<Entry>,
}

impl Left {
    /// The migration's own record.
    pub fn migration(&self) -> &MigrationRecord {
        let mut found = self.ended.records.iter().filter_map(|record| match record {
            Record::Migration(migration) => Some(migration),
            _ => None,
        });
        found.next().unwrap()
    }

    /// What was said of pauses of others.
    pub fn pauses(&self) -> Vec<&str> {
        let found = self.ended.records.iter().filter_map(|record| match record {
            Record::Event(event) if event.kind == EventKind::PausedByOthers => Some(event.message.as_str()),
            _ => None,
        });
        found.collect()
    }

    /// Inputs that were refused.
    pub fn refused(&self) -> usize {
        self.journal.iter().filter(|entry| matches!(entry, Entry::Refused(_))).count()
    }

    /// Its rounds.
    pub fn rounds(&self) -> Vec<&RoundRecord> {
        let found = self.ended.records.iter().filter_map(|record| match record {
            Record::Round(round) => Some(round),
            _ => None,
        });
        found.collect()
    }
}

/// A journal in memory, and somebody who sees each entry before it takes effect.
pub struct Seen<F> {
    pub entries: Vec<Entry>,
    pub meanwhile: F,
}

impl<F: FnMut(&Entry)> Journal<Entry> for Seen<F> {
    type Error = LiveError;

    fn write(&mut self, entry: &Entry) -> Result<(), LiveError> {
        self.entries.push(entry.clone());
        (self.meanwhile)(entry);
        Ok(())
    }
}

/// Migrates, `meanwhile` seeing the journal grow.
pub fn run(pair: &mut Pair, order: MigrationOrder, levers: &Levers, meanwhile: impl FnMut(&Entry)) -> Left {
    run_until(pair, order, levers, &AtomicBool::new(false), meanwhile)
}

/// The same, given up when `cancel` is set.
pub fn run_until(
    pair: &mut Pair,
    order: MigrationOrder,
    levers: &Levers,
    cancel: &AtomicBool,
    meanwhile: impl FnMut(&Entry),
) -> Left {
    let nbd = order.storage.as_ref().map(|_| live::qemu::disks::NbdAddress::free("127.0.0.1").unwrap());
    let mut journal = Seen { entries: Vec::new(), meanwhile };
    let destination = &mut pair.destination.qmp;
    let migration = Migration {
        order,
        source: &mut pair.source.qmp,
        to: To::Machine { destination, levers, address: "127.0.0.1", nbd },
        notices: &pair.notices,
        clock: WallClock::start(),
        cancel,
        journal: &mut journal,
    };
    let ended = migrate(migration).unwrap();
    let left = Left { ended, journal: journal.entries };
    assert_replays(&left.journal);
    left
}

/// A journal, written down and read again, gives the same commands.
pub fn assert_replays(journal: &[Entry]) {
    let lines: Vec<String> = journal.iter().map(|line| serde_json::to_string(line).unwrap()).collect();
    let lines: Vec<Entry> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, journal);
    let replayed = replay(Path::new("journal"), &lines).unwrap();
    assert!(replayed.commands > 0 && replayed.outcome.is_some());
}

/// Whether the guest of `machine` does some of its work within two seconds.
pub fn works(machine: &mut live::qemu::process::Machine) -> bool {
    let count = |machine: &mut live::qemu::process::Machine| {
        counters(&mut machine.qmp, 1).map(|counters| counters.writes[0])
    };
    let Ok(before) = count(machine) else { return false };
    for _ in 0..40 {
        std::thread::sleep(std::time::Duration::from_millis(50));
        if count(machine).is_ok_and(|now| now > before) {
            return true;
        }
    }
    false
}

/// How many of the two run the guest.
pub fn running(pair: &mut Pair) -> usize {
    usize::from(works(&mut pair.source)) + usize::from(works(&mut pair.destination))
}

/// A loop input that the journal shows.
pub fn is_pass(entry: &Entry, number: usize, seen: &mut usize) -> bool {
    use algorithms::hypervisor_loop::LoopInput;
    if matches!(entry, Entry::Told(_, Input::Loop(LoopInput::Pass { .. }))) {
        *seen += 1;
        return *seen == number;
    }
    false
}

/// Post-copy after so many passes.
pub fn post_copy(levers: Levers, passes: u32) -> Levers {
    with_post_copy(levers, PostCopyStart::AfterPasses(passes))
}

/// Post-copy from then on.
pub fn with_post_copy(levers: Levers, post_copy: PostCopyStart) -> Levers {
    Levers { policy: Qemu { post_copy, ..levers.policy.clone() }, ..levers }
}

/// The second connection to a machine, for somebody who does not drive the migration.
pub fn operator(machine: &live::qemu::process::Machine) -> Qmp {
    let notices = std::sync::mpsc::channel().0;
    Qmp::connect(&machine.operator_socket(), Side::Source, "the operator's", notices).unwrap()
}
