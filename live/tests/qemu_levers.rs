//! What a scenario sets on QEMU is what its migrations' journals say, and so what a forecast goes by.

#![allow(clippy::unwrap_used)]

mod qemu_support;

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use algorithms::journal::opened;
use algorithms::policy::{Policy, PostCopyStart, Slowing};
use algorithms::records::Outcome;
use live::journal;
use live::qemu::process::QEMU;
use live::qemu::run::{RunOptions, run};
use qemu_support::*;
use sim_core::Bytes;

#[test]
fn the_levers_of_a_scenario_are_the_policy_in_the_journal() {
    if !is_there() {
        return;
    }
    let text = r#"(
        hosts: [(name: "a", memory: "4 GiB"), (name: "b", memory: "4 GiB")],
        vms: [(name: "web", host: "a", memory: "48 MiB", workload: Uniform(rate: "4 MB/s", working_set: "16 MiB"))],
        hypervisor: (preset: "qemu-7.2", policy: Qemu(max_bandwidth: "400 Mbit/s"),
                     live: (xbzrle: "64 MiB", auto_converge: true, post_copy_after: 9)),
        plan: [Move(vm: "web", to: "b")],
    )"#;
    let scenario = scenarios::parse(text, "levers.ron").unwrap();
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
    assert_eq!(left.records.migrations[0].outcome, Outcome::Completed, "{:?}", left.records.migrations);
    let entries = journal::read(&left.moves.values().next().unwrap().journal).unwrap();
    let (order, _) = opened(&entries).unwrap();
    let Policy::Qemu(policy) = &order.policy else { panic!("{:?}", order.policy) };
    assert_eq!(policy.xbzrle.unwrap().cache, Bytes::from_mib(64));
    assert_eq!(policy.post_copy, PostCopyStart::AfterPasses(9));
    assert!(matches!(policy.slowing, Slowing::AutoConverge(_)));
}
