//! Either agent killed (-9) while memory follows the guest: there is exactly one, or one that `recover` makes run.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use algorithms::policy::{Policy, PostCopyStart, Qemu};
use algorithms::records::{Outcome, Record, Whereabouts};
use algorithms::storage_mirror::Switch;
use live::guest::GuestSpec;
use live::protocol::{MigrateRequest, Sending};
use live::recover::Finding;
use live::steps::Step;
use models::workload::Workload;
use sim_core::{Bandwidth, ByteRate, Bytes, Span};
use support::process::{Process, kill_at, running};
use support::{Bench, both_disks, with_disks};

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

/// Where one of them dies while memory follows, part of it is lost: the destination goes on with a guest that is
/// started anew, and recovery says so, where the source has not said so in its record.
#[test]
fn exactly_one_when_the_source_is_killed_in_post_copy() {
    for step in [Step::Ready, Step::Committed, Step::Following, Step::Released] {
        let found = kill_at(step, false, guest(), order);
        // From the decision on the guest is the destination's, and until all has followed the source has the rest.
        let is_lost = matches!(step, Step::Committed | Step::Following);
        assert_eq!(found.contains(&Finding::StartedAnew), is_lost, "{step:?}: {found:?}");
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
        assert_eq!(kill_at(step, true, guest(), order), [Finding::StartedAnew], "{step:?}");
    }
}

/// The source outlives it, and has the record.
#[test]
fn a_guest_that_is_lost_in_post_copy_is_recorded_as_lost() {
    let bench = Bench::new();
    let (a, mut b) = (Process::new(&bench, "a", None), Process::new(&bench, "b", Some(Step::PagesFollowed)));
    let mut client = bench.client(&a.address);
    client.create(guest()).unwrap();
    let order = order(&b);
    let migrating = std::thread::spawn(move || {
        let mut records = Vec::new();
        let migrated = client.migrate(order, |record| records.push(record)).unwrap();
        (migrated, records)
    });
    b.wait_for("reached");
    let b = b.restart();
    let (migrated, records) = migrating.join().unwrap();
    assert_eq!(migrated.outcome, Outcome::Lost);
    let record = records.iter().find_map(|record| match record {
        Record::Migration(migration) => Some(migration),
        _ => None,
    });
    let record = record.unwrap();
    assert_eq!(record.whereabouts, Whereabouts::AtDestination, "it was started anew there");
    let reason = &record.reason;
    assert!(reason.contains("lost in post-copy") && reason.contains("started the guest anew"), "{reason}");
    assert_eq!(running(&bench, &[&a.address, &b.address]), 1);
}
