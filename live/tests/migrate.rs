//! A guest moves between two agents by real memory, real sockets, and the controller of the simulation.

#![allow(clippy::unwrap_used)]

mod support;

use algorithms::records::{MigrationRecord, Outcome, Record, RoundPhase, RoundRecord};
use live::client::actual_run;
use live::guest::GuestSpec;
use live::protocol::{Compression, Encryption, Sending};
use live::tracking::{Method, best_method};
use models::workload::{Class, Workload};
use sim_core::{Bandwidth, ByteRate, Bytes};
use support::{Bench, busy, holders, migrate, request};

fn split(records: &[Record]) -> (MigrationRecord, Vec<RoundRecord>) {
    let records = actual_run("test".into(), records.iter().cloned().collect());
    (records.migrations[0].clone(), records.rounds)
}

#[test]
fn a_guest_moves_and_no_write_is_lost() {
    let bench = Bench::new();
    let (a, b) = (bench.host("a"), bench.host("b"));
    let mut client = bench.client(&a.address);
    client.create(busy("web")).unwrap();
    let (migrated, records) = migrate(&mut client, request("web", &b, Sending::default())).unwrap();
    assert_eq!(migrated.outcome, Outcome::Completed);
    assert_eq!(holders(&[&a, &b], "web"), ["b"]);
    let mut there = bench.client(&b.address);
    let before = there.verify("web").unwrap();
    assert_eq!((before.wrong.as_slice(), before.pages), (&[][..], 6144));
    assert!(before.writes > 0);
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert!(there.verify("web").unwrap().writes > before.writes, "it goes on writing there");

    let (migration, rounds) = split(&records);
    assert_eq!(rounds[0].bytes_sent, Bytes::from_mib(24), "the first round sends all memory");
    assert_eq!(rounds.last().unwrap().phase, RoundPhase::StopAndCopy);
    assert_eq!(rounds.iter().map(|round| round.bytes_sent).sum::<Bytes>(), migration.memory_bytes_sent);
    assert_eq!(migration.rounds as usize, rounds.len());
    assert!(migration.brownout + migration.blackout <= migration.total);
}

#[test]
fn it_comes_back_and_goes_again() {
    let bench = Bench::new();
    let hosts = [bench.host("a"), bench.host("b")];
    bench.client(&hosts[0].address).create(busy("web")).unwrap();
    for step in 0..4 {
        let (from, to) = (&hosts[step % 2], &hosts[(step + 1) % 2]);
        let mut client = bench.client(&from.address);
        let (migrated, _) = migrate(&mut client, request("web", to, Sending::default())).unwrap();
        assert_eq!(migrated.outcome, Outcome::Completed);
        assert_eq!(bench.client(&to.address).verify("web").unwrap().wrong, [""; 0]);
    }
}

#[test]
fn every_way_of_sending_delivers_every_write() {
    let bench = Bench::new();
    let (a, b) = (bench.host("a"), bench.host("b"));
    let plain = Sending { encryption: Encryption::None, ..Sending::default() };
    let ways = [
        Sending { streams: 4, ..Sending::default() },
        Sending { streams: 2, ..plain },
        Sending { compression: Compression::Lz4, ..Sending::default() },
        Sending { compression: Compression::Zstd, streams: 2, ..plain },
        Sending { limit: Some(Bandwidth::from_gbit(1)), ..Sending::default() },
    ];
    for (number, sending) in ways.into_iter().enumerate() {
        let name = format!("web{number}");
        let mut client = bench.client(&a.address);
        client.create(GuestSpec { zero_share: 0.25, ..busy(&name) }).unwrap();
        let (migrated, _) = migrate(&mut client, request(&name, &b, sending)).unwrap();
        assert_eq!(migrated.outcome, Outcome::Completed, "{sending:?}");
        let verified = bench.client(&b.address).verify(&name).unwrap();
        assert_eq!(verified.wrong, [""; 0], "{sending:?}");
    }
}

#[test]
fn every_workload_that_can_be_run_moves_whole() {
    let bench = Bench::new();
    let (a, b) = (bench.host("a"), bench.host("b"));
    let (rate, working_set) = (ByteRate::from_mb(20), Bytes::from_mib(6));
    let class = |rate, mib| Class { rate: ByteRate::from_mb(rate), size: Bytes::from_mib(mib) };
    let workloads = [
        Workload::Idle,
        Workload::Linear { rate, working_set },
        Workload::Classes(vec![class(15, 2), class(2, 8)]),
    ];
    for (number, workload) in workloads.into_iter().enumerate() {
        let name = format!("db{number}");
        let mut client = bench.client(&a.address);
        client.create(GuestSpec { threads: 2, workload, ..busy(&name) }).unwrap();
        migrate(&mut client, request(&name, &b, Sending::default())).unwrap();
        assert_eq!(bench.client(&b.address).verify(&name).unwrap().wrong, [""; 0]);
    }
}

#[test]
fn both_ways_to_find_dirty_memory_find_all_of_it() {
    if best_method() != Method::Userfault {
        assert!(
            std::env::var_os("CI_REQUIRE_LIVE").is_none(),
            "userfaultfd and PAGEMAP_SCAN are absent: Linux 6.7 and root are needed"
        );
        eprintln!("NOT TESTED: userfaultfd and PAGEMAP_SCAN are absent (Linux 6.7 and root are needed)");
    }
    for method in [best_method(), Method::Hashes] {
        let bench = Bench::new();
        let (a, b) = (bench.tracking_by("a", method), bench.host("b"));
        let mut client = bench.client(&a.address);
        client.create(busy("web")).unwrap();
        let (_, records) = migrate(&mut client, request("web", &b, Sending::default())).unwrap();
        assert_eq!(bench.client(&b.address).verify("web").unwrap().wrong, [""; 0], "{method}");
        let (_, rounds) = split(&records);
        assert!(rounds.len() >= 2, "{method}: it wrote meanwhile");
    }
}
