//! `live::probe`: what is measured, by whom it may be, and that a plan with its preset says the same.

#![allow(clippy::unwrap_used)]

mod support;

use live::LiveError;
use live::client::Client;
use live::identity::Authority;
use live::probe::{ProbePlan, ProbeReport, preset, probe};
use live::protocol::probe::{MOST_MEMORY, ProbeRequest};
use live::protocol::{Compression, Encryption, HandOverAt, ReceiveRequest, Request, Sending};
use live::tls::Credentials;
use live::token::Token;
use models::world::{RunOptions, simulate};
use sim_core::{Bytes, Span};
use support::{Bench, Host, busy};

fn plan(to: &Host) -> ProbePlan {
    ProbePlan {
        source: "a".into(),
        destination: to.agent.name().into(),
        address: to.address.clone(),
        streams: vec![1, 2],
        compressions: vec![Compression::None, Compression::Lz4, Compression::Zstd],
        encryption: Encryption::Tls,
        memory: Bytes::from_mib(8),
        compression_ratio: 2.3,
        zero_share: 0.0,
        measure_for: Span::from_millis(200),
    }
}

fn request(to: &Host) -> ProbeRequest {
    ProbeRequest {
        destination: to.agent.name().into(),
        address: to.address.clone(),
        sending: Sending::default(),
        memory: Bytes::from_mib(4),
        compression_ratio: 2.3,
        zero_share: 0.0,
        measure_for: Span::from_millis(100),
    }
}

#[test]
fn every_way_is_measured_and_nothing_is_left_behind() {
    let bench = Bench::new();
    let (a, b) = (bench.host("a"), bench.host("b"));
    let mut told = 0;
    let report = probe(&mut bench.client(&a.address), &plan(&b), |_| told += 1).unwrap();
    assert_eq!((report.ways.len(), told), (6, 6));
    for way in &report.ways {
        let rate = way.memory.bytes_per_sec_f64();
        assert!(rate > 1e6, "{way:?}");
        // A thread cannot take more processor time than it has had; with some leave for clocks.
        let seconds_a_gigabyte = f64::from(way.streams) * 1e9 / rate;
        for cost in [way.source_core_seconds_per_gb, way.destination_core_seconds_per_gb] {
            assert!(cost > 0.0 && cost < seconds_a_gigabyte * 1.1, "{way:?}");
        }
        match way.compression {
            Compression::None => assert!((1.0..1.01).contains(&way.stream_share), "{way:?}"),
            _ => assert!((0.3..0.55).contains(&way.stream_share), "memory of 2.3 to 1: {way:?}"),
        }
    }
    assert!(report.round_trip_s > 0.0 && report.round_trip_s < 1.0, "{report:?}");
    let fastest = report.ways.iter().map(|way| way.memory).max().unwrap();
    let best = report.ways[report.best].memory.bytes_per_sec_f64();
    assert!(best >= fastest.bytes_per_sec_f64() * 0.97);
    for host in [&a, &b] {
        let description = bench.client(&host.address).describe().unwrap();
        assert_eq!((description.used, description.guests.len()), (Bytes::ZERO, 0));
    }
}

#[test]
fn zero_pages_are_named_and_not_sent() {
    let bench = Bench::new();
    let (a, b) = (bench.host("a"), bench.host("b"));
    let half = ProbeRequest { zero_share: 0.5, ..request(&b) };
    let probed = bench.client(&a.address).probe(half).unwrap();
    // Wherever the time was over, and however little went: zeros lie in runs of 64 pages among the others.
    let (half, run) = (probed.memory.as_f64() / 2.0, 64.0 * 4096.0);
    let sent = probed.stream.as_f64();
    assert!(sent >= half - run && sent <= 1.02 * (half + run), "{probed:?}");
}

/// A report as if measured, so that what comes of it does not hang on this machine.
fn measured() -> ProbeReport {
    let way = |streams, compression, mbit, stream_share, source, destination| live::probe::Way {
        streams,
        compression,
        memory: sim_core::Bandwidth::from_mbit(mbit),
        stream_share,
        source_core_seconds_per_gb: source,
        destination_core_seconds_per_gb: destination,
        steal: 0.0,
    };
    ProbeReport {
        schema: 1,
        source: "a".into(),
        destination: "b".into(),
        encryption: Encryption::Tls,
        compression_ratio: 2.3,
        zero_share: 0.0,
        round_trip_s: 0.0002,
        steal: 0.0,
        comparable: true,
        ways: vec![
            way(1, Compression::None, 3_000, 1.001, 1.5, 1.8),
            way(2, Compression::None, 5_000, 1.001, 1.6, 1.9),
            way(1, Compression::Lz4, 2_000, 0.45, 3.5, 2.5),
            way(4, Compression::Lz4, 6_000, 0.45, 4.5, 3.0),
        ],
        best: 0,
    }
}

/// What a plan with the preset of `report` makes of an idle guest, in bytes a second, and of the processor.
fn planned(report: &ProbeReport) -> (f64, [f64; 2]) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("probed.ron"), preset(report, "a test\nof this")).unwrap();
    let scenario = r#"(
        include: ["probed.ron"],
        hosts: [(name: "a", memory: "16 GiB"), (name: "b", memory: "16 GiB")],
        vms: [(name: "vm1", host: "a", memory: "4 GiB")],
        hypervisor: (timing: (prepare: "0 s", prepare_serial: "0 s", pause: "0 s", resume: "0 s", finish: "0 s")),
        plan: [Move(vm: "vm1", to: "b")],
    )"#;
    let file = directory.path().join("plan.ron");
    std::fs::write(&file, scenario).unwrap();
    let scenario = scenarios::load(&file).unwrap();
    let records = simulate(&scenario.runs[0].model, &RunOptions::default()).unwrap();
    let migration = &records.migrations[0];
    let transfer = migration.transfer.as_ref().unwrap();
    let rate = Bytes::from_gib(4).as_f64() / migration.total.as_secs_f64();
    (rate, [transfer.source_core_seconds, transfer.destination_core_seconds])
}

#[test]
fn a_plan_with_the_preset_gets_the_rate_and_the_processor_time_that_were_measured() {
    let mut report = measured();
    for best in 0..report.ways.len() {
        report.best = best;
        let way = report.ways[best];
        let (rate, core_seconds) = planned(&report);
        let measured = way.memory.bytes_per_sec_f64();
        assert!((rate / measured - 1.0).abs() < 0.01, "{rate} planned, {measured} measured: {way:?}");
        let gigabytes = Bytes::from_gib(4).as_f64() / 1e9;
        let costs = [way.source_core_seconds_per_gb, way.destination_core_seconds_per_gb];
        for (planned, measured) in core_seconds.into_iter().zip(costs) {
            let measured = measured * gigabytes;
            assert!((planned / measured - 1.0).abs() < 0.01, "{planned} planned, {measured}: {way:?}");
        }
    }
}

#[test]
fn a_probe_of_agents_makes_a_plan() {
    let bench = Bench::new();
    let (a, b) = (bench.host("a"), bench.host("b"));
    let plan = ProbePlan { streams: vec![1], ..plan(&b) };
    let report = probe(&mut bench.client(&a.address), &plan, |_| ()).unwrap();
    let (rate, _) = planned(&report);
    let measured = report.ways[report.best].memory.bytes_per_sec_f64();
    assert!((rate / measured - 1.0).abs() < 0.02, "{rate} planned, {measured} measured");
}

#[test]
fn who_is_not_known_measures_nothing() {
    let bench = Bench::new();
    let (a, b) = (bench.host("a"), bench.host("b"));
    let stranger = Credentials::new(&Authority::new().unwrap().issue("operator").unwrap()).unwrap();
    assert!(Client::connect(&a.address, &stranger).is_err());
    // Nor does a destination take memory from an agent of another authority.
    let other = Bench::new();
    let c = other.host("c");
    let refused = other.client(&c.address).probe(request(&b));
    assert!(matches!(refused, Err(LiveError::Declined { .. })), "{refused:?}");
    assert_eq!(b.agent.describe().used, Bytes::ZERO);
}

#[test]
fn a_probe_is_bounded_and_goes_beside_nothing_else() {
    let bench = Bench::new();
    let (a, b) = (bench.host("a"), bench.host("b"));
    let reason = |request: ProbeRequest| match bench.client(&a.address).probe(request) {
        Err(LiveError::Declined { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    let too_large = ProbeRequest { memory: MOST_MEMORY + Bytes::from_mib(1), ..request(&b) };
    assert!(reason(too_large).contains("512 MiB"));
    let too_long = ProbeRequest { measure_for: Span::from_secs(31), ..request(&b) };
    assert!(reason(too_long).contains("30 s"));
    let streams = Sending { streams: 17, ..Sending::default() };
    assert!(reason(ProbeRequest { sending: streams, ..request(&b) }).contains("17 streams"));
    let nonsense = ProbeRequest { zero_share: 2.0, ..request(&b) };
    assert!(reason(nonsense).contains("share of zeros"));
    let another = ProbeRequest { destination: "c".into(), ..request(&b) };
    assert!(reason(another).contains("is b, and not c"));
    assert!(
        reason(ProbeRequest { address: a.address.clone(), destination: "a".into(), ..request(&b) })
            .contains("another probe")
    );
    // A guest is on its way to b: a probe beside it says nothing.
    let mut other = live::connection::Connection::control(&b.address, &bench.operator).unwrap();
    let coming = ReceiveRequest {
        token: Token::new().unwrap(),
        spec: busy("web"),
        source: "operator".into(),
        source_address: a.address.clone(),
        streams: 1,
        moved: vec![],
        hand_over: HandOverAt::TheEnd,
    };
    other.order(&Request::Receive(Box::new(coming))).unwrap();
    assert!(reason(request(&b)).contains("a migration goes on here"));
}

#[test]
fn test_memory_is_forgotten_when_its_source_is_gone() {
    let bench = Bench::new();
    let b = bench.host("b");
    let mut source = live::connection::Connection::control(&b.address, &bench.operator).unwrap();
    let test = ReceiveRequest {
        token: Token::new().unwrap(),
        spec: busy("probe"),
        source: "operator".into(),
        source_address: "nowhere".into(),
        streams: 1,
        moved: vec![],
        hand_over: HandOverAt::TheEnd,
    };
    source.order(&Request::ReceiveProbe(Box::new(test.clone()))).unwrap();
    assert_eq!(b.agent.describe().used, busy("probe").memory, "it counts as used");
    drop(source);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while b.agent.describe().used > Bytes::ZERO {
        assert!(std::time::Instant::now() < until, "it is still there");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    // One with disks would leave files behind.
    let mut source = live::connection::Connection::control(&b.address, &bench.operator).unwrap();
    let with_disks = ReceiveRequest { spec: support::with_disks("probe"), moved: vec![0, 1], ..test };
    let refused = source.order(&Request::ReceiveProbe(Box::new(with_disks))).unwrap_err().to_string();
    assert!(refused.contains("a probe brings no disks"), "{refused}");
    // And it never was a guest: nothing is left to recover.
    assert!(bench.client(&b.address).handovers().unwrap().is_empty());
}
