//! Post-copy between agents: the guest runs at its destination before its memory, and no page of it is lost.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use algorithms::policy::{Policy, PostCopyStart, Qemu};
use algorithms::records::{MigrationRecord, Outcome, Record, RoundPhase, RoundRecord};
use algorithms::storage_mirror::Switch;
use live::client::actual_run;
use live::guest::GuestSpec;
use live::protocol::{Compression, Encryption, MigrateRequest, Sending};
use models::workload::Workload;
use sim_core::{Bandwidth, ByteRate, Bytes, Span};
use support::{Bench, Host, both_disks, busy, holders, migrate, request, with_disks};

/// QEMU's rules without a limit on the rate, but with post-copy.
fn policy(start: PostCopyStart) -> Policy {
    Policy::Qemu(Qemu {
        downtime_limit: Span::from_millis(1),
        max_bandwidth: None,
        post_copy: start,
        ..Qemu::default()
    })
}

/// A guest of 24 MiB that sweeps 16 of them at a rate that no pre-copy here keeps up with.
fn hot(name: &str) -> GuestSpec {
    let workload = Workload::Sweep { rate: ByteRate::from_mb(60), working_set: Bytes::from_mib(16) };
    GuestSpec { threads: 2, zero_share: 0.1, workload, ..busy(name) }
}

fn order(name: &str, to: &Host, start: PostCopyStart, sending: Sending) -> MigrateRequest {
    MigrateRequest { policy: policy(start), ..request(name, to, sending) }
}

fn split(records: &[Record]) -> (MigrationRecord, Vec<RoundRecord>) {
    let records = actual_run("test".into(), records.iter().cloned().collect());
    (records.migrations[0].clone(), records.rounds)
}

/// Twenty megabytes a second: slow enough for the guest to miss much for a while.
fn slowly() -> Sending {
    Sending { limit: Some(Bandwidth::from_mbit(160)), ..Sending::default() }
}

#[test]
fn a_guest_runs_before_its_memory_and_no_page_is_lost() {
    let plain = Sending { encryption: Encryption::None, streams: 3, ..slowly() };
    let packed = Sending { compression: Compression::Zstd, ..slowly() };
    let starts = [
        (PostCopyStart::After(Span::ZERO), slowly()),
        (PostCopyStart::AfterPasses(1), plain),
        (PostCopyStart::After(Span::from_millis(200)), packed),
    ];
    for (start, sending) in starts {
        let bench = Bench::new();
        let (a, b) = (bench.host("a"), bench.host("b"));
        let mut client = bench.client(&a.address);
        client.create(hot("web")).unwrap();
        let (migrated, records) = migrate(&mut client, order("web", &b, start, sending)).unwrap();
        let (migration, rounds) = split(&records);
        assert_eq!(migrated.outcome, Outcome::Completed, "{start:?}: {migration:?}");
        assert_eq!(migration.reason, "switched to post-copy", "{start:?}");
        assert_eq!(holders(&[&a, &b], "web"), ["b"]);
        assert_eq!(a.agent.describe().guests, [], "the source has let go of its memory");
        let mut there = bench.client(&b.address);
        let before = there.verify("web").unwrap();
        assert_eq!((before.wrong.as_slice(), before.pages), (&[][..], 6144), "{start:?}");
        std::thread::sleep(Duration::from_millis(50));
        assert!(there.verify("web").unwrap().writes > before.writes, "it goes on writing there");

        let last = rounds.last().unwrap();
        assert_eq!(last.phase, RoundPhase::PostCopy, "{rounds:?}");
        let impact = migration.impact.clone().unwrap();
        let post_copy = impact.post_copy.unwrap();
        assert!(post_copy.faults > 0, "it waited for pages");
        assert!(post_copy.waited > Span::ZERO && post_copy.waited <= post_copy.duration, "{post_copy:?}");
        assert!(migration.blackout < post_copy.duration, "{migration:?}");
        // It can be followed, and go on from there.
        let back = order("web", &a, start, Sending::default());
        assert_eq!(migrate(&mut there, back).unwrap().0.outcome, Outcome::Completed, "{start:?}");
        assert_eq!(bench.client(&a.address).verify("web").unwrap().wrong, [""; 0], "{start:?}");
    }
}

#[test]
fn a_guest_that_converges_needs_no_post_copy() {
    let bench = Bench::new();
    let (a, b) = (bench.host("a"), bench.host("b"));
    let mut client = bench.client(&a.address);
    client.create(GuestSpec { workload: Workload::Idle, ..busy("web") }).unwrap();
    let order = order("web", &b, PostCopyStart::AfterPasses(1), Sending::default());
    let (migrated, records) = migrate(&mut client, order).unwrap();
    assert_eq!(migrated.outcome, Outcome::Completed);
    let (migration, rounds) = split(&records);
    assert!(rounds.iter().all(|round| round.phase != RoundPhase::PostCopy), "{rounds:?}");
    assert_eq!(migration.impact, None);
    assert_eq!(bench.client(&b.address).verify("web").unwrap().wrong, [""; 0]);
}

#[test]
fn disks_go_before_and_memory_after_the_guest() {
    let bench = Bench::new();
    let (a, b) = (bench.host("a"), bench.host("b"));
    let mut client = bench.client(&a.address);
    client.create(GuestSpec { disks: with_disks("web").disks, ..hot("web") }).unwrap();
    let order = MigrateRequest {
        storage: both_disks("slow", Switch::WithMemory),
        ..order("web", &b, PostCopyStart::AfterPasses(1), slowly())
    };
    let (migrated, records) = migrate(&mut client, order).unwrap();
    assert_eq!(migrated.outcome, Outcome::Completed);
    assert!(split(&records).0.impact.unwrap().post_copy.is_some());
    assert_eq!(bench.client(&b.address).verify("web").unwrap().wrong, [""; 0]);
    assert_eq!(support::disk_files(bench.directory.path()).len(), 2);
}

/// While memory follows, who looks at the guest is told so, and who would move it on is told to wait.
#[test]
fn a_guest_whose_memory_follows_is_not_moved_on() {
    let bench = Bench::new();
    let (a, b) = (bench.host("a"), bench.host("b"));
    let mut client = bench.client(&a.address);
    client.create(hot("web")).unwrap();
    let slow = Sending { limit: Some(Bandwidth::from_mbit(40)), ..Sending::default() };
    let order = order("web", &b, PostCopyStart::After(Span::ZERO), slow);
    let migrating = std::thread::spawn(move || migrate(&mut client, order).unwrap());
    let began = Instant::now();
    while holders(&[&a, &b], "web") != ["b"] {
        assert!(began.elapsed().as_secs() < 60, "it never ran there");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(b.agent.describe().guests.len(), 1, "it is listed once");
    let mut there = bench.client(&b.address);
    let refused = there.verify("web").unwrap_err().to_string();
    assert!(refused.contains("still on its way here"), "{refused}");
    let on = request("web", &a, Sending::default());
    assert!(there.migrate(on, |_| {}).is_err());
    // Too late to give up: it would be lost.
    bench.client(&a.address).cancel("web", "changed my mind").unwrap();
    let (migrated, _) = migrating.join().unwrap();
    assert_eq!(migrated.outcome, Outcome::Completed);
    assert_eq!(there.verify("web").unwrap().wrong, [""; 0]);
}
