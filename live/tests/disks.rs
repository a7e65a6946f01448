//! Disks of agents' guests: copied while they are written, alone and with the memory; one copy counts.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use algorithms::records::{MigrationKind, MigrationRecord, Outcome, Record};
use algorithms::storage_mirror::Switch;
use live::AgentOptions;
use live::client::Verified;
use live::connection::SILENCE;
use live::guest::GuestSpec;
use live::protocol::{Compression, Encryption, MigrateRequest, Sending};
use live::steps::Step;
use live::storage::StorageOptions;
use sim_core::{Bandwidth, ByteRate, Bytes};
use support::{Bench, Host, both_disks, disk_files, holders, migrate, request, start, with_disks};

const DISKS: Bytes = Bytes::from_mib(6);

fn record(records: &[Record]) -> MigrationRecord {
    let found = records.iter().find_map(|record| match record {
        Record::Migration(migration) => Some(migration.clone()),
        _ => None,
    });
    found.unwrap()
}

fn verified(bench: &Bench, host: &Host) -> Verified {
    let verified = bench.client(&host.address).verify("db").unwrap();
    assert_eq!(verified.wrong, [""; 0]);
    assert_eq!(verified.disks.sectors, DISKS.get() / 4096);
    verified
}

/// The files of disks below the directory of a host.
fn files(bench: &Bench, host: &str) -> Vec<String> {
    disk_files(&bench.directory.path().join(host))
}

fn shared_nothing(to: &Host, sending: Sending) -> MigrateRequest {
    MigrateRequest { storage: both_disks("fast", Switch::WithMemory), ..request("db", to, sending) }
}

#[test]
fn a_guest_moves_with_its_disks_and_no_write_is_lost() {
    let plain = Sending { encryption: Encryption::None, ..Sending::default() };
    let packed = Sending { compression: Compression::Lz4, streams: 2, ..Sending::default() };
    let slow = Sending { limit: Some(Bandwidth::from_mbit(200)), ..Sending::default() };
    for sending in [slow, plain, packed] {
        let bench = Bench::new();
        let (a, b) = (bench.host("a"), bench.host("b"));
        let mut client = bench.client(&a.address);
        client.create(with_disks("db")).unwrap();
        std::thread::sleep(Duration::from_millis(30));
        let before = verified(&bench, &a);
        assert_eq!((files(&bench, "a").len(), files(&bench, "b").len()), (2, 0));

        let (migrated, records) = migrate(&mut client, shared_nothing(&b, sending)).unwrap();
        assert_eq!(migrated.outcome, Outcome::Completed, "{:?}", record(&records));
        assert_eq!(holders(&[&a, &b], "db"), ["b"]);
        assert_eq!((files(&bench, "a").len(), files(&bench, "b").len()), (0, 2), "one copy is left");
        let after = verified(&bench, &b);
        assert!(after.disks.writes > before.disks.writes, "it wrote while it moved: {after:?} {before:?}");
        std::thread::sleep(Duration::from_millis(30));
        assert!(verified(&bench, &b).disks.writes > after.disks.writes, "it writes on there");

        let migration = record(&records);
        assert_eq!(migration.kind, MigrationKind::SharedNothing);
        let mirrored = migration.storage_bytes_sent.saturating_sub(DISKS);
        assert!(mirrored > Bytes::ZERO, "what was written meanwhile went to both");
        let wrote = Bytes::new((after.disks.writes - before.disks.writes) * 4096);
        assert!(mirrored <= wrote, "{mirrored} of {wrote}");
        assert!(migration.memory_bytes_sent >= Bytes::from_mib(24));
    }
}

#[test]
fn disks_move_on_their_host_while_their_guest_goes_on() {
    let bench = Bench::new();
    let a = bench.host("a");
    let mut client = bench.client(&a.address);
    client.create(with_disks("db")).unwrap();
    let before = verified(&bench, &a);
    let slow = Sending { limit: Some(Bandwidth::from_mbit(200)), ..Sending::default() };
    let order = MigrateRequest { storage: both_disks("slow", Switch::WhenCopied), ..request("db", &a, slow) };
    let (migrated, records) = migrate(&mut client, order).unwrap();
    assert_eq!(migrated.outcome, Outcome::Completed);
    let after = verified(&bench, &a);
    assert!(after.disks.writes > before.disks.writes);
    let migration = record(&records);
    assert_eq!((migration.kind, migration.memory_bytes_sent), (MigrationKind::Storage, Bytes::ZERO));
    assert_eq!((&*migration.source, migration.destination.as_deref()), ("a", Some("a")));
    assert!(migration.storage_bytes_sent > DISKS, "copied and mirrored");
    assert_eq!(migration.reason, "all disks copied and switched over");
    let left = files(&bench, "a");
    assert!(left.len() == 2 && left.iter().all(|file| file.contains("/slow/")), "{left:?}");
    let on: Vec<String> =
        client.describe().unwrap().guests[0].spec.disks.iter().map(|disk| disk.on.clone()).collect();
    assert_eq!(on, ["slow", "slow"]);
    assert_eq!(live::recover::recover(std::slice::from_ref(&a.address), &bench.operator).unwrap(), []);
}

/// A directory that two agents share stands for a volume or a share that both hosts reach.
fn sharing(bench: &Bench, name: &str) -> Host {
    let shared = bench.directory.path().join("shared");
    std::fs::create_dir_all(&shared).unwrap();
    let places = BTreeMap::from([("san".to_string(), shared)]);
    start(AgentOptions { storage: StorageOptions { places, limit: None }, ..bench.options(name) })
}

#[test]
fn a_disk_that_both_hosts_reach_stays_and_one_that_only_one_reaches_keeps_its_guest() {
    let bench = Bench::new();
    let (a, b) = (sharing(&bench, "a"), sharing(&bench, "b"));
    let mut client = bench.client(&a.address);
    client.create(with_disks("db")).unwrap();
    let (migrated, records) = migrate(&mut client, request("db", &b, Sending::default())).unwrap();
    assert_eq!(migrated.outcome, Outcome::Failed, "its disks are on a's own storage");
    let reason = record(&records).reason;
    assert!(reason.contains("disk os on storage fast is not reached from here"), "{reason}");
    assert_eq!(b.agent.describe().guests, [], "{reason}");

    // Its storage alone goes to where the other host reaches it; then it goes without.
    let alone = both_disks("san", Switch::WhenCopied);
    let order = MigrateRequest { storage: alone, ..request("db", &a, Sending::default()) };
    assert_eq!(migrate(&mut client, order).unwrap().0.outcome, Outcome::Completed);
    let before = verified(&bench, &a);
    let (migrated, records) = migrate(&mut client, request("db", &b, Sending::default())).unwrap();
    assert_eq!(migrated.outcome, Outcome::Completed, "{:?}", record(&records));
    assert_eq!(record(&records).storage_bytes_sent, Bytes::ZERO);
    assert_eq!(disk_files(&bench.directory.path().join("shared")).len(), 2);
    assert_eq!((files(&bench, "a").len(), files(&bench, "b").len()), (0, 0));
    assert!(verified(&bench, &b).disks.writes >= before.disks.writes);
}

/// A small file system in memory, where there may be one.
struct Small(PathBuf);

impl Small {
    fn mount(path: &Path, size: &str) -> Option<Small> {
        std::fs::create_dir_all(path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(path)
            .status()
            .is_ok_and(|status| status.success());
        if mounted {
            return Some(Small(path.to_path_buf()));
        }
        let absent = "a small file system is absent: mounting tmpfs needs root";
        assert!(std::env::var_os("CI_REQUIRE_LIVE").is_none(), "{absent}");
        eprintln!("NOT TESTED: {absent}");
        None
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// The disk's lock is held by who sends to a destination that takes nothing in: nobody else may wait for that.
#[test]
fn a_source_says_what_it_holds_while_its_destination_hangs() {
    let bench = Bench::new();
    let (hangs, (release, released)) = (Arc::new(AtomicBool::new(false)), channel::<()>());
    let (seen, released) = (Arc::clone(&hangs), Mutex::new(released));
    let watch = move |step| {
        if step == Step::DisksCame && !seen.swap(true, Ordering::SeqCst) {
            // For the whole of a connection's patience, where nobody releases it.
            let _ = released.lock().unwrap().recv_timeout(SILENCE);
        }
    };
    let (a, b) = (bench.host("a"), bench.watched("b", Arc::new(watch)));
    let mut large = with_disks("db");
    // More than a connection holds on its way.
    (large.disks[0].bytes, large.disks[0].used) = (Bytes::from_mib(32), Bytes::from_mib(32));
    let mut client = bench.client(&a.address);
    client.create(large).unwrap();
    let order = shared_nothing(&b, Sending::default());
    let migrating = std::thread::spawn(move || migrate(&mut client, order).unwrap());
    while !hangs.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(500));
    let asked = Instant::now();
    let guests = bench.client(&a.address).describe().unwrap().guests;
    assert!(asked.elapsed() < SILENCE / 2, "it waited {:?} for the destination", asked.elapsed());
    assert_eq!(guests.iter().map(|guest| guest.spec.disks.len()).sum::<usize>(), 2);
    release.send(()).unwrap();
    let (_, records) = migrating.join().unwrap();
    assert_eq!(record(&records).outcome, Outcome::Completed, "{records:?}");
    assert_eq!(holders(&[&a, &b], "db"), ["b"]);
}

fn stays_whole(bench: &Bench, hosts: [&Host; 2], records: &[Record]) {
    let migration = record(records);
    assert_eq!(migration.outcome, Outcome::Failed, "{migration:?}");
    assert_eq!(holders(&hosts, "db"), ["a"]);
    assert_eq!(files(bench, "a").len(), 2, "the guest's own");
    let writes = verified(bench, hosts[0]).disks.writes;
    std::thread::sleep(Duration::from_millis(30));
    assert!(verified(bench, hosts[0]).disks.writes > writes, "it goes on at the source");
}

#[test]
fn a_destination_whose_disk_fills_up_gives_the_move_up_and_keeps_nothing() {
    let bench = Bench::new();
    let Some(small) = Small::mount(&bench.directory.path().join("b/disks/fast"), "5m") else { return };
    let (a, b) = (bench.host("a"), bench.host("b"));
    let mut client = bench.client(&a.address);
    client.create(with_disks("db")).unwrap();
    let (_, records) = migrate(&mut client, shared_nothing(&b, Sending::default())).unwrap();
    stays_whole(&bench, [&a, &b], &records);
    let migration = record(&records);
    assert_eq!(migration.reason, "`fast` is full, the copy of a disk cannot go on");
    assert!(migration.storage_bytes_sent >= Bytes::from_mib(4), "the first disk was across");
    assert!(migration.failure.unwrap().advice.is_some(), "what would help");
    assert_eq!(disk_files(&small.0), [""; 0], "no stale file is left");
    assert_eq!(b.agent.describe().guests, []);
}

#[test]
fn a_full_disk_of_the_same_host_gives_the_move_up_and_keeps_nothing() {
    let bench = Bench::new();
    let Some(small) = Small::mount(&bench.directory.path().join("a/disks/slow"), "5m") else { return };
    let (a, b) = (bench.host("a"), bench.host("b"));
    let mut client = bench.client(&a.address);
    client.create(with_disks("db")).unwrap();
    let alone = both_disks("slow", Switch::WhenCopied);
    let order = MigrateRequest { storage: alone, ..request("db", &a, Sending::default()) };
    let (_, records) = migrate(&mut client, order).unwrap();
    stays_whole(&bench, [&a, &b], &records);
    assert_eq!(disk_files(&small.0), [""; 0]);
}

#[test]
fn an_agent_has_no_more_room_for_disks_than_it_was_given() {
    let bench = Bench::new();
    let a = bench.host("a");
    let limited = StorageOptions { limit: Some(Bytes::from_mib(7)), ..StorageOptions::default() };
    let b = start(AgentOptions { storage: limited, ..bench.options("b") });
    bench
        .client(&b.address)
        .create(GuestSpec { disks: with_disks("x").disks[1..].to_vec(), ..support::busy("x") })
        .unwrap();
    let mut client = bench.client(&a.address);
    client.create(with_disks("db")).unwrap();
    let (_, records) = migrate(&mut client, shared_nothing(&b, Sending::default())).unwrap();
    stays_whole(&bench, [&a, &b], &records);
    assert_eq!(record(&records).storage_bytes_sent, Bytes::ZERO, "refused before anything was sent");
    let refused = bench.client(&b.address).create(with_disks("db2")).unwrap_err().to_string();
    assert!(refused.contains("6 MiB are needed, and 5 MiB of 7 MiB for disks are left here"), "{refused}");
    assert_eq!(files(&bench, "b").len(), 1);
}

#[test]
fn a_cancelled_move_leaves_the_disks_where_they_were() {
    for (switch, step) in [
        (Switch::WithMemory, Step::Begun),
        (Switch::WithMemory, Step::DiskCopied),
        (Switch::WithMemory, Step::RoundSent),
        (Switch::WithMemory, Step::Ready),
        (Switch::WhenCopied, Step::DiskCopied),
    ] {
        let bench = Bench::new();
        let canceller = bench.canceller();
        let (a, b) = (bench.watched("a", canceller.at(step, "db")), bench.host("b"));
        canceller.of(&a);
        let mut client = bench.client(&a.address);
        client.create(with_disks("db")).unwrap();
        let before = files(&bench, "a");
        let to = if switch == Switch::WithMemory { &b } else { &a };
        let order =
            MigrateRequest { storage: both_disks("slow", switch), ..request("db", to, Sending::default()) };
        let (migrated, _) = migrate(&mut client, order).unwrap();
        assert_eq!(migrated.outcome, Outcome::Cancelled, "{switch:?} {step:?}");
        assert_eq!(holders(&[&a, &b], "db"), ["a"], "{switch:?} {step:?}");
        verified(&bench, &a);
        assert_eq!(files(&bench, "a"), before, "{switch:?} {step:?}");
        assert_eq!(files(&bench, "b"), [""; 0], "{switch:?} {step:?}");
    }
}

/// The proof would show what it is there to show.
#[test]
fn a_sector_that_is_lost_torn_or_out_of_date_is_found() {
    use std::os::unix::fs::FileExt;
    let bench = Bench::new();
    let a = bench.host("a");
    let mut client = bench.client(&a.address);
    let mut guest = with_disks("db");
    for disk in &mut guest.disks {
        (disk.read, disk.write) = (ByteRate::default(), ByteRate::default());
    }
    client.create(guest).unwrap();
    verified(&bench, &a);
    let file = files(&bench, "a").into_iter().find(|file| file.contains(".os.")).unwrap();
    let file = std::fs::File::options().read(true).write(true).open(file).unwrap();
    let mut other = vec![0; 4096];
    file.read_exact_at(&mut other, 7 * 4096).unwrap();
    file.write_all_at(&[0; 4096], 3 * 4096).unwrap();
    file.write_all_at(&[9; 100], 5 * 4096 + 50).unwrap();
    file.write_all_at(&other, 8 * 4096).unwrap();
    let wrong = client.verify("db").unwrap().wrong;
    let says = |what: &str| wrong.iter().any(|each| each == what);
    assert!(says("disk os: sector 3 is empty and was written 1 times"), "{wrong:?}");
    assert!(says("disk os: sector 5 is torn") && says("disk os: sector 8 is torn"), "{wrong:?}");
    assert_eq!(wrong.len(), 3);
}
