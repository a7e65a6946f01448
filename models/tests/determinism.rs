//! The same scenario, seed and version give the same records on any number of threads.

#![allow(clippy::unwrap_used)]

mod support;

use models::cluster::{BackgroundTraffic, ClusterModel, TrafficPattern};
use models::world::{RunOptions, simulate};
use proptest::prelude::*;
use sim_core::{Bandwidth, Span, replicate};

/// How a cluster with luck in it is made: guests of varying speed, traffic that comes and goes.
#[derive(Debug, Clone, Copy)]
struct Luck {
    hosts: u32,
    guests: u32,
    speed_variation: f64,
    mean_on_millis: u64,
    limit: Option<u32>,
}

const EXAMPLE: Luck = Luck { hosts: 6, guests: 24, speed_variation: 0.3, mean_on_millis: 2000, limit: None };

fn lucky_cluster(luck: Luck) -> ClusterModel {
    let mut model = support::star(luck.hosts);
    for index in 0..luck.guests {
        let vm =
            support::guest(&mut model, index % luck.hosts, 1 + u64::from(index % 5), 10 * u64::from(index));
        support::move_to(&mut model, vm, (index + 1 + index / luck.hosts) % luck.hosts);
    }
    model.guests.iter_mut().for_each(|guest| guest.speed_variation = luck.speed_variation);
    model.hosts.iter_mut().for_each(|host| host.migration_limit = luck.limit);
    let mean_on = Span::from_millis(luck.mean_on_millis);
    model.background.push(BackgroundTraffic {
        name: "backup".into(),
        source: algorithms::ids::HostId(0),
        destination: algorithms::ids::HostId(luck.hosts - 1),
        rate: Bandwidth::from_gbit(6),
        weight: 2.0,
        pattern: TrafficPattern::OnOff { mean_on, mean_off: mean_on },
    });
    model
}

fn replications(model: &ClusterModel, threads: usize, seed: u64) -> Vec<String> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let run = |replication| {
        let records = simulate(model, &RunOptions { seed, replication, ..RunOptions::default() }).unwrap();
        serde_json::to_string(&records).unwrap()
    };
    pool.install(|| replicate(6, run, |_| ()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn records_do_not_depend_on_the_number_of_threads(
        (hosts, guests, limit) in (2u32..8, 1u32..24, prop_oneof![Just(None), (1u32..4).prop_map(Some)]),
        (speed_variation, mean_on_millis, seed) in (0.0..1.0f64, 1u64..20_000, any::<u64>()),
    ) {
        let model = lucky_cluster(Luck { hosts, guests, speed_variation, mean_on_millis, limit });
        prop_assert!(replications(&model, 1, seed) == replications(&model, 2, seed));
    }
}

#[test]
fn replications_and_seeds_differ_in_their_luck() {
    let model = lucky_cluster(EXAMPLE);
    let runs = replications(&model, 1, 7);
    assert_ne!(runs[0], runs[1]);
    assert_ne!(runs[0], replications(&model, 1, 8)[0]);
}

#[test]
fn a_guest_more_shifts_no_other_guests_luck() {
    let model = lucky_cluster(EXAMPLE);
    let mut larger = lucky_cluster(EXAMPLE);
    support::guest(&mut larger, 0, 1, 50);
    larger.guests.last_mut().unwrap().speed_variation = 0.5;
    let records = |model| simulate(model, &RunOptions::default()).unwrap();
    assert_eq!(records(&model).rounds, records(&larger).rounds);
}
