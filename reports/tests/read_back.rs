//! Records come back from what was written of them: from JSON whole, from Parquet what calibration needs.

#![allow(clippy::unwrap_used, reason = "tests")]

mod fixtures;

use algorithms::failures::catalogue::Evidence;
use algorithms::failures::{FailurePoint, FailureRecord};
use algorithms::ids::{MigrationId, Name};
use algorithms::policy::StopReason;
use algorithms::preflight::Category;
use algorithms::records::*;
use algorithms::storage_mirror::DiskOrder;
use fixtures::{name, small};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use reports::{ReportError, read_parquet, read_runs, run_json, write_frames};
use sim_core::{Bandwidth, Bytes, SimTime, Span};

/// A name with whatever may stand in one.
fn names() -> impl Strategy<Value = Name> {
    "[a-z\"\\\\ é→0-9-]{0,9}".prop_map(|text| name(&text))
}

/// Any time below 97 days.
fn spans() -> impl Strategy<Value = Span> {
    (0..8_388_608_000_000_000u64).prop_map(Span::from_nanos)
}

fn times() -> impl Strategy<Value = SimTime> {
    spans().prop_map(|span| SimTime::ZERO + span)
}

fn bytes() -> impl Strategy<Value = Bytes> {
    any::<u64>().prop_map(Bytes::new)
}

fn shares() -> impl Strategy<Value = f64> {
    0.0..1.0f64
}

fn advice() -> impl Strategy<Value = Advice> {
    (".{0,9}", ".{0,9}").prop_map(|(cause, fix)| Advice { category: Category::Network, cause, fix })
}

fn whereabouts() -> impl Strategy<Value = Whereabouts> {
    use Whereabouts::{AtDestination, AtSource, InDoubt, Off};
    select(vec![AtSource, AtDestination, Off, InDoubt])
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    use Outcome::{Cancelled, Completed, Failed, Lost, NotStarted};
    select(vec![Completed, Cancelled, Failed, Lost, NotStarted])
}

fn kinds() -> impl Strategy<Value = MigrationKind> {
    use MigrationKind::{Live, Quick, SharedNothing, Start, Stop, Storage};
    select(vec![Live, Storage, SharedNothing, Quick, Stop, Start])
}

fn stops() -> impl Strategy<Value = StopReason> {
    use StopReason::{Converged, DisksCopied, Forced, PostCopy, RateLimit, RoundLimit, SentLimit};
    select(vec![Converged, RoundLimit, SentLimit, RateLimit, Forced, PostCopy, DisksCopied])
}

fn disks() -> impl Strategy<Value = Vec<DiskOrder>> {
    let disk = (any::<u32>(), names(), bytes(), names(), names());
    vec(disk.prop_map(|(disk, name, bytes, from, to)| DiskOrder { disk, name, bytes, from, to }), 0..3)
}

fn transfers() -> impl Strategy<Value = TransferRecord> {
    let parts = (of(names()), shares(), shares(), 0.0..1e9f64, bytes(), of(shares()));
    parts.prop_map(
        |(
            bottleneck,
            bottleneck_share,
            source_core_seconds,
            destination_core_seconds,
            wire_bytes,
            compressed_share,
        )| {
            TransferRecord {
                bottleneck,
                bottleneck_share,
                source_core_seconds,
                destination_core_seconds,
                wire_bytes,
                compressed_share,
            }
        },
    )
}

fn impacts() -> impl Strategy<Value = ImpactRecord> {
    let post_copy = (spans(), any::<u64>(), spans());
    let post_copy =
        post_copy.prop_map(|(duration, faults, waited)| PostCopyRecord { duration, faults, waited });
    let parts = (shares(), any::<u32>(), spans(), of(post_copy));
    parts.prop_map(|(slow_down, throttle_max_percent, lost, post_copy)| ImpactRecord {
        slow_down,
        throttle_max_percent,
        lost,
        post_copy,
    })
}

fn failures() -> impl Strategy<Value = FailureRecord> {
    use FailurePoint::{CleanUp, Disks, Pause, Preparation, Round};
    let point = select(vec![Preparation, Disks, Round(7), Pause, CleanUp]);
    let evidence = of(select(vec![Evidence::Documented, Evidence::Unverified]));
    let parts = (point, evidence, of(advice()));
    parts.prop_map(|(point, evidence, advice)| FailureRecord { point, evidence, advice })
}

fn rounds() -> impl Strategy<Value = RoundRecord> {
    use RoundPhase::{PostCopy, PreCopy, StopAndCopy};
    let phase = select(vec![PreCopy, StopAndCopy, PostCopy]);
    let parts = (phase, times(), spans(), bytes(), bytes(), any::<u64>(), any::<u32>());
    parts.prop_map(|(phase, start, duration, bytes_sent, dirty_bytes_left, rate, throttle_percent)| {
        let rate = Bandwidth::from_bits_per_sec(rate);
        let (migration, round) = (MigrationId(0), 1);
        RoundRecord {
            migration,
            round,
            phase,
            start,
            duration,
            bytes_sent,
            dirty_bytes_left,
            rate,
            throttle_percent,
        }
    })
}

/// Every field of a migration's record; its number and its count of rounds are given later.
fn migrations() -> impl Strategy<Value = MigrationRecord> {
    let who = (names(), names(), of(names()), kinds(), of(names()), of(names()));
    let how = (outcomes(), whereabouts(), ".{0,9}", of(stops()), of(any::<u32>()), disks());
    let when = (times(), of(times()), spans(), spans(), spans(), bytes(), bytes());
    let what = (of(transfers()), of(impacts()), of(failures()), any::<bool>());
    (who, how, when, what).prop_map(|(who, how, when, what)| {
        let (vm, source, destination, kind, transport, why) = who;
        let (outcome, whereabouts, reason, stop, event_id, disks) = how;
        let (queued, started, total, brownout, blackout, memory_bytes_sent, storage_bytes_sent) = when;
        let (transfer, impact, failure, paused_by_others) = what;
        MigrationRecord {
            migration: MigrationId(0),
            vm,
            source,
            destination,
            kind,
            transport,
            outcome,
            whereabouts,
            reason,
            stop,
            event_id,
            queued,
            started,
            total,
            brownout,
            blackout,
            paused_by_others,
            memory_bytes_sent,
            storage_bytes_sent,
            disks,
            rounds: 0,
            transfer: transfer.map(Box::new),
            impact: impact.map(Box::new),
            failure: failure.map(Box::new),
            why,
        }
    })
}

fn events() -> impl Strategy<Value = EventRecord> {
    use EventKind::{DiskProgress, Ended, InputRefused, NotMoved, Note, PausedByOthers, Started, Throttled};
    let kinds = vec![Note, Started, Ended, NotMoved, DiskProgress, Throttled, PausedByOthers, InputRefused];
    let level = select(vec![Level::Information, Level::Warning, Level::Error]);
    let what = (level, select(kinds), ".{0,9}", of(any::<u32>()));
    let whom = (of(any::<u32>()), of(names()), of(names()), of(advice()));
    (times(), what, whom).prop_map(
        |(time, (level, kind, message, event_id), (migration, vm, host, advice))| {
            let event =
                EventRecord::new(time, level, message).of_kind(kind).with_id(event_id).with_advice(advice);
            EventRecord { migration: migration.map(MigrationId), vm, host, ..event }
        },
    )
}

fn runs() -> impl Strategy<Value = RunRecords> {
    let origin = select(vec![Origin::Planned, Origin::Actual]);
    let run = (names(), of(names()), any::<u64>(), any::<u32>(), origin, spans());
    let power = select(vec![Power::Running, Power::Off]);
    let guest = (names(), names(), power).prop_map(|(vm, host, power)| GuestRecord { vm, host, power });
    let migrations = vec((1..3u32, migrations(), vec(rounds(), 0..4)), 0..4);
    (run, migrations, vec(events(), 0..4), vec(guest, 0..2)).prop_map(|(run, all, events, guests)| {
        let (scenario, alternative, seed, replication, origin, makespan) = run;
        let run = RunRecord { scenario, alternative, seed, replication, origin, makespan };
        let (mut migrations, mut rounds, mut number) = (Vec::new(), Vec::new(), 0);
        for (step, mut migration, mut of_this) in all {
            number += step;
            migration.migration = MigrationId(number);
            // A large run may be recorded without its rounds; the count is kept all the same.
            migration.rounds = of_this.len() as u32 + step - 1;
            of_this.iter_mut().for_each(|round| round.migration = migration.migration);
            migrations.push(migration);
            rounds.append(&mut of_this);
        }
        rounds.sort_by_key(|round: &RoundRecord| round.start + round.duration);
        RunRecords { run, migrations, rounds, resources: vec![], events, guests }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn every_field_of_every_record_comes_back_from_the_json(run in runs()) {
        let text = serde_json::to_string(&run_json(&run, &[])).unwrap();
        prop_assert_eq!(read_runs(&text).unwrap(), vec![run]);
    }

    #[test]
    fn agents_read_what_agents_write(run in runs()) {
        let text = serde_json::to_string(&run).unwrap();
        prop_assert_eq!(serde_json::from_str::<RunRecords>(&text).unwrap(), run);
    }
}

#[test]
fn a_run_comes_back_but_for_the_use_of_resources() {
    let run = small();
    let read = read_runs(&serde_json::to_string(&run_json(&run, &[])).unwrap()).unwrap();
    let mut rounds = run.rounds.clone();
    rounds.sort_by_key(|round| round.start + round.duration);
    assert_eq!(read, [RunRecords { rounds, resources: vec![], ..run }]);
}

#[test]
fn what_is_no_json_of_ours_is_an_error_with_its_place() {
    for (text, expected) in [
        ("", "line 1"),
        ("{\"schema\":2}", "missing field"),
        ("{\"schema\":2,\"runs\":[{\"scenario\":5}]}", "line 1 column"),
        ("[2,2]", "line 1"),
    ] {
        let error = read_runs(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    assert_eq!(read_runs("{\"schema\":2,\"runs\":[]}").unwrap(), vec![]);
}

#[test]
fn other_versions_are_refused_by_name_with_what_to_do() {
    let older = read_runs("{\"schema\":1,\"runs\":[]}").unwrap_err();
    assert!(matches!(older, ReportError::OlderRecords { found: 1 }));
    let text = older.to_string();
    assert!(
        text.contains("version 1, made by an older migtwin") && text.contains("run the command"),
        "{text}"
    );
    let newer = read_runs("{\"schema\":7,\"scenario\":\"x\"}").unwrap_err().to_string();
    assert!(newer.contains("version 7, made by a newer migtwin"), "{newer}");
}

#[test]
fn numbers_that_would_mix_up_migrations_are_refused() {
    let run = small();
    let mut twice = run.clone();
    twice.migrations[1].migration = MigrationId(0);
    twice.rounds.clear();
    let error = read_runs(&serde_json::to_string(&run_json(&twice, &[])).unwrap()).unwrap_err().to_string();
    assert!(error.contains("migration 0 comes after migration 0"), "{error}");
    let mut json = serde_json::to_value(run_json(&run, &[])).unwrap();
    json["migrations"][0]["rounds"][1]["migration"] = 1.into();
    let error = read_runs(&json.to_string()).unwrap_err().to_string();
    assert!(error.contains("round 2 below migration 0 says that it is of migration 1"), "{error}");
}

#[test]
fn parquet_gives_back_migrations_and_rounds_for_calibration() {
    let directory = tempfile::tempdir().unwrap();
    let (run, mut other) = (small(), small());
    other.run.alternative = Some(name("rdma"));
    write_frames(directory.path(), &[run.clone(), other]).unwrap();
    let read = read_parquet(&directory.path().join("migrations.parquet")).unwrap();
    assert_eq!(read.len(), 2);
    assert_eq!((&read[0].migrations, &read[0].rounds), (&run.migrations, &run.rounds));
    assert_eq!((&read[0].run, read[1].run.alternative.as_deref()), (&run.run, Some("rdma")));
    assert_eq!(read_parquet(&directory.path().join("events.parquet")).unwrap(), vec![], "no migrations");
}
