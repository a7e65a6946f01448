//! The same scenario, seed and version give the same records on any number of threads.

#![allow(clippy::unwrap_used)]

mod support;

use models::cluster::{BackgroundTraffic, ClusterModel, TrafficPattern};
use models::world::{RunOptions, simulate};
use sim_core::{Bandwidth, Span, replicate};

/// A cluster with luck in it: guests of varying speed, traffic that comes and goes.
fn lucky_cluster() -> ClusterModel {
    let mut model = support::star(6);
    for index in 0..24 {
        let vm = support::guest(&mut model, index % 6, 1 + u64::from(index % 5), 10 * u64::from(index));
        support::move_to(&mut model, vm, (index + 1 + index / 6) % 6);
    }
    model.guests.iter_mut().for_each(|guest| guest.speed_variation = 0.3);
    model.background.push(BackgroundTraffic {
        name: "backup".into(),
        source: algorithms::ids::HostId(0),
        destination: algorithms::ids::HostId(3),
        rate: Bandwidth::from_gbit(6),
        weight: 2.0,
        pattern: TrafficPattern::OnOff { mean_on: Span::from_secs(2), mean_off: Span::from_secs(3) },
    });
    model
}

fn replications(model: &ClusterModel, threads: usize, seed: u64) -> Vec<String> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let run = |replication| {
        let records = simulate(model, &RunOptions { seed, replication, ..RunOptions::default() }).unwrap();
        serde_json::to_string(&records).unwrap()
    };
    pool.install(|| replicate(12, run, |_| ()))
}

#[test]
fn records_do_not_depend_on_the_number_of_threads() {
    let model = lucky_cluster();
    let alone = replications(&model, 1, 7);
    assert_eq!(alone, replications(&model, 2, 7));
    assert_ne!(alone[0], alone[1], "replications differ in their luck");
    assert_ne!(alone[0], replications(&model, 1, 8)[0], "and so do seeds");
}

#[test]
fn a_guest_more_shifts_no_other_guests_luck() {
    let model = lucky_cluster();
    let mut larger = lucky_cluster();
    support::guest(&mut larger, 0, 1, 50);
    larger.guests.last_mut().unwrap().speed_variation = 0.5;
    let records = |model| simulate(model, &RunOptions::default()).unwrap();
    assert_eq!(records(&model).rounds, records(&larger).rounds);
}
