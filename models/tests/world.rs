//! What a run does, case by case: sharing, bottlenecks, costs of steps, deadlines, the horizon.

#![allow(clippy::unwrap_used)]

mod support;

use algorithms::controller::{Deadline, DeadlineAction};
use algorithms::ids::HostId;
use algorithms::plan::Phase;
use algorithms::policy::{HyperV, Policy, Qemu};
use algorithms::records::{MigrationRecord, Outcome, ResourceKind, RunRecords};
use models::cluster::{BackgroundTraffic, ClusterModel, Timing, TrafficPattern};
use models::transport::Transport;
use models::world::{ModelError, RunOptions, simulate};
use sim_core::{Bandwidth, Bytes, SimTime, Span};

fn run(model: &ClusterModel) -> RunRecords {
    simulate(model, &RunOptions::default()).unwrap()
}

/// One idle guest of `gib` from host 0 to host 1.
fn one_guest(gib: u64) -> ClusterModel {
    let mut model = support::star(2);
    let vm = support::guest(&mut model, 0, gib, 0);
    support::move_to(&mut model, vm, 1);
    model
}

fn only(records: &RunRecords) -> &MigrationRecord {
    assert_eq!(records.migrations.len(), 1);
    &records.migrations[0]
}

fn seconds(span: Span) -> f64 {
    span.as_secs_f64()
}

#[test]
fn an_idle_guest_takes_its_memory_over_the_links_speed() {
    let records = run(&one_guest(10));
    let expected = 10.0 * 1_073_741_824.0 / 1.25e9 + 2.0 * 100e-6;
    let total = seconds(only(&records).total);
    assert!((total - expected).abs() < 1e-8, "{total}, expected {expected}");
    assert_eq!(only(&records).rounds, 2);
    assert_eq!(records.run.makespan, only(&records).total);
}

#[test]
fn migrations_share_a_link_and_finish_together() {
    let mut model = support::star(3);
    for destination in [1, 2] {
        let vm = support::guest(&mut model, 0, 4, 0);
        support::move_to(&mut model, vm, destination);
    }
    let records = run(&model);
    let both = 8.0 * 1_073_741_824.0 / 1.25e9;
    for migration in &records.migrations {
        assert!((seconds(migration.total) - both).abs() < 1e-3, "{}", migration.total);
    }
}

#[test]
fn steps_cost_what_the_timing_says_and_the_pause_is_the_blackout() {
    let mut model = one_guest(1);
    let ms = Span::from_millis;
    model.hypervisor.timing =
        Timing { prepare: ms(1000), prepare_serial: ms(0), pause: ms(20), resume: ms(300), finish: ms(500) };
    let records = run(&model);
    let migration = only(&records);
    let empty_round = Span::from_micros(100);
    assert_eq!(migration.blackout, ms(320) + empty_round);
    assert_eq!(migration.total, migration.brownout + migration.blackout + ms(500));
    assert!(migration.brownout > ms(1000));
}

#[test]
fn preparations_at_a_host_go_one_at_a_time() {
    let mut model = support::star(4);
    for destination in 1..4 {
        let vm = support::guest(&mut model, 0, 1, 0);
        support::move_to(&mut model, vm, destination);
    }
    model.hypervisor.timing.prepare_serial = Span::from_secs(2);
    let records = run(&model);
    let first_rounds: Vec<SimTime> =
        records.rounds.iter().filter(|round| round.round == 1).map(|round| round.start).collect();
    let at = |secs| SimTime::ZERO + Span::from_secs(secs);
    assert_eq!(first_rounds, [at(2), at(4), at(6)]);
}

#[test]
fn a_slow_processor_is_the_bottleneck_of_a_costly_transport() {
    let mut model = one_guest(10);
    model.transport = Transport { send_core_seconds_per_gb: 8.0, streams: 4, ..Transport::tcp() };
    model.hosts[0].cores = 2;
    let records = run(&model);
    let expected = 10.0 * 1.073_741_824 * 8.0 / 2.0;
    assert!((seconds(only(&records).total) - expected).abs() < 1e-2, "{}", only(&records).total);
    let cpu = records
        .resources
        .iter()
        .find(|resource| resource.kind == ResourceKind::Cpu && &*resource.resource == "host0 cpu");
    let used = &cpu.expect("processors are metered").used;
    // The first interval and the last are only begun, and ended, in the middle.
    assert!(used[1..used.len() - 1].iter().all(|used| (used - 2.0).abs() < 1e-6), "{used:?}");
}

#[test]
fn one_stream_goes_no_faster_than_its_cap_and_several_do() {
    let total = |streams| {
        let mut model = one_guest(10);
        model.transport =
            Transport { per_stream: Some(Bandwidth::from_gbit(2)), streams, ..Transport::ideal() };
        seconds(only(&run(&model)).total)
    };
    assert!((total(1) / total(4) - 4.0).abs() < 1e-3);
    assert!((total(5) - total(8)).abs() < 1e-9, "five streams fill the link");
}

#[test]
fn background_traffic_takes_its_share_by_weight() {
    let total = |weight| {
        let mut model = one_guest(10);
        model.background.push(BackgroundTraffic {
            name: "backup".into(),
            source: HostId(0),
            destination: HostId(1),
            rate: Bandwidth::from_gbit(10),
            weight,
            pattern: TrafficPattern::Constant,
        });
        seconds(only(&run(&model)).total)
    };
    let alone = seconds(only(&run(&one_guest(10))).total);
    assert!((total(1.0) / alone - 2.0).abs() < 1e-3);
    assert!((total(3.0) / alone - 4.0).abs() < 1e-3);
}

/// A guest that dirties 2 GB/s over a link of 1.25 GB/s.
fn diverging() -> ClusterModel {
    let mut model = support::star(2);
    let vm = support::guest(&mut model, 0, 8, 2000);
    support::move_to(&mut model, vm, 1);
    model
}

#[test]
fn hyper_v_takes_the_diverging_guest_with_a_long_blackout() {
    let mut model = diverging();
    model.hypervisor.policy = Policy::HyperV(HyperV::default());
    let records = run(&model);
    assert_eq!((only(&records).outcome, only(&records).rounds), (Outcome::Completed, 11));
    assert_eq!(only(&records).reason, "round limit reached");
    assert!(only(&records).blackout > Span::from_secs(3));
}

#[test]
fn qemu_never_finishes_the_diverging_guest_and_is_given_up_at_the_horizon() {
    let mut model = diverging();
    model.hypervisor.policy = Policy::Qemu(Qemu::default());
    // One more waits for a slot and never begins.
    model.hosts[0].migration_limit = Some(1);
    let vm = support::guest(&mut model, 0, 1, 0);
    support::move_to(&mut model, vm, 1);
    let horizon = Span::from_secs(600);
    let records = simulate(&model, &RunOptions { horizon, ..RunOptions::default() }).unwrap();
    let [given_up, never_begun] = &records.migrations[..] else { panic!("{:?}", records.migrations) };
    assert_eq!((given_up.outcome, given_up.total), (Outcome::Cancelled, horizon));
    assert!(given_up.reason.contains("still going on after 10 min"), "{}", given_up.reason);
    assert!(given_up.memory_bytes_sent > Bytes::from_gib(60), "128 MiB/s for ten minutes");
    assert_eq!(never_begun.outcome, Outcome::NotStarted);
}

#[test]
fn a_deadline_cancels_or_forces_the_pause() {
    let with = |action| {
        let mut model = diverging();
        model.hypervisor.policy = Policy::Qemu(Qemu::default());
        model.hypervisor.deadline = Some(Deadline { after: Span::from_secs(100), action });
        run(&model)
    };
    let cancelled = with(DeadlineAction::Cancel);
    assert_eq!(
        (only(&cancelled).outcome, only(&cancelled).total),
        (Outcome::Cancelled, Span::from_secs(100))
    );
    assert_eq!(only(&cancelled).blackout, Span::ZERO);
    let forced = with(DeadlineAction::ForcePause);
    assert_eq!(only(&forced).outcome, Outcome::Completed);
    assert_eq!(only(&forced).reason, "pause was forced");
    assert!(only(&forced).brownout > Span::from_secs(100) && only(&forced).blackout > Span::from_secs(3));
}

#[test]
fn a_drained_host_is_empty_and_what_does_not_fit_is_reported() {
    let mut model = support::star(3);
    for gib in [4, 4, 4, 900] {
        support::guest(&mut model, 0, gib, 10);
    }
    support::guest(&mut model, 1, 200, 10);
    support::guest(&mut model, 2, 200, 10);
    model.plan.phases = vec![Phase { drains: vec![HostId(0)], ..Phase::default() }];
    let records = run(&model);
    let outcomes: Vec<Outcome> = records.migrations.iter().map(|migration| migration.outcome).collect();
    assert_eq!(outcomes[..3], [Outcome::Completed; 3]);
    assert_eq!(outcomes[3], Outcome::NotStarted);
    assert!(records.migrations[3].reason.contains("no host has 900 GiB of free memory"));
}

#[test]
fn a_model_whose_parts_do_not_fit_is_refused() {
    let mut model = one_guest(1);
    model.guests[0].host = HostId(9);
    assert!(matches!(simulate(&model, &RunOptions::default()), Err(ModelError::NoSuchHost { .. })));
    let mut model = one_guest(1);
    model.plan.phases[0].moves[0].after = vec![7];
    assert!(matches!(simulate(&model, &RunOptions::default()), Err(ModelError::NoSuchMove { .. })));
    let mut model = one_guest(1);
    model.transport.wire_overhead = f64::NAN;
    assert!(matches!(simulate(&model, &RunOptions::default()), Err(ModelError::BadNumber { .. })));
}
