//! Either agent killed (-9) while memory follows the guest: there is exactly one, or one that `recover` makes run.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use algorithms::policy::{Policy, PostCopyStart, Qemu};
use algorithms::storage_mirror::Switch;
use live::guest::GuestSpec;
use live::protocol::{MigrateRequest, Sending};
use live::steps::Step;
use models::workload::Workload;
use sim_core::{Bandwidth, ByteRate, Bytes, Span};
use support::process::{Process, kill_at};
use support::{both_disks, with_disks};

/// Not a test: the agent that the tests here start and kill.
#[test]
#[ignore = "an agent, which the other tests start"]
fn agent_process() {
    support::process::be_an_agent();
}

/// So busy that it does not converge.
fn guest() -> GuestSpec {
    let workload = Workload::Sweep { rate: ByteRate::from_mb(60), working_set: Bytes::from_mib(6) };
    GuestSpec { memory: Bytes::from_mib(8), workload, ..with_disks("web") }
}

fn order(to: &Process) -> MigrateRequest {
    let policy = Policy::Qemu(Qemu {
        downtime_limit: Span::from_millis(1),
        max_bandwidth: None,
        post_copy: PostCopyStart::After(Span::ZERO),
        ..Qemu::default()
    });
    MigrateRequest {
        guest: "web".into(),
        destination: "b".into(),
        address: to.address.clone(),
        policy,
        deadline: None,
        sending: Sending { limit: Some(Bandwidth::from_mbit(160)), ..Sending::default() },
        storage: both_disks("slow", Switch::WithMemory),
    }
}

#[test]
fn exactly_one_when_the_source_is_killed_in_post_copy() {
    for step in [Step::Ready, Step::Committed, Step::Following, Step::Released] {
        kill_at(step, false, guest(), order);
    }
}

#[test]
fn exactly_one_when_the_destination_is_killed_in_post_copy() {
    for step in [Step::Prepared, Step::Running, Step::Resumed, Step::PagesFollowed, Step::AllFollowed] {
        kill_at(step, false, guest(), order);
    }
}

#[test]
fn exactly_one_when_both_are_killed_in_post_copy() {
    for step in [Step::Following, Step::PagesFollowed] {
        kill_at(step, true, guest(), order);
    }
}
